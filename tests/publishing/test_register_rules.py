"""Registers in a policy: what becomes a rule, what is counted and told, what is kept of each record."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.blocklist.reader import read_blocklist
from resolver.cli.diff import diff_blocklists
from resolver.cli.explain import explain_name
from resolver.policy.table import PolicyTable, open_table
from resolver.policy.verdict import Mode
from resolver.publishing.compiled import RECORDS_SUFFIX, Compiled, key_of
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import open_history
from resolver.publishing.image_store import IMAGES_KEPT_MAX, ImageStore, LastGood
from resolver.publishing.recorder import Applied, record
from resolver.publishing.register_rules import RegisterFile
from resolver.publishing.register_store import open_store
from resolver.wire.names import name_from_text as n
from tests.fuzz.rig import IS_LONG

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "registers"
NCASP = GOLDEN / "NCASP-2026-01-29.csv"
CASPS = GOLDEN / "CASPS-2026-01-30.csv"
EXCHANGES = "exchanges: {alpha: {name: Alpha, domains: [alpha.example.com]}}"
HAZARD = """\
<Rejestr xmlns="http://www.hazard.mf.gov.pl/2017/03/21/">
%s</Rejestr>
"""


def row(number: int, name: str, removed: str = "") -> str:
    end = f"<DataWykreslenia>{removed}</DataWykreslenia>" if removed else ""
    return (
        f'<PozycjaRejestru Lp="{number}"><AdresDomeny>{name}</AdresDomeny>'
        f"<DataWpisu>2017-07-03</DataWpisu>{end}</PozycjaRejestru>\n"
    )


class Place:
    """A folder with a blocklist of one register, and a state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "blocklist.yaml"
        self.state = folder / "state"

    def write(
        self, octets: str | bytes, entry: str = "format: register/pl-hazard", more: str = EXCHANGES
    ) -> None:
        (self.folder / "register").write_bytes(octets.encode() if isinstance(octets, str) else octets)
        lists = f"lists: [{{name: one, path: register, {entry}}}]"
        self.path.write_text(f"version: 1\n{more}\n{lists}\n")

    def compile(self) -> Compiled:
        return compile_policy(self.path, ImageStore(self.state).images, state_dir=self.state)

    def table(self) -> PolicyTable:
        compiled = self.compile()
        assert compiled.image is not None, compiled.problems
        return open_table(compiled.image, 1.7e9, 0.0, 1)

    def blocks(self, *names: str) -> list[bool]:
        table = self.table()
        return [table.judge_name(n(name), 0.0).is_blocked for name in names]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def messages(compiled: Compiled) -> str:
    return "\n".join(map(str, compiled.problems))


def test_a_host_blocks_itself_and_what_is_below_and_never_its_parent(place: Place) -> None:
    place.write(HAZARD % row(1, "m.clone.example.com"))
    names = ("m.clone.example.com", "a.m.clone.example.com", "clone.example.com", "xm.clone.example.com")
    assert place.blocks(*names) == [True, True, False, False]


def test_a_lone_www_is_reported_because_the_name_above_stays_open(place: Place) -> None:
    rows = row(1, "www.lone.example.com") + row(2, "www.both.example.com") + row(3, "both.example.com")
    place.write(HAZARD % (rows + row(4, "www.alpha.example.com")))
    assert place.blocks("www.lone.example.com", "lone.example.com") == [True, False]
    told = messages(place.compile())
    assert "www.lone.example.com alone is asked for; lone.example.com itself stays open" in told
    assert "both.example.com itself" not in told and "alpha.example.com itself" not in told


def test_a_removed_record_leaves_and_so_does_one_that_is_gone(place: Place) -> None:
    place.write(HAZARD % (row(1, "a.example.com") + row(2, "b.example.com") + row(3, "c.example.com")))
    names = ("a.example.com", "b.example.com", "c.example.com")
    assert place.blocks(*names) == [True, True, True]
    place.write(HAZARD % (row(1, "a.example.com") + row(2, "b.example.com", "2020-01-01")))
    assert place.blocks(*names) == [True, False, False]


