"""What `top` shows at one moment: from the server's `/metrics` and the history of hits.

Knows: where both are, what is missing when one is.  Does not know: terminals.
"""

from __future__ import annotations

import http.client
import os
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from resolver.cli.moments import iso_moment
from resolver.cli.own_server import headers_of, scheme_of, trust_in
from resolver.config.settings import Settings
from resolver.hits.figures import HOUR_S, MINUTE_S, HitKey, Hits
from resolver.hits.file import Failure, HitsUnusable
from resolver.hits.names import NameRow, names_of
from resolver.hits.ranking import Live, Past, Row, added_between, rows_of
from resolver.hits.store import HitStore
from resolver.observe.exposition import Counts, read_counts

FETCH_TIMEOUT_S: Final = 2.0
PAGE_OCTETS_MAX: Final = 64 << 20
"""Ten thousand exchanges make 4 MB."""
RECORDS_OCTETS_MAX: Final = 4 << 20
"""Of a file of records, its end: some 20,000 queries."""
NAMES_REMARK: Final = "no names: what is asked is kept nowhere while log.queries is none"
LOGGED_NAMES_REMARK: Final = "no names: give the file that has the query log as JSON (--records FILE)"

_SECTIONS: Final = {"exchange": "exchanges", "list": "lists", "order": "orders"}


@dataclass(slots=True, frozen=True)
class Moment:
    """Everything at one moment."""

    at: float
    """Unix seconds."""
    url: str | None
    """The server's metrics; None: the settings have them off."""
    queries_per_s: float | None
    """None: the server does not answer, or has been asked only once."""
    hits_per_s: float | None
    started_at: float | None
    rows: tuple[Row, ...]
    """Exchanges, lists and orders, the busiest first."""
    names: tuple[NameRow, ...] | None
    """None: nobody has them recorded."""
    remarks: tuple[str, ...]
    """What is missing, and why."""
    has_source: bool
    """Whether there is anything to show."""

    def of(self, kind: str) -> list[Row]:
        """The lines of one kind."""
        return [row for row in self.rows if row.kind == kind]

    def as_json(self) -> dict[str, Any]:
        """For `--json`; all lines, whatever a terminal has room for."""
        return {
            "at": iso_moment(self.at),
            "server": {
                "metrics": self.url,
                "answers": self.started_at is not None,
                "started": iso_moment(self.started_at or None),
                "queries_per_s": _rounded(self.queries_per_s),
                "hits_per_s": _rounded(self.hits_per_s),
            },
            **{section: [_row_json(row) for row in self.of(kind)] for kind, section in _SECTIONS.items()},
            "names": None if self.names is None else list(map(_name_json, self.names)),
            "remarks": list(self.remarks),
        }


