"""The native module as Python meets it: the records of queries that it keeps for a reader.

Knows: its stub file.  Does not know: what the right answer to a question is, beyond a few plain ones.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resolver.flow.peer import Transport
from tests.native.plane_rig import (
    CLIENT,
    Play,
    image,
    make_core,
    native,
    query,
    reply,
    start,
    testing,
)

__all__ = ["image", "start"]
pytestmark = pytest.mark.loopback


# Query records.


def lines_from(core: Any, *, line_format: str = "text", clients: str = "hidden") -> list[str]:
    """The lines of everything that waits."""
    lines: list[str] = []
    look = native.RecordLook(line_format, clients)
    while taken := core.take_records():
        octets, count = taken.written(look, 0.0)
        made = octets.decode().splitlines()
        assert len(made) == count == len(taken)
        lines += made
    return lines


@pytest.mark.parametrize(("only_blocked", "here"), [(False, 200), (True, 100)])
def test_a_reader_gets_no_more_records_than_it_wants(image: Path, only_blocked: bool, here: int) -> None:
    core = make_core(image, query_records="all")
    for number in range(100):
        core.answer(query(f"n{number}.ads.example"), CLIENT, Transport.TCP, 1.0)
        core.answer(query("printer.example"), CLIENT, Transport.TCP, 1.0)
    taken = core.take_records()
    look = native.RecordLook("jsonl", "hidden", only_blocked=only_blocked)
    assert taken.count(only_blocked=only_blocked) == here
    whole, count = taken.written(look, 0.0)
    assert count == here
    for wanted in (0, 1, 99, here, here + 1):
        octets, count = taken.written(look, 0.0, records_max=wanted)
        assert count == len(octets.splitlines()) == min(wanted, here)
        assert whole.startswith(octets)


def test_what_is_answered_is_recorded_once_and_in_order(start: Callable[..., Play], image: Path) -> None:
    play = start(make_core(image, query_records="all"))
    play.ask_upstream()
    for number in range(200):
        play.ask(query(f"n{number}.ads.example"))
    play.client.send(query("fresh.example"))
    message, sender = play.upstream.recvfrom(4096)
    assert lines_from(play.core)[199].count("qname=n199.ads.example")
    play.upstream.sendto(reply(message), sender)
    play.client.recv(4096)
    play.client.send(b"short")
    play.core.answer(query("printer.example"), CLIENT, Transport.TCP, 1.0)
    play.ask(query("fresh.example"))
    found = lines_from(play.core)
    words = [line.split("query transport=")[1] for line in found]
    assert sorted(words) == [
        "tcp qname=printer.example qtype=A rcode=NOERROR source=local",
        "udp malformed=short dropped=short",
        "udp qname=fresh.example qtype=A rcode=NOERROR source=cache",
        "udp qname=fresh.example qtype=A rcode=NOERROR source=upstream",
    ]
    assert play.core.records_lost(only_blocked=False) == 0


def test_only_what_is_blocked_is_recorded_where_nothing_else_is_wanted(image: Path) -> None:
    core = make_core(image, query_records="blocked")
    core.answer(query("printer.example"), CLIENT, Transport.TCP, 1.0)
    core.answer(query("a.ads.example"), CLIENT, Transport.TCP, 1.0)
    [line] = lines_from(core, clients="full")
    assert "client=" + socket.inet_ntoa(CLIENT) in line
    assert "list=ads action=nxdomain" in line


def test_without_a_reader_nothing_is_recorded(image: Path) -> None:
    core = make_core(image)
    core.answer(query("a.ads.example"), CLIENT, Transport.TCP, 1.0)
    assert (len(core.take_records()), core.records_lost(only_blocked=False)) == (0, 0)


def test_a_full_buffer_loses_records_and_no_answer(start: Callable[..., Play], image: Path) -> None:
    play = start(make_core(image, query_records="all"), record_octets=4096)
    for number in range(200):
        assert play.ask(query("a.ads.example", number))[:2] == number.to_bytes(2, "big")
    lost = play.core.records_lost(only_blocked=False)
    assert 0 < lost < 200
    assert len(lines_from(play.core)) == 200 - lost
    play.ask(query("a.ads.example"))
    assert len(lines_from(play.core)) == 1
    assert play.core.records_lost(only_blocked=False) == lost


def test_records_outlast_the_thread_and_the_plane_that_made_them(
    start: Callable[..., Play], image: Path
) -> None:
    play = start(make_core(image, query_records="all"))
    play.ask(query("a.ads.example"))
    testing.panic_worker(play.plane, 0)
    play.client.send(query("b.ads.example"))
    assert play.event("down") == ("down", 0)
    play.ask(query("c.ads.example"))
    play.plane.close()
    assert [line.split("qname=")[1][0] for line in lines_from(play.core)] == ["a", "c"]
