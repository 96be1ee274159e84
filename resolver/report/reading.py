"""What a report reads: the policy that served, its history, its hits, its last audit.

Knows: where each stands, and what it means when it is not there.  Does not know: what a report says.
Needs no running server: all of it are files in `state_dir`, beside the blocklist.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import NamedTuple

from resolver import __version__
from resolver.audit.results import load_last, load_last_of_order
from resolver.blocklist.concealing import Concealment
from resolver.blocklist.dates import zone_from
from resolver.blocklist.reader import read_blocklist, read_what_served
from resolver.blocklist.rules import Blocklist
from resolver.config.yamlsource import YamlMapping, read_yaml
from resolver.hits.file import HitsUnusable
from resolver.hits.store import HitStore
from resolver.identity import as_owner_of
from resolver.orders.listed import ListsOf, lists_of, no_lists
from resolver.policy.image import Image, ImageUnusable
from resolver.portions import open_regular, read_up_to
from resolver.problems import Problem, has_errors, show, suggest
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import (
    TEXT_PLAIN_OCTETS_MAX,
    Generation,
    HistoryUnusable,
    open_history,
)
from resolver.publishing.image_store import ImageStore, open_image
from resolver.publishing.served_text import TextLost, served_text
from resolver.report.changes import changes_between
from resolver.report.collecting import moments_of
from resolver.report.facts import Change
from resolver.report.from_others import audit_from, hits_from
from resolver.report.past_texts import PastTexts
from resolver.report.sources import AuditSource, HistorySource, HitSource, Sources
from resolver.scratch import scratch

PERIOD_DAYS = 30
"""Days of a report without `--from`."""
PERIOD_DAYS_MAX = 4_000
"""Ten years, more than is kept of hits."""


class SourcesRefused(Exception):
    """There is nothing to report; `problems` say why."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


class Wanted(NamedTuple):
    """What was asked for."""

    blocklist: Path
    state_dir: Path | None
    """Of the server that the blocklist is of; None: another blocklist, which has no history."""
    order: str = ""
    """The one order that it is about; empty: all."""
    first: str | None = None
    last: str | None = None


@dataclass(slots=True)
class _Policy:
    path: Path
    state_dir: Path | None
    octets: bytes
    blocklist: Blocklist
    is_served: bool
    is_edited: bool


def read_sources(wanted: Wanted, now: float) -> Sources:
    """Everything a report is made of at `now` (Unix seconds).  Raises SourcesRefused."""
    policy = _policy(wanted)
    _check_order(wanted.order, policy)
    zone, zone_name = _zone(policy)
    first, last = _period(wanted, zone, now)
    concealment = Concealment(policy.path, policy.octets, policy.state_dir)
    past = None if policy.state_dir is None else PastTexts(policy.path, policy.state_dir, concealment)
    history = _history(policy, past, *moments_of(first, last, zone))
    return Sources(
        blocklist=policy.blocklist,
        octets=policy.octets,
        file=policy.path.name,
        is_served=policy.is_served,
        is_edited=policy.is_edited,
        zone=zone,
        zone_name=zone_name,
        first=first,
        last=last,
        only_order=wanted.order,
        version=__version__,
        host=platform.node(),
        hides=(concealment,),
        hides_of_change=(lambda _: concealment.holds) if past is None else past.hides,
        lists_of=_lists_of(policy),
        relevance=None if past is None or not wanted.order else partial(past.relevance, wanted.order),
        history=history,
        hits=_hits(policy.state_dir, first, last, zone, now),
        audit=_audit(policy.state_dir, concealment.holds, wanted.order),
    )


def read_changes(
    wanted: Wanted, before: int | None, count: int
) -> tuple[list[tuple[Generation, Change]], bool]:
    """The newest `count` generations under the number `before`, the newest first, with what each changed; and
    whether there are older ones.  What is confidential is not named.

    Raises SourcesRefused and HistoryUnusable.
    """
    policy = _policy(wanted)
    if policy.state_dir is None:
        return [], False
    past = PastTexts(policy.path, policy.state_dir, Concealment(policy.path, policy.octets, policy.state_dir))
    with open_history(policy.state_dir) as history:
        older = [one for one in history.newest(sys.maxsize) if before is None or one.number < before]
        page = older[:count]
        # Each change lies between its own text and the one before it.
        beside = older[: count + 1][::-1]
        if page:
            moments = [one.at for one in page]
            past.read(history, beside, min(moments), max(moments) + 1.0)
    found = []
    for one in page:
        hides = past.hides(one.number)
        [change] = changes_between([one], one.at, one.at + 1.0, lambda _: hides)  # noqa: B023
        reason = "" if hides(one.reason) else one.reason
        found.append((replace(one, reason=reason), change))
    return found, len(older) > count


def _policy(wanted: Wanted) -> _Policy:
    path, state_dir = wanted.blocklist, wanted.state_dir
    on_disk = _octets(path)
    if state_dir is not None:
        served = None
        with contextlib.suppress(TextLost):
            served = served_text(state_dir)
        blocklist = None if served is None else read_what_served(path, served)
        if served is not None and blocklist is not None:
            return _Policy(path, state_dir, served, blocklist, True, on_disk != served)
    found, problems = read_blocklist(path, force=True)
    if found is None or on_disk is None:
        raise SourcesRefused([problem for problem in problems if has_errors([problem])])
    return _Policy(path, state_dir, on_disk, found, False, False)


