"""Questions in flight: shared, bounded, released; suffixes; probes; shutdown."""

from __future__ import annotations

import asyncio
import gc
from itertools import pairwise

import pytest

from resolver.forwarding.bounds import PACKETS_PER_QUESTION_MAX
from resolver.forwarding.forwarder import (
    LOST_IN_FLIGHT_MAX,
    SLOW_S,
    TOLD_AT_ONCE_MAX,
    Answered,
    Failed,
    Forwarder,
)
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.wire.question import Question
from tests.support.forwarding_rig import (
    AAAA,
    FIRST,
    SECOND,
    WWW,
    A,
    Rig,
    failure,
    good,
    has_opt,
    keep_nothing,
    seeded,
)
from tests.support.scenario_clock import FakeClock
from tests.support.scenario_network import ScriptedNetwork
from tests.support.wirebuild import wire_name

INSIDE = Server("udp", "192.0.2.53", 53)
DEEPER = Server("udp", "192.0.2.54", 53)


def test_same_question_is_asked_once_and_answered_to_all() -> None:
    rig = Rig()
    rig.ask()
    rig.ask()
    assert len(rig.sent) == 1 and rig.forwarder.coalesced == 1
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert len(rig.results) == 2
    rig.assert_nothing_pending()


@pytest.mark.parametrize(
    "other",
    [Question(WWW, AAAA), Question(WWW, A, True, False), Question(WWW, A, False, True), Question(b"\0", A)],
)
def test_different_question_is_asked_separately(other: Question) -> None:
    rig = Rig()
    rig.ask()
    rig.forwarder.ask(other, rig.results.append)
    assert len(rig.sent) == 2 and rig.forwarder.coalesced == 0


def test_do_and_cd_reach_the_upstream() -> None:
    rig = Rig()
    rig.forwarder.ask(Question(WWW, A, dnssec_ok=True, checking_disabled=True), rig.results.append)
    octets = rig.sent[0].octets
    assert octets[3] & 0x10 and octets[-4] & 0x80 and has_opt(octets)
    rig.forwarder.ask(Question(WWW, A), rig.results.append)
    octets = rig.sent[1].octets
    assert not octets[3] & 0x10 and not octets[-4] & 0x80


def test_finished_question_is_asked_anew() -> None:
    rig = Rig()
    rig.ask()
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    rig.ask()
    assert len(rig.sent) == 2


def test_waiter_may_ask_again_from_its_callback() -> None:
    rig = Rig()
    rig.ask(done=lambda _: rig.ask())
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert len(rig.sent) == 2 and rig.forwarder.pending == 1


def test_a_crowd_is_told_a_part_at_a_time_and_completely() -> None:
    rig = Rig()
    crowd = 3 * TOLD_AT_ONCE_MAX + 1
    for _ in range(crowd):
        rig.ask()
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    told = [len(rig.results)]
    while told[-1] < crowd:
        rig.clock.advance(0.001)
        told.append(len(rig.results))
    assert told == [TOLD_AT_ONCE_MAX, crowd]
    assert len(rig.sent) == 1
    rig.assert_nothing_pending()


def test_a_crowd_whose_answers_take_long_is_told_in_smaller_parts() -> None:
    rig = Rig()

    def slowly(_: object) -> None:
        told.append(rig.clock.now())
        rig.clock.spend(0.0001)

    told: list[float] = []
    for _ in range(100):
        rig.ask(done=slowly)
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    # A millisecond, and what is told between two looks at the clock.
    assert len(told) == 16
    while len(told) < 100:
        before = len(told)
        rig.clock.advance(0.0)
        assert before < len(told) <= before + 16
    rig.assert_nothing_pending()


def test_done_is_not_called_inside_ask_when_a_query_left() -> None:
    rig = Rig()
    rig.ask()
    assert rig.results == []


def test_full_table_fails_new_questions_at_once_but_not_those_in_flight() -> None:
    rig = Rig(in_flight_max=2)
    for number in range(3):
        rig.ask(b"\x01%d" % number + WWW)
    assert [type(result) for result in rig.results] == [Failed]
    assert rig.forwarder.overloads == 1 and rig.forwarder.pending == 2
    rig.ask(b"\x010" + WWW)
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert [type(result) for result in rig.results] == [Failed, Answered, Answered]


