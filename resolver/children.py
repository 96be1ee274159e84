"""How this program starts itself again as a child process.

Knows: which interpreter, which modules it can see.  Does not know: what the child does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def child_command(module: str, *arguments: str) -> tuple[str, ...]:
    """The words that run one of our modules.

    `-P`: a folder named `resolver` where the operator happens to stand is not our package.
    """
    return (sys.executable, "-P", "-m", module, *arguments)


def child_environment() -> dict[str, str]:
    """Our own environment, and this package where the child can find it, installed or not."""
    root = str(Path(__file__).parents[1])
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": search}
