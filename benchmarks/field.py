"""The field: who takes part in a run, started, waited for and stopped; who does not, and why.

Knows: all contestants, the upstream.  Does not know: what is measured.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from benchmarks.contestants import (
    OURS,
    Contestant,
    Setting,
    free_port_everywhere,
    native_is_built,
    on_a_free_port,
)
from benchmarks.go_peers import ELSEWHERE
from benchmarks.measure import LOAD_CORE, SERVER_CORE, pinned
from benchmarks.peers import DEBIAN
from benchmarks.workload import TOP_LABELS, TTL_S, Workload
from tests.loopback.authority import NSD_CONFIGURATION, answers
from tests.loopback.process import PortTaken, Program, memory_mb, running_on_a_free_port

CONTESTANTS: dict[str, Contestant] = {**OURS, **DEBIAN, **ELSEWHERE}
Commands = dict[str, tuple[str, ...]]
"""Name -> words that run it in place of the program on PATH."""
DEFAULT = ("echo", "native", "python", *DEBIAN)
"""Who is asked to take part when nobody is named."""
SINKHOLE = "0.0.0.0"
PORT_TAKEN = re.compile(r"[Aa]ddress (already )?in use\b|failed; interface ignored")
"""What programs say of a port that somebody else has.  BIND says the last, and goes on without the port."""
PATIENCE_S = 0.1
"""With one answer: how finely the time of a start is read."""

WILDCARD_ZONE = f"""\
$TTL {TTL_S}
@ IN SOA ns.example. host.example. 1 3600 600 86400 60
@ IN NS ns.example.
* IN A 192.0.2.10
* IN AAAA 2001:db8::10
"""


@dataclass
class Entrant:
    """One that is up."""

    program: Program
    port: int
    load_s: float
    """Seconds from its start to its first refused and its first forwarded answer."""
    memory_mb: float
    """Megabytes then."""

    @property
    def pid(self) -> int:
        """Process id."""
        return self.program.pid


@dataclass
class Field:
    """Who is up, and who is not."""

    workload: Workload
    upstream_port: int
    entrants: dict[str, Entrant] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Name -> why it does not take part."""


def contestant_of(key: str) -> Contestant:
    """The contestant of a key: `unbound` of `unbound@trixie`, `native` of `native x2`."""
    return CONTESTANTS[re.split("[@ ]", key, maxsplit=1)[0]]


ON_ONE_CORE = "on one core"
"""At the end of the key of one whose threads share a core."""


def key_of(name: str, cores: tuple[int, ...]) -> str:
    """What a contestant with a thread for each of these cores is called in the readings."""
    if len(cores) == 1:
        return name
    return f"{name} x{len(cores)} {ON_ONE_CORE}" if len(set(cores)) == 1 else f"{name} x{len(cores)}"


def reason_absent(name: str, commands: Commands) -> str:
    """Why this contestant cannot take part on this machine; empty when it can."""
    if name == "native" and not native_is_built():
        return "not built"
    if name in commands:
        return "" if os.access(commands[name][0], os.X_OK) else "the program named is not there"
    if shutil.which(contestant_of(name).program) is None:
        return "not installed"
    return ""


def version_of(name: str, commands: Commands) -> str:
    """The version that a contestant prints; empty where it prints none."""
    contestant = contestant_of(name)
    if not contestant.version:
        return ""
    command = [*commands.get(name, (contestant.program,)), *contestant.version]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return version_in(done.stdout + done.stderr)


def version_in(text: str) -> str:
    """The first version number in what a program says of itself; empty where there is none."""
    found = re.search(r"\bv?(\d+\.\d+(?:\.\d+)*(?:-P\d+)?)\b", text)
    return found.group(1) if found else ""


def version_numbers(version: str) -> tuple[int, ...]:
    """For comparison: 9.18.49-P1 is (9, 18, 49)."""
    return tuple(int(part) for part in version.partition("-")[0].split(".") if part)


def asked(port: int, qname: str) -> dns.message.Message | None:
    """A server's answer to `qname` A at this very moment; None where there is none yet.

    Patience is short: a server that is not there yet is silent, and is asked again at once.
    """
    try:
        query = dns.message.make_query(qname, "A")
        return dns.query.udp(query, "127.0.0.1", port=port, timeout=PATIENCE_S)
    except (dns.exception.DNSException, OSError):
        return None


def refuses(port: int, qname: str, blocked_rcode: str) -> bool:
    """Whether a server refuses `qname`: NXDOMAIN, or 0.0.0.0 where that is its way."""
    reply = asked(port, qname)
    if reply is None or dns.rcode.to_text(reply.rcode()) != blocked_rcode:
        return False
    if blocked_rcode != "NOERROR":
        return True
    return any(str(record) == SINKHOLE for rrset in reply.answer for record in rrset)


def forwards(port: int, qname: str) -> bool:
    """Whether a server answers `qname` with what the upstream has."""
    reply = asked(port, qname)
    return reply is not None and reply.rcode() == dns.rcode.NOERROR and bool(reply.answer)


