"""The query records of one server: put together from its settings, started, stopped.

Knows: which sinks the settings ask for, which engines have records.  Does not know: what a record is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from resolver.config.settings import Settings
from resolver.observe.facts import SinkFacts
from resolver.observe.log import LogWriter
from resolver.observe.query_log import QueryLog
from resolver.observe.records import RecordBuffer, RecordReader, Sink, Source
from resolver.server.parts import recorded_queries


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
        others: Sequence[Sink] = (),
    ) -> None:
        """`native`: the records of the native plane; None: there is none.  `buffer`: those of Python.

        `others`: sinks besides the log, who take every record.
        """
        log = settings.log
        sources = [buffer] if native is None else [native, buffer]
        sinks = list(others)
        if log.queries != "none":
            only_blocked = log.queries == "blocked" and recorded_queries(settings) != "blocked"
            sinks.append(
                QueryLog(writer, clients=log.clients, line_format=log.format, only_blocked=only_blocked)
            )
        self._reader = RecordReader(sources, sinks, wall=wall)
        self._is_started = False

    def start(self) -> None:
        """Begin to read."""
        self._is_started = True
        self._reader.start()

    def close(self) -> None:
        """Read what is left, within a quarter of a second."""
        if self._is_started:
            self._reader.close()

    def facts(self) -> tuple[SinkFacts, ...]:
        """What each sink was given and what it lost."""
        return self._reader.facts()
