"""TLS of the native plane: certificates by name, swapped and refused, sessions that go on, versions and groups."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from resolver.certificates.making import make_pair
from tests.native.https_play import HttpsPlay, query
from tests.support.https_client import connect, context

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")

pytestmark = pytest.mark.loopback

WALL = time.time()
PRINTER = query("printer.example")
Pair = tuple[bytes, bytes]


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    named = (["dns.example", "other.example"], ["*.wild.example"], ["Third.Example"])
    return [make_pair(names, [], WALL) for names in named]


@pytest.fixture
def play(ads_image: Path, pairs: list[Pair]) -> Iterator[HttpsPlay]:
    with HttpsPlay(native, ads_image, pairs) as made:
        yield made


def certificate_of(sock: ssl.SSLSocket) -> bytes:
    der = sock.getpeercert(binary_form=True)
    assert der is not None
    return der


def der_of(pair: Pair) -> bytes:
    return x509.load_pem_x509_certificate(pair[0]).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("dns.example", 0),
        ("other.example", 0),
        ("OTHER.example", 0),
        ("a.wild.example", 1),
        ("third.example", 2),
        ("wild.example", 0),
        ("a.b.wild.example", 0),
        ("unknown.example", 0),
        (None, 0),
    ],
)
def test_the_certificate_is_chosen_by_the_servers_name(
    play: HttpsPlay, pairs: list[Pair], name: str | None, number: int
) -> None:
    with connect(play.port, "h2", name=name) as sock:
        assert certificate_of(sock) == der_of(pairs[number])


def test_new_certificates_serve_new_sessions_and_old_ones_go_on(play: HttpsPlay, pairs: list[Pair]) -> None:
    client = play.http2()
    assert certificate_of(client.sock) == der_of(pairs[0])
    newer = make_pair(["dns.example"], [], WALL)
    play.plane.set_certificates([newer])
    assert client.response(client.get(PRINTER)).status == 200
    with connect(play.port, "h2") as sock:
        assert certificate_of(sock) == der_of(newer)
    client.close()


def test_a_session_goes_on_after_a_swap(play: HttpsPlay) -> None:
    made = context("http/1.1")
    made.minimum_version = ssl.TLSVersion.TLSv1_3

    def session(before: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool | None]:
        plain = socket.create_connection(("127.0.0.1", play.port), 10)
        with made.wrap_socket(plain, server_hostname="dns.example", session=before) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while sock.recv(4096):
                pass
            return sock.session, sock.session_reused

    first, is_reused = session(None)
    assert not is_reused
    play.plane.set_certificates([make_pair(["dns.example"], [], WALL)])
    again, is_reused = session(first)
    assert is_reused
    assert again is not None
    sessions = {row[:4]: row[4] for row in play.plane.handshakes()[0]}
    assert sum(count for row, count in sessions.items() if row[0] == "https" and row[3]) == 1


@pytest.mark.parametrize(
    ("break_pair", "reason"),
    [
        (lambda one, two: (one[0], two[1]), "certificate 2: its key belongs to another certificate"),
        (lambda one, two: (b"", one[1]), "certificate 2: has no certificate"),
        (lambda one, two: (one[1], one[1]), "certificate 2: has no certificate"),
        (lambda one, two: (one[0], b""), "certificate 2: has no private key"),
        (lambda one, two: (one[0], one[0]), "certificate 2: has no private key"),
        (lambda one, two: (one[0][:200], one[1]), "certificate 2: is no PEM"),
        (
            lambda one, two: (
                one[0],
                b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            ),
            "certificate 2: its key is encrypted",
        ),
        (
            lambda one, two: (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", one[1]),
            "certificate 2: cannot be read",
        ),
    ],
)
def test_a_wrong_pair_changes_nothing_and_says_why(
    play: HttpsPlay, pairs: list[Pair], break_pair: Any, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        play.plane.set_certificates([make_pair(["dns.example"], [], WALL), break_pair(pairs[0], pairs[1])])
    with connect(play.port, "h2") as sock:
        assert certificate_of(sock) == der_of(pairs[0])


def test_no_pair_and_too_many_are_refused(play: HttpsPlay, pairs: list[Pair]) -> None:
    for given in ([], [pairs[0]] * 65):
        with pytest.raises(ValueError, match="allowed: 1 to 64"):
            play.plane.set_certificates(given)


def test_versions_before_1_2_and_old_suites_are_refused(play: HttpsPlay) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None
    for version, ciphers in (
        ("-tls1_1", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "AES128-SHA:ECDHE-ECDSA-AES128-SHA"),
    ):
        command = [openssl, "s_client", "-connect", f"127.0.0.1:{play.port}", version, "-cipher", ciphers]
        spoken = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=10)
        assert spoken.returncode != 0
    connect(play.port, "h2").close()
    failures = dict(play.plane.handshakes()[1])
    assert (failures["version"], failures["parameters"]) == (1, 1)


def test_1_2_is_spoken_with_a_modern_suite(play: HttpsPlay) -> None:
    made = context("h2")
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    plain = socket.create_connection(("127.0.0.1", play.port), 10)
    with made.wrap_socket(plain, server_hostname="dns.example") as sock:
        cipher = sock.cipher()
        assert cipher is not None
        assert cipher[0].startswith("ECDHE-ECDSA-")
    sessions = [row for row in play.plane.handshakes()[0] if row[4]]
    assert [row[:2] for row in sessions] == [("https", "1.2")]


def test_another_protocol_is_refused(play: HttpsPlay) -> None:
    with pytest.raises(ssl.SSLError):
        connect(play.port, "spdy/1")
    # Whoever comes behind it is served when it is counted.
    connect(play.port, "h2").close()
    assert dict(play.plane.handshakes()[1])["protocol"] == 1


def test_the_hybrid_group_is_agreed_with_clients_that_offer_it(play: HttpsPlay) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None
    listed = subprocess.run([openssl, "list", "-kem-algorithms"], capture_output=True, text=True, check=False)
    if "X25519MLKEM768" not in listed.stdout:
        pytest.skip("this OpenSSL does not know the group")
    subprocess.run(
        [
            openssl,
            "s_client",
            "-connect",
            f"127.0.0.1:{play.port}",
            "-alpn",
            "h2",
            "-groups",
            "X25519MLKEM768:X25519",
        ],
        input=b"",
        capture_output=True,
        check=True,
        timeout=10,
    )
    assert [row[2] for row in play.plane.handshakes()[0] if row[4]] == ["x25519mlkem768"]


def test_every_label_is_there_at_0(play: HttpsPlay) -> None:
    sessions = play.plane.handshakes()[0]
    assert len(sessions) == len({row[:4] for row in sessions}) == 2 * 2 * 6 * 2
    assert all(row[4] == 0 for row in sessions)
    assert all(count == 0 for _, count in play.plane.handshakes()[1])
