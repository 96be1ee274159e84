"""What differs between two blocklists, and nothing that does not."""

from __future__ import annotations

import html
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from resolver.blocklist.difference import Difference, PropertyChange, compare
from resolver.blocklist.difference_text import MARKDOWN_CHARS_MAX, as_markdown, as_text, headline
from resolver.blocklist.downloads import Download, SignatureSpec
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist, ListSpec
from resolver.policy.verdict import RuleForm
from resolver.problems import printable

BASE = """\
version: 1
orders:
  o1: {authority: Court, title: Order one, imposed_by: external}
exchanges:
  acme: {name: Acme, order: o1, domains: [acme.example, "=login.example"], addresses: [203.0.113.7]}
  beta: {name: Beta, domains: [beta.example]}
allow: [ok.acme.example]
"""


def read(text: str, folder: str = "dir") -> Blocklist:
    blocklist, problems = read_blocklist(Path(folder) / "b.yaml", octets=text.encode())
    assert blocklist is not None, problems
    return blocklist


def change(old: str = "", new: str = "", *, more: str = "") -> Difference:
    assert old in BASE
    return compare(read(BASE), read(BASE.replace(old, new) + more))


def test_order_layout_and_comments_make_no_difference() -> None:
    other = BASE.replace('[acme.example, "=login.example"]', "['=LOGIN.example',\n acme.example. # x\n ]")
    assert compare(read(BASE), read(other, "elsewhere")).is_empty


@pytest.mark.parametrize(
    ("old", "new", "name", "before", "after"),
    [
        ("name: Beta", "name: Better", "name", "Beta", "Better"),
        ("name: Beta", "name: Beta, action: sinkhole", "action", "nxdomain", "sinkhole"),
        ("name: Beta", "name: Beta, mode: shadow", "mode", "enforce", "shadow"),
        ("name: Beta", "name: Beta, until: 2030-01-01", "until", None, "2030-01-01"),
        (
            "name: Beta",
            "name: Beta, from: 2030-01-01T12:00:00+01:00",
            "from",
            None,
            "2030-01-01T11:00:00Z",
        ),
        ("name: Beta", "name: Beta, ttl_s: 60", "ttl_s", "300", "60"),
        ("name: Beta", "name: Beta, order: o1", "orders", None, "o1"),
        ("name: Beta", "name: Beta, category: otc", "category", "exchange", "otc"),
        ("name: Beta", "name: Beta, aliases: [Old B, Bta]", "aliases", None, "Bta, Old B"),
        ("name: Beta", "name: Beta, sinkhole: {ipv4: 192.0.2.1}", "sinkhole", "0.0.0.0, ::", "192.0.2.1, ::"),
    ],
)
def test_a_changed_property_is_told_before_and_after(
    old: str, new: str, name: str, before: str | None, after: str
) -> None:
    [entry] = change(old, new).exchanges
    assert (entry.id, entry.kind) == ("beta", "changed")
    assert (name, before, after) in [(item.name, item.old, item.new) for item in entry.properties]


def test_aliases_in_another_order_are_the_same() -> None:
    one, other = (
        read(BASE.replace("name: Beta", f"name: Beta, aliases: [{said}]")) for said in ("A, B", "B, A")
    )
    assert compare(one, other).is_empty


def test_names_are_told_with_their_form() -> None:
    [entry] = change('"=login.example"', '"*.login.example", new.example').exchanges
    assert entry.gained == ("*.login.example", "new.example") and entry.lost == ("=login.example",)


def test_networks_are_told_but_are_no_domains() -> None:
    difference = change("203.0.113.7", "203.0.113.8")
    assert difference.exchanges[0].gained == ("203.0.113.8/32",)
    assert difference.summary()["domains"] == {"gained": 0, "lost": 0, "moved": 0}


def test_exchanges_come_and_go() -> None:
    difference = change("  beta: {name: Beta", "  gamma: {name: Gamma")
    assert [(entry.id, entry.kind) for entry in difference.exchanges] == [
        ("gamma", "gained"),
        ("beta", "lost"),
    ]
    assert difference.summary()["domains"] == {"gained": 0, "lost": 0, "moved": 1}


