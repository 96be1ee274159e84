"""Frame Streams: how payloads follow each other in a file or over a socket.

Knows: control frames and who says which when.  Does not know: payloads, sockets.
Theory: a frame is its length in 32 bits and its octets; length 0 begins a control frame, whose own length
follows.  A file begins with START and ends with STOP.  Over a socket the sender says READY, the receiver
ACCEPT, the sender START, then data; at the end the sender says STOP and the receiver FINISH.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

ACCEPT: Final = 1
START: Final = 2
STOP: Final = 3
READY: Final = 4
FINISH: Final = 5

CONTROL_OCTETS_MAX: Final = 512
"""Of one control frame, its two lengths aside (the limit of other implementations)."""

_CONTENT_TYPE: Final = 1
"""The only kind of field: what the payloads are."""


class BadFrame(Exception):
    """Octets that are no control frame; the message says why."""


class Control(NamedTuple):
    """One control frame."""

    kind: int
    content_types: tuple[bytes, ...] = ()


def control_frame(kind: int, content_type: bytes | None = None) -> bytes:
    """A whole control frame."""
    content = kind.to_bytes(4)
    if content_type is not None:
        content += _CONTENT_TYPE.to_bytes(4) + len(content_type).to_bytes(4) + content_type
    return bytes(4) + len(content).to_bytes(4) + content


def control_length(head: bytes) -> int:
    """How many octets of a control frame follow its first 8.  Raises BadFrame."""
    if head[:4] != bytes(4):
        raise BadFrame("the receiver sends data, not a control frame")
    length = int.from_bytes(head[4:8])
    if not 4 <= length <= CONTROL_OCTETS_MAX:
        raise BadFrame(f"a control frame of {length} octets")
    return length


def read_control(content: bytes) -> Control:
    """A control frame behind its first 8 octets.  Raises BadFrame."""
    content_types = []
    at = 4
    while at < len(content):
        field, length = int.from_bytes(content[at : at + 4]), int.from_bytes(content[at + 4 : at + 8])
        at += 8
        if field != _CONTENT_TYPE or at + length > len(content):
            raise BadFrame("a control frame with a broken field")
        content_types.append(content[at : at + length])
        at += length
    return Control(int.from_bytes(content[:4]), tuple(content_types))


def frame_ends(octets: memoryview) -> Iterator[int]:
    """Where each of these whole data frames ends."""
    at = 0
    while at + 4 <= len(octets):
        at += 4 + int.from_bytes(octets[at : at + 4])
        yield at
