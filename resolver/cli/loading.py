"""Modules are loaded without looking for garbage.

Knows: that what a module makes when it is loaded lives until the end.  Does not know: which module it is.
The garbage collector walks all of it again and again meanwhile, a tenth of the time that a start takes.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """No collection within."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
