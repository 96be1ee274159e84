"""`audit` and its options.

Knows: argv, help texts.  Does not know: how the command does its work.
"""

from __future__ import annotations

from typing import Annotated

import typer

from resolver.cli.options import BlocklistOption, ConfigOption, JsonOption

audit_commands = typer.Typer()


@audit_commands.command()
def audit(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[ADDRESS]...", help="Further servers, behind --server.")
    ] = None,
    server: Annotated[
        list[str] | None,
        typer.Option(
            "--server",
            metavar="ADDRESS",
            help=(
                "Other resolvers to compare, as 192.0.2.1, 192.0.2.1:53, tls://192.0.2.1#dns.example or "
                "https://dns.example/dns-query; default: this server."
            ),
        ),
    ] = None,
    order: Annotated[str, typer.Option("--order", metavar="ID", help="Only what cites this order.")] = "",
    exchange: Annotated[str, typer.Option("--exchange", metavar="ID", help="Only this exchange.")] = "",
    register: Annotated[
        str, typer.Option("--register", metavar="NAME", help="Only this list, all of it.")
    ] = "",
    qps: Annotated[
        float | None,
        typer.Option("--qps", metavar="N", min=1, help="Questions a second to each server; default: 1000."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="At most N names, of every source some."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="SOA, EDE and TTL decide of another resolver, too.")
    ] = False,
    config: ConfigOption = None,
    blocklist: BlocklistOption = None,
    as_json: JsonOption = False,
    as_junit: Annotated[bool, typer.Option("--junit", help="JUnit XML.")] = False,
) -> None:
    """Prove by live questions that what is in force is blocked, here or on any other resolver.

    Exit 1 when something in force is not, or is not proved to be, or more is blocked than meant.
    """
    from resolver.cli.audit import Choices, audit_policy

    if as_json and as_junit:
        raise typer.BadParameter("give --json or --junit, not both")
    if more and not server:
        raise typer.BadParameter("servers are named with --server ADDRESS...")
    servers = (*(server or ()), *(more or ()))
    choices = Choices(servers, order, exchange, register, qps, sample, strict, as_json, as_junit)
    raise typer.Exit(audit_policy(config, blocklist, choices))
