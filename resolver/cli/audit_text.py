"""The result of an audit for people: a table on a terminal, and JSON or JUnit for programs.

Knows: columns, escapes, a progress bar.  Does not know: how it was found.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from resolver.audit.results import GRAVITY, AuditResult, NameResult, Status, as_json, is_finding
from resolver.cli.audit_junit import junit_text
from resolver.cli.moments import iso_moment
from resolver.cli.progress import progress_bar
from resolver.plurals import counted
from resolver.problems import printable

NAMES_SHOWN_MAX = 500
"""Rows of a table that somebody reads."""
LEFT_OUT_SHOWN_MAX = 5
"""Sources that are named of those with names that were not asked."""
CELL_CHARS_MAX = 300
"""Longer texts are cut: an order's title may have 60 kB."""


@contextlib.contextmanager
def progress_of(servers: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal while questions are asked; gives what to call with (done, planned)."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with progress_bar(*columns) as progress:
        task = progress.add_task(f"asking {counted(servers, 'server')}", total=None)

        def tell(done: int, planned: int) -> None:
            if done % 50 == 0 or done == planned:
                progress.update(task, completed=done, total=planned)

        yield tell


def print_result(result: AuditResult, *, as_json: bool, as_junit: bool) -> None:
    """Print it in the form that was asked for."""
    if as_junit:
        print(junit_text(result), end="")
    elif as_json:
        print(_json_text(result))
    else:
        _print_tables(result)


def _json_text(result: AuditResult) -> str:
    return json.dumps(as_json(result), indent=2)


def _print_tables(result: AuditResult) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(Text(f"Audit of {cell(result.blocklist)}, {iso_moment(result.started_at)}"))
    if result.paused_until:
        until = iso_moment(result.paused_until)
        console.print(Text(f"FILTERING IS PAUSED until {until}: what is paused counts as pending."))
    console.print(_servers_table(result))
    told = sorted(filter(is_finding, result.names), key=lambda name: GRAVITY[name.status])
    if told:
        console.print(_names_table(result, told[:NAMES_SHOWN_MAX]))
    if len(told) > NAMES_SHOWN_MAX:
        console.print(Text(f"... and {len(told) - NAMES_SHOWN_MAX:,} more; --json has all of them."))
    for lag in result.lags:
        console.print(Text(cell(f"Lag: {f'list {lag.list}: ' if lag.list else ''}{lag.text}")))
    _print_what_does_not_resolve(console, result)
    _print_what_is_beyond_dns(console, result)
    _print_notes(console, result)
    if result.left_out:
        most = sorted(result.left_out.items(), key=lambda pair: -pair[1])
        sources = ", ".join(f"{source} {count:,}" for source, count in most[:LEFT_OUT_SHOWN_MAX])
        more = ", ..." if len(most) > LEFT_OUT_SHOWN_MAX else ""
        left = counted(sum(result.left_out.values()), "name")
        console.print(Text(cell(f"Not in the sample: {left} ({sources}{more}).")))
    if result.address_rules:
        told_of = counted(result.address_rules, "network")
        console.print(Text(f"Not asked: rules for {told_of}, which no question proves."))
    counts = ", ".join(f"{count:,} {status}" for status, count in result.counts().items() if count)
    console.print(Text(f"{counted(len(result.names), 'name')}: {counts or 'nothing to prove'}"))


def _print_what_does_not_resolve(console: Console, result: AuditResult) -> None:
    """Exceptions and protected names of which nothing is known: no rule's doing."""
    for kind, noun in (("allow", "exception"), ("protected", "protected name")):
        names = [name for name in result.names if name.kind == kind and name.status is Status.UNKNOWN]
        if names:
            examples = ", ".join(name.written for name in names[:3])
            text = f"Not known whether {counted(len(names), noun)} resolve: {names[0].gravest.reason}"
            console.print(Text(cell(f"{text} ({examples}{', ...' if len(names) > 3 else ''})")))


def _print_what_is_beyond_dns(console: Console, result: AuditResult) -> None:
    """What orders name and no rule could block: a person should know, and can mend nothing here."""
    names = [name for name in result.names if name.is_beyond_dns]
    for name in names[:LEFT_OUT_SHOWN_MAX]:
        why = name.gravest.reason.partition(": ")[2]
        console.print(Text(cell(f"Not asked (order {name.source}): {why}")))
    if len(names) > LEFT_OUT_SHOWN_MAX:
        console.print(
            Text(f"... and {len(names) - LEFT_OUT_SHOWN_MAX:,} more; 'order show' has all of them.")
        )


def _servers_table(result: AuditResult) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SERVER", overflow="fold")
    for column in ("ASKED", "ANSWERED", "REPEATED", "MEDIAN"):
        table.add_column(column, justify="right")
    table.add_column("REMARKS", overflow="fold")
    for number, server in enumerate(result.servers, start=1):
        mark = "" if len(result.servers) == 1 else f"#{number} "
        for listener in server.listeners:
            table.add_row(
                Text(f"{mark}{cell(listener.label)}"),
                f"{listener.asked:,}",
                f"{listener.answered:,}",
                f"{listener.repeated:,}",
                f"{listener.median_ms:.1f} ms",
                Text(cell(listener.says or "-")),
            )
    return table


def _names_table(result: AuditResult, names: list[NameResult]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "OF"):
        table.add_column(column, overflow="fold")
    for number, _ in enumerate(result.servers, start=1):
        # Of several by its number: addresses would leave no room for the reason.
        table.add_column("RESULT" if len(result.servers) == 1 else f"#{number}", no_wrap=True)
    table.add_column("WHY", overflow="fold")
    for name in names:
        mark = " (confidential)" if name.is_confidential else ""
        worst = name.gravest
        fault = worst.faults[0] if worst.faults else None
        asked = f"{fault.question} at {fault.listener}: " if fault and fault.listener else ""
        table.add_row(
            Text(cell(name.written)),
            Text(cell(f"{name.kind} {name.source}{mark}")),
            *(Text(proof.status.value) for proof in name.proofs),
            Text(cell(f"{asked}{worst.reason}")),
        )
    return table


def _print_notes(console: Console, result: AuditResult) -> None:
    for server in result.servers:
        for note in server.notes[:20]:
            examples = f": {', '.join(note.examples[:3])}" if note.examples else ""
            text = f"Note on {server.name}: {note.text} ({counted(note.count, 'time')}{examples})"
            console.print(Text(cell(text)))


def cell(text: str) -> str:
    """Text that may be a stranger's, for one place of a table: escaped and cut."""
    cut = text if len(text) <= CELL_CHARS_MAX else text[:CELL_CHARS_MAX] + "..."
    return printable(cut)
