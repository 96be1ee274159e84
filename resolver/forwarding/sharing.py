"""What goes to another plane about the upstreams, and what comes back from it.

Knows: numbers for upstreams, the health they keep of themselves.  Does not know: sockets, who waits.
Theory: strategy and health stay here.  For each set of upstreams the other plane knows whom to ask first, how
and for how long; whatever is not that simple (HTTPS, a host whose address is not known yet, an upstream that
is down, a probe that is due) is said as "ask us".  Its own answers come back as sums, ten times a second.  A
number stands for an upstream at one address for ever: one that moves gets another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.patience import attempt_patience_s
from resolver.forwarding.plan import ForwardPlan, UpstreamSet
from resolver.forwarding.steps import EXPLANATIONS
from resolver.forwarding.tls_terms import certificate_of
from resolver.forwarding.upstream import UNREACHED, Upstream
from resolver.plane import UpstreamReport, UpstreamServerFields, UpstreamSetFields

SHARE_EVERY_S = 0.1
"""How often reports are read and changes are published; both planes may know that much less of each other."""

ASK_US = -1
"""Stands for the first upstream where the other plane is not to ask anybody."""

IN_LOWER_CASE, IN_UNPROVEN_CASE, IN_MIXED_CASE = range(3)
"""How names are spelt for the first upstream; unproven: in mixed case, and we judge what comes of it."""

NUMBERS_MAX = 1024
"""Upstreams that the other plane may know, each address on its own; one that moves on after that is asked
from here."""

WORDS: Final = {
    "tls": "no session could be agreed on",
    "certificate_expired": "its certificate is out of date",
    "certificate_name": "its certificate is not valid for '{name}'",
    "certificate_untrusted": "its certificate comes from nobody who is trusted",
    "certificate_pin": "its public key is none of those that are pinned",
}
"""What the other plane's reasons mean, for people."""

Publish = Callable[[list[UpstreamServerFields], list[UpstreamSetFields]], None]


class Authorities(NamedTuple):
    """Who vouches for upstreams over TLS."""

    pem: bytes = b""
    """Empty: there are none, and only who is known by a pin alone can be asked by the other plane."""
    is_private: bool = False
    """Whether the operator named them."""


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
        authorities: Authorities = Authorities(),
    ) -> None:
        self._sets = (plan.default, *plan.suffixes.values())
        self._suffixes = (b"", *plan.suffixes)
        self.numbered: list[Upstream] = []
        """By the number that stands for them on the line; it grows."""
        self._numbers: dict[tuple[Upstream, str], int] = {}
        self._servers: list[UpstreamServerFields] = []
        self._connections: Counter[int] = Counter()
        self._authorities = authorities
        self._clock = clock
        self._timeout_s = timeout_s
        self._publish = publish
        self._read_reports = read_reports
        self._told: list[UpstreamSetFields] | None = None
        self._timer: TimerHandle | None = None
        for upstream in plan.upstreams:
            self._number_of(upstream)
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
            self._publish(list(self._servers), fields)
            # Not before: what could not be said is said the next time.
            self._told = fields

    def listen(self) -> None:
        """Take what the other plane's upstreams answered since the last time."""
        now = self._clock.now()
        for report in self._read_reports():
            number, queries, answers, sum_s, buckets, _, streams, shown = report
            handshakes, resumptions, self._connections[number] = streams
            upstream = self.numbered[number]
            upstream.queries += queries
            upstream.handshakes += handshakes
            upstream.resumptions += resumptions
            if shown is not None:
                certificate = certificate_of(shown)
                upstream.certificate_until = None if certificate is None else certificate.until
            upstream.on_answers(answers, buckets, sum_s, now)

    def connections_to(self, upstream: Upstream) -> int:
        """Connections of the other plane to it, open or opening, as of the last report."""
        return sum(count for number, count in self._connections.items() if self.numbered[number] is upstream)

    def on_handover(self, number: int, reason: str) -> None:
        """An attempt at this number ended for `reason`: where nobody is reached, another address is next."""
        if reason not in UNREACHED:
            return
        upstream, address = self.numbered[number], self._servers[number][0]
        upstream.turn_addresses(bad=address)
        if words := WORDS.get(reason):
            # Our own connections know it better, if there were any.
            upstream.details.setdefault(reason, words.format(name=upstream.host or address))

    def _fields(self, suffix: bytes, upstreams: UpstreamSet, now: float) -> UpstreamSetFields:
        first = upstreams.order(now)[0]
        # Which of them is asked, or how many, is decided here, question by question.
        is_simple = first.is_up and upstreams.strategy in ("fastest", "ordered")
        number = self._number_of(first) if is_simple else ASK_US
        edns = now >= first.oddities.edns_refused_until
        hedge_s = upstreams.hedge_after_s(first, now)
        patience_s = attempt_patience_s(first, first.is_stream) if hedge_s is None else hedge_s
        timeout_s = min(patience_s, self._timeout_s)
        letter_case = IN_LOWER_CASE
        if now >= first.oddities.lower_case_until and not first.is_stream:
            letter_case = IN_MIXED_CASE if now < first.oddities.case_shown_until else IN_UNPROVEN_CASE
        word = upstreams.failure
        failure = None
        if word is not None:
            code, text = EXPLANATIONS[word]
            failure = (int(code), text)
        return suffix, number, edns, first.trust_ad, timeout_s, upstreams.probe_at, letter_case, failure

    def _number_of(self, upstream: Upstream) -> int:
        """The number that stands for it where it is now; `ASK_US`: the other plane cannot ask it."""
        address = upstream.addresses[0] if upstream.addresses else ""
        number = self._numbers.get((upstream, address))
        if number is None:
            fields = self._server_fields(upstream, address)
            if fields is None or len(self.numbered) >= NUMBERS_MAX:
                return ASK_US
            number = self._numbers[upstream, address] = len(self.numbered)
            self.numbered.append(upstream)
            self._servers.append(fields)
        return number

    def _server_fields(self, upstream: Upstream, address: str) -> UpstreamServerFields | None:
        if not address or upstream.scheme == "https":
            return None
        if upstream.scheme == "udp":
            return address, upstream.port
        if upstream.scheme == "tcp":
            return address, upstream.port, None
        pem, is_private = self._authorities
        if not pem and (upstream.host or not upstream.pins):
            return None
        return address, upstream.port, (upstream.host, upstream.pins, pem, is_private)

    def _on_change(self, _: Upstream) -> None:
        self._on_oddity()

    def _on_oddity(self) -> None:
        if self._timer is not None:
            self.tell()

    def _on_timer(self) -> None:
        self._timer = self._clock.call_later(SHARE_EVERY_S, self._on_timer)
        self.listen()
        self.tell()
