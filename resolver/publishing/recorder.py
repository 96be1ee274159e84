"""Records one applied generation in the history; the child process of a publication.

Knows: what is worth recording, and how to find out what changed and who did it.  Does not know: the
server, when (that is given).
A process of its own, because comparing two large blocklists takes seconds of CPU, and because nothing
that befalls a history may befall the server.

    python -m resolver.publishing.recorder STATE_DIR < JSON of `Applied`

prints one line of JSON: `{"number": N}` (where this content is the latest already, its number), or
`{"error": "why"}`; in both cases with `orders`, how each stands (`order_dates`), null where the text is
not known.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resolver.blocklist.difference import Difference, compare
from resolver.blocklist.in_force import InForce
from resolver.blocklist.openings import find_opening
from resolver.blocklist.reader import read_what_served
from resolver.blocklist.rules import Blocklist
from resolver.identity import user_name
from resolver.orders.listed import ListsOf, lists_of, no_lists
from resolver.policy.image import ImageUnusable
from resolver.portions import open_regular, read_up_to
from resolver.publishing.approvals import Approval, approvals_of, content_hash, decisive
from resolver.publishing.compiled import InputFile, edited_files, key_of
from resolver.publishing.history import (
    CHANGES_OCTETS_MAX,
    FORCED_AGAINST,
    TEXT_PLAIN_OCTETS_MAX,
    Generation,
    History,
    HistoryUnusable,
    open_history,
)
from resolver.publishing.image_store import ImageStore, open_image
from resolver.publishing.order_dates import dated_orders
from resolver.publishing.pause_records import PAUSE, settle_pauses
from resolver.publishing.register_store import changed_records
from resolver.publishing.timetable import ends_set

NAMES_KEPT_MAX = 1_000
"""Names and entries kept of one difference; lowered until it fits `CHANGES_OCTETS_MAX`."""
RECORD_IDS_KEPT_MAX = 200
"""Record ids kept of one register's change, each way; lowered until they fit `RECORD_CHANGES_OCTETS_MAX`."""
RECORD_CHANGES_OCTETS_MAX = 16 << 10
OPENED_KEPT_MAX = 100
"""Names of one kind kept of what a change opened; the difference has the others."""
AHEAD_MAX = 1_000
"""Generations looked through for one that no clock ahead has dated."""
DIGEST_CHARS = 16
"""Of a list file's hash: enough to see that it changed."""


@dataclass(slots=True)
class Applied:
    """What a publisher knows of what it has just put in force."""

    at: float
    """Unix seconds."""
    inputs: list[InputFile]
    counts: dict[str, Any] = field(default_factory=dict)
    turned_at: float | None = None
    """Unix seconds of a date that passed, by which the policy that serves came to mean something else."""
    leapt_from: float | None = None
    """Unix seconds from which the clock leapt to `turned_at`, maybe back; None: that time came by itself."""
    pause: dict[str, Any] = field(default_factory=dict)
    """How it stands with pauses (`PauseKeeper.as_json`); empty: not known."""


def applied_from_json(octets: bytes) -> Applied:
    """Read what the parent wrote.  Raises ValueError, KeyError or TypeError for anything else."""
    fields = json.loads(octets)
    inputs = [InputFile(**entry) for entry in fields["inputs"]]
    moments = fields["turned_at"], fields["leapt_from"]
    return Applied(fields["at"], inputs, fields["counts"], *moments, fields["pause"])


def record(state_dir: Path, applied: Applied) -> int:
    """Record it, unless it is the latest already; its number.  Raises `HistoryUnusable`."""
    with open_history(state_dir, create=True) as history:
        number = _record_policy(state_dir, applied, history)
        return settle_pauses(history, number, applied.at, applied.pause) or number


def _record_policy(state_dir: Path, applied: Applied, history: History) -> int:
    content = content_hash(applied.inputs)
    before = history.latest()
    if before is not None and before.content == content and _is_recorded(before, applied):
        return before.number
    source = applied.inputs[0]
    path = Path(source.path)
    text = _text_as_applied(state_dir, applied.inputs)
    if applied.turned_at is not None:
        return history.add(_turned(applied, applied.turned_at, content, text), text)
    # An approval is for what people edit, not for copies of downloaded lists.
    note = ImageStore(state_dir).last_good()
    # It is in force already: whatever stands for it is told, also where the note of it is gone.
    served = note.served if note is not None and note.key == key_of(applied.inputs) else None
    approvals, _ = approvals_of(state_dir, edited_files(state_dir, applied.inputs), served)
    # An approval from before the last change is not what made this one.
    since = _last_change(history, applied.at)
    fresh = [entry for entry in approvals if entry.at > since]
    who, who_from = _who(path, fresh[-1] if fresh else None)
    counts = _counts_of(applied)
    counts["image"] = key_of(applied.inputs)
    generation = Generation(
        number=0,
        at=applied.at,
        content=content,
        sha256=source.sha256,
        who=who,
        who_from=who_from,
        reason=_reason(decisive(approvals), fresh),
        counts=counts,
        changes=_changes(history, before, path, text, counts, applied.at)
        | _record_changes(state_dir, before, counts)
        | _rollback(fresh)
        | _approved(fresh)
        | _forced(before, fresh),
        has_text=text is not None,
    )
    return history.add(generation, text)


