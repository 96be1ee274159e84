"""Keys and signatures of reports: Ed25519 (RFC 8032), in files that openssl reads, too.

Knows: PEM, 64 octets.  Does not know: what is signed, where files are.
Theory: a signature is over a file's own octets and stands in 64 octets beside it, so an authority needs one
command of openssl and no program of ours.  The file ends with the hash of the report as JSON and of each of
its forms, so the signature of one speaks of all.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

PublicKey = Ed25519PublicKey
PrivateKey = Ed25519PrivateKey

SIGNATURE_OCTETS = 64
KEY_OCTETS_MAX = 16 << 10
"""Longer files are no key of this kind: one has about 120 octets."""


class KeyUnusable(Exception):
    """What was given is no key for this; the message says what it is."""


def new_key_pair() -> tuple[bytes, bytes]:
    """A fresh private key and its public key, both PEM (PKCS #8 and SubjectPublicKeyInfo)."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, public_pem(key.public_key())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """As openssl writes it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_key(octets: bytes) -> Ed25519PrivateKey:
    """Read a private key.  Raises `KeyUnusable`."""
    try:
        key = load_pem_private_key(octets, None)
    except TypeError:
        raise KeyUnusable("is protected by a password, which this program does not ask for") from None
    except (ValueError, UnsupportedAlgorithm):
        if b"PUBLIC KEY" in octets:
            raise KeyUnusable("is a public key; a report is signed with the private one") from None
        raise KeyUnusable("is no private key in PEM; make one with 'report keygen'") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable("is no Ed25519 key; make one with 'report keygen'")
    return key


def public_key(octets: bytes) -> Ed25519PublicKey:
    """Read a public key.  Raises `KeyUnusable`."""
    try:
        key = load_pem_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        if b"PRIVATE KEY" in octets:
            raise KeyUnusable("is a private key; a report is checked with the public one (.pub)") from None
        raise KeyUnusable("is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable("is no Ed25519 key, and reports are signed with no other")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key in DER, in hexadecimal digits: what two people compare on the telephone."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def is_signed(octets: bytes, signature: bytes, key: Ed25519PublicKey) -> bool:
    """Whether the signature is of exactly these octets, by exactly this key."""
    try:
        key.verify(signature, octets)
    except InvalidSignature:
        return False
    return True
