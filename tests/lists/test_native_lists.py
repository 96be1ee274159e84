"""Native help for compiling changes nothing but the time: images, problems and counts are octet for octet the same.

Each case is done twice, with the native module and without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.lists import native_lists as seam
from resolver.lists import reading
from resolver.lists.native_lists import native_lists
from resolver.lists.reader import FORMATS, ListLimits, ListReader
from resolver.lists.shared_names import shared_names
from resolver.plane import INTERFACE
from resolver.publishing.compiler import compile_policy
from resolver.publishing.name_table import AnyNameTable, NameTable, Rank
from resolver.wire.names import name_from_text as n
from tests.support.for_each import for_each

pytest.importorskip("resolver_native", reason="resolver_native is not built")
NATIVE = native_lists()
if NATIVE is None:
    pytest.skip("resolver_native is built, but without help for lists", allow_module_level=True)

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "lists").glob("*.txt"))
SEED = bytes(range(8))


@contextmanager
def without_native() -> Iterator[None]:
    """As where the module is not built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seam, "MODULE", "resolver_native_of_nobody")
        native_lists.cache_clear()
        assert native_lists() is None
        yield
    native_lists.cache_clear()


def test_module_of_another_interface_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seam, "INTERFACE", INTERFACE + 1)
    native_lists.cache_clear()
    assert native_lists() is None
    native_lists.cache_clear()


def test_module_that_is_absent_or_lacks_a_part_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seam, "_PARTS", ("ImageTable", "of_a_later_version"))
    native_lists.cache_clear()
    assert native_lists() is None
    monkeypatch.undo()
    native_lists.cache_clear()
    with without_native():
        assert native_lists() is None
    assert native_lists() is NATIVE


# Whole images.


