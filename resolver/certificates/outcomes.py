"""What handshakes came to: counted by what was agreed, and by why there was no agreement.

Knows: the closed sets of both, OpenSSL's words for failures, where a server's hello names the group.  Does
not know: sockets, who shows the counts.  `native/binding/src/tls_counts.rs` has the same words.
"""

from __future__ import annotations

import ssl
from collections import Counter
from itertools import product
from typing import Final

TRANSPORTS: Final = ("tls", "https")

VERSIONS: Final = ("1.2", "1.3")

GROUPS: Final = ("x25519mlkem768", "x25519", "secp256r1", "secp384r1", "other", "none")
"""Of the key exchange; none: there was no exchange, as the session went on from an earlier one of TLS 1.2."""

FAILURES: Final = (
    "version",
    "parameters",
    "protocol",
    "alert",
    "garbage",
    "closed",
    "timeout",
    "limit",
    "other",
)
"""Why there was no session: the client speaks no version of ours; no suite, group or signature is known to
both; it wants another protocol (ALPN); it broke off with an alert, for it does not trust the certificate,
most likely; what came is no TLS, or breaks its rules; it went before the end; it took too long; there were
too many handshakes in this second; anything else."""

_GROUP_NAMES: Final = {0x11EC: "x25519mlkem768", 29: "x25519", 23: "secp256r1", 24: "secp384r1"}
"""By their numbers (RFC 8446 §4.2.7; ML-KEM: draft-ietf-tls-ecdhe-mlkem)."""

_VERSION_WORDS: Final = {
    "UNSUPPORTED_PROTOCOL",
    "VERSION_TOO_LOW",
    "VERSION_TOO_HIGH",
    "UNKNOWN_PROTOCOL",
    "NO_PROTOCOLS_AVAILABLE",
    "INAPPROPRIATE_FALLBACK",
}
_PARAMETER_WORDS: Final = {
    "NO_SHARED_CIPHER",
    "NO_SHARED_GROUP",
    "NO_SHARED_GROUPS",
    "NO_SUITABLE_KEY_SHARE",
    "NO_SUITABLE_GROUPS",
    "NO_SUITABLE_SIGNATURE_ALGORITHM",
    "NO_SHARED_SIGNATURE_ALGORITHMS",
    "NO_COMMON_SIGNATURE_ALGORITHMS",
}
_OTHER_WORDS: Final = {"INTERNAL_ERROR", "NO_CERTIFICATE_SET", "MALLOC_FAILURE", "CALLBACK_FAILED"}

SessionLabels = tuple[str, str, str, str]
"""Transport, version, group, whether it went on from an earlier session (`true`, `false`)."""


class TlsCounts:
    """Totals of one server."""

    def __init__(self) -> None:
        self.sessions: Counter[SessionLabels] = Counter()
        self.failures: Counter[str] = Counter()

    def succeeded(self, transport: str, version: str, group: str, is_resumed: bool) -> None:
        """A handshake is done; `version` as OpenSSL spells it."""
        labels = transport, version.removeprefix("TLSv"), group, "true" if is_resumed else "false"
        self.sessions[labels] += 1

    def failed(self, reason: str) -> None:
        """A handshake came to nothing, for one of `FAILURES`."""
        self.failures[reason] += 1


def every_session() -> list[SessionLabels]:
    """All labels that a session can have."""
    return list(product(TRANSPORTS, VERSIONS, GROUPS, ("false", "true")))


def failure_of(error: ssl.SSLError) -> str:
    """One of `FAILURES`, from what OpenSSL said."""
    word = getattr(error, "reason", None) or ""
    if word in _VERSION_WORDS:
        return "version"
    if word in _PARAMETER_WORDS:
        return "parameters"
    if word == "NO_APPLICATION_PROTOCOL":
        return "protocol"
    if "_ALERT_" in word:
        return "alert"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed"
    return "other" if word in _OTHER_WORDS else "garbage"


def group_of(flight: bytes) -> str:
    """The group of a key exchange, one of `GROUPS`, from the first octets that the server sends.

    In TLS 1.3 the server's hello names it in its key share (RFC 8446 §4.2.8), in 1.2 the key exchange behind
    the certificate does (RFC 8422 §5.4); both are in the clear.
    """
    octets = _handshake_octets(flight)
    at = 0
    while at + 4 <= len(octets):
        kind, length = octets[at], int.from_bytes(octets[at + 1 : at + 4], "big")
        body = octets[at + 4 : at + 4 + length]
        at += 4 + length
        if kind == 2 and (number := _shared_in(body)):
            return _GROUP_NAMES.get(number, "other")
        if kind == 12 and len(body) >= 3 and body[0] == 3:
            return _GROUP_NAMES.get(int.from_bytes(body[1:3], "big"), "other")
    return "none"


def _handshake_octets(flight: bytes) -> bytes:
    """What the handshake's records in the clear carry, joined."""
    parts = []
    at = 0
    while at + 5 <= len(flight):
        kind, length = flight[at], int.from_bytes(flight[at + 3 : at + 5], "big")
        if kind == 22:
            parts.append(flight[at + 5 : at + 5 + length])
        elif kind != 20:
            break  # sealed from here on
        at += 5 + length
    return b"".join(parts)


def _shared_in(hello: bytes) -> int:
    """The group in the key share of a server's hello; 0: it has none."""
    if len(hello) < 35:
        return 0
    at = 35 + hello[34] + 3  # version, random, session, suite, compression
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 2
    while at + 4 <= min(end, len(hello)):
        kind, length = (
            int.from_bytes(hello[at : at + 2], "big"),
            int.from_bytes(hello[at + 2 : at + 4], "big"),
        )
        if kind == 51 and length >= 2:
            return int.from_bytes(hello[at + 4 : at + 6], "big")
        at += 4 + length
    return 0
