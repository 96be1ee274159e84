"""Reads a register: pieces of a file -> records, or the reason why the whole is refused.

Knows: limits.  Does not know: formats (`kinds`), what becomes of a record (`judging`).
A register is an authority's word: unlike a list it is never believed in part.  A row that cannot be told
apart, octets of another charset, an end in the middle refuse the whole, and whoever asked keeps what it had.
A name that nobody can read costs only itself, within a budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from resolver.blocklist.registers import RegisterFormat
from resolver.problems import show
from resolver.registers.kinds import reader_of
from resolver.registers.octets import text_pieces
from resolver.registers.record import Record, RegisterRefused, Scope

INVALID_FREE = 3
"""Names that cannot be read and never cost a register anything: a short one may have its typing errors."""


@dataclass(frozen=True, slots=True)
class RegisterLimits:
    """What one register may cost, and how bad it may be."""

    size_octets_max: int = 256 << 20
    """Of its text, unpacked."""
    entries_max: int = 10_000_000
    """Names, URLs and addresses."""
    error_budget_percent: int = 10
    """Of them may be none."""


def read_register(
    pieces: Iterable[bytes], wanted: RegisterFormat, limits: RegisterLimits = RegisterLimits()
) -> Iterator[Record]:
    """All records, in the order of the file.

    Raises `RegisterRefused` at whatever point: then nothing that came before counts.
    """
    entries = invalid = 0
    first_line = 0
    first = ""
    for record in reader_of(wanted)(text_pieces(pieces, limits.size_octets_max)):
        entries += len(record.asks)
        if entries > limits.entries_max:
            raise RegisterRefused(f"has over {limits.entries_max:,} entries (entries_max)", line=record.line)
        for asked in record.asks:
            if asked.scope is Scope.NOTHING and not record.removed:
                if not invalid:
                    first, first_line = asked.why, record.line
                invalid += 1
        yield record
    percent = limits.error_budget_percent
    if invalid > (max(INVALID_FREE, entries * percent // 100) if percent else 0):
        raise RegisterRefused(
            f"{invalid:,} of {entries:,} names cannot be read, over {percent} % (error_budget_percent); "
            f"the first: {show(first)}",
            line=first_line,
        )
