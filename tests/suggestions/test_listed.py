"""From a blocklist to what names are held against, and to another process and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.suggestions import listed as listed_module
from resolver.suggestions.listed import (
    Known,
    known_from_json,
    known_of,
    known_to_json,
    known_within,
    left_out_words,
    main,
)
from resolver.wire.names import name_from_text

POLICY = """\
version: 1
orders:
  secret: {authority: A, title: B, reference: C, date: 2026-01-01, imposed_by: external, confidential: true}
exchanges:
  binance: {name: Binance, aliases: [Binance.US], domains: [binance.com]}
  later: {name: Bitfinex, from: 2100-01-01, domains: [bitfinex.com]}
  off: {name: Poloniex, mode: disabled, domains: [poloniex.com]}
  hush: {name: Bittrex, order: secret, domains: [bittrex.com]}
allow: [shop.binance-partner.example]
protected: [binance-bank.example]
"""
CATALOGUE = """\
version: 1
exchanges:
  binance: {name: Binance, aliases: [Bnb House], domains: [binance.com, bnbstatic.com]}
  other: {name: Other House, domains: [otherhouse.example]}
"""


def read(folder: Path, name: str, text: str) -> Blocklist:
    path = folder / name
    path.write_text(text)
    found, problems = read_blocklist(path, force=True)
    assert found is not None, problems
    return found


@pytest.fixture
def known(tmp_path: Path) -> Known:
    return known_of(read(tmp_path, "blocklist.yaml", POLICY), read(tmp_path, "catalogue.yaml", CATALOGUE))


def test_all_exchanges_that_are_not_disabled_count(known: Known) -> None:
    assert [one.id for one in known.listed] == ["binance", "later", "hush"]


def test_the_catalogue_adds_names_to_those_that_are_listed_only(known: Known) -> None:
    binance = known.listed[0]
    assert binance.known_owners == (name_from_text("bnbstatic.com"),)
    assert set(binance.aliases) >= {"Binance.US", "Bnb House"}


def test_confidential_exchanges_are_marked(known: Known) -> None:
    assert [one.is_confidential for one in known.listed] == [False, False, True]


@pytest.mark.parametrize(
    "name",
    [
        "binance.com",
        "www.bitfinex.com",
        "poloniex.com",
        "shop.binance-partner.example",
        "binance-partner.example",
        "www.binance-bank.example",
    ],
)
def test_what_the_blocklist_speaks_of_is_never_suggested(name: str, known: Known) -> None:
    assert known.index().look(name_from_text(name)) is None


def test_names_of_what_is_disabled_are_no_news_but_its_look_alikes_neither(known: Known) -> None:
    assert known.index().look(name_from_text("poloniex-login.example")) is None


def test_another_process_reads_the_same(known: Known) -> None:
    assert known_from_json(json.dumps(known_to_json(known)).encode()) == known


@pytest.mark.parametrize(
    "octets", [b"", b"{}", b"[]", b'{"error": "no"}', b'{"listed": [{}], "decided": []}']
)
def test_what_no_process_of_ours_wrote_is_refused(octets: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        known_from_json(octets)


def test_the_child_prints_what_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, "blocklist.yaml", POLICY)
    assert main([str(tmp_path / "blocklist.yaml")]) == 0
    known = known_from_json(capsys.readouterr().out.encode())
    assert [one.id for one in known.listed] == ["binance", "later", "hush"]


def test_the_child_says_why_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "blocklist.yaml").write_text("version: [")
    assert main([str(tmp_path / "blocklist.yaml")]) == 1
    assert "error" in json.loads(capsys.readouterr().out)


def test_a_long_blocklist_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed_module, "EXCHANGES_MAX", 2)
    assert len(known_of(read(tmp_path, "blocklist.yaml", POLICY)).listed) == 2


def test_what_does_not_fit_is_counted_and_said_in_words(tmp_path: Path) -> None:
    policy = read(tmp_path, "blocklist.yaml", POLICY)
    known = known_of(policy, names_max=1)
    assert [one.id for one in known.listed] == ["binance"] and known.left_out == 2
    assert left_out_words(known).startswith("2 names of listed exchanges do not fit")
    assert left_out_words(known_of(policy)) == ""


def test_a_blocklist_too_large_for_the_pipe_is_cut_until_it_fits(tmp_path: Path) -> None:
    entries = "".join(
        f"  x{at}: {{name: Exchange {at}, domains: [{'long' * 12}-{at}.example]}}\n" for at in range(400)
    )
    policy = read(tmp_path, "blocklist.yaml", f"version: 1\nexchanges:\n{entries}")
    octets = known_within(policy, None, 20_000)
    known = known_from_json(octets)
    assert len(octets) <= 20_000 and known.listed and known.left_out == 400 - len(known.listed)
    assert known_from_json(known_within(policy, None, 1 << 20)).left_out == 0
