"""The native module as Python meets it: what it asks upstreams by datagram, and what it hands over.

Knows: its stub file.  Does not know: what the right answer to a question is, beyond a few plain ones.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.flow.peer import Transport
from resolver.forwarding.forwarder import LOST_IN_FLIGHT_MAX
from resolver.wire.names import name_from_text
from tests.native.plane_rig import (
    ADDRESS,
    CLIENT,
    PATIENCE_S,
    A,
    Play,
    image,
    make_core,
    query,
    rcode,
    reply,
    start,
)

__all__ = ["image", "start"]
pytestmark = pytest.mark.loopback


def test_while_all_upstreams_are_down_queries_beyond_those_at_python_get_the_reason(
    start: Callable[..., Play],
) -> None:
    play = start()
    play.ask_upstream(failure=(22, "no upstream answered in time"))
    for number in range(2048):
        # Fewer are enough for a client that has its part of them.
        if number == LOST_IN_FLIGHT_MAX:
            play.client.send(query("zero.example"))
            assert play.event("query")[1] == query("zero.example")
            for mark in range(16):
                assert play.core.enter(CLIENT, mark) == 0
            assert rcode(play.ask(query("one.example"))) == 2
            for mark in range(16):
                play.core.leave(CLIENT, mark)
        assert play.plane.claim((name_from_text(f"p{number}.example"), 1, False, False)) is None
    octets = play.ask(query("one.example", 1, edns=True))
    assert rcode(octets) == 2 and b"no upstream answered in time" in octets
    assert rcode(play.ask(query("www.ads.example"))) == 3
    play.plane.release((name_from_text("p0.example"), 1, False, False))
    play.client.send(query("two.example"))
    assert play.event("query")[1] == query("two.example")
    assert play.plane.counters()["ring_full"] == 0


def test_names_go_out_as_the_letter_case_says(start: Callable[..., Play]) -> None:
    play = start()
    name = "a-name-of-many-letters.example"
    spelt = []
    for letter_case in (0, 1, 2):
        play.ask_upstream(letter_case=letter_case)
        play.client.send(query(f"{letter_case}.{name}"))
        octets, peer = play.upstream.recvfrom(4096)
        spelt.append(octets[12:-15] == octets[12:-15].lower())
        play.upstream.sendto(octets[:2] + b"\x81\x83" + octets[4:], peer)
        if letter_case == 1:
            assert play.event("handover")
        else:
            assert rcode(play.client.recv(4096)) == 3
    assert spelt == [True, False, False]


# Misses.


def test_a_miss_is_asked_once_and_then_cached(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    octets = query("fresh.example", 0xAAAA)
    play.client.send(octets)
    asked, peer = play.upstream.recvfrom(4096)
    assert asked[12:].lower() == octets[12:]
    play.upstream.sendto(reply(asked), peer)
    heard = play.client.recv(4096)
    assert heard[:2] == b"\xaa\xaa"
    assert heard[12 : len(octets) - 11] == octets[12:-11]
    assert ADDRESS in heard
    assert ADDRESS in play.ask(query("fresh.example", 2))
    [(number, queries, answers, sum_s, buckets, mean_s, *tls)] = play.plane.upstream_reports()
    assert tls == [(0, 0, 0), None]
    assert (number, queries, answers, sum(buckets), len(buckets)) == (0, 1, 1, 1, 12)
    assert 0 < sum_s == mean_s < PATIENCE_S
    assert play.plane.upstream_reports() == []
    sources = [row[3] for row in play.core.tallies()]
    assert sorted(sources) == ["cache", "upstream"]


def test_those_who_ask_the_same_meanwhile_share_one_query(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    for number in range(20):
        play.client.send(query("shared.example", number))
    asked, peer = play.upstream.recvfrom(4096)
    for number in (1, 2):  # By the second answer all twenty wait.
        play.ask(query("www.ads.example", number))
    assert (play.core.in_flight, play.core.waiting) == (1, 20)
    play.upstream.sendto(reply(asked), peer)
    heard = {int.from_bytes(play.client.recv(4096)[:2], "big") for _ in range(20)}
    assert heard == set(range(20))
    assert (play.core.in_flight, play.core.waiting) == (0, 0)
    counters = play.plane.counters()
    assert (counters["asked"], counters["coalesced"]) == (20, 19)


def test_many_misses_leave_from_many_ports_with_letters_mixed(start: Callable[..., Play]) -> None:
    play = start(None, sockets_per_upstream=64, sockets_max=96)
    play.ask_upstream()
    ports, names = set(), set()
    for number in range(100):
        play.client.send(query(f"n{number}.letters.example.net", number))
        asked, peer = play.upstream.recvfrom(4096)
        ports.add(peer[1])
        names.add(asked[15:].split(b"\0")[0])
        play.upstream.sendto(reply(asked), peer)
        assert play.client.recv(4096)[:2] == number.to_bytes(2, "big")
    assert len(ports) >= 60
    assert len(names) >= 60
    assert 64 < play.plane.counters()["opened"] <= 96


def test_a_silent_upstream_is_handed_over_with_all_who_wait(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream(timeout_s=0.02)
    for number in (1, 2):
        play.client.send(query("silent.example", number))
    asked, peer = play.upstream.recvfrom(4096)
    _, handover = play.event("handover")
    question, set_index, upstream, number, as_sent, edns, sent_at, due_at = handover[:8]
    ticket, octets, reason, _, waiters = handover[8:]
    assert question == (name_from_text("silent.example"), A, False, False)
    assert (set_index, upstream, edns) == (0, 0, True)
    assert number.to_bytes(2, "big") == asked[:2]
    assert as_sent == asked[12 : 12 + len(question[0])]
    assert due_at == pytest.approx(sent_at + 0.02)
    assert (octets, reason) == (None, "timeout")
    assert [waiter[0][:2] for waiter in waiters] == [b"\0\1", b"\0\2"]
    assert [waiter[1] for waiter in waiters] == [CLIENT, CLIENT]
    assert play.plane.send(waiters[1][2], b"said Python")
    assert play.client.recv(4096) == b"said Python"

    # Whoever asks the same is Python's too, until the ticket is closed.
    play.client.send(query("silent.example", 3))
    assert play.event("query")[1][:2] == b"\0\3"
    # What comes late is Python's.
    play.upstream.sendto(b"late", peer)
    assert play.event("late") == ("late", ticket, b"late")
    play.upstream.sendto(reply(asked), peer)
    assert play.event("late") == ("late", ticket, reply(asked))
    play.plane.close_ticket(ticket)
    play.plane.close_ticket(ticket)
    play.ask(query("www.ads.example", 1))
    play.client.send(query("silent.example", 4))
    assert play.upstream.recv(4096)[12:].lower() == asked[12:].lower()


def test_what_python_asks_too_is_pythons_whatever_comes_of_it(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    question = (name_from_text("both.example"), A, False, False)
    play.client.send(query("both.example", 1))
    asked, peer = play.upstream.recvfrom(4096)
    [(octets, address, route, _, transport, _)] = play.plane.claim(question)
    assert (octets[:2], address, transport) == (b"\0\1", CLIENT, Transport.UDP)
    assert (play.core.in_flight, play.core.waiting) == (0, 0)
    assert play.plane.send(route, b"said Python")
    assert play.client.recv(4096) == b"said Python"
    play.client.send(query("both.example", 2))
    assert play.event("query")[1][:2] == b"\0\2", "whoever asks the same is Python's"
    play.upstream.sendto(reply(asked), peer)
    _, handover = play.event("handover")
    ticket, received, reason, _, waiters = handover[8:]
    assert (received, reason, waiters) == (reply(asked), "reply", [])
    play.plane.close_ticket(ticket)


def test_what_python_asks_alone_is_not_asked_until_it_lets_go(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    question = (name_from_text("alone.example"), A, False, False)
    assert play.plane.claim(question) is None
    play.client.send(query("alone.example", 1))
    assert play.event("query")[1][:2] == b"\0\1"
    play.plane.release(question)
    play.client.send(query("alone.example", 2))
    asked, _ = play.upstream.recvfrom(4096)
    assert asked[12:].lower().startswith(question[0])


def test_a_late_reply_to_a_closed_ticket_is_only_counted(start: Callable[..., Play]) -> None:
    play = start(None, sockets_per_upstream=1)
    play.ask_upstream(timeout_s=0.02)
    play.client.send(query("silent.example"))
    asked, peer = play.upstream.recvfrom(4096)
    play.plane.close_ticket(play.event("handover")[1][8])
    play.client.send(query("other.example", 2))
    other, _ = play.upstream.recvfrom(4096)
    play.upstream.sendto(reply(asked), peer)
    play.upstream.sendto(reply(other), peer)
    play.event(
        "handover" if not select.select([play.client], [], [], PATIENCE_S)[0] else ""
    ) if False else None
    assert play.client.recv(4096)[:2] == b"\0\2"
    counters = play.plane.counters()
    assert (counters["late"], counters["unexpected"]) == (1, 0)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda octets: reply(octets, flags=0x8380),  # TC
        lambda octets: reply(octets, flags=0x8182),  # SERVFAIL
        lambda octets: reply(octets)[:-1],
        lambda octets: reply(octets).replace(b"spoilt", b"SpOiLt").replace(b"example", b"exampLe"),
        lambda octets: reply(bytes((octets[0] ^ 1, *octets[1:]))),
    ],
)
def test_a_reply_that_is_not_simply_the_answer_is_handed_over(
    start: Callable[..., Play], spoil: Callable[[bytes], bytes]
) -> None:
    play = start()
    play.ask_upstream()
    play.client.send(query("spoilt.example", 5))
    asked, peer = play.upstream.recvfrom(4096)
    sent = spoil(asked)
    if sent.lower() == reply(asked).lower() and sent == reply(asked):
        sent = sent.swapcase()  # RandomSource had mixed the letters just so.
    play.upstream.sendto(sent, peer)
    _, handover = play.event("handover")
    assert (handover[9], handover[10]) == (sent, "reply")
    assert [waiter[0] for waiter in handover[12]] == [query("spoilt.example", 5)]
    assert play.core.in_flight == 0


def test_an_upstream_that_is_not_there_is_handed_over(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    play.upstream.close()
    play.client.send(query("nobody.example"))
    assert play.event("handover")[1][10] == "network"


def test_a_broken_socket_is_told_for_each_ticket(start: Callable[..., Play]) -> None:
    play = start(None, sockets_per_upstream=1)
    play.ask_upstream(timeout_s=0.02)
    play.client.send(query("first.example", 1))
    ticket = play.event("handover")[1][8]
    play.upstream.close()
    play.client.send(query("second.example", 2))
    assert play.event("broken") == ("broken", ticket, "network", None)
    assert play.event("handover")[1][10] == "network"
    play.plane.close_ticket(ticket)


def test_a_number_keeps_its_meaning(image: Path) -> None:
    core = make_core(image)
    core.publish_upstreams([("192.0.2.1", 53)], [])
    core.publish_upstreams([("192.0.2.1", 53), ("2001:db8::1", 53)], [])
    for servers in ([("192.0.2.2", 53)], [("192.0.2.1", 53)], [("localhost", 53)]):
        with pytest.raises(ValueError):
            core.publish_upstreams(servers, [])


def test_everything_in_flight_can_be_handed_over(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    play.client.send(query("waiting.example"))
    play.upstream.recv(4096)
    play.plane.hand_over_all()
    assert play.event("handover")[1][10] == "recalled"
