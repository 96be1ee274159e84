"""A question that another plane asked first goes on exactly as if it had been asked here."""

from __future__ import annotations

from collections.abc import Callable

from resolver.forwarding.forwarder import Answered, Failed
from resolver.forwarding.network import Receiver, SendError
from resolver.forwarding.patience import attempt_patience_s
from resolver.forwarding.plan import Server
from resolver.forwarding.steps import Attempt
from resolver.forwarding.upstream import ATTEMPT_TIMEOUT_S_FIRST, Upstream
from tests.support.fake_plane import handover
from tests.support.for_each import for_each
from tests.support.forwarding_rig import FIRST, SECOND, WWW, A, Rig, failure, good, reply_to
from tests.support.scenario_network import Sent

TCP = Server("tcp", "192.0.2.1", 53)
TLS = Server("tls", "192.0.2.3", 853, host="dns.example")

Log = list[tuple[float, str, bool]]
"""When, to whom, whether over TCP."""


class Ticket:
    """Where the other plane's attempt listens."""

    def __init__(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class Here:
    """The question is asked here from the start."""

    def __init__(self, *servers: Server, timeout_s: float = 2.0) -> None:
        self.rig = Rig(*servers, timeout_s=timeout_s)
        self.rig.ask()
        self.first: Sent = self.rig.sent[0]

    def hear_first(self, octets: bytes) -> None:
        self.rig.deliver(self.first, octets)

    def lose_first(self) -> None:
        self.rig.network.fail(self.first, "network")

    def is_first_open(self) -> bool:
        return self.first.is_open

    def others(self) -> list[Sent]:
        return self.rig.sent[1:]


class Adopted:
    """The first attempt is another plane's; it is handed over when something comes of it."""

    def __init__(self, *servers: Server, timeout_s: float = 2.0) -> None:
        self.rig = Rig(*servers, timeout_s=timeout_s)
        other = Rig(*servers, timeout_s=timeout_s)
        other.ask()
        self.first = other.sent[0]
        self.began = self.rig.clock.now()
        self.upstream = self.rig.plan.default.order(self.began)[0]
        self.upstream.queries += 1  # the other plane reports it
        patience_s = attempt_patience_s(self.upstream, self.upstream.is_stream)
        self.due_at = self.began + min(patience_s, timeout_s)
        self.ticket = Ticket()
        self.attempt: Attempt | None = None
        self.ends: list[object] = []
        self.rig.clock.call_later(self.due_at - self.began, lambda: self._hand_over("timeout"))

    def _hand_over(self, reason: str, reply: bytes | None = None) -> None:
        if self.attempt is not None:
            return
        told = handover(self.first.octets, reason=reason, reply=reply, sent_at=self.began, due_at=self.due_at)
        self.attempt = self.rig.forwarder.adopt(told, self.upstream, self.ends.append)
        assert self.attempt is not None
        self.attempt.ticket = self.ticket
        self.rig.ask()
        assert self.rig.forwarder.pending == 1
        self.rig.forwarder.go_on(self.attempt, told.octets, told.reason)

    def hear_first(self, octets: bytes) -> None:
        if self.attempt is None:
            self._hand_over("reply", octets)
        elif self.ticket.is_open:
            self.attempt.on_octets(octets)

    def lose_first(self) -> None:
        if self.attempt is None:
            self._hand_over("network")
        elif self.ticket.is_open:
            self.ticket.close()
            self.attempt.on_error("network")

    def is_first_open(self) -> bool:
        return self.ticket.is_open

    def others(self) -> list[Sent]:
        return self.rig.sent


Play = Callable[["Here | Adopted"], None]


def silence(run: Here | Adopted) -> None:
    run.rig.clock.advance(3.0)


def late_answer(run: Here | Adopted) -> None:
    run.rig.clock.advance(0.5)
    run.hear_first(good(run.first))


def answer(run: Here | Adopted) -> None:
    run.rig.clock.advance(0.02)
    run.hear_first(good(run.first))


def truncated(run: Here | Adopted) -> None:
    run.hear_first(reply_to(run.first.octets, flags=0x8380))
    for other in run.others()[:1]:  # of TC=1 over a stream nothing follows where nobody else is left
        run.rig.deliver(other, good(other))
    run.rig.clock.advance(3.0)


def servfail(run: Here | Adopted) -> None:
    run.rig.clock.advance(0.01)
    run.hear_first(failure(run.first, 2))
    run.rig.clock.advance(3.0)


def formerr(run: Here | Adopted) -> None:
    run.hear_first(failure(run.first, 1))
    run.rig.deliver(run.others()[0], good(run.others()[0]))


def forged(run: Here | Adopted) -> None:
    run.hear_first(reply_to(run.first.octets, id_=1))
    run.hear_first(good(run.first))
    run.rig.clock.advance(3.0)


def garbage(run: Here | Adopted) -> None:
    for _ in range(10):
        run.hear_first(b"\0")
    run.rig.clock.advance(3.0)


def garbage_then_answer(run: Here | Adopted) -> None:
    run.hear_first(b"\0")
    run.hear_first(good(run.first))


def broken(run: Here | Adopted) -> None:
    run.lose_first()
    run.rig.clock.advance(3.0)


def late_then_broken(run: Here | Adopted) -> None:
    run.rig.clock.advance(0.45)
    run.lose_first()
    run.rig.clock.advance(3.0)


PLAYS = [
    silence,
    late_answer,
    answer,
    truncated,
    servfail,
    formerr,
    forged,
    garbage,
    garbage_then_answer,
    broken,
    late_then_broken,
]


def story(run: Here | Adopted, play: Play) -> tuple[object, ...]:
    log: Log = []
    network, clock = run.rig.network, run.rig.clock
    send = network._send

    def noting(upstream: Upstream, octets: bytes, receiver: Receiver, *, is_stream: bool) -> Sent | SendError:
        log.append((round(clock.now(), 3), upstream.name, is_stream))
        return send(upstream, octets, receiver, is_stream=is_stream)

    network._send = noting  # type: ignore[method-assign]
    play(run)
    sent = [(sent.upstream.name, sent.is_stream, sent.is_open) for sent in run.others()]
    results = [
        ("answered", result.upstream.name) if isinstance(result, Answered) else (result.reason, result.ede)
        for result in run.rig.results
        if isinstance(result, Answered | Failed)
    ]
    health = [
        (one.name, one.queries, one.failures, one.is_up, one.rtt_s, one.consecutive_failures)
        for one in run.rig.plan.upstreams
    ]
    return log, sent, results, health, run.is_first_open(), run.rig.forwarder.pending


@for_each(
    "servers",
    [(FIRST,), (FIRST, SECOND), (TCP,), (TLS, FIRST), (FIRST, TLS)],
    ids=["one", "two", "tcp", "tls-and-udp", "udp-and-tls"],
)
@for_each("timeout_s", [2.0, 0.3], ids=["patient", "hasty"])
@for_each("play", PLAYS, ids=lambda play: play.__name__)
def test_it_comes_out_as_if_it_had_been_asked_here(
    play: Play, servers: tuple[Server, ...], timeout_s: float
) -> None:
    assert story(Adopted(*servers, timeout_s=timeout_s), play) == story(
        Here(*servers, timeout_s=timeout_s), play
    )


def test_whoever_handed_it_over_hears_of_its_end() -> None:
    run = Adopted(FIRST)
    truncated(run)
    assert run.ends == run.rig.results


def adopt(rig: Rig) -> Attempt | None:
    other = Rig()
    other.ask()
    now = rig.clock.now()
    told = handover(other.sent[0].octets, sent_at=now - ATTEMPT_TIMEOUT_S_FIRST, due_at=now)
    return rig.forwarder.adopt(told, rig.plan.upstreams[0], lambda _: None)


def test_a_question_in_flight_here_takes_the_attempt_in() -> None:
    rig = Rig()
    rig.ask()
    attempt = adopt(rig)
    assert attempt is not None
    assert rig.forwarder.pending == 1
    rig.forwarder.go_on(attempt, None, "timeout")
    rig.deliver(rig.sent[0], good(rig.sent[0]))
    assert isinstance(rig.answer, Answered)
    assert rig.plan.upstreams[0].failures["timeout"] == 1


def test_an_answer_to_the_attempt_taken_in_answers_those_who_waited_here() -> None:
    rig = Rig()
    rig.ask()
    attempt = adopt(rig)
    assert attempt is not None
    attempt.ticket = ticket = Ticket()
    rig.forwarder.go_on(attempt, reply_to(attempt.octets, rr_of(attempt)), "reply")
    assert isinstance(rig.answer, Answered)
    assert not ticket.is_open


def test_what_was_given_up_for_no_fault_is_asked_again_unless_somebody_else_is_being_asked() -> None:
    rig = Rig(FIRST, SECOND)
    attempt = adopt(rig)
    assert attempt is not None
    rig.ask()
    rig.forwarder.go_on(attempt, None, "timeout")
    assert [sent.upstream.name for sent in rig.sent] == [rig.plan.upstreams[1].name]
    attempt.on_error("abandoned")
    assert len(rig.sent) == 1
    rig.clock.advance(ATTEMPT_TIMEOUT_S_FIRST)
    assert rig.sent[1].upstream is rig.plan.upstreams[0]
    assert rig.plan.upstreams[0].failures == {**rig.plan.upstreams[0].failures, "timeout": 1, "network": 0}


def rr_of(attempt: Attempt) -> bytes:
    return b"\xc0\x0c" + A.to_bytes(2, "big") + b"\0\1" + b"\0\0\0\x3c" + b"\0\4" + b"\xc0\x00\x02\x07"


def test_where_there_is_no_room_nothing_is_adopted() -> None:
    rig = Rig(in_flight_max=1)
    rig.ask(qname=b"\x01a" + WWW)
    assert adopt(rig) is None
