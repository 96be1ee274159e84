"""How a person called this program: the words that a command we print begins with.

Knows: the words of this process, where commands are looked for.  Does not know: which command is printed.
Theory: in the folder of a clone the program is `.venv/bin/exchange-resolver`, and a command that is printed
without its folder would not be found when it is copied.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

NAME: Final = "exchange-resolver"
_CONFIG: Final = "--config"


def called_as(argv0: str | None = None) -> str:
    """`exchange-resolver` where a shell finds this very program by it, else the path it was called by."""
    called = sys.argv[0] if argv0 is None else argv0
    if Path(called).name != NAME:
        return NAME
    found = shutil.which(NAME)
    is_found = found is not None and Path(found).resolve() == Path(called).resolve()
    return NAME if is_found else shlex.quote(called)


def command(words: str, argv: Sequence[str] | None = None) -> str:
    """`words` as a command of this program to copy, with the settings that this process was given."""
    argv = sys.argv if argv is None else argv
    config = ""
    for word, behind in pairwise([*argv[1:], ""]):
        if word == _CONFIG:
            config = behind
        elif word.startswith(f"{_CONFIG}="):
            config = word.partition("=")[2]
    named = f" {_CONFIG} {shlex.quote(config)}" if config else ""
    return f"{called_as(argv[0])} {words}{named}"
