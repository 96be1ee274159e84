"""Options that many commands share.

Knows: their names and help texts.  Does not know: the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
