"""Files that want to hurt: too large, too deep, in circles, in other encodings."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from resolver.config.yamlsource import FILE_OCTETS_MAX
from resolver.migration import archives, texts
from resolver.migration.gathered import BadConfig
from resolver.migration.kinds import KINDS, read_config
from tests.support.for_each import for_each
from tests.support.importing import FORWARD, Taken

TEXT_KINDS = ["adguardhome", "blocky", "dnsmasq", "unbound", "rpz"]


def refused(folder: Path, kind: str, octets: bytes, name: str = "config.txt") -> str:
    with pytest.raises(BadConfig) as caught:
        Taken(folder, kind, octets, name)
    assert all(problem.file for problem in caught.value.problems)
    return str(caught.value)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_file_of_100_megabytes_is_refused_unread(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config.txt"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(BadConfig, match=f"too large.*{FILE_OCTETS_MAX:,}"):
        read_config(path, kind)


@for_each("kind", TEXT_KINDS)
@for_each(
    ("octets", "said"),
    [
        (b"\xff\xfea\0b\0", ":1: is UTF-16"),
        (b"# fine\n\xe4\xf6\xfc\n", ":2: byte 0xe4 is not UTF-8"),
        (b"# fine\n#\0\n", ":2: contains a NUL byte"),
        (b"#" + b"x" * 70_000, ":1: the line is longer"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(
    tmp_path: Path, kind: str, octets: bytes, said: str
) -> None:
    assert said in refused(tmp_path, kind, octets)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_not_there_is_said_so(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BadConfig, match="is not there"):
        read_config(tmp_path / "gone", kind)


@pytest.mark.parametrize("kind", ["adguardhome", "blocky"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "[" * 10_000, ":1: nested more than"),
        ("a: &x 1\nb: *x\n", ":2: aliases"),
        ("a: 1\na: 2\n: [", "a"),
        ("just a text\n", ":1: is no mapping"),
        ("", ":1: is no mapping"),
    ],
)
def test_hostile_yaml_is_refused(tmp_path: Path, kind: str, text: str, said: str) -> None:
    assert said in refused(tmp_path, kind, text.encode())


@pytest.mark.parametrize(
    ("kind", "line"), [("dnsmasq", "conf-file={}"), ("unbound", 'include: "{}"'), ("rpz", 'include "{}";')]
)
def test_a_circle_of_includes_is_refused_with_the_way(tmp_path: Path, kind: str, line: str) -> None:
    head = "options { };\n" if kind == "rpz" else ""
    (tmp_path / "other").write_text(line.format("config.txt") + "\n")
    said = refused(tmp_path, kind, (head + line.format("other") + "\n").encode())
    assert "other:1: the file includes itself" in said and said.count("->") == 2


def test_a_long_row_of_includes_is_refused(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.conf").write_text(f"conf-file={number + 1}.conf\n")
    (tmp_path / "30.conf").write_text("")
    assert "in a row" in refused(tmp_path, "dnsmasq", b"conf-file=0.conf\n")


def test_a_fan_of_includes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "FILES_MAX", 50)
    (tmp_path / "one.conf").write_text("# nothing\n")
    assert "more than 50 files" in refused(tmp_path, "dnsmasq", b"conf-file=one.conf\n" * 60)


def test_too_many_names_are_refused_with_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.migration.gathered.RULES_MAX", 10)
    text = "".join(f"address=/x{number}.example/\n" for number in range(20))
    assert "config.txt:11: more than 10 names" in refused(tmp_path, "dnsmasq", text.encode())


def test_losses_are_bounded_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.migration.gathered.LOSSES_MAX", 10)
    text = "".join(f"option-{number}=1\n" for number in range(30))
    gathered = Taken(tmp_path, "dnsmasq", text).gathered
    assert len(gathered.losses) == 10 and gathered.lost_beyond >= 20


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "DATABASE_OCTETS_MAX", 1_000_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("etc/pihole/gravity.db", b"\0" * 5_000_000)
    assert "unpacks to over" in refused(tmp_path, "pihole", packed.getvalue(), "x.zip")


@pytest.mark.parametrize("kind", ["dnsmasq", "unbound"])
def test_a_device_is_no_file_to_include(tmp_path: Path, kind: str) -> None:
    line = "conf-file=/dev/zero\n" if kind == "dnsmasq" else 'server:\n include: "/dev/zero"\n'
    assert Taken(tmp_path, kind, line).lost("not here")


def test_a_hostile_name_ends_in_no_file_and_no_line_of_its_own(tmp_path: Path) -> None:
    text = 'user_rules: ["||ok.example^", "||x\\n@evil CNAME .^", "||a b^", "||\\u202eevil.example^"]\n'
    taken = Taken(tmp_path, "adguardhome", text)
    assert [rule.text for rule in taken.gathered.blocked] == ["ok.example"]
    assert all(loss.key.isprintable() and loss.why.isprintable() for loss in taken.gathered.losses)
    assert taken.decision("ok.example") == "0.0.0.0" and taken.decision("evil.example") == FORWARD


def test_a_hostile_title_stays_a_title(tmp_path: Path) -> None:
    text = 'filters: [{enabled: true, url: "https://lists.example/a", name: "x\\n  evil: true"}]\n'
    taken = Taken(tmp_path, "adguardhome", text)
    [one] = taken.gathered.lists
    assert one.name == "x-n-evil-true"