def test_the_oldest_question_yields_when_the_table_is_full_and_it_is_slow() -> None:
    kept: list[Question] = []
    rig = Rig(in_flight_max=2, keep=lambda question, result, now: kept.append(question))
    rig.ask(b"\x01a" + WWW)
    rig.clock.advance(0.1)
    rig.ask(b"\x01b" + WWW)
    rig.clock.advance(SLOW_S - 0.1)
    rig.ask(b"\x01c" + WWW)
    [yielded] = rig.results
    assert isinstance(yielded, Failed) and yielded.reason == "overload"
    assert rig.forwarder.pending == 2 and rig.forwarder.overloads == 1
    # The next oldest is not slow yet; that one gave way is no failure of its name.
    rig.ask(b"\x01d" + WWW)
    assert rig.forwarder.pending == 2 and len(rig.results) == 2 and kept == []
    rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    assert isinstance(rig.results[-1], Answered) and kept == [Question(b"\x01c" + WWW, A)]


def test_while_upstreams_seem_dead_a_new_question_takes_the_place_of_a_slow_one() -> None:
    rig = Rig()
    for number in range(LOST_IN_FLIGHT_MAX):
        rig.ask(b"\x03%03d" % number + WWW)
    rig.clock.advance(1.0)
    assert not rig.plan.upstreams[0].is_up
    before = len(rig.results)
    rig.ask(b"\x03new" + WWW)
    assert len(rig.results) == before + 1 and rig.forwarder.pending == LOST_IN_FLIGHT_MAX
    [asked] = [sent for sent in rig.sent if b"\3new" in sent.octets.lower()]
    rig.deliver(asked, good(asked))
    assert isinstance(rig.results[-1], Answered) and rig.plan.upstreams[0].is_up


def test_waiters_of_one_question_are_bounded() -> None:
    rig = Rig(waiters_max=2)
    for _ in range(3):
        rig.ask()
    (result,) = rig.results
    assert isinstance(result, Failed) and result.reason == "overload"


def test_millions_of_names_leave_nothing_behind() -> None:
    rig = Rig(in_flight_max=50)
    for number in range(5000):
        rig.ask(b"\x04%04d" % number + WWW)
    assert rig.forwarder.pending == 50 and rig.forwarder.overloads == 4950
    rig.clock.advance(2.1)
    rig.assert_nothing_pending()


def test_defective_waiter_does_not_rob_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def defective(_: object) -> None:
        raise RuntimeError("a defect")

    rig = Rig()
    rig.ask(done=defective)
    rig.ask()
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert rig.answer and rig.forwarder.defects == 1
    assert "a defect" in caplog.text


# Keeping.


class Keeper:
    """Notes what it is given to keep, and what was told before it was."""

    def __init__(self) -> None:
        self.kept: list[tuple[Question, Answered | Failed, float]] = []

    def __call__(self, question: Question, result: Answered | Failed, now: float) -> str:
        self.kept.append((question, result, now))
        return "the entry"


def test_a_result_is_kept_once_before_any_who_wait_are_told() -> None:
    keeper = Keeper()
    rig = Rig(keep=keeper)
    kept_when_told: list[int] = []
    for _ in range(TOLD_AT_ONCE_MAX + 1):
        rig.ask(done=lambda result: kept_when_told.append(len(keeper.kept)))
    rig.clock.advance(0.1)
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    rig.clock.advance(0.001)
    assert kept_when_told == [1] * (TOLD_AT_ONCE_MAX + 1)
    [(question, result, now)] = keeper.kept
    assert question == Question(WWW, A) and now == pytest.approx(rig.clock.now() - 0.001)
    assert isinstance(result, Answered) and result.kept == "the entry"


def test_what_nobody_waits_for_is_asked_and_kept() -> None:
    keeper = Keeper()
    rig = Rig(keep=keeper)
    rig.forwarder.ask(Question(WWW, A))
    assert rig.forwarder.pending == 1
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    [(question, result, _)] = keeper.kept
    assert question == Question(WWW, A) and isinstance(result, Answered)
    rig.assert_nothing_pending()


