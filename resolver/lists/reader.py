"""Reads a list file in any format: octets -> names in wire form, and what was left out.

Knows: which reader takes which format, when a list is too bad to be believed.  Does not know: files on
disk, the image, what the list is for.

A line that is none of the format is left out, counted, and the first few are reported: lists from
elsewhere are never clean, and one bad line must not cost the other million.  Past the error budget the
whole list is refused, and whoever asked keeps the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from resolver.lists.adblock import Adblock
from resolver.lists.content import NoList, list_text
from resolver.lists.detection import detect_format
from resolver.lists.dnsmasq import Dnsmasq
from resolver.lists.hosts import Domains, Hosts, Wildcard
from resolver.lists.reading import Batch, ListFormat, NetworkRule, Notes, chunks
from resolver.lists.rpz import Rpz
from resolver.problems import Problem, show

BAD_LINES_FREE = 3
"""Bad lines that never cost a list anything, so that a short one may have its typing errors."""
SIZE_OCTETS_MAX = 256 << 20
ENTRIES_MAX = 10_000_000
ERROR_BUDGET_PERCENT = 10
"""Of the lines that say something; real lists stay under one in a hundred, a wrong format near all."""

FORMATS: Mapping[str, type[ListFormat]] = {
    "domains": Domains,
    "hosts": Hosts,
    "wildcard": Wildcard,
    "adblock": Adblock,
    "dnsmasq": Dnsmasq,
    "rpz": Rpz,
}


@dataclass(frozen=True, slots=True)
class ListLimits:
    """What one list may cost, and how bad it may be."""

    size_octets_max: int = SIZE_OCTETS_MAX
    """Of its text, unpacked."""
    entries_max: int = ENTRIES_MAX
    error_budget_percent: int = ERROR_BUDGET_PERCENT


class ListReader:
    """Reads one list's octets; what went wrong is known when `batches` is exhausted."""

    def __init__(self, octets: bytes, file: str, list_format: str, limits: ListLimits = ListLimits()) -> None:
        """`list_format`: a key of `FORMATS`, or `auto` to find out.  `file` is its name in problems."""
        self.file = file
        self.entry_count = 0
        """Names and networks read, repeated ones included."""
        self.notes = Notes(file)
        self._limits = limits
        self._refusal = ""
        try:
            self._octets = list_text(octets, limits.size_octets_max)
        except NoList as error:
            self._octets = b""
            self._refusal = str(error)
        self.format = detect_format(self._octets) if list_format == "auto" else list_format
        self._reader = FORMATS[self.format]()

    @property
    def networks(self) -> list[NetworkRule]:
        """What the list says of networks in answers; known when `batches` is exhausted."""
        return self._reader.networks

    def batches(self) -> Iterator[Batch]:
        """All names, about in the order of the file."""
        try:
            yield from self._batches()
        except Exception as error:
            # A defect of ours that one list brings out must cost that list alone; it is an error
            # of the list, so it is reported and counted.
            what = f"{type(error).__name__}: {show(str(error))}"
            self._refusal = f"cannot be read, by a defect of its reader ({what})"

    def _batches(self) -> Iterator[Batch]:
        if self._reader.looks_ahead:
            for chunk in chunks(self._octets):
                self._reader.look_ahead(chunk)
        line = 1
        for chunk in chunks(self._octets):
            yield from self._counted(self._reader.read_chunk(chunk, line, self.notes))
            if self._refusal:
                return
            line += chunk.count(b"\n")
        yield from self._counted(self._reader.finish(self.notes))
        self.entry_count += len(self.networks)

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if batch.names:
                self.entry_count += len(batch.names)
                if self.entry_count > self._limits.entries_max:
                    self._refusal = f"has over {self._limits.entries_max:,} entries (entries_max)"
                    return
                yield batch

    def problems(self) -> list[Problem]:
        """What there is to say of the list, once it is read; an error refuses the whole of it."""
        if self._refusal:
            return [Problem(self.file, 0, self._refusal)]
        notes = self.notes
        problems = list(notes.shown)
        left_out = notes.bad_line_count - len(notes.shown)
        if left_out:
            message = f"{left_out} more lines are not of format {self.format!r} and were left out"
            problems.append(Problem(self.file, 0, message, "warning"))
        if skipped := notes.skipped:
            message = f"lines that this server does not use: {notes.skipped_lines()}"
            problems.append(Problem(self.file, 0, message, "warning"))
        if notes.bad_line_count and not self.entry_count and not skipped:
            problems.append(Problem(self.file, 0, f"no line of it is in format {self.format!r}"))
        elif notes.bad_line_count > self._bad_lines_max():
            message = (
                f"{notes.bad_line_count:,} lines are not of format {self.format!r}, over "
                f"{self._limits.error_budget_percent} % of them all (error_budget_percent), so the whole "
                "list is refused"
            )
            problems.append(Problem(self.file, 0, message))
        return problems

    def _bad_lines_max(self) -> int:
        percent = self._limits.error_budget_percent
        lines = self.entry_count + self.notes.skipped.total() + self.notes.bad_line_count
        return max(BAD_LINES_FREE, lines * percent // 100) if percent else 0
