"""Options that many commands share.

Knows: their names and help texts.  Does not know: the commands.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings; default: config/resolver.yaml here, then /etc/exchange-resolver/resolver.yaml.",
    ),
]
BlocklistOption = Annotated[
    Path | None,
    typer.Option("--blocklist", metavar="FILE", help="Policy; default: the one that the settings name."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Overrule the safety rails, for exactly this content; needs --reason.")
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the history.")
]

_SERVER = "--server"
_PLACE = re.compile(r"http://\S+|(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):[0-9]+")
"""What behind `--server` is its address rather than a name to explain: it has a port, or is a URL."""


class OptionalServer(TyperCommand):
    """A command whose `--server` may stand without an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `TyperCommand`: an address is put in place of the one left out, an empty one."""
        given = []
        for place, argument in enumerate(args):
            following = args[place + 1] if place + 1 < len(args) else ""
            is_bare = argument == _SERVER and not _PLACE.fullmatch(following)
            given.append(f"{_SERVER}=" if is_bare else argument)
        return super().parse_args(ctx, given)
