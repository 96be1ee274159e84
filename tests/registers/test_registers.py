"""Registers of authorities: what is read of each kind, and that what is broken is refused whole.

The two files with a date in their names are ESMA's interim MiCA register as it was published; all others are
made up in the same form.
"""

from __future__ import annotations

import gzip
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.blocklist.registers import REGISTER_KINDS, RegisterFormat, RegisterMapping, register_format
from resolver.known_names.protected import built_in_protected
from resolver.policy.verdict import RuleForm
from resolver.registers import octets as register_octets
from resolver.registers.asking import asked_of, parts_of
from resolver.registers.judging import Judge, Reason
from resolver.registers.kinds import KINDS
from resolver.registers.reading import RegisterLimits, read_register
from resolver.registers.record import Record, RegisterRefused, Scope
from resolver.wire.names import name_to_text
from tests.support.for_each import for_each

GOLDEN = Path(__file__).parents[1] / "golden" / "registers"
SIGNS = {RuleForm.EXACT: "=", RuleForm.BELOW: "*.", RuleForm.SUBTREE: ""}
FILES = sorted(path for path in GOLDEN.iterdir() if path.suffix != ".dump")


def kind_of(path: Path) -> str:
    """A golden file's kind, by its name."""
    return {"NCASP-2026-01-29": "esma-ncasp", "CASPS-2026-01-30": "esma-casps"}.get(path.stem, path.stem)


def pieces(octets: bytes, size: int = 1 << 16) -> Iterator[bytes]:
    for at in range(0, len(octets), size):
        yield octets[at : at + size]


def read(
    octets: bytes, kind: str, size: int = 1 << 16, limits: RegisterLimits = RegisterLimits()
) -> list[Record]:
    return list(read_register(pieces(octets, size), RegisterFormat(kind), limits))


def refusal(octets: bytes, kind: str, limits: RegisterLimits = RegisterLimits()) -> RegisterRefused:
    with pytest.raises(RegisterRefused) as caught:
        read(octets, kind, limits=limits)
    return caught.value


def judge() -> Judge:
    return Judge([(owner, RuleForm.SUBTREE) for owner in built_in_protected()], None)


def golden(kind: str) -> bytes:
    """The golden file of a kind, the first where there are several."""
    return next(path for path in FILES if path.stem == kind).read_bytes()


def dump(records: list[Record]) -> str:
    """What was read, for people to compare."""
    lines = []
    for record in records:
        facts = [
            f"{key}={value}"
            for key, value in record._asdict().items()
            if key not in ("asks", "number") and value
        ]
        lines.append(f"{record.number}: {' | '.join(facts)}")
        for asked in record.asks:
            verdict = judge().judge(record, asked)
            name = name_to_text(asked.owner) if asked.owner else asked.why
            said = SIGNS[verdict] + name if isinstance(verdict, RuleForm) else f"({verdict}) {name}"
            lines.append(f"    {asked.written} -> {said}")
    return "\n".join(lines) + "\n"


@for_each("path", FILES, ids=lambda path: path.name)
def test_register_is_read_as_its_golden_dump_says(path: Path) -> None:
    assert dump(read(path.read_bytes(), kind_of(path))) == path.with_name(f"{path.name}.dump").read_text()


def test_every_kind_has_a_reader_and_a_golden_file() -> None:
    assert set(KINDS) == set(REGISTER_KINDS) == {kind_of(path) for path in FILES}


@for_each("path", FILES, ids=lambda path: path.name)
def test_register_is_read_alike_in_pieces_of_any_size_and_packed(path: Path) -> None:
    octets = path.read_bytes()
    whole = read(octets, kind_of(path))
    assert read(gzip.compress(octets), kind_of(path), size=1000) == whole
    if len(octets) < 2_000:
        assert read(octets, kind_of(path), size=1) == whole


# The real registers.


def test_all_rows_of_the_real_ncasp_are_accounted_for() -> None:
    records = read((GOLDEN / "NCASP-2026-01-29.csv").read_bytes(), "esma-ncasp")
    assert [record.number for record in records] == list(range(1, 102))
    seen: set[bytes] = set()
    verdicts: Counter[str] = Counter()
    for record in records:
        for asked in record.asks:
            verdict = judge().judge(record, asked)
            verdicts[Reason.DUPLICATE if asked.owner in seen else verdict.value] += 1
            seen.add(asked.owner)
    assert verdicts == {"subtree": 134, "duplicate": 1}
    assert Counter(record.authority for record in records) == {
        "Commissione Nazionale per le Societa e la Borsa (CONSOB)": 99,
        "Netherlands Authority for the Financial Markets (AFM)": 1,
        "National Bank of Slovakia (NBS)": 1,
    }
    names = {name_to_text(owner) for owner in seen}
    assert {"cryptoin24.io", "m.htxcoin-az.com", "www.mexc.com", "akq1181.it"} <= names
    assert not names & {"htx.com", "htxcoin-az.com", "mexc.com"}


