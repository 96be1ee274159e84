"""What a contestant is and is given; the bare echo, and this resolver with either engine.

Knows: how this resolver and the echo are set up.  Does not know: the peers, what is measured.
Every contestant listens on 127.0.0.1 and, where there is one, ::1, forwards to one upstream, refuses a
list of names, and answers from a cache that is large enough for the run.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.measure import SERVER_CORE, compile_c, pinned
from benchmarks.workload import Workload
from tests.loopback.process import PORT_TRIES_MAX, PortTaken, Program, free_port
from tests.loopback.server import Server

T = TypeVar("T")

NATIVE_PACKAGE = "resolver_native"
CACHE_MB = 256
"""Of this resolver; its peers are given as much or more."""
STREAM_IDLE_S = 60
"""Longer than any reading, so that nobody closes a connection that a reading counts on."""
STREAM_CONNECTIONS = 4_000
"""More than any reading opens at a time."""
UNLIMITED = 1_000_000
CACHE_ENTRIES = 400_000
"""Of peers that count entries."""

EXCHANGES_ONLY = """\
version: 1
exchanges:
  blocked: {name: Blocked, domains: [blocked.example]}
"""
"""A policy without the long list."""


@dataclass(frozen=True)
class Streams:
    """Where a contestant serves DNS over TLS and HTTPS, on 127.0.0.1, and with what certificate."""

    tls_port: int
    https_port: int
    certificate: Path
    key: Path
    """PEM files, of 127.0.0.1 and localhost."""
    upstream_tls_port: int = 0
    """0: its upstream is asked over UDP; else over TLS on this port, with the same certificate."""


@dataclass
class Setting:
    """What a contestant is given."""

    directory: Path
    port: int
    upstream_port: int
    workload: Workload
    cores: tuple[int, ...] = (SERVER_CORE,)
    """Where it runs, one for each of its threads."""
    command: tuple[str, ...] = ()
    """Words that run the program, where it is not the one on PATH."""
    version: tuple[int, ...] = ()
    """What the program says of itself; empty where it says nothing."""
    streams: Streams | None = None
    """None: plain DNS only."""

    def pin(self) -> tuple[str, ...]:
        """Command prefix that keeps it on its cores."""
        return pinned(*self.cores)


@dataclass(frozen=True)
class Contestant:
    """One that can take part."""

    label: str
    """What people call it."""
    program: str
    """What must be installed, as PATH knows it."""
    build: Callable[[Setting], Program]
    version: tuple[str, ...] = ()
    """Arguments that make it print its version."""
    is_forwarder: bool = True
    """Whether it answers what it does not refuse with what its upstream has."""
    blocked_rcode: str = "NXDOMAIN"
    """What it answers for a name of the list."""
    assumes: str = ""
    """What its configuration rests on, for the reader of the figures."""


def has_ipv6() -> bool:
    """Whether ::1 can be listened on."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagram:
            datagram.bind(("::1", 0))
    except OSError:
        return False
    return True


def hosts() -> tuple[str, ...]:
    """Loopback addresses of this machine."""
    return ("127.0.0.1", "::1") if has_ipv6() else ("127.0.0.1",)


def free_port_everywhere() -> int:
    """A port that is free for UDP and TCP on every address of `hosts`."""
    for _ in range(100):
        port = free_port()
        if not has_ipv6():
            return port
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET6, kind) as tried:
                    tried.bind(("::1", port))
        except OSError:
            continue
        return port
    raise AssertionError("no port is free on all loopback addresses")


def on_a_free_port(attempt: Callable[[int], T], first: int | None = None) -> T:
    """What `attempt` with a port gives, with `first` to begin with; tried again while that port is taken.

    A port is free when it is chosen, but resolvers that are up take random ones all the time.
    """
    for tries_left in reversed(range(PORT_TRIES_MAX)):
        try:
            return attempt(first or free_port_everywhere())
        except PortTaken:
            if not tries_left:
                raise
            first = None
    raise AssertionError("unreachable: the last try returns or raises")


def write_lines(path: Path, head: str, lines: Iterable[str]) -> Path:
    """A file of `head` and then `lines`, never held in memory whole; gives `path`."""
    with path.open("w") as file:
        file.write(head)
        file.writelines(lines)
    return path


