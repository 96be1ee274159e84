"""A pair that signs itself: what is in it, and that clients take it."""

from __future__ import annotations

import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from resolver.certificates.making import DAYS_USUAL, make_pair, pin_of
from resolver.certificates.pair import read_pair
from tests.support.certificates import NOW_S

ADDRESSES = (ip_address("192.0.2.53"), ip_address("2001:db8::53"))


def test_it_is_a_pair_for_these_names_and_addresses() -> None:
    pair = read_pair(*make_pair(["dns.example"], ADDRESSES, NOW_S))
    assert (pair.names, pair.addresses, pair.kind, pair.remarks) == (("dns.example",), ADDRESSES, "ecdsa", ())
    assert pair.when_not(NOW_S) == ""
    assert pair.ends_at == NOW_S + DAYS_USUAL * 86_400


def test_it_vouches_for_nothing_else() -> None:
    certificate = x509.load_pem_x509_certificate(make_pair(["dns.example"], (), NOW_S)[0])
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_no_two_keys_are_the_same() -> None:
    assert make_pair(["a.example"], (), NOW_S)[1] != make_pair(["a.example"], (), NOW_S)[1]


def test_addresses_alone_are_enough_and_a_long_name_fits() -> None:
    assert read_pair(*make_pair([], ADDRESSES, NOW_S)).names == ()
    long = ".".join(["a" * 60] * 4)
    assert read_pair(*make_pair([long], (), NOW_S)).names == (long,)


@pytest.mark.needs("openssl")
def test_openssl_trusts_it_by_itself_and_counts_the_same_pin(tmp_path: Path) -> None:
    chain, _ = make_pair(["dns.example"], ADDRESSES, NOW_S)
    (tmp_path / "a.pem").write_bytes(chain)
    at = ["-attime", str(int(NOW_S))]
    for check in (["-verify_hostname", "dns.example"], ["-verify_ip", "2001:db8::53"]):
        done = subprocess.run(
            ["openssl", "verify", *at, "-purpose", "sslserver", "-CAfile", "a.pem", *check, "a.pem"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    script = "openssl x509 -in a.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"
    said = subprocess.run(script, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == pin_of(chain)
