"""One upstream server: where it is, how fast it answers, whether it seems alive.

Knows: smoothed round-trip times, failures in a row, what was learnt of it, counters.  Does not know: sockets,
the clock, which question is asked.
Theory: round-trip time and its variance are smoothed as TCP does (RFC 6298 §2), with a floor that
leaves a recursive upstream time for its own work.  An upstream that fails several times in
a row is down: it goes to the end of the line, and copies of real questions probe it, ever more
rarely, until one is answered.  Being down never means being unused: when all are down, all are tried.
An upstream that answers is up: one that only ever says SERVFAIL, or nothing that can be read, stands back
behind the others, and no more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Literal

from resolver.forwarding.oddities import LetterCase, Oddities

__all__ = ["UNREACHED", "LetterCase", "Oddities", "Scheme", "Upstream"]

Scheme = Literal["udp", "tcp", "tls", "https"]

FAILURE_REASONS = (
    "timeout",
    "network",
    "servfail",
    "refused",
    "rcode",
    "edns",
    "truncated",
    "malformed",
    "near_miss",
    "stream",
    "no_socket",
    "bootstrap",
    "tls",
    "certificate_expired",
    "certificate_name",
    "certificate_untrusted",
    "certificate_pin",
    "http",
)
"""Closed set of words for what an upstream can do wrong; `truncated` is only the TC bit, no fault.

`bootstrap`: its host name has no address.  `tls`: no handshake, or one that is too old.  Certificates: out of
date, of another name, of an unknown authority, with another key.  `http`: no HTTP/2, or a status that is no
answer."""

UNREACHED = (
    "network",
    "stream",
    "no_socket",
    "bootstrap",
    "tls",
    "certificate_expired",
    "certificate_name",
    "certificate_untrusted",
    "certificate_pin",
)
"""Reasons why nothing got there."""

ENCRYPTED_SCHEMES = ("tls", "https")
HTTPS_PORT = 443
"""Left out of URLs."""

_BLAMELESS = ("servfail", "malformed")
"""Answers that never make an upstream count as down: the name asked for may be why."""

RESPONSE_SECONDS_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the response time histogram's buckets; the last bucket has no bound."""

ATTEMPT_TIMEOUT_S_FIRST = 0.4
"""Patience with an upstream never measured: nearly any path and a cached answer fit in."""

ATTEMPT_TIMEOUT_S_MIN = 0.25
"""Least patience: a fast upstream still needs to walk the tree for names it does not have."""

ATTEMPT_TIMEOUT_S_MAX = 1.5

DOWN_AFTER_FAILURES = 3
"""Timeouts or network errors in a row, with no answer between, until an upstream counts as down."""

DOWN_AFTER_REFUSALS = 16
"""REFUSED and the like in a row; higher, because one broken domain causes some.  SERVFAIL does not count: a
validating upstream says it of every name whose zone is broken, as often as somebody asks."""

STANDS_BACK_AFTER = 16
"""Answers of no use in a row, SERVFAIL and malformed ones included, until others are asked first."""

PROBE_AFTER_S_MIN = 0.5
"""First probe of an upstream that went down: a restart is noticed within a second."""

PROBE_AFTER_S_MAX = 30.0

MEASURE_EVERY_S = 5.0
"""How often `fastest` sends a copy of a question to an upstream that it does not use."""

SMOOTHED_AT_ONCE_MAX = 64
"""Steps of smoothing for one report: after them 0.02 % of what was before is left."""


