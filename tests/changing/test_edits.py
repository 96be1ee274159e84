"""Edits of a blocklist's text: what they change, what they keep, what they never reach."""

from __future__ import annotations

from typing import Any

import pytest

from resolver.changing.edits import (
    EDITS_MAX,
    EXCEPTION_KEYS,
    EXCHANGE_KEYS,
    ORDER_KEYS,
    edit_text,
    read_edits,
)
from resolver.changing.refusal import Kind, Refused
from resolver.orders.writing import tree_of
from tests.support.for_each import for_each

TEXT = """\
# Policy of the network
version: 1
orders:
  law:  # from the court
    authority: Court
    title: "Order: the first"  # quoted
    url: https://court.example/1
    asks:
      - acme.example  # on page 2
  own: {authority: Us, title: House rule, imposed_by: house}
exchanges:
  # The large ones
  acme:
    name: Acme  # since 2019
    order: law
    mode: shadow  # until the trial is over
    domains:
      - acme.example   # the site
      - "=login.example"
      # their mirrors
      - acme2.example
  beta: {name: Beta, domains: [b.example, c.example], until: 2027-01-01}
allow:
  - www.acme.example  # NOC-1
  - {name: pay.acme.example, until: 2027-01-01, reason: "the shop"}
lists:
  - {name: ads, path: ads.txt}  # ours
"""


def do(*edits: dict[str, Any], text: str = TEXT) -> str:
    return edit_text(text.encode(), read_edits(list(edits))).octets.decode()


def changed(*edits: dict[str, Any], text: str = TEXT) -> tuple[set[str], set[str]]:
    """Lines that went and lines that came."""
    before, after = text.splitlines(), do(*edits, text=text).splitlines()
    return set(before) - set(after), set(after) - set(before)


def test_key_gets_another_value_and_its_comment_stays() -> None:
    went, came = changed({"do": "set-exchange", "id": "acme", "keys": {"mode": "enforce"}})
    assert went == {"    mode: shadow  # until the trial is over"}
    assert came == {"    mode: enforce  # until the trial is over"}


def test_key_that_was_not_there_is_added() -> None:
    went, came = changed({"do": "set-exchange", "id": "acme", "keys": {"from": "2027-02-01"}})
    assert went == set() and came == {"    from: 2027-02-01"}


def test_key_in_braces_is_set_added_and_taken_out() -> None:
    keys = {"until": None, "mode": "shadow", "name": "Beta: the second"}
    went, came = changed({"do": "set-exchange", "id": "beta", "keys": keys})
    assert len(went) == 1
    assert came == {'  beta: {name: "Beta: the second", domains: [b.example, c.example], mode: shadow}'}


def test_key_is_taken_out_with_its_line() -> None:
    text = do({"do": "set-exchange", "id": "acme", "keys": {"mode": None}})
    assert "mode" not in text and edit_text(
        TEXT.encode(), read_edits([{"do": "set-exchange", "id": "acme", "keys": {"mode": None}}])
    ).comments_gone == ("# until the trial is over",), "what goes with it is told"


def test_domains_are_added_and_removed_among_comments() -> None:
    went, came = changed(
        {"do": "add-domains", "id": "acme", "domains": ["acme3.example", "*.cdn.example"]},
        {"do": "remove-domains", "id": "acme", "domains": ["ACME.example."]},
    )
    assert went == {"      - acme.example   # the site"}
    assert came == {"      - acme3.example", '      - "*.cdn.example"'}


def test_all_domains_may_go_in_either_layout() -> None:
    text = do(
        {"do": "remove-domains", "id": "beta", "domains": ["c.example", "b.example"]},
        {
            "do": "remove-domains",
            "id": "acme",
            "domains": ["acme.example", "=login.example", "acme2.example"],
        },
    )
    tree = tree_of(text.encode())
    assert tree["exchanges"]["beta"]["domains"] == [] == tree["exchanges"]["acme"]["domains"]
    assert "# their mirrors" in text
    again = do({"do": "add-domains", "id": "beta", "domains": ["d.example"]}, text=text)
    assert tree_of(again.encode())["exchanges"]["beta"]["domains"] == ["d.example"]


def test_exchange_is_added_in_order_and_removed_whole() -> None:
    edit = {"do": "add-exchange", "id": "alpha", "keys": {"name": "Alpha", "order": ["law", "own"]}}
    text = do(edit | {"domains": ["alpha.example"]})
    assert "  alpha:\n    name: Alpha\n    order: [law, own]\n    domains: [alpha.example]\n" in text
    assert do({"do": "remove-exchange", "id": "alpha"}, text=text) == TEXT


def test_removing_an_exchange_leaves_what_stands_above_it() -> None:
    text = do({"do": "remove-exchange", "id": "acme"}, {"do": "remove-exchange", "id": "beta"})
    assert "# The large ones" in text and "exchanges: {}" in text
    assert tree_of(text.encode())["exchanges"] == {}


def test_orders_are_added_changed_and_removed() -> None:
    text = do(
        {"do": "add-order", "id": "new", "keys": {"authority": "Agency", "title": "T", "from": "2027-01-01"}},
        {"do": "set-order", "id": "law", "keys": {"title": "Another: one", "confidential": True}},
        {"do": "remove-order", "id": "own"},
    )
    tree = tree_of(text.encode())
    assert set(tree["orders"]) == {"law", "new"} and tree["orders"]["law"]["confidential"] is True
    assert '    title: "Another: one"  # quoted' in text and "# on page 2" in text


