"""What the pages that change something take and give.

Knows: their members and limits.  Does not know: what is done.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from resolver.api.endpoint import Shape
from resolver.api.values import Count, Moment
from resolver.changing.edits import EDITS_MAX, NAMES_MAX
from resolver.problems import show
from resolver.publishing.approvals import REASON_CHARS_MAX
from resolver.publishing.pausing import PAUSE_S_MAX

Operation = Literal[
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
]
"""`changing.edits.OPERATIONS`."""


def _is_one_line(value: object) -> object:
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{show(value)} holds characters that cannot be printed")
    return value


Line = Annotated[str, BeforeValidator(_is_one_line)]


def _whole(value: object) -> object:
    """JSON Schema takes 60.0 for an integer, as JSON has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
OptionalReason = Annotated[
    Line | None, Field(None, max_length=REASON_CHARS_MAX, description="Why; it is kept in the history.")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Wanted(Shape):
    """What somebody asks to be changed: every value is of its own type, and no other is taken for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PauseWanted(Wanted):
    """A pause of filtering."""

    for_s: Whole = Field(ge=1, le=int(PAUSE_S_MAX), description="Seconds; at most a day.")
    reason: Line = Field(
        min_length=1, max_length=REASON_CHARS_MAX, pattern=r"\S", description="Kept in the history."
    )
    including_orders: bool = Field(
        False, description="Also what authorities ordered (`imposed_by: external`), which stays else."
    )


class Why(Wanted):
    """A reason, perhaps."""

    reason: OptionalReason = None


class PauseNow(Shape):
    """How it stands with a pause."""

    paused: bool
    until: Moment | None
    who: str | None
    reason: str | None
    including_orders: bool
    approved_by: str | None = Field(description="The second person, where two are needed.")
    proposal: str | None = Field(
        description="Id under which a pause just asked for waits for a second person; null: none does."
    )
    soon: bool = Field(
        description="What was just asked for is not in force yet, and is when the reload under way ends."
    )


class FlushWanted(Wanted):
    """A name to forget."""

    name: str = Field(min_length=1, max_length=1_000, description="`www.example.org`")
    subtree: bool = Field(False, description="All names under it, too.")


class Flushed(Shape):
    """What was forgotten."""

    name: str
    subtree: bool
    answers: Count = Field(description="Answers, denials and failures.")


class Begun(Shape):
    """Something begins; the log, `/metrics` and other pages say how it ends."""

    begun: Literal[True]
    detail: str


class EditWanted(Wanted):
    """One change of the blocklist."""

    do: Operation
    id: str = Field(
        min_length=1, max_length=1_000, description="Of the exchange or order; an exception's name."
    )
    keys: dict[str, Any] = Field(
        {}, max_length=50, description="Keys to set, as the blocklist has them; null takes one out."
    )
    domains: list[str] = Field([], max_length=NAMES_MAX)


class EditsWanted(Wanted):
    """Changes of the blocklist, all or none."""

    base: Sha256 = Field(description="The SHA-256 of the text that they are about, from `GET edits`.")
    edits: list[EditWanted] = Field(min_length=1, max_length=EDITS_MAX)
    reason: OptionalReason = None
    force: bool = Field(False, description="Although a safety rail objects; takes a reason.")
    dry_run: bool = Field(False, description="Only say what it would change: all is checked, nothing kept.")


class EditStanding(Shape):
    """What an editor has to know before."""

    base: Sha256
    changes: Literal["direct", "two-person"]
    writable: bool
    why: str | None = Field(description="Why the service cannot write the blocklist.")
    remedy: str | None


class Changed(Shape):
    """What came of a change: it is written, waits for a second person, or was only looked at (`dry_run`)."""

    state: Literal["applied", "proposed", "previewed"]
    proposal: str | None
    base: Sha256 = Field(description="Of the text that stands now.")
    headline: str
    words: str = Field(description="The difference to what serves, a line for each thing.")
    warnings: list[str]


class Proposal(Shape):
    """A change that waits, or waited, for a second person."""

    id: str
    kind: Literal["edit", "rollback", "suggestion", "file", "pause"] = Field(
        description="`file`: somebody edited the file itself.  `pause`: of filtering, from the approval on."
    )
    who: str
    at: Moment | None
    expires_at: Moment | None
    reason: str
    state: Literal["open", "approved", "rejected", "expired"]
    base_changed: bool = Field(
        description="The blocklist changed since (of a pause, what serves): it cannot be approved any more."
    )
    forced: bool = Field(description="A safety rail objects, and it is meant all the same.")
    about: str = Field(description="A rollback's generation, a suggestion's name, a pause's length, a file.")
    headline: str
    words: str
    files: dict[str, str] = Field(
        description="SHA-256 of the blocklist and of each local list that it names: an approval is for these."
    )
    warnings: list[str] = Field(description="What the check of it remarked when it was proposed.")
    decided_by: str
    decided_at: Moment | None
    decided_reason: str


class Proposals(Shape):
    """All of them, the newest first."""

    items: list[Proposal]
    next: None


class RollbackWanted(Wanted):
    """How to go back."""

    reason: OptionalReason = None
    force: bool = Field(False, description="Although a safety rail objects; takes a reason.")


class AcceptWanted(Wanted):
    """How a suggestion is accepted."""

    exchange: str | None = Field(None, max_length=63, description="Absent: the one that it looks like.")
    reason: OptionalReason = None


class DismissWanted(Wanted):
    """How a suggestion is dismissed."""

    reason: OptionalReason = None
    undo: bool = Field(False, description="Let it be suggested again.")


class Dismissed(Shape):
    """A suggestion that is not made any more, or again."""

    name: str
    dismissed: bool
