"""Counts the frames of one HTTP/2 connection before anybody works on them (RFC 9113).

Knows: frame headers, how many of which kind a client may send.  Does not know: HPACK, streams, what is asked.
Theory: a library answers each frame by the rules and thinks nothing of the thousandth.  What costs the sender
nine octets costs us fifty microseconds.  So a client has a credit of frames that are no part of a question;
answers add to it, up to where it began.  Honest clients send some in the beginning, and a few for each
answer. `native/core/src/http/frames.rs` counts so, too.
"""

from __future__ import annotations

from typing import Final

from resolver.listeners.http import BROKEN, CONTROL, OVER_HEADERS, RESETS, HttpBroken

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first (§3.4)."""

FRAME_HEADER_OCTETS: Final = 9

FRAME_OCTETS_MAX: Final = 16_384
"""Payload of one frame; we never allow more (§4.2)."""

CONTROL_FRAMES_MAX: Final = 256
"""The credit of frames that carry no question: SETTINGS, PING, WINDOW_UPDATE, PRIORITY, CONTINUATION, empty
data, those of unknown kinds.  It is what clients send before the first question, some times over."""

CONTROL_FRAMES_PER_ANSWER: Final = 8
"""What each answer adds to that credit, up to where it began."""

RESETS_MAX: Final = 100
"""The credit of requests that the client takes back: all that it may have open.  An answer adds one.
Libraries reset a stream again for each frame that comes on it meanwhile: a control frame like others."""

TINY_DATA_OCTETS: Final = 16
"""A frame of data with less, which is not the last, is counted: empty ones go on for ever."""

TINY_DATA_FRAMES_MAX: Final = 1_000
"""The credit of such frames; an answer adds `CONTROL_FRAMES_PER_ANSWER`."""

CONTINUATIONS_MAX: Final = 8
"""Frames that continue the headers of one request: they fit into two."""

_DATA: Final = 0
_HEADERS: Final = 1
_RST_STREAM: Final = 3
_CONTINUATION: Final = 9
_END_STREAM: Final = 1
_END_HEADERS: Final = 4


class FrameMeter:
    """One connection's."""

    def __init__(self, header_octets_max: int) -> None:
        self._header_octets_max = header_octets_max
        self._has_preface = False
        self._block_octets = 0
        self._continuations = 0
        self._control = CONTROL_FRAMES_MAX
        self._tiny = TINY_DATA_FRAMES_MAX
        self._resets = RESETS_MAX
        self._last_reset = 0
        self.is_in_block = False
        """Whether headers go on in the next frame, and nothing else may come."""
        self.block_stream = 0
        """The stream whose headers are coming."""

    def next(self, buffer: bytearray, start: int) -> int:
        """Octets of the frame that begins at `start`, counted; 0: it is not whole.  Raises HttpBroken."""
        if not self._has_preface:
            said = buffer[start : start + len(PREFACE)]
            if not PREFACE.startswith(said):
                raise HttpBroken(BROKEN)
            self._has_preface = len(said) == len(PREFACE)
            return len(PREFACE) if self._has_preface else 0
        left = len(buffer) - start
        if left < FRAME_HEADER_OCTETS:
            return 0
        length = buffer[start] << 16 | buffer[start + 1] << 8 | buffer[start + 2]
        kind, flags = buffer[start + 3], buffer[start + 4]
        # Before its octets are waited for.
        if length > FRAME_OCTETS_MAX:
            raise HttpBroken(BROKEN)
        if kind in (_HEADERS, _CONTINUATION) and self._of_block(kind) + length > self._header_octets_max:
            self.block_stream = _stream_at(buffer, start)
            raise HttpBroken(OVER_HEADERS)
        if left < FRAME_HEADER_OCTETS + length:
            return 0
        if kind == _RST_STREAM:
            self._count_reset(_stream_at(buffer, start))
        else:
            self._count(kind, flags, length)
        return FRAME_HEADER_OCTETS + length

    def answered(self) -> None:
        """An answer leaves, whatever it says."""
        self._control = min(self._control + CONTROL_FRAMES_PER_ANSWER, CONTROL_FRAMES_MAX)
        self._tiny = min(self._tiny + CONTROL_FRAMES_PER_ANSWER, TINY_DATA_FRAMES_MAX)
        self._resets = min(self._resets + 1, RESETS_MAX)

    def taken_back(self) -> None:
        """A request is gone before its answer, by the client's doing.  Raises HttpBroken."""
        self._resets -= 1
        if self._resets < 0:
            raise HttpBroken(RESETS)

    def _of_block(self, kind: int) -> int:
        return self._block_octets if kind == _CONTINUATION else 0

    def _count_reset(self, stream: int) -> None:
        if stream != self._last_reset:
            self._last_reset = stream
            self.taken_back()
        else:
            self._control -= 1
            if self._control < 0:
                raise HttpBroken(CONTROL)

    def _count(self, kind: int, flags: int, length: int) -> None:
        if kind == _HEADERS:
            self._block_octets, self._continuations = length, 0
        elif kind != _DATA or (not length and not flags & _END_STREAM):
            self._control -= 1
            if kind == _CONTINUATION:
                self._block_octets += length
                self._continuations += 1
            if self._control < 0 or self._continuations > CONTINUATIONS_MAX:
                raise HttpBroken(CONTROL)
        elif length < TINY_DATA_OCTETS and not flags & _END_STREAM:
            self._tiny -= 1
            if self._tiny < 0:
                raise HttpBroken(CONTROL)
        if kind in (_HEADERS, _CONTINUATION):
            self.is_in_block = not flags & _END_HEADERS
            if not self.is_in_block:
                self._block_octets = self._continuations = 0


def _stream_at(buffer: bytearray, start: int) -> int:
    return int.from_bytes(buffer[start + 5 : start + 9], "big") & 0x7FFFFFFF