def test_the_real_casps_is_read_with_its_typing_errors() -> None:
    records = read((GOLDEN / "CASPS-2026-01-30.csv").read_bytes(), "esma-casps")
    assert len(records) == 148
    [coinbase] = [record for record in records if record.holder.startswith("Coinbase")]
    assert coinbase.asks[0].owner == b"\x08coinbase\x03com\0"
    assert "LU" in coinbase.licence and "984500F14CA4571AAC11" in coinbase.licence
    unread = [asked for record in records for asked in record.asks if asked.scope is Scope.NOTHING]
    assert len(unread) == 6


# What a field asks for.


@for_each(
    ("written", "scope", "name"),
    [
        ("x.example", Scope.NAME, "x.example"),
        ("X.Example.", Scope.NAME, "x.example"),
        ("https://x.example", Scope.NAME, "x.example"),
        ("https://x.example/", Scope.NAME, "x.example"),
        ("ttps://x.example", Scope.NAME, "x.example"),
        ("https.//x.example", Scope.NAME, "x.example"),
        ("https//x.example", Scope.NAME, "x.example"),
        ("http:/x.example", Scope.NAME, "x.example"),
        ("//x.example/", Scope.NAME, "x.example"),
        ("https://x.example:443/", Scope.NAME, "x.example"),
        (" https://x.example/, ", Scope.NAME, "x.example"),
        ("www.x.example", Scope.NAME, "www.x.example"),
        ("a_b.x.example", Scope.NAME, "a_b.x.example"),
        ("bücher.example", Scope.NAME, "xn--bcher-kva.example"),
        ("*.x.example", Scope.MASK, "x.example"),
        ("https://x.example/page", Scope.URL, "x.example"),
        ("x.example/page", Scope.URL, "x.example"),
        ("x.example?a=b", Scope.URL, "x.example"),
        ("https://x.example:8443/", Scope.URL, "x.example"),
        ("http.example.com", Scope.NAME, "http.example.com"),
        ("https.example.com", Scope.NAME, "https.example.com"),
        ("192.0.2.1", Scope.ADDRESS, ""),
        ("https://192.0.2.1/", Scope.ADDRESS, ""),
        ("192.0.2.0/24", Scope.ADDRESS, ""),
        ("[2001:db8::1]", Scope.ADDRESS, ""),
        ("2001:db8::/48", Scope.ADDRESS, ""),
        ("1.2.3", Scope.NOTHING, ""),
        ("tg://resolve?domain=x", Scope.NOTHING, ""),
        ("https://user@x.example/", Scope.NOTHING, ""),
        ("someone@x.example", Scope.NOTHING, ""),
        ("x.*.example", Scope.NOTHING, ""),
        ("https://", Scope.NOTHING, ""),
        ("two words", Scope.NOTHING, ""),
        ("a" * 300 + ".example", Scope.NOTHING, ""),
    ],
)
def test_what_is_written_asks_for_this_and_no_more(written: str, scope: Scope, name: str) -> None:
    asked = asked_of(written)
    assert asked.scope is scope
    assert (name_to_text(asked.owner) if asked.owner else "") == name


@given(st.text(max_size=80))
def test_no_text_is_read_as_a_name_that_does_not_stand_in_it(text: str) -> None:
    asked = asked_of(text)
    if asked.scope in (Scope.NAME, Scope.MASK) and text.isascii():
        assert name_to_text(asked.owner) in text.lower().replace("\\", "")


def test_a_field_of_several_is_parted_and_a_sentence_is_not() -> None:
    assert parts_of("https://a.example | b.example\nc.example d.example") == [
        "https://a.example", "b.example", "c.example", "d.example",
    ]  # fmt: skip
    assert parts_of("The first bank you will love") == ["The first bank you will love"]
    assert parts_of("n/a") == []
    assert parts_of("a.example;b.example", ";") == ["a.example", "b.example"]


