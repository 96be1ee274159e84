"""Streams of events: what is going on, each second, to whoever listens.

Knows: server-sent events (WHATWG HTML §9.2), how many may listen, who is too slow.  Does not know: HTTP, how
anything is counted.
Theory: what is told is made once a second for all that listen, and not at all while nobody does.  Each
listener has a short queue; one that does not read loses its connection, and no other waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from resolver.api.desk import Desk
from resolver.api.endpoint import Call, Endpoint
from resolver.api.event_shapes import Latency, Now, PolicyChanged
from resolver.api.refusal import Kind, Refusal
from resolver.api.server_pages import problem_item
from resolver.api.token_file import TokenFile
from resolver.api.tokens import Caller
from resolver.moments import iso_moment
from resolver.observe.series import exchanges_by_state
from resolver.observe.traffic import HITS, SOURCES, Counted, between, quantile_s

EVERY_S: Final = 1.0
SPAN_S: Final = 10
"""Latency and the share of hits are of so many seconds: one second has too few answers."""
WAITING_MAX: Final = 16
"""Events that wait for one listener; then it is gone."""
STREAM_S: Final = 3_600.0
"""Then a stream ends, and a browser opens the next one by itself."""
RETRY_MS: Final = 5_000

_log = logging.getLogger("resolver.api")


class Events:
    """All streams of one server."""

    def __init__(
        self, desk: Desk, tokens: TokenFile, on_refused: Callable[[str], None], *, most: int
    ) -> None:
        """`most`: streams at one time; one over it is refused and counted."""
        self._desk = desk
        self._tokens = tokens
        self._on_refused = on_refused
        self._most = most
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._telling: asyncio.Task[None] | None = None
        self._copies: deque[tuple[float, Counted]] = deque(maxlen=SPAN_S + 1)
        self._last: dict[str, str] = {}
        """Event -> what was told last of it, as JSON without the moment."""

    @property
    def open(self) -> int:
        """Streams that are open."""
        return len(self._queues)

    async def close(self) -> None:
        """End all streams."""
        for queue in list(self._queues):
            self._end(queue)
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def endpoint(self) -> Endpoint:
        """The row."""
        return Endpoint(
            "GET",
            "/events",
            "server",
            "What is going on, as a stream of events",
            self._answer,
            description=(
                "Server-sent events: `now` each second (the shape `Now`), `problems` (as `/problems`) and "
                "`policy` (`PolicyChanged`) at first and when they change."
            ),
            media=("text/event-stream",),
            tells=(Now, PolicyChanged),
            refuses=(Kind.BUSY,),
        )

    async def _answer(self, call: Call) -> Response:
        if len(self._queues) >= self._most:
            self._on_refused("event_streams")
            raise Refusal(
                Kind.BUSY,
                f"{self._most} streams of events are open",
                remedy="Close one, or raise limits.http_event_streams_max.",
            )
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_MAX)
        self._queues.add(queue)

        def forget() -> None:
            self._queues.discard(queue)

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return _EventResponse(self._stream(queue, call.caller), headers, forget)

    async def _stream(self, queue: asyncio.Queue[bytes | None], caller: Caller) -> AsyncIterator[bytes]:
        if self._telling is None or self._telling.done():
            self._copies.clear()
            self._telling = asyncio.create_task(self._tell(), name="api-events")
        end = self._desk.now() + STREAM_S
        yield f"retry: {RETRY_MS}\n\n".encode() + self._first()
        while (told := await queue.get()) is not None:
            # A token that was taken away ends what it opened.
            if self._desk.now() >= end or (caller.has_token and not self._tokens.has(caller)):
                return
            yield told

    def _end(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._queues.discard(queue)
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                queue.get_nowait()
        queue.put_nowait(None)

    def _first(self) -> bytes:
        """What whoever comes now has to know at once."""
        return _event("policy", self._policy()) + _event("problems", self._problems())

    async def _tell(self) -> None:
        while self._queues:
            try:
                octets = self._second()
            except Exception:
                _log.exception("defect in streams of events")
                octets = b": a defect; see the log\n\n"
            for queue in list(self._queues):
                try:
                    queue.put_nowait(octets)
                except asyncio.QueueFull:
                    self._end(queue)
            await asyncio.sleep(EVERY_S)

    def _second(self) -> bytes:
        """All events of one second."""
        self._copies.append((self._desk.now(), self._desk.counted()))
        told = [_event("now", now_of(list(self._copies), self._desk.wall()).model_dump(mode="json"))]
        for name, value in (("policy", self._policy()), ("problems", self._problems())):
            text = json.dumps({key: part for key, part in value.items() if key != "at"})
            if self._last.get(name, text) != text:
                told.append(_event(name, value))
            self._last[name] = text
        return b"".join(told)

    def _problems(self) -> dict[str, Any]:
        items = [problem_item(one).model_dump(mode="json") for one in self._desk.problems()]
        return {"items": items, "next": None}

    def _policy(self) -> dict[str, Any]:
        facts = self._desk.facts()
        return PolicyChanged(
            at=str(iso_moment(self._desk.wall())),
            generation=facts.policy.generation,
            history=facts.history.generation,
            content=facts.policy.content or None,
            exchanges={labels[0]: int(float(str(value))) for labels, value in exchanges_by_state(facts)},
        ).model_dump(mode="json")


class _EventResponse(StreamingResponse):
    """A stream that is forgotten whatever ends it, also before its first event."""

    def __init__(
        self, stream: AsyncIterator[bytes], headers: dict[str, str], forget: Callable[[], None]
    ) -> None:
        super().__init__(stream, headers=headers, media_type="text/event-stream")
        self._forget = forget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._forget()


def now_of(copies: list[tuple[float, Counted]], wall: float) -> Now:
    """What the last second says, and those before it; `copies`: monotonic seconds and counts, in order."""
    (at, newest), (before_at, before) = copies[-1], copies[-2] if len(copies) > 1 else copies[-1]
    lasted_s = at - before_at
    second, span = between(before, newest), between(copies[0][1], newest)
    answers = sum(map(sum, span.times.values()))
    hits = sum(sum(buckets) for source, buckets in span.times.items() if source in HITS)
    return Now(
        at=str(iso_moment(wall)),
        queries_per_s=round(second.queries / lasted_s, 2) if lasted_s > 0 else 0.0,
        blocked_per_s=round(second.blocked / lasted_s, 2) if lasted_s > 0 else 0.0,
        cache_hit_share=round(hits / answers, 4) if answers else None,
        latency={
            source: Latency(
                p50_s=quantile_s(span.times.get(source, ()), 0.5),
                p99_s=quantile_s(span.times.get(source, ()), 0.99),
            )
            for source in SOURCES
        },
    )


def _event(name: str, value: dict[str, Any]) -> bytes:
    # JSON of json.dumps is ASCII on one line, whatever names are in it.
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()