def test_counts_by_reason_add_up_to_the_entries_and_the_records(place: Place) -> None:
    asked = (
        "a.example.com", "a.example.com", "co.uk", "t.me", "ocsp.digicert.com", "https://x.example.com/page",
        "198.51.100.7", "no name", "www.own.example.org",
    )  # fmt: skip
    rows = "".join(row(number, name) for number, name in enumerate(asked, start=1))
    place.write(
        HAZARD % (rows + row(10, "gone.example.com", "2020-01-01")), more="protected: [own.example.org]"
    )
    compiled = place.compile()
    counts = compiled.counts["registers"]["one"]
    assert counts["not_enforced"] == {
        "protected": 2, "shared platform": 1, "public suffix": 1, "path only": 1, "address only": 1,
        "invalid": 1, "removed": 1, "duplicate": 1,
    }  # fmt: skip
    assert counts["entries"] == counts["enforced"] + sum(counts["not_enforced"].values()) == 10
    assert (
        counts["records"] == counts["records_whole"] + counts["records_partly"] + counts["records_not"] == 10
    )
    assert compiled.counts["per_list"] == {"one": counts["enforced"]} == {"one": 1}
    assert "9 of 10 entries are no rules: protected 2" in messages(compiled)
    assert "record 4: 't.me': shared platform" in messages(compiled)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(("", "www.", "*.")), st.booleans())))
def test_what_counts_as_enforced_is_what_the_image_has(tmp_path_factory: Any, rows: list[Any]) -> None:
    place = Place(tmp_path_factory.mktemp("any"))
    text = "".join(
        row(number, f"{front}{letter}.example.com", "2020-01-01" if is_removed else "")
        for number, (letter, front, is_removed) in enumerate(rows)
    )
    place.write(HAZARD % (row(99, "always.example.com") + text))
    counts = place.compile().counts
    names = {f"{front}{letter}" for letter, front, is_removed in rows if not is_removed}
    assert counts["per_list"]["one"] == counts["registers"]["one"]["enforced"] == len(names) + 1


def test_match_and_action_of_the_list_hold(place: Place) -> None:
    place.write(HAZARD % row(1, "a.example.com"), "format: register/pl-hazard, match: exact, action: nodata")
    assert place.blocks("a.example.com", "b.a.example.com") == [True, False]
    assert place.table().judge_name(n("a.example.com"), 0.0).action.value == "nodata"


@pytest.mark.parametrize("broken", [b"<Rejestr><PozycjaRejestru>", b"<Rejestr>\xff</Rejestr>", b"<x/>"])
def test_a_refused_register_keeps_the_policy_out_with_its_line(place: Place, broken: bytes) -> None:
    place.write(HAZARD % row(1, "a.example.com"))
    before = place.compile()
    place.write(broken)
    compiled = place.compile()
    assert before.image is not None and before.image.exists() and compiled.image is None
    [error] = [problem for problem in compiled.problems if problem.severity == "error"]
    assert "the whole register is refused" in error.message and error.line == 1
    assert error.file.endswith("register")
    assert sorted(path.suffix for path in before.image.parent.iterdir()) == [".policy", ".records", ".yaml"]


def test_a_register_that_changes_while_it_is_read_is_read_again_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(HAZARD % row(1, "a.example.com"))
    hashed = RegisterFile.of

    def of(spec: Any) -> RegisterFile:
        found = hashed(spec)
        place.write(HAZARD % row(1, "b.example.com"))
        return found

    monkeypatch.setattr(RegisterFile, "of", of)
    compiled = place.compile()
    assert compiled.image is None and compiled.transient and "changed while it was read" in messages(compiled)


def test_a_large_register_is_refused_by_its_size(place: Place) -> None:
    place.write("<Rejestr>" + " " * (1 << 20) + "</Rejestr>", "format: register/pl-hazard, size_mb_max: 1")
    assert "has over 1,048,576 bytes" in messages(place.compile())


# Warning registers, and the real one.


@pytest.mark.parametrize(
    ("entry", "orders", "mode"),
    [
        ("", "", "shadow"),
        (", order: o", "mode: enforce", "shadow"),
        (", order: o, mode: enforce", "mode: shadow", "enforce"),
        (", mode: disabled", "", "disabled"),
    ],
)
def test_a_register_of_warnings_is_in_shadow_unless_a_mode_is_written(
    place: Place, entry: str, orders: str, mode: str
) -> None:
    order = f"orders: {{o: {{authority: A, title: T, {orders}}}}}\n"
    place.write(NCASP.read_bytes(), f"format: register/esma-ncasp{entry}", order + EXCHANGES)
    compiled = place.compile()
    assert compiled.image is not None
    [rule] = open_table(compiled.image, 1.7e9, 0.0, 1).lists
    assert rule.mode.value == mode
    told = "although order o says enforce" in messages(compiled)
    assert told is (mode == "shadow" and bool(orders))