@for_each(
    ("written", "reason"),
    [
        ("update.microsoft.com", Reason.PROTECTED),
        ("x.update.microsoft.com", Reason.PROTECTED),
        ("t.me", Reason.SHARED_PLATFORM),
        ("github.io", Reason.SHARED_PLATFORM),
        ("google.com", Reason.SHARED_PLATFORM),
        ("trafficmanager.net", Reason.SHARED_PLATFORM),
        ("co.uk", Reason.PUBLIC_SUFFIX),
        ("com", Reason.PUBLIC_SUFFIX),
        ("nosuchlabel", Reason.INVALID),
        ("https://t.me/channel", Reason.PATH_ONLY),
        ("https://play.google.com/store/apps/details?id=x", Reason.PATH_ONLY),
        ("198.51.100.7", Reason.ADDRESS_ONLY),
        ("no name at all", Reason.INVALID),
        ("clone.github.io", RuleForm.SUBTREE),
        ("*.mask.example.com", RuleForm.BELOW),
    ],
)
def test_what_is_no_rule_has_its_reason(written: str, reason: Reason | RuleForm) -> None:
    record = Record(1, 1, "", (asked_of(written),))
    assert judge().judge(record, record.asks[0]) is reason
    removed = record._replace(removed="2025-01-01")
    assert judge().judge(removed, removed.asks[0]) is Reason.REMOVED


# Hostile twins: of every kind, and the whole is refused.

XML_KINDS = ("pl-hazard", "ru-dump")
JSON_KINDS = ("it-piracy-shield", "iosco")
BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@for_each("kind", REGISTER_KINDS)
def test_utf16_is_refused(kind: str) -> None:
    encoding = {"ru-dump": "cp1251", "cz-mf": "cp1250"}.get(kind, "utf-8-sig")
    refused = refusal(golden(kind).decode(encoding).encode("utf-16"), kind)
    assert "UTF-16" in str(refused) and refused.line == 1


@for_each("kind", REGISTER_KINDS)
def test_octets_of_another_charset_are_refused_with_their_line(kind: str) -> None:
    bad = {"ru-dump": b"\x98", "cz-mf": b"\x81"}.get(kind, b"\xff")
    octets = golden(kind)
    at = octets.rindex(b"example")
    refused = refusal(octets[:at] + bad + octets[at:], kind)
    assert refused.line >= octets[:at].count(b"\n"), refused


@for_each("kind", REGISTER_KINDS)
def test_a_nul_octet_is_refused_with_its_line(kind: str) -> None:
    octets = golden(kind)
    at = octets.rindex(b"example")
    assert refusal(octets[:at] + b"\0" + octets[at:], kind).line == octets[:at].count(b"\n") + 1


@for_each("kind", REGISTER_KINDS)
def test_a_byte_order_mark_changes_nothing(kind: str) -> None:
    octets = golden(kind).removeprefix(b"\xef\xbb\xbf")
    if kind in ("ru-dump", "cz-mf"):  # Theirs say that they are of another charset.
        octets = octets.decode({"ru-dump": "cp1251", "cz-mf": "cp1250"}[kind]).encode()
        octets = octets.replace(b"windows-1251", b"utf-8")
    assert read(b"\xef\xbb\xbf" + octets, kind) == read(golden(kind), kind)


@for_each("kind", REGISTER_KINDS)
def test_a_register_cut_anywhere_in_its_records_is_refused(kind: str) -> None:
    octets = golden(kind)
    start = octets.index(b"example", octets.index(b"\n")) if b"\n" in octets[:-1] else 1
    for end in range(start, len(octets.rstrip())):
        cut = octets[:end]
        if cut.endswith(b"\n"):
            continue  # Rows that are whole: the rail on sizes and the download's length are for that.
        assert refusal(cut, kind).line > 0, end


@for_each(
    ("octets", "what"),
    [
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"  <html lang=pl>", "web page"),
        (b"PK\x03\x04" + b"\0" * 99, "zip"),
        (b"\xfd7zXZ\x00rest", "xz"),
        (b"%PDF-1.7\n", "PDF"),
    ],
)
@for_each("kind", REGISTER_KINDS)
def test_what_is_no_register_is_refused_by_what_it_is(kind: str, octets: bytes, what: str) -> None:
    assert what in str(refusal(octets, kind))


@pytest.mark.parametrize("kind", [*XML_KINDS, "pl-cert"])
def test_entities_of_a_documents_own_are_refused(kind: str) -> None:
    refused = refusal(f"<?xml version='1.0'?>\n{BOMB}<Rejestr>&b;</Rejestr>".encode(), kind)
    assert "document type" in str(refused) and refused.line == 2
    outside = '<?xml version="1.0"?>\n<!DOCTYPE r SYSTEM "http://x.example/r.dtd"><Rejestr/>'
    assert "document type" in str(refusal(outside.encode(), kind))


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("kind", XML_KINDS)
def test_elements_a_hundred_thousand_deep_are_refused_with_their_line(kind: str, inside: bool) -> None:
    octets = golden(kind)
    at = octets.rindex(b"</", 0, octets.rindex(b"</")) if inside else octets.rindex(b"</")
    refused = refusal(octets[:at] + b"<a>" * 100_000 + octets[at:], kind)
    assert "deep" in str(refused) and refused.line >= octets[:at].count(b"\n")


