"""Where the dashboard's files are: `make web` builds them into the folder `built` beside this.

Knows: where.  Does not know: what they show (`web/`), how they are served (`resolver/web/dashboard.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

BUILT: Final = Path(__file__).parent / "built"
"""Is not there where it was not built; the program works without it."""