@pytest.mark.parametrize(
    ("entry", "modes"),
    [
        ("format: register/esma-ncasp", {Mode.SHADOW}),
        ("format: register/iosco", {Mode.SHADOW}),
        ("format: register/esma-casps, kind: check", {Mode.DISABLED}),
        ("format: register/esma-casps, kind: check, mode: enforce", {Mode.DISABLED}),
        ("format: register/esma-ncasp, mode: enforce", {Mode.ENFORCE}),
    ],
)
def test_orders_that_begin_and_end_put_no_register_into_force_that_warns_or_checks(
    place: Place, entry: str, modes: set[Mode]
) -> None:
    orders = "".join(
        f"  {label}: {{authority: A, title: T, mode: {mode}, from: {first}, until: {last}}}\n"
        for label, mode, first, last in (
            ("one", "enforce", "2020-01-01", "2030-01-01"),
            ("two", "shadow", "2024-01-01", "2034-01-01"),
            ("three", "enforce", "2032-01-01", "2036-01-01"),
        )
    )
    text = f"version: 1\norders:\n{orders}{EXCHANGES}\n"
    text += f"lists: [{{name: one, path: x, {entry}, order: [one, two, three]}}]\n"
    blocklist, problems = read_blocklist(place.path, octets=text.encode())
    assert blocklist is not None, problems
    [spec] = blocklist.lists
    phases = spec.rule.phases or (spec.rule,)
    assert {phase.mode for phase in phases} == {spec.rule.mode} == modes
    if modes != {Mode.ENFORCE}:
        years = range(2019, 2038)
        moments = [datetime(year, 6, 1, tzinfo=UTC).timestamp() for year in years]
        assert not any(spec.rule.is_in_force(moment) for moment in moments)


def test_the_real_register_is_in_shadow_and_touches_no_real_platform(place: Place) -> None:
    lists = f"lists: [{{name: one, path: {NCASP}, format: register/esma-ncasp}}]"
    catalogue = (ROOT / "blocklist.yaml").read_text()
    place.path.write_text(re.sub("(?m)^lists: .*$", lists, catalogue))
    compiled = place.compile()
    assert compiled.counts["registers"]["one"] | {"not_enforced": 0} == {
        "records": 101, "records_whole": 101, "records_partly": 0, "records_not": 0, "entries": 135,
        "enforced": 134, "not_enforced": 0,
    }  # fmt: skip
    assert compiled.image is not None
    table = open_table(compiled.image, 1.7e9, 0.0, 1)
    verdict = table.judge_name(n("x.m.htxcoin-az.com"), 0.0)
    assert not verdict.is_blocked and verdict.shadow is not None and verdict.shadow.rule.label == "one"
    for name in ("htxcoin-az.com", "cryptoin24.it"):
        assert table.judge_name(n(name), 0.0).shadow is None
    mexc = table.judge_name(n("www.mexc.com"), 0.0)
    assert mexc.match is not None and mexc.match.rule.label == "mexc"
    told = [problem for problem in compiled.problems if "belongs to exchange" in problem.message]
    assert [
        (problem.line, "www.mexc.com belongs to exchange mexc" in problem.message) for problem in told
    ] == [(101, True)]


# A register of who is authorised.

CHECK = "format: register/esma-casps, kind: check"


def test_a_blocked_name_of_an_authorised_provider_is_a_warning_with_its_licence(place: Place) -> None:
    place.write(
        CASPS.read_bytes(), CHECK, "exchanges: {a: {name: A, domains: [kraken.com, '=x.bullish.com']}}"
    )
    compiled = place.compile()
    told = messages(compiled)
    assert "www.kraken.com is blocked by exchange a (kraken.com" in told
    assert "'Payward Europe Solutions Limited' is authorised (licence IE, 254900641D8KNHUZYX24" in told
    assert "=x.bullish.com of exchange a, below bullish.com" in told
    assert compiled.image is not None and compiled.counts["list_names"] == 0
    table = open_table(compiled.image, 1.7e9, 0.0, 1)
    assert not table.judge_name(n("www.bitpanda.com"), 0.0).is_blocked


def test_what_a_list_blocks_or_an_exception_lets_through_counts_for_the_check(place: Place) -> None:
    place.write(CASPS.read_bytes(), CHECK, "allow: [www.kraken.com]")
    (place.folder / "ads.txt").write_text("kraken.com\nbullish.com\n")
    text = place.path.read_text().replace("lists: [", "lists: [{name: ads, path: ads.txt}, ")
    place.path.write_text(text)
    told = messages(place.compile())
    assert "bullish.com is blocked by list ads" in told and "www.kraken.com" not in told
    assert "bullish.com is blocked by list ads" in messages(place.compile()), (
        "of an image that was there already"
    )