def start(
    contestant: Contestant, setting: Setting, *, start_s_max: float, last_words: list[str] | None = None
) -> Entrant | None:
    """Start a contestant and wait until it refuses and forwards; None when it does not come to that.

    Whose port somebody else has taken meanwhile is started again on another one.  Why it did not come up is
    appended to `last_words`.
    """
    setting.directory.mkdir(parents=True, exist_ok=True)
    try:
        return on_a_free_port(
            lambda port: _start_once(contestant, replace(setting, port=port), start_s_max), setting.port
        )
    except AssertionError as failure:
        if last_words is not None:
            last_words.append(_brief(str(failure), start_s_max))
        return None


def _start_once(contestant: Contestant, setting: Setting, start_s_max: float) -> Entrant:
    """Raises PortTaken where the program says so, whether it ends then or goes on without the port."""
    workload = setting.workload
    program = contestant.build(setting)
    began = time.monotonic()
    program.start()
    blocked, allowed = f"www.{workload.blocked[0]}", workload.allowed[0]

    def without_a_port() -> bool:
        return bool(PORT_TAKEN.search(program.stdout() + program.stderr()))

    def wait_until(is_met: Callable[[], bool], what: str) -> None:
        met = _once(is_met)
        program.wait_for(lambda: met() or without_a_port(), what, start_s_max)
        if without_a_port():
            raise PortTaken(f"{program.name}: somebody else has port {setting.port}")

    try:
        wait_until(lambda: refuses(setting.port, blocked, contestant.blocked_rcode), "refuses a name")
        if contestant.is_forwarder:
            wait_until(lambda: forwards(setting.port, allowed), "forwards a name")
    except BaseException:
        program.stop()
        raise
    load_s = time.monotonic() - began
    return Entrant(program, setting.port, load_s, memory_mb(program.pid))


def _once(condition: Callable[[], bool]) -> Callable[[], bool]:
    """A condition that stays met: who has answered once is up, even if the next answer is late."""
    met = False

    def look() -> bool:
        nonlocal met
        met = met or condition()
        return met

    return look


def _brief(failure: str, start_s_max: float) -> str:
    """One line without paths, for a page that others read."""
    if failure.startswith("not within"):
        return f"skipped: not up within {start_s_max / 60:g} minutes"
    lines = [line.strip() for line in failure.splitlines() if line.strip()]
    last = re.sub(r"\S*/\S+", "...", lines[-1]) if len(lines) > 1 else "no word why"
    return f"did not start: {last[:160]}"


@contextmanager
def running_upstream(directory: Path, probe: str) -> Iterator[int]:
    """An NSD with wildcard zones, on the load generator's core; gives its port."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "wild.zone").write_text(WILDCARD_ZONE)

    def nsd_on(port: int) -> Program:
        text = NSD_CONFIGURATION.format(host="127.0.0.1", port=port, zones=directory, directory=directory)
        text += "".join(f'zone:\n  name: "{zone}"\n  zonefile: "wild.zone"\n' for zone in TOP_LABELS)
        path = directory / "nsd.conf"
        path.write_text(text)
        return Program([*pinned(LOAD_CORE), "nsd", "-d", "-c", path], directory, name="nsd")

    with running_on_a_free_port(nsd_on, lambda port: answers(port, probe), "the upstream answers") as port:
        yield port


def enter(
    name: str,
    directory: Path,
    upstream_port: int,
    workload: Workload,
    *,
    commands: Commands,
    start_s_max: float,
    cores: tuple[int, ...] = (SERVER_CORE,),
) -> Entrant | str:
    """A contestant that is up; or why it is not."""
    why_not = reason_absent(name, commands)
    if why_not:
        return why_not
    setting = Setting(
        directory,
        free_port_everywhere(),
        upstream_port,
        workload,
        cores,
        commands.get(name, ()),
        version_numbers(version_of(name, commands)),
    )
    words: list[str] = []
    return start(contestant_of(name), setting, start_s_max=start_s_max, last_words=words) or words[0]


@contextmanager
def running_field(
    directory: Path,
    names: Sequence[tuple[str, tuple[int, ...]]],
    workload: Workload,
    *,
    commands: Commands,
    start_s_max: float,
) -> Iterator[Field]:
    """Everyone of `names` (name, cores) who can take part, up, waiting to be asked."""
    with ExitStack() as stack:
        upstream_port = stack.enter_context(running_upstream(directory / "upstream", workload.allowed[0]))
        running = Field(workload, upstream_port)
        for name, cores in names:
            key = key_of(name, cores)
            entrant = enter(
                name,
                directory / re.sub(r"[^\w.-]", "-", key),
                upstream_port,
                workload,
                commands=commands,
                start_s_max=start_s_max,
                cores=cores,
            )
            if isinstance(entrant, str):
                running.absent[key] = entrant
                print(f"{key}: {entrant}", flush=True)
                continue
            stack.callback(entrant.program.stop)
            running.entrants[key] = entrant
            print(f"{key}: up in {entrant.load_s:.1f} s, {entrant.memory_mb:.0f} MB", flush=True)
        yield running