def test_who_waits_and_who_does_not_share_one_question() -> None:
    keeper = Keeper()
    rig = Rig(keep=keeper)
    rig.forwarder.ask(Question(WWW, A))
    rig.ask()
    rig.forwarder.ask(Question(WWW, A))
    assert len(rig.sent) == 1 and rig.forwarder.coalesced == 2
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert rig.answer and len(keeper.kept) == 1


def test_a_failure_is_kept_once() -> None:
    keeper = Keeper()
    rig = Rig(keep=keeper)
    for _ in range(3):
        rig.ask()
    rig.deliver(rig.sent[0], failure(rig.sent[0], 2))
    assert [type(result) for result in rig.results] == [Failed] * 3
    [(_, result, _)] = keeper.kept
    assert result is rig.results[0]


def test_want_of_room_and_the_end_are_no_failures_of_a_question() -> None:
    keeper = Keeper()
    rig = Rig(keep=keeper, in_flight_max=1)
    rig.ask()
    rig.ask(b"\x01a" + WWW)
    rig.forwarder.ask(Question(b"\x01b" + WWW, A))
    assert rig.forwarder.overloads == 2
    asyncio.run(rig.forwarder.close())
    rig.ask()
    rig.forwarder.ask(Question(WWW, A))
    assert [type(result) for result in rig.results] == [Failed] * 3
    assert keeper.kept == []


def test_what_cannot_be_kept_is_told_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def defective(question: Question, result: Answered | Failed, now: float) -> None:
        raise RuntimeError("a defect")

    rig = Rig(keep=defective)
    rig.ask()
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert rig.answer.kept is None and rig.forwarder.defects == 1
    assert "could not be kept" in caplog.text


def test_a_probe_is_not_kept_beside_its_question() -> None:
    keeper = Keeper()
    rig = Rig(FIRST, SECOND, keep=keeper)
    take_down_first(rig)
    keeper.kept.clear()
    rig.clock.advance(1.0)
    rig.ask()
    assert rig.forwarder.probing == 1
    probe, asked = rig.sent[-2:]
    assert (probe.upstream.address, asked.upstream.address) == (FIRST.address, SECOND.address)
    rig.network.fail(probe, "network")
    assert keeper.kept == []
    rig.deliver(asked, good(asked))
    assert [type(result) for _, result, _ in keeper.kept] == [Answered]


# Suffixes.


def planned() -> tuple[Forwarder, ScriptedNetwork]:
    network = ScriptedNetwork()
    plan = ForwardPlan(
        [FIRST],
        "ordered",
        {wire_name("corp.example"): [INSIDE], wire_name("lab.corp.example"): [DEEPER, FIRST]},
    )
    return Forwarder(plan, network, FakeClock(), seeded(), keep=keep_nothing), network


@pytest.mark.parametrize(
    ("qname", "address"),
    [
        ("corp.example", INSIDE.address),
        ("www.corp.example", INSIDE.address),
        ("lab.corp.example", DEEPER.address),
        ("a.b.lab.corp.example", DEEPER.address),
        ("mycorp.example", FIRST.address),
        ("example", FIRST.address),
        (".", FIRST.address),
    ],
)
def test_longest_suffix_chooses_the_upstreams(qname: str, address: str) -> None:
    forwarder, network = planned()
    forwarder.ask(Question(wire_name(qname), A), lambda _: None)
    assert network.sent[0].upstream.address == address
    assert forwarder.covers(wire_name(qname)) == (address != FIRST.address)


def test_upstream_named_twice_keeps_one_health() -> None:
    forwarder, _ = planned()
    assert [upstream.address for upstream in forwarder.upstreams] == [
        FIRST.address,
        INSIDE.address,
        DEEPER.address,
    ]


def test_failover_stays_inside_the_suffix() -> None:
    forwarder, network = planned()
    results: list[Answered | Failed] = []
    forwarder.ask(Question(wire_name("www.corp.example"), A), results.append)
    network.fail(network.sent[0], "network")
    assert len(network.sent) == 1 and isinstance(results[0], Failed)


# Probes.


def take_down_first(rig: Rig) -> None:
    for number in range(3):
        rig.ask(b"\x01%d" % number + WWW)
        rig.network.fail(rig.sent[-1], "network")
        rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    assert not rig.plan.upstreams[0].is_up


