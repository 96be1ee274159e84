"""How a download ended, in words from closed sets.

Knows: the words.  Does not know: anything else.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

MESSAGE_CHARS_MAX = 500
"""Longest reason that is kept: some of its words come from strangers."""


class Result(StrEnum):
    """How an attempt to download ended; the value is the metric label."""

    UPDATED = "updated"
    """New content is in place."""
    UNCHANGED = "unchanged"
    """The server said so, or sent what is here already."""
    DNS = "dns"
    """The host has no address, or no bootstrap server answered."""
    ADDRESS = "address"
    """The host is not on the Internet, but here or on a private network."""
    CONNECT = "connect"
    """No connection, or no trust in its certificate."""
    TIMEOUT = "timeout"
    HTTP_STATUS = "http_status"
    REDIRECT = "redirect"
    """Too many hops, or one to where no list may come from."""
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    """The body ended before its end, or would not unpack."""
    NOT_A_LIST = "not_a_list"
    """Nothing in it, an error page, or not one name."""
    CHANGED_TOO_MUCH = "changed_too_much"
    """It shrank or grew beyond `change_max_percent`."""
    HASH = "hash"
    """Not what `sha256` pins."""
    SIGNATURE = "signature"
    """Not signed by the key, or no signature to be had."""
    BAD_TRANSFER = "bad_transfer"
    """What came is no transfer of this zone."""
    REFUSED = "refused"
    """The primary answered with an error code."""
    SERIAL = "serial"
    """The primary's zone is older than the copy here."""
    TSIG = "tsig"
    """Not signed with the key, or a key that does not fit."""
    ZONEMD = "zonemd"
    """The zone is not what its own digest says."""
    STORAGE = "storage"
    """The disk is full, or not ours to write on."""
    BUSY = "busy"
    """Another process is downloading this list."""
    DEFECT = "defect"
    """A mistake of ours, or the downloading process was killed."""


SUCCESSES = frozenset({Result.UPDATED, Result.UNCHANGED})


class FetchFailed(Exception):
    """A download came to nothing; nothing that was there before has changed."""

    def __init__(self, result: Result, why: str) -> None:
        self.result = result
        self.why = why[:MESSAGE_CHARS_MAX] if why.isprintable() else repr(why)[1:-1][:MESSAGE_CHARS_MAX]
        super().__init__(self.why)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one download of one list."""

    name: str
    result: Result
    message: str = ""
    """Why it failed; empty when it did not."""
    octets: int = 0
    """Size of the copy that is in place now."""
    names: int = 0
    """Names in it."""
    succeeded_at: float = 0.0
    """Unix seconds of the last success, this one or an earlier one; 0: never."""
    remark: str = ""
    """What is worth knowing although it succeeded: primaries that were asked in vain."""

    @property
    def is_success(self) -> bool:
        """Whether the copy in place is what the server has."""
        return self.result in SUCCESSES

    def as_json(self) -> dict[str, Any]:
        """For a parent process."""
        return asdict(self)


def outcome_from(fields: dict[str, Any]) -> Outcome:
    """`as_json` back again.  Raises KeyError, TypeError or ValueError for anything else."""
    return Outcome(**{**fields, "result": Result(fields["result"])})
