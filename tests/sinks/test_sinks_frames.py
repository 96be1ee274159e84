"""Frame Streams' control frames: octet for octet, and what a hostile receiver may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.sinks.frames import (
    ACCEPT,
    CONTROL_OCTETS_MAX,
    FINISH,
    READY,
    STOP,
    BadFrame,
    Control,
    control_frame,
    control_length,
    frame_ends,
    read_control,
)


def test_frames_are_those_of_the_description() -> None:
    assert control_frame(STOP) == b"\0\0\0\0\0\0\0\4\0\0\0\3"
    assert control_frame(READY, b"ab") == b"\0\0\0\0\0\0\0\x0e\0\0\0\4\0\0\0\1\0\0\0\2ab"


@given(st.sampled_from((ACCEPT, FINISH)), st.lists(st.binary(max_size=40), max_size=5))
def test_what_a_receiver_may_say_is_read_as_it_was_said(kind: int, content_types: list[bytes]) -> None:
    content = kind.to_bytes(4) + b"".join(
        b"\0\0\0\1" + len(name).to_bytes(4) + name for name in content_types
    )
    assert control_length(bytes(4) + len(content).to_bytes(4)) == len(content)
    assert read_control(content) == Control(kind, tuple(content_types))


@pytest.mark.parametrize(
    "head", [b"\0\0\0\1\0\0\0\4", b"\0\0\0\0\0\0\0\3", bytes(4) + (CONTROL_OCTETS_MAX + 1).to_bytes(4)]
)
def test_what_is_no_control_frame_is_refused(head: bytes) -> None:
    with pytest.raises(BadFrame):
        control_length(head)


@given(st.binary(min_size=4, max_size=CONTROL_OCTETS_MAX))
def test_whatever_a_receiver_says_only_one_thing_is_raised(content: bytes) -> None:
    try:
        read_control(content)
    except BadFrame:
        pass


def test_the_ends_of_frames_are_found() -> None:
    octets = b"".join(len(payload).to_bytes(4) + payload for payload in (b"a", b"", b"xyz"))
    assert list(frame_ends(memoryview(octets))) == [5, 9, 16]
