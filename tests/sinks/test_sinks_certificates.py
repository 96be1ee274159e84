"""Certificates that are shown to receivers of records over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from resolver.sinks.look import Look
from resolver.sinks.making import Way, outlet_of, shown_clients, tls_of
from resolver.sinks.outlet import Broken, Outlet
from tests.support.list_server import HOST, ca_pem, client_files, serving
from tests.support.sink_receivers import StreamReceiver


def wanting(folder: Path) -> ssl.SSLContext:
    """A receiver that takes nothing from whoever shows no certificate."""
    context = serving(folder)
    context.verify_mode = ssl.CERT_REQUIRED
    # Then the handshake itself fails; in TLS 1.3 the sender hears of it later.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def way(folder: Path, port: int, files: tuple[Path, Path] | None) -> Way:
    (folder / "ca.pem").write_bytes(ca_pem())
    certificate, key = files or (None, None)
    return Way(
        "tls",
        address=("127.0.0.1", port),
        name=HOST,
        tls_ca=folder / "ca.pem",
        tls_certificate=certificate,
        tls_key=key,
    )


def outlet(way: Way) -> Outlet:
    return outlet_of(way, Look("syslog", shown_clients("hidden", None), False, b"", None))


def test_a_receiver_that_wants_a_certificate_gets_records_with_one_and_none_without(tmp_path: Path) -> None:
    with StreamReceiver(tls=wanting(tmp_path)) as receiver:
        with pytest.raises(OSError, match="TLS: "):
            outlet(way(tmp_path, receiver.port, None)).open()
        shown = outlet(way(tmp_path, receiver.port, client_files(tmp_path)))
        shown.open()
        shown.put(memoryview(b"a record, and its end"))
        assert receiver.wait_for(b"end")
        shown.close(1.0)


def test_a_renewed_certificate_is_shown_at_the_next_connection(tmp_path: Path) -> None:
    files = client_files(tmp_path)
    first = files[0].read_bytes()
    with StreamReceiver(tls=wanting(tmp_path)) as receiver:
        shown = outlet(way(tmp_path, receiver.port, files))
        for _ in range(2):
            shown.open()
            shown.close(1.0)
            client_files(tmp_path)
    assert files[0].read_bytes() != first


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda certificate, key: certificate.unlink(), "tls_certificate .*client.pem: No such file"),
        (lambda certificate, key: key.unlink(), "tls_key .*client.key: No such file"),
        (lambda certificate, key: key.chmod(0o644), "tls_key .*client.key: .*chmod"),
        (lambda certificate, key: certificate.write_bytes(b"odd"), "of tls_certificate .*client.pem: no PEM"),
        (lambda certificate, key: key.write_bytes(b"odd"), "tls_key .*client.key of .*: no PEM"),
    ],
)
def test_what_is_wrong_with_which_file_is_told(tmp_path: Path, spoil: object, complaint: str) -> None:
    files = client_files(tmp_path)
    assert callable(spoil)
    spoil(*files)
    with pytest.raises(OSError, match=complaint) as caught:
        tls_of(way(tmp_path, 1, files))
    assert not isinstance(caught.value, Broken) and "PRIVATE" not in str(caught.value)


def test_the_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    certificate, _ = client_files(tmp_path)
    _, key = client_files(tmp_path / "other")
    with pytest.raises(OSError, match="is not the key of the certificate"):
        tls_of(way(tmp_path, 1, (certificate, key)))
