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
    with_catalogue: Annotated[
        bool, typer.Option("--with-catalogue", help="Block the exchanges of the catalogue besides.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take another product's configuration over: settings, blocklist, and a list of what has no counterpart.

    Exit 1 when something has none.  Secrets are not copied, and nothing is changed but DIR.
    """
    from resolver.cli.import_config import import_files

    raise typer.Exit(
        import_files(
            file,
            kind.value,
            directory,
            dry_run=dry_run,
            force=force,
            as_json=as_json,
            with_catalogue=with_catalogue,
        )
    )


@first_commands.command()
def init(
    profile: Annotated[
        ProfileName | None,
        typer.Option("--profile", help="For whom; default: asked on a terminal, else home."),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--directory", metavar="DIR", help="Where the files go; made when absent.")
    ] = Path("config"),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take the defaults.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no upstreams; nothing leaves this machine.")
    ] = False,
) -> None:
    """Write a commented first configuration and blocklist for a home, an office or a provider.

    Says who holds the port, which upstreams answer, and how a network is pointed at this server.  Nothing
    else is changed.  Exit 1 when something stands in the way.
    """
    from resolver.cli.init import make_configuration

    name = None if profile is None else profile.value
    raise typer.Exit(make_configuration(name, directory, force=force, yes=yes, offline=offline))


@first_commands.command()
def doctor(
    config: ConfigOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no upstreams; nothing leaves this machine.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with this machine or configuration, with the command that mends it.

    Needs no running server; looks at one where it runs.  Exit 1 when something is wrong.
    """
    from resolver.cli.doctor import diagnose

    raise typer.Exit(diagnose(config, offline=offline, as_json=as_json))
