"""The cache over a planned restart: written when a server stops, read when the next one starts.

Knows: the file in `state_dir`, what makes it believable, how long writing and reading may take.  Does not
know: how an answer is written (`cache.snapshot`), when a server stops.
Theory: the file is there from a stop to the next start alone: whoever reads it removes it first, so that
what is wrong with it costs one start, and no name that anybody asked lies about.  It is whole or it is not
believed, of this user, with a checksum, and of the same upstreams: whoever changes those, perhaps since they
lied, is not told the old answers.  Writing and reading go in portions, between which answers leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import stat
import struct
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Final

from resolver.cache import AnyCache, NativeCache
from resolver.cache.snapshot import FORMAT, Loaded, load_records, portions, records_of
from resolver.clock import Clock
from resolver.config.settings import Settings, UpstreamServer
from resolver.config.upstream_settings import UpstreamSection
from resolver.durable import Replacement

FILE: Final = "cache.snapshot"

WRITE_S_MAX: Final = 1.0
"""How long answers are gathered for it, the popular first: a stop takes 2 seconds at most."""
READ_S_MAX: Final = 2.0
"""How long answers are taken out of it before the first query is answered: the native engine takes a
million."""
AWAY_S_MAX: Final = 7 * 86_400.0
"""Older ones hold nothing that may still be served: no TTL and no staleness is longer by the defaults."""
PORTION_OCTETS: Final = 262_144
STEP_S: Final = 0.001
"""How long Python packs or unpacks before others have their turn."""

_SIGN: Final = b"ERCACHE\n"
_BYTE_ORDER: Final = 0x0A0B0C0D
_HEAD: Final = struct.Struct("<8sIIdQ32s")
"""Magic, byte order, format, when it was written (Unix seconds), octets of records, hash of the upstreams."""
_DIGEST_OCTETS: Final = 32
"""SHA-256 of head and records, behind the head."""

_log = logging.getLogger(__name__)


class SnapshotUnusable(Exception):
    """There is one, and it is not believed; the text says why."""


class Snapshots:
    """The cache of one server, written and read."""

    def __init__(self, settings: Settings, cache: AnyCache, clock: Clock, wall: Callable[[], float]) -> None:
        """`wall`: Unix seconds."""
        self._path = settings.state_dir / FILE
        self._is_on = settings.cache.snapshot
        self._octets_max = settings.cache.size_octets
        self._upstreams = hash_of_upstreams(settings.upstreams)
        self._cache = cache
        self._clock = clock
        self._wall = wall
        self._one_at_a_time = asyncio.Lock()
        self.loaded = Loaded()
        self.remark = ""
        """What a person should know; empty: nothing."""

    async def write(self) -> str:
        """Write down what is kept now, while answers go on; why not, or nothing.  Never raises."""
        if not self._is_on:
            return "cache.snapshot is false"
        async with self._one_at_a_time:
            try:
                octets = await self._write()
            except OSError as error:
                _log.warning("the cache is not kept for the next start: %s", error)
                return str(error)
            except Exception as error:
                # What cannot be written must not keep a server from ending.
                _log.exception("defect while the cache was written down")
                return f"a defect: {error}"
        _log.info("the cache is written down for the next start", extra={"octets": octets})
        return ""

    async def load(self) -> None:
        """Take up what the last server knew, if it is to be believed.  Never raises."""
        if not self._is_on:
            await asyncio.to_thread(self._remove)
            return
        try:
            found = await asyncio.to_thread(self._read)
        except (SnapshotUnusable, OSError) as error:
            self.remark = f"the cache of the last run is not used: {error}"
            _log.warning("%s", self.remark)
            return
        if found is None:
            return
        written_at, records = found
        away_s = self._wall() - written_at
        began = self._clock.now()
        try:
            is_whole = await self._load(records, away_s, began + READ_S_MAX)
        except Exception as error:
            # Nor may what cannot be read keep one from starting; the file is gone already.
            self.remark = f"the cache of the last run is not used: a defect: {error}"
            _log.exception("defect while the cache of the last run was taken up")
            return
        _log.info(
            "the cache of the last run is taken up%s",
            "" if is_whole else ", in part: there was no time for all of it",
            extra={
                "answers": self.loaded.kept,
                "refused": self.loaded.refused,
                "away_s": round(away_s, 1),
                "took_s": round(self._clock.now() - began, 3),
            },
        )

    # Writing.

    async def _write(self) -> int:
        await asyncio.to_thread(self._remove)
        new = await asyncio.to_thread(Replacement, self._path, mode=0o600)
        try:
            # How old an answer is is counted from the beginning: the time that writing takes counts, too.
            written_at = self._wall()
            head = _HEAD.pack(_SIGN, _BYTE_ORDER, FORMAT, written_at, 0, self._upstreams)
            # The length and the sum are known last.
            await asyncio.to_thread(new.file.write, head + bytes(_DIGEST_OCTETS))
            octets, digest = 0, hashlib.sha256()
            async with contextlib.aclosing(self._records()) as records:
                async for portion in records:
                    octets += len(portion)
                    await asyncio.to_thread(_add, new, digest, portion)
                    if octets >= self._octets_max:
                        break
            head = _HEAD.pack(_SIGN, _BYTE_ORDER, FORMAT, written_at, octets, self._upstreams)
            digest.update(head)
            await asyncio.to_thread(_finish, new, head + digest.digest())
        finally:
            new.discard()
        return octets

    async def _records(self) -> AsyncGenerator[bytes]:
        """Portions of records, for `WRITE_S_MAX` at most."""
        began = self._clock.now()
        cache = self._cache
        if isinstance(cache, NativeCache):
            place: int | None = 0
            while place is not None and self._clock.now() < began + WRITE_S_MAX:
                place, octets = await asyncio.to_thread(
                    cache.core.snapshot, place, PORTION_OCTETS, self._clock.now()
                )
                if octets:
                    yield octets
            return
        portion: list[bytes] = []
        size = 0
        step_ends = began + STEP_S
        for record in records_of(cache, began):
            portion.append(record)
            size += len(record)
            if size >= PORTION_OCTETS:
                yield b"".join(portion)
                portion, size = [], 0
            now = self._clock.now()
            if now >= began + WRITE_S_MAX:
                break
            if now >= step_ends:
                await asyncio.sleep(0)
                step_ends = self._clock.now() + STEP_S
        if portion:
            yield b"".join(portion)

    # Reading.

    def _read(self) -> tuple[float, bytes] | None:
        """When it was written, and its records; None: there is none.  Raises SnapshotUnusable and OSError."""
        try:
            # A pipe must not make us wait, nor a link lead us elsewhere.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor.
            self._remove()
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise SnapshotUnusable(f"{self._path} is no file that this user alone may read")
            if status.st_size > _HEAD.size + _DIGEST_OCTETS + 2 * self._octets_max:
                raise SnapshotUnusable("it is larger than the cache")
            octets = file.read()
        written_at = self._check(octets)
        away_s = self._wall() - written_at
        if away_s < 0:
            raise SnapshotUnusable(f"it was written {-away_s:.0f} s from now: the clock was set back")
        if not 0 <= away_s <= AWAY_S_MAX:  # nor if that is no number
            raise SnapshotUnusable(f"it is {away_s / 86_400:.0f} days old")
        return written_at, octets[_HEAD.size + _DIGEST_OCTETS :]

    def _check(self, octets: bytes) -> float:
        """When it was written.  Raises SnapshotUnusable."""
        start = _HEAD.size + _DIGEST_OCTETS
        if len(octets) < start:
            raise SnapshotUnusable("it is cut short")
        magic, byte_order, version, written_at, length, upstreams = _HEAD.unpack_from(octets)
        if magic != _SIGN or byte_order != _BYTE_ORDER:
            raise SnapshotUnusable("it is no snapshot of a cache")
        if version != FORMAT:
            raise SnapshotUnusable(f"it has format {version}, and this version reads {FORMAT}")
        digest = hashlib.sha256(octets[start:])
        digest.update(octets[: _HEAD.size])
        if length != len(octets) - start or digest.digest() != octets[_HEAD.size : start]:
            raise SnapshotUnusable("it is damaged")
        if upstreams != self._upstreams:
            raise SnapshotUnusable("the settings of upstreams have changed since")
        return float(written_at)

    async def _load(self, records: bytes, away_s: float, deadline: float) -> bool:
        """Whether there was time for all of it."""
        cache = self._cache
        for portion in portions(records, PORTION_OCTETS):
            if self._clock.now() >= deadline:
                return False
            if isinstance(cache, NativeCache):
                kept, refused = await asyncio.to_thread(cache.core.load, portion, away_s, self._clock.now())
                self.loaded.kept += kept
                self.loaded.refused += refused
                continue
            step_ends = self._clock.now() + STEP_S
            for _ in load_records(cache, portion, away_s, self._clock.now(), self.loaded):
                if self._clock.now() >= step_ends:
                    await asyncio.sleep(0)
                    if self._clock.now() >= deadline:
                        return False
                    step_ends = self._clock.now() + STEP_S
        return True

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()


def hash_of_upstreams(upstreams: UpstreamSection) -> bytes:
    """What tells whether the same servers are asked about the same names, and trusted in the same way."""

    def lines(suffix: str, servers: Iterable[UpstreamServer]) -> list[str]:
        return [f"{suffix} {one} {one.trust_ad} {[pin.hex() for pin in one.pins]}" for one in servers]

    texts = lines(".", upstreams.servers)
    for suffix, servers in sorted(upstreams.forward.items()):
        texts += lines(suffix.hex(), servers)
    return hashlib.sha256("\n".join([*texts, str(upstreams.tls_ca)]).encode()).digest()


def _add(new: Replacement, digest: hashlib._Hash, portion: bytes) -> None:
    new.file.write(portion)
    digest.update(portion)


def _finish(new: Replacement, head: bytes) -> None:
    new.file.seek(0)
    new.file.write(head)
    # A stop does not wait for a slow disk: what a power cut leaves of it the sum does not fit.
    new.commit(is_lasting=False)
