"""The commands of `suggestions`: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
"""

from __future__ import annotations

from typing import Annotated

import typer

from resolver.cli.options import BlocklistOption, ConfigOption, JsonOption

suggestion_commands = typer.Typer(
    help="Names that look like a listed exchange and were asked for: advice, nothing is blocked by it."
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name that is suggested.")]
WhyOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.")]


@suggestion_commands.callback(invoke_without_command=True)
def suggestions(
    context: typer.Context,
    show_all: Annotated[
        bool, typer.Option("--all", help="Also what scores too little, and what was dismissed.")
    ] = False,
    score_min: Annotated[
        float | None,
        typer.Option("--score-min", metavar="0..1", help="The lowest score; default 0.7.", min=0.0, max=1.0),
    ] = None,
    with_confidential: Annotated[
        bool, typer.Option("--with-confidential", help="Also what looks like a confidential exchange.")
    ] = False,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """List names that look like a listed exchange: how much, why, how often they were asked for."""
    if context.invoked_subcommand is not None:
        return
    from resolver.cli.suggestions import list_suggestions

    raise typer.Exit(
        list_suggestions(
            config,
            blocklist,
            show_all=show_all,
            score_min=score_min,
            with_confidential=with_confidential,
            as_json=as_json,
        )
    )


@suggestion_commands.command()
def accept(
    name: NameArgument,
    exchange: Annotated[
        str | None,
        typer.Option("--exchange", metavar="ID", help="Whose it is, if not what the suggestion says."),
    ] = None,
    reason: WhyOption = None,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a suggested name into the exchange's domains, checked like any edit; comments stay."""
    from resolver.cli.suggestion_decisions import accept_suggestion

    raise typer.Exit(accept_suggestion(name, exchange, reason, config, blocklist, as_json=as_json))


@suggestion_commands.command()
def dismiss(
    name: NameArgument,
    reason: WhyOption = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: suggest the name again.")] = False,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Suggest a name no more; who decided it and when is kept."""
    from resolver.cli.suggestion_decisions import dismiss_suggestion

    raise typer.Exit(dismiss_suggestion(name, reason, config, blocklist, undo=undo, as_json=as_json))
