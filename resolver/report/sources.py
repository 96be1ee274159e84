"""What a report is made of: what other rooms know, in the few words that a report needs of them.

Knows: the shapes.  Does not know: files, other rooms' own types of hits and audits.
Theory: each source may be missing, and then its `why` says so; a report without it is still true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, tzinfo
from typing import Protocol

from resolver.blocklist.rules import Blocklist
from resolver.orders.listed import ListsOf, no_lists
from resolver.publishing.history import Generation
from resolver.report.facts import Audit, Gap, Hits
from resolver.report.relevance import Relevance


class Hides(Protocol):
    """What knows the words that nobody outside may read."""

    def holds(self, text: str) -> bool:
        """Whether the text has such a word in it."""


@dataclass(frozen=True, slots=True)
class HistorySource:
    """The history of the policy."""

    generations: Sequence[Generation] = ()
    """Oldest first, all that are kept."""
    in_force_since: Mapping[str, float] = field(default_factory=dict)
    """Order id -> Unix seconds."""
    dropped: int = 0
    """Generations that are no longer kept."""
    why: str = ""
    """Why there is none, for people here: it may name paths; empty: there is one."""


@dataclass(frozen=True, slots=True)
class HitSource:
    """Hits by day."""

    exchanges: Mapping[str, Hits] = field(default_factory=dict)
    lists: Mapping[str, Hits] = field(default_factory=dict)
    orders: Mapping[str, Hits] = field(default_factory=dict)
    """Those met while the order was in force; an order without any is not among them."""
    confidential: Hits = field(default_factory=Hits)
    gaps: Sequence[Gap] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class AuditSource:
    """The last audit; its findings still with what is confidential in them."""

    audit: Audit | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything."""

    blocklist: Blocklist
    octets: bytes
    """Of the blocklist, as it is in force."""
    file: str
    """The blocklist's name, without its folder."""
    is_served: bool
    """Whether these octets served; else they are what stands in the file."""
    is_edited: bool
    """Whether the file says something else by now."""
    zone: tzinfo
    zone_name: str
    first: date
    last: date
    only_order: str
    version: str
    host: str
    hides: Sequence[Hides]
    """Of the policy."""
    hides_of_change: Callable[[int], Callable[[str], bool]]
    """Number of a generation -> what its changes may not name."""
    lists_of: ListsOf = no_lists
    """What lists do with a host."""
    relevance: Callable[[int], Relevance | None] | None = None
    """Of a report on one order: number of a generation -> what of it is about that order; None: not known."""
    history: HistorySource = field(default_factory=HistorySource)
    hits: HitSource = field(default_factory=HitSource)
    audit: AuditSource = field(default_factory=AuditSource)

    def hides_word(self, text: str) -> bool:
        """Whether somebody's text names something confidential."""
        return any(one.holds(text) for one in self.hides)