class Figures:
    """Looks at one server again and again."""

    def __init__(
        self,
        settings: Settings,
        records: Path | None = None,
        *,
        fetch: Callable[[str], str] | None = None,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`records`: a file of query records; None: that of the settings, if there is one.

        `fetch`: gives the page of a URL, and raises OSError or HTTPException.
        """
        self.url = metrics_url(settings)
        self._state_dir = settings.state_dir
        self._logs_queries = settings.log.queries != "none"
        self._records = records or _file_of_records(settings)
        self._fetch = fetch or (lambda url: fetch_page(url, settings))
        self._wall = wall
        self._now = now
        self._before: tuple[float, Counts] | None = None

    def look(self) -> Moment:
        """All figures now.  Rates are those since the last look; after the first there are none yet."""
        at, remarks = self._wall(), []
        counts, before = None, self._before
        if self.url is None:
            remarks.append("the settings have no listen.http: rates are those of the last minute written")
        else:
            try:
                counts = read_counts(self._fetch(self.url))
            except (OSError, ValueError, http.client.HTTPException) as error:
                said = str(error) or type(error).__name__
                remarks.append(f"{self.url}: {said}; rates are those of the last minute written")
        self._before = None if counts is None else (self._now(), counts)
        live = queries_per_s = hits_per_s = None
        if self._before is not None:
            live = _live(before, self._before)
            if before is not None and live.before is not None:
                hits_per_s = added_between(live.before, live.after).total() / max(live.between_s, 1e-9)
                queries_per_s = _queries_per_s(before, self._before)
        past, problem = past_of(self._state_dir, at)
        names, names_remark = self._names(at)
        remarks += [remark for remark in (problem, names_remark) if remark]
        return Moment(
            at,
            self.url,
            queries_per_s,
            hits_per_s,
            None if counts is None else counts.started_at,
            tuple(rows_of(live, past)),
            names,
            tuple(remarks),
            has_source=counts is not None or not problem,
        )

    def _names(self, at: float) -> tuple[tuple[NameRow, ...] | None, str]:
        """The names met, and why there are none; empty: there are."""
        if self._records is None:
            return None, LOGGED_NAMES_REMARK if self._logs_queries else NAMES_REMARK
        try:
            octets, is_end = end_of(self._records, RECORDS_OCTETS_MAX)
            return tuple(names_of(octets, at, is_end=is_end)), ""
        except OSError as error:
            return None, f"no names: {self._records}: {error.strerror or error}"


def _file_of_records(settings: Settings) -> Path | None:
    """The first file of `query_records` that has JSON lines."""
    for sink in settings.query_records:
        if sink.type == "jsonl" and sink.to.way == "file" and sink.queries != "none":
            return sink.to.path
    return None


def end_of(path: Path, octets_max: int) -> tuple[bytes, bool]:
    """Whole lines of a file's end, and whether something stands before them.  Raises OSError.

    A pipe or a device has no end.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not an ordinary file")
        skipped = max(0, status.st_size - octets_max)
        file.seek(skipped)
        octets = file.read(octets_max)
    # The first line may have lost its beginning, and the last may not be written yet.
    return octets[octets.find(b"\n") + 1 if skipped else 0 : octets.rfind(b"\n") + 1], skipped > 0


def metrics_url(settings: Settings) -> str | None:
    """Where this machine's server has its metrics; None: nowhere."""
    endpoint = settings.listen.http
    if endpoint is None:
        return None
    return f"{scheme_of(settings)}://{endpoint.from_here}/metrics"


def fetch_page(url: str, settings: Settings) -> str:
    """A page of our own server; no proxy has a part in it.  Raises OSError and HTTPException."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if (trust := trust_in(settings)) is not None:
        handlers.append(urllib.request.HTTPSHandler(context=trust))
    asked = urllib.request.Request(url, headers=headers_of())
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=FETCH_TIMEOUT_S) as reply:
            return bytes(reply.read(PAGE_OCTETS_MAX)).decode("utf-8", "replace")
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from None


def past_of(state_dir: Path, at: float) -> tuple[Past, str]:
    """What the history says up to `at` (Unix seconds), and why it says nothing; empty: it does."""
    minute = at // MINUTE_S * MINUTE_S
    try:
        with HitStore.open_for_reading(state_dir) as store:
            return (
                Past(
                    store.sum_of_minutes(minute - MINUTE_S, minute),
                    store.sum_of_minutes(at - HOUR_S, at),
                    store.sum_of_minutes(at - 24 * HOUR_S, at),
                    store.totals(),
                ),
                "",
            )
    except HitsUnusable as error:
        if error.failure is Failure.MISSING:
            return Past(), "there is no history of hits yet; the server writes one twice a minute"
        return Past(), str(error)


def _live(before: tuple[float, Counts] | None, after: tuple[float, Counts]) -> Live:
    counted = _hits(after[1])
    if before is None:
        return Live(None, counted, 0.0)
    is_another = before[1].started_at != after[1].started_at
    return Live({} if is_another else _hits(before[1]), counted, after[0] - before[0])


def _hits(counts: Counts) -> Hits:
    return {HitKey(*hit): count for hit, count in counts.hits.items()}


def _queries_per_s(before: tuple[float, Counts], after: tuple[float, Counts]) -> float:
    known = before[1].queries if before[1].started_at == after[1].started_at else 0
    return max(0, after[1].queries - known) / max(after[0] - before[0], 1e-9)


def _row_json(row: Row) -> dict[str, Any]:
    words = asdict(row)
    del words["kind"]
    return {"id": words.pop("label"), **words, "per_s": _rounded(row.per_s)}


def _name_json(row: NameRow) -> dict[str, Any]:
    kind, label, action, mode = row.key
    return {
        "name": row.qname,
        kind: label,
        "mode": mode,
        "actions": [action],
        "per_s": _rounded(row.per_s),
        "last_minute": row.last_minute,
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 2)