def orders_of(state_dir: Path, applied: Applied) -> list[dict[str, Any]] | None:
    """How each order of it stands now, and since when; None: its text is not known any more."""
    text = _text_as_applied(state_dir, applied.inputs)
    if text is not None and b"orders" not in text:
        return []
    blocklist = _read(Path(applied.inputs[0].path), text)
    if blocklist is None:
        return None
    names = applied.counts.get("per_list", {})
    return dated_orders(
        state_dir, blocklist, applied.at, applied.turned_at, names, _lists_of(state_dir, applied, blocklist)
    )


def _lists_of(state_dir: Path, applied: Applied, blocklist: Blocklist) -> ListsOf:
    if not any(spec.rule.orders for spec in blocklist.lists):
        return no_lists
    try:
        return lists_of(open_image(ImageStore(state_dir).path_of(key_of(applied.inputs))))
    except (ImageUnusable, OSError):
        # Another generation is in force by now, and is recorded next.
        return no_lists


def _is_recorded(latest: Generation, applied: Applied) -> bool:
    """Whether the latest generation, of the same content, tells of it already."""
    return applied.turned_at is None or latest.changes.get("date", {}).get("at") == applied.turned_at


def _last_change(history: History, now: float) -> float:
    """When something was last put in force (Unix seconds), but for what a clock ahead of `now` wrote."""
    latest = history.latest()
    # A pause changes nothing that is approved.
    if latest is None or (latest.at <= now and latest.who_from != PAUSE):
        return -math.inf if latest is None else latest.at
    entries = (entry for entry in history.newest(AHEAD_MAX) if entry.who_from != PAUSE)
    return max((entry.at for entry in entries if entry.at <= now), default=-math.inf)


def _counts_of(applied: Applied) -> dict[str, Any]:
    counts = {key: value for key, value in applied.counts.items() if key != "per_exchange"}
    counts["files"] = {entry.path: entry.sha256[:DIGEST_CHARS] for entry in applied.inputs[1:]}
    return counts


def _turned(applied: Applied, turned_at: float, content: str, text: bytes | None) -> Generation:
    """A date has come: the same policy means something else."""
    source = applied.inputs[0]
    was_at = math.nextafter(turned_at, -math.inf) if applied.leapt_from is None else applied.leapt_from
    changes: dict[str, Any] = {"list_names": {}, "files": [], "date": {"at": turned_at}}
    if applied.leapt_from is not None:
        changes["date"]["leapt_from"] = applied.leapt_from
    blocklist = _read(Path(source.path), text)
    if blocklist is None:
        changes["unknown"] = "the text is not kept"
    else:
        before, after = (InForce(blocklist, moment) for moment in (was_at, turned_at))
        changes |= compare(blocklist, blocklist).as_json()
        changes["date"] |= {
            "opened": find_opening(before, after).as_json(OPENED_KEPT_MAX),
            "closed": find_opening(after, before).as_json(OPENED_KEPT_MAX),
        }
    return Generation(
        number=0,
        at=applied.at,
        content=content,
        sha256=source.sha256,
        who="",
        who_from="date",
        reason="",
        counts=_counts_of(applied),
        changes=changes,
        has_text=text is not None,
    )


def _text_as_applied(state_dir: Path, inputs: list[InputFile]) -> bytes | None:
    """The blocklist's text as it was compiled; None when it is neither beside the image nor in the file.

    The compiler's copy comes first: the file may have been edited again before its turn came.
    """
    for path in (ImageStore(state_dir).text_path_of(key_of(inputs)), Path(inputs[0].path)):
        with contextlib.suppress(OSError), open_regular(path) as file:
            text = read_up_to(file, TEXT_PLAIN_OCTETS_MAX)
            if hashlib.sha256(text).hexdigest() == inputs[0].sha256:
                return text
    return None


def _rollback(fresh: list[Approval]) -> dict[str, Any]:
    """The generation that was written back, if that is what this is."""
    if not fresh or not fresh[-1].rolled_back_to:
        return {}
    return {"rollback": {"to": fresh[-1].rolled_back_to, "remark": fresh[-1].remark}}


