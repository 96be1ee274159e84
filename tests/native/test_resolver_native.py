"""The native module as Python meets it: queries over real sockets on loopback, and what is punted.

Knows: its stub file.  Does not know: what the right answer to a question is, beyond a few plain ones.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver import __version__
from resolver.flow.peer import Transport
from resolver.plane import INTERFACE
from tests.native.plane_rig import (
    ADDRESS,
    CLIENT,
    Play,
    image,
    make_core,
    native,
    query,
    rcode,
    reply,
    start,
)

__all__ = ["image", "start"]
pytestmark = pytest.mark.loopback
ROOT = Path(__file__).parents[2]


# The module.


@pytest.mark.slow
def test_the_stub_file_is_the_manual() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "resolver_native"]
    allowed = ["--allowlist", str(ROOT / "native/binding/stubtest-allowlist.txt")]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "native/binding")}
    told = subprocess.run(command + allowed, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert told.returncode == 0, told.stdout + told.stderr


def test_it_is_of_this_version() -> None:
    assert __version__ == native.VERSION
    assert INTERFACE == native.INTERFACE


# Queries.


def test_a_blocked_name_is_denied_and_a_local_one_is_answered(start: Callable[..., Play]) -> None:
    play = start()
    assert rcode(play.ask(query("www.ads.example"))) == 3
    assert play.ask(query("printer.example")).endswith(ADDRESS + b"\0\0\x29\x04\xd0\0\0\0\0\0\0")
    assert rcode(play.ask(b"\0\1\x28" + bytes(9))) == 4  # UPDATE: NOTIMP
    rows = play.core.tallies()
    assert ("udp", "A", "NXDOMAIN", "policy", None) in [row[:5] for row in rows]
    assert [row[5] for row in rows if row[3] == "policy"] == [("list", "ads", "nxdomain", "enforce")]
    assert sum(row[7] for row in rows) == 3


def test_a_reply_to_us_is_dropped_and_counted(start: Callable[..., Play]) -> None:
    play = start()
    play.client.send(reply(query("printer.example")))
    play.ask(query("printer.example", 2))
    assert ("udp", "none", None, None, "response") in [row[:5] for row in play.core.tallies()]


def test_whole_batches_are_answered_each_query_to_its_own_sender(start: Callable[..., Play]) -> None:
    play = start()
    others = [Play._socket(socket.AF_INET) for _ in range(8)]
    for number in range(1600):
        others[number % 8].sendto(query(f"h{number}.ads.example", number), play.door.getsockname())
        if number % 160 == 159:  # No socket's buffer is asked to hold more than that.
            for place, other in enumerate(others):
                heard = [other.recv(4096) for _ in range(20)]
                wanted = range(number - 159 + place, number + 1, 8)
                assert [int.from_bytes(octets[:2], "big") for octets in heard] == list(wanted)
                assert all(f"h{n}".encode() in octets for n, octets in zip(wanted, heard, strict=True))
    for other in others:
        other.close()


@pytest.mark.parametrize(("address", "at"), [("0.0.0.0", "127.0.0.53"), ("::", "::1"), ("::1", "::1")])
def test_an_answer_leaves_from_the_address_that_was_asked(
    start: Callable[..., Play], address: str, at: str
) -> None:
    play = start(None, address, at=at)
    # The client is connected: it hears nobody else.
    assert rcode(play.ask(query("www.ads.example"))) == 3
    play.client.send(query("unknown.example", 7))
    _, _, packed, route, transport, _ = play.event("query")
    assert transport == Transport.UDP
    assert packed == socket.inet_pton(play.client.family, play.client.getsockname()[0])
    assert play.plane.send(route, reply(query("unknown.example", 7)))
    assert play.client.recv(4096)[:2] == b"\0\7"


def test_a_query_python_must_answer_comes_with_the_way_back(start: Callable[..., Play]) -> None:
    play = start()  # No upstream is published.
    octets = query("punted.example")
    play.client.send(octets)
    word, heard, address, route, transport, name = play.event("query")
    assert (word, heard, address, transport, name) == ("query", octets, CLIENT, Transport.UDP, "")
    assert play.plane.send(route, b"whatever Python says")
    assert play.client.recv(4096) == b"whatever Python says"
    play.ask(query("www.ads.example"))
    assert play.plane.counters()["punts"] == 1


def test_a_policy_that_is_withdrawn_punts_until_there_is_another(
    start: Callable[..., Play], image: Path
) -> None:
    play = start()
    assert rcode(play.ask(query("www.ads.example"))) == 3
    play.core.withdraw()
    assert play.core.answer(query("www.ads.example"), CLIENT, Transport.TCP, 1.0) == (4, b"")
    play.client.send(query("www.ads.example"))
    assert play.event("query")[1] == query("www.ads.example")
    play.core.publish(str(image), 2, 1.7e9, time.monotonic())
    assert rcode(play.ask(query("www.ads.example"))) == 3


def test_a_route_of_nobody_is_refused(start: Callable[..., Play]) -> None:
    plane = start().plane
    datagram, stream = b"\0\0\0\x10\0" + bytes(16), b"\1" + bytes(14)
    others = b"", b"\0\0", b"\0\xff\xff\x10\0" + bytes(16), datagram + b"\0", stream + b"\0", stream[:-1]
    for route in (*others, b"\2" + bytes(14), bytes(200)):
        with pytest.raises(ValueError):
            plane.send(route, b"octets")


def test_before_a_policy_is_published_everything_is_punted(start: Callable[..., Play]) -> None:
    play = start(make_core(None))
    play.client.send(query("www.ads.example"))
    assert play.event("query")[1] == query("www.ads.example")


def test_who_finds_the_ring_full_gets_servfail_and_nobody_nothing(start: Callable[..., Play]) -> None:
    play = start(None, events_max=4)
    for number in range(20):
        play.client.send(query(f"p{number}.example", number))
    refused = [play.client.recv(4096) for _ in range(16)]
    assert {rcode(octets) for octets in refused} == {2}
    assert {octets[1] for octets in refused} == set(range(4, 20))
    assert rcode(play.ask(query("www.ads.example"))) == 3
    counters = play.plane.counters()
    assert (counters["punts"], counters["ring_full"], counters["overloads"]) == (4, 0, 16)
    assert len(play.plane.drain()) == 4
    play.client.send(query("again.example"))
    assert play.event("query")[1] == query("again.example")


def test_drain_takes_no_more_than_it_is_told_and_the_bell_rings_on(start: Callable[..., Play]) -> None:
    play = start()
    for number in range(5):
        play.client.send(query(f"p{number}.example", number))
    play.ask(query("www.ads.example", 1))
    play.ask(query("www.ads.example", 2))
    assert [len(play.plane.drain(2)) for _ in range(2)] == [2, 2]
    assert select.select([play.plane.fileno()], [], [], 0)[0]
    assert len(play.plane.drain(2)) == 1
    assert not select.select([play.plane.fileno()], [], [], 0)[0]


def test_who_waits_for_an_attempt_that_finds_the_ring_full_gets_servfail_too(
    start: Callable[..., Play],
) -> None:
    play = start(None, events_max=1)
    play.ask_upstream(timeout_s=0.05)
    play.client.send(query("one.example", 1))
    play.client.send(query("two.example", 2))
    play.client.send(query("two.example", 3))
    answered = {play.client.recv(4096)[1]}
    if answered == {1}:
        assert play.plane.drain()[0][0] == "handover"
    else:
        answered.add(play.client.recv(4096)[1])
        assert answered == {2, 3}
    assert play.plane.counters()["ring_full"] == 0
