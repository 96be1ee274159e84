"""Proposals: changes of the blocklist that wait for a second person, kept over restarts.

Knows: `state_dir/proposals`, what is kept of each, when one expires.  Does not know: what a change is, who
may decide, time (that is given).
Theory: a proposal is the whole text that it would make, and the hash of the one it was made from.  So what is
approved is octet for octet what was looked at, and a text that changed meanwhile is noticed.

    state_dir/proposals/<id>.json     who, when, why, the difference in words, what became of it
    state_dir/proposals/<id>.yaml     the text; gone when it is decided.  A pause has none
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from resolver.changing.refusal import Kind, Refused
from resolver.durable import replace_file
from resolver.identity import as_owner_of
from resolver.portions import open_regular, read_up_to
from resolver.problems import printable

FOLDER: Final = "proposals"
OPEN_MAX: Final = 50
"""Proposals that wait at one time; each keeps a text."""
KEPT_MAX: Final = 200
"""Open or not; of those decided the oldest go first."""
EXPIRES_S: Final = 7 * 86_400.0
"""What nobody has looked at for a week was not so urgent, and the blocklist has gone on."""
FILE_OCTETS_MAX: Final = 1 << 20
PROPOSED_OCTETS_MAX: Final = 64 << 20
_ID: Final = re.compile(r"[0-9a-f]{12}")


class State(StrEnum):
    """What became of a proposal."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal."""

    id: str
    kind: str
    """`edit`, `rollback`, `suggestion` or `pause`."""
    who: str
    via: str
    """`api`, or empty: a command."""
    at: float
    """Unix seconds."""
    expires_at: float
    reason: str
    base: str
    """SHA-256 of the text that it was made from; of a pause, of the one that served."""
    sha256: str
    """Of the text that it makes; of a pause empty: it makes none."""
    headline: str
    words: str
    """The difference to what served when it was made."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path -> SHA-256 of the blocklist that it makes, and of each local list that this names."""
    warnings: tuple[str, ...] = ()
    """What the check of it remarked."""
    is_forced: bool = False
    """A safety rail objects, and it is meant all the same."""
    about: str = ""
    """Of a rollback the generation, of a suggestion the name, of a pause how long."""
    pause: Mapping[str, Any] = field(default_factory=dict)
    """Of a pause `{for_s, including_orders}`."""
    state: State = State.OPEN
    decided_by: str = ""
    decided_at: float = 0.0
    decided_reason: str = ""

    def stands(self, now: float) -> State:
        """What it is at `now` (Unix seconds): an open one expires by itself.

        Where the clock is before its making, nobody knows how old it is; it waits on.
        """
        return State.EXPIRED if self.state is State.OPEN and now >= self.expires_at else self.state


def new_id() -> str:
    """An id that nobody can guess the next one of."""
    return secrets.token_hex(6)


def read_all(state_dir: Path) -> list[Proposal]:
    """Every proposal that can be read, the newest first.  Raises OSError."""
    with as_owner_of(state_dir) as folder:
        return sorted(_all(folder / FOLDER), key=lambda one: (one.at, one.id), reverse=True)


