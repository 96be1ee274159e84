"""The commands on reports: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resolver.cli.options import BlocklistOption, ConfigOption, JsonOption

reporting = typer.Typer()
report_commands = typer.Typer()
reporting.add_typer(report_commands, name="report", invoke_without_command=True)


class ReportFormat(StrEnum):
    """What a report is written as."""

    MARKDOWN = "markdown"
    HTML = "html"
    CSV = "csv"
    JSON = "json"


@report_commands.callback()
def report(
    context: typer.Context,
    form: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Default: what the name of --output says, else markdown."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="The file to write; default: standard output."),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", metavar="KEY", help="Private key; the signature is written to FILE.sig."),
    ] = None,
    order: Annotated[
        str | None, typer.Option("--order", metavar="ID", help="One order alone; default: all.")
    ] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="First day; default: 30 days up to the last one."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last day; default: today.")
    ] = None,
    language: Annotated[
        str, typer.Option("--language", metavar="L", help="ar de en es fr it ja nl pl pt tr uk")
    ] = "en",
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
) -> None:
    """Write the report for an authority: what was ordered, what is in force since when, what is not and why.

    Needs no running server.  --sign also signs it (Ed25519); `verify-report` or openssl checks it.
    """
    from resolver.cli.report import Request, write_report

    if context.invoked_subcommand is not None:
        return
    chosen = None if form is None else form.value
    raise typer.Exit(
        write_report(Request(chosen, output, sign, order, first, last, language, config, blocklist))
    )


@report_commands.command()
def keygen(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The private key; the public one is PATH.pub.")
    ],
) -> None:
    """Make a key pair for signing reports: PATH, for its owner alone, and PATH.pub to give away.

    Nothing is ever written over.
    """
    from resolver.cli.report_keys import make_keys

    raise typer.Exit(make_keys(path))


@reporting.command(name="verify-report")
def verify_report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The report; its signature is FILE.sig.")],
    key: Annotated[Path, typer.Argument(metavar="PUBLIC_KEY", help="The public key of who signed it.")],
    as_json: JsonOption = False,
) -> None:
    """Check the signature of a report.

    Exit 0: it is as it was signed; 1: it is not, or another key signed it; 2: that cannot be told.
    """
    from resolver.cli.report_keys import check_signature

    raise typer.Exit(check_signature(file, key, as_json=as_json))
