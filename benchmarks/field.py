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
from dataclasses import dataclass, field
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
)
from benchmarks.measure import LOAD_CORE, pinned
from benchmarks.peers import DEBIAN, ELSEWHERE
from benchmarks.workload import TOP_LABELS, Workload
from tests.loopback.authority import NSD_CONFIGURATION, answers
from tests.loopback.process import Program, free_port, memory_mb

CONTESTANTS: dict[str, Contestant] = {**OURS, **DEBIAN, **ELSEWHERE}
DEFAULT = ("echo", "native", "python", *DEBIAN)
"""Who is asked to take part when nobody is named."""
SINKHOLE = "0.0.0.0"
PATIENCE_S = 0.1
"""With one answer: how finely the time of a start is read."""

WILDCARD_ZONE = """\
$TTL 86400
@ IN SOA ns.example. host.example. 1 3600 600 86400 60
@ IN NS ns.example.
* IN A 192.0.2.10
* IN AAAA 2001:db8::10
"""
"""A day of TTL: nothing that is cached runs out before the last round."""


@dataclass
class Entrant:
    """One that is up."""

    name: str
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


ON_ONE_CORE = "on one core"
"""At the end of the key of one whose threads share a core."""


def key_of(name: str, cores: tuple[int, ...]) -> str:
    """What a contestant with a thread for each of these cores is called in the readings."""
    if len(cores) == 1:
        return name
    return f"{name} x{len(cores)} {ON_ONE_CORE}" if len(set(cores)) == 1 else f"{name} x{len(cores)}"


def reason_absent(name: str, binaries: dict[str, str]) -> str:
    """Why this contestant cannot take part on this machine; empty when it can."""
    if name == "native" and not native_is_built():
        return "not built"
    if name in binaries:
        return "" if os.access(binaries[name], os.X_OK) else "the program named is not there"
    if shutil.which(CONTESTANTS[name].program) is None:
        return "not installed"
    return ""


def version_of(name: str, binaries: dict[str, str]) -> str:
    """The version that a contestant prints; empty where it prints none."""
    contestant = CONTESTANTS[name]
    if not contestant.version:
        return ""
    command = [binaries.get(name, contestant.program), *contestant.version]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return version_in(done.stdout + done.stderr)


def version_in(text: str) -> str:
    """The first version number in what a program says of itself; empty where there is none."""
    found = re.search(r"\bv?(\d+\.\d+(?:\.\d+)*(?:-P\d+)?)\b", text)
    return found.group(1) if found else ""


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
    name: str, setting: Setting, *, start_s_max: float, last_words: list[str] | None = None
) -> Entrant | None:
    """Start a contestant and wait until it refuses and forwards; None when it does not come to that.

    Why it did not is appended to `last_words`.
    """
    setting.directory.mkdir(parents=True, exist_ok=True)
    contestant, workload = CONTESTANTS[name], setting.workload
    program = contestant.build(setting)
    began = time.monotonic()
    program.start()
    blocked, allowed = f"www.{workload.blocked[0]}", workload.allowed[0]
    try:
        refuses_now = _once(lambda: refuses(setting.port, blocked, contestant.blocked_rcode))
        program.wait_for(refuses_now, "refuses a name", start_s_max)
        if name != "echo":
            program.wait_for(_once(lambda: forwards(setting.port, allowed)), "forwards a name", start_s_max)
    except AssertionError as failure:
        program.stop()
        if last_words is not None:
            last_words.append(_brief(str(failure), start_s_max))
        return None
    load_s = time.monotonic() - began
    return Entrant(name, program, setting.port, load_s, memory_mb(program.pid))


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
    port = free_port()
    (directory / "wild.zone").write_text(WILDCARD_ZONE)
    text = NSD_CONFIGURATION.format(host="127.0.0.1", port=port, zones=directory, directory=directory)
    text += "".join(f'zone:\n  name: "{zone}"\n  zonefile: "wild.zone"\n' for zone in TOP_LABELS)
    path = directory / "nsd.conf"
    path.write_text(text)
    with Program([*pinned(LOAD_CORE), "nsd", "-d", "-c", path], directory, name="nsd") as nsd:
        nsd.wait_for(lambda: answers(port, probe), "the upstream answers")
        yield port


@contextmanager
def running_field(
    directory: Path,
    names: Sequence[tuple[str, tuple[int, ...]]],
    workload: Workload,
    *,
    binaries: dict[str, str],
    start_s_max: float,
) -> Iterator[Field]:
    """Everyone of `names` (name, cores) who can take part, up, waiting to be asked."""
    with ExitStack() as stack:
        upstream_port = stack.enter_context(running_upstream(directory / "upstream", workload.allowed[0]))
        running = Field(workload, upstream_port)
        for name, cores in names:
            key = key_of(name, cores)
            why_not = reason_absent(name, binaries)
            words: list[str] = [why_not] if why_not else []
            entrant = None
            if not why_not:
                setting = Setting(
                    directory / key.replace(" ", "-"),
                    free_port_everywhere(),
                    upstream_port,
                    workload,
                    cores,
                    binaries.get(name, ""),
                )
                entrant = start(name, setting, start_s_max=start_s_max, last_words=words)
            if entrant is None:
                running.absent[key] = words[0]
                print(f"{key}: {words[0]}", flush=True)
                continue
            stack.callback(entrant.program.stop)
            running.entrants[key] = entrant
            print(f"{key}: up in {entrant.load_s:.1f} s, {entrant.memory_mb:.0f} MB", flush=True)
        yield running
