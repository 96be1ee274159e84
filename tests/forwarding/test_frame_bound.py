"""Which frames of an upstream are read at all, wherever the stream is cut."""

from __future__ import annotations

import pytest

from resolver.forwarding.frame_bound import FRAME_OCTETS_MAX, FRAMES_AT_FIRST, FRAMES_PER_QUERY, FrameBound


def frame(length: int) -> bytes:
    return length.to_bytes(3, "big") + bytes(6 + length)


@pytest.mark.parametrize("piece", [1, 2, 8, 9, 10, 100, 16_393, 100_000])
def test_frames_are_counted_wherever_they_are_cut(piece: int) -> None:
    stream = b"".join(frame(length) for length in (0, 1, 300, FRAME_OCTETS_MAX, 0, 5))
    stream += frame(0) * (FRAMES_AT_FIRST - 6)
    bound = FrameBound()
    assert all(bound.takes(stream[at : at + piece], 0) for at in range(0, len(stream), piece))
    assert not bound.takes(frame(0), 0)


def test_each_query_allows_more_frames() -> None:
    bound = FrameBound()
    assert bound.takes(frame(0) * (FRAMES_AT_FIRST + FRAMES_PER_QUERY), 1)
    assert not bound.takes(frame(0), 1)


@pytest.mark.parametrize("piece", [1, 9])
def test_a_long_frame_is_refused_by_its_head(piece: int) -> None:
    stream = frame(3) + (FRAME_OCTETS_MAX + 1).to_bytes(3, "big") + bytes(6)
    bound = FrameBound()
    taken = [bound.takes(stream[at : at + piece], 0) for at in range(0, len(stream), piece)]
    assert not taken[-1] and all(taken[:-1])
