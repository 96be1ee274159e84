"""What is a trace of an attack and what is none, and that attackers and upstream do what they are named after."""

from __future__ import annotations

import itertools
import math
import socket
import struct
import threading
import time
from collections.abc import Iterator

import dns.message
import dns.rcode
import pytest

from benchmarks.__main__ import parse_arguments
from benchmarks.abuse import (
    STANDING_MB_MAX,
    Asked,
    Reading,
    Round,
    excesses,
    failures_of,
    line_of,
    losses_of_others,
)
from benchmarks.abuse_attacks import (
    ATTACKS,
    IN_A_PULSE,
    PULSE_ANSWERS_MAX,
    TYPE_TXT,
    busiest,
    flood,
    framed,
    fresh_names,
    garbage,
    query,
)
from benchmarks.abuse_attacks import Target as AttackTarget
from benchmarks.abuse_crowd import Connection, run_crowd
from benchmarks.abuse_upstream import BIG_OCTETS, UDP_OCTETS_MAX, answer_to
from benchmarks.measure import Waits


def waits(sent: int = 1_000, lost: int = 0) -> Waits:
    return Waits(1e3, sent, sent - lost, lost, 50.0, 90.0, 95.0, 99.0, 0.0, {"NOERROR": sent}, 1.0, 0.1)


def one(after_mb: float, **seen: int) -> Round:
    return Round(170.0, after_mb, 0.5, waits(), Asked(10, 1), Asked(10), seen)


def failures(*after_mb: float, rest_mb: float = 50.0, before_mb: float = 60.0, lost: int = 0) -> list[str]:
    return list(failures_of(rest_mb, before_mb, [one(each) for each in after_mb], waits(lost=lost)))


def test_memory_that_comes_back_is_no_failure() -> None:
    assert failures(60.0, 65.9, 59.0) == []


def test_memory_over_a_tenth_more_than_before_is_a_failure_in_any_round() -> None:
    assert failures(60.0, 66.1, 60.0) == ["after round 2 memory is 10 % over what it was before"]


def test_memory_that_grows_by_a_little_in_each_round_is_a_failure_in_the_end() -> None:
    assert failures(*(60.0 + 2 * number for number in range(1, 5))) != []


def test_a_first_round_that_leaves_much_behind_is_a_failure_although_the_others_are_flat() -> None:
    high = 50.0 + STANDING_MB_MAX + 1
    assert failures(high, high, before_mb=high) == [
        f"the first round left {STANDING_MB_MAX + 1:.0f} MB behind; allowed: {STANDING_MB_MAX:.0f} MB"
    ]


def test_memory_that_rises_far_is_a_failure_although_it_comes_back() -> None:
    assert failures(40.0, rest_mb=30.0, before_mb=40.0)[-1].startswith("memory rose by 130 MB meanwhile")


def test_answers_lost_afterwards_are_a_failure() -> None:
    assert failures(60.0, lost=3) == ["3 of 1000 answers lost afterwards"]


def test_others_may_lose_a_tenth_and_no_more() -> None:
    few = Round(100.0, 60.0, 0.0, waits(1_000, 100), Asked(10, 2), Asked(30, 3))
    assert list(losses_of_others([few])) == []
    many = Round(100.0, 60.0, 0.0, waits(1_000, 101), Asked(10, 3), Asked(20, 3))
    assert list(losses_of_others([few, many])) == [
        "others lose 101 of 1000 hits meanwhile",
        "others lose 3 of 10 fresh names meanwhile",
        "others lose 3 of 20 questions over TCP meanwhile",
    ]


def test_a_pulse_of_more_answers_than_one_client_may_have_is_a_failure() -> None:
    def pulse(answers: int) -> list[str]:
        return list(
            excesses(ATTACKS["bomb"], [one(60.0, **{IN_A_PULSE: 3}), one(60.0, **{IN_A_PULSE: answers})])
        )

    assert pulse(PULSE_ANSWERS_MAX) == [] != pulse(PULSE_ANSWERS_MAX + 1)


def test_an_attacker_that_fails_is_no_proof_of_anything() -> None:
    assert list(failures_of(50.0, 60.0, [one(60.0, failed=1)], waits())) == ["the attacker itself failed"]


