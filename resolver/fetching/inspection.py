"""Is this a list at all?  Asked of a download before it replaces the copy that serves.

Knows: what web servers send instead of lists, how many names there are in one.  Does not know: where it
came from, what its names are for.
The commonest broken download is no damaged list but an error page with status 200.
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from resolver.fetching.outcome import FetchFailed, Result
from resolver.policy.lists import ListReader

SNIFF_OCTETS = 4_096
"""How far into a file we look for a page."""
_PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|\?xml|title)\b", re.I | re.S)
_PIECE_OCTETS = 1 << 20


def count_names(path: Path, name: str, list_format: str, octets_max: int) -> int:
    """How many names a list has.  Raises FetchFailed (NOT_A_LIST, TOO_LARGE, TRUNCATED) and OSError."""
    with path.open("rb") as file:
        octets = file.read(octets_max + 1)
    if octets.startswith(b"\x1f\x8b"):
        octets = _unpacked(path, octets_max)
    if not octets.strip(b"\xef\xbb\xbf \t\r\n\0"):
        raise FetchFailed(Result.NOT_A_LIST, "nothing in it")
    if _PAGE.match(octets[:SNIFF_OCTETS].removeprefix(b"\xef\xbb\xbf")):
        raise FetchFailed(Result.NOT_A_LIST, "a web page, not a list")
    reader = ListReader(octets, name, list_format)
    count = sum(len(batch[0]) for batch in reader.batches())
    for problem in reader.problems():
        if problem.severity == "error":
            raise FetchFailed(Result.NOT_A_LIST, problem.message)
    if not count:
        raise FetchFailed(Result.NOT_A_LIST, "not one name in it")
    return count


def _unpacked(path: Path, octets_max: int) -> bytes:
    pieces, total = [], 0
    try:
        with gzip.open(path, "rb") as file:
            while piece := file.read(_PIECE_OCTETS):
                total += len(piece)
                if total > octets_max:
                    raise FetchFailed(
                        Result.TOO_LARGE,
                        f"over {octets_max:,} octets unpacked; the list's size_mb_max permits more",
                    )
                pieces.append(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FetchFailed(Result.TRUNCATED, f"the packed list is damaged: {error}") from None
    return b"".join(pieces)
