"""Where the catalogue of platforms is that comes with the program.

Knows: its place beside the package.  Does not know: what is in it.
"""

from __future__ import annotations

from pathlib import Path

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.files import BadInput

SHIPPED = Path(__file__).resolve().parents[2] / "blocklist.yaml"


def read_catalogue(path: Path | None) -> Blocklist | None:
    """The catalogue in `path`, else the shipped one; None where there is none.  Raises BadInput."""
    wanted = path or SHIPPED
    if path is None and not wanted.exists():
        return None
    found, problems = read_blocklist(wanted, force=True)
    if found is None:
        raise BadInput(problems)
    return found
