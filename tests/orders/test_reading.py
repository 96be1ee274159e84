"""The file of an order, and its hostile twins: read in bounded time and memory, or refused with line and remedy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from time import process_time

import pytest

from resolver.orders.items import items_of, with_blank
from resolver.orders.reading import ORDER_OCTETS_MAX, read_order
from resolver.orders.rows import Cell, Kind, Role, Row, Unreadable
from tests.support.for_each import for_each

HTML = """<!doctype html><html><head><title>not.example</title></head><body>
<nav><a href="https://www.authority.example/">Home</a></nav>
<p>About <b>acme.example</b> we say nothing.</p>
<table>
<tr><th>No</th><th>Platform</th><th>Website</th><th>Decision</th></tr>
<tr><td>1<td>Acme &amp; Co<td>acme&#46;example<br>acme2.example<td>https://www.authority.example/1
<tr><td>2</td><td>Beta</td><td><a href="https://beta.example/x">beta.example</a></td><td></td></tr>
</table>
<script>var x = "script.example"</script><!-- <td>comment.example</td> -->
<ul><li>Gamma: gamma.example<li>Delta</ul>
</body></html>
"""


def listed(rows: list[Row]) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in rows if row.kind is Kind.LISTED]


def refusal(octets: bytes, **keywords: str) -> tuple[int, str]:
    with pytest.raises(Unreadable) as caught:
        read_order(octets, **keywords)
    return caught.value.line, str(caught.value)


def test_tables_in_text_become_rows_with_their_lines() -> None:
    text = b"Order\n\n 1.  Acme   acme.example, www.acme.example,\n            acme2.example\n 2.  Beta   beta.example\n"
    document = read_order(text)
    assert document.kind == "text"
    assert listed(document.rows) == [
        ["Acme", "acme.example, www.acme.example,", "acme2.example"],
        ["Beta", "beta.example"],
    ]
    assert [row.line for row in document.rows] == [1, 3, 5]
    assert document.rows[1].cells[2].line == 4


def test_running_text_is_no_list_though_its_lines_have_gaps() -> None:
    text = b"It is published.  See www.authority.example for more, and the reasons in the annex.\n3. The site is www.authority.example, as everybody knows by now.\n"
    assert [row.kind for row in read_order(text).rows] == [Kind.PROSE, Kind.PROSE]


def test_a_name_that_a_line_end_breaks_is_doubted() -> None:
    rows = read_order(b"1. Acme   long-\n   name.blogspot.com\n").rows
    address = items_of(rows[1].cells[0])[0].addresses[0]
    assert address.reason is not None and "two lines" in address.why


def test_a_name_with_a_blank_in_it_is_doubted() -> None:
    (item,) = items_of(Cell("delta bits.example", 1))
    (address,) = with_blank(item).addresses
    assert (address.owner, address.suggestions) == (b"", ("deltabits.example", "delta-bits.example"))
    for text in ("mirror: bits.example", "(see) bits.example", "www bits.example"):
        (item,) = items_of(Cell(text, 1))
        assert with_blank(item).addresses[0].reason is None


def test_items_are_parted_by_commas_and_their_like() -> None:
    cell = Cell("a.example, b.example;c.example | d.example and e.example,f.example\ng.example", 3)
    found = [(address.written, address.line) for item in items_of(cell) for address in item.addresses]
    assert [name for name, _ in found] == [f"{letter}.example" for letter in "abcdefg"]
    assert found[-1][1] == 4
    (item,) = items_of(Cell("https://a.example/x,y?z=1,2", 1))
    assert item.addresses[0].written == "https://a.example/x,y?z=1,2"


def test_html_is_read_without_what_a_reader_does_not_see() -> None:
    document = read_order(HTML.encode())
    assert document.kind == "html"
    assert listed(document.rows) == [
        ["1", "Acme & Co", "acme.example\nacme2.example", "https://www.authority.example/1"],
        ["2", "Beta", "beta.example"],
        ["Gamma: gamma.example"],
    ]
    first = next(row for row in document.rows if row.kind is Kind.LISTED)
    assert [cell.role for cell in first.cells] == [Role.OTHER, Role.NAME, Role.ADDRESSES, Role.OTHER]
    assert first.line == 6
    said = " ".join(cell.text for row in document.rows for cell in row.cells)
    assert "script.example" not in said and "comment.example" not in said and "not.example" not in said


def test_csv_is_read_with_quoted_line_ends_and_missing_columns() -> None:
    text = '\ufeffEntity;Website;Decision date\r\n"Acme\r\nLtd";"acme.example\r\nwww.acme.example";1/2/2026\r\nBeta\r\n'
    document = read_order(text.encode(), name="order.csv")
    assert document.kind == "csv"
    assert [(row.line, [cell.text for cell in row.cells]) for row in document.rows] == [
        (2, ["Acme\nLtd", "acme.example\nwww.acme.example", "1/2/2026"]),
        (5, ["Beta"]),
    ]
    assert [cell.role for cell in document.rows[0].cells] == [Role.NAME, Role.ADDRESSES, Role.OTHER]


def test_utf16_with_its_mark_and_declared_encodings_are_read() -> None:
    text = "1. Münzbörse   münzbörse.example\n"
    for octets in (text.encode("utf-16"), "\ufeff".encode() + text.encode()):
        assert listed(read_order(octets).rows) == [["Münzbörse", "münzbörse.example"]]
    assert listed(read_order(text.encode("cp1252"), encoding="windows-1252").rows) == [
        ["Münzbörse", "münzbörse.example"]
    ]
    page = "<html><meta charset=windows-1251><ul><li>Криптобиржа криптобиржа.example</ul>".encode("cp1251")
    assert listed(read_order(page).rows) == [["Криптобиржа криптобиржа.example"]]


@for_each(
    ("octets", "line", "said"),
    [
        ("1. Münzbörse   x.example\n".encode("cp1252"), 1, "--encoding windows-1252"),
        (b"a\nb\0c\n", 2, "NUL"),
        (b"x" * (ORDER_OCTETS_MAX + 1), 0, "too large"),
        (b"ok\n" + b"x" * 70_000 + b"\n", 2, "70,000 characters"),
        (b"PK\x03\x04rest", 0, "ZIP archive or an office document"),
        (b"\xd0\xcf\x11\xe0", 0, "old office document"),
        (b"{\\rtf1 x}", 0, "RTF"),
        (b"\x1f\x8b\x08", 0, "gzip"),
        (b"", 0, "no text"),
        (b" \n\t\n", 0, "no text"),
        (b"<html><meta charset=nonsense>", 0, "no such encoding"),
        (b"<html><meta charset=rot13>", 0, "no such encoding"),
        (b"<html><meta charset=utf-8>\n\xff", 2, "although charset=utf-8"),
        (b"<table><tr><td>" + b"x.example " * 10_000, 1, "in one piece"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else str(value),
)
def test_what_is_no_order_is_refused_with_its_line(octets: bytes, line: int, said: str) -> None:
    assert refusal(octets)[0] == line
    assert said in refusal(octets)[1]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('name,url\n"never closed,x.example\n' + "a,b\n" * 300, 2, "not closed within 200 lines"),
        ("name,url\n" + "," * 300 + "\n", 2, "301 columns"),
        ("name,url\na,b\nc," + "y" * 70_000 + "\n", 3, "70,002 characters"),
    ],
)
def test_a_broken_csv_is_refused_with_its_line(text: str, line: int, said: str) -> None:
    found = refusal(text.encode(), name="order.csv")
    assert found[0] == line and said in found[1]


def test_an_encoding_that_is_none_of_text_is_refused() -> None:
    for name in ("zip", "hex", "idna", "unicode_escape", "nonsense"):
        assert "no such encoding" in refusal(b"x", encoding=name)[1]


HOSTILE = {
    "open tags": lambda size: b"<" * size,
    "tags without an end": lambda size: b"<a " * (size // 3),
    "deep markup": lambda size: b"<html>" + b"<div><b>" * (size // 8),
    "blanks between tags": lambda size: b"<html><p>" + b"<b> </b>" * (size // 8),
    "open comments": lambda size: b"<html>" + b"<!-- " * (size // 5),
    "entities": lambda size: b"<html>" + b"<p>&amp;&#x41;" * (size // 15),
    "commas": lambda size: b"1. Acme   a.example" + (b"," * 60_000 + b"\n") * (size // 60_000),
    "brackets": lambda size: (b")" * 60_000 + b"\n") * (size // 60_000),
    "hyphens": lambda size: (b"1. a-" + b"-" * 60_000 + b"\n") * (size // 60_000),
    "colons": lambda size: (b"::::a" * 12_000 + b"\n") * (size // 60_000),
    "dots": lambda size: (b"a." * 30_000 + b"\n") * (size // 60_000),
    "words with dots": lambda size: b"ab.cd " * 100 + b"\n" + (b"ab.cd " * 1_000 + b"\n") * (size // 6_000),
    "csv of quotes": lambda size: b"name,url\n" + b'"a","b""c"\n' * (size // 11),
    "blanks": lambda size: (b" " * 60_000 + b"x\n") * (size // 60_000),
    "schemes": lambda size: (b"https" * 12_000 + b"\n") * (size // 60_000),
    "remarks": lambda size: (b"1. a.example 1" + b"(1)" * 20_000 + b"x\n") * (size // 60_000),
    "lines broken in a word": lambda size: b"krypto-\n" * (size // 32),
    "dots with blanks": lambda size: (b"a. " * 20_000 + b"! . x\n") * (size // 60_000),
    "names without blanks": lambda size: (b"a.aa:" * 12_000 + "\u00e9\n".encode()) * (size // 60_000),
}


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_input_takes_time_in_proportion_to_its_size(kind: str) -> None:
    spent = []
    for size in (240_000, 960_000):
        octets = HOSTILE[kind](size)
        began = process_time()
        try:
            document = read_order(octets)
            for row in document.rows:
                for cell in row.cells:
                    items_of(cell, is_listed=row.kind is not Kind.PROSE)
        except Unreadable:
            pass
        spent.append(process_time() - began)
    # Four times the size, and nothing that grows by its square; small numbers are noise.
    assert all(later < 8 * earlier + 1.0 for earlier, later in pairwise(spent)), spent
    assert spent[-1] < 20


def test_the_shared_case_is_the_one_we_keep() -> None:
    assert (Path(__file__).parent / "cases" / "order-with-traps.txt").read_bytes().count(b"\n") == 53
