"""Keeps the certificates of a running server: read at its start, and again when their files change.

Knows: which set is served, since when its files cannot be used, when to say so.  Does not know: how a set is
served (`prepare` does), sockets.
Theory: a new set is read, checked and prepared beside the old one, then swapped in whole.  Whoever replaces a
certificate writes two files, one after the other; what is found between is no fault.  So a set that cannot be
used is looked at once more before anybody hears of it.  Until a good one comes, the old one serves on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from resolver.certificates.contexts import CannotServe
from resolver.certificates.files import (
    Objection,
    Source,
    Stamp,
    read_pairs,
    remarks_on,
    stamp_of,
    stamps_of,
)
from resolver.certificates.pair import Pair
from resolver.moments import iso_moment

LOOK_EVERY_S: Final = 2.0
"""How often the files are looked at; a set that cannot be used is said after twice as long."""

NOTICE_S: Final = 14 * 86_400.0
"""So long before its end a certificate is remarked on, or for the last third of a shorter life."""

_log = logging.getLogger(__name__)

Prepare = Callable[[Sequence[Pair]], Callable[[], None]]
"""Make ready what serves these pairs, and give back what swaps it in.  It is called on a thread of its own
and raises CannotServe; what it gives back is called on the event loop, and does not fail."""


class CertificatesRefused(Exception):
    """No set of certificates can be served; `objections` say why."""

    def __init__(self, objections: list[Objection]) -> None:
        self.objections = objections
        super().__init__("; ".join(map(str, objections)))


class CertificateKeeper:
    """The certificates of one server."""

    def __init__(
        self,
        sources: Sequence[Source],
        prepare: Prepare,
        wall: Callable[[], float],
        *,
        beside: Sequence[Path] = (),
    ) -> None:
        """`sources`: the first is for clients that name no server; none: there is nothing to keep.

        `beside`: files that `prepare` reads, too.
        """
        self._sources = tuple(sources)
        self._beside = tuple(beside)
        self._prepare = prepare
        self._wall = wall
        self._stamps: tuple[tuple[int, ...], ...] = ()
        self._doubts: list[Objection] = []
        """Why the files could not be used when they were last read; nobody may have heard of it yet."""
        self._watching: asyncio.Task[None] | None = None
        self.pairs: tuple[Pair, ...] = ()
        """Those that are served."""
        self.failure = ""
        """Why the files as they stand are not what is served; empty: they are."""
        self.successes = 0
        self.failures = 0
        """Times that files were read which could be used, or not, after the start."""

    async def start(self) -> None:
        """Read the first set and watch its files from now on.  Raises CertificatesRefused."""
        if not self._sources:
            return
        pairs, commit = await self._read()
        self._serve(pairs, commit)
        for remark in remarks_on(self._sources, pairs, self._wall()):
            _log.warning("%s", remark)
        self._watching = asyncio.create_task(self._watch(), name="certificates")

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def look(self) -> None:
        """Look at the files once; serve them if they are new and good, say so if they are not."""
        stamps = await asyncio.to_thread(self._look_at_files)
        if stamps == self._stamps and not self._doubts:
            return
        is_settled, self._stamps = stamps == self._stamps, stamps
        try:
            pairs, commit = await self._read()
        except CertificatesRefused as error:
            doubts, self._doubts = self._doubts, error.objections
            if is_settled and doubts == error.objections:
                self._note_failure(str(error))
            return
        except Exception as error:
            # These files are not read again until they change: whoever looks must see why.
            self._note_failure(f"a defect while they were read ({type(error).__name__}), see the log")
            raise
        self._doubts = []
        was_stale, self.failure = bool(self.failure), ""
        if tuple(pairs) == self.pairs and not self._beside:
            if was_stale:
                _log.info("the files of certificates are again what is served")
            return
        self.successes += 1
        self._serve(pairs, commit)
        ends = [
            f"{source.certificate}: until {iso_moment(pair.ends_at)}" for source, pair in self._with_sources()
        ]
        _log.info("new certificates are served: %s", "; ".join(ends))
        for remark in remarks_on(self._sources, pairs, self._wall()):
            _log.warning("%s", remark)

    @property
    def ends_at(self) -> float | None:
        """When the first of them expires, in Unix seconds; None: there are none."""
        return min((pair.ends_at for pair in self.pairs), default=None)

    @property
    def remark(self) -> str:
        """What a person should know; empty: nothing."""
        said = []
        if self.failure:
            said.append(f"the files as they stand are not what is served: {self.failure}")
        wall = self._wall()
        for source, pair in self._with_sources():
            if reason := pair.when_not(wall):
                said.append(f"{source.certificate} {reason}")
            elif wall >= pair.ends_at - min(NOTICE_S, (pair.ends_at - pair.starts_at) / 3):
                said.append(f"{source.certificate} expires on {iso_moment(pair.ends_at)}")
        return "; ".join(said)

    def _with_sources(self) -> list[tuple[Source, Pair]]:
        return list(zip(self._sources, self.pairs, strict=bool(self.pairs)))

    def _serve(self, pairs: Sequence[Pair], commit: Callable[[], None]) -> None:
        commit()
        self.pairs = tuple(pairs)

    async def _read(self) -> tuple[list[Pair], Callable[[], None]]:
        """Read and prepare a whole set, without waiting for disk or arithmetic here."""
        return await asyncio.to_thread(self._read_now)

    def _look_at_files(self) -> tuple[Stamp, ...]:
        return stamps_of(self._sources) + tuple(map(stamp_of, self._beside))

    def _read_now(self) -> tuple[list[Pair], Callable[[], None]]:
        if not self._stamps:
            self._stamps = self._look_at_files()
        pairs, objections = read_pairs(self._sources)
        if not objections:
            objections = self._worse(pairs)
        if objections:
            raise CertificatesRefused(objections)
        try:
            return pairs, self._prepare(pairs)
        except CannotServe as error:
            source = self._sources[error.place]
            raise CertificatesRefused([Objection(source, "certificate", error.reason)]) from None

    def _worse(self, pairs: Sequence[Pair]) -> list[Objection]:
        """Pairs that are not valid now, where those that are served are."""
        wall = self._wall()
        found = []
        for source, pair, served in zip(self._sources, pairs, self.pairs or pairs, strict=True):
            if (reason := pair.when_not(wall)) and not served.when_not(wall):
                found.append(Objection(source, "certificate", reason))
        return found

    def _note_failure(self, why: str) -> None:
        if self.failure == why:
            return
        self.failure = why
        self.failures += 1
        _log.error("certificates cannot be used, those before serve on: %s", why)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception:
                # Whatever it is, the next change of the files must be seen all the same.
                _log.exception("defect while looking at certificates")
