"""What the native plane leaves to Python, over a fake plane: the answers, the counts, the clients' ways back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resolver.flow.peer import Transport
from resolver.listeners import native
from tests.listeners.native_rig import CLIENT, Rig, query, rig, waiter
from tests.support.forwarding_rig import failure, good, reply_to
from tests.support.policy_maker import PolicyMaker, make_rule

__all__ = ["rig"]
STRANGER = bytes((192, 0, 2, 1))


def test_a_query_that_can_be_answered_here_goes_back_the_way_it_came(rig: Rig) -> None:
    rig.asks("router.home.arpa", message_id=0xABCD, route=b"way")
    [(route, octets)] = rig.plane.sent
    assert route == b"way"
    assert octets[:2] == b"\xab\xcd"
    assert octets.endswith(b"\xc0\xa8\x01\x01" + b"\0\0\x29\x04\xd0\0\0\0\0\0\0")
    assert rig.counts() == {"local": 1}


def test_a_query_that_must_be_asked_is_answered_when_the_upstream_has_spoken(rig: Rig) -> None:
    rig.asks("www.example.org")
    assert rig.plane.sent == []
    assert rig.service.waiting == 1
    [sent] = rig.network.sent
    rig.clock.advance(0.003)
    rig.network.deliver(sent, good(sent))
    [(route, octets)] = rig.plane.sent
    assert (route, octets[:2]) == (b"r1", b"\x12\x34")
    assert rig.counts() == {"upstream": 1}
    assert rig.reporter.tallies.snapshot().late["upstream"][3] == 1  # 3 ms
    assert rig.cache.misses == 0, "the plane counted it"


def test_what_is_dropped_is_counted_and_not_answered(rig: Rig) -> None:
    rig.plane.say("query", b"\0\0", CLIENT, b"r1", Transport.UDP)
    rig.loop.turn()
    assert rig.plane.sent == []
    assert rig.counts() == {"short": 1}


def test_a_stranger_is_judged_here_as_well(rig: Rig) -> None:
    rig.plane.say("query", query("www.example.org"), STRANGER, b"r1", Transport.UDP)
    rig.loop.turn()
    assert rig.plane.sent[0][1][3] & 0x0F == 5


def test_a_defect_costs_one_event_and_is_counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(rig.service, "answer_punted", explode)
        rig.asks("router.home.arpa")
    rig.asks("router.home.arpa", route=b"r2")
    assert [route for route, _ in rig.plane.sent] == [b"r2"]
    assert rig.reporter.drops["defect"] == 1


def test_more_events_than_a_turn_takes_are_worked_off_in_the_next_ones(rig: Rig) -> None:
    for number in range(600):
        rig.plane.say("query", query("router.home.arpa", message_id=number), CLIENT, b"r", Transport.UDP)
    rig.loop.turn()
    assert len(rig.plane.sent) <= 2 * native.EVENTS_PER_TURN_MAX
    while len(rig.plane.sent) < 600:
        rig.loop.turn()
    assert {octets[:2] for _, octets in rig.plane.sent} == {n.to_bytes(2, "big") for n in range(600)}


def test_all_who_wait_get_the_answer_to_a_question_that_came_late(rig: Rig) -> None:
    sent = rig.first_attempt("www.example.org")
    asked_at = rig.clock.now() - 0.4
    asked = query("www.example.org")[2:].replace(b"www", b"WWW")
    waiters = [(n.to_bytes(2, "big") + asked, CLIENT, b"r%d" % n, asked_at, 0, "") for n in range(3)]
    rig.hands_over(sent, waiters, ticket=77)
    assert rig.service.waiting == 3
    assert rig.forwarder.coalesced == 0, "the plane counted them when they joined"
    rig.plane.say("late", 77, good(sent))
    rig.loop.turn()
    assert [(route, octets[:2]) for route, octets in rig.plane.sent] == [
        (b"r%d" % n, n.to_bytes(2, "big")) for n in range(3)
    ]
    assert all(octets[12:16] == b"\3WWW" for _, octets in rig.plane.sent)
    assert rig.plane.closed_tickets == [77]
    assert rig.counts() == {"upstream": 3}
    assert rig.cache.misses == 0, "the plane counted them"
    assert rig.plan.upstreams[0].failures["timeout"] == 1
    seconds = sum(seconds for _, _, seconds in rig.reporter.tallies.snapshot().counts)
    assert seconds == pytest.approx(1.2)


def test_nobody_asks_twice_for_what_was_handed_over(rig: Rig) -> None:
    sent = rig.first_attempt("www.example.org")
    rig.hands_over(sent, [waiter("www.example.org", b"r", 1, rig.clock.now())], ticket=5, reply=b"\0")
    assert rig.network.sent == []
    assert rig.forwarder.pending == 1
    rig.plane.say("late", 5, good(sent))
    rig.loop.turn()
    assert len(rig.plane.sent) == 1
    assert rig.forwarder.pending == 0


def test_an_upstreams_failure_ends_as_servfail_where_there_is_no_other(rig: Rig) -> None:
    sent = rig.first_attempt("www.example.org")
    rig.hands_over(sent, [waiter("www.example.org", b"r", 1, rig.clock.now())], reply=failure(sent, 2))
    [(_, octets)] = rig.plane.sent
    assert octets[3] & 0x0F == 2
    assert rig.counts() == {"upstream": 1}
    assert rig.plane.closed_tickets == [7]


def test_the_question_stays_ours_until_it_ends_though_its_first_attempt_is_over(rig: Rig) -> None:
    sent = rig.first_attempt("www.example.org")
    truncated = reply_to(sent.octets, flags=0x8380)
    rig.hands_over(sent, [waiter("www.example.org", b"r", 1, rig.clock.now())], reply=truncated, ticket=8)
    [over_tcp] = rig.network.sent
    assert over_tcp.is_stream
    assert rig.plane.closed_tickets == []
    rig.plane.say("late", 8, good(sent))
    rig.loop.turn()
    assert rig.plane.sent == [], "nothing that comes for an attempt given up counts"
    rig.network.deliver(over_tcp, good(over_tcp))
    assert rig.plane.closed_tickets == [8]
    assert len(rig.plane.sent) == 1


def test_a_broken_attempt_is_lost_and_its_ticket_no_longer_heard(rig: Rig) -> None:
    sent = rig.first_attempt("www.example.org")
    rig.hands_over(sent, [waiter("www.example.org", b"r", 1, rig.clock.now())], reply=b"\0", ticket=9)
    rig.plane.say("broken", 9, "network", None)
    rig.plane.say("late", 9, good(sent))
    rig.plane.say("broken", 9, "network", None)
    rig.loop.turn()
    assert rig.plan.upstreams[0].failures["network"] == 1
    [(_, octets)] = rig.plane.sent
    assert octets[3] & 0x0F == 2


@pytest.mark.parametrize("when", ["at once", "later"])
def test_an_attempt_that_the_plane_gave_up_is_made_again_and_its_upstream_is_none_the_worse(
    rig: Rig, when: str
) -> None:
    sent = rig.first_attempt("www.example.org")
    waiters = [waiter("www.example.org", b"r", 1, rig.clock.now())]
    if when == "at once":
        rig.hands_over(sent, waiters, reason="abandoned")
    else:
        rig.hands_over(sent, waiters, reply=b"\0")
        rig.plane.say("broken", 7, "abandoned", None)
        rig.loop.turn()
    [again] = rig.network.sent
    assert again.upstream is rig.plan.upstreams[0]
    rig.network.deliver(again, good(again))
    assert len(rig.plane.sent) == 1
    failures = rig.plan.upstreams[0].failures
    assert sum(failures.values()) - failures["malformed"] == 0
    assert rig.plan.upstreams[0].consecutive_failures == 0


def test_an_attempt_called_back_goes_on_as_it_is(rig: Rig) -> None:
    sent = rig.first_attempt("www.example.org")
    now = rig.clock.now()
    rig.hands_over(
        sent,
        [waiter("www.example.org", b"r", 1, now)],
        reason="recalled",
        ticket=6,
        sent_at=now,
        due_at=now + 0.4,
    )
    assert rig.network.sent == []
    rig.plane.say("late", 6, good(sent))
    rig.loop.turn()
    assert len(rig.plane.sent) == 1
    assert sum(rig.plan.upstreams[0].failures.values()) == 0


def test_who_waits_for_a_question_that_there_is_no_room_for_is_told_so(rig: Rig) -> None:
    rig.forwarder._in_flight_max = 0
    sent = rig.first_attempt("www.example.org")
    rig.hands_over(sent, [waiter("www.example.org", b"r", 1, rig.clock.now())], ticket=4)
    assert rig.plane.closed_tickets == [4]
    assert rig.plane.sent[0][1][3] & 0x0F == 2
    assert rig.service.waiting == 0


def test_a_stale_answer_is_served_when_patience_ends_counted_from_the_question(rig: Rig) -> None:
    rig.asks("www.example.org")
    [sent] = rig.network.sent
    rig.network.deliver(sent, good(sent))
    rig.plane.sent.clear()
    rig.clock.advance(4000)
    again = rig.first_attempt("www.example.org")
    asked_at = rig.clock.now() - 0.4
    rig.hands_over(again, [waiter("www.example.org", b"r2", 2, asked_at)], ticket=3)
    rig.clock.advance(1.39)
    assert rig.plane.sent == []
    rig.clock.advance(0.02)
    [(route, octets)] = rig.plane.sent
    assert route == b"r2"
    assert octets[3] & 0x0F == 0
    assert rig.counts() == {"upstream": 1, "stale": 1}


def test_a_client_whose_name_was_blocked_meanwhile_is_denied(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    maker = PolicyMaker().block(make_rule(label="acme"), "acme.example")
    rig.service.publish(maker.policy(folder))
    sent = rig.first_attempt("www.acme.example")
    rig.hands_over(sent, [waiter("www.acme.example", b"r", 1, rig.clock.now())], ticket=6)
    [(_, octets)] = rig.plane.sent
    assert octets[3] & 0x0F == 3
    assert rig.counts() == {"policy": 1}


def test_a_crowd_is_taken_over_in_turns_and_everyone_is_answered(rig: Rig) -> None:
    sent = rig.first_attempt("www.example.org")
    crowd = [waiter("www.example.org", b"r", n, rig.clock.now()) for n in range(700)]
    rig.hands_over(sent, crowd, reply=good(sent))
    assert rig.service.waiting == native.WAITERS_PER_TURN_MAX
    rig.clock.advance(1.0)
    assert {octets[:2] for _, octets in rig.plane.sent} == {n.to_bytes(2, "big") for n in range(700)}
    assert rig.service.waiting == 0


def test_a_defect_robs_one_waiting_client_and_not_the_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_punted = rig.service.answer_punted

    def sometimes(octets: bytes, *more: Any) -> Any:
        if octets[:2] == b"\0\1":
            raise ZeroDivisionError
        return answer_punted(octets, *more)

    monkeypatch.setattr(rig.service, "answer_punted", sometimes)
    sent = rig.first_attempt("www.example.org")
    now = rig.clock.now()
    rig.hands_over(sent, [waiter("www.example.org", b"r", n, now) for n in range(3)], reply=good(sent))
    assert [octets[:2] for _, octets in rig.plane.sent] == [b"\0\0", b"\0\2"]
    assert rig.reporter.drops["defect"] == 1


def test_what_upstreams_answered_is_heard_before_failures_are_judged(rig: Rig) -> None:
    rig.asks("router.home.arpa")
    assert rig.told == ["after"]
    rig.hands_over(rig.first_attempt("www.example.org"), [])
    assert rig.told == ["after", "before", "after"]
