"""The commands that change what a running server does: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
Exit codes: 0 fine, 1 findings, 2 bad input.
"""

from __future__ import annotations

from typing import Annotated

import typer

from resolver.cli.options import ConfigOption, JsonOption, ReasonOption

changing = typer.Typer()


@changing.command()
def pause(
    length: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 10m, 2h; at most 24h.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the history.")],
    including_orders: Annotated[
        bool, typer.Option("--including-orders", help="Also what authorities ordered (imposed_by: external).")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Filter nothing for a while; it goes on by itself, and the history and the report tell of the gap.

    What an order of an authority asks for stays in force, unless --including-orders.
    """
    from resolver.cli import pausing

    raise typer.Exit(
        pausing.pause(length, reason, config, including_orders=including_orders, as_json=as_json)
    )


@changing.command()
def resume(
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a pause before its time: everything is filtered again."""
    from resolver.cli import pausing

    raise typer.Exit(pausing.resume(reason, config, as_json=as_json))
