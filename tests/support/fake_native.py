"""A stand-in for the compiled module: keeps what it is told, punts every query.

Knows: `resolver.plane`.  Does not know: how the module itself works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from resolver import __version__
from resolver.cache import ResponseCache
from resolver.cache.native_cache import fields_of, response_of
from resolver.cache.snapshot import Loaded, load_records, records_of
from resolver.plane import (
    PUNT,
    EntryFields,
    QuestionFields,
    ResponseFields,
    TallyFields,
    UpstreamServerFields,
    UpstreamSetFields,
)
from resolver.wire.question import Question
from tests.support.fake_plane import FakePlane

VERSION = __version__


class Cache:
    """`ResponseCache` behind the line."""

    def __init__(self, octets_max: int, **limits: int) -> None:
        self.inner = ResponseCache(octets_max, **limits)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def lookup(self, question: QuestionFields, now: float) -> EntryFields | None:
        return _fields(self.inner.lookup(Question(*question), now))

    def store(self, question: QuestionFields, response: ResponseFields, now: float) -> EntryFields | None:
        return _fields(self.inner.store(Question(*question), response_of(question[0], response), now))

    def snapshot(self, place: int, octets_max: int, now: float) -> tuple[int | None, bytes]:
        return None, b"".join(records_of(self.inner, now))

    def load(self, octets: bytes, away_s: float, now: float) -> tuple[int, int]:
        loaded = Loaded()
        for _ in load_records(self.inner, octets, away_s, now, loaded):
            pass
        return loaded.kept, loaded.refused

    def store_failure(self, question: QuestionFields, ede: tuple[int, str], now: float) -> EntryFields:
        fields = _fields(self.inner.store_failure(Question(*question), ede, now))
        assert fields is not None
        return fields


def _fields(entry: Any) -> EntryFields | None:
    if entry is None:
        return None
    response = None if entry.response is None else fields_of(entry.response)
    times = (entry.stored_at, entry.expires_at, entry.stale_until, entry.failed_until)
    return response, *times, entry.failure


class FakeRecords:
    """Lines that were made by whoever put them here."""

    def __init__(self) -> None:
        self.made: list[bytes] = []

    def __len__(self) -> int:
        return len(self.made)

    def count(self, *, only_blocked: bool) -> int:
        return len(self.made)

    def written(self, look: object, offset_s: float, *, records_max: int | None = None) -> tuple[bytes, int]:
        made = self.made[:records_max]
        return b"".join(made), len(made)


class RecordLook:
    """How its lines are asked for."""

    def __init__(self, record_format: str, clients: str, **given: Any) -> None:
        self.given = {"record_format": record_format, "clients": clients, **given}


class Core:
    """See `resolver.plane.Core`."""

    def __init__(self, cache: Cache, **given: Any) -> None:
        self.given = given
        self.published: list[tuple[str, int, float, float]] = []
        self.upstreams: list[tuple[list[UpstreamServerFields], list[UpstreamSetFields]]] = []
        self.asked: list[tuple[bytes, bytes, int]] = []
        self.is_broken = self.is_withdrawn = False
        self.in_flight = 2
        self.waiting = 0
        self.records = FakeRecords()
        self.lost = 0
        self.counted: list[TallyFields] = [
            (
                "udp",
                "A",
                "NXDOMAIN",
                "policy",
                None,
                ("exchange", "acme", "nxdomain", "enforce"),
                None,
                5,
                0.01,
            ),
            ("udp", "A", None, None, "short", None, None, 2, 0.0),
        ]

    def publish(
        self,
        path: str,
        generation: int,
        wall: float,
        monotonic: float,
        nat64_prefixes: Sequence[tuple[bytes, int]] = (),
    ) -> None:
        if self.is_broken:
            raise ValueError("a section lies outside the file")
        self.published.append((path, generation, wall, monotonic))

    def withdraw(self) -> None:
        self.is_withdrawn = True

    def designate(self, name: bytes, rdatas: Sequence[bytes]) -> None:
        pass

    def publish_notifiers(self, addresses: list[bytes]) -> None:
        self.notifiers = addresses

    def publish_upstreams(self, servers: list[UpstreamServerFields], sets: list[UpstreamSetFields]) -> None:
        self.upstreams.append((servers, sets))

    def answer(
        self, octets: bytes, address: bytes, transport: int, now: float, name: str = ""
    ) -> tuple[int, bytes]:
        self.asked.append((octets, address, transport))
        return PUNT, b""

    def take_records(self) -> FakeRecords:
        """The records that a test put there, once."""
        taken, self.records = self.records, FakeRecords()
        return taken

    def records_lost(self, *, only_blocked: bool) -> int:
        return self.lost

    def tallies(self) -> list[TallyFields]:
        return self.counted

    def audited(self) -> int:
        return 4

    def late(self) -> dict[str, list[int]]:
        return {"policy": [0, 0, 3, *[0] * 11]}


class Plane(FakePlane):
    """A plane that keeps what it was made of."""

    def __init__(
        self,
        core: Core,
        sockets: list[list[tuple[int, bool, bool]]],
        *,
        sockets_per_upstream: int,
        sockets_max: int,
        usable_ports: list[int],
        memo_octets: int,
        streams: list[list[tuple[int, int]]],
        **limits: float,
    ) -> None:
        super().__init__()
        self.streams = streams
        self.limits = limits
        self.core = core
        self.sockets = sockets
        self.sockets_per_upstream = sockets_per_upstream
        self.sockets_max = sockets_max
        self.usable_ports = usable_ports
        self.memo_octets = memo_octets
