"""Edits of a blocklist as data: what may be asked for, what each means, and the text that comes of them.

Knows: which keys may be changed, that a text and the values it means must change alike.  Does not know:
files, who asks, whether the server would load it.
Theory: an edit is carried out twice, on the text and on the values that the text means; both must come out
the same, or nothing is written.  No key that names a file, a command, a place to fetch from or a secret can
be reached: what may be set is a closed list, and lists of names from elsewhere are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from resolver.blocklist.entries import name_entry
from resolver.blocklist.formatting import lost_comments
from resolver.blocklist.keys import ID_FORM, ID_PATTERN
from resolver.changing.refusal import Kind, Refused
from resolver.orders.plan import Tree
from resolver.orders.rewriting import Rewriter
from resolver.orders.writing import CannotWrite, tree_of
from resolver.problems import show, suggest

EDITS_MAX: Final = 100
"""Of one request: each reads the whole text."""
NAMES_MAX: Final = 10_000
"""Of one edit."""
TEXT_CHARS_MAX: Final = 2_000
COMMENTS_TOLD_MAX: Final = 20

_TERM = ("from", "until", "through", "mode")
EXCHANGE_KEYS: Final = frozenset(
    (
        *_TERM,
        "name",
        "aliases",
        "category",
        "order",
        "addresses",
        "action",
        "sinkhole",
        "ttl_s",
        "ede",
        "contact",
    )
)
ORDER_KEYS: Final = frozenset(
    (*_TERM, "authority", "title", "reference", "date", "imposed_by", "received", "due", "measure")
) | {"confidential", "asks"}
EXCEPTION_KEYS: Final = frozenset(("from", "until", "through", "reason", "ticket"))

SECTIONS: Final = {"exchange": "exchanges", "order": "orders"}
OPERATIONS: Final = (
    "add-exchange",
    "set-exchange",
    "remove-exchange",
    "add-domains",
    "remove-domains",
    "add-order",
    "set-order",
    "remove-order",
    "add-exception",
    "set-exception",
    "remove-exception",
)


@dataclass(frozen=True, slots=True)
class Edit:
    """One change."""

    do: str
    """One of `OPERATIONS`."""
    id: str
    """Of the exchange or the order; of an exception its name."""
    keys: Mapping[str, Any]
    """What is set; None: taken out."""
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edited:
    """What came of edits."""

    octets: bytes
    comments_gone: tuple[str, ...]
    """They stood on lines that were taken out."""


def read_edits(value: object) -> tuple[Edit, ...]:
    """Edits from JSON: a list of `{do, id, keys, domains}`.  Raises Refused, saying which one is wrong."""
    if not isinstance(value, list) or not value:
        raise Refused(Kind.BAD, "edits: a list of edits, at least one")
    if len(value) > EDITS_MAX:
        raise Refused(Kind.BAD, f"edits: {len(value):,} are too many at once; allowed: {EDITS_MAX}")
    return tuple(_edit(fields, f"edits[{number}]") for number, fields in enumerate(value))


def _edit(fields: object, where: str) -> Edit:
    if not isinstance(fields, dict):
        raise Refused(Kind.BAD, f"{where}: is no object")
    if unknown := sorted(fields.keys() - {"do", "id", "keys", "domains"}):
        raise Refused(Kind.BAD, f"{where}: {show(unknown[0])} is no member of an edit")
    do, of = fields.get("do"), fields.get("id")
    if do not in OPERATIONS:
        raise Refused(Kind.BAD, f"{where}: do: {show(do)} is none of {', '.join(OPERATIONS)}")
    verb, _, noun = str(do).partition("-")
    if not isinstance(of, str):
        raise Refused(Kind.BAD, f"{where}: id: is no text")
    if noun == "exception":
        _entry(of, f"{where}: id")
    elif not ID_PATTERN.fullmatch(of):
        raise Refused(Kind.BAD, f"{where}: id: {show(of)} is no id: {ID_FORM}")
    keys, domains = fields.get("keys", {}), fields.get("domains", [])
    takes_domains = noun == "domains" or do == "add-exchange"
    takes_keys = verb in ("add", "set") and noun != "domains"
    if (keys and not takes_keys) or (domains and not takes_domains):
        raise Refused(Kind.BAD, f"{where}: {do} takes no {'keys' if keys else 'domains'}")
    if verb == "set" and not keys:
        raise Refused(Kind.BAD, f"{where}: keys: say what is to be set")
    names = _domains(domains, f"{where}: domains")
    if noun == "domains" and not names:
        raise Refused(Kind.BAD, f"{where}: domains: say which")
    return Edit(str(do), of, _keys(keys, noun, where), names)


def _domains(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Refused(Kind.BAD, f"{where}: is no list of names")
    if len(value) > NAMES_MAX:
        raise Refused(Kind.BAD, f"{where}: {len(value):,} names are too many; allowed: {NAMES_MAX:,}")
    entries = [_entry(name, where) for name in value]
    if len(set(entries)) < len(entries):
        raise Refused(Kind.BAD, f"{where}: a name is there twice")
    return tuple(value)


def _entry(name: str, where: str) -> tuple[bytes, Any]:
    try:
        return name_entry(name)
    except ValueError as error:
        raise Refused(Kind.BAD, f"{where}: {error}") from None


def _keys(value: object, noun: str, where: str) -> dict[str, Any]:
    allowed = {"order": ORDER_KEYS, "exception": EXCEPTION_KEYS}.get(noun, EXCHANGE_KEYS)
    if not isinstance(value, dict):
        raise Refused(Kind.BAD, f"{where}: keys: is no object")
    for key, content in value.items():
        if key not in allowed:
            hint = suggest(str(key), allowed)
            detail = f"{where}: keys: {show(key)} cannot be set by an edit{hint}"
            raise Refused(Kind.BAD, detail, f"these can: {', '.join(sorted(allowed))}; the rest by hand")
        _check(content, f"{where}: keys: {key}")
    return dict(value)


def _check(value: object, where: str, *, depth: int = 0) -> None:
    """What a key may be: a text, a number, true or false, a list of texts, an object of texts, null."""
    match value:
        case str():
            if len(value) > TEXT_CHARS_MAX or not value.isprintable():
                raise Refused(Kind.BAD, f"{where}: at most {TEXT_CHARS_MAX:,} printable characters")
        case None | bool() | int():
            pass
        case float() if math.isfinite(value):
            pass
        case list() if depth == 0 and len(value) <= NAMES_MAX:
            for item in value:
                if not isinstance(item, str):
                    raise Refused(Kind.BAD, f"{where}: is no list of texts")
                _check(item, where, depth=1)
        case dict() if depth == 0 and len(value) <= 10:
            for key, item in value.items():
                if not isinstance(item, str) or not key.isidentifier():
                    raise Refused(Kind.BAD, f"{where}: is no object of texts")
                _check(item, where, depth=1)
        case _:
            raise Refused(Kind.BAD, f"{where}: is nothing that may stand here")


# Carrying them out.


def edit_text(octets: bytes, edits: Sequence[Edit]) -> Edited:
    """The blocklist's octets with the edits carried out, one after the other.

    Raises Refused: what an edit is about is not there, or is there already; or the text has a shape that
    cannot be edited without loss.
    """
    mark = "\ufeff" if octets.startswith(b"\xef\xbb\xbf") else ""
    text = octets.decode().removeprefix("\ufeff")
    newline = "\r\n" if "\r\n" in text else "\n"
    before = text = text.replace("\r\n", "\n")
    tree = tree_of(text.encode())
    for number, edit in enumerate(edits):
        where = f"edits[{number}]: {edit.do} {edit.id}"
        tree = _applied(tree, edit, where)
        try:
            text = _rewritten(text, edit, tree)
        except (CannotWrite, ValueError) as error:
            remedy = "change it by hand, in an editor"
            raise Refused(Kind.CONFLICT, f"{where}: the text cannot be edited: {error}", remedy) from None
        if _alike(tree_of(text.encode())) != _alike(tree):
            detail = f"{where}: the result would not mean what it should, which is a bug of ours"
            raise Refused(Kind.CONFLICT, detail, "please report it, and change it by hand")
    gone = tuple(lost_comments(before, text))
    return Edited((mark + text.replace("\n", newline)).encode(), gone)


def _rewritten(text: str, edit: Edit, tree: Tree) -> str:
    """The text with one edit; `tree`: what it is to mean."""
    verb, _, noun = edit.do.partition("-")
    if verb == "set" and noun != "exception":
        for key, value in edit.keys.items():
            editor = Rewriter(text)
            editor.set_key(SECTIONS[noun], edit.id, key, value)
            text = editor.result()
        return text
    editor = Rewriter(text)
    match edit.do:
        case "add-exchange" | "add-order":
            editor.add_entry(SECTIONS[noun], edit.id, tree[SECTIONS[noun]][edit.id])
        case "remove-exchange" | "remove-order":
            editor.remove_entry(SECTIONS[noun], edit.id)
        case "add-domains":
            editor.add_names(edit.id, edit.domains)
        case "remove-domains":
            editor.remove_names(edit.id, edit.domains)
        case "add-exception":
            editor.add_exception(_said(edit))
        case "set-exception":
            place = _exception(tree, edit.id)
            assert place is not None
            content = tree["allow"][place]
            editor.set_exception(edit.id, content if isinstance(content, dict) else {"name": content})
        case _:
            editor.remove_exception(edit.id)
    return editor.result()


def _said(edit: Edit) -> Tree:
    return {"name": edit.id, **{key: value for key, value in edit.keys.items() if value is not None}}


def _applied(tree: Tree, edit: Edit, where: str) -> Tree:
    """What the file means once an edit is carried out.  Raises Refused.  `tree` is left as it is."""
    noun = edit.do.partition("-")[2]
    if noun == "exception":
        return {**tree, "allow": _with_exception(tree, edit, where)}
    section = SECTIONS.get(noun, "exchanges")
    entries: Tree = {**(tree.get(section) or {})}
    is_there = edit.id in entries
    if edit.do.startswith("add-") and noun != "domains":
        if is_there:
            raise Refused(Kind.CONFLICT, f"{where}: it is there already", f"use set-{noun}")
        content = {key: value for key, value in edit.keys.items() if value is not None}
        entries[edit.id] = {**content, "domains": list(edit.domains)} if edit.domains else content
        return {**tree, section: entries}
    if not is_there:
        raise Refused(Kind.MISSING, f"{where}: is not in the blocklist{suggest(edit.id, entries)}")
    if edit.do.startswith("remove-") and noun != "domains":
        del entries[edit.id]
    elif noun == "domains":
        entries[edit.id] = _with_domains(entries[edit.id], edit, where)
    else:
        merged = {**entries[edit.id], **edit.keys}
        entries[edit.id] = {key: value for key, value in merged.items() if value is not None}
    return {**tree, section: entries}


def _with_domains(entry: Tree, edit: Edit, where: str) -> Tree:
    there: list[Any] = list(entry.get("domains") or ())
    known = {name_entry(name): name for name in there}
    asked = {name_entry(name): name for name in edit.domains}
    if edit.do == "add-domains":
        if again := [name for key, name in asked.items() if key in known]:
            raise Refused(Kind.CONFLICT, f"{where}: {show(again[0])} is there already")
        return {**entry, "domains": [*there, *edit.domains]}
    if missing := [name for key, name in asked.items() if key not in known]:
        raise Refused(Kind.MISSING, f"{where}: {show(missing[0])} is not among its domains")
    return {**entry, "domains": [name for name in there if name_entry(name) not in asked]}


def _with_exception(tree: Tree, edit: Edit, where: str) -> list[Any]:
    allow = list(tree.get("allow") or ())
    place = _exception(tree, edit.id)
    if edit.do == "add-exception":
        if place is not None:
            raise Refused(Kind.CONFLICT, f"{where}: it is there already", "use set-exception")
        said = _said(edit)
        return [*allow, said if len(said) > 1 else edit.id]
    if place is None:
        raise Refused(Kind.MISSING, f"{where}: is no exception of the blocklist")
    if edit.do == "remove-exception":
        return [*allow[:place], *allow[place + 1 :]]
    old = allow[place] if isinstance(allow[place], dict) else {"name": allow[place]}
    merged = {key: value for key, value in {**old, **edit.keys}.items() if value is not None}
    allow[place] = merged if len(merged) > 1 else merged["name"]
    return allow


def _exception(tree: Tree, name: str) -> int | None:
    wanted = name_entry(name)
    for place, item in enumerate(tree.get("allow") or ()):
        if name_entry(item.get("name") if isinstance(item, dict) else item) == wanted:
            return place
    return None


def _alike(tree: Tree) -> Tree:
    """The same without differences that mean nothing: how a name is spelt, a section that is empty."""
    result: Tree = {}
    for key, value in tree.items():
        if key in ("orders", "exchanges"):
            value = {one: _entry_alike(entry) for one, entry in (value or {}).items()}
        elif key == "allow":
            value = [_exception_alike(item) for item in value or ()]
        if value or key not in ("orders", "exchanges", "allow"):
            result[key] = value
    return result


def _entry_alike(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("domains"), list):
        return entry
    return {**entry, "domains": sorted(map(repr, map(name_entry, entry["domains"])))}


def _exception_alike(item: Any) -> Any:
    if not isinstance(item, dict):
        return {"name": name_entry(item)}
    return {**item, "name": name_entry(item.get("name"))}