def test_exceptions_are_added_changed_and_removed() -> None:
    text = do(
        {"do": "add-exception", "id": "x.beta.example", "keys": {"reason": "why", "until": "2027-05-01"}},
        {"do": "set-exception", "id": "pay.acme.example", "keys": {"until": "2028-01-01"}},
        {"do": "remove-exception", "id": "WWW.acme.example"},
    )
    assert tree_of(text.encode())["allow"] == [
        {"name": "pay.acme.example", "until": "2028-01-01", "reason": "the shop"},
        {"name": "x.beta.example", "reason": "why", "until": "2027-05-01"},
    ]
    plain = do({"do": "set-exception", "id": "www.acme.example", "keys": {"reason": "shop"}})
    assert "  - {name: www.acme.example, reason: shop}  # NOC-1" in plain


@pytest.mark.parametrize("text", ["version: 1\nexchanges: {}\n", "version: 1\nexchanges:\nallow:\n"])
def test_first_entries_of_empty_sections(text: str) -> None:
    made = do(
        {"do": "add-order", "id": "law", "keys": {"authority": "Court", "title": "T"}},
        {"do": "add-exchange", "id": "acme", "keys": {"name": "Acme"}, "domains": ["acme.example"]},
        {"do": "add-exception", "id": "www.acme.example"},
        text=text,
    )
    tree = tree_of(made.encode())
    assert set(tree["orders"]) == {"law"} and set(tree["exchanges"]) == {"acme"}
    assert tree["allow"] == ["www.acme.example"]


def test_line_ends_and_byte_order_mark_stay() -> None:
    octets = b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()
    edits = read_edits([{"do": "set-exchange", "id": "acme", "keys": {"name": "Acme Ltd"}}])
    after = edit_text(octets, edits).octets
    assert after == octets.replace(b"name: Acme  #", b"name: Acme Ltd  #")


@for_each("key", ["path", "url", "tsig", "secret_file", "tls_ca", "access", "signature", "domains"])
@for_each("do_", ["set-exchange", "set-order", "set-exception", "add-order", "add-exchange"])
def test_no_edit_reaches_a_key_that_names_a_file_a_place_or_a_secret(do_: str, key: str) -> None:
    with pytest.raises(Refused, match="cannot be set by an edit"):
        read_edits([{"do": do_, "id": "acme", "keys": {key: "/etc/shadow"}}])


def test_keys_that_may_be_set_name_nothing_outside() -> None:
    for key in EXCHANGE_KEYS | ORDER_KEYS | EXCEPTION_KEYS:
        assert not any(word in key for word in ("path", "url", "file", "tsig", "command", "secret", "tls"))


@for_each(
    ("edit", "words"),
    [
        ({"do": "set-list", "id": "ads", "keys": {"mode": "shadow"}}, "is none of"),
        ({"do": "set-exchange", "id": "../etc", "keys": {"mode": "shadow"}}, "is no id"),
        ({"do": "set-exchange", "id": "acme", "keys": {"name": "a\nb: c"}}, "printable"),
        ({"do": "set-exchange", "id": "acme", "keys": {"name": {"a": {"b": "c"}}}}, "object of texts"),
        ({"do": "set-exchange", "id": "acme", "keys": {"ttl_s": float("nan")}}, "may stand here"),
        ({"do": "set-exchange", "id": "acme"}, "say what is to be set"),
        ({"do": "add-domains", "id": "acme", "domains": []}, "say which"),
        ({"do": "add-domains", "id": "acme", "domains": ["a.example", "A.EXAMPLE"]}, "twice"),
        ({"do": "add-domains", "id": "acme", "domains": ["https://x.example/"]}, "is a URL"),
        ({"do": "remove-exchange", "id": "acme", "keys": {"name": "x"}}, "takes no keys"),
        ({"do": "remove-exchange", "id": "acme", "why": "x"}, "no member"),
        ({"do": "add-exception", "id": "nothing at all"}, "id:"),
        ("remove", "is no object"),
    ],
)
def test_edit_that_makes_no_sense_is_refused(edit: Any, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        read_edits([edit])
    assert refused.value.kind is Kind.BAD and refused.value.detail.startswith("edits[0]")


def test_too_many_edits_are_refused() -> None:
    with pytest.raises(Refused, match="too many at once"):
        read_edits([{"do": "remove-exchange", "id": "acme"}] * (EDITS_MAX + 1))


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        ({"do": "remove-exchange", "id": "acne"}, Kind.MISSING),
        ({"do": "add-exchange", "id": "acme", "keys": {"name": "A"}}, Kind.CONFLICT),
        ({"do": "add-domains", "id": "acme", "domains": ["Acme.example"]}, Kind.CONFLICT),
        ({"do": "remove-domains", "id": "acme", "domains": ["other.example"]}, Kind.MISSING),
        ({"do": "remove-exception", "id": "other.example"}, Kind.MISSING),
        ({"do": "add-exception", "id": "www.ACME.example"}, Kind.CONFLICT),
    ],
)
def test_edit_of_what_is_not_there_or_is_there_already_is_refused(edit: dict[str, Any], kind: Kind) -> None:
    with pytest.raises(Refused) as refused:
        do(edit)
    assert refused.value.kind is kind


def test_shape_that_cannot_be_edited_without_loss_is_refused_in_words() -> None:
    text = TEXT.replace("name: Acme  #", "name: >-\n      Acme\n    #")
    with pytest.raises(Refused, match="over several lines"):
        do({"do": "set-exchange", "id": "acme", "keys": {"name": "A"}}, text=text)