def _approved(fresh: list[Approval]) -> dict[str, Any]:
    """Why it was edited, and who has approved that, where it came by the API or two people were needed."""
    if not fresh or not (fresh[-1].via or fresh[-1].approved_by):
        return {}
    last = fresh[-1]
    return {"edit": {"reason": last.remark, "approved_by": last.approved_by, "proposal": last.proposal}}


def _forced(before: Generation | None, fresh: list[Approval]) -> dict[str, Any]:
    """Against which generation the rails were overruled for this one; 0: against none."""
    if not any(approval.is_forced for approval in fresh):
        return {}
    return {FORCED_AGAINST: 0 if before is None else before.number}


def _who(path: Path, approval: Approval | None) -> tuple[str, str]:
    if approval is not None:
        return approval.who, approval.via or "apply"
    try:
        return user_name(path.stat().st_uid), "owner"
    except OSError:
        return "", ""


def _reason(approval: Approval | None, fresh: list[Approval]) -> str:
    """Why the rails were overruled, and by whom if that was for an earlier generation."""
    if approval is None or not approval.is_forced:
        return ""
    if approval in fresh:
        return approval.reason
    day = datetime.fromtimestamp(approval.at, UTC).strftime("%Y-%m-%d")
    return f"forced earlier by {approval.who} on {day}: {approval.reason}"


def _changes(
    history: History,
    before: Generation | None,
    path: Path,
    text: bytes | None,
    counts: dict[str, Any],
    now: float,
) -> dict[str, Any]:
    """What is new, as far as both texts are known; the sizes of lists in any case."""
    changes: dict[str, Any] = {
        "list_names": _changed(before, counts, "per_list"),
        "files": sorted(_changed(before, counts, "files")),
    }
    new = _read(path, text)
    old_text = None
    if before is not None:
        # A damaged text must not keep the next one out.
        with contextlib.suppress(HistoryUnusable):
            old_text = history.text(before.number)
    old = _read(path, old_text)
    if new is None or (before is not None and old is None):
        return {**changes, "unknown": "the text before or after is not kept"}
    if old is not None and (opening := find_opening(InForce(old, now), InForce(new, now))):
        changes["opened"] = opening.as_json(OPENED_KEPT_MAX)
    if ends := ends_set(old, new, now):
        changes["ends"] = ends
    return {**changes, **_fitting(compare(old, new))}


def _record_changes(state_dir: Path, before: Generation | None, counts: dict[str, Any]) -> dict[str, Any]:
    """What each register has of new records, and what not any more; nothing where neither is known."""
    if before is None:
        return {}
    # Of a register that is new or gone the list itself is told, and how many names it has.
    lists = sorted(counts.get("registers", {}).keys() & before.counts.get("registers", {}).keys())
    if not lists:
        return {}
    store = ImageStore(state_dir)
    old = store.records_path_of(str(before.counts.get("image", "")))
    new = store.records_path_of(counts["image"])
    ids_max = RECORD_IDS_KEPT_MAX
    while True:
        found = changed_records(old, new, lists, ids_max)
        if not ids_max or len(json.dumps(found)) <= RECORD_CHANGES_OCTETS_MAX:
            return {"records": found} if found else {}
        ids_max //= 2


def _fitting(difference: Difference) -> dict[str, Any]:
    names_max = NAMES_KEPT_MAX
    while True:
        described = difference.as_json(names_max=names_max)
        if not names_max or len(json.dumps(described)) <= CHANGES_OCTETS_MAX:
            return described
        names_max //= 2


def _changed(before: Generation | None, counts: dict[str, Any], key: str) -> dict[str, list[Any]]:
    old = before.counts.get(key, {}) if before is not None else {}
    new = counts.get(key, {})
    return {
        name: [old.get(name), new.get(name)]
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def _read(path: Path, text: bytes | None) -> Blocklist | None:
    # It was in force once, whatever this version would object to.
    return None if text is None else read_what_served(path, text)


def main() -> int:
    """The child process: see the head of this file."""
    state_dir, applied = Path(sys.argv[1]), applied_from_json(sys.stdin.buffer.read())
    try:
        result: dict[str, Any] = {"number": record(state_dir, applied)}
    except HistoryUnusable as error:
        result = {"error": str(error)}
    result["orders"] = orders_of(state_dir, applied)
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if "number" in result else 2


def applied_to_json(applied: Applied) -> bytes:
    """For the child's standard input."""
    return json.dumps(asdict(applied)).encode()


if __name__ == "__main__":
    sys.exit(main())