def policy_with_list(list_path: Path) -> str:
    """Our blocklist file: one exchange and the long list, however long."""
    limits = "size_mb_max: 4096, entries_max: 100000000"
    return f"{EXCHANGES_ONLY}lists:\n  - {{name: long, path: {list_path}, format: domains, {limits}}}\n"


def policy_with_register(path: Path) -> str:
    """The same with a register in place of the list, and its records enforced."""
    limits = "size_mb_max: 4096, entries_max: 100000000"
    entry = f"{{name: long, path: {path}, format: register/ru-dump, mode: enforce, {limits}}}"
    return f"{EXCHANGES_ONLY}lists:\n  - {entry}\n"


START_S_MAX = 600.0
"""A register of a million records takes a Python that shares its core a minute or more."""


def stream_settings(streams: Streams) -> dict[str, Any]:
    """Our settings that serve DNS over TLS and HTTPS, or ask over TLS."""
    changes: dict[str, Any] = {
        "listen": {"tls": [f"127.0.0.1:{streams.tls_port}"], "https": [f"127.0.0.1:{streams.https_port}"]},
        "tls": {"certificate": str(streams.certificate), "key": str(streams.key)},
        "limits": {
            "tcp_idle_s": STREAM_IDLE_S,
            "tcp_connections_max": STREAM_CONNECTIONS,
            # Peers have no such limits.
            "tls_handshakes_per_s_max": UNLIMITED,
            "tls_handshakes_per_s_per_client_max": UNLIMITED,
        },
    }
    if streams.upstream_tls_port:
        server = f"tls://127.0.0.1:{streams.upstream_tls_port}#localhost"
        changes["upstreams"] = {"servers": [server], "tls_ca": str(streams.certificate)}
    return changes


def our_server(setting: Setting, blocklist: str, engine: str, modules: Path | None = None) -> Server:
    """This resolver with this engine, pinned, with caches as large as its peers'.

    Python modules in the folder `modules` come before the installed ones.
    """
    changes: dict[str, Any] = {"cache": {"size_mb": CACHE_MB}, "log": {"level": "warning"}, "engine": engine}
    # An audit of its own in the middle would be measured with it.
    changes["audit"] = {"every_h": 0}
    if engine == "native":
        changes["threads"] = len(setting.cores)
    if setting.streams:
        changes |= stream_settings(setting.streams)
    return Server(
        setting.directory,
        upstream_ports=(setting.upstream_port,),
        port=setting.port,
        hosts=hosts(),
        blocklist=blocklist,
        prefix=(*setting.pin(), *(("env", f"PYTHONPATH={modules}") if modules else ())),
        changes=changes,
        start_s_max=START_S_MAX,
    )


def native_is_built() -> bool:
    """Whether the native data plane can be imported here."""
    return importlib.util.find_spec(NATIVE_PACKAGE) is not None


def _python(setting: Setting) -> Program:
    return our_server(setting, policy_with_list(setting.workload.list_path), "python")


def native_server(setting: Setting, modules: Path | None = None) -> Program:
    """This resolver with the native engine and the long list."""
    return our_server(setting, policy_with_list(setting.workload.list_path), "native", modules)


def _echo(setting: Setting) -> Program:
    program = compile_c("udp_echo.c", setting.directory)
    command = [*setting.pin(), str(program), str(setting.port), str(len(setting.cores))]
    return Program(command, setting.directory, name="echo")


OURS = {
    "echo": Contestant(
        "bare echo",
        "gcc",
        _echo,
        is_forwarder=False,
        assumes="recvmmsg, two bits set, sendmmsg: what the kernel takes from any UDP server",
    ),
    "native": Contestant(
        "native engine",
        "python3",
        native_server,
        assumes=f"this resolver, `engine: native`, one thread, {CACHE_MB} MB cache",
    ),
    "python": Contestant(
        "Python engine",
        "python3",
        _python,
        assumes=f"this resolver, `engine: python`, {CACHE_MB} MB cache",
    ),
}
"""The limit, and this resolver with either engine."""
