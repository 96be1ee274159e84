"""Pairs of certificate and key: what is taken, what is refused and why, what clients will not like."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from resolver.certificates.pair import BadPair, read_pair
from tests.support.certificates import NOW_S, Made, key_of, make
from tests.support.for_each import for_each

GOOD = make("dns.example", "*.dns.example", addresses=("192.0.2.53", "2001:db8::53"))


def encrypted(made: Made) -> bytes:
    octets: bytes = made.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    return octets


def test_names_addresses_and_dates_are_those_of_the_certificate() -> None:
    pair = read_pair(GOOD.pem, GOOD.key)
    assert pair.names == ("dns.example", "*.dns.example")
    assert pair.addresses == (ip_address("192.0.2.53"), ip_address("2001:db8::53"))
    assert (pair.ends_at - NOW_S, NOW_S - pair.starts_at) == (100 * 86_400, 100 * 86_400)
    assert (pair.kind, pair.remarks) == ("ecdsa", ())
    assert (pair.chain, pair.key) == (GOOD.pem, GOOD.key)


def test_a_key_is_in_no_text_of_its_pair() -> None:
    assert "PRIVATE" not in repr(read_pair(GOOD.pem, GOOD.key))


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048", "ed25519"])
def test_every_kind_of_key_that_clients_know_is_taken(kind: str) -> None:
    made = make("dns.example", kind=kind)
    assert read_pair(made.pem, made.key).kind in ("ecdsa", "rsa", "ed25519")


@pytest.mark.parametrize(
    "style", [serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8]
)
@pytest.mark.parametrize(
    "before", [b"", b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"]
)
def test_a_key_may_be_written_as_any_tool_writes_it(
    style: serialization.PrivateFormat, before: bytes
) -> None:
    key = GOOD.private.private_bytes(serialization.Encoding.PEM, style, serialization.NoEncryption())
    assert read_pair(GOOD.pem, before + key).kind == "ecdsa"


def test_one_file_may_have_both() -> None:
    for both in (GOOD.pem + GOOD.key, GOOD.key + GOOD.pem):
        assert read_pair(both, both).names == ("dns.example", "*.dns.example")


def test_a_chain_in_order_is_taken_without_a_word() -> None:
    root = make(common_name="root", kind="p384", is_ca=True)
    middle = make(common_name="middle", kind="rsa2048", is_ca=True, by=root)
    own = make("dns.example", by=middle)
    assert read_pair(own.pem + middle.pem, own.key).remarks == ()
    assert read_pair(b"text between\n" + own.pem + b"\n" + middle.pem + root.pem, own.key).remarks == ()


def test_a_chain_out_of_order_is_remarked_on() -> None:
    root = make(common_name="root", kind="p384", is_ca=True)
    middle = make(common_name="middle", kind="rsa2048", is_ca=True, by=root)
    own = make("dns.example", by=middle)
    [remark] = read_pair(own.pem + root.pem + middle.pem, own.key).remarks
    assert remark.startswith("the certificate at place 2 of the file did not sign the one before it")


def test_a_name_is_signed_not_only_repeated() -> None:
    root, other = (make(common_name="root", kind="p384", which=which, is_ca=True) for which in (0, 1))
    own = make("dns.example", by=root)
    [remark] = read_pair(own.pem + other.pem, own.key).remarks
    assert "did not sign" in remark


CHAINED = make("dns.example", by=make(common_name="root", kind="p384", is_ca=True))


@for_each(
    ("chain", "key", "part", "reason"),
    [
        (b"", GOOD.key, "certificate", "is empty; it must have the certificate between BEGIN and END lines"),
        (b"hello", GOOD.key, "certificate", "is no PEM file; it must have the certificate between BEGIN and END lines"),
        (GOOD.certificate.public_bytes(serialization.Encoding.DER), GOOD.key, "certificate", "is no PEM file; it must have the certificate between BEGIN and END lines"),
        (GOOD.key, GOOD.pem, "certificate", "has no certificate in it; are the two files mixed up?"),
        (GOOD.pem, GOOD.pem, "key", "has no private key in it; are the two files mixed up?"),
        (GOOD.pem, b" \n", "key", "is empty"),
        (GOOD.pem, encrypted(GOOD), "key", "is protected by a password; store it without one, readable by the server alone"),
        (GOOD.pem, make("dns.example", which=1).key, "key", "belongs to another certificate"),
        (GOOD.pem, make("dns.example", kind="rsa2048").key, "key", "belongs to another certificate"),
        (make(common_name="root", kind="p384", is_ca=True).pem + GOOD.pem, GOOD.key, "certificate", "the certificate of the key stands at place 2 of the file; it must be first"),
        (make("dns.example", kind="k256").pem, make("dns.example", kind="k256").key, "key", "is of the curve secp256k1; allowed: secp256r1, secp384r1"),
        (make("dns.example", kind="rsa1024").pem, make("dns.example", kind="rsa1024").key, "key", "has 1024 bits; RSA needs 2048 at least"),
        (GOOD.pem * 17, GOOD.key, "certificate", "has 17 certificates; allowed: 16"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_with_its_file_and_reason(
    chain: bytes, key: bytes, part: str, reason: str
) -> None:
    with pytest.raises(BadPair) as caught:
        read_pair(chain, key)
    assert (caught.value.part, caught.value.reason) == (part, reason)


def changed(made: Made, old: str, new: str) -> bytes:
    """PEM of a certificate in which octets stand for others: its signature is wrong, which nobody checks."""
    der = made.certificate.public_bytes(serialization.Encoding.DER)
    assert bytes.fromhex(old) in der
    der = der.replace(bytes.fromhex(old), bytes.fromhex(new))
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


TWO_EXTENSIONS = make(
    "dns.example",
    extensions=tuple(
        x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.4.{last}"), b"\5\0") for last in (5, 6)
    ),
)


@pytest.mark.parametrize(
    "chain",
    [
        changed(TWO_EXTENSIONS, "06042a030406", "06042a030405"),  # an extension twice
        changed(GOOD, "a003020102", "a003020105"),  # X.509 of a later version
        changed(GOOD, "820b646e732e6578616d706c65", "a30b646e732e6578616d706c65"),  # a name of another kind
    ],
    ids=["extension", "version", "name"],
)
def test_a_certificate_that_the_library_does_not_take_is_refused(chain: bytes) -> None:
    for octets in (chain, GOOD.pem + chain):
        with pytest.raises(BadPair, match="cannot be read") as caught:
            read_pair(octets, GOOD.key)
        assert caught.value.part == "certificate"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_half_a_file_is_refused(share: float) -> None:
    for chain, key in (
        (GOOD.pem[: int(share * len(GOOD.pem))], GOOD.key),
        (GOOD.pem, GOOD.key[: int(share * len(GOOD.key))]),
        ((GOOD.pem + CHAINED.pem)[: len(GOOD.pem) + int(share * len(CHAINED.pem))], GOOD.key),
    ):
        with pytest.raises(BadPair):
            read_pair(chain, key)


@pytest.mark.parametrize(
    ("made", "remark"),
    [
        (partial(make), "names no server (subjectAltName)"),
        (partial(make, "dns.example", kind="ed25519"), "cannot verify Ed25519"),
        # Made by the test alone: the key takes longer than all others together.
        (partial(make, "dns.example", kind="rsa4096"), "an RSA key of 4096 bits is slow"),
        (partial(make, "dns.example", extensions=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),)), "is not meant for servers"),
    ],
)  # fmt: skip
def test_what_clients_will_not_like_is_remarked_on(made: Callable[[], Made], remark: str) -> None:
    own = made()
    [said] = read_pair(own.pem, own.key).remarks
    assert remark in said


def test_a_certificate_for_servers_is_not_remarked_on() -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    made = make("dns.example", extensions=(usage,))
    assert read_pair(made.pem, made.key).remarks == ()


def test_a_pair_says_when_it_is_not_valid() -> None:
    pair = read_pair(GOOD.pem, GOOD.key)
    assert pair.when_not(NOW_S) == ""
    assert pair.when_not(pair.ends_at - 1) == ""
    assert pair.when_not(pair.ends_at) == "has expired on 2026-09-09T00:00:00Z"
    assert pair.when_not(pair.starts_at - 1) == "is not valid before 2026-02-21T00:00:00Z"


@given(st.binary(max_size=300), st.integers(0, 500))
def test_no_octets_raise_anything_else(octets: bytes, at: int) -> None:
    for broken in (octets, GOOD.pem[:at] + octets + GOOD.pem[at:], GOOD.pem[:at] + octets):
        try:
            read_pair(broken, GOOD.key)
        except BadPair:
            pass
        try:
            read_pair(GOOD.pem, GOOD.key[:at] + octets)
        except BadPair:
            pass


def test_keys_of_tests_are_made_once() -> None:
    assert key_of("p256") is key_of("p256") and key_of("p256", 1) is not key_of("p256")
