"""Certificates behind Python's `ssl`, without sockets: names, versions, suites, tickets over a swap."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Sequence

import pytest
from cryptography import x509

from resolver.certificates.contexts import (
    DOT_PROTOCOLS,
    HTTPS_PROTOCOLS,
    TICKET_KEYS_S,
    CannotServe,
    FrontContexts,
)
from resolver.certificates.outcomes import failure_of, group_of
from resolver.certificates.pair import Pair, read_pair
from tests.support.certificates import Made, make

FIRST = make("dns.example", "*.dns.example")
SECOND = make("other.example", which=1)
RSA = make("dns.example", kind="rsa2048")


def pair_of(made: Made) -> Pair:
    return read_pair(made.pem, made.key)


def fronts(*made: Made, protocols: Sequence[str] = DOT_PROTOCOLS) -> FrontContexts:
    front = FrontContexts(protocols)
    front.use(front.prepare([pair_of(one) for one in made]))
    return front


def client_context(*, version: ssl.TLSVersion | None = None, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Talk:
    """One session between a client and a server."""

    def __init__(
        self,
        front: FrontContexts,
        name: str | None = None,
        *,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        now: float = 0.0,
    ) -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.to_server, self.to_client = to_server, to_client
        self.client = (context or client_context()).wrap_bio(
            to_client, to_server, server_hostname=name, session=session
        )
        self.server = front.at(now).wrap_bio(to_server, to_client, server_side=True)
        self.flight = b""
        """What the server said first."""

    def shake_hands(self) -> Talk:
        done: set[ssl.SSLObject] = set()
        for _ in range(10):
            for side in (self.client, self.server):
                if side in done:
                    continue
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                else:
                    done.add(side)
                if side is self.server and not self.flight:
                    # Looked at, and passed on.
                    self.flight = self.to_client.read()
                    self.to_client.write(self.flight)
            if len(done) == 2:
                break
        assert len(done) == 2
        return self

    def say(self) -> bytes:
        """Something from the server, which brings the ticket along."""
        self.server.write(b"hello")
        return self.client.read(5)

    @property
    def serial(self) -> int:
        return x509.load_der_x509_certificate(self.client.getpeercert(True) or b"").serial_number


def serves(
    front: FrontContexts, name: str | None, made: Made, *, context: ssl.SSLContext | None = None
) -> bool:
    return Talk(front, name, context=context).shake_hands().serial == made.certificate.serial_number


@pytest.mark.parametrize(
    ("name", "made"),
    [
        (None, FIRST),
        ("dns.example", FIRST),
        ("phones.dns.example", FIRST),
        ("OTHER.example", SECOND),
        ("nobody.example", FIRST),
        ("two.phones.dns.example", FIRST),
    ],
)
def test_a_name_gets_its_certificate_and_every_other_the_first(name: str | None, made: Made) -> None:
    assert serves(fronts(FIRST, SECOND), name, made)


def test_the_name_that_was_asked_for_stays_with_the_session() -> None:
    talk = Talk(fronts(FIRST), "Phones.dns.example").shake_hands()
    assert getattr(talk.server, "asked_name", "").lower() == "phones.dns.example"
    assert getattr(Talk(fronts(FIRST)).shake_hands().server, "asked_name", "") is None


@pytest.mark.parametrize(
    ("algorithms", "made"), [("ECDSA+SHA256", FIRST), ("RSA-PSS+SHA256", RSA)], ids=["ecdsa", "rsa"]
)
def test_of_two_certificates_for_a_name_a_client_gets_the_one_it_can_verify(
    algorithms: str, made: Made
) -> None:
    context = client_context(version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256" if made is FIRST else "ECDHE-RSA-AES128-GCM-SHA256")
    for order in ((FIRST, RSA), (RSA, FIRST), (SECOND, RSA, FIRST)):
        assert serves(fronts(*order), "dns.example", made, context=context)


@pytest.mark.parametrize(("protocols", "offered", "agreed"), [
    (DOT_PROTOCOLS, ["dot"], "dot"),
    (DOT_PROTOCOLS, [], None),
    (HTTPS_PROTOCOLS, ["http/1.1", "h2"], "h2"),
    (HTTPS_PROTOCOLS, ["http/1.1"], "http/1.1"),
])  # fmt: skip
@pytest.mark.parametrize("name", [None, "other.example"])
def test_the_protocol_is_agreed_whichever_certificate_serves(
    protocols: Sequence[str], offered: list[str], agreed: str | None, name: str | None
) -> None:
    front = fronts(FIRST, SECOND, protocols=protocols)
    talk = Talk(front, name, context=client_context(alpn=offered)).shake_hands()
    assert talk.server.selected_alpn_protocol() == agreed


def test_versions_are_1_3_and_1_2() -> None:
    assert Talk(fronts(FIRST)).shake_hands().server.version() == "TLSv1.3"
    context = client_context(version=ssl.TLSVersion.TLSv1_2)
    assert Talk(fronts(FIRST), context=context).shake_hands().server.version() == "TLSv1.2"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
def test_older_versions_are_refused(version: ssl.TLSVersion) -> None:
    context = client_context(version=version)
    context.set_ciphers("ALL:@SECLEVEL=0")
    talk = Talk(fronts(FIRST), context=context)
    with pytest.raises(ssl.SSLError) as caught:
        talk.shake_hands()
    assert failure_of(caught.value) == "version"


@pytest.mark.parametrize("suite", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA"])  # fmt: skip
def test_suites_without_forward_secrecy_or_with_cbc_are_refused(suite: str) -> None:
    context = client_context(version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(suite)
    talk = Talk(fronts(FIRST, RSA), context=context)
    with pytest.raises(ssl.SSLError) as caught:
        talk.shake_hands()
    assert failure_of(caught.value) == "parameters"


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-AES256-GCM-SHA384"])  # fmt: skip
def test_modern_suites_of_1_2_are_not(suite: str) -> None:
    context = client_context(version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(suite)
    Talk(fronts(FIRST, RSA), context=context).shake_hands()


# Swaps and tickets.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_outlives_a_swap_and_an_open_session_keeps_its_certificate(version: ssl.TLSVersion) -> None:
    front = fronts(FIRST)
    context = client_context(version=version)
    before = Talk(front, "dns.example", context=context).shake_hands()
    before.say()
    session = before.client.session
    newer = make("dns.example", which=2)
    front.use(front.prepare([pair_of(newer)]))
    again = Talk(front, "dns.example", context=context, session=session).shake_hands()
    assert again.server.session_reused
    assert before.say() == b"hello" and before.serial == FIRST.certificate.serial_number
    assert serves(front, "dns.example", newer)


def test_keys_of_tickets_are_made_anew_and_older_tickets_are_no_longer_taken() -> None:
    front = fronts(FIRST)
    context = client_context()
    first = Talk(front, "dns.example", context=context).shake_hands()
    first.say()
    session = first.client.session
    for now, is_taken in ((TICKET_KEYS_S - 1, True), (TICKET_KEYS_S, False)):
        talk = Talk(front, "dns.example", context=context, session=session, now=now).shake_hands()
        assert talk.server.session_reused is is_taken


def test_one_ticket_is_sent() -> None:
    context = client_context()
    talk = Talk(fronts(FIRST), context=context).shake_hands()
    sealed = talk.to_client.pending
    assert 0 < sealed < 400


def test_early_data_is_never_offered() -> None:
    # `ssl` has no call for it, and OpenSSL's default is none: a ticket says so by leaving it out.
    assert not hasattr(fronts(FIRST).at(0.0), "max_early_data")


def test_without_certificates_a_handshake_fails_with_an_alert() -> None:
    talk = Talk(FrontContexts(DOT_PROTOCOLS))
    with pytest.raises(ssl.SSLError):
        talk.shake_hands()


def test_what_openssl_does_not_take_is_said_with_its_place() -> None:
    front = FrontContexts(DOT_PROTOCOLS)
    broken = pair_of(FIRST)
    object.__setattr__(broken, "key", SECOND.key)
    with pytest.raises(CannotServe) as caught:
        front.prepare([pair_of(SECOND), broken])
    assert caught.value.place == 1
    assert caught.value.reason.startswith("OpenSSL does not take it: KEY_VALUES_MISMATCH")


def test_a_name_of_odd_octets_ends_the_handshake_and_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    talk = Talk(fronts(FIRST), "odd-name.example")
    with pytest.raises(ssl.SSLWantReadError):
        talk.client.do_handshake()
    hello = talk.to_server.read()
    assert b"odd-name" in hello
    talk.to_server.write(hello.replace(b"odd-name", b"odd\xff\xfeame"))
    seen: list[object] = []
    hook = sys.unraisablehook

    def see(said: sys.UnraisableHookArgs) -> None:
        seen.append(said.exc_type)
        hook(said)

    monkeypatch.setattr(sys, "unraisablehook", see)
    with pytest.raises(ssl.SSLError):
        talk.server.do_handshake()
    assert len(seen) == 1
    assert capfd.readouterr().err == ""


# Groups.


@pytest.mark.parametrize(("curve", "group"), [("", "x25519"), ("prime256v1", "secp256r1"), ("secp384r1", "secp384r1"), ("secp521r1", "other")])  # fmt: skip
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_group_is_read_from_the_servers_first_octets(
    curve: str, group: str, version: ssl.TLSVersion
) -> None:
    context = client_context(version=version)
    if curve:
        context.set_ecdh_curve(curve)
    # In 1.2 a certificate's own curve must be known to the client, too; RSA has none.
    talk = Talk(fronts(RSA), context=context).shake_hands()
    assert group_of(talk.flight) == group


def test_a_session_of_1_2_that_goes_on_has_no_group() -> None:
    front, context = fronts(FIRST), client_context(version=ssl.TLSVersion.TLSv1_2)
    first = Talk(front, "dns.example", context=context).shake_hands()
    again = Talk(front, "dns.example", context=context, session=first.client.session).shake_hands()
    assert again.server.session_reused and group_of(again.flight) == "none"


@pytest.mark.parametrize("octets", [b"", b"\x16\x03\x03", b"\x16\x03\x03\0\5\2\0\0\1\0", bytes(100), b"\x16\x03\x03\0\x40" + b"\2\0\0\x3c" + bytes(60), b"\xff" * 200])  # fmt: skip
def test_what_is_no_hello_has_no_group(octets: bytes) -> None:
    assert group_of(octets) == "none"
