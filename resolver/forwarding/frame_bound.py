"""What an upstream may send over HTTP/2: no long frames, and not many for each query.

Knows: the heads of frames (RFC 9113 §4.1).  Does not know: what they say (`https_connection`).
Theory: the library waits for the whole of a frame, of up to 16 MB, before it refuses its length, and takes
any number of frames that bring nothing (empty DATA, PING, unknown types), each some microseconds of work.
"""

from __future__ import annotations

from typing import Final

FRAME_OCTETS_MAX: Final = 16_384
"""Of a frame's content: SETTINGS_MAX_FRAME_SIZE as we leave it (RFC 9113 §6.5.2)."""

FRAMES_AT_FIRST: Final = 256
"""Frames that a connection may bring before anything is asked: settings, windows, a word now and then."""

FRAMES_PER_QUERY: Final = 128
"""And for each query: an answer of 64 kB in pieces of half a kB."""

_HEAD_OCTETS: Final = 9


class FrameBound:
    """Of one connection."""

    __slots__ = ("_frames", "_head", "_left")

    def __init__(self) -> None:
        self._frames = 0
        self._head = bytearray()
        """The beginning of a head."""
        self._left = 0
        """Octets of the last frame that are still to come."""

    def takes(self, data: bytes, queries: int) -> bool:
        """Whether `data`, the next of the stream, may be read, after so many queries; False: not any more."""
        at = self._left
        while at < len(data):
            head = self._head
            missing = _HEAD_OCTETS - len(head)
            head += data[at : at + missing]
            if len(head) < _HEAD_OCTETS:
                self._left = 0
                return True
            length = int.from_bytes(head[:3], "big")
            head.clear()
            self._frames += 1
            if length > FRAME_OCTETS_MAX or self._frames > FRAMES_AT_FIRST + FRAMES_PER_QUERY * queries:
                return False
            at += missing + length
        self._left = at - len(data)
        return True
