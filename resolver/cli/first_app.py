"""The commands of somebody who begins: their options, nothing else.

Knows: argv, help texts, exit codes.  Does not know: how a command does its work.
Exit codes: 0 fine, 1 findings (something has no counterpart, something is wrong), 2 bad input.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resolver.cli.options import ConfigOption, JsonOption

first_commands = typer.Typer()


class Product(StrEnum):
    """Whose configuration it is."""

    AUTO = "auto"
    PIHOLE = "pihole"
    ADGUARDHOME = "adguardhome"
    BLOCKY = "blocky"
    DNSMASQ = "dnsmasq"
    UNBOUND = "unbound"
    RPZ = "rpz"


class ProfileName(StrEnum):
    """For whom a first configuration is."""

    HOME = "home"
    OFFICE = "office"
    PROVIDER = "provider"


@first_commands.command("import-config")
def import_config(
    file: Annotated[
        Path, typer.Argument(help="Its main file; of Pi-hole also its folder, or what Teleporter exports.")
    ],
    kind: Annotated[
        Product, typer.Option("--from", help="Whose it is; rpz: a zone's file, or BIND's named.conf.")
    ] = Product.AUTO,
    directory: Annotated[
        Path, typer.Option("--directory", metavar="DIR", help="Where the files go; made when absent.")
    ] = Path("imported"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what has no counterpart.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take another product's configuration over: settings, blocklist, and a list of what has no counterpart.

    Exit 1 when something has none.  Secrets are not copied, and nothing is changed but DIR.
    """
    from resolver.cli.import_config import import_files

    raise typer.Exit(import_files(file, kind.value, directory, dry_run=dry_run, force=force, as_json=as_json))