@pytest.mark.parametrize("opened", [b"[", b'{"a":', b'[{"b":'])
@pytest.mark.parametrize("kind", [*JSON_KINDS, "pl-cert"])
def test_json_a_hundred_thousand_deep_is_refused(kind: str, opened: bytes) -> None:
    for octets in (opened * 100_000, b'[{"fqdn": ' + opened * 100_000):
        refused = refusal(octets, kind)
        assert "deep" in str(refused) and refused.line == 1


@pytest.mark.parametrize("kind", ["esma-ncasp", "esma-casps"])
def test_a_missing_column_is_refused_and_named(kind: str) -> None:
    octets = golden(kind)
    refused = refusal(octets.replace(b"ae_website,", b"", 1), kind)
    assert "'ae_website' is missing" in str(refused) and refused.line == 1
    twice = refusal(octets.replace(b"ae_homeMemberState", b"ae_website", 1), kind)
    assert "two columns have one name" in str(twice)


@pytest.mark.parametrize("kind", ["esma-ncasp", "esma-casps", "cz-mf"])
def test_a_row_of_another_width_is_refused_with_its_line(kind: str) -> None:
    octets = golden(kind).rstrip(b"\r\n")
    sign = b";" if kind == "cz-mf" else b","
    for broken in (octets + sign + b"more\r\n", octets[: octets.rindex(sign)] + b"\r\n"):
        refused = refusal(broken, kind)
        assert "columns" in str(refused) and refused.line == octets.count(b"\n") + 1


def test_a_quoted_line_end_belongs_to_its_row_and_an_open_quote_does_not_take_the_rest() -> None:
    octets = golden("esma-ncasp")
    lines = read(octets, "esma-ncasp")
    assert [record.line for record in lines] == [2, 3, 5, 6]
    refused = refusal(octets.replace(b'"Lines, Ltd"', b'"Lines, Ltd', 1), "esma-ncasp")
    assert refused.line == 3
    endless = octets + b'"' + b"x\r\n" * 1_000
    assert "quote is not closed" in str(refusal(endless, "esma-ncasp"))


@pytest.mark.parametrize("kind", ["it-adm", "gespa", "komdigi", "esma-ncasp", "it-cncpo"])
def test_a_line_without_end_is_refused_before_it_is_held(kind: str) -> None:
    tracemalloc.start()
    refused = refusal(golden(kind).removesuffix(b"\n") + b"a" * 20_000_000, kind)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "line of over" in str(refused) and peak < 45_000_000  # The octets themselves are twenty.


@pytest.mark.slow
def test_a_gzip_bomb_costs_no_more_than_a_large_register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register_octets, "PIECE_OCTETS", 1 << 12)
    bomb = gzip.compress(b"x.example\n" * 300_000)
    assert "over 100,000 bytes" in str(refusal(bomb, "it-adm", RegisterLimits(size_octets_max=100_000)))
    assert "ends too early" in str(refusal(bomb[:-20], "it-adm"))
    assert "other data" in str(refusal(bomb + b"more", "it-adm"))


def test_names_that_cannot_be_read_have_a_budget() -> None:
    good = b"".join(b"n%d.example\n" % number for number in range(100))
    assert len(read(good + b"no name\n" * 11, "it-adm")) == 111
    refused = refusal(good + b"no name\n" * 12, "it-adm")
    assert "12 of 112 names cannot be read" in str(refused) and refused.line == 101
    assert refusal(good + b"no name\n", "it-adm", RegisterLimits(error_budget_percent=0)).line == 101


def test_a_register_of_too_many_entries_is_refused() -> None:
    assert "over 2 entries" in str(refusal(golden("it-adm"), "it-adm", RegisterLimits(entries_max=2)))


@pytest.mark.parametrize(
    ("kind", "octets", "what"),
    [
        ("ru-dump", b"<Rejestr/>", "another register"),
        ("pl-hazard", b"<register/>", "another register"),
        ("ru-dump", b'<register><content id="1" blockType="new"/></register>', "blockType"),
        ("iosco", b'{"message": "not found"}', "no array"),
        ("iosco", b'[{"name": "x"}]', "no id"),
        ("it-piracy-shield", b"[1]", "neither a name nor a ticket"),
        ("it-cncpo", b"a.example;b.example\n", "first row"),
        ("komdigi", b"$TTL 300\nx.example CNAME a b\n", "not a record"),
        ("komdigi", b"$TTL 300\nx.example CNAME (\n", "cut off"),
        ("pl-cert", b"a,b\n1,2\n", "'AdresDomeny' is missing"),
    ],
)
def test_another_register_is_not_taken_for_this_one(kind: str, octets: bytes, what: str) -> None:
    refused = refusal(octets, kind)
    assert what in str(refused)


