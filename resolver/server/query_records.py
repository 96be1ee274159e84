"""The query records of one server: put together from its settings, started, stopped.

Knows: which sinks the settings ask for, which engines have records.  Does not know: what a record is, what a
sink makes of it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from resolver import __version__
from resolver.config.recordsinks import QueryRecordSink
from resolver.config.settings import Settings
from resolver.observe.facts import SinkFacts
from resolver.observe.log import LogWriter
from resolver.observe.query_log import QueryLog
from resolver.observe.records import RecordBuffer, RecordReader, Sink, Source
from resolver.server.record_ring import make_ring
from resolver.server.refusal import CannotStart
from resolver.server.suggestion_sink import SuggestionSink
from resolver.sinks.ipcrypt import BadKey, read_key
from resolver.sinks.making import Maker, Way, shown_clients


def make_query_records(
    settings: Settings,
    writer: LogWriter,
    native: Source | None,
    buffer: RecordBuffer | None,
    *,
    wall: Callable[[], float],
    record_look: Any,
    suggestions: SuggestionSink | None,
) -> QueryRecords | None:
    """Those of the settings; None: nothing is recorded.  Raises CannotStart."""
    if buffer is None:
        return None
    try:
        return QueryRecords(
            settings,
            writer,
            native,
            buffer=buffer,
            wall=wall,
            record_look=record_look,
            suggestions=suggestions,
        )
    except BadKey as error:
        raise CannotStart([error]) from None


class QueryRecords:
    """Where queries are recorded, and the thread that reads the records."""

    def __init__(
        self,
        settings: Settings,
        writer: LogWriter,
        native: Source | None,
        *,
        buffer: RecordBuffer,
        wall: Callable[[], float],
        record_look: Any = None,
        suggestions: SuggestionSink | None = None,
    ) -> None:
        """`native`: the records of the native plane; None: there is none.  `buffer`: those of Python.

        `record_look`: the plane's class `RecordLook`.  `suggestions`: who counts look-alikes.
        Raises `BadKey`.
        """
        sources = [buffer] if native is None else [native, buffer]
        maker = Maker(socket.gethostname(), __version__, record_look)
        sinks = list(_sinks(settings, writer, maker))
        if suggestions is not None:
            suggestions.native_look = maker.native_look("text", "hidden", None, only_blocked=False)
            sinks.append(suggestions)
        self.ring = make_ring(settings, maker)
        if self.ring is not None:
            sinks.append(self.ring)
        self._reader = RecordReader(sources, sinks, wall=wall)
        self._is_started = False

    def start(self) -> None:
        """Begin to read."""
        self._is_started = True
        self._reader.start()

    def close(self) -> None:
        """Read what is left and pass it on, each within a quarter of a second."""
        if self._is_started:
            self._reader.close()

    @property
    def newest(self) -> Callable[[int], list[bytes]] | None:
        """Gives the last so many records, the newest first; None: the operator wants none."""
        return None if self.ring is None else self.ring.newest

    def facts(self) -> tuple[SinkFacts, ...]:
        """What each sink was given and what it lost; nobody counts on what the API shows."""
        facts = self._reader.facts()
        # It stands last.
        return facts if self.ring is None else facts[:-1]

    @property
    def left_out(self) -> int:
        """Records that the API does not show, for too many came in their second."""
        return 0 if self.ring is None else self.ring.left_out

    def remark(self) -> str:
        """Which sinks pass nothing on, and why; empty: none."""
        return "; ".join(f"{sink.name}: {sink.trouble}" for sink in self.facts() if sink.trouble)


def queries_recorded(settings: Settings) -> str:
    """Which queries somebody wants: `none`, `blocked` or `all`."""
    wanted = {settings.log.queries, *(sink.queries for sink in settings.query_records)}
    if settings.suggestions.enabled:
        wanted.add("all")
    return next(word for word in ("all", "blocked", "none") if word in wanted)


def wants_answers(settings: Settings) -> bool:
    """Whether somebody wants the answers, too."""
    return any(sink.queries != "none" for sink in settings.query_records)


def key_problems(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Keys that cannot be used: where each stands in the settings, and why."""
    files: list[tuple[tuple[str | int, ...], Path | None]] = [(("log", "key_file"), settings.log.key_file)]
    for index, sink in enumerate(settings.query_records):
        files.append((("query_records", index, "key_file"), sink.key_file))
    for place, path in files:
        if path is not None:
            try:
                read_key(path)
            except BadKey as error:
                yield place, str(error)


def _sinks(settings: Settings, writer: LogWriter, maker: Maker) -> Iterator[Sink]:
    log = settings.log
    if log.queries != "none":
        key = None if log.key_file is None else read_key(log.key_file)
        only_blocked = log.queries == "blocked"
        yield QueryLog(
            writer,
            clients=shown_clients(log.clients, key),
            line_format=log.format,
            only_blocked=only_blocked,
            native_look=maker.native_look(log.format, log.clients, key, only_blocked=only_blocked),
        )
    for sink in settings.query_records:
        if sink.queries != "none":
            yield maker.sink(
                sink.name,
                sink.type,
                way_of(sink),
                only_blocked=sink.queries == "blocked",
                clients=sink.clients,
                key_file=sink.key_file,
            )


def way_of(sink: QueryRecordSink) -> Way:
    """Where its records go, as its settings say."""
    target = sink.to
    return Way(
        target.way,
        path=target.path,
        address=("", 0) if target.endpoint is None else (target.endpoint.address, target.endpoint.port),
        name=target.name,
        tls_ca=sink.tls_ca,
        tls_certificate=sink.tls_certificate,
        tls_key=sink.tls_key,
        octets_max=sink.rotate_octets,
        kept=sink.keep,
    )
