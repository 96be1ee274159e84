"""Who takes part in the readings of streams: the bare echoes, this resolver, peers; built, started, stopped.

Knows: the rig's programs in `native/stream_rig`, a certificate made for a run, an upstream over TLS.
Does not know: what is measured.
All are up all the time, as in `field`.  A contestant that an upstream is asked over TLS by is another one,
NAME+tls: only its misses are read.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contestants import Setting, Streams, free_port_everywhere
from benchmarks.field import (
    WILDCARD_ZONE,
    Commands,
    contestant_of,
    reason_absent,
    start,
    version_numbers,
    version_of,
)
from benchmarks.measure import LOAD_CORE, SERVER_CORE, compile_c, pinned
from benchmarks.workload import TOP_LABELS, Workload
from tests.loopback.authority import NSD_CONFIGURATION, answers
from tests.loopback.process import Program, free_port, poll, running_on_a_free_port

ROOT = Path(__file__).parent.parent
RIG = "resolver-stream-rig"
ECHO = "echo"
ECHO_GATHERING = "echo gathering"
GATHER_US = 50
"""As the native plane's UDP threads do (decision 0006)."""
TRANSPORTS = ("tcp", "tls", "https")
SPEAK_STREAMS = ("native", "python", "dnsdist", "unbound", "kresd", "coredns", "adguardhome", "blocky")
"""Contestants that serve DNS over TLS and HTTPS."""
OVER_TLS = "+tls"
ASK_OVER_TLS = ("native", "python", "unbound")
"""Those whose misses over an upstream that speaks TLS are read."""
BUILD_S_MAX = 900.0
DAYS = "30"


@dataclass(frozen=True)
class Rig:
    """The programs of `native/stream_rig`."""

    stream_echo: Path
    http_echo: Path
    load: Path


@dataclass
class StreamEntrant:
    """One that is up: for each transport its port and the process that serves it."""

    udp_port: int
    """0: it has none."""
    ports: dict[str, int]
    programs: dict[str, Program]

    def pid(self, transport: str) -> int:
        """Whose processor time a load over `transport` takes."""
        return self.programs[transport].pid


