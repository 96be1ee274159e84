"""ipcrypt-pfx: the draft's vectors, what it keeps of networks, and which files of keys are refused."""

from __future__ import annotations

import ipaddress
import os
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.observe.clients import ShownClients
from resolver.sinks.ipcrypt import BadKey, PrefixCipher, read_key
from tests.support.for_each import for_each

KEY = bytes.fromhex("0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301")
OTHER = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3ca9f5ba40db214c3798f2e1c23456789a")

VECTORS = [
    (KEY, "0.0.0.0", "151.82.155.134"),
    (KEY, "255.255.255.255", "94.185.169.89"),
    (KEY, "192.0.2.1", "100.115.72.131"),
    (KEY, "2001:db8::1", "c180:5dd4:2587:3524:30ab:fa65:6ab6:f88"),
    (OTHER, "10.0.0.47", "19.214.210.244"),
    (OTHER, "10.0.0.129", "19.214.210.80"),
    (OTHER, "10.0.0.234", "19.214.210.30"),
    (OTHER, "172.16.5.193", "210.78.229.136"),
    (OTHER, "172.16.97.42", "210.78.179.241"),
    (OTHER, "172.16.248.177", "210.78.121.215"),
    (OTHER, "2001:db8::a5c9:4e2f:bb91:5a7d", "7cec:702c:1243:f70:1956:125:b9bd:1aba"),
    (OTHER, "2001:db8::7234:d8f1:3c6e:9a52", "7cec:702c:1243:f70:a3ef:c8e:95c1:cd0d"),
    (OTHER, "2001:db8::f1e0:937b:26d4:8c1a", "7cec:702c:1243:f70:443c:c8e:6a62:b64d"),
    (OTHER, "2001:db8:3a5c:0:e7d1:4b9f:2c8a:f673", "7cec:702c:3503:bef:e616:96bd:be33:a9b9"),
    (OTHER, "2001:db8:9f27:0:b4e2:7a3d:5f91:c8e6", "7cec:702c:a504:b74e:194a:3d90:b047:2d1a"),
    (OTHER, "2001:db8:d8b4:0:193c:a5e7:8b2f:46d1", "7cec:702c:f840:aa67:1b8:e84f:ac9d:77fb"),
]
"""draft-denis-ipcrypt-13, appendix A.2: all of it."""


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


@for_each(("key", "address", "encrypted"), VECTORS)
def test_the_vectors_of_the_draft_hold(key: bytes, address: str, encrypted: str) -> None:
    cipher = PrefixCipher(key)
    assert cipher.encrypt(packed(address)) == packed(encrypted)
    assert ShownClients("encrypted", cipher.encrypt).text(packed(address)) == encrypted


def test_an_address_mapped_to_ipv6_is_the_same_client() -> None:
    assert PrefixCipher(KEY).encrypt(packed("::ffff:192.0.2.1")) == packed("100.115.72.131")


@given(st.sampled_from((4, 16)), st.data())
def test_addresses_share_as_many_bits_as_before_and_not_one_more(octets: int, data: st.DataObject) -> None:
    one, other = (int.from_bytes(data.draw(st.binary(min_size=octets, max_size=octets))) for _ in range(2))
    shared = data.draw(st.integers(0, 8 * octets))
    other = one >> (8 * octets - shared) << (8 * octets - shared) | other & ((1 << (8 * octets - shared)) - 1)
    cipher = PrefixCipher(KEY)
    encrypted = [int.from_bytes(cipher.encrypt(each.to_bytes(octets))) for each in (one, other)]
    assert (encrypted[0] ^ encrypted[1]).bit_length() == (one ^ other).bit_length()


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_key_is_read_with_or_without_its_last_newline(tmp_path: Path) -> None:
    for content in (KEY.hex().encode(), KEY.hex().upper().encode() + b"\n"):
        assert read_key(written(tmp_path / "key", content)) == KEY


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o666])
def test_a_key_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(BadKey, match="others may read or change it") as refused:
        read_key(written(tmp_path / "key", KEY.hex().encode(), mode))
    assert "chmod 600" in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        KEY,
        KEY.hex().encode()[:-1],
        KEY.hex().encode() * 2,
        b"x" * 64,
        secrets.token_bytes(5000),
        b"ab" * 32,
    ],
)
def test_what_is_no_key_is_refused_with_the_remedy_and_never_shown(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadKey, match="openssl rand -hex 32") as refused:
        read_key(written(tmp_path / "key", content))
    assert content.hex() not in str(refused.value) or not content
    assert KEY.hex() not in str(refused.value)


def test_what_cannot_be_read_is_refused_and_a_pipe_hangs_nobody(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="No such file"):
        read_key(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(BadKey, match="not a regular file"):
        read_key(tmp_path / "pipe")
