"""Facts are read from a package's source without running any of it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from scripts.build_catalogue import main
from scripts.catalogue import packages
from scripts.catalogue.packages import described_in, facts_of, release_key

SOURCE = """
raise SystemExit("this must never run")

class acme(Exchange):
    def describe(self):
        return self.deep_extend(super(acme, self).describe(), {
            'id': 'acme', 'name': 'Acme', 'countries': ['JP', 'MT'], 'hostname': 'acme.example',
            'urls': {
                'logo': 'https://pictures.example/acme.jpg',
                'api': {'public': 'https://api.{hostname}/v1', 'ws': 'wss://stream.acme.example', 'x': f'{1}'},
                'hostnames': {'spot': 'spot.acme.example'},
                'test': 'https://{unknown}.acme.example', 'www': 'https://WWW.Acme.example:443/path',
                'doc': ['https://acme.github.io/docs', computed('https://no.example')],
            },
            'options': {'urls': {'www': 'https://nested.example'}},
        })
"""


def wheel(folder: Path, release: str, **modules: str) -> Path:
    path = folder / f"ccxt-{release}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in modules.items():
            archive.writestr(f"ccxt/{name.replace('__', '/')}.py", source)
    return path


def test_names_countries_and_hosts_are_found_without_running_the_source() -> None:
    fact = described_in(SOURCE)
    assert fact is not None
    assert (fact["name"], fact["countries"]) == ("Acme", ["JP", "MT"])
    assert fact["hosts"] == {
        "acme.example": {"api"},
        "api.acme.example": {"api"},
        "stream.acme.example": {"api"},
        "spot.acme.example": {"api"},
        "www.acme.example": {"www"},
        "acme.github.io": {"doc"},
    }


def test_a_module_that_describes_nothing_has_no_facts() -> None:
    assert described_in("class x: pass\n") is None
    assert described_in("def describe(self):\n    return {'id': 'x'}\n") is None


def test_releases_are_told_apart_and_the_newest_name_counts(tmp_path: Path) -> None:
    old = wheel(tmp_path, "1.17.1", acme=SOURCE, base=SOURCE.replace("describe", "other"))
    new = wheel(tmp_path, "4.5.90", acme=SOURCE.replace("'Acme'", "'Acme Two'"), pro__acme=SOURCE)
    facts = facts_of([new, old])
    assert list(facts["releases"]) == ["1.17.1", "4.5.90"]
    assert list(facts["exchanges"]) == ["acme"]
    assert facts["exchanges"]["acme"]["name"] == "Acme Two"
    assert facts["exchanges"]["acme"]["releases"] == ["1.17.1", "4.5.90"]
    assert release_key("1.95.1") < release_key("4.1.100")


def test_a_package_full_of_modules_or_a_huge_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheel(tmp_path, "1.0.0", a=SOURCE, b=SOURCE)
    monkeypatch.setattr(packages, "MODULES_MAX", 1)
    with pytest.raises(ValueError, match="2 modules"):
        facts_of([path])
    monkeypatch.setattr(packages, "MODULES_MAX", 2)
    monkeypatch.setattr(packages, "SOURCE_OCTETS_MAX", 10)
    with pytest.raises(ValueError, match="larger than"):
        facts_of([path])


def test_renewing_the_facts_tells_what_is_new_before_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(tmp_path, "4.5.90", acme=SOURCE)
    arguments = ["--refresh", "--packages", str(tmp_path), "--facts", str(tmp_path / "facts.yaml")]
    assert main(arguments) == 1
    assert "acme: +acme.example" in capsys.readouterr().out
    assert not (tmp_path / "facts.yaml").exists()
    assert main([*arguments, "--write"]) == 0
    capsys.readouterr()
    assert main(arguments) == 0
    assert capsys.readouterr().out == ""
