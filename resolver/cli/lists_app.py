"""The commands of `lists`: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
"""

from __future__ import annotations

from typing import Annotated

import typer

from resolver.cli.options import BlocklistOption, ConfigOption, JsonOption

list_commands = typer.Typer(help="Lists from files and URLs: how fresh each is, and fetching it now.")


@list_commands.callback(invoke_without_command=True)
def lists(
    context: typer.Context,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each list: source, age of the last success, size, names, problem.  Exit 1 when there is one."""
    if context.invoked_subcommand is not None:
        return
    from resolver.cli.lists import show_lists

    raise typer.Exit(show_lists(config, blocklist, as_json=as_json))


@list_commands.command()
def update(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Accept a list that changed by more than change_max_percent.")
    ] = False,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download lists now.  A running server loads what changed by itself."""
    from resolver.cli.lists import update_lists

    raise typer.Exit(update_lists(names or [], config, blocklist, force=force, as_json=as_json))
