from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from typing_extensions import Buffer

from resolver.observe.log import LogWriter, escape, json_line, set_up_logging, text_line

HOSTILE = "a\nb\x1b[31m\u202e\\\x00"


@pytest.fixture
def stream() -> Iterator[io.BytesIO]:
    """Where lines end up; the package's loggers are put back afterwards."""
    loggers = [logging.getLogger(name) for name in ("resolver", "asyncio", "hypercorn.error")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    yield io.BytesIO()
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


class StalledStream(io.BytesIO):
    """A pipe whose reader has stopped: `write` blocks until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.is_stalled = threading.Event()

    def write(self, octets: Buffer) -> int:
        self.is_stalled.set()
        assert self.go_on.wait(5)
        return super().write(octets)


def text_of(stream: io.BytesIO) -> str:
    return stream.getvalue().decode()


def test_a_hostile_text_stays_on_one_printable_line() -> None:
    assert escape(HOSTILE) == "a\\nb\\x1b[31m\\u202e\\\\\\x00"


@pytest.mark.parametrize("text", ["", "example.org", "Börse", "a b"])
def test_an_honest_text_is_not_touched(text: str) -> None:
    assert escape(text) == text


def test_a_long_value_is_cut() -> None:
    assert len(escape("x" * 100_000)) == 1000


def test_text_line_quotes_what_would_look_like_two_fields() -> None:
    line = text_line(
        0.0, "info", "reload failed", {"file": "a b.yaml", "why": 'x="y"', "line": 3, "none": None}
    )
    assert line == (
        r'1970-01-01T00:00:00.000Z info reload failed file="a b.yaml" why="x=\"y\"" line=3 none=-'
    )


def test_json_line_is_one_object_with_the_fields_in_it() -> None:
    line = json_line(0.5, "error", "defect", {"count": 3, "octets": HOSTILE})
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "error",
        "event": "defect",
        "count": 3,
        "octets": escape(HOSTILE),
    }


@pytest.mark.parametrize("line_format", ["text", "json"])
def test_extra_attributes_become_fields(stream: io.BytesIO, line_format: str) -> None:
    writer = set_up_logging("info", line_format, LogWriter(stream))
    logging.getLogger("resolver.policy").info("policy %s", "loaded", extra={"generation": 3})
    writer.close()
    assert ("generation=3" if line_format == "text" else '"generation": 3') in text_of(stream)
    assert "policy loaded" in text_of(stream)


def test_lines_under_the_level_are_not_written(stream: io.BytesIO) -> None:
    writer = set_up_logging("warning", "text", LogWriter(stream))
    logging.getLogger("resolver").info("quiet")
    logging.getLogger("asyncio").info("quieter")
    writer.close()
    assert text_of(stream) == ""


def test_an_exception_keeps_its_trace_on_the_same_line(stream: io.BytesIO) -> None:
    writer = set_up_logging("info", "text", LogWriter(stream))
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("resolver").exception("defect")
    writer.close()
    assert text_of(stream).count("\n") == 1
    assert "KeyError" in text_of(stream)


def test_a_reader_that_stalls_costs_lines_but_never_blocks() -> None:
    stream = StalledStream()
    writer = LogWriter(stream, lines_max=10)
    writer.put(lambda: "first")
    assert stream.is_stalled.wait(5)
    for _ in range(25):
        writer.put(lambda: "later")
    assert writer.dropped == 15
    stream.go_on.set()
    writer.close()
    assert text_of(stream).count("later") == 10


def test_a_closed_stream_costs_lines_but_raises_nothing() -> None:
    stream = io.BytesIO()
    stream.close()
    writer = LogWriter(stream)
    writer.put(lambda: "lost")
    writer.close()
    assert writer.dropped == 1


def test_nothing_is_dropped_when_the_reader_keeps_up() -> None:
    stream = io.BytesIO()
    writer = LogWriter(stream)
    for number in range(1000):
        writer.put(lambda number=number: str(number))  # type: ignore[misc]
    writer.close()
    assert text_of(stream).split() == [str(number) for number in range(1000)]
    assert writer.dropped == 0
