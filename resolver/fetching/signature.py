"""Whether a file is signed by a key: plain Ed25519 and minisign, both detached.

Knows: the two forms of signature.  Does not know: where file, key and signature come from.
The arithmetic is that of `cryptography`.  minisign signs BLAKE2b of the file (`ED`, its default) or, in
its old form (`Ed`), the file; and a second signature covers the first and the trusted comment.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import mmap
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from resolver.blocklist.downloads import SignatureSpec
from resolver.fetching.outcome import FetchFailed, Result

SIGNATURE_OCTETS_MAX = 16_384
"""Larger files are no signatures."""
_SIGNATURE_OCTETS = 64
_TRUSTED = b"trusted comment: "


def verify_file(path: Path, signature: bytes, spec: SignatureSpec) -> None:
    """Return if the file is signed by the key of `spec`.  Raises FetchFailed and OSError."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(spec.key))
    if spec.scheme == "ed25519":
        _verify_plain(path, _ed25519_signature(signature), key)
    else:
        _verify_minisign(path, signature, key, bytes.fromhex(spec.key_id))


def _ed25519_signature(octets: bytes) -> bytes:
    """64 octets as they are, or in base64 or hex."""
    if len(octets) == _SIGNATURE_OCTETS:
        return octets
    text = b"".join(octets.split())
    if re.fullmatch(rb"[0-9a-fA-F]{128}", text):
        return bytes.fromhex(text.decode())
    found = _base64(text)
    if len(found) != _SIGNATURE_OCTETS:
        raise _refused("the signature file holds no Ed25519 signature")
    return found


def _verify_minisign(path: Path, octets: bytes, key: Ed25519PublicKey, key_id: bytes) -> None:
    lines = octets.replace(b"\r\n", b"\n").split(b"\n")
    blob, signature_of_all = (_base64(lines[at]) if at < len(lines) else b"" for at in (1, 3))
    is_minisign = len(lines) > 3 and lines[0].startswith(b"untrusted comment:")
    if not is_minisign or len(blob) != 2 + 8 + _SIGNATURE_OCTETS or not lines[2].startswith(_TRUSTED):
        raise _refused("the signature file is not minisign's")
    if blob[2:10] != key_id:
        raise _refused(f"signed by another key: id {blob[2:10].hex()}, expected {key_id.hex()}")
    signature = blob[10:]
    if blob[:2] == b"ED":
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, hashlib.blake2b).digest()
        _verify(key, signature, digest)
    elif blob[:2] == b"Ed":
        _verify_plain(path, signature, key)
    else:
        raise _refused("an algorithm that minisign does not know")
    _verify(key, signature_of_all, signature + lines[2].removeprefix(_TRUSTED))


def _verify_plain(path: Path, signature: bytes, key: Ed25519PublicKey) -> None:
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise _refused("an empty file")
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets,
            memoryview(octets) as view,
        ):
            _verify(key, signature, view)


def _verify(key: Ed25519PublicKey, signature: bytes, message: bytes | memoryview) -> None:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        raise _refused("the signature is not the key's for this file") from None


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _refused(why: str) -> FetchFailed:
    return FetchFailed(Result.SIGNATURE, why)
