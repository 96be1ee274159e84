"""Why a server cannot start, in the words of who has to mend it.

Knows: whether another start may do better.  Does not know: who found it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

NOT_THIS_MACHINE: Final = (
    "this machine: the server needs Linux on a 64-bit little-endian processor (x86-64, AArch64), for it "
    "reads datagrams by recvmmsg(2) as that is laid out there"
)


class CannotStart(Exception):
    """The server can not serve; `reasons` says why, a line each.  `may_pass`: another start may do better."""

    def __init__(self, reasons: Iterable[object], *, may_pass: bool = False) -> None:
        self.reasons = [str(reason) for reason in reasons]
        self.may_pass = may_pass
        super().__init__("; ".join(self.reasons))