def test_down_upstream_is_no_longer_asked_first() -> None:
    rig = Rig(FIRST, SECOND)
    take_down_first(rig)
    rig.ask()
    assert rig.sent[-1].upstream.address == SECOND.address
    assert rig.forwarder.probing == 0


def test_recovered_upstream_is_found_by_a_copy_of_a_question() -> None:
    rig = Rig(FIRST, SECOND)
    take_down_first(rig)
    rig.clock.advance(1.0)
    rig.ask()
    probe, real = rig.sent[-2:]
    assert (probe.upstream.address, real.upstream.address) == (FIRST.address, SECOND.address)
    rig.deliver(real, good(real))
    rig.deliver(probe, good(probe))
    assert rig.plan.upstreams[0].is_up and rig.forwarder.probing == 0
    rig.ask()
    assert rig.sent[-1].upstream.address == FIRST.address


def test_unanswered_probe_costs_the_client_nothing_and_comes_back_ever_more_rarely() -> None:
    rig = Rig(FIRST, SECOND)
    take_down_first(rig)
    probed_at = []
    for _ in range(1200):
        rig.clock.advance(0.1)
        before = len(rig.sent)
        rig.ask()
        if len(rig.sent) == before + 2:
            probed_at.append(rig.clock.now())
        rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    gaps = [round(b - a) for a, b in pairwise(probed_at)]
    assert 5 <= len(probed_at) <= 14
    assert gaps == sorted(gaps)
    assert rig.forwarder.pending == 0


def test_fastest_measures_the_others_now_and_then_and_switches() -> None:
    rig = Rig(FIRST, SECOND, strategy="fastest")
    for number in range(100):
        rig.clock.advance(0.2)
        before = len(rig.sent)
        rig.ask(b"\x02%02d" % number + WWW)
        for sent in sorted(rig.sent[before:], key=lambda s: s.upstream.address, reverse=True):
            # The second answers after 10 ms, the first after 50.
            rig.clock.advance(0.01 if sent.upstream.address == SECOND.address else 0.04)
            rig.deliver(sent, good(sent))
    assert rig.sent[-1].upstream.address == SECOND.address
    to_first = [sent for sent in rig.sent[-80:] if sent.upstream.address == FIRST.address]
    assert 1 <= len(to_first) <= 8


def test_probe_counts_among_the_packets_of_a_question() -> None:
    rig = Rig(FIRST, SECOND, strategy="fastest", timeout_s=60.0)
    rig.ask()
    rig.clock.advance(61.0)
    assert len(rig.sent) <= PACKETS_PER_QUESTION_MAX
    assert rig.failed and rig.forwarder.probing == 0


def test_one_upstream_is_never_probed() -> None:
    rig = Rig(strategy="fastest")
    for number in range(10):
        rig.ask(b"\x01%d" % number + WWW)
        rig.clock.advance(10.0)
    assert rig.forwarder.probing == 0


# Shutdown.


def test_close_fails_what_is_pending_and_refuses_what_comes_after() -> None:
    rig = Rig()
    rig.ask()
    asyncio.run(rig.forwarder.close())
    assert rig.failed.reason == "closed"
    assert rig.clock.pending == 0
    rig.ask(b"\0")
    assert len(rig.results) == 2 and isinstance(rig.results[1], Failed)
    assert len(rig.sent) == 1


@pytest.mark.parametrize("how", ["answered", "failed", "coalesced"])
def test_finished_questions_leave_no_garbage_rings(how: str) -> None:
    rig = Rig(FIRST, SECOND)
    # What other tests left may leave something itself when it goes.
    for _ in range(3):
        gc.collect()
    gc.disable()
    try:
        for number in range(20):
            rig.ask(b"\x02%02d" % number + WWW)
            if how == "coalesced":
                rig.ask(b"\x02%02d" % number + WWW)
            if how == "failed":
                rig.clock.advance(3.0)
            else:
                rig.deliver(rig.sent[-1], good(rig.sent[-1]))
        # The script of the network itself remembers the attempts.
        rig.network.sent.clear()
        rig.network.unhandled.clear()
        rig.results.clear()
        assert gc.collect() < 10
    finally:
        gc.enable()
