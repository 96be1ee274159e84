"""The commands that change what a running server does: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
Exit codes: 0 fine, 1 findings, 2 bad input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resolver.cli.options import ConfigOption, ForceOption, JsonOption, ReasonOption

changing = typer.Typer()


@changing.command()
def pause(
    length: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 10m, 2h; at most 24h.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the history.")],
    including_orders: Annotated[
        bool, typer.Option("--including-orders", help="Also what authorities ordered (imposed_by: external).")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Without a second person, where two are needed; it is recorded.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Filter nothing for a while; it goes on by itself, and the history and the report tell of the gap.

    What an order of an authority asks for stays in force, unless --including-orders.  With http.changes:
    two-person it waits for a second person.
    """
    from resolver.cli import pausing

    wanted = pausing.Wanted(length, reason, including_orders, force)
    raise typer.Exit(pausing.pause(wanted, config, as_json=as_json))


@changing.command()
def resume(
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a pause before its time: everything is filtered again."""
    from resolver.cli import pausing

    raise typer.Exit(pausing.resume(reason, config, as_json=as_json))


# Edits.

edit_commands = typer.Typer(help="Change the blocklist, its comments kept; checked as the server loads it.")
changing.add_typer(edit_commands, name="edit")

_AddOption = Annotated[bool, typer.Option("--add", help="It is new.")]
_RemoveOption = Annotated[bool, typer.Option("--remove", help="Take it out, with all in it.")]
_SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="As the blocklist has it; lists with commas. Repeatable."
    ),
]
_DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
_UnsetOption = Annotated[
    list[str] | None, typer.Option("--unset", metavar="KEY", help="Take a key out. Repeatable.")
]


@edit_commands.command()
def exchange(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of the exchange.")],
    add: _AddOption = False,
    remove: _RemoveOption = False,
    sets: _SetOption = None,
    unsets: _UnsetOption = None,
    add_domains: Annotated[
        list[str] | None, typer.Option("--add-domain", metavar="NAME", help="Repeatable.")
    ] = None,
    remove_domains: Annotated[
        list[str] | None, typer.Option("--remove-domain", metavar="NAME", help="Repeatable.")
    ] = None,
    reason: ReasonOption = None,
    force: ForceOption = False,
    dry_run: _DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add, change or remove an exchange: its name, domains, dates, mode, action, orders."""
    from resolver.cli.changing import Asked, How, edit_entry

    lists = sets or [], unsets or [], add_domains or [], remove_domains or []
    raise typer.Exit(
        edit_entry(Asked("exchange", name, add, remove, *lists), How(reason, force, config, as_json, dry_run))
    )


@edit_commands.command()
def order(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of the order.")],
    add: _AddOption = False,
    remove: _RemoveOption = False,
    sets: _SetOption = None,
    unsets: _UnsetOption = None,
    reason: ReasonOption = None,
    force: ForceOption = False,
    dry_run: _DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add, change or remove an order; 'order import' reads one from its file."""
    from resolver.cli.changing import Asked, How, edit_entry

    asked = Asked("order", name, add, remove, sets or [], unsets or [])
    raise typer.Exit(edit_entry(asked, How(reason, force, config, as_json, dry_run)))


@edit_commands.command()
def exception(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name that is let through.")],
    add: _AddOption = False,
    remove: _RemoveOption = False,
    sets: _SetOption = None,
    unsets: _UnsetOption = None,
    reason: ReasonOption = None,
    force: ForceOption = False,
    dry_run: _DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add, change or remove an exception (allow): its dates, its reason, its ticket."""
    from resolver.cli.changing import Asked, How, edit_entry

    asked = Asked("exception", name, add, remove, sets or [], unsets or [])
    raise typer.Exit(edit_entry(asked, How(reason, force, config, as_json, dry_run)))


@edit_commands.command("from")
def edit_from_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON, a list of edits; -: standard input.")],
    reason: ReasonOption = None,
    force: ForceOption = False,
    dry_run: _DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Carry out a list of edits, all or none, in the form that the API takes."""
    from resolver.cli.changing import How, edit_from

    raise typer.Exit(edit_from(file, How(reason, force, config, as_json, dry_run)))


# Proposals.

proposal_commands = typer.Typer(help="Changes that wait for a second person (http.changes: two-person).")
changing.add_typer(proposal_commands, name="proposals", invoke_without_command=True)

_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Of the proposal.")]


@proposal_commands.callback()
def proposals(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List what waits for a second person, and what became of others."""
    from resolver.cli.changing import list_proposals

    if context.invoked_subcommand is None:
        raise typer.Exit(list_proposals(config, as_json=as_json))
    context.obj = config


@proposal_commands.command("show")
def show_proposal(
    context: typer.Context, name: _IdArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show one proposal, and what it would change."""
    from resolver.cli.changing import show_proposal

    raise typer.Exit(show_proposal(name, config or context.obj, as_json=as_json))


@proposal_commands.command("approve")
def approve_proposal(
    context: typer.Context,
    name: _IdArgument,
    force: Annotated[bool, typer.Option("--force", help="Without a second person; it is recorded.")] = False,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a proposal in force alone, with --force and --reason.

    A second person does it in the dashboard or by the API (POST /api/v1/proposals/ID/approve).
    """
    from resolver.cli.changing import How, decide_proposal

    how = How(reason, force, config or context.obj, as_json)
    raise typer.Exit(decide_proposal("approve", name, how))


@proposal_commands.command("reject")
def reject_proposal(
    context: typer.Context,
    name: _IdArgument,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a proposal away."""
    from resolver.cli.changing import How, decide_proposal

    how = How(reason, False, config or context.obj, as_json)
    raise typer.Exit(decide_proposal("reject", name, how))
