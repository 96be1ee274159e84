"""A response policy zone as a file -> a list of the blocklist.

Knows: that the zone can be read as it is.  Does not know: what its lines mean (`lists/rpz.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from resolver.lists.reader import ListReader
from resolver.migration.gathered import BadConfig, Gathered, Place, TakenList
from resolver.migration.texts import Texts
from resolver.migration.writing import list_name
from resolver.problems import has_errors

PRODUCT: Final = "a response policy zone"


def read(path: Path, texts: Texts) -> Gathered:
    """Name the zone as a list, and say what of it is not used.  Raises BadConfig."""
    gathered = Gathered(PRODUCT)
    add_zone(gathered, path, texts, Place(str(path)), path.stem, {})
    gathered.remark(
        "only this machine and private networks may ask (clients.allow); a zone says nothing of that"
    )
    return gathered


def add_zone(
    gathered: Gathered, path: Path, texts: Texts, place: Place, name: str, keys: dict[str, Any]
) -> None:
    """Add a zone's file as a list.  Raises BadConfig: it is no zone."""
    reader = ListReader(texts.octets(path), str(path), "rpz")
    for _ in reader.batches():
        pass
    problems = reader.problems()
    if has_errors(problems):
        raise BadConfig([problem for problem in problems if problem.severity == "error"])
    for problem in problems:
        at = Place(problem.file, problem.line)
        gathered.lose(at, "rpz", problem.message, "mend the line, or leave it out")
    taken = [one.name for one in gathered.lists]
    entry = {"path": str(path.absolute()), "format": "rpz", **keys}
    gathered.lists.append(TakenList(list_name(name, taken), entry, place))
