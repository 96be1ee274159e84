"""Addresses encrypted so that those of one network stay together: ipcrypt-pfx (draft-denis-ipcrypt-13 §6.2).

Knows: the draft, how a key's file looks.  Does not know: what an address is used for.  The mirror of
`native/core/src/records/cipher.rs`.
Theory: each bit of an address is turned or not by a pseudo-random bit that depends on the bits before it.
Whoever has the key can turn them back, bit by bit.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from resolver.blocklist.access import mode_objection
from resolver.portions import open_regular, read_up_to

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import ECB

KEY_OCTETS: Final = 32
"""Two keys of AES-128."""

KEY_FILE_OCTETS_MAX: Final = 1_024
"""A key has 64 digits; more than a few spaces beside them is another file."""

ADDRESSES_KNOWN_MAX: Final = 8_192
"""Encrypted addresses that are remembered, as clients ask again and again."""

MAKE_A_KEY: Final = "(umask 077; openssl rand -hex 32 > FILE)"

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""In front of an IPv4 address mapped to IPv6."""


class BadKey(Exception):
    """A key that cannot be used; the message says why, and never shows it."""


class PrefixCipher:
    """One key, ready for use."""

    def __init__(self, key: bytes) -> None:
        """Raises BadKey."""
        half = KEY_OCTETS // 2
        if len(key) != KEY_OCTETS:
            raise BadKey(f"a key has {KEY_OCTETS} octets, not {len(key)}")
        if key[:half] == key[half:]:
            # The two would cancel each other out (§6.2.2).
            raise BadKey("its two halves are the same, so it would hide nothing")
        # Imported late: time at the start that only those need to spend who encrypt.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._halves = [Cipher(algorithms.AES(part), modes.ECB()) for part in (key[:half], key[half:])]
        self.encrypt = lru_cache(ADDRESSES_KNOWN_MAX)(self._encrypt)
        """A packed address, encrypted, in its family; an IPv4 address mapped to IPv6 is IPv4."""

    def _encrypt(self, address: bytes) -> bytes:
        if len(address) == 16 and address.startswith(_MAPPED):
            address = address[12:]
        size = len(address) * 8
        bits = int.from_bytes(address)
        # The bits before each bit, behind a single 1; IPv4 as mapped to IPv6.
        first = 1 if size == 128 else 1 << 96 | 0xFFFF
        blocks = b"".join(
            (first << done | bits >> (size - done) & ((1 << done) - 1)).to_bytes(16) for done in range(size)
        )
        one, other = (self._run(cipher, blocks) for cipher in self._halves)
        mask = 0
        for at in range(15, len(blocks), 16):
            mask = mask << 1 | (one[at] ^ other[at]) & 1
        return (bits ^ mask).to_bytes(len(address))

    @staticmethod
    def _run(cipher: Cipher[ECB], blocks: bytes) -> bytes:
        encryptor = cipher.encryptor()
        return encryptor.update(blocks) + encryptor.finalize()


def read_key(path: Path) -> bytes:
    """The key in a file: 64 hexadecimal digits.  Raises BadKey, with the remedy."""
    try:
        with open_regular(path) as file:
            objection = mode_objection(os.fstat(file.fileno()).st_mode)
            content = read_up_to(file, KEY_FILE_OCTETS_MAX + 1)
    except OSError as error:
        raise BadKey(f"{path}: {error.strerror}; make a key: {MAKE_A_KEY}") from None
    if objection:
        raise BadKey(f"{path}: {objection}")
    digits = content.strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{64}", digits):
        raise BadKey(f"{path}: is not 64 hexadecimal digits; make a key: {MAKE_A_KEY}")
    key = bytes.fromhex(digits.decode())
    try:
        PrefixCipher(key)
    except BadKey as error:
        raise BadKey(f"{path}: {error}; make a key: {MAKE_A_KEY}") from None
    return key
