"""One load over streams against one server: processor time per query or connection, memory of idle ones.

Knows: dnsperf, h2load, the rig's load program, /proc.  Does not know: which server it is, its bar.

Shapes:
  pipelined  16 connections, 100 queries outstanding (HTTPS: 16 streams each)
  single     50 connections with about one query outstanding each (HTTPS: strictly)
  gathered   16 connections, 16 queries in each write
  new        connect, ask once, close; full handshakes, X25519MLKEM768 offered first
  again      the same with a session ticket
  idle       memory of a connection that asked once and says nothing
dnsperf asks DNS over HTTPS with one HTTP header frame and one data frame in two writes, and so waits for
delayed acknowledgements: h2load asks one name over and over instead.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.message

from benchmarks.measure import LOAD_CORE, LOST_S, pinned, read_dnsperf
from benchmarks.stream_field import Rig, StreamEntrant
from tests.loopback.process import cpu_s, memory_mb

SHAPES = ("pipelined", "single", "gathered", "new", "again", "idle")
QUERY_SHAPES = ("pipelined", "single", "gathered")
"""Those whose figure is per query."""
CONNECTIONS = {"pipelined": 16, "single": 50}
OUTSTANDING = {"pipelined": 100, "single": 50}
STREAMS = {"pipelined": 16, "single": 1}
"""Requests outstanding on each connection over HTTPS."""
DNSPERF_MODES = {"tcp": "tcp", "tls": "dot"}
IDLE_CONNECTIONS = 1_000
QUIET_S = 10.0
"""How long they have said nothing when they are looked at: a server may give back late what they held."""
PATH = "/dns-query"
MEDIA_TYPE = "application/dns-message"


@dataclass(frozen=True)
class StreamReading:
    """What one run of a load showed."""

    cpu_us: float
    """Processor microseconds of the server per query (or connection); of `idle`: kB per connection."""
    completed: int
    lost: int
    rcodes: dict[str, int] = field(default_factory=dict)
    resumed: int = 0
    """Handshakes with a ticket."""
    handshakes: dict[str, int] = field(default_factory=dict)
    """Version and key exchange group -> how many."""


def load_over_streams(
    rig: Rig, entrant: StreamEntrant, transport: str, shape: str, queries: Path, seconds: float
) -> StreamReading:
    """One reading.  `queries` has dnsperf's lines; shapes of one name ask its first."""
    port, pid = entrant.ports[transport], entrant.pid(transport)
    message = first_message(queries)
    if shape == "idle":
        return _idle(rig, pid, transport, port, message)
    if shape in CONNECTIONS and transport == "https":
        return _h2load(pid, port, shape, message, seconds, queries.with_suffix(".message"))
    if shape in CONNECTIONS:
        return _dnsperf(pid, port, transport, shape, queries, seconds)
    return _rig_load(rig, pid, transport, port, shape, message, seconds)


def first_message(queries: Path) -> bytes:
    """The first line of a file of queries as a message, without EDNS as dnsperf sends it."""
    with queries.open() as lines:
        name, kind = lines.readline().split()
    query = dns.message.make_query(name, kind)
    # RFC 8484 §4.1: 0 for the sake of caches on the way.
    query.id = 0
    return query.to_wire()


def ask_once_over(port: int, transport: str, queries: Path) -> None:
    """Ask each line of `queries` once."""
    command = [*pinned(LOAD_CORE), "dnsperf", "-m", DNSPERF_MODES[transport], "-s", "127.0.0.1"]
    command += ["-p", str(port), "-d", str(queries), "-n", "1", "-T", "1", "-c", "4", "-t", str(LOST_S)]
    subprocess.run(command, capture_output=True, check=True)


def _dnsperf(pid: int, port: int, transport: str, shape: str, queries: Path, seconds: float) -> StreamReading:
    command = [*pinned(LOAD_CORE), "dnsperf", "-m", DNSPERF_MODES[transport], "-s", "127.0.0.1"]
    command += ["-p", str(port), "-d", str(queries), "-l", str(seconds), "-T", "1", "-t", str(LOST_S)]
    command += ["-c", str(CONNECTIONS[shape]), "-q", str(OUTSTANDING[shape])]
    before = cpu_s(pid)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    read = read_dnsperf(output, cpu_s(pid) - before)
    return StreamReading(read.cpu_us, read.completed, read.lost, read.rcodes)


def _h2load(pid: int, port: int, shape: str, message: bytes, seconds: float, body: Path) -> StreamReading:
    body.write_bytes(message)
    command = [
        *pinned(LOAD_CORE),
        "h2load",
        "-D",
        f"{round(seconds * 1000)}ms",
        "-c",
        str(CONNECTIONS[shape]),
    ]
    command += ["-m", str(STREAMS[shape]), "-d", str(body), "-H", f"content-type: {MEDIA_TYPE}"]
    before = cpu_s(pid)
    done = subprocess.run(
        [*command, f"https://127.0.0.1:{port}{PATH}"], capture_output=True, text=True, check=True
    )
    return read_h2load(done.stdout, cpu_s(pid) - before)


def read_h2load(output: str, cpu_used_s: float) -> StreamReading:
    """The figures in h2load's report; whatever is no 2xx is lost."""
    found = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    completed, *others = map(int, found.groups()) if found else (0, 0)
    return StreamReading(cpu_used_s * 1e6 / max(1, completed), completed, sum(others))


def _rig_command(rig: Rig, shape: str, transport: str, port: int, message: bytes, amount: float) -> list[str]:
    return [*pinned(LOAD_CORE), str(rig.load), shape, transport, str(port), message.hex(), str(amount)]


def _rig_load(
    rig: Rig, pid: int, transport: str, port: int, shape: str, message: bytes, seconds: float
) -> StreamReading:
    before = cpu_s(pid)
    command = _rig_command(rig, shape, transport, port, message, seconds)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return read_rig_load(done.stdout, cpu_s(pid) - before)


def read_rig_load(output: str, cpu_used_s: float) -> StreamReading:
    """The figures in the rig's line."""
    report: dict[str, Any] = json.loads(output)
    completed = int(report["completed"])
    return StreamReading(
        cpu_used_s * 1e6 / max(1, completed),
        completed,
        int(report["failed"]),
        resumed=int(report["resumed"]),
        handshakes=report["handshakes"],
    )


def _idle(rig: Rig, pid: int, transport: str, port: int, message: bytes) -> StreamReading:
    """The first connections make pools and buffers; what the many after them add is what each takes."""
    few = _holding(rig, transport, port, message, 1)
    try:
        before_mb = memory_mb(pid)
        many = _holding(rig, transport, port, message, IDLE_CONNECTIONS)
        try:
            time.sleep(QUIET_S)
            each_kb = (memory_mb(pid) - before_mb) * 1024 / IDLE_CONNECTIONS
        finally:
            _let_go(many)
    finally:
        _let_go(few)
    return StreamReading(each_kb, IDLE_CONNECTIONS, 0)


def _holding(rig: Rig, transport: str, port: int, message: bytes, count: int) -> subprocess.Popen[str]:
    """A client that holds so many connections, once all are open."""
    command = _rig_command(rig, "idle", transport, port, message, count)
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    if not client.stdout.readline():
        _let_go(client)
        raise OSError(f"the server refused one of {count} idle connections")
    return client


def _let_go(client: subprocess.Popen[str]) -> None:
    client.communicate()


def handshakes_command(
    rig: Rig, transport: str, port: int, message: bytes, seconds: float, rate: int
) -> list[str]:
    """A program that makes so many full handshakes a second."""
    return [*_rig_command(rig, "rate", transport, port, message, seconds), str(rate)]
