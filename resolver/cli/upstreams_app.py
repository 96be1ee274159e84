"""The commands of `upstreams`: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
"""

from __future__ import annotations

from typing import Annotated

import typer

from resolver.cli.options import ConfigOption, JsonOption

upstream_commands = typer.Typer(help="The servers that are asked.", no_args_is_help=True)


@upstream_commands.callback()
def upstreams() -> None:
    """The servers that are asked."""


@upstream_commands.command("test")
def try_servers(
    servers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVER]...", help="URLs; default: all that the settings name."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask each upstream and time it: connection, handshake, first and second answer; see its certificate.

    Exit 1 when one gives no answer, or its certificate ends within a week.
    """
    from resolver.cli.upstreams import run_upstreams_test

    raise typer.Exit(run_upstreams_test(config, servers or [], as_json=as_json))