def test_the_first_of_all_gains_everything() -> None:
    summary = compare(None, read(BASE)).summary()
    assert summary["exchanges"]["gained"] == 2 and summary["domains"]["gained"] == 3


def test_allow_and_protected_are_told_apart_from_the_built_in_ones() -> None:
    difference = change("ok.acme.example", "fine.acme.example", more="protected: [safe.example]\n")
    assert {(entry.id, entry.gained, entry.lost) for entry in difference.exceptions} == {
        ("allow", ("fine.acme.example",), ("ok.acme.example",)),
        ("protected", ("safe.example",), ()),
    }


def test_a_new_reason_or_ticket_of_an_exception_is_a_change() -> None:
    allow = "{name: ok.acme.example, reason: R1, ticket: T1}"
    first = change("ok.acme.example", allow)
    assert [entry.properties for entry in first.exceptions] == [
        (
            PropertyChange("ok.acme.example: reason", None, "R1"),
            PropertyChange("ok.acme.example: ticket", None, "T1"),
        )
    ]
    again = compare(
        read(BASE.replace("ok.acme.example", allow)),
        read(BASE.replace("ok.acme.example", allow.replace("R1", "R2"))),
    )
    assert [entry.properties for entry in again.exceptions] == [
        (PropertyChange("ok.acme.example: reason", "R1", "R2"),)
    ]


def test_lists_and_orders_are_compared_by_their_properties() -> None:
    lists = "lists: [{name: ads, path: ads.txt}]\n"
    old, new = (
        read(BASE + lists),
        read(BASE.replace("Order one", "Order 1") + lists.replace("ads.txt", "b.txt")),
    )
    difference = compare(old, new)
    [entry] = difference.lists
    assert [(item.name, item.old, item.new) for item in entry.properties] == [("path", "ads.txt", "b.txt")]
    assert difference.orders[0].properties[0].name == "title"
    assert compare(read(BASE), old).lists[0].kind == "gained"


def test_the_same_list_in_another_folder_is_the_same() -> None:
    text = BASE + "lists: [{name: ads, path: sub/ads.txt}]\n"
    assert compare(read(text), read(text, "elsewhere")).is_empty


DOWNLOADED = """\
lists:
  - name: ads
    url: https://lists.example/ads.txt
    signature: {ed25519: "%s", path: ads.sig}
""" % ("ab" * 32)

LIST_FIELDS_LEFT_OUT = {
    "name": "it is what two lists are matched by",
    "file": "where it is written means nothing",
    "line": "where it is written means nothing",
    "rule": "its properties are told one by one",
    "download": "its fields are told one by one",
    "register": "it is told as the format",
}
DOWNLOAD_FIELDS_LEFT_OUT = {
    "octets_max": "it is the list's size_octets_max",
    "transfer": "its zone and primaries are the url, its key and authorities are told by themselves",
}


