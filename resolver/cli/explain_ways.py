"""The ways to explain: one name by the files here, many names, one name by a running server.

Knows: which options go together.  Does not know: how anything is explained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer


@dataclass(slots=True, frozen=True)
class Asked:
    """What every way needs."""

    qtype: str
    client: str | None
    at: str | None
    config: Path | None
    blocklist: Path | None
    as_json: bool


def run_explain(
    name: str | None, file: Path | None, asked: Asked, *, why_not: bool, server: str | None
) -> int:
    """Explain `name`, or the names in `file`; the exit code.

    `server`: ask it, at this address; empty: at that of the settings; None: ask none.
    """
    qtype, client, config, blocklist = asked.qtype, asked.client, asked.config, asked.blocklist
    if file is not None:
        from resolver.cli.explain_file import explain_file

        if why_not or server is not None:
            raise typer.BadParameter("--why-not and --server explain one NAME, not a file")
        return explain_file(
            file,
            qtype=qtype,
            client=client,
            at=asked.at,
            config=config,
            blocklist=blocklist,
            as_json=asked.as_json,
        )
    assert name is not None
    if server is not None:
        from resolver.cli.asking_server import explain_by_server

        if asked.at is not None:
            raise typer.BadParameter("--server says what is now: leave --at out")
        return explain_by_server(
            name,
            qtype=qtype,
            client=client,
            server=server,
            config=config,
            blocklist=blocklist,
            as_json=asked.as_json,
            why_not=why_not,
        )
    from resolver.cli.explain import explain_name

    return explain_name(
        name,
        qtype=qtype,
        client=client,
        at=asked.at,
        config=config,
        blocklist=blocklist,
        as_json=asked.as_json,
        why_not=why_not,
    )