@given(st.sampled_from(REGISTER_KINDS), st.binary(max_size=300))
def test_no_octets_break_a_reader(kind: str, octets: bytes) -> None:
    try:
        read(octets, kind)
    except RegisterRefused:
        pass


@given(st.sampled_from(REGISTER_KINDS), st.data())
def test_no_damage_to_a_register_breaks_a_reader(kind: str, data: st.DataObject) -> None:
    octets = golden(kind)
    at = data.draw(st.integers(0, len(octets)))
    put = data.draw(st.binary(max_size=20))
    length = data.draw(st.integers(0, 20))
    try:
        read(octets[:at] + put + octets[at + length :], kind)
    except RegisterRefused:
        pass


# Mappings.


def mapped(text: str, **keys: object) -> list[Record]:
    wanted = register_format(keys)
    assert wanted is not None and wanted.mapping is not None
    return list(read_register([text.encode(wanted.mapping.encoding)], wanted))


def test_a_mapping_reads_csv_by_names_and_by_numbers() -> None:
    columns = {"name": ["site", "mirror"], "number": "no", "date": "on", "authority": "by", "removed": "off"}
    text = "no;on;by;site;mirror;off\n7/26;31.01.2026;EXA;https://a.example/;b.example, c.example;\n"
    [record] = mapped(
        text, type="csv", delimiter=";", columns=columns, date_form="%d.%m.%Y", separator=",",
    )  # fmt: skip
    assert [name_to_text(asked.owner) for asked in record.asks] == ["a.example", "b.example", "c.example"]
    assert (record.decision, record.decided, record.authority) == ("7/26", "2026-01-31", "EXA")
    [again] = mapped(
        "x,ž.example\n", type="csv", header=False, encoding="cp1250", columns={"name": 2, "id": 1}
    )
    assert again.id == "x" and name_to_text(again.asks[0].owner) == "xn--jha.example"


def test_a_mapping_reads_json_and_xml_by_paths() -> None:
    text = (
        '{"meta": {"n": 1}, "answer": {"list": [{"host": {"names": ["a.example", "b.example"]}, "ref": 5}]}}'
    )
    columns = {"name": "host.names", "number": "ref"}
    [record] = mapped(text, type="json", records="answer.list", columns=columns)
    assert len(record.asks) == 2 and record.decision == "5"
    text = '<all><x/><item no="5"><host a="b">a.example</host><host>b.example</host></item></all>'
    [record] = mapped(text, type="xml", records="all/item", columns={"name": "host", "number": "@no"})
    assert len(record.asks) == 2 and record.decision == "5"


@for_each(
    ("keys", "what"),
    [
        ({"type": "ini"}, "type is 'ini'"),
        ({"type": "csv"}, "columns is missing"),
        ({"type": "csv", "columns": {"id": "x"}}, "has no 'name'"),
        ({"type": "csv", "columns": {"name": "x", "nmae": "y"}}, "'nmae' is not known"),
        ({"type": "csv", "columns": {"name": "x"}, "delimiter": ";;"}, "delimiter"),
        ({"type": "csv", "columns": {"name": "x"}, "header": False}, "column's number"),
        ({"type": "csv", "columns": {"name": "x"}, "encoding": "utf-7"}, "encoding"),
        ({"type": "csv", "columns": {"name": "x"}, "records": "a"}, "each row is one"),
        ({"type": "xml", "columns": {"name": "x"}}, "records is missing"),
        ({"type": "json", "columns": {"name": "x"}, "encoding": "ascii"}, "encoding is for csv"),
        ({"type": "json", "columns": {"name": "x"}, "colums": {}}, "did you mean 'columns'"),
        ({"type": "json", "columns": {"name": "x"}, "date_form": "day"}, "date_form"),
    ],
)
def test_a_wrong_mapping_is_refused_with_what_is_wrong(keys: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError) as caught:
        register_format(keys)
    assert what in str(caught.value)


def test_an_unknown_kind_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ValueError, match="ru-dump"):
        register_format("register/ru-dmp")
    assert register_format("hosts") is None
    assert RegisterFormat(mapping=RegisterMapping("csv", {"name": ("x",)})).text == "csv"
