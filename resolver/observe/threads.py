"""Names of Python's threads for the kernel, so that `top -H` and measurements can tell them apart.

Knows: /proc.  Does not know: what a thread does.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path


def name_this_thread(name: str) -> None:
    """Give the calling thread a name for the kernel, at most 15 octets, where that is possible."""
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)