def test_an_authorised_provider_that_nothing_blocks_is_no_warning(place: Place) -> None:
    place.write(CASPS.read_bytes(), CHECK)
    assert place.compile().problems == []


def test_a_check_that_cannot_be_read_is_a_warning_and_keeps_no_policy_out(place: Place) -> None:
    place.write(CASPS.read_bytes()[:5000], CHECK)
    compiled = place.compile()
    assert compiled.image is not None
    [problem] = compiled.problems
    assert problem.severity == "warning" and "nothing was checked by it" in problem.message and problem.line


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("format: register/esma-casps", "it takes kind: check"),
        ("format: domains, kind: check", "'check' needs a register"),
        ("format: register/esma-casps, kind: check, action: nodata", "cannot have an action"),
        ("format: register/esma", "there is no register 'esma'"),
        ("format: {type: csv}", "columns is missing"),
        ("format: domain", "did you mean 'domains'"),
    ],
)
def test_a_wrong_entry_is_refused(place: Place, entry: str, what: str) -> None:
    place.write(b"", entry)
    compiled = place.compile()
    assert compiled.image is None and what in messages(compiled) and ":3:" in messages(compiled)


def test_a_mapping_stands_in_the_blocklist(place: Place) -> None:
    entry = "format: {type: csv, columns: {name: host, number: ref, authority: who}}"
    place.write("host,ref,who\na.example.com,7/26,EXA\n", entry)
    assert place.blocks("a.example.com") == [True]
    compiled = place.compile()
    assert compiled.image is not None
    with open_store(compiled.image.with_suffix(RECORDS_SUFFIX)) as store:
        [entry_found] = store.of_name(n("b.a.example.com"), 9)
    assert (entry_found.decision, entry_found.authority, entry_found.id) == ("7/26", "EXA", "a.example.com")


# Provenance.


