"""The octets of a certificate's file and of its key's -> one pair that fits together, or why it does not.

Knows: X.509, PEM, what clients refuse, what they only dislike.  Does not know: files, TLS, which pair serves
whom.  What is served is what was read here, octet by octet; nobody reads the files again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from resolver.moments import iso_moment

CHAIN_MAX: Final = 16
"""Certificates in one file: each handshake sends them all."""

RSA_BITS_MIN: Final = 2048
"""Shorter keys are refused by clients and by OpenSSL's own level of security."""

RSA_BITS_SLOW: Final = 3072
"""A longer RSA key costs over 1 ms of a core in each handshake."""

CURVES: Final = ("secp256r1", "secp384r1")
"""Of ECDSA keys that all clients and both engines know."""


_UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library says of a certificate that it does not take."""


class BadPair(Exception):
    """The pair cannot be served.  `part`: whose file is to blame, `certificate` or `key`."""

    def __init__(self, part: str, reason: str) -> None:
        self.part = part
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with the chain behind it, and its key."""

    chain: bytes = field(repr=False)
    """PEM, the server's own certificate first."""
    key: bytes = field(repr=False)
    """PEM, without a password."""
    names: tuple[str, ...]
    """Of servers, in lower case; a wildcard as `*.example.org`."""
    addresses: tuple[IPv4Address | IPv6Address, ...]
    starts_at: float
    """Unix seconds from which it is valid."""
    ends_at: float
    """Unix seconds until which it is."""
    kind: str
    """Of its key: `ecdsa`, `rsa` or `ed25519`; a client may be unable to verify one of them."""
    remarks: tuple[str, ...] = ()
    """What some clients will not like."""

    def when_not(self, wall: float) -> str:
        """Why it is not valid at `wall`; empty: it is."""
        if wall < self.starts_at:
            return f"is not valid before {iso_moment(self.starts_at)}"
        return f"has expired on {iso_moment(self.ends_at)}" if wall >= self.ends_at else ""


def read_pair(chain: bytes, key: bytes) -> Pair:
    """Take both files' octets; raises BadPair."""
    certificates = _certificates_of(chain)
    own = certificates[0]
    private = _key_of(key)
    spki = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for place, certificate in enumerate(certificates):
        if _spki(certificate) == spki:
            if place:
                raise BadPair(
                    "certificate",
                    f"the certificate of the key stands at place {place + 1} of the file; it must be first",
                )
            break
    else:
        raise BadPair("key", "belongs to another certificate")
    names, addresses = _names_of(own)
    kind, remark = _kind_of(private)
    remarks = [remark] if remark else []
    if not names and not addresses:
        remarks.append("names no server (subjectAltName): clients that check names refuse it")
    remarks += _remarks_on(own)
    remarks += _remarks_on_chain(certificates)
    return Pair(
        chain,
        key,
        names,
        addresses,
        own.not_valid_before_utc.timestamp(),
        own.not_valid_after_utc.timestamp(),
        kind,
        tuple(remarks),
    )


def _certificates_of(pem: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN" not in pem:
        said = "is empty" if not pem.strip() else "is no PEM file"
        raise BadPair("certificate", f"{said}; it must have the certificate between BEGIN and END lines")
    # The library leaves out what it cannot make out, such as the last one of a file that is half written.
    if pem.count(b"-----BEGIN ") != pem.count(b"-----END "):
        raise BadPair("certificate", "is not whole: a BEGIN line stands without its END")
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise BadPair("certificate", "has no certificate in it; are the two files mixed up?")
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        for certificate in certificates:
            _ = certificate.extensions, certificate.issuer, certificate.subject
    except _UNREADABLE as error:
        raise BadPair("certificate", f"cannot be read: {error}") from None
    if len(certificates) != pem.count(b"-----BEGIN CERTIFICATE-----"):
        raise BadPair("certificate", "has a certificate that cannot be read")
    if len(certificates) > CHAIN_MAX:
        raise BadPair("certificate", f"has {len(certificates)} certificates; allowed: {CHAIN_MAX}")
    return certificates


_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def _key_of(pem: bytes) -> _PrivateKey:
    if not pem.strip():
        raise BadPair("key", "is empty")
    if b"PRIVATE KEY-----" not in pem:
        raise BadPair("key", "has no private key in it; are the two files mixed up?")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        said = "is protected by a password; store it without one, readable by the server alone"
        raise BadPair("key", said) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadPair("key", f"cannot be read: {error}") from None
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < RSA_BITS_MIN:
            raise BadPair("key", f"has {key.key_size} bits; RSA needs {RSA_BITS_MIN} at least")
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in CURVES:
            raise BadPair("key", f"is of the curve {key.curve.name}; allowed: {', '.join(CURVES)}")
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise BadPair("key", "is of no kind that serves TLS; allowed: ECDSA, RSA, Ed25519")


def _kind_of(key: _PrivateKey) -> tuple[str, str]:
    """The kind, and what is to be said of it."""
    if isinstance(key, rsa.RSAPrivateKey):
        slow = f"an RSA key of {key.key_size} bits is slow; ECDSA costs a tenth"
        return "rsa", slow if key.key_size > RSA_BITS_SLOW else ""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519", "browsers and many phones cannot verify Ed25519; ECDSA (P-256) is known to all"
    return "ecdsa", ""


def _spki(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadPair("certificate", f"has a key that cannot be read: {error}") from None


def _names_of(
    certificate: x509.Certificate,
) -> tuple[tuple[str, ...], tuple[IPv4Address | IPv6Address, ...]]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), ()
    names = tuple(dict.fromkeys(name.rstrip(".").lower() for name in found.get_values_for_type(x509.DNSName)))
    addresses = found.get_values_for_type(x509.IPAddress)
    return names, tuple(one for one in addresses if isinstance(one, IPv4Address | IPv6Address))


def _remarks_on(own: x509.Certificate) -> list[str]:
    try:
        usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return []
    if ExtendedKeyUsageOID.SERVER_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage:
        return []
    return ["is not meant for servers (extendedKeyUsage has no serverAuth): clients refuse it"]


def _remarks_on_chain(certificates: Sequence[x509.Certificate]) -> list[str]:
    for place, (lower, upper) in enumerate(pairwise(certificates), 2):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return [
                f"the certificate at place {place} of the file did not sign the one before it: "
                "some clients will not find the way to the authority"
            ]
    return []
