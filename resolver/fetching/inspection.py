"""Is this a list at all?  Asked of a download before it replaces the copy that serves.

Knows: that the reader of lists is the judge, so what passes here compiles later.  Does not know: where it
came from, what its names are for.
The commonest broken download is no damaged list but an error page with status 200.
"""

from __future__ import annotations

from pathlib import Path

from resolver.fetching.outcome import FetchFailed, Result
from resolver.policy.downloads import DownloadedList
from resolver.policy.lists import ListLimits, ListReader


def count_entries(path: Path, wanted: DownloadedList) -> int:
    """How many names and networks a list has.  Raises FetchFailed (NOT_A_LIST) and OSError."""
    octets_max = wanted.download.octets_max
    with path.open("rb") as file:
        octets = file.read(octets_max + 1)
    limits = ListLimits(octets_max, wanted.entries_max, wanted.error_budget_percent)
    reader = ListReader(octets, wanted.name, wanted.format, limits)
    for _ in reader.batches():
        pass
    for problem in reader.problems():
        if problem.severity == "error":
            raise FetchFailed(Result.NOT_A_LIST, problem.message)
    if not reader.entry_count:
        raise FetchFailed(Result.NOT_A_LIST, "not one name in it" if octets.strip() else "nothing in it")
    return reader.entry_count