def changed_value(value: Any) -> Any:
    """Another value that a field of the same kind may have."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case Path():
            return value.with_name("other.txt")
        case SignatureSpec():
            return replace(value, key="other")
    return RuleForm.EXACT if value is None else f"{value}x"


def with_list(blocklist: Blocklist, **changes: Any) -> Blocklist:
    return replace(blocklist, lists=(replace(blocklist.lists[0], **changes),))


@pytest.mark.parametrize(
    "name", sorted({item.name for item in fields(ListSpec)} - LIST_FIELDS_LEFT_OUT.keys())
)
def test_every_property_of_a_list_is_compared_or_left_out_for_a_reason(name: str) -> None:
    old = read(BASE + DOWNLOADED)
    new = with_list(old, **{name: changed_value(getattr(old.lists[0], name))})
    [entry] = compare(old, new).lists
    assert [item.name for item in entry.properties] == [name]


@pytest.mark.parametrize(
    "name", sorted({item.name for item in fields(Download)} - DOWNLOAD_FIELDS_LEFT_OUT.keys())
)
def test_every_property_of_a_download_is_compared_or_left_out_for_a_reason(name: str) -> None:
    old = read(BASE + DOWNLOADED)
    download = old.lists[0].download
    assert download is not None
    new = with_list(old, download=replace(download, **{name: changed_value(getattr(download, name))}))
    [entry] = compare(old, new).lists
    assert [item.name for item in entry.properties] == [name]


@pytest.mark.parametrize("name", [item.name for item in fields(SignatureSpec)])
def test_every_property_of_a_signature_is_compared(name: str) -> None:
    old = read(BASE + DOWNLOADED)
    download = old.lists[0].download
    assert download is not None and download.signature is not None
    changes: dict[str, Any] = {name: "other"}
    signature = replace(download.signature, **changes)
    [entry] = compare(old, with_list(old, download=replace(download, signature=signature))).lists
    assert [item.name for item in entry.properties] == ["signature"]


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("name: key.example", "name: other.example", "tsig"),
        ("secret_file: key", "secret_file: other", "tsig"),
        ("hmac-sha256", "hmac-sha512", "tsig"),
        ("tls_ca: ca.pem", "tls_ca: other.pem", "tls_ca"),
        ("192.0.2.1", "192.0.2.2", "url"),
        ("zone.example#", "zones.example#", "url"),
    ],
)
def test_every_property_of_a_transfer_is_compared(old: str, new: str, name: str) -> None:
    text = (
        "lists: [{name: zone, url: 'axfr+tls://192.0.2.1/zone.example#ns.example', tls_ca: ca.pem, "
        "tsig: {name: key.example, algorithm: hmac-sha256, secret_file: key}}]\n"
    )
    [entry] = compare(read(BASE + text), read(BASE + text.replace(old, new))).lists
    assert [item.name for item in entry.properties] == [name]
    assert compare(read(BASE + text), read(BASE + text, "elsewhere")).is_empty


def test_a_list_that_is_downloaded_from_now_on_is_told_with_its_url() -> None:
    local = "lists: [{name: ads, path: ads.txt}]\n"
    [entry] = compare(read(BASE + local), read(BASE + DOWNLOADED)).lists
    assert ("url", None, "https://lists.example/ads.txt") in [
        (item.name, item.old, item.new) for item in entry.properties
    ]


def test_a_downloaded_list_in_another_folder_is_the_same() -> None:
    assert compare(read(BASE + DOWNLOADED), read(BASE + DOWNLOADED, "elsewhere")).is_empty


def test_a_changed_contact_is_told_once_not_for_every_exchange() -> None:
    difference = change(more="defaults: {contact: 'mailto:noc@example.net'}\n")
    assert [item.name for item in difference.properties] == ["contact"]
    assert difference.exchanges == ()


def test_a_long_difference_is_cut_and_what_is_left_out_is_counted() -> None:
    names = ", ".join(f"n{number}.example" for number in range(50))
    described = change("beta.example", names).as_json(names_max=10)
    assert len(described["exchanges"][0]["gained"]) == 9
    assert described["left_out"] == 42 and described["summary"]["domains"]["gained"] == 50


def test_what_is_gained_or_lost_is_told_with_what_is_not_usual_of_it() -> None:
    hole = "  hole: {name: Hole, action: sinkhole, sinkhole: {ipv4: 192.0.2.66}, domains: [h.example]}\n"
    old = read(BASE)
    new = read(BASE.replace("allow:", f"{hole}allow:") + "lists: [{name: ads, path: ads.txt, kind: allow}]\n")
    found = compare(old, new)
    told = {item.name: item.new for item in found.exchanges[0].properties}
    assert told["action"] == "sinkhole" and (told["sinkhole"] or "").startswith("192.0.2.66,")
    assert {item.name: item.new for item in found.lists[0].properties}.items() >= {
        ("path", "ads.txt"),
        ("kind", "allow"),
    }
    [lost] = compare(new, old).exchanges
    assert {item.name: item.old for item in lost.properties} == told
    assert "    action: sinkhole" in as_text(found.as_json()).splitlines()


def test_usual_exchange_is_told_with_its_orders_alone() -> None:
    [entry] = compare(
        read(BASE), read(BASE.replace("allow:", "  c: {name: C, domains: [c.example]}\nallow:"))
    ).exchanges
    assert entry.properties == ()
    first = compare(None, read(BASE)).exchanges[0]
    assert first.properties == (PropertyChange("orders", None, "o1"),)


def test_names_of_exchanges_leave_room_for_what_is_opened() -> None:
    names = ", ".join(f"n{number}.example" for number in range(50))
    old, new = read(BASE), read(BASE.replace("beta.example", names).replace("[ok.", "[a.example, ok."))
    described = compare(old, new).as_json(names_max=5)
    assert described["exceptions"][0]["gained"] == ["a.example"]
    assert len(described["exchanges"][0]["gained"]) == 2


def test_text_shows_what_the_headline_counts() -> None:
    text = as_text(change("[beta.example]", "[b2.example], action: drop").as_json())
    assert text.splitlines() == [
        "exchanges: 1 changed; domains: 1 gained, 1 lost",
        "",
        "~ exchange beta (Beta)",
        "    action: nxdomain -> drop",
        "    + b2.example",
        "    - beta.example",
    ]
    assert as_text(change().as_json()) == "No difference."
    assert headline(change().summary()) == "nothing"


def test_a_labels_are_shown_with_what_they_stand_for() -> None:
    described = change("[beta.example]", "[bücher.example]").as_json()
    shown = "xn--bcher-kva.example (bücher.example)"
    assert f"    + {shown}" in as_text(described).splitlines() and f"`{shown}`" in as_markdown(described)
    assert described["exchanges"][0]["gained"] == ["xn--bcher-kva.example"], "programs get the name alone"


def test_markdown_is_a_table_in_which_no_text_becomes_markup() -> None:
    text = as_markdown(change("name: Beta", "name: 'B|x<b>@you'").as_json())
    assert "| changed | exchange beta \\(B\\|x&lt;b\\>@\u200byou\\) | name: Beta →" in text
    assert "No difference" in as_markdown(change().as_json())


HOSTILE = [
    "a`b` <img src=x onerror=y>",
    "&lt;img src=x&gt; &#60;b&#62; &amp;",
    "x | y \\| z \\\\| w",
    "[link](https://e.example) ![i](https://e.example/i) <https://e.example>",
    "**bold** _it_ ~~gone~~ `code` # head",
    "``a` b``",
    "@team \x1b[2J",
]


def entry(text: str) -> dict[str, Any]:
    names = [text, f"{text}."]
    change = {"name": text, "old": text, "new": text}
    return {
        "id": text,
        "name": f"{text}2",
        "change": "changed",
        "properties": [change],
        "gained": names,
        "lost": [],
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_a_renderer_shows_a_hostile_text_as_it_is_written_and_in_one_cell(text: str) -> None:
    described = {
        "summary": {"exchanges": {"changed": 1}},
        "properties": [{"name": text, "old": text, "new": text}],
        **{section: [entry(text)] for section in ("exchanges", "exceptions", "lists", "orders")},
        "left_out": 0,
    }
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page = renderer.render(as_markdown(described))
    tags = set(re.findall(r"</?([a-z0-9]+)", page))
    assert tags <= {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "br"}
    assert {row.count("<td>") for row in page.split("<tr>")[2:]} == {3}
    shown = html.unescape(re.sub(r"<[^>]*>", "", page)).replace("\u200b", "")
    assert shown.count(printable(text)) >= 4 * 6


def test_markdown_fits_into_a_comment() -> None:
    many = "".join(f"  x{n}: {{name: X{n}, domains: [{'y' * 60}.x{n}.example]}}\n" for n in range(2000))
    text = as_markdown(change("allow:", f"{many}allow:").as_json())
    assert len(text) <= MARKDOWN_CHARS_MAX and " more rows." in text
