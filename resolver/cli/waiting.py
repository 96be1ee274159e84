"""What a command says where what it has written waits for a second person (`http.changes: two-person`).

Knows: which edit of the files waits, how it is approved.  Does not know: who may, how a file was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resolver.changing.blocklist import Place, read_text
from resolver.changing.refusal import Refused
from resolver.changing.second_person import FILE_PREFIX, waiting_file
from resolver.cli.called_as import command
from resolver.config.settings import Settings


def waits_as(settings: Settings, path: Path) -> str | None:
    """The id under which an edit of `path`, as it stands now, waits; None: it does not."""
    if settings.http.changes != "two-person" or path.absolute() != settings.blocklist.absolute():
        return None
    place = Place(settings.blocklist, settings.state_dir, two_person=True)
    try:
        waiting = waiting_file(place, read_text(place))
    except (Refused, OSError):
        return None
    return None if waiting is None else str(waiting["id"])


def waits_json(proposal: str | None) -> dict[str, Any] | None:
    """The same for programs."""
    if proposal is None:
        return None
    return {
        "proposal": proposal,
        "approve": f"POST /api/v1/proposals/{proposal}/approve",
        "alone": alone_command(proposal),
    }


def waits_lines(proposal: str) -> list[str]:
    """The same for people."""
    return [
        f"nothing is in force yet: proposal {proposal} waits for a second person (http.changes: two-person)",
        *approved_how(proposal),
    ]


def approved_how(proposal: str) -> list[str]:
    """What a second person does, and what one does alone."""
    return [
        f"a second person approves it in the dashboard, or with POST /api/v1/proposals/{proposal}/approve",
        f"alone, on this machine: {alone_command(proposal)}",
    ]


def alone_command(proposal: str) -> str:
    """What puts it in force without a second person, recorded."""
    if proposal.startswith(FILE_PREFIX):
        return command("apply --force --reason '...'")
    return command(f"proposals approve {proposal} --force --reason '...'")
