"""On which terms this resolver speaks TLS with its upstreams: versions, authorities, names, keys, sessions.

Knows: OpenSSL's contexts, what its refusals mean in our words.  Does not know: sockets (`tls_transport`),
DNS.

Theory.  Whatever is written of a server is checked: a name against its certificate and the certificate
against the authorities; a pin against its public key.  With neither, the certificate must be for the address.
With pins alone the key decides, and neither name, dates nor authorities are looked at (RFC 7858 §4.2).  There
is no way to check nothing.  TLS 1.2 and 1.3; no early data, for it can be replayed (RFC 8446 §8).
"""

from __future__ import annotations

import hashlib
import ssl
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from resolver.forwarding.upstream import Upstream

ALPN: Final = {"tls": "dot", "https": "h2"}
"""Names of the protocols inside (RFC 7858 §3.1 has none; `dot` is IANA's; RFC 9113 §3.2)."""

CIPHERS_TLS12: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption alone (RFC 9325 §4.2).  All of TLS 1.3 are so."""

SESSIONS_MAX: Final = 8
"""Sessions kept of one upstream, the newest: as many as it may have connections.  Each is used once (RFC 8446
§C.4)."""

VERIFIED_FOR_S: Final = 3600.0
"""So long sessions are resumed after a certificate was looked at.  A session that is resumed brings a ticket
for the next, and a server would never have to show what has expired, or has been renewed."""

EXPIRED: Final = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""
OTHER_NAME: Final = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH."""

WORDS_OF_OPENSSL: Final = {
    "WRONG_VERSION_NUMBER": "what it says is not TLS",
    "UNSUPPORTED_PROTOCOL": "it offers no TLS 1.2 or 1.3",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it offers no TLS 1.2 or 1.3",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it takes none of our ciphers, or wants a certificate of ours",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection during the handshake",
}

NO_AUTHORITIES: Final = (
    "this machine has no certificate authorities: install its package ca-certificates, or name a file in "
    "upstreams.tls_ca"
)


class Refusal(NamedTuple):
    """Why a server is not spoken with: a word of `upstream.FAILURE_REASONS`, and the same for people."""

    reason: str
    words: str


class Certificate(NamedTuple):
    """What a server's certificate says, for people and for alerts."""

    names: tuple[str, ...]
    until: float
    """Unix seconds."""
    issuer: str


class TlsTerms:
    """Those of one upstream."""

    def __init__(self, upstream: Upstream, context: ssl.SSLContext) -> None:
        self.upstream = upstream
        self._context = context
        self._needs_alpn = upstream.scheme == "https"
        self._sessions: deque[ssl.SSLSession] = deque(maxlen=SESSIONS_MAX)
        self.verified_at = float("-inf")
        """Monotonic seconds of the last handshake in full."""

    def begin(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, address: str, now: float
    ) -> ssl.SSLObject:
        """The client's side of a new connection to `address`, with the newest session that is left."""
        if now - self.verified_at >= VERIFIED_FOR_S:
            self._sessions.clear()
        session = self._sessions.pop() if self._sessions else None
        name = self.upstream.host or address
        return self._context.wrap_bio(incoming, outgoing, server_hostname=name, session=session)

    def objection(self, tls: ssl.SSLObject) -> Refusal | None:
        """What speaks against a server after its handshake; None: nothing."""
        pins = self.upstream.pins
        if pins and _pin_of(tls.getpeercert(True)) not in pins:
            return Refusal("certificate_pin", "its public key is none of those that are pinned")
        if self._needs_alpn and tls.selected_alpn_protocol() != ALPN["https"]:
            return Refusal("http", "it does not speak HTTP/2")
        return None

    def keep(self, session: ssl.SSLSession | None) -> bool:
        """Take a session for a later connection; False: it cannot be resumed."""
        if session is None or not (session.has_ticket or session.id):
            return False
        self._sessions.append(session)
        return True


class TlsBook:
    """The terms of all upstreams.  Contexts are few and shared, for each holds all authorities."""

    def __init__(self, authorities: Path | None = None) -> None:
        """`authorities`: a PEM file; None: the system's.  It is read by `prepare`, or when first needed."""
        self._authorities = authorities
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}
        self._terms: dict[Upstream, TlsTerms] = {}

    def prepare(self, upstreams: Iterable[Upstream]) -> str:
        """Make ready for these, before anybody waits; returns why no certificate will be believed, if so."""
        checked = []
        for upstream in upstreams:
            if upstream.is_encrypted:
                terms = self.terms_of(upstream)
                if _checks_names(upstream):
                    checked.append(terms._context)
        if self._authorities is None and any(not c.cert_store_stats()["x509"] for c in checked):
            return NO_AUTHORITIES
        return ""

    def terms_of(self, upstream: Upstream) -> TlsTerms:
        """Its terms, always the same ones.  Raises OSError, ssl.SSLError: the authorities cannot be read."""
        terms = self._terms.get(upstream)
        if terms is None:
            key = (upstream.scheme, _checks_names(upstream))
            context = self._contexts.get(key)
            if context is None:
                context = self._contexts[key] = _context(*key, self._authorities)
            terms = self._terms[upstream] = TlsTerms(upstream, context)
        return terms


def refusal_of(error: ssl.SSLError | ValueError) -> Refusal:
    """What OpenSSL's error in a handshake says of the server; none of its texts are the server's."""
    if not isinstance(error, ssl.SSLError):
        return Refusal("tls", "its handshake makes no sense")
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        reason = (
            "certificate_expired"
            if code in EXPIRED
            else "certificate_name"
            if code in OTHER_NAME
            else "certificate_untrusted"
        )
        return Refusal(reason, error.verify_message.rstrip("."))
    name = getattr(error, "reason", None) or ""
    words = WORDS_OF_OPENSSL.get(name) or name.replace("_", " ").lower() or "it broke off the handshake"
    return Refusal("tls", words)


def certificate_of(octets: bytes | None) -> Certificate | None:
    """What a certificate in DER says; None: it cannot be read."""
    try:
        found = x509.load_der_x509_certificate(octets or b"")
        until = found.not_valid_after_utc.timestamp()
        issuer = found.issuer.rfc4514_string()
    except ValueError:
        return None
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        shown = [
            *names.get_values_for_type(x509.DNSName),
            *map(str, names.get_values_for_type(x509.IPAddress)),
        ]
    except (x509.ExtensionNotFound, ValueError):
        shown = []
    return Certificate(tuple(shown), until, issuer)


def _pin_of(certificate: bytes | None) -> bytes:
    """The SHA-256 hash of its SubjectPublicKeyInfo; empty: it cannot be read."""
    try:
        key = x509.load_der_x509_certificate(certificate or b"").public_key()
    except ValueError:
        return b""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _checks_names(upstream: Upstream) -> bool:
    """Whether its certificate is checked; else a pin decides alone."""
    return bool(upstream.host) or not upstream.pins


def _context(scheme: str, checks_names: bool, authorities: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_TLS12)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols([ALPN[scheme]])
    if not checks_names:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    # Names stand in subjectAltName alone (RFC 9525 §6.3).
    context.hostname_checks_common_name = False
    if authorities is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(authorities)
        # What is named is trusted, be it a root, another authority or one server's own certificate.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
