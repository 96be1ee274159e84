"""What registers say of a name, from the records that stand beside a policy image.

Knows: where they stand.  Does not know: how they are stored, who asks.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from resolver.publishing.compiled import RECORDS_SUFFIX
from resolver.publishing.register_store import Entry, open_store

RECORDS_SHOWN_MAX = 50
"""Records of registers that are shown of one name."""


def records_beside(image: Path, qname: bytes) -> tuple[Entry, ...]:
    """Whatever asks for a name (wire form) or for one above it; nothing where no records can be read."""
    path = image.with_suffix(RECORDS_SUFFIX)
    if path.exists():
        with contextlib.suppress(sqlite3.Error, OSError), open_store(path) as store:
            return tuple(store.of_name(qname, RECORDS_SHOWN_MAX))
    return ()
