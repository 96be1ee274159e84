"""The commands and their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work; each imports its own
module when it is called, so that `explain` does not wait for a web server to be loaded.
Exit codes: 0 fine, 1 findings, 2 bad input.
"""

from __future__ import annotations

import inspect
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resolver import __version__
from resolver.cli.audit_app import audit_commands
from resolver.cli.changing_app import changing
from resolver.cli.editing import editing
from resolver.cli.explain_ways import Asked, run_explain
from resolver.cli.first_app import first_commands
from resolver.cli.lists_app import list_commands
from resolver.cli.loading import loading
from resolver.cli.options import BlocklistOption, ConfigOption, JsonOption, OptionalServer
from resolver.cli.order_app import order_commands
from resolver.cli.report_app import reporting
from resolver.cli.suggestions_app import suggestion_commands
from resolver.cli.upstreams_app import upstream_commands

app = typer.Typer(
    name="exchange-resolver",
    help="A DNS filtering resolver: forwards, caches, and refuses the names of listed exchanges.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

app.add_typer(first_commands)
app.add_typer(editing)
app.add_typer(changing)
app.add_typer(reporting)
app.add_typer(audit_commands)
app.add_typer(list_commands, name="lists")
app.add_typer(order_commands, name="order")
app.add_typer(suggestion_commands, name="suggestions")
app.add_typer(upstream_commands, name="upstreams")


class SchemaKind(StrEnum):
    """Files that have a schema."""

    BLOCKLIST = "blocklist"
    SETTINGS = "settings"
    RECORDS = "records"
    """One line of a sink of type jsonl."""
    API = "api"
    """The API, in OpenAPI."""


class ExportFormat(StrEnum):
    """What `export` writes."""

    RPZ = "rpz"
    UNBOUND = "unbound"
    DNSMASQ = "dnsmasq"
    HOSTS = "hosts"
    DOMAINS = "domains"
    ADBLOCK = "adblock"
    BIND = "bind"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"exchange-resolver {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config: ConfigOption = None,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Take the place of the server that runs with the same state_dir, without losing a query; "
            "it ends when this one serves.  Where none runs, just start.",
        ),
    ] = False,
) -> None:
    """Serve.  Prints one line when ready; SIGHUP reloads the blocklist, SIGTERM stops.

    After an upgrade SIGUSR2 starts this program anew, to take over.
    """
    with loading():
        from resolver.cli.run import run_server

    raise typer.Exit(run_server(config, take_over=take_over))


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Blocklists to check, and no settings."),
    ] = None,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when there are warnings.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the settings, the blocklist and its lists; every problem as file:line: message."""
    from resolver.cli.check import check_files

    if files and (config or blocklist or (as_json and len(files) > 1)):
        raise typer.BadParameter("give FILE, or --config and --blocklist, not both; --json takes one FILE")
    chosen: list[Path | None] = [*files] if files else [blocklist]
    raise typer.Exit(max(check_files(config, file, strict=strict, as_json=as_json) for file in chosen))


@app.command()
def cert(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Names and addresses in it; default: this machine's name and the addresses of listen.",
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", metavar="FILE", help="Default: tls.certificate, or resolver.pem here."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Default: tls.key, or resolver.key here.")
    ] = None,
    days: Annotated[int, typer.Option("--days", metavar="N", help="How long it is valid.")] = 397,
    config: ConfigOption = None,
) -> None:
    """Make a certificate that signs itself, and its key, for tests and small networks.

    ECDSA (P-256); the key is readable by its owner alone.  Nothing is ever written over.
    """
    from resolver.cli.cert import make_certificate

    raise typer.Exit(make_certificate(names or [], certificate, key, config, days=days))


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Whose it is: a person or a program.")],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="read, edit or approve.")] = "read",
    writes: Annotated[
        bool, typer.Option("--write", help="Put its line into the file that http.tokens_file names.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Make a token of the API.  It is printed once; the file of tokens has its hash alone."""
    from resolver.cli.token import make_token

    raise typer.Exit(make_token(name, role, config, writes=writes))


