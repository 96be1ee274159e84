"""`edit` and `proposals`: the blocklist changed with its comments kept, and what waits for a second person.

Knows: what is printed, whose blocklist is meant, values as people type them.  Does not know: how a text is
edited, who may what.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from resolver.changing.blocklist import Author, Place
from resolver.changing.doing import do
from resolver.changing.refusal import Kind, Refused
from resolver.cli.edit import NOTHING_WRITTEN
from resolver.cli.files import EXIT_FINE, BadInput, read_settings
from resolver.cli.pausing import SOON, refused
from resolver.cli.waiting import alone_command, approved_how, waits_json, waits_lines
from resolver.portions import open_regular, read_up_to
from resolver.problems import printable, show
from resolver.publishing.approvals import current_user

FILE_OCTETS_MAX = 1 << 20
_LISTS = frozenset(("order", "aliases", "addresses", "asks"))
"""Keys that take a list: `order=law,own`."""
_NUMBERS = frozenset(("ttl_s",))
_TRUTHS = frozenset(("confidential",))
_OBJECTS = frozenset(("sinkhole", "measure"))


class Asked(NamedTuple):
    """What was asked for on the command line, of one entry."""

    noun: str
    """`exchange`, `order` or `exception`."""
    id: str
    add: bool
    remove: bool
    sets: Sequence[str]
    unsets: Sequence[str]
    add_domains: Sequence[str] = ()
    remove_domains: Sequence[str] = ()


class How(NamedTuple):
    """What goes for every change."""

    reason: str | None
    force: bool
    config: Path | None
    as_json: bool
    dry_run: bool = False
    """Only to say what it would do."""


def edit_entry(asked: Asked, how: How) -> int:
    """Change one entry; the exit code."""
    try:
        return _edit(edits_of(asked), how)
    except (BadInput, Refused) as error:
        return refused(error, "edit", as_json=how.as_json)


def edit_from(file: Path, how: How) -> int:
    """Carry out the edits in a file of JSON; the exit code."""
    try:
        try:
            octets = sys.stdin.buffer.read(FILE_OCTETS_MAX + 1) if str(file) == "-" else _octets(file)
            edits = json.loads(octets)
        except OSError as error:
            raise Refused(Kind.BAD, f"{file}: {error.strerror or error}") from None
        except (ValueError, RecursionError) as error:
            raise Refused(Kind.BAD, f"{file}: is no JSON: {error}") from None
        return _edit(edits, how)
    except (BadInput, Refused) as error:
        return refused(error, "edit", as_json=how.as_json)


def _octets(file: Path) -> bytes:
    with open_regular(file) as opened:
        return read_up_to(opened, FILE_OCTETS_MAX + 1)


def edits_of(asked: Asked) -> list[dict[str, Any]]:
    """The edits that the options of one entry mean.  Raises Refused."""
    keys: dict[str, Any] = dict(map(_pair, asked.sets)) | dict.fromkeys(asked.unsets)
    edits: list[dict[str, Any]] = []
    if asked.remove:
        if asked.add or keys or asked.add_domains or asked.remove_domains:
            raise Refused(Kind.BAD, "--remove stands alone")
        return [{"do": f"remove-{asked.noun}", "id": asked.id}]
    if asked.add:
        made: dict[str, Any] = {"do": f"add-{asked.noun}", "id": asked.id, "keys": keys}
        if asked.add_domains:
            made["domains"] = list(asked.add_domains)
        return [made]
    if keys:
        edits.append({"do": f"set-{asked.noun}", "id": asked.id, "keys": keys})
    for verb, domains in (("add", asked.add_domains), ("remove", asked.remove_domains)):
        if domains:
            edits.append({"do": f"{verb}-domains", "id": asked.id, "domains": list(domains)})
    if not edits:
        raise Refused(Kind.BAD, "nothing to change", "say what: --set KEY=VALUE, --add-domain NAME, ...")
    return edits


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Refused(Kind.BAD, f"--set {show(text)}: write KEY=VALUE")
    try:
        if key in _LISTS:
            return key, [one.strip() for one in value.split(",") if one.strip()]
        if key in _NUMBERS:
            return key, int(value)
        if key in _TRUTHS:
            return key, {"true": True, "false": False}[value]
        if key in _OBJECTS and value.startswith("{"):
            return key, json.loads(value)
    except (ValueError, KeyError):
        raise Refused(Kind.BAD, f"--set {show(text)}: {show(value)} is no value of {key}") from None
    return key, value


def _edit(edits: Any, how: How) -> int:
    place, author = _here(how.config)
    asked = {"edits": edits, "reason": how.reason, "force": how.force, "dry_run": how.dry_run}
    done = do(place, author, "edit", asked)
    if how.as_json:
        told = {**done, "waits": waits_json(done["proposal"])}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return EXIT_FINE
    print(_lines(done["words"]))
    for warning in done["warnings"]:
        print(printable(f"note: {warning}"), file=sys.stderr)
    if done["state"] == "previewed":
        print(NOTHING_WRITTEN)
    elif done["state"] == "proposed":
        for line in waits_lines(done["proposal"]):
            print(line)
    else:
        print(f"written to {place.blocklist}; {SOON}")
    return EXIT_FINE


def _here(config: Path | None) -> tuple[Place, Author]:
    """Whose blocklist, and who.  Who can write it here has the rights of the machine."""
    settings, _ = read_settings(config)
    place = Place(settings.blocklist, settings.state_dir, settings.http.changes == "two-person")
    return place, Author(current_user(), may_approve=True)


def list_proposals(config: Path | None, *, as_json: bool) -> int:
    """Print all proposals; the exit code."""
    try:
        items = do(*_here(config), "proposals", {})["items"]
    except (BadInput, Refused) as error:
        return refused(error, "proposals", as_json=as_json)
    if as_json:
        print(json.dumps({"proposals": items}, indent=2, ensure_ascii=False))
        return EXIT_FINE
    for item in items:
        changed = "  (the blocklist changed since)" if item["base_changed"] else ""
        line = f"{item['id']}  {item['at']}  {item['who']:<12} {item['state']:<9} {item['headline']}{changed}"
        print(printable(line))
    if not items:
        print("nothing is proposed")
    return EXIT_FINE


def show_proposal(name: str, config: Path | None, *, as_json: bool) -> int:
    """Print one proposal with its difference; the exit code."""
    try:
        items = do(*_here(config), "proposals", {})["items"]
        found = next((item for item in items if item["id"] == name), None)
        if found is None:
            raise Refused(Kind.MISSING, f"there is no proposal {show(name)}")
    except (BadInput, Refused) as error:
        return refused(error, "proposals", as_json=as_json)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return EXIT_FINE
    for key in ("id", "kind", "who", "at", "expires_at", "reason", "state", "decided_by", "decided_reason"):
        if found[key]:
            print(printable(f"{key:<14}  {found[key]}"))
    print()
    print(_lines(found["words"]))
    for warning in found["warnings"]:
        print(printable(f"warning: {warning}"))
    if found["state"] == "open":
        print()
        print("\n".join(approved_how(name)))
    return EXIT_FINE


def decide_proposal(word: str, name: str, how: How) -> int:
    """Approve a proposal alone, or reject it; the exit code."""
    try:
        if word == "approve" and not (how.force and how.reason):
            detail = (
                "a second person approves it in the dashboard or by the API (POST "
                f"/api/v1/proposals/{name}/approve); alone, on this machine, it takes force and a reason"
            )
            raise Refused(Kind.FORBIDDEN, detail, alone_command(name))
        asked = {"id": name, "reason": how.reason, "alone_here": True}
        done = do(*_here(how.config), word, asked)
    except (BadInput, Refused) as error:
        return refused(error, "proposals", as_json=how.as_json)
    if how.as_json:
        print(json.dumps(done, indent=2, ensure_ascii=False))
    else:
        print(f"proposal {name} is {done['state']}")
    return EXIT_FINE


def _lines(words: str) -> str:
    return "\n".join(map(printable, words.splitlines()))