def _all(folder: Path) -> list[Proposal]:
    try:
        names = sorted(path.stem for path in folder.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        return []
    found = (_read(folder, name) for name in names if _ID.fullmatch(name))
    return [one for one in found if one is not None]


def _read(folder: Path, name: str) -> Proposal | None:
    try:
        with open_regular(folder / f"{name}.json") as file:
            fields: dict[str, Any] = json.loads(read_up_to(file, FILE_OCTETS_MAX))
        proposal = Proposal(**{**fields, "state": State(fields["state"])})
        if proposal.id != name or not all(map(_is_number, (proposal.at, proposal.expires_at))):
            return None
        shown: dict[str, Any] = {key: printable(getattr(proposal, key)) for key in _SHOWN}
        shown["warnings"] = tuple(printable(str(warning)) for warning in proposal.warnings)
        if proposal.kind == "pause" and not _is_pause(proposal.pause):
            return None
        shown["files"] = {str(path): str(sha256) for path, sha256 in proposal.files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return replace(proposal, **shown)


_SHOWN: Final = ("kind", "who", "via", "reason", "base", "sha256", "headline", "about")
"""Texts that are shown in one line."""


def _is_pause(fields: Mapping[str, Any]) -> bool:
    return _is_number(fields["for_s"]) and isinstance(fields["including_orders"], bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def find(state_dir: Path, name: str, now: float) -> Proposal:
    """The open proposal with this id.  Raises Refused: there is none, or it is decided or expired."""
    proposal = None
    if _ID.fullmatch(name):
        with as_owner_of(state_dir) as folder:
            proposal = _read(folder / FOLDER, name)
    if proposal is None:
        raise Refused(Kind.MISSING, f"there is no proposal {name[:40]}")
    state = proposal.stands(now)
    if state is not State.OPEN:
        by = f" by {proposal.decided_by}" if proposal.decided_by else ""
        raise Refused(Kind.CONFLICT, f"proposal {name} is {state.value}{by}", "propose it anew")
    return proposal


def text_of(state_dir: Path, proposal: Proposal) -> bytes:
    """The text that it makes.  Raises Refused."""
    try:
        with (
            as_owner_of(state_dir) as folder,
            open_regular(folder / FOLDER / f"{proposal.id}.yaml") as file,
        ):
            return read_up_to(file, PROPOSED_OCTETS_MAX)
    except OSError as error:
        detail = f"the text of proposal {proposal.id} cannot be read: {error.strerror}"
        raise Refused(Kind.CONFLICT, detail, "propose it anew") from None


def add(state_dir: Path, proposal: Proposal, text: bytes | None, now: float) -> None:
    """Keep one; call it where nobody else changes anything.  `text` None: it makes none.  Raises Refused."""

    def write(folder: Path) -> None:
        waiting = [one for one in _all(folder) if one.stands(now) is State.OPEN]
        if len(waiting) >= OPEN_MAX:
            raise Refused(Kind.FULL, f"{len(waiting)} proposals wait already", "approve or reject some first")
        if text is not None:
            replace_file(folder / f"{proposal.id}.yaml", text, mode=0o600)
        _write(folder, proposal)
        _drop_old(folder, now)

    _within(state_dir, write)


def decide(state_dir: Path, proposal: Proposal, state: State, who: str, now: float, reason: str) -> Proposal:
    """Note what became of one.  Raises Refused."""
    decided = replace(proposal, state=state, decided_by=who, decided_at=now, decided_reason=reason)

    def write(folder: Path) -> None:
        _write(folder, decided)
        (folder / f"{proposal.id}.yaml").unlink(missing_ok=True)

    _within(state_dir, write)
    return decided


def _write(folder: Path, proposal: Proposal) -> None:
    replace_file(folder / f"{proposal.id}.json", json.dumps(asdict(proposal), indent=1).encode(), mode=0o600)


def _drop_old(folder: Path, now: float) -> None:
    """Remove the texts of what expired, and what is too much of what is decided."""
    over = sorted((one for one in _all(folder) if one.stands(now) is not State.OPEN), key=lambda one: one.at)
    for place, one in enumerate(over):
        # Nothing here is worth failing for.
        with contextlib.suppress(OSError):
            (folder / f"{one.id}.yaml").unlink(missing_ok=True)
            if place < len(over) - KEPT_MAX:
                (folder / f"{one.id}.json").unlink(missing_ok=True)


def _within(state_dir: Path, act: Callable[[Path], None]) -> None:
    try:
        with as_owner_of(state_dir) as here:
            folder = here / FOLDER
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            act(folder)
    except OSError as error:
        raise Refused(Kind.UNWRITABLE, f"{state_dir / FOLDER}: {error.strerror or error}") from None