@dataclass
class StreamField:
    """Who is up, and who is not."""

    workload: Workload
    rig: Rig
    entrants: dict[str, StreamEntrant] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def build_rig() -> Rig | str:
    """The rig's programs, compiled where sources have changed; a text: why there are none."""
    cargo = shutil.which("cargo", path=f"{os.environ['PATH']}:{Path.home()}/.cargo/bin")
    if cargo is None:
        return "no Rust toolchain"
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "native" / "target"))
    command = [cargo, "build", "--release", "--locked", "--quiet", "-p", RIG]
    command += ["--manifest-path", str(ROOT / "native" / "Cargo.toml"), "--target-dir", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S_MAX, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
        return f"the rig cannot be built: {errors[0] if errors else 'cargo failed'}"
    found = target / "release"
    return Rig(found / "stream_echo", found / "http_echo", found / "stream_load")


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed pair of 127.0.0.1 and localhost, ECDSA P-256: what handshakes cost depends on it."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    directory.mkdir(parents=True, exist_ok=True)
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", DAYS, "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def is_open(port: int) -> bool:
    """Whether somebody accepts TCP connections there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


@contextmanager
def running_echo(directory: Path, rig: Rig, streams: Streams, gather_us: int) -> Iterator[StreamEntrant]:
    """The echoes of all transports as one contestant; the one that gathers speaks no HTTP and has no UDP."""
    tcp_port = free_port()
    files: list[str | Path] = [streams.certificate, streams.key]
    words: list[str | Path] = [str(tcp_port), str(streams.tls_port), *files, str(gather_us)]
    with ExitStack() as stack:
        directory.mkdir(parents=True, exist_ok=True)
        bare = Program([*pinned(SERVER_CORE), str(rig.stream_echo), *words], directory, name="stream-echo")
        programs = {"tcp": bare, "tls": bare}
        ports = {"tcp": tcp_port, "tls": streams.tls_port}
        udp_port = 0
        if not gather_us:
            http = [*pinned(SERVER_CORE), rig.http_echo, str(streams.https_port), *files]
            programs["https"] = Program(http, directory, name="http-echo")
            ports["https"] = streams.https_port
            udp_port = free_port()
            datagrams = [*pinned(SERVER_CORE), str(compile_c("udp_echo.c", directory)), str(udp_port), "1"]
            stack.enter_context(Program(datagrams, directory, name="udp-echo"))
        for transport, program in programs.items():
            stack.enter_context(program)
            port = ports[transport]
            poll(lambda port=port: is_open(port), timeout_s=10.0, what=f"the echo of {transport}")  # type: ignore[misc]
        yield StreamEntrant(udp_port, ports, programs)


@contextmanager
def running_upstream(directory: Path, probe: str, certificate: Path, key: Path) -> Iterator[tuple[int, int]]:
    """An NSD with wildcard zones, over UDP and over TLS; gives both ports."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "wild.zone").write_text(WILDCARD_ZONE)
    tls_port = free_port()

    def nsd_on(port: int) -> Program:
        text = NSD_CONFIGURATION.format(host="127.0.0.1", port=port, zones=directory, directory=directory)
        over_tls = f"  ip-address: 127.0.0.1@{tls_port}\n  tls-port: {tls_port}\n  tcp-timeout: 600\n"
        over_tls += f'  tls-service-pem: "{certificate}"\n  tls-service-key: "{key}"\n'
        text = text.replace("remote-control:", f"{over_tls}remote-control:")
        text += "".join(f'zone:\n  name: "{zone}"\n  zonefile: "wild.zone"\n' for zone in TOP_LABELS)
        path = directory / "nsd.conf"
        path.write_text(text)
        return Program([*pinned(LOAD_CORE), "nsd", "-d", "-c", path], directory, name="nsd")

    with running_on_a_free_port(nsd_on, lambda port: answers(port, probe), "the upstream answers") as port:
        yield port, tls_port


@contextmanager
def running_stream_field(
    directory: Path, names: Sequence[str], workload: Workload, *, commands: Commands, start_s_max: float
) -> Iterator[StreamField]:
    """Everyone of `names` who can take part, up, waiting to be asked."""
    rig = build_rig()
    if isinstance(rig, str):
        raise SystemExit(rig)
    certificate, key = make_certificate(directory / "certificate")
    with ExitStack() as stack:
        upstream = running_upstream(directory / "upstream", workload.allowed[0], certificate, key)
        udp_port, tls_port = stack.enter_context(upstream)
        running = StreamField(workload, rig)
        for name in (ECHO, ECHO_GATHERING):
            place = directory / name.replace(" ", "-")
            streams = Streams(free_port(), free_port(), certificate, key)
            gather_us = GATHER_US if name == ECHO_GATHERING else 0
            running.entrants[name] = stack.enter_context(running_echo(place, rig, streams, gather_us))
        plain = [name for name in names if re.split("@", name)[0] in SPEAK_STREAMS]
        for name in (
            *plain,
            *(f"{name}{OVER_TLS}" for name in plain if re.split("@", name)[0] in ASK_OVER_TLS),
        ):
            streams = Streams(
                free_port(), free_port(), certificate, key, tls_port if name.endswith(OVER_TLS) else 0
            )
            place = directory / re.sub(r"[^\w.-]", "-", name)
            entered = _enter(
                name.removesuffix(OVER_TLS), place, udp_port, workload, streams, commands, start_s_max
            )
            if isinstance(entered, str):
                running.absent[name] = entered
                print(f"{name}: {entered}", flush=True)
                continue
            stack.callback(entered.programs["tcp"].stop)
            running.entrants[name] = entered
            running.versions[name] = version_of(name.removesuffix(OVER_TLS), commands)
            print(f"{name}: up, with {', '.join(entered.ports)}", flush=True)
        yield running


def _enter(
    name: str,
    directory: Path,
    upstream_port: int,
    workload: Workload,
    streams: Streams,
    commands: Commands,
    start_s_max: float,
) -> StreamEntrant | str:
    """A contestant that is up; or why it is not.  It has the transports that it really listens on."""
    if why_not := reason_absent(name, commands):
        return why_not
    version = version_numbers(version_of(name, commands))
    port, cores, command = free_port_everywhere(), (SERVER_CORE,), commands.get(name, ())
    setting = Setting(directory, port, upstream_port, workload, cores, command, version, streams)
    words: list[str] = []
    entrant = start(contestant_of(name), setting, start_s_max=start_s_max, last_words=words)
    if entrant is None:
        return words[0]
    wanted = {"tcp": entrant.port, "tls": streams.tls_port, "https": streams.https_port}
    ports = {transport: port for transport, port in wanted.items() if is_open(port)}
    return StreamEntrant(entrant.port, ports, dict.fromkeys(ports, entrant.program))