def test_explain_shows_the_decision_behind_a_name(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write((GOLDEN / "ru-dump.xml").read_bytes(), "format: register/ru-dump")
    keys: dict[str, Any] = {"qtype": "A", "client": None, "at": None, "config": None, "blocklist": place.path}
    assert explain_name("a.name.example.com", **keys, as_json=False) == 0
    text = capsys.readouterr().out
    assert "1001 of list one, line 3, asks for name.example.com" in text
    assert "decision 27-31-2025/Ид1, of 2025-01-10, Роскомнадзор" in text
    assert explain_name("page.example.com", **keys, as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {(entry["id"], entry["reason"]) for entry in shown["records"]} == {("1003", "path only")}
    assert not shown["decision"]["blocked"] and "1003" not in json.dumps(shown["trace"])


def test_decisions_are_no_labels(place: Place) -> None:
    place.write((GOLDEN / "ru-dump.xml").read_bytes(), "format: register/ru-dump")
    [rule] = place.table().lists
    assert rule.label == "one" and rule.orders == () and "27-31" not in repr(rule)


def test_history_names_the_records_that_came_and_went(place: Place) -> None:
    notes: list[Applied] = []
    for rows in (
        row(1, "a.example.com") + row(2, "b.example.com"),
        row(2, "b.example.com") + row(3, "c.example.com"),
    ):
        place.write(HAZARD % rows)
        compiled = place.compile()
        notes.append(Applied(1.7e9 + len(notes), compiled.inputs, compiled.counts))
        record(place.state, notes[-1])
    with open_history(place.state) as history:
        latest = history.latest()
    assert latest is not None
    assert latest.changes["records"] == {
        "one": {
            "gained_count": 1, "lost_count": 1, "gained": [["3", "c.example.com"]], "lost": [["1", "a.example.com"]],
        }
    }  # fmt: skip


def test_history_says_when_the_records_before_are_not_kept(place: Place) -> None:
    place.write(HAZARD % row(1, "a.example.com"))
    compiled = place.compile()
    record(place.state, Applied(1.7e9, compiled.inputs, compiled.counts))
    ImageStore(place.state).records_path_of(compiled.key).unlink()
    place.write(HAZARD % row(2, "b.example.com"))
    compiled = place.compile()
    record(place.state, Applied(1.7e9 + 1, compiled.inputs, compiled.counts))
    with open_history(place.state) as history:
        latest = history.latest()
    assert latest is not None and latest.changes["records"] == {"one": {"unknown": True}}


def test_the_log_names_what_an_enforced_register_does_not_ask_for_any_more(place: Place) -> None:
    place.write(HAZARD % (row(1, "a.example.com") + row(2, "b.example.com")))
    before = place.compile()
    note = LastGood(before.key, tuple(before.inputs), tuple(before.paths))
    ImageStore(place.state).remember(note)
    assert place.compile().losses == []
    place.write(HAZARD % (row(2, "b.example.com") + row(3, "c.example.com")))
    assert place.compile().losses == ["not asked for any more: a.example.com (list one, record 1)"]
    place.write(HAZARD % row(3, "c.example.com"), "format: register/pl-hazard, mode: shadow")
    assert not any("not asked for" in line for line in place.compile().losses)


def test_records_go_with_their_images(place: Place) -> None:
    for number in range(IMAGES_KEPT_MAX + 2):
        place.write(HAZARD % row(number, f"n{number}.example.com"))
        compiled = place.compile()
    store = ImageStore(place.state)
    store.prune(key_of(compiled.inputs))
    images, records = (
        sorted(entry.stem for entry in store.images.glob(f"*{suffix}"))
        for suffix in (".policy", RECORDS_SUFFIX)
    )
    assert images == records and len(images) == IMAGES_KEPT_MAX


def test_diff_names_record_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = []
    for name, rows in (("old", row(1, "a.example.com")), ("new", row(2, "b.example.com"))):
        (tmp_path / name).mkdir()
        sides.append(Place(tmp_path / name))
        sides[-1].write(HAZARD % rows)
    old, new = (str(side.path) for side in sides)
    assert diff_blocklists(old, new, None, as_json=False, as_markdown=False) == 1
    text = capsys.readouterr().out
    assert "records of one: 1 gained, 1 lost" in text
    assert "+ list one: record 2: b.example.com" in text and "- list one: record 1: a.example.com" in text
    assert diff_blocklists(old, new, None, as_json=False, as_markdown=True) == 1
    assert "gains 2 (`b.example.com`)" in capsys.readouterr().out
    assert diff_blocklists(old, old, None, as_json=True, as_markdown=False) == 0
    assert json.loads(capsys.readouterr().out)["records"] == {}


def test_diff_of_generations_takes_the_records_that_were_in_force(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        place.write(HAZARD % row(number, f"n{number}.example.com"))
        compiled = place.compile()
        record(place.state, Applied(1.7e9 + number, compiled.inputs, compiled.counts))
    config = place.folder / "resolver.yaml"
    config.write_text(f"blocklist: {place.path}\nstate_dir: {place.state}\n")
    assert diff_blocklists("1", "2", config, as_json=True, as_markdown=False) == 1
    records = json.loads(capsys.readouterr().out)["records"]["one"]
    assert (records["gained"], records["lost"]) == ([["2", "n2.example.com"]], [["1", "n1.example.com"]])


# Many records.

RECORDS = 1_000_000 if IS_LONG else 200_000
"""A million took 129 MB, in a minute of CPU."""


def dump_pieces(count: int) -> Iterator[bytes]:
    yield b'<?xml version="1.0" encoding="windows-1251"?>\n<reg:register xmlns:reg="http://x.example">\n'
    for number in range(count):
        yield (
            f'<content id="{number}" includeTime="2025-01-12T10:00:00" entryType="1" blockType="domain"'
            f' hash="{number:032X}"><decision date="2025-01-10" number="{number}/Ид" org="ФНС"/>'
            f"<domain><![CDATA[host{number}.example.com]]></domain><ip>198.51.100.{number % 256}</ip></content>\n"
        ).encode("cp1251")
    yield b"</reg:register>\n"


@pytest.mark.slow
def test_a_dump_of_many_records_is_compiled_in_bounded_memory(place: Place) -> None:
    place.write(b"", "format: register/ru-dump, size_mb_max: 1024")
    with (place.folder / "register").open("wb") as file:
        file.writelines(dump_pieces(RECORDS))
    program = (
        "import sys; from resolver.publishing.compiler import main; code = main(sys.argv[1:]); "
        "sys.stderr.write(open('/proc/self/status').read()); sys.exit(code)"
    )
    words = [sys.executable, "-c", program, str(place.path), "--out", str(place.state)]
    ended = subprocess.run(words, capture_output=True, check=True, cwd=ROOT, text=True)
    assert json.loads(ended.stdout)["counts"]["registers"]["one"]["enforced"] == RECORDS
    # Of this program alone: what getrusage tells goes back to the process that it was forked from.
    found = re.search(r"VmHWM:\s+(\d+) kB", ended.stderr)
    assert found is not None and int(found[1]) / 1024 < 400