@app.command()
def find(
    text: Annotated[str, typer.Argument(help="An id, a name, a domain, an order's number, or a part.")],
    catalogue: Annotated[
        Path | None,
        typer.Option(
            "--catalogue",
            metavar="FILE",
            help="Platforms to know; default: those that come with the program.",
        ),
    ] = None,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find exchanges, orders and lists, and say what is in force and until when.

    Exit 1 when nothing is found.
    """
    from resolver.cli.find import find_text

    raise typer.Exit(find_text(text, config, blocklist, catalogue, as_json=as_json))


@app.command(cls=OptionalServer)
def explain(
    name: Annotated[
        str | None, typer.Argument(help="A domain name, or an address to look up in 'addresses'.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", metavar="FILE", help="Names, one a line; -: standard input."),
    ] = None,
    qtype: Annotated[str, typer.Option("--type", metavar="TYPE", help="Query type.")] = "A",
    client: Annotated[
        str | None, typer.Option("--client", metavar="IP", help="Who asks; default: this machine.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="Decide as of YYYY-MM-DD or an RFC 3339 time.")
    ] = None,
    why_not: Annotated[
        bool, typer.Option("--why-not", help="Also list the nearest rules that did not match, and why.")
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="[ADDR]",
            help="Ask the running server, at ADDRESS:PORT of its listen.http; default: that of the settings.",
        ),
    ] = None,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what would be decided about NAME and why; needs no running server.

    With -f one line for each name of a file; exit 2 when one of them is no name.  With --server also what
    the running server has in its cache, what its upstreams say, and what in that would be blocked.
    """
    if (name is None) == (file is None):
        raise typer.BadParameter("give either NAME or -f FILE")
    asked = Asked(qtype, client, at, config, blocklist, as_json)
    raise typer.Exit(run_explain(name, file, asked, why_not=why_not, server=server))


@app.command()
def top(
    config: ConfigOption = None,
    interval_s: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.5, max=3600.0, help="Between two looks.")
    ] = 2.0,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Lines of each kind; default: what fits, or 20."),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            "--records", metavar="FILE", help="Query records as lines of JSON; names are shown from them."
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One snapshot; so also where there is no terminal.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which exchanges, lists and orders are met most, live; asks the running server and the history."""
    from resolver.cli.top import show_top

    raise typer.Exit(
        show_top(config, records, interval_s=interval_s, limit=limit, once=once, as_json=as_json)
    )


@app.command()
def schema(
    kind: Annotated[SchemaKind, typer.Argument(help="Which file.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="The file to write; default: standard output."),
    ] = None,
) -> None:
    """Print the JSON Schema of a file, for editors; `records`: of a line of query records; `api`: OpenAPI."""
    from resolver.cli.check import print_schema

    raise typer.Exit(print_schema(kind.value, output))


@app.command()
def export(
    list_format: Annotated[ExportFormat, typer.Option("--format", help="The kind of file to write.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="The file to write; default: standard output."),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="As of YYYY-MM-DD or an RFC 3339 time.")
    ] = None,
    with_confidential: Annotated[
        bool,
        typer.Option(
            "--with-confidential", help="Write the names of confidential orders, too; no texts of theirs."
        ),
    ] = False,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the policy in force for another resolver; exit 1 lists what the format cannot say."""
    from resolver.cli.export import export_files

    raise typer.Exit(
        export_files(
            list_format.value,
            config=config,
            blocklist=blocklist,
            output=output,
            at=at,
            as_json=as_json,
            with_confidential=with_confidential,
        )
    )


@app.command("import")
def import_register(
    file: Annotated[Path, typer.Argument(help="The register's file.")],
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="e.g. esma-ncasp, ru-dump; see the guide.")
    ],
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a register of an authority would do, writing nothing; exit 1 when not all is enforced."""
    from resolver.cli import importing

    raise typer.Exit(
        importing.import_register(file, kind, config=config, blocklist=blocklist, as_json=as_json)
    )


@app.command()
def demo(as_json: JsonOption = False) -> None:
    """Show the whole system with a built-in upstream: asks, blocks, prints the hit counts."""
    from resolver.cli.demo import run_demo

    raise typer.Exit(run_demo(as_json=as_json))


def _join_lines(commands: typer.Typer) -> None:
    """Make one line of each paragraph of all help texts: the terminal breaks lines where it ends."""
    for command in commands.registered_commands:
        if command.callback is not None and command.callback.__doc__:
            paragraphs = inspect.cleandoc(command.callback.__doc__).split("\n\n")
            command.callback.__doc__ = "\n\n".join(" ".join(one.splitlines()) for one in paragraphs)
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _join_lines(group.typer_instance)


_join_lines(app)
