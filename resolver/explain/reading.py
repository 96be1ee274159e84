"""A reply of this server in words for people: what `explain` and `demo` print.

Knows: which parts of a reply a person asks about.  Does not know: wire layout, policy, sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from resolver.wire.message import ReadRecord, rdata_text, read_message, type_text
from resolver.wire.names import name_to_text
from resolver.wire.numbers import ExtendedError, Flag, Qtype, Rcode


@dataclass(slots=True, frozen=True)
class ShownRecord:
    """One record as a zone file has it."""

    owner: str
    ttl_s: int
    rtype: str
    rdata: str

    def __str__(self) -> str:
        return f"{self.owner} {self.ttl_s} {self.rtype} {self.rdata}"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"name": self.owner, "ttl_s": self.ttl_s, "type": self.rtype, "rdata": self.rdata}


@dataclass(slots=True, frozen=True)
class ShownReply:
    """One reply."""

    rcode: str
    is_truncated: bool
    answers: tuple[ShownRecord, ...]
    authority: tuple[ShownRecord, ...]
    extended_errors: tuple[tuple[int, str], ...]
    """(INFO-CODE, text)"""
    octets: int

    @property
    def ttl_s(self) -> int | None:
        """The lowest TTL of its records; None without records."""
        return min((record.ttl_s for record in (*self.answers, *self.authority)), default=None)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "rcode": self.rcode,
            "truncated": self.is_truncated,
            "answers": [record.as_json() for record in self.answers],
            "authority": [record.as_json() for record in self.authority],
            "ttl_s": self.ttl_s,
            "ede": [{"code": code, "text": text} for code, text in self.extended_errors],
            "octets": self.octets,
        }


def read_reply(octets: bytes) -> ShownReply:
    """Read a reply.  Raises ValueError when it is no well-formed message."""
    message = read_message(octets)
    if message is None:
        raise ValueError("not a well-formed message")
    return ShownReply(
        rcode=show_rcode(message.rcode),
        is_truncated=bool(message.flags & Flag.TC),
        answers=tuple(map(_show, message.answer)),
        authority=tuple(map(_show, message.authority)),
        extended_errors=message.extended_errors,
        octets=len(octets),
    )


def show_rcode(rcode: int) -> str:
    """`NXDOMAIN`, or `RCODE24` where there is no name."""
    try:
        return Rcode(rcode).name
    except ValueError:
        return f"RCODE{rcode}"


def show_extended_error(code: int, text: str) -> str:
    """`16 (censored): why`."""
    try:
        name = ExtendedError(code).name.lower().replace("_", " ")
    except ValueError:
        name = "unknown"
    return f"{code} ({name})" + (f": {text}" if text else "")


def qtype_from_text(text: str) -> int:
    """`aaaa`, `TYPE28` or `28` -> 28.  Raises ValueError."""
    word = text.upper()
    if word in Qtype.__members__:
        return int(Qtype[word])
    digits = word.removeprefix("TYPE")
    if digits.isascii() and digits.isdigit() and int(digits) <= 0xFFFF:
        return int(digits)
    known = ", ".join(Qtype.__members__)
    raise ValueError(f"{text!r} is not a record type; known: {known}, or TYPE0 to TYPE65535")


def _show(record: ReadRecord) -> ShownRecord:
    rdata = rdata_text(record.rtype, record.rdata)
    return ShownRecord(name_to_text(record.owner), record.ttl_s, type_text(record.rtype), rdata)
