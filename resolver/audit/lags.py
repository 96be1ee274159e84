"""What is in force, held against what the register has: serial, update, number of records.

Knows: the facts of one list, as they are noted where it is fetched, and when each is a lag.
Does not know: notes, files, how a list is fetched, time (`now` is an argument).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from resolver.audit.results import Lag
from resolver.plurals import counted

OVERDUE = 2.0
"""A list that was not seen for this many of its intervals is late."""
_HALF = 2**31


@dataclass(frozen=True, slots=True)
class ListFacts:
    """One list."""

    name: str
    is_downloaded: bool
    has_copy: bool = True
    serial: int = 0
    """Of the copy of a transferred zone; 0: it is none."""
    authority_serial: int = 0
    """The newest that its primaries have said."""
    behind_since: float = 0.0
    """Unix seconds, as the next ones; 0: it is not behind."""
    succeeded_at: float = 0.0
    """When the copy was last known to be what the register has."""
    refresh_s: int = 0
    problem: str = ""
    """Why the last attempt failed."""
    copied: int = 0
    """Names that would serve, when the copy was made."""
    enforced: int | None = None
    """Names of the list in the policy that serves; None: unknown."""
    compiled: int | None = None
    """Names of the list when the copy is compiled now; None: unknown."""


def lags_of(facts: Iterable[ListFacts], now: float) -> tuple[Lag, ...]:
    """Every way in which a list in force is behind its register."""
    return tuple(lag for one in facts for lag in _of_list(one, now))


def _of_list(facts: ListFacts, now: float) -> Iterator[Lag]:
    if facts.is_downloaded:
        yield from _of_copy(facts, now)
    enforced, compiled = facts.enforced, facts.compiled
    if enforced is not None and compiled is not None and enforced != compiled:
        text = f"{counted(enforced, 'name')} are in force, the copy here has {compiled:,}"
        yield Lag(facts.name, "records", text)


def _of_copy(facts: ListFacts, now: float) -> Iterator[Lag]:
    if not facts.has_copy:
        yield Lag(facts.name, "update", "was never downloaded: nothing of it is in force")
        return
    ahead = (facts.authority_serial - facts.serial) % 2**32
    # RFC 1982 §3.2: serials go round.
    if facts.authority_serial and facts.serial and 0 < ahead < _HALF:
        since = f", since {_moment(facts.behind_since)}" if facts.behind_since else ""
        text = f"the register has serial {facts.authority_serial}, in force is {facts.serial}{since}"
        yield Lag(facts.name, "serial", text)
    age_s = now - facts.succeeded_at
    if facts.problem:
        seen = f"last seen {_moment(facts.succeeded_at)}; " if facts.succeeded_at else ""
        yield Lag(facts.name, "update", f"{seen}the last attempt failed: {facts.problem}")
    elif facts.refresh_s and age_s > OVERDUE * facts.refresh_s:
        text = f"last seen {_moment(facts.succeeded_at)}, to be seen every {facts.refresh_s:,} s"
        yield Lag(facts.name, "update", text)


def policy_lag(changed: Iterable[str]) -> tuple[Lag, ...]:
    """The policy that serves was made of other files than stand here: `changed` names those."""
    files = list(changed)
    if not files:
        return ()
    return (Lag("", "policy", f"the policy that serves was made before these changed: {', '.join(files)}"),)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
