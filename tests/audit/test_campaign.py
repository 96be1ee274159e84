"""The pace of an audit: bounded, slower where a server is in trouble, and never for ever."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import pytest

from resolver.audit.campaign import (
    AGAIN_MAX,
    DEAD_AFTER,
    LONELY_MAX,
    OUTSTANDING_MAX,
    PATIENCE_S,
    Asked,
    Campaign,
    Outcome,
    Send,
)
from resolver.audit.results import Kind
from resolver.wire.encode import encode_query, encode_response
from resolver.wire.names import name_from_text
from resolver.wire.query import Query, parse_query

Reply = tuple[float, bytes]
Server = Callable[[Send, float], list[Reply]]


def asked(count: int, **changes: object) -> Iterator[Asked[int]]:
    for number in range(count):
        octets = encode_query(
            name_from_text(f"site{number}.example"),
            1,
            id=0,
            dnssec_ok=False,
            checking_disabled=False,
            edns=True,
        )
        yield Asked(number, octets, **changes)  # type: ignore[arg-type]


def answer(octets: bytes, rcode: int = 3, *, truncated: bool = False) -> bytes:
    query = parse_query(octets)
    assert isinstance(query, Query)
    return encode_response(query, rcode, limit=1232, truncated=truncated)


def fine(send: Send, now: float) -> list[Reply]:
    return [(0.01, answer(send.octets))]


class Run:
    """A campaign played on a fake clock; `sent` has the times of all queries."""

    def __init__(self, campaign: Campaign[int], server: Server, *, seconds_max: float = 100_000) -> None:
        self.campaign = campaign
        self.sent: list[tuple[float, Send]] = []
        self.outcomes: list[Outcome[int]] = []
        self.now = 0.0
        self.most_out = 0
        arriving: list[tuple[float, int, bytes, int | None]] = []
        while True:
            sends, wake_at = campaign.due(self.now)
            for send in sends:
                self.sent.append((self.now, send))
                for delay_s, octets in server(send, self.now):
                    lonely = send.id if send.is_lonely else None
                    heapq.heappush(arriving, (self.now + delay_s, len(self.sent), octets, lonely))
            self.most_out = max(self.most_out, len(campaign._out))
            while campaign.outcomes:
                self.outcomes.append(campaign.outcomes.popleft())
            if campaign.is_over:
                return
            assert self.now < seconds_max, "it does not end"
            assert wake_at > self.now or sends or arriving, "it spins"
            if arriving and arriving[0][0] <= wake_at:
                self.now, _, octets, lonely = heapq.heappop(arriving)
                campaign.on_message(octets, self.now, lonely)
            else:
                self.now = max(wake_at, self.now + 1e-4)


def test_every_question_has_one_outcome_and_the_rate_is_kept() -> None:
    run = Run(Campaign(asked(3_000), qps=1_000, seed=1), fine)
    assert sorted(outcome.tag for outcome in run.outcomes) == list(range(3_000))
    assert all(outcome.message is not None for outcome in run.outcomes)
    assert 2.9 < run.now < 3.2
    for start in range(0, 3, 1):
        within = [at for at, _ in run.sent if start <= at < start + 1]
        assert len(within) <= 1_060
    assert run.campaign.counts.lowest_qps == 1_000


@pytest.mark.slow
def test_fifteen_thousand_names_with_three_questions_take_less_than_a_minute() -> None:
    run = Run(Campaign(asked(45_000), qps=1_000, seed=1), fine)
    assert run.now < 60 and len(run.outcomes) == 45_000


def test_ids_are_not_reused_while_a_question_is_under_way() -> None:
    run = Run(Campaign(asked(2_000), qps=100_000, seed=1), lambda send, now: [(1.0, answer(send.octets))])
    assert run.most_out <= OUTSTANDING_MAX
    assert len(run.outcomes) == 2_000


def test_an_unanswered_question_is_repeated_alone_and_more_patiently() -> None:
    def deaf(send: Send, now: float) -> list[Reply]:
        return [] if b"\x05site7" in send.octets else fine(send, now)

    run = Run(Campaign(asked(20), qps=1_000, seed=1), deaf)
    mine = [(at, send) for at, send in run.sent if b"\x05site7" in send.octets]
    assert [send.is_lonely for _, send in mine] == [False, True, True]
    waits = [round(send.deadline - at, 3) for at, send in mine]
    assert waits == list(PATIENCE_S)
    (outcome,) = [one for one in run.outcomes if one.tag == 7]
    assert outcome.message is None and outcome.failure is Kind.NO_ANSWER and outcome.attempts == 3


def test_a_late_answer_counts_while_its_question_is_under_way() -> None:
    run = Run(Campaign(asked(5), qps=1_000, seed=1), lambda send, now: [(3.5, answer(send.octets))])
    assert all(outcome.message is not None for outcome in run.outcomes)
    assert all(3.4 < outcome.seconds < 3.6 and outcome.attempts == 2 for outcome in run.outcomes)


def test_an_answer_to_an_older_attempt_does_not_count_for_a_newer_one() -> None:
    # Its ID is another one: what comes too late is nobody's.
    run = Run(Campaign(asked(1), qps=1_000, seed=1), lambda send, now: [(20.0, answer(send.octets))])
    (outcome,) = run.outcomes
    assert outcome.message is None and outcome.failure is Kind.NO_ANSWER


class Bucket:
    """Answers so many questions a second, and does to the others what it was told."""

    def __init__(self, qps: float, excess: Callable[[Send], list[Reply]]) -> None:
        self._qps = qps
        self._excess = excess
        self._tokens = qps
        self._at = 0.0

    def __call__(self, send: Send, now: float) -> list[Reply]:
        self._tokens = min(self._qps, self._tokens + (now - self._at) * self._qps)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return fine(send, now)
        return self._excess(send)


@pytest.mark.parametrize(
    "excess",
    [
        pytest.param(lambda send: [], id="silent"),
        pytest.param(lambda send: [(0.01, answer(send.octets, 0, truncated=True))], id="truncated"),
        pytest.param(lambda send: [(0.01, answer(send.octets, 5))], id="refused"),
        pytest.param(lambda send: [(0.01, answer(send.octets, 2))], id="servfail"),
    ],
)
def test_a_server_that_limits_the_rate_is_asked_more_slowly_until_all_is_answered(
    excess: Callable[[Send], list[Reply]],
) -> None:
    run = Run(Campaign(asked(5_000), qps=1_000, seed=1), Bucket(100, excess), seconds_max=600)
    assert len(run.outcomes) == 5_000
    failed = [one.failure for one in run.outcomes if one.failure is not None]
    # What is cut off is asked over TCP then: no need to wait for long.
    assert set(failed) <= {Kind.TRUNCATED} and len(failed) < 200
    assert run.campaign.counts.lowest_qps < 200


def test_the_rate_comes_back_when_the_trouble_is_over() -> None:
    def troubled_at_first(send: Send, now: float) -> list[Reply]:
        return [] if now < 0.2 else fine(send, now)

    run = Run(Campaign(asked(20_000), qps=1_000, seed=1), troubled_at_first, seconds_max=120)
    assert run.campaign.counts.lowest_qps < 600
    last = [at for at, _ in run.sent][-1_000:]
    assert last[-1] - last[0] < 1.5


def test_a_server_that_never_answers_is_given_up_soon() -> None:
    run = Run(Campaign(asked(50_000), qps=1_000, seed=1), lambda send, now: [], seconds_max=60)
    assert len(run.outcomes) == 50_000
    assert run.campaign.counts.is_dead and run.campaign.counts.sent >= DEAD_AFTER
    assert {one.failure for one in run.outcomes} == {Kind.NO_ANSWER, Kind.NOT_ASKED}


def test_a_few_questions_that_are_always_refused_slow_the_others_down_little() -> None:
    def partly(send: Send, now: float) -> list[Reply]:
        return [(0.01, answer(send.octets, 5))] if b"0\x07example" in send.octets else fine(send, now)

    run = Run(Campaign(asked(5_000), qps=1_000, seed=1), partly, seconds_max=120)
    assert sum(one.failure is Kind.REFUSED for one in run.outcomes) == 500


def test_a_server_that_dies_half_way_costs_a_bounded_time() -> None:
    def dying(send: Send, now: float) -> list[Reply]:
        return fine(send, now) if now < 2 else []

    run = Run(Campaign(asked(20_000), qps=1_000, seed=1), dying, seconds_max=120)
    assert len(run.outcomes) == 20_000
    assert {one.failure for one in run.outcomes if one.message is None} <= {Kind.NO_ANSWER, Kind.NOT_ASKED}


def test_repeated_questions_are_bounded() -> None:
    assert AGAIN_MAX < 10_000 and LONELY_MAX < OUTSTANDING_MAX


def test_where_silence_is_meant_it_is_an_outcome_and_no_trouble() -> None:
    run = Run(Campaign(asked(100, is_silence=True), qps=1_000, seed=1), only_the_control)
    assert len(run.outcomes) == 100
    assert {(one.message, one.failure, one.attempts) for one in run.outcomes} == {(None, None, 1)}
    assert run.campaign.counts.lowest_qps == 1_000
    assert run.campaign.counts.sent == 101


def only_the_control(send: Send, now: float) -> list[Reply]:
    query = parse_query(send.octets)
    return fine(send, now) if isinstance(query, Query) and query.qname == b"\0" else []


def test_the_silence_of_a_listener_that_is_never_heard_proves_nothing() -> None:
    run = Run(Campaign(asked(3, is_silence=True), qps=1_000, seed=1), lambda send, now: [])
    assert [one.tag for one in run.outcomes] == [0, 1, 2]
    assert {(one.message, one.failure) for one in run.outcomes} == {(None, Kind.NO_ANSWER)}
    assert (run.campaign.counts.silent_as_meant, run.campaign.counts.unanswered) == (0, 3)


def test_silence_after_the_last_that_was_heard_proves_nothing() -> None:
    def mixed() -> Iterator[Asked[int]]:
        yield from asked(1)
        yield from asked(1, is_silence=True)

    run = Run(Campaign(mixed(), qps=5, seed=1), lambda send, now: fine(send, now) if now < 0.1 else [])
    assert [one.failure for one in run.outcomes] == [None, Kind.NO_ANSWER]


def test_silence_before_something_is_heard_counts_without_a_control() -> None:
    def mixed() -> Iterator[Asked[int]]:
        yield from asked(1, is_silence=True)
        yield from asked(1)

    run = Run(Campaign(mixed(), qps=5, seed=1), lambda send, now: [] if send.is_lonely else fine(send, now))
    assert {one.failure for one in run.outcomes} == {None} and len(run.outcomes) == 2
    assert run.campaign.counts.sent == 2


@pytest.mark.parametrize(("was_open", "failure"), [(True, None), (False, Kind.CLOSED)])
def test_a_connection_that_could_not_be_opened_is_no_silence(was_open: bool, failure: Kind | None) -> None:
    campaign = Campaign(asked(1, is_silence=True), qps=1_000, seed=1)
    now = 0.0
    for _ in range(200):
        sends, now = campaign.due(now)
        for send in sends:
            if only_the_control(send, now):
                campaign.on_message(answer(send.octets), now)
            else:
                campaign.on_failure(send.id, Kind.CLOSED, now, was_open=was_open)
        if campaign.is_over:
            break
    assert [one.failure for one in campaign.outcomes] == [failure]


def test_what_is_prescribed_is_no_haste() -> None:
    refusing = Run(
        Campaign(asked(200, like=(False, 5)), qps=1_000, seed=1),
        lambda send, now: [(0.01, answer(send.octets, 5))],
    )
    assert {one.attempts for one in refusing.outcomes} == {1}
    assert all(one.message is not None for one in refusing.outcomes)


def test_upstreams_that_fail_slow_nothing_down() -> None:
    run = Run(
        Campaign(asked(500, is_upstreams=True), qps=1_000, seed=1),
        lambda send, now: [(0.01, answer(send.octets, 2))],
    )
    assert {one.failure for one in run.outcomes} == {Kind.SERVFAIL}
    assert max(one.attempts for one in run.outcomes) == 2
    assert run.campaign.counts.lowest_qps == 1_000


@pytest.mark.slow
@pytest.mark.parametrize("rcode", [2, 5])
def test_a_server_that_refuses_all_whatever_the_pace_is_not_asked_at_a_crawl(rcode: int) -> None:
    run = Run(
        Campaign(asked(20_000), qps=1_000, seed=1),
        lambda send, now: [(0.01, answer(send.octets, rcode))],
        seconds_max=300,
    )
    assert {one.failure for one in run.outcomes} == {Kind.REFUSED if rcode == 5 else Kind.SERVFAIL}
    assert run.campaign.counts.sent < 30_000


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda octets: b"", Kind.GARBAGE),
        (lambda octets: octets[:2], Kind.GARBAGE),
        (lambda octets: octets[:11], Kind.GARBAGE),
        (lambda octets: octets[:-3], Kind.GARBAGE),
        (lambda octets: octets + b"more", Kind.GARBAGE),
        (lambda octets: octets[:2] + b"\x01" + octets[3:], Kind.GARBAGE),
        (lambda octets: bytes([octets[0] ^ 1]) + octets[1:], Kind.WRONG_ID),
        (lambda octets: octets.replace(b"site3", b"site9"), Kind.GARBAGE),
    ],
)
def test_what_answers_nothing_is_named(spoil: Callable[[bytes], bytes], kind: Kind) -> None:
    def spoiling(send: Send, now: float) -> list[Reply]:
        sent = answer(send.octets)
        return [(0.01, spoil(sent) if b"\x05site3" in send.octets else sent)]

    run = Run(Campaign(asked(20), qps=1_000, seed=1), spoiling)
    failures = {one.tag: one.failure for one in run.outcomes if one.message is None}
    assert failures == {3: kind}
    assert run.campaign.counts.broken >= 3


def test_a_right_answer_after_a_wrong_one_is_taken() -> None:
    def both(send: Send, now: float) -> list[Reply]:
        return [(0.01, b"garbage that came first"), (0.02, answer(send.octets))]

    run = Run(Campaign(asked(20), qps=1_000, seed=1), both)
    assert all(one.message is not None for one in run.outcomes)


def test_a_closed_stream_is_repeated_and_then_named() -> None:
    campaign: Campaign[int] = Campaign(asked(1), qps=1_000, seed=1)
    now = 0.0
    for _ in range(len(PATIENCE_S)):
        sends, _ = campaign.due(now)
        while not sends:
            now += 0.1
            sends, _ = campaign.due(now)
        campaign.on_failure(sends[0].id, Kind.CLOSED, now)
    campaign.due(now)
    assert [one.failure for one in campaign.outcomes] == [Kind.CLOSED]
    assert campaign.is_over
