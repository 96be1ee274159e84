"""The catalogue of platforms that a command goes by: the one it is given, or the shipped one.

Knows: how it is read.  Does not know: what is in it.
"""

from __future__ import annotations

from pathlib import Path

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.files import BadInput
from resolver.orders.platforms import SHIPPED


def read_catalogue(path: Path | None) -> Blocklist | None:
    """The catalogue in `path`, else the shipped one; None where there is none.  Raises BadInput."""
    wanted = path or SHIPPED
    if path is None and not wanted.exists():
        return None
    found, problems = read_blocklist(wanted, force=True)
    if found is None:
        raise BadInput(problems)
    return found
