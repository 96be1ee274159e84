"""What goes to another plane about the upstreams, and what comes back from it.

Knows: numbers for upstreams, the health they keep of themselves.  Does not know: sockets, who waits.
Theory: strategy and health stay here.  For each set of upstreams the other plane knows whom to ask first and
for how long; whatever is not that simple (a stream, an upstream that is down, a probe that is due) is
said as "ask us".  Its own answers come back as sums, ten times a second.
"""

from __future__ import annotations

from collections.abc import Callable

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.plan import ForwardPlan, UpstreamSet
from resolver.forwarding.steps import EXPLANATIONS
from resolver.forwarding.upstream import Upstream
from resolver.plane import UpstreamReport, UpstreamSetFields

SHARE_EVERY_S = 0.1
"""How often reports are read and changes are published; both planes may know that much less of each other."""

ASK_US = -1
"""Stands for the first upstream where the other plane is not to ask anybody."""

IN_LOWER_CASE, IN_UNPROVEN_CASE, IN_MIXED_CASE = range(3)
"""How names are spelt for the first upstream; unproven: in mixed case, and we judge what comes of it."""

Publish = Callable[[list[tuple[str, int]], list[UpstreamSetFields]], None]


class SharedUpstreams:
    """The upstreams of `plan`, as two planes use them."""

    def __init__(
        self,
        plan: ForwardPlan,
        clock: Clock,
        *,
        timeout_s: float,
        publish: Publish,
        read_reports: Callable[[], list[UpstreamReport]],
    ) -> None:
        self._sets = (plan.default, *plan.suffixes.values())
        self._suffixes = (b"", *plan.suffixes)
        self.numbered = [upstream for upstream in plan.upstreams if not upstream.is_stream]
        """By the number that stands for them on the line."""
        self._numbers = {upstream: number for number, upstream in enumerate(self.numbered)}
        self._servers = [(upstream.address, upstream.port) for upstream in self.numbered]
        self._clock = clock
        self._timeout_s = timeout_s
        self._publish = publish
        self._read_reports = read_reports
        self._told: list[UpstreamSetFields] | None = None
        self._timer: TimerHandle | None = None
        for upstream in plan.upstreams:
            upstream.on_change.append(self._on_change)
            # At once, too: else every question of a tenth of a second would be asked once in vain.
            upstream.oddities.on_change.append(self._on_oddity)

    def start(self) -> None:
        """Tell what there is, and go on telling."""
        self.tell()
        self._timer = self._clock.call_later(SHARE_EVERY_S, self._on_timer)

    def close(self) -> None:
        """Tell and ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tell(self) -> None:
        """Say whom to ask now, if that is not what was said last."""
        now = self._clock.now()
        fields = [
            self._fields(suffix, upstreams, now)
            for suffix, upstreams in zip(self._suffixes, self._sets, strict=True)
        ]
        if fields != self._told:
            self._told = fields
            self._publish(self._servers, fields)

    def listen(self) -> None:
        """Take what the other plane's upstreams answered since the last time."""
        now = self._clock.now()
        for number, queries, answers, sum_s, buckets, *_ in self._read_reports():
            upstream = self.numbered[number]
            upstream.queries += queries
            upstream.on_answers(answers, buckets, sum_s, now)

    def _fields(self, suffix: bytes, upstreams: UpstreamSet, now: float) -> UpstreamSetFields:
        first = upstreams.order(now)[0]
        # Which of them is asked, or how many, is decided here, question by question.
        is_simple = first.is_up and upstreams.strategy in ("fastest", "ordered")
        number = self._numbers.get(first, ASK_US) if is_simple else ASK_US
        edns = now >= first.oddities.edns_refused_until
        hedge_s = upstreams.hedge_after_s(first, now)
        timeout_s = min(first.attempt_timeout_s() if hedge_s is None else hedge_s, self._timeout_s)
        letter_case = IN_LOWER_CASE
        if now >= first.oddities.lower_case_until:
            letter_case = IN_MIXED_CASE if now < first.oddities.case_shown_until else IN_UNPROVEN_CASE
        word = upstreams.failure
        failure = None
        if word is not None:
            code, text = EXPLANATIONS[word]
            failure = (int(code), text)
        return suffix, number, edns, first.trust_ad, timeout_s, upstreams.probe_at, letter_case, failure

    def _on_change(self, _: Upstream) -> None:
        self._on_oddity()

    def _on_oddity(self) -> None:
        if self._timer is not None:
            self.tell()

    def _on_timer(self) -> None:
        self._timer = self._clock.call_later(SHARE_EVERY_S, self._on_timer)
        self.listen()
        self.tell()