def image_of(folder: Path, out: str) -> tuple[bytes, dict[str, Any], list[str]]:
    """The octets of the image (empty: none), the counts and the problems."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", lambda count: SEED[:count])
        compiled = compile_policy(folder / "b.yaml", folder / out, now=1.7e9)
    octets = b"" if compiled.image is None else compiled.image.read_bytes()
    return octets, compiled.counts, list(map(str, compiled.problems))


def assert_same_image(folder: Path, lists: dict[str, tuple[str, bytes]], exchanges: str = "{}") -> bytes:
    """`lists`: the keys of each entry, and its text."""
    entries = []
    for name, (keys, octets) in lists.items():
        (folder / f"{name}.txt").write_bytes(octets)
        entries.append(f"{{name: {name}, path: {name}.txt, error_budget_percent: 100{keys}}}")
    blocklist = f"version: 1\nexchanges: {exchanges}\nlists: [{', '.join(entries)}]\n"
    (folder / "b.yaml").write_text(blocklist, encoding="utf-8")
    natively = image_of(folder, "natively")
    with without_native():
        assert natively == image_of(folder, "plainly")
    return natively[0]


@for_each("keys", ["", ", match: exact", ", match: below", ", kind: allow", ", action: drop"])
@for_each("path", GOLDEN, ids=lambda path: path.name)
def test_golden_list_gives_the_same_image(tmp_path: Path, path: Path, keys: str) -> None:
    others = {"base": ("", b"example\nexample.net\nads.example\nads.example\n")}
    assert assert_same_image(tmp_path, {"one": (keys, path.read_bytes()), **others})


def test_all_golden_lists_together_give_the_same_image(tmp_path: Path) -> None:
    lists = {f"n{number}": ("", path.read_bytes()) for number, path in enumerate(GOLDEN)}
    lists["again"] = (", kind: allow", b"".join(path.read_bytes() for path in GOLDEN[2:4]))
    exchanges = "{acme: {name: Acme, domains: [example.com, '*.example.org', =a.example.net]}}"
    assert assert_same_image(tmp_path, lists, exchanges)


def test_long_lists_with_something_odd_here_and_there_give_the_same_image(tmp_path: Path) -> None:
    plain = [f"{label}{number % 40_000}.host.example" for number in range(50_000) for label in ("A", "b-")]
    for at, odd in ((777, "co.uk"), (5000, "bücher.example"), (50_000, "a b"), (99_000, "*.x.example")):
        plain[at] = odd
    allowed = "".join(f"@@||b-{number}.host.example^\n||x.example^\n" for number in range(0, 9000, 3))
    lists = {"long": ("", "\n".join(plain).encode()), "fine": ("", allowed.encode())}
    assert assert_same_image(tmp_path, lists)


# Lines.

LABEL = st.text("abz09-_AZ", min_size=1, max_size=5) | st.sampled_from(["a" * 63, "a" * 64, "ex-ample", "1"])
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join) | st.sampled_from(
    [
        "ads.example",
        "Ads.Example.",
        "co.uk",
        "github.io",
        "any.bd",
        "com",
        "localhost",
        "localhost.localdomain",
        "LOCALHOST.localdomain.example",
        "192.0.2.1",
        "2001:db8::1",
        "bücher.example",
        "xn--bcher-kva.example",
        "a\\.b.example",
        ".".join(["a" * 63] * 3 + ["b" * 61]),
        ".".join(["a" * 63] * 3 + ["b" * 61]) + ".",
        ".".join(["a" * 63] * 3 + ["b" * 62]),
        "*",
        "",
    ]
)
BEFORE = ["", "*.", ".", "||", "@@||", "|", "0.0.0.0 ", "127.0.0.1\t", "::1 ", ":: ", "192.0.2.7 ", "::1%lo "]
BEFORE += [
    "address=/",
    "server=/",
    "local=/",
    "ADDRESS=/",
    "--address=/",
    " ",
    "#",
    "!",
    "\r",
    "||*.",
    "[",
    "0.0.0.0",
]
BEHIND = [
    "",
    "^",
    "^$important",
    "^$badfilter",
    "/",
    "/#",
    "/0.0.0.0",
    "/::",
    "/192.0.2.7",
    " # why",
    "#why",
    "\t",
]
BEHIND += [
    " \r",
    "\r",
    ".",
    "/x.example/",
    " b.example",
    "\rb.example",
    "\x0b",
    "\x85",
    " CNAME .",
    " A 192.0.2.1",
]
WRITTEN = st.builds(
    lambda before, name, behind: (before + name + behind).encode(),
    st.sampled_from(BEFORE),
    NAME,
    st.sampled_from(BEHIND),
)
LINE = (
    WRITTEN | WRITTEN | st.binary(max_size=12) | st.sampled_from([b"! \xff", b"# \xff", b"# " + b"c" * 5000])
)
TEXT = st.lists(st.tuples(LINE, st.sampled_from([b"\n", b"\r\n"])), max_size=12).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def told(octets: bytes, list_format: str, limits: ListLimits) -> tuple[object, ...]:
    """All that a reader says of a list."""
    reader = ListReader(octets, "list.txt", list_format, limits)
    batches = [
        (list(batch.names), list(batch.lines), batch.said, shared_names(batch.names))
        for batch in reader.batches()
    ]
    problems = list(map(str, reader.problems()))
    return batches, problems, reader.entry_count, list(reader.notes.skipped.items()), reader.networks


@pytest.mark.slow
@pytest.mark.parametrize("list_format", sorted(FORMATS))
@given(
    text=TEXT,
    chunk=st.sampled_from([10, 100, 1 << 17]),
    limits=st.sampled_from([(100, 100), (3, 100), (100, 0)]),
)
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_alike(list_format: str, text: bytes, chunk: int, limits: tuple[int, int]) -> None:
    bounds = ListLimits(entries_max=limits[0], error_budget_percent=limits[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK_OCTETS", chunk)
        natively = told(text, list_format, bounds)
        with without_native():
            assert natively == told(text, list_format, bounds)


OWNER = st.sampled_from(
    ["a.example", "A.example", "b.c.example", "a.b_c", "rpz-x.example", "a.rpz-ip", "com", "a..b", "x"]
)
SPACE = st.sampled_from([" ", "\t", " \t", " 300 ", " 300 IN ", " in ", " IN 300 ", " 60in "])
TARGET = st.sampled_from([*[" ."] * 8, "\t.", " *.", " rpz-passthru.", " . ; why", " garden.example.", ""])
PAIR = st.builds(
    lambda owner, zone, spaces, kinds, targets, ends: "".join(
        f"{star}{owner}{zone}{space}{kind}{target}{end}"
        for star, space, kind, target, end in zip(("", "*."), spaces, kinds, targets, ends, strict=True)
    ),
    OWNER,
    st.sampled_from(["", "", ".rpz.test.", ".RPZ.test.", ".rpz.test.rpz.test."]),
    st.tuples(SPACE, SPACE),
    st.tuples(*[st.sampled_from(["CNAME", "cname", "CNAME", "CName", "A"])] * 2),
    st.tuples(TARGET, TARGET),
    st.tuples(*[st.sampled_from(["\n", "\n", "\r\n"])] * 2),
)
PLAIN_PAIR = OWNER.map(lambda owner: f"{owner} CNAME .\n*.{owner} CNAME .\n")
RECORDS = st.one_of(
    PLAIN_PAIR,
    PLAIN_PAIR,
    PLAIN_PAIR,
    PAIR,
    st.sampled_from(["a.example A 192.0.2.1\n", " CNAME .\n", "*.x.example CNAME .\n"]),
)
HEAD = st.sampled_from(
    ["", "$ORIGIN rpz.test.\n", "@ SOA a. b. 1 2 3 4 5\n", "rpz.test. SOA a. b. 1 2 3 4 5\n", "$ORIGIN .\n"]
)


@pytest.mark.slow
@given(HEAD, st.lists(RECORDS, max_size=12).map("".join), st.sampled_from([1, 20, 60, 1 << 17]))
@settings(max_examples=400, deadline=None)
def test_any_zone_is_read_alike(head: str, records: str, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK_OCTETS", chunk)
        natively = told((head + records).encode(), "rpz", ListLimits(error_budget_percent=100))
        with without_native():
            assert natively == told((head + records).encode(), "rpz", ListLimits(error_budget_percent=100))


def test_pairs_of_a_zone_are_taken_natively() -> None:
    text = b"a.example CNAME .\n*.a.example CNAME .\n*.b.example CNAME .\n"
    first, last = ListReader(text, "x", "rpz").batches()
    assert NATIVE is not None and isinstance(first.names, NATIVE.ListNames)
    assert (list(first.names), list(first.lines)) == ([n("a.example")], [1])
    assert (list(last.names), list(last.lines)) == ([n("b.example")], [3])


def test_owner_left_out_is_that_of_the_line_before_whatever_parts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_OCTETS", 60)
    text = b"a.example CNAME .\n*.a.example CNAME .\nb.example\tCNAME .                  \n\tA 192.0.2.1\n"
    for written in (text, text.replace(b"\tCNAME", b" CNAME")):
        owners = {name for batch in ListReader(written, "x", "rpz").batches() for name in batch.names}
        assert owners == {n("a.example"), n("b.example")}


@pytest.mark.parametrize("list_format", sorted(set(FORMATS) - {"rpz"}))
def test_plain_lines_are_taken_natively(list_format: str) -> None:
    """Else the comparisons would hold one reader against itself."""
    line = {
        "domains": b"%s",
        "hosts": b"0.0.0.0 %s",
        "wildcard": b"*.%s",
        "adblock": b"||%s^",
        "dnsmasq": b"address=/%s/",
    }[list_format]
    (batch,) = ListReader(
        line % b"a.example" + b"\n" + line % b"B.example" + b"\r\n", "x", list_format
    ).batches()
    assert NATIVE is not None and isinstance(batch.names, NATIVE.ListNames)
    assert list(batch.names) == [n("a.example"), n("b.example")] and list(batch.lines) == [1, 2]


def test_native_names_are_a_sequence() -> None:
    assert NATIVE is not None
    names, lines, odd = NATIVE.read_list_lines("domains", b"a.example\nb c\nd.example\n", 5)
    assert list(names) == [n("a.example"), n("d.example")] == [names[0], names[-1]]
    assert odd == [(6, b"b c")] and list(memoryview(lines).cast("I")) == [5, 7]
    for index in (2, -3, 1 << 62):
        with pytest.raises(IndexError):
            names[index]
    more, lines = names.merged(lines, [(6, n("m.example")), (8, n("z.example"))])
    assert list(more) == [n("a.example"), n("m.example"), n("d.example"), n("z.example")]
    assert list(memoryview(lines).cast("I")) == [5, 6, 7, 8]
    with pytest.raises(ValueError):
        names.merged(b"", [])
    with pytest.raises(ValueError):
        NATIVE.read_list_lines("rpz", b"", 1)


# The table.

FEW_NAMES = st.lists(st.sampled_from(["a", "b", "c", "dd", "x" * 60]), max_size=4).map(
    lambda ls: n(".".join(ls) or ".")
)
RANKS = [
    Rank(tier, effect, form, file)
    for tier in (2, 1, 0)
    for effect in (2, 1, 0)
    for form in (2, 0)
    for file in (1, 0)
]
ADDED = st.tuples(
    st.integers(0, len(RANKS) - 1), st.lists(FEW_NAMES, max_size=8), st.integers(0, 1 << 20), st.booleans()
)


def laid(
    table: AnyNameTable, added: list[tuple[int, list[bytes], int, bool]], are_shared: bool
) -> tuple[object, ...]:
    """Everything a table says once it is laid, and the marks that were asked for."""
    asked: list[int] = []

    def marker_of(class_id: int) -> int:
        # Classes that differ in effect alone share their marks, as the image writer has it.
        key = class_id // 2 if are_shared else class_id
        if key not in asked:
            asked.append(key)
        return len(RANKS) + asked.index(key)

    for class_id, names, line, are_on_lines_of_their_own in added:
        lines = range(line, line + len(names)) if are_on_lines_of_their_own else [line] * len(names)
        is_exception = RANKS[class_id].effect < 2
        table.add_names(class_id, names, lines, is_exception=is_exception, is_deep=False)
    table.lay(RANKS, marker_of)
    parts = [bytes(memoryview(part).cast("B")) for part in (table.tags, table.places, table.blob)]
    return (*parts, table.flags, table.homes, dict(table.duplicates), asked)


@pytest.mark.slow
@given(
    st.lists(ADDED, max_size=12),
    st.integers(0, 2**64 - 1),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_names_are_laid_alike(
    added: list[tuple[int, list[bytes], int, bool]], seed: int, are_shared: bool
) -> None:
    assert NATIVE is not None
    assert laid(NATIVE.ImageTable(seed), added, are_shared) == laid(NameTable(seed), added, are_shared)


def test_many_names_of_every_length_are_laid_alike() -> None:
    assert NATIVE is not None
    names = [
        n(".".join(["a" * (1 + k % 60), "b" * (1 + k % 59), "c" * (1 + k % 57), f"d{k}"]))
        for k in range(5000)
    ]
    added = [(0, names, 1, True), (5, names[::7], 9, True), (12, names[::11], 1, True)]
    assert laid(NATIVE.ImageTable(7), added, False) == laid(NameTable(7), added, False)


@pytest.mark.parametrize("is_native", [True, False])
def test_table_refuses_what_it_cannot_hold(is_native: bool) -> None:
    assert NATIVE is not None
    table: AnyNameTable = NATIVE.ImageTable(1) if is_native else NameTable(1)
    with pytest.raises(ValueError):
        table.add_names(0, [n("a.example")], [1, 2], is_exception=False, is_deep=True)
    for class_id in range(256):
        table.add_names(class_id, [n("b.example")], [1], is_exception=False, is_deep=True)
    with pytest.raises(OverflowError, match="over 255 rules for one name"):
        table.lay([Rank(2, 2, 0, 0)] * 256, lambda _: 0)


def test_failure_to_make_a_class_for_marks_is_raised_as_it_is() -> None:
    assert NATIVE is not None
    table = NATIVE.ImageTable(1)
    table.add_names(0, [n("example")], [1], is_exception=False, is_deep=False)
    table.add_names(1, [n("a.example")], [2], is_exception=True, is_deep=True)

    def fail(_: int) -> int:
        raise LookupError("no more classes")

    with pytest.raises(LookupError, match="no more classes"):
        table.lay([Rank(2, 2, 0, 0), Rank(2, 1, 0, 0)], fail)
    with pytest.raises(RuntimeError):
        table.lay([], fail)
    with pytest.raises(RuntimeError):
        table.add_names(0, [n("b.example")], [1], is_exception=False, is_deep=True)


@pytest.mark.parametrize("octets", [b"", b"\x01a", b"\x05ab\0", b"\0\0", b"a.example"])
def test_native_table_takes_nothing_but_names(octets: bytes) -> None:
    assert NATIVE is not None
    with pytest.raises(ValueError):
        NATIVE.ImageTable(1).add_names(0, [octets], [1], is_exception=True, is_deep=False)


def test_sections_are_looked_at_in_place_and_stay_as_they_are() -> None:
    assert NATIVE is not None
    table = NATIVE.ImageTable(1)
    table.add_names(0, [n("a.example")], [1], is_exception=False, is_deep=True)
    table.lay([Rank(2, 2, 0, 0)], lambda _: 0)
    blob = memoryview(table.blob)
    del table
    assert blob.readonly and bytes(blob[8:19]) == n("a.example")
    with pytest.raises(TypeError):
        blob[0] = 1