def test_the_line_shows_the_worst_round_and_what_failed() -> None:
    rounds = [
        one(61.0),
        Round(300.0, 90.0, math.inf, waits(lost=500), Asked(10, 5), Asked(10, 10), {"sent": 7}),
    ]
    line = line_of(Reading("native", "bomb", 50.0, 60.0, waits(), rounds, waits(), ["it stays"]))
    for figure in ("300.0", "90.0", " inf ", " 50.0 ", "100.0", "it stays", "sent 7"):
        assert figure in line


def test_engine_and_attacks_are_chosen_by_name() -> None:
    arguments = parse_arguments(["abuse", "--engine", "python", "--attacks", "bomb,unread"])
    assert (arguments.engine, arguments.parts, arguments.attacks) == ("python", ["abuse"], "bomb,unread")
    with pytest.raises(SystemExit):
        parse_arguments(["abuse", "--attacks", "kindness"])


# The attackers.


def test_a_query_with_options_is_64_kb_and_well_formed() -> None:
    octets = query("hot1.example.org", options=16_000)
    assert 64_000 < len(octets) < 65_536
    assert len(dns.message.from_wire(octets).options) == 16_000
    assert framed(octets)[:2] == struct.pack("!H", len(octets))


def test_fresh_names_are_never_the_same() -> None:
    names = [*itertools.islice(fresh_names("example"), 100), *itertools.islice(fresh_names("example"), 100)]
    assert len(set(names)) == 200


def test_the_busiest_span_is_found() -> None:
    assert busiest([0.0, 0.2, 0.21, 0.22, 0.5], 0.05) == 3
    assert busiest([], 0.05) == 0


def test_garbage_is_short_long_and_broken() -> None:
    some = list(itertools.islice(garbage(), 300))
    assert min(map(len, some)) < 12 and max(map(len, some)) > 400


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as bound:
        yield bound


@pytest.mark.loopback
def test_a_crowd_comes_from_many_addresses_and_comes_again_when_it_is_closed(listener: socket.socket) -> None:
    peers: list[str] = []

    def close_each() -> None:
        listener.settimeout(2.0)
        while len(peers) < 10:
            connection, peer = listener.accept()
            peers.append(peer[0])
            connection.close()

    closer = threading.Thread(target=close_each)
    closer.start()
    port = listener.getsockname()[1]
    seen = run_crowd(Connection, port, 4, ["127.0.1.1", "127.0.1.2"], time.monotonic() + 0.5)
    closer.join()
    assert set(peers) == {"127.0.1.1", "127.0.1.2"}
    assert seen["opened"] >= 10 and seen["closed"] >= 6


@pytest.mark.loopback
def test_a_flood_keeps_to_its_rate() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        target = AttackTarget(port, 0, time.monotonic() + 0.3)
        seen = flood(itertools.repeat(b"x"), ["127.0.1.1", "127.0.1.2"], 1_000)(target)
    assert 0 < seen["sent"] <= 330


def test_every_attack_says_what_it_does() -> None:
    assert all(attack.does for attack in ATTACKS.values())


# The upstream.


def read(name: str, kind: int = 1, *, over_udp: bool = True) -> dns.message.Message:
    return dns.message.from_wire(answer_to(query(name, kind), over_udp=over_udp))


def test_a_usual_name_has_an_address() -> None:
    reply = read("www.example.org")
    assert reply.rcode() == dns.rcode.NOERROR and len(reply.answer) == 1


def test_a_big_answer_comes_over_tcp_only() -> None:
    assert read("big1.example.org", TYPE_TXT).flags & dns.flags.TC
    whole = answer_to(query("big1.example.org", TYPE_TXT), over_udp=False)
    assert BIG_OCTETS * 0.95 < len(whole) < 65_536
    assert len(dns.message.from_wire(whole).answer[0]) > 200


def test_a_held_answer_fills_a_datagram() -> None:
    octets = answer_to(query("held1.example.org", TYPE_TXT), over_udp=True)
    assert 700 < len(octets) <= UDP_OCTETS_MAX
    assert len(dns.message.from_wire(octets).answer[0]) > 1
