"""Resolver information: what this resolver says of itself at resolver.arpa (RFC 9606).

Knows: the record's keys and how they are written.  Does not know: settings, who asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from resolver.wire.numbers import ExtendedError

RESINFO_TTL_S = 3_600
"""TTL of the record: it changes with the settings, at a start."""

ERRORS = (
    ExtendedError.OTHER,
    ExtendedError.STALE_ANSWER,
    ExtendedError.FORGED_ANSWER,
    ExtendedError.CACHED_ERROR,
    ExtendedError.NOT_READY,
    ExtendedError.BLOCKED,
    ExtendedError.CENSORED,
    ExtendedError.FILTERED,
    ExtendedError.PROHIBITED,
    ExtendedError.STALE_NXDOMAIN_ANSWER,
    ExtendedError.NO_REACHABLE_AUTHORITY,
    ExtendedError.NETWORK_ERROR,
    ExtendedError.INVALID_DATA,
)
"""Every Extended DNS Error that an answer of this resolver may carry."""


def resinfo_rdata(*, is_minimising: bool, infourl: str | None) -> bytes:
    """RDATA of RESINFO: character-strings as in TXT, one for each key (RFC 9606 §4, RFC 6763 §6.3).

    `is_minimising`: upstreams do QNAME minimisation (RFC 9156); here nothing is resolved.  `infourl`: at most
    247 octets of ASCII.
    """
    pairs = [f"exterr={ranges_text(ERRORS)}"]
    if is_minimising:
        # A key without a value is true by being there (RFC 6763 §6.4).
        pairs.insert(0, "qnamemin")
    if infourl is not None:
        pairs.append(f"infourl={infourl}")
    return b"".join(bytes((len(pair),)) + pair.encode("ascii") for pair in pairs)


def ranges_text(numbers: Iterable[int]) -> str:
    """Numbers as RFC 9606 §5 writes them: `3-4,13`."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
