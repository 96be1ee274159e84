"""The commands of `order`: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resolver.cli.options import BlocklistOption, ConfigOption, JsonOption

order_commands = typer.Typer(
    help="Orders of authorities: import one, and say what of each is in force.", no_args_is_help=True
)


class OrderMode(StrEnum):
    """What an order does to what cites it."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    DISABLED = "disabled"


class Scope(StrEnum):
    """What comes under an imported order."""

    PLATFORM = "platform"
    NAMED = "named"


class FileKind(StrEnum):
    """How the file of an order is read."""

    AUTO = "auto"
    TEXT = "text"
    CSV = "csv"
    HTML = "html"
    PDF = "pdf"


def _text(option: str, metavar: str, doc: str) -> object:
    return typer.Option(option, metavar=metavar, help=doc)


FileArgument = Annotated[
    Path, typer.Argument(help="The order: text, CSV, HTML or PDF; -: standard input.", metavar="FILE")
]
IdOption = Annotated[str, typer.Option("--id", metavar="ID", help="Id of the order in the blocklist.")]
FromOption = Annotated[str | None, _text("--from", "DATE", "First day in force.")]
UntilOption = Annotated[str | None, _text("--until", "DATE", "First day not in force any more.")]
ThroughOption = Annotated[str | None, _text("--through", "DATE", "Last day in force; or --until.")]
ZoneOption = Annotated[str | None, _text("--time-zone", "ZONE", "Of these dates; default: the blocklist's.")]
ModeOption = Annotated[OrderMode | None, typer.Option("--mode", help="shadow: count, do not block.")]
ScopeOption = Annotated[
    Scope,
    typer.Option("--scope", help="platform: all names of a platform that is named; named: only those."),
]
TakeOption = Annotated[
    list[str] | None, _text("--take", "NAME", "A suggestion or a doubtful name that is meant; repeat it.")
]
AuthorityOption = Annotated[str | None, _text("--authority", "TEXT", "Who ordered it.")]
TitleOption = Annotated[str | None, _text("--title", "TEXT", "What it is called.")]
ReferenceOption = Annotated[str | None, _text("--reference", "TEXT", "Its number.")]
DateOption = Annotated[str | None, _text("--date", "DATE", "When it was issued.")]
UrlOption = Annotated[str | None, _text("--url", "URL", "Where it can be read.")]
ReceivedOption = Annotated[str | None, _text("--received", "MOMENT", "When it came.")]
DueOption = Annotated[str | None, _text("--due", "MOMENT", "By when it must be in force.")]
ConfidentialOption = Annotated[
    bool, typer.Option("--confidential", help="Its names are in no answer, metric, log or shared export.")
]
KindOption = Annotated[FileKind, typer.Option("--format", help="How to read the file.")]
EncodingOption = Annotated[
    str | None, _text("--encoding", "NAME", "Of the file where it is not UTF-8, e.g. windows-1252.")
]
CatalogueOption = Annotated[
    Path | None, _text("--catalogue", "FILE", "Platforms to know; default: the shipped ones.")
]
WriteOption = Annotated[
    bool, typer.Option("--write", help="Put it into the blocklist; without it, only say what would be.")
]


@order_commands.command(name="import")
def import_(
    file: FileArgument,
    order_id: IdOption,
    starts: FromOption = None,
    until: UntilOption = None,
    through: ThroughOption = None,
    time_zone: ZoneOption = None,
    mode: ModeOption = None,
    scope: ScopeOption = Scope.PLATFORM,
    take: TakeOption = None,
    authority: AuthorityOption = None,
    title: TitleOption = None,
    reference: ReferenceOption = None,
    date: DateOption = None,
    url: UrlOption = None,
    received: ReceivedOption = None,
    due: DueOption = None,
    confidential: ConfidentialOption = False,
    kind: KindOption = FileKind.AUTO,
    encoding: EncodingOption = None,
    catalogue: CatalogueOption = None,
    write: WriteOption = False,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read an order and propose what to put into the blocklist.

    Three parts: platforms that are known, new ones, and what is not taken and why, each with its line.
    Exit 1 when something is not taken.
    """
    from resolver.cli.order import Request, import_order
    from resolver.orders.plan import OrderTexts

    basis = (authority, title, reference, date, url)
    dates = (starts, until, through, mode.value if mode else None, received, due)
    request = Request(
        file=file,
        texts=OrderTexts(order_id, file.name, *basis, *dates, confidential),
        time_zone=time_zone,
        is_named=scope is Scope.NAMED,
        take=tuple(take or ()),
        kind=kind.value,
        encoding=encoding,
        catalogue=catalogue,
        write=write,
        config=config,
        blocklist=blocklist,
        as_json=as_json,
    )
    raise typer.Exit(import_order(request))


@order_commands.command(name="list")
def list_(
    config: ConfigOption = None, blocklist: BlocklistOption = None, as_json: JsonOption = False
) -> None:
    """List the orders: what each asks for, whether it is in force, what is due.

    Exit 1 when one is overdue.
    """
    from resolver.cli.order_show import list_orders

    raise typer.Exit(list_orders(config, blocklist, as_json=as_json))


@order_commands.command()
def show(
    order_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the order.")],
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one order: what it asks for, since when it is in force, and what of it is not enforced and why."""
    from resolver.cli.order_show import show_order

    raise typer.Exit(show_order(order_id, config, blocklist, as_json=as_json))