class Upstream:
    """An upstream server, its health and its counters; all counters are plain ints, read at any time."""

    __slots__ = (
        "address",
        "addresses",
        "answered_at",
        "backoff_s",
        "backoff_until",
        "certificate_until",
        "consecutive_failures",
        "consecutive_refusals",
        "details",
        "failures",
        "handshakes",
        "host",
        "is_encrypted",
        "is_plain",
        "is_stream",
        "is_up",
        "last_failure",
        "oddities",
        "on_change",
        "path",
        "pins",
        "port",
        "probe_at",
        "queries",
        "response_buckets",
        "response_sum_s",
        "resumptions",
        "rtt_s",
        "rtt_variance_s",
        "scheme",
        "trust_ad",
        "useless_in_a_row",
    )

    def __init__(
        self,
        address: str,
        port: int = 53,
        scheme: Scheme = "udp",
        *,
        trust_ad: bool = False,
        letter_case: LetterCase = "auto",
        host: str = "",
        path: str = "",
        pins: tuple[bytes, ...] = (),
    ) -> None:
        self.address = address
        """Numeric IPv4 or IPv6 address, without brackets; empty: bootstrap servers know it by `host`."""
        self.addresses: tuple[str, ...] = (address,) if address else ()
        """Where it is, the one to try first in front; none: not known yet."""
        self.host = host
        """The name its certificate must have; empty: none was given."""
        self.path = path
        """Of DNS over HTTPS."""
        self.pins = pins
        """SHA-256 hashes of public keys, of which it must have one; none: any."""
        self.port = port
        self.scheme: Scheme = scheme
        self.is_stream = scheme != "udp"
        self.is_encrypted = scheme in ENCRYPTED_SCHEMES
        self.is_plain = not (self.is_encrypted or (address and ip_address(address).is_loopback))
        """Whether what is asked of it leaves this machine in clear text."""
        self.trust_ad = trust_ad
        """Whether the operator vouches for its AD bit: it validates, and the path to it is safe."""
        self.rtt_s: float | None = None
        """Smoothed; None until measured."""
        self.rtt_variance_s = 0.0
        self.is_up = True
        self.last_failure = ""
        """Why it was of no use when it last was; a word of `FAILURE_REASONS`, empty: it always was."""
        self.details: dict[str, str] = {}
        """Reason -> what was last the matter, for people."""
        self.handshakes = self.resumptions = 0
        """Of TLS: in full, and resumed."""
        self.certificate_until: float | None = None
        """Until when the certificate is good that it showed last, as Unix seconds; None: it showed none."""
        self.answered_at = float("-inf")
        """Monotonic seconds of its last answer of any kind."""
        self.consecutive_failures = 0
        self.consecutive_refusals = 0
        self.backoff_s = PROBE_AFTER_S_MIN
        self.backoff_until = float("-inf")
        self.probe_at = float("-inf")
        """Monotonic seconds from which a copy of a question may be sent to learn how it does."""
        self.useless_in_a_row = 0
        """Answers without a good one between."""
        self.oddities = Oddities(letter_case)
        """What it cannot do, as far as that was learnt."""
        self.queries = 0
        self.failures = dict.fromkeys(FAILURE_REASONS, 0)
        self.response_buckets = [0] * (len(RESPONSE_SECONDS_BOUNDS) + 1)
        self.response_sum_s = 0.0
        self.on_change: list[Callable[[Upstream], None]] = []
        """Called when it goes up or down."""

    @property
    def name(self) -> str:
        """Its URL as settings write it, `udp://192.0.2.1:53`: the metric label."""
        where = self.address or self.host
        host = f"[{where}]" if ":" in where else where
        named = f"#{self.host}" if self.host and self.address else ""
        port = "" if self.scheme == "https" and self.port == HTTPS_PORT else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}{named}"

    @property
    def state(self) -> str:
        """`up`, `down (timeout)`, `down (certificate_name: it is not for dns.example)`: for people."""
        return "up" if self.is_up else f"down ({self.trouble})"

    @property
    def trouble(self) -> str:
        """Why it was of no use when it last was, for people; empty: it always was."""
        detail = self.details.get(self.last_failure)
        return f"{self.last_failure}: {detail}" if detail else self.last_failure

    def prefer_address(self, good: str) -> None:
        """Try this one of its addresses first from now on: it was reached sooner than others."""
        if self.addresses[0] != good and good in self.addresses:
            self.addresses = (good, *(address for address in self.addresses if address != good))

    def turn_addresses(self, *, bad: str) -> None:
        """Try another address first: it was of no use at `bad`."""
        if len(self.addresses) > 1 and self.addresses[0] == bad:
            self.addresses = (*self.addresses[1:], bad)

    @property
    def stands_back(self) -> bool:
        """Whether it answers, but nothing of use for long: others are asked first."""
        return self.useless_in_a_row >= STANDS_BACK_AFTER

    def __repr__(self) -> str:
        return f"Upstream({self.name})"

    def attempt_timeout_s(self) -> float:
        """How long to wait for an answer before trying something else."""
        if self.rtt_s is None:
            return ATTEMPT_TIMEOUT_S_FIRST
        timeout_s = self.rtt_s + 4 * self.rtt_variance_s
        if timeout_s < ATTEMPT_TIMEOUT_S_MIN:
            return ATTEMPT_TIMEOUT_S_MIN
        return timeout_s if timeout_s < ATTEMPT_TIMEOUT_S_MAX else ATTEMPT_TIMEOUT_S_MAX

    def on_answer(self, elapsed_s: float, now: float, is_measured: bool = True, is_good: bool = True) -> None:
        """It answered; something of use if `is_good`, in a time that says something if `is_measured`."""
        self.response_buckets[bisect_left(RESPONSE_SECONDS_BOUNDS, elapsed_s)] += 1
        self.response_sum_s += elapsed_s
        if is_measured:
            rtt_s = self.rtt_s
            if rtt_s is None:
                self.rtt_s, self.rtt_variance_s = elapsed_s, elapsed_s / 2
            else:
                # RFC 6298 §2.3: alpha 1/8, beta 1/4, the variance first.
                error_s = elapsed_s - rtt_s
                self.rtt_variance_s += (abs(error_s) - self.rtt_variance_s) * 0.25
                self.rtt_s = rtt_s + error_s * 0.125
        self.probe_at = now + MEASURE_EVERY_S
        self.answered_at = now
        self.consecutive_failures = 0
        if is_good:
            self.consecutive_refusals = self.useless_in_a_row = 0
        if not self.is_up and self.consecutive_refusals < DOWN_AFTER_REFUSALS:
            self._change(is_up=True)

    def on_answers(self, count: int, buckets: Sequence[int], sum_s: float, now: float) -> None:
        """It gave `count` good answers since the last report, in `sum_s` seconds together.

        Smoothed as if each had taken their mean time, and strayed as far from it as the buckets show: single
        times are lost, but not that they differ.
        """
        if count <= 0:
            return
        for bucket, number in enumerate(buckets):
            self.response_buckets[bucket] += number
        self.response_sum_s += sum_s
        mean_s, stray_s = sum_s / count, _mean_deviation_s(buckets)
        rest = count
        if self.rtt_s is None:
            self.rtt_s, self.rtt_variance_s = mean_s, max(mean_s / 2, stray_s)
            rest -= 1
        for _ in range(min(rest, SMOOTHED_AT_ONCE_MAX)):
            error_s = mean_s - self.rtt_s
            self.rtt_variance_s += (max(abs(error_s), stray_s) - self.rtt_variance_s) * 0.25
            self.rtt_s += error_s * 0.125
        self.probe_at = now + MEASURE_EVERY_S
        self.answered_at = now
        self.consecutive_failures = self.consecutive_refusals = self.useless_in_a_row = 0
        self.oddities.on_ordinary_answer()
        if not self.is_up:
            self._change(is_up=True)

    def on_failure(self, reason: str, now: float, is_measured: bool = True) -> None:
        """It did not answer, or could not be reached; which says something of its health if `is_measured`."""
        self.failures[reason] += 1
        if not is_measured:
            return
        self.last_failure = reason
        self.consecutive_failures += 1
        # A burst of lost packets is not an outage when it answered a moment ago.
        if (
            self.consecutive_failures >= DOWN_AFTER_FAILURES
            and now - self.answered_at >= ATTEMPT_TIMEOUT_S_MIN
        ):
            self._back_off(now)

    def on_refusal(self, reason: str, now: float) -> None:
        """It answered, but with a failure of its own, or nothing that can be read."""
        self.failures[reason] += 1
        self.last_failure = reason
        self.useless_in_a_row += 1
        if reason in _BLAMELESS:
            return
        self.consecutive_refusals += 1
        if self.consecutive_refusals >= DOWN_AFTER_REFUSALS:
            self._back_off(now)

    def on_first_question_lost(self, now: float) -> None:
        """A question that it alone was asked, retries and all, came to nothing.

        Down at once if it never answered anything, or an idle server would think for long that all is well.
        """
        if self.consecutive_failures and self.answered_at == float("-inf"):
            self._back_off(now)

    def _back_off(self, now: float) -> None:
        if self.is_up:
            self.backoff_s = PROBE_AFTER_S_MIN
        elif now < self.backoff_until:
            # Many questions failing at the same time are one failure.
            return
        else:
            self.backoff_s = min(self.backoff_s * 2, PROBE_AFTER_S_MAX)
        self.probe_at = self.backoff_until = now + self.backoff_s
        if self.is_up:
            self._change(is_up=False)

    def _change(self, *, is_up: bool) -> None:
        self.is_up = is_up
        for notify in self.on_change:
            notify(self)


_BUCKET_MIDDLES_S = tuple(
    (low + high) / 2
    for low, high in zip((0.0, *RESPONSE_SECONDS_BOUNDS), (*RESPONSE_SECONDS_BOUNDS, 5.0), strict=True)
)


def _mean_deviation_s(buckets: Sequence[int]) -> float:
    """How far, in the mean, times counted in these buckets lie from their mean."""
    total = sum(buckets)
    if not total:
        return 0.0
    pairs = list(zip(buckets, _BUCKET_MIDDLES_S, strict=True))
    mean_s = sum(count * middle_s for count, middle_s in pairs) / total
    return sum(count * abs(middle_s - mean_s) for count, middle_s in pairs) / total
