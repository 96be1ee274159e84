"""What changed in a period, and since when each exchange is in the policy: read from the history.

Knows: what the recorder writes of a generation.  Does not know: how the history is kept, languages.
Theory: a generation may have been written by another version, or by somebody else; whatever is not as it
should be makes that generation `not known`, and never a report that fails.  A name that is confidential in
any policy of the period is counted, not named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolver.blocklist.openings import CONFIDENTIAL_MARK
from resolver.publishing.history import Generation
from resolver.publishing.pause_records import PAUSE
from resolver.report.facts import Change, ChangeItem, Paused

NOT_OURS = (AttributeError, KeyError, TypeError, ValueError)
"""What entries lead to that somebody else has written into the file."""

NAMES_KEPT_MAX = 200
"""Of one item of one change; the rest is counted."""

VALUE_CHARS_MAX = 80
_FOLLOWS = frozenset(("text", "phases", "ede"))
"""Properties that follow from others."""

_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Since:
    """Of one exchange, without a gap since."""

    in_policy: float
    """Unix seconds: when a policy that has it was first served."""
    enforced: float
    """When a policy that enforces it was, its dates aside."""


def exchanges_since(generations: Iterable[Generation]) -> dict[str, Since]:
    """Exchange id -> since when, as far as the generations (oldest first) tell."""
    found: dict[str, Since] = {}
    for generation in generations:
        try:
            for entry in generation.changes.get("exchanges", ()):
                _follow(found, entry, generation.at)
        except NOT_OURS:
            continue
    return found


def _follow(found: dict[str, Since], entry: Mapping[str, Any], at: float) -> None:
    label = entry["id"]
    if entry["change"] == "gained":
        found[label] = Since(at, at)
    elif entry["change"] == "lost":
        found.pop(label, None)
    elif any(one["name"] == "mode" and one["new"] == "enforce" for one in entry["properties"]):
        before = found.get(label)
        found[label] = Since(at if before is None else before.in_policy, at)


def orders_first_served(generations: Iterable[Generation]) -> dict[str, float]:
    """Order id -> when a policy that has it was first served (Unix seconds)."""
    found: dict[str, float] = {}
    for generation in generations:
        try:
            for entry in generation.changes.get("orders", ()):
                if entry["change"] == "gained":
                    found.setdefault(entry["id"], generation.at)
        except NOT_OURS:
            continue
    return found


def changes_between(
    generations: Sequence[Generation],
    first: float,
    end: float,
    hides_of: Callable[[int], Callable[[str], bool]],
) -> tuple[Change, ...]:
    """The generations (oldest first) of the period from `first` to before `end`, in Unix seconds.

    `hides_of`: number of a generation -> what may not be named of it.
    """
    return tuple(_change(one, hides_of(one.number)) for one in generations if first <= one.at < end)


def _change(generation: Generation, hides: Callable[[str], bool]) -> Change:
    changes = generation.changes
    cause = next((key for key in ("date", "pause", "rollback") if key in changes), "edit")
    try:
        items = tuple(_shown(item, hides) for item in _items(changes))
        is_known = "unknown" not in changes
    except NOT_OURS:
        items, is_known = (), False
    return Change(generation.number, generation.at, cause, bool(generation.reason), items, is_known)


def pauses_between(generations: Sequence[Generation], first: float, end: float) -> tuple[Paused, ...]:
    """The times from `first` to before `end` (Unix seconds) in which filtering was paused, in their order.

    `generations`: all that are kept, oldest first.
    """
    found: dict[str, Paused] = {}
    for generation in generations:
        try:
            pause = generation.changes.get(PAUSE)
            if pause is not None:
                ends_at = float(pause.get("ended_at", pause["until"]))
                including = bool(pause["including_orders"])
                found[str(pause["id"])] = Paused(
                    float(pause["began_at"]), ends_at, str(pause["reason"]), including
                )
        except NOT_OURS:
            continue
    return tuple(one for one in found.values() if one.starts_at < end and one.ends_at > first)


def _shown(item: ChangeItem, hides: Callable[[str], bool]) -> ChangeItem:
    names = tuple(
        _unquoted(name) for name in item.names if not name.endswith(CONFIDENTIAL_MARK) and not hides(name)
    )
    return ChangeItem(item.what, names[:NAMES_KEPT_MAX], max(item.count, len(names)))


def _unquoted(name: str) -> str:
    found = _QUOTED.match(name)
    return name if found is None else found[1] + name[found.end() :]


def _items(changes: Mapping[str, Any]) -> Iterator[ChangeItem]:
    """Everything that the recorder has of one generation."""
    if date := changes.get("date"):
        yield from _openings("opened", date.get("opened", {}))
        yield from _openings("closed", date.get("closed", {}))
        return
    if pause := changes.get(PAUSE):
        verb = "closed" if "ended_at" in pause else "opened"
        yield from _item(f"{verb}_exchanges", pause["exchanges"], pause["exchanges_count"])
        yield from _item(f"{verb}_lists", pause["lists"], pause["lists_count"])
        return
    summary = changes.get("summary", {})
    for section in ("orders", "exchanges", "lists"):
        for kind in ("gained", "lost", "changed"):
            names = [_told(one) for one in changes.get(section, ()) if one["change"] == kind]
            yield from _item(f"{section}_{kind}", names, summary.get(section, {}).get(kind, 0))
    for kind in ("gained", "lost"):
        names = [name for one in changes.get("exchanges", ()) for name in one[kind]]
        yield from _item(f"domains_{kind}", names, summary.get("domains", {}).get(kind, 0))
    for entry in changes.get("exceptions", ()):
        for kind in ("gained", "lost"):
            count = summary.get(entry["id"], {}).get(kind, 0)
            yield from _item(f"{_section(entry['id'])}_{kind}", entry[kind], count)
    sizes = [
        f"{name}: {old} → {new}"
        for name, (old, new) in changes.get("list_names", {}).items()
        if old is not None and new is not None
    ]
    yield from _item("lists_resized", sizes, len(sizes))
    records = [
        f"{name}: +{one['gained_count']} −{one['lost_count']}"
        for name, one in changes.get("records", {}).items()
        if "unknown" not in one
    ]
    yield from _item("records", records, len(records))
    yield from _openings("opened", changes.get("opened", {}))


def _section(entry_id: str) -> str:
    if entry_id not in ("allow", "protected"):
        raise ValueError(f"no section: {entry_id}")
    return entry_id


def _told(entry: Mapping[str, Any]) -> str:
    """An entry with its name, and what of it changed: `acme (Acme): mode shadow → enforce`."""
    label, name = str(entry["id"]), str(entry["name"])
    title = label if name == label else f"{label} ({_cut(name)})"
    said = [
        f"{one['name']} {_cut(one['old'])} → {_cut(one['new'])}"
        for one in entry["properties"]
        if entry["change"] == "changed" and one["name"] not in _FOLLOWS
    ]
    return f"{title}: {', '.join(said)}" if said else title


def _cut(text: str | None) -> str:
    if text is None:
        return "–"
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[:VALUE_CHARS_MAX]}…"


OPENED_KINDS = ("orders", "exchanges", "domains", "networks", "lists", "allow", "protected")
"""What can be opened or closed, in the order in which it is told."""


def _openings(what: str, kinds: Mapping[str, Any]) -> Iterator[ChangeItem]:
    for kind in OPENED_KINDS:
        if kind in kinds:
            yield from _item(f"{what}_{kind}", kinds[kind]["names"], kinds[kind]["count"])


def _item(what: str, names: Sequence[str], count: int) -> Iterator[ChangeItem]:
    if count or names:
        yield ChangeItem(what, tuple(map(str, names)), int(count))
