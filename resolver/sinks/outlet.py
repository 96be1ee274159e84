"""Where records leave: what a sink asks of a file or of a connection.

Knows: the words.  Does not know: files, sockets, records.
"""

from __future__ import annotations

from typing import Protocol


class Broken(OSError):
    """The way is broken, and closed; `passed` of the octets that were offered went before."""

    def __init__(self, reason: str, passed: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passed = passed


class Outlet(Protocol):
    """One way out.  Used by one thread alone."""

    @property
    def is_open(self) -> bool:
        """Whether octets can be offered."""

    @property
    def lost(self) -> int:
        """Records that went nowhere, though the way is open."""

    @property
    def remark(self) -> str:
        """What is wrong although octets go; empty: nothing."""

    def open(self) -> None:
        """Make the way, for at most some seconds.  Raises OSError, saying why not."""

    def put(self, octets: memoryview) -> int:
        """Pass on the first octets, as many as go without waiting; how many.  Raises Broken."""

    def wait(self, wait_s: float) -> None:
        """Until it may take more, for at most `wait_s`."""

    def look_after(self) -> None:
        """Called about every second.  Raises Broken."""

    def close(self, wait_s: float) -> None:
        """End in good order, if that takes no longer."""


def reason_of(error: OSError) -> str:
    """Why a call failed, in words, without names of files."""
    return error.strerror or str(error) or type(error).__name__
