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
from datetime import UTC, datetime
from typing import Final, TextIO

LINES_MAX: Final = 10_000
"""Lines that wait to be written; at 200 octets each that is 2 MB."""

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


class LogWriter:
    """Writes lines to a stream from its own thread; never blocks and never raises."""

    def __init__(self, stream: TextIO, lines_max: int = LINES_MAX) -> None:
        self._stream = stream
        self._lines: deque[Line] = deque()
        self._lines_max = lines_max
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._is_started = False
        self.dropped = 0
        """Lines that did not fit or could not be written."""

    def put(self, line: Line) -> None:
        """Queue one line; dropped and counted when the queue is full."""
        if len(self._lines) >= self._lines_max:
            self.dropped += 1
            return
        self._lines.append(line)
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
        while True:
            self._wake.wait()
            self._wake.clear()
            self.write_waiting()
            if self._is_closing and not self._lines:
                return

    def write_waiting(self) -> None:
        """Write the lines that wait now, in one go."""
        made = []
        while self._lines:
            made.append(self._lines.popleft()() + "\n")
        if not made:
            return
        try:
            self._stream.write("".join(made))
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe, a full disk, a closed file
            self.dropped += len(made)


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
    writer = writer or LogWriter(sys.stderr)
    for name in LOGGERS_SET_UP:
        logger = logging.getLogger(name)
        logger.handlers = [LogHandler(writer, line_format)]
        logger.propagate = False
        # Libraries speak up only when something is wrong.
        logger.setLevel(level.upper() if name == "resolver" else "WARNING")
    return writer


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_plain(item) for item in value)
    return str(value)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