def _lists_of(policy: _Policy) -> ListsOf:
    """What the policy's lists do; read only where some list cites an order.  Raises SourcesRefused."""
    if not any(spec.rule.orders for spec in policy.blocklist.lists):
        return no_lists
    if policy.is_served and policy.state_dir is not None:
        with contextlib.suppress(OSError, ImageUnusable), as_owner_of(policy.state_dir) as folder:
            store = ImageStore(folder)
            note = store.last_good()
            if (
                note is not None
                and note.inputs[:1]
                and note.inputs[0].sha256 == hashlib.sha256(policy.octets).hexdigest()
            ):
                return lists_of(open_image(store.path_of(note.key)))
    with scratch() as folder:
        compiled = compile_policy(
            policy.path, folder, force=True, state_dir=policy.state_dir, text=policy.octets
        )
        if compiled.image is None:
            raise SourcesRefused([problem for problem in compiled.problems if has_errors([problem])])
        return lists_of(Image(compiled.image))


def _octets(path: Path) -> bytes | None:
    try:
        with open_regular(path) as file:
            return read_up_to(file, TEXT_PLAIN_OCTETS_MAX)
    except OSError:
        return None


def _check_order(order_id: str, policy: _Policy) -> None:
    if not order_id:
        return
    public = [key for key, order in policy.blocklist.orders.items() if not order.is_confidential]
    if order_id in public:
        return
    if order_id in policy.blocklist.orders:
        message = f"the order {show(order_id)} is confidential: a report counts it, and names it nowhere"
    else:
        message = f"there is no order {show(order_id)}{suggest(order_id, public)}"
    raise SourcesRefused([Problem(str(policy.path), 0, message)])


def _zone(policy: _Policy) -> tuple[tzinfo, str]:
    """The time zone that the blocklist's dates are in, and its name."""
    tree, _ = read_yaml(policy.octets, file=str(policy.path))
    defaults = tree.items.get("defaults") if isinstance(tree, YamlMapping) else None
    name = defaults.items.get("time_zone") if isinstance(defaults, YamlMapping) else None
    if isinstance(name, str):
        with contextlib.suppress(ValueError):
            return zone_from(name), name
    return UTC, "UTC"


def _period(wanted: Wanted, zone: tzinfo, now: float) -> tuple[date, date]:
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    last = today if wanted.last is None else _day("--to", wanted.last)
    if last > today:
        raise SourcesRefused([Problem("--to", 0, f"{last} is yet to come; today is {today} ({zone})")])
    first = last - timedelta(days=PERIOD_DAYS - 1)
    if wanted.first is not None:
        first = _day("--from", wanted.first)
    if first > last:
        raise SourcesRefused([Problem("--from", 0, f"{first} is after the last day, {last}")])
    if (days := (last - first).days + 1) > PERIOD_DAYS_MAX:
        message = f"{first} to {last} are {days:,} days; allowed: {PERIOD_DAYS_MAX:,}"
        raise SourcesRefused([Problem("--from", 0, message)])
    return first, last


def _day(option: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Other forms of ISO 8601 would be read, too, and be taken for something else.
    if day is None or day.isoformat() != text or not 1971 <= day.year <= 9000:
        raise SourcesRefused([Problem(option, 0, f"{show(text)} is not a day; write 2026-01-31")])
    return day


def _history(policy: _Policy, past: PastTexts | None, first: float, end: float) -> HistorySource:
    if policy.state_dir is None or past is None:
        return HistorySource(why="the history: the blocklist was named, and has none")
    try:
        with open_history(policy.state_dir) as history:
            generations = history.newest(sys.maxsize)[::-1]
            past.read(history, generations, first, end)
            return HistorySource(generations, history.in_force_since(), history.dropped().generations)
    except HistoryUnusable as error:
        return HistorySource(why=str(error))


def _hits(state_dir: Path | None, first: date, last: date, zone: tzinfo, now: float) -> HitSource:
    if state_dir is None:
        return HitSource(why="hits: the blocklist was named, and no server counts for it")
    try:
        with HitStore.open_for_reading(state_dir) as store:
            return hits_from(store.per_day(first, last, zone), zone, now)
    except HitsUnusable as error:
        return HitSource(why=str(error))


def _audit(state_dir: Path | None, hides: Callable[[str], bool], order: str) -> AuditSource:
    """The last audit of everything; for a report on one order the last one that is about it."""
    if state_dir is None:
        return AuditSource(why="no audit: the blocklist was named, and no server was audited for it")
    result = None
    with contextlib.suppress(OSError), as_owner_of(state_dir) as folder:
        result = load_last_of_order(folder, order) if order else load_last(folder)
    if result is None:
        remedy = f"'exchange-resolver audit{f' --order {order}' if order else ''}' makes one"
        return AuditSource(why=f"no audit is kept in {state_dir}; {remedy}")
    return AuditSource(audit_from(result, hides))
