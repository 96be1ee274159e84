"""On which terms TLS is spoken, apart from any connection."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from resolver.forwarding.tls_terms import (
    NO_AUTHORITIES,
    Refusal,
    TlsBook,
    certificate_of,
    refusal_of,
)
from resolver.forwarding.upstream import Upstream
from tests.support import encrypted_upstreams as fake

NAMED = Upstream("192.0.2.1", 853, "tls", host="dns.example")
NUMBERED = Upstream("192.0.2.2", 853, "tls")
PINNED = Upstream("192.0.2.3", 853, "tls", pins=(bytes(32),))
PLAIN = Upstream("192.0.2.4")


@pytest.fixture
def nothing_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)


@pytest.mark.usefixtures("nothing_trusted")
def test_a_machine_without_authorities_is_told_of_where_somebody_is_to_be_believed() -> None:
    assert TlsBook().prepare([NAMED]) == NO_AUTHORITIES
    assert TlsBook().prepare([NUMBERED]) == NO_AUTHORITIES


@pytest.mark.usefixtures("nothing_trusted")
def test_pins_and_plain_servers_need_no_authorities() -> None:
    assert TlsBook().prepare([PINNED, PLAIN]) == ""


@pytest.mark.usefixtures("nothing_trusted")
def test_authorities_of_a_file_are_enough(tmp_path: Path) -> None:
    assert TlsBook(fake.authorities_file(tmp_path)).prepare([NAMED]) == ""


def test_a_file_of_authorities_that_is_gone_raises(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        TlsBook(tmp_path / "gone.pem").prepare([NAMED])


def test_contexts_are_shared_but_for_what_differs(tmp_path: Path) -> None:
    book = TlsBook(fake.authorities_file(tmp_path))
    https = Upstream("192.0.2.5", 443, "https", host="dns.example", path="/dns-query")
    contexts = [book.terms_of(one)._context for one in (NAMED, NUMBERED, PINNED, https)]
    assert contexts[0] is contexts[1] and len(set(contexts)) == 3
    assert book.terms_of(NAMED) is book.terms_of(NAMED)
    for context in contexts:
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert all("CBC" not in cipher["name"] for cipher in context.get_ciphers())
    assert contexts[0].verify_mode == ssl.CERT_REQUIRED and contexts[0].check_hostname


def test_no_upstream_is_left_unchecked(tmp_path: Path) -> None:
    book = TlsBook(fake.authorities_file(tmp_path))
    for upstream in (NAMED, NUMBERED, PINNED):
        is_checked = book.terms_of(upstream)._context.verify_mode == ssl.CERT_REQUIRED
        assert is_checked or upstream.pins


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (ssl.SSLError(1, "x"), Refusal("tls", "it broke off the handshake")),
        (ValueError("x"), Refusal("tls", "its handshake makes no sense")),
    ],
)
def test_every_error_of_a_handshake_has_a_reason(error: ssl.SSLError | ValueError, refusal: Refusal) -> None:
    assert refusal_of(error) == refusal


def test_what_a_certificate_says_is_read() -> None:
    own = fake.certified("dns.example", "192.0.2.1")
    octets = ssl.PEM_cert_to_DER_cert(own.pem.decode())
    found = certificate_of(octets)
    assert found is not None
    assert found == (("dns.example", "192.0.2.1"), fake.FOR_EVER.timestamp(), "CN=Test CA")


@pytest.mark.parametrize("octets", [None, b"", b"\x30\x03\x02\x01\x05"])
def test_what_is_no_certificate_is_none(octets: bytes | None) -> None:
    assert certificate_of(octets) is None
