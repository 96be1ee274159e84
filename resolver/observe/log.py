"""Structured log lines, one per event, that no hostile octet can break.

Knows: how a line looks, where lines go.  Does not know: who logs, or why.
Rooms log through the standard library (`logging.getLogger("resolver.policy")`), with facts in
`extra={"generation": 3}`; the message is the event in plain words.  Lines are written by a thread
behind a bounded queue, so a terminal that has stopped reading never stops the server; what does not
fit is dropped and counted.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from typing import BinaryIO, Final, NamedTuple

from resolver.observe.threads import name_this_thread
from resolver.portions import PORTION_OCTETS

LINES_MAX: Final = 10_000
"""Lines that wait to be written; at 200 octets each that is 2 MB."""

LINES_OCTETS_MAX: Final = 8 << 20
"""Octets of lines made together that wait to be written, but for the last ones put: some 40,000 queries."""

VALUE_CHARACTERS_MAX: Final = 1_000
"""Of one field's value.  A domain name is at most 1,004 characters with every octet escaped."""

CLOSE_WAIT_S: Final = 1.0
"""How long a closing server waits for its last lines to be written."""

LEVELS: Final = ("debug", "info", "warning", "error")

_STANDARD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

Line = Callable[[], str]
"""A line that is put together by the writing thread."""


def escape(text: str, characters_max: int = VALUE_CHARACTERS_MAX) -> str:
    """`text` on one line, in printable characters only; everything else as \\xNN or \\uNNNN."""
    if len(text) > characters_max:
        text = text[: characters_max - 1] + "…"
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def text_line(at: float, level: str, event: str, fields: Mapping[str, object]) -> str:
    """`2026-01-01T00:00:00.000Z info event words key=value key="a value"`."""
    parts = [_moment(at), level, escape(event)]
    for name, value in fields.items():
        shown = escape(_plain(value))
        if not shown or " " in shown or '"' in shown or "=" in shown:
            shown = '"' + shown.replace('"', '\\"') + '"'
        parts.append(f"{name}={shown}")
    return " ".join(parts)


def json_line(at: float, level: str, event: str, fields: Mapping[str, object]) -> str:
    """One JSON object; the reader's keys are `time`, `level`, `event` and the fields."""
    shown = {
        name: value if isinstance(value, int | float | bool | None) else escape(_plain(value))
        for name, value in fields.items()
    }
    return json.dumps({"time": _moment(at), "level": level, "event": escape(event), **shown})


LINE_FORMATS: Final = {"text": text_line, "json": json_line}


@dataclass(slots=True)
class LineAccount:
    """What became of lines that were put together.  Only the writing thread changes it."""

    written: int = 0
    failed: int = 0
    """Lines that could not be written."""


class _Lines(NamedTuple):
    octets: bytes
    lines: int
    account: LineAccount


class LogWriter:
    """Writes lines to a stream from its own thread; never blocks and never raises.

    The stream should be unbuffered: a thread that hangs in a write must not hold a lock that the ending
    interpreter wants.
    """

    def __init__(
        self, stream: BinaryIO, lines_max: int = LINES_MAX, lines_octets_max: int = LINES_OCTETS_MAX
    ) -> None:
        self._stream = stream
        self._lines: deque[Line | _Lines] = deque()
        self._lines_max = lines_max
        self._lines_octets_max = lines_octets_max
        # Each is written by one thread alone.
        self._octets_put = self._octets_done = 0
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._is_started = False
        self.dropped = 0
        """Lines put singly that did not fit or could not be written."""

    def put(self, line: Line) -> None:
        """Queue one line; dropped and counted when the queue is full."""
        if len(self._lines) >= self._lines_max:
            self.dropped += 1
            return
        self._lines.append(line)
        self._call()

    @property
    def has_room(self) -> bool:
        """Whether `put_lines` may be called; they have room of their own, beside that of single lines."""
        return self._octets_put - self._octets_done < self._lines_octets_max

    def put_lines(self, octets: bytes, count: int, account: LineAccount) -> None:
        """Queue `count` lines made already.  One thread at most puts such, and asks `has_room` before."""
        self._octets_put += len(octets)
        self._lines.append(_Lines(octets, count, account))
        self._call()

    def _call(self) -> None:
        if not self._wake.is_set():
            self._wake.set()
        if not self._is_started:
            self._is_started = True
            self._thread.start()

    def close(self, wait_s: float = CLOSE_WAIT_S) -> None:
        """Write what waits, for at most `wait_s`."""
        self._is_closing = True
        self._wake.set()
        if self._is_started:
            self._thread.join(wait_s)

    def _write_all(self) -> None:
        name_this_thread("log")
        while True:
            self._wake.wait()
            self._wake.clear()
            self.write_waiting()
            if self._is_closing and not self._lines:
                return

    def write_waiting(self) -> None:
        """Write everything that waits now, neighbouring single lines in one go."""
        made: list[str] = []
        while self._lines:
            first = self._lines.popleft()
            if not isinstance(first, _Lines):
                made.append(first() + "\n")
                continue
            self._write_single(made)
            made = []
            failed = self._write(first.octets)
            first.account.failed += failed
            first.account.written += first.lines - failed
            self._octets_done += len(first.octets)
        self._write_single(made)

    def _write_single(self, made: list[str]) -> None:
        if made:
            self.dropped += self._write("".join(made).encode(errors="backslashreplace"))

    def _write(self, octets: bytes) -> int:
        """Write whole lines; how many of them could not be written."""
        rest = memoryview(octets)
        try:
            while rest:
                # None: a pipe that was made non-blocking, and is full.
                written = self._stream.write(rest[:PORTION_OCTETS])
                if not written:
                    break
                rest = rest[written:]
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe, a full disk, a closed file
            pass
        return bytes(rest).count(b"\n")


class LogHandler(logging.Handler):
    """The standard library's records, as our lines."""

    def __init__(self, writer: LogWriter, line_format: str) -> None:
        super().__init__()
        self._writer = writer
        self._format = LINE_FORMATS[line_format]

    def emit(self, record: logging.LogRecord) -> None:
        """Queue `record`; its extra attributes are the fields."""
        fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD_ATTRIBUTES}
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        event = record.getMessage()
        level = record.levelname.lower()
        self._writer.put(lambda: self._format(record.created, level, event, fields))


LOGGERS_SET_UP = ("resolver", "asyncio", "hypercorn.error")
"""Whose lines the server's log carries: our own, and what the libraries it runs on complain of."""


def set_up_logging(level: str, line_format: str, writer: LogWriter | None = None) -> LogWriter:
    """Send the package's log to `writer` (standard error if None); `level` is one of `LEVELS`."""
    writer = writer or LogWriter(_standard_error())
    for name in LOGGERS_SET_UP:
        logger = logging.getLogger(name)
        logger.handlers = [LogHandler(writer, line_format)]
        logger.propagate = False
        # Libraries speak up only when something is wrong.
        logger.setLevel(level.upper() if name == "resolver" else "WARNING")
    return writer


def _standard_error() -> BinaryIO:
    try:
        return FileIO(sys.stderr.fileno(), "wb", closefd=False)
    except (OSError, ValueError):  # it is closed, or stands in for one without a descriptor
        return sys.stderr.buffer


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_plain(item) for item in value)
    return str(value)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
