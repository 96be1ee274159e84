"""Which questions are the plane's and which are Python's, when a thread is down, and when all ends."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from resolver.flow.peer import Transport
from resolver.wire.names import name_from_text
from resolver.wire.question import Question
from tests.listeners.native_rig import CLIENT, Rig, query, rig, waiter
from tests.support.fake_plane import handover
from tests.support.forwarding_rig import good

__all__ = ["rig"]


# Questions that Python asks by itself.


def test_the_plane_knows_what_python_asks_until_it_ends(rig: Rig) -> None:
    question = Question(name_from_text("www.example.org"), 1)
    rig.asks("www.example.org")
    rig.asks("www.example.org", route=b"r2")
    assert rig.plane.wanted == [question]
    [sent] = rig.network.sent
    rig.network.deliver(sent, good(sent))
    assert rig.plane.wanted == []
    rig.listener.close()
    rig.forwarder.ask(question, lambda _: None)
    assert rig.plane.wanted == [], "nobody is there to be told"


def test_what_the_plane_has_asked_already_is_not_asked_again(rig: Rig) -> None:
    now = rig.clock.now()
    rig.plane.asked[name_from_text("www.example.org")] = [waiter("www.example.org", b"r0", 7, now - 0.1)]
    rig.asks("www.example.org")
    assert rig.network.sent == []
    assert (rig.service.waiting, rig.forwarder.pending, rig.forwarder.coalesced) == (2, 1, 0)
    sent = rig.first_attempt("www.example.org")
    rig.hands_over(sent, [], reply=good(sent), sent_at=now - 0.1)
    assert sorted(route for route, _ in rig.plane.sent) == [b"r0", b"r1"]
    assert rig.plane.closed_tickets == [7]
    assert len(rig.plane.wanted) == 1, "the plane lets go with the ticket, once"
    assert rig.service.waiting == rig.forwarder.pending == 0


def test_a_question_whose_attempt_is_never_handed_over_is_asked_after_all(rig: Rig) -> None:
    rig.plane.asked[name_from_text("www.example.org")] = []
    rig.asks("www.example.org")
    rig.clock.advance(0.3)
    assert rig.network.sent == []
    rig.clock.advance(0.2)
    [sent] = rig.network.sent
    rig.network.deliver(sent, good(sent))
    [(_, octets)] = rig.plane.sent
    assert octets[3] & 15 == 0
    assert rig.plane.wanted == []
    assert rig.forwarder.pending == 0


# Threads that are down, and the end.


def test_a_thread_that_is_down_is_covered_on_its_own_sockets_until_it_is_back(rig: Rig) -> None:
    rig.plane.say("down", 1)
    rig.loop.turn()
    assert rig.listener.covered == 1
    port = rig.bound_sockets[1][0].sock.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(5)
        client.send(query("router.home.arpa"))
        rig.loop.turn()
        assert client.recv(512)[:2] == b"\x12\x34"
        client.send(query("www.example.org", message_id=2))
        rig.loop.turn()
        rig.plane.say("up", 1)
        rig.loop.turn()
        assert rig.listener.covered == 0
        [sent] = rig.network.sent
        rig.network.deliver(sent, good(sent))
        rig.loop.turn()
        assert client.recv(512)[:2] == b"\0\2", "who waits is answered though the thread is back"
    rig.plane.say("down", 1)
    rig.loop.turn()
    assert rig.listener.covered == 1


def test_where_python_serves_alone_a_thread_that_is_back_takes_nothing_from_it(rig: Rig) -> None:
    rig.plane.say("down", 1)
    rig.loop.turn()
    rig.listener.serve_all_sockets()
    rig.plane.say("up", 1)
    rig.loop.turn()
    assert rig.listener.covered == 2


def test_where_python_serves_alone_it_is_the_first_to_see_what_the_plane_still_reads(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    answer_now = rig.service.answer_now

    def noting(octets: bytes, *more: Any) -> Any:
        seen.append(octets)
        return answer_now(octets, *more)

    monkeypatch.setattr(rig.service, "answer_now", noting)
    rig.asks("router.home.arpa", b"r1")
    rig.listener.serve_all_sockets()
    rig.asks("router.home.arpa", b"r2")
    assert [route for route, _ in rig.plane.sent] == [b"r1", b"r2"]
    assert len(seen) == 1


def test_stopping_reads_no_more_and_still_answers_who_waits(rig: Rig) -> None:
    rig.asks("www.example.org")
    rig.listener.stop_reading()
    assert rig.plane.state == "stopping"
    rig.plane.say("down", 0)
    rig.loop.turn()
    assert rig.listener.covered == 0
    [sent] = rig.network.sent
    rig.network.deliver(sent, good(sent))
    assert len(rig.plane.sent) == 1


def test_closing_answers_what_waits_in_the_ring_and_ends_the_plane(rig: Rig) -> None:
    rig.plane.say("query", query("router.home.arpa"), CLIENT, b"r", Transport.UDP)
    rig.listener.close()
    assert len(rig.plane.sent) == 1
    assert rig.plane.state == "closed"
    assert rig.loop.readers == {}


def test_a_crowd_that_waits_when_it_closes_is_answered_to_the_last(rig: Rig) -> None:
    sent = rig.first_attempt("www.example.org")
    asyncio.run(rig.forwarder.close())
    crowd = [waiter("www.example.org", b"r", n, rig.clock.now()) for n in range(700)]
    now = rig.clock.now()
    rig.plane.say("handover", tuple(handover(sent.octets, waiters=crowd, sent_at=now, due_at=now + 0.4)))
    rig.listener.close()
    assert len(rig.plane.sent) == 700
