"""Where tokens come from: a file, and the environment; read again when the file changes.

Knows: files, who may write them, the last good state.  Does not know: what a line says (`tokens`), HTTP.
Theory: a file is taken whole or not at all, so that half of an edit takes nobody's token away and lets nobody
in.  While it cannot be used, the tokens before it count.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from resolver.api.tokens import ENVIRONMENT, Caller, Token, caller_with, read_tokens
from resolver.problems import Problem, printable

FILE_OCTETS_MAX: Final = 64 * 1024
LOOK_EVERY_S: Final = 1.0
"""A token that was taken out of the file is good for so long at most."""

_log = logging.getLogger("resolver.api")

_Stamp = tuple[int, ...]


class TokenFile:
    """The tokens of one server."""

    def __init__(self, path: Path | None, environment: Mapping[str, str], now: Callable[[], float]) -> None:
        """`path`: None: only the environment has some."""
        self._path = path
        self._now = now
        self._from_environment, problems = _of_environment(environment)
        self._from_file: list[Token] = []
        self._stamp: _Stamp | None = None
        self._looked_at = float("-inf")
        self._troubles = ["; ".join(map(str, problems)), ""]
        """What is wrong with the environment, and with the file."""
        for problem in problems:
            _log.error("%s", problem)
        self.look()

    @property
    def has_any(self) -> bool:
        """Whether anybody has a token."""
        self.look()
        return bool(self._tokens)

    def caller_with(self, token: str) -> Caller | None:
        """Whose token this is now; None: nobody's."""
        self.look()
        return caller_with(token, self._tokens)

    def has(self, caller: Caller) -> bool:
        """Whether the very token that said this is still there, with the same role."""
        self.look()
        return any(token.caller == caller for token in self._tokens)

    def look(self) -> None:
        """Look at the file, once a second at the most; it is small, and read here."""
        now = self._now()
        if self._path is None or now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        stamp = _stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        tokens, problems = read_file(self._path)
        trouble = "; ".join(map(str, problems[:3]))
        if not problems:
            self._from_file = tokens
            if self._troubles[1]:
                _log.info("the tokens can be used again", extra={"file": str(self._path)})
        elif trouble != self._troubles[1]:
            _log.error("tokens cannot be used, those before count: %s", trouble)
        self._troubles[1] = trouble

    @property
    def trouble(self) -> str:
        """Why tokens as they stand are not those that count; empty: they are."""
        return "; ".join(filter(None, self._troubles))

    @property
    def _tokens(self) -> list[Token]:
        return [*self._from_file, *self._from_environment]


def read_file(path: Path) -> tuple[list[Token], list[Problem]]:
    """The tokens of a file, and what is wrong with it: then it is not to be used."""
    try:
        # Not to wait for whoever opens the other end of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return [], [Problem(str(path), 0, "is no file")]
            if status.st_mode & stat.S_IWOTH:
                message = "can be written by every user of this machine, who so makes tokens; chmod 640"
                return [], [Problem(str(path), 0, message)]
            octets = file.read(FILE_OCTETS_MAX + 1)
    except OSError as error:
        return [], [Problem(str(path), 0, f"cannot be read: {error.strerror or error}")]
    if len(octets) > FILE_OCTETS_MAX:
        return [], [Problem(str(path), 0, f"has over {FILE_OCTETS_MAX:,} octets")]
    tokens, objections = read_tokens(octets.decode("utf-8", "replace"))
    return tokens, [Problem(str(path), line, printable(why)) for line, why in objections]


def _of_environment(environment: Mapping[str, str]) -> tuple[list[Token], list[Problem]]:
    # A line each, or semicolons between them, where a variable has one line.
    text = environment.get(ENVIRONMENT, "").replace(";", "\n")
    tokens, objections = read_tokens(text)
    problems = [Problem(f"${ENVIRONMENT}", line, why) for line, why in objections]
    return ([] if problems else tokens), problems


def _stamp_of(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
