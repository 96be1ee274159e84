"""What `check` says of listeners that clients could not verify (RFC 9462 section 4.2)."""

from __future__ import annotations

from pathlib import Path

from resolver.cli.designation_remarks import designation_problems
from resolver.config.settings import load_settings
from tests.support.certificates import Made, make


def remarks(folder: Path, made: Made, extra: str = "", dns: str = "192.0.2.53:53") -> list[str]:
    (folder / "dns.pem").write_bytes(made.pem)
    (folder / "dns.key").write_bytes(made.key)
    path = folder / "resolver.yaml"
    path.write_text(
        f"listen:\n  dns: ['{dns}']\n  tls: ['192.0.2.53:853']\n"
        f"tls:\n  certificate: dns.pem\n  key: dns.key\n{extra}"
    )
    settings, _ = load_settings(path)
    assert settings is not None
    problems = designation_problems(path, settings)
    assert all(problem.severity == "warning" for problem in problems)
    return [str(problem).removeprefix(f"{path}:") for problem in problems]


def test_a_certificate_with_name_and_address_is_fine(tmp_path: Path) -> None:
    made = make("dns.example.net", addresses=("192.0.2.53",))
    assert remarks(tmp_path, made) == []
    assert remarks(tmp_path, made, dns="0.0.0.0:53") == []


def test_an_address_that_clients_ask_and_the_certificate_lacks_is_told_at_its_line(tmp_path: Path) -> None:
    [text] = remarks(tmp_path, make("dns.example.net", addresses=("192.0.2.54",)))
    assert text.startswith(
        "2: warning: listen.dns: 192.0.2.53 does not stand in the certificate of dns.example.net"
    )
    assert remarks(tmp_path, make("dns.example.net"), "ddr: {enabled: false}\n") == []


def test_a_listener_on_all_addresses_needs_one_of_its_family_in_the_certificate(tmp_path: Path) -> None:
    made = make("dns.example.net", addresses=("192.0.2.53",))
    assert remarks(tmp_path, made, dns="0.0.0.0:53") == []
    [text] = remarks(tmp_path, made, dns="[::]:53")
    assert text.startswith(
        "2: warning: listen.dns: no address that :: may stand for stands in the certificate"
    )
    [text] = remarks(tmp_path, make("dns.example.net"), dns="0.0.0.0:53")
    assert "no address that 0.0.0.0 may stand for" in text


def test_a_certificate_that_names_no_server_is_told(tmp_path: Path) -> None:
    for made in (make(addresses=("192.0.2.53",)), make("*.dns.example.net", addresses=("192.0.2.53",))):
        [text] = remarks(tmp_path, made)
        assert text.startswith("5: warning: tls.certificate: names no server")
    assert remarks(tmp_path, made, "ddr: {name: a.dns.example.net}\n") == []


def test_a_name_that_no_certificate_has_is_told(tmp_path: Path) -> None:
    made = make("dns.example.net", addresses=("192.0.2.53",))
    [text] = remarks(tmp_path, made, "ddr: {name: other.example.net}\n")
    assert text.startswith("7: warning: ddr.name: other.example.net stands in no certificate")


def test_without_encrypted_listeners_there_is_nothing_to_say(tmp_path: Path) -> None:
    path = tmp_path / "resolver.yaml"
    path.write_text("listen: {dns: ['192.0.2.53:53']}")
    settings, _ = load_settings(path)
    assert settings is not None and designation_problems(path, settings) == []
