"""The commands of those who edit the blocklist: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
Exit codes: 0 fine, 1 findings (a difference, a file to be tidied), 2 bad input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resolver.cli.options import ConfigOption, ForceOption, JsonOption, ReasonOption

editing = typer.Typer()
history_commands = typer.Typer(help="What was served when, by whom, and what each change did.")
editing.add_typer(history_commands, name="history", invoke_without_command=True)

_SIDE = "A blocklist, or the number of a generation of the history."


@editing.command()
def diff(
    old: Annotated[str, typer.Argument(help=_SIDE)],
    new: Annotated[str, typer.Argument(help=_SIDE)],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request.")] = False,
) -> None:
    """Say what a change of blocklist would do: exchanges, names and actions gained, lost, changed."""
    from resolver.cli.diff import diff_blocklists

    raise typer.Exit(diff_blocklists(old, new, config, as_json=as_json, as_markdown=as_markdown))


@editing.command()
def apply(
    force: ForceOption = False,
    reason: ReasonOption = None,
    config: ConfigOption = None,
) -> None:
    """Check the blocklist, say what it changes, and have the running server load it.

    With --force it is accepted although a safety rail objects.
    """
    from resolver.cli.apply import apply_blocklist

    raise typer.Exit(apply_blocklist(config, force=force, reason=reason))


@editing.command()
def rollback(
    number: Annotated[int | None, typer.Argument(help="A generation of the history.", min=1)] = None,
    previous: Annotated[
        bool, typer.Option("--previous", help="The last blocklist that served before the one in the file.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    force: ForceOption = False,
    reason: ReasonOption = None,
    config: ConfigOption = None,
) -> None:
    """Write an earlier generation back over the blocklist; the running server loads it as any edit.

    With --reason it passes the safety rails, for it served before; the history then says that it was forced.
    """
    from resolver.cli.apply import roll_back

    if (number is None) != previous:
        raise typer.BadParameter("give either the number of a generation or --previous")
    raise typer.Exit(roll_back(number, config, dry_run=dry_run, force=force, reason=reason))


@history_commands.callback()
def history(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", help="How many, newest first.", min=1)] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was served when, by whom, and what each change did, newest first."""
    from resolver.cli.history import list_history

    if context.invoked_subcommand is None:
        raise typer.Exit(list_history(config, limit=limit, as_json=as_json))
    context.obj = config


@history_commands.command()
def show(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="A generation of the history.", min=1)],
    text: Annotated[bool, typer.Option("--text", help="Print only the blocklist of that time.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one generation: what it changed, who applied it and why."""
    from resolver.cli.history import show_generation

    raise typer.Exit(show_generation(number, config or context.obj, text=text, as_json=as_json))


@editing.command()
def fmt(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Blocklists; default: the one that the settings name."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if it would.")] = False,
    sort_exchanges: Annotated[
        bool, typer.Option("--sort-exchanges", help="Sort the exchanges by id as well.")
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema", metavar="URL", help="Put this JSON Schema into the first line, where editors find it."
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tidy a blocklist: domains sorted, in lower case, quoted alike; comments stay."""
    from resolver.cli.fmt import format_files

    raise typer.Exit(
        format_files(
            files or [], config, check=check, sort_exchanges=sort_exchanges, schema=schema, as_json=as_json
        )
    )
