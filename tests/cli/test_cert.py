"""`cert` makes a pair and writes nothing over; `check` and `run` say what is wrong with those of the
settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.certificates.pair import Pair, read_pair
from resolver.cli import cert
from resolver.cli.cert import make_certificate
from resolver.cli.certificates import certificate_problems
from resolver.config.settings import load_settings
from tests.support.certificates import NOW_S, make


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(certificate: str = "resolver.pem", key: str = "resolver.key") -> Pair:
    return read_pair(Path(certificate).read_bytes(), Path(key).read_bytes())


def settings_file(text: str) -> Path:
    path = Path("resolver.yaml")
    path.write_text(text)
    return path


def test_a_pair_is_made_for_what_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "DNS.Example",
        "*.dns.example",
        "b\u00fccher.example",
        "192.0.2.53",
        "[2001:db8::53]",
        "192.0.2.53",
    ]
    assert make_certificate(given, None, None, None, wall=NOW_S) == 0
    pair = made()
    assert pair.names == ("dns.example", "*.dns.example", "xn--bcher-kva.example")
    assert list(map(str, pair.addresses)) == ["192.0.2.53", "2001:db8::53"]
    assert Path("resolver.key").stat().st_mode & 0o777 == 0o600
    assert Path("resolver.pem").stat().st_mode & 0o777 == 0o644
    said = capsys.readouterr().out
    assert "pin:" in said and "tls: {certificate: " in said and "PRIVATE" not in said


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [
        (
            "tls: ['192.0.2.53:853'], https: ['[2001:db8::53]:443', '192.0.2.53:443']",
            ["192.0.2.53", "2001:db8::53"],
        ),
        ("dns: ['192.0.2.1:53'], tls: ['0.0.0.0:853']", []),
        ("dns: ['192.0.2.1:53']", ["192.0.2.1"]),
    ],
)
def test_without_names_it_is_for_this_machine_and_what_it_listens_on(
    listen: str, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Resolver.example")
    path = settings_file(f"listen: {{{listen}}}\ntls: {{certificate: a.pem, key: a.key}}\n")
    assert make_certificate([], None, None, path, wall=NOW_S) == 0
    pair = made("a.pem", "a.key")
    assert (pair.names, list(map(str, pair.addresses))) == (("resolver.example",), addresses)


def test_a_machine_whose_name_cannot_stand_in_a_certificate_has_its_addresses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "no name!")
    assert make_certificate([], None, None, settings_file("listen: {dns: ['0.0.0.0:53']}")) == 2
    assert "name them" in capsys.readouterr().err
    assert make_certificate([], None, None, settings_file("listen: {dns: ['192.0.2.1:53']}")) == 0
    assert made().names == ()


@pytest.mark.parametrize("there", ["resolver.pem", "resolver.key"])
def test_nothing_is_written_over_and_no_link_followed(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(there).symlink_to("elsewhere")
    assert make_certificate(["dns.example"], None, None, None) == 2
    assert f"{there}: is there already" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == [there]


def test_a_key_alone_is_left_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_certificate(["dns.example"], Path("absent/a.pem"), None, None) == 2
    assert "absent/a.pem: cannot be written" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "", "a..b", "*", "*.*.example"])
def test_what_is_no_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    made_it = make_certificate([name], None, None, None)
    assert made_it == 2 and "is no name and no address" in capsys.readouterr().err


@pytest.mark.parametrize("days", [0, -1, 826])
def test_a_life_that_clients_refuse_is_refused(days: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_certificate(["dns.example"], None, None, None, days=days) == 2
    assert "allowed: 1 to 825" in capsys.readouterr().err


def test_usual_names_of_files_are_told_in_the_help() -> None:
    assert (cert.CERTIFICATE, cert.KEY) == ("resolver.pem", "resolver.key")


# What `check` says of the settings' own.

TEXT = "listen:\n  tls: ['192.0.2.53:853']\ntls:\n  certificate: a.pem\n  key: a.key\n"


def problems(text: str = TEXT) -> list[str]:
    path = settings_file(text)
    settings, _ = load_settings(path)
    assert settings is not None
    return [str(problem) for problem in certificate_problems(path, settings)]


def test_a_good_pair_is_nothing_to_speak_of() -> None:
    assert make_certificate(["dns.example"], Path("a.pem"), Path("a.key"), None) == 0
    assert problems() == []


def test_what_is_wrong_is_told_with_its_line() -> None:
    good = make("dns.example")
    Path("a.pem").write_bytes(good.pem)
    Path("a.key").write_bytes(make("dns.example", which=1).key)
    Path("a.key").chmod(0o600)
    assert problems() == ["resolver.yaml:5: tls.key: a.key: belongs to another certificate"]
    assert problems(TEXT + "  more:\n    - {certificate: b.pem, key: a.key}\n")[1] == (
        "resolver.yaml:7: tls.more.certificate: b.pem: cannot be read: No such file or directory"
    )


def test_what_is_unwise_is_a_warning_with_its_line() -> None:
    old = make("dns.example", days=(-1000, -800))
    Path("a.pem").write_bytes(old.pem)
    Path("a.key").write_bytes(old.key)
    Path("a.key").chmod(0o644)
    first, second = problems()
    assert first.startswith("resolver.yaml:4: warning: tls.certificate: a.pem: has expired on 2024-")
    assert second.startswith("resolver.yaml:5: warning: tls.key: a.key: can be read by every user")


def test_a_key_that_only_the_server_can_read_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    good = make("dns.example")
    Path("a.pem").write_bytes(good.pem)
    Path("a.key").write_bytes(good.key)

    def refuse(path: Path) -> bytes:
        if path.name == "a.key":
            raise PermissionError(13, "Permission denied")
        return path.read_bytes()

    monkeypatch.setattr("resolver.certificates.files.read_certificates_file", refuse)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    [said] = problems()
    assert said.startswith("resolver.yaml:5: warning: tls.key: a.key: cannot be read by this user")


def test_files_that_nobody_uses_are_not_read() -> None:
    assert problems("tls: {certificate: a.pem, key: a.key}\n") == []
