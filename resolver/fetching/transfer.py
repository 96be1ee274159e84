"""One transfer of one zone, from the question for its serial to the rename.

Knows: the order of the steps: SOA, then IXFR where a copy is here, else AXFR; one primary after the other.
Does not know: when to try again, what the zone is for.
Theory: as a download: everything happens in a temporary file, and the copy that serves is replaced by one
rename, after every check.  The age of the copy (SOA expire) never takes it away: that would open the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.rrset
import dns.tsig

from resolver.blocklist.downloads import Download, DownloadedList
from resolver.blocklist.transfers import Primary, Transfer
from resolver.durable import Replacement
from resolver.fetching.access import Secrets
from resolver.fetching.inspection import check_change, count_entries
from resolver.fetching.outcome import FetchFailed, Result
from resolver.fetching.store import ListStore, Notes, day_of
from resolver.fetching.tsig_key import read_tsig_key
from resolver.fetching.zone_changes import Form, NeedsWhole, Record, ZoneChanges, is_newer
from resolver.fetching.zone_connection import RcodeFailed, ZoneConnection, connected, zone_tls
from resolver.fetching.zone_copy import (
    Soa,
    Zonemd,
    apply_changes,
    head_of,
    line_of,
    soa_from,
    soa_of,
)
from resolver.fetching.zone_message import record_of


class ZoneAttempt:
    """The steps of one transfer."""

    def __init__(
        self,
        wanted: DownloadedList,
        store: ListStore,
        before: Notes,
        *,
        force: bool,
        idle_s: float,
        wall: float,
    ) -> None:
        assert wanted.download.transfer is not None
        self._list = wanted
        self._download: Download = wanted.download
        self._transfer: Transfer = wanted.download.transfer
        self._origin = dns.name.from_text(self._transfer.zone)
        self._zone = self._origin.to_digestable()
        self._store = store
        self.before = before
        self._force = force
        self._idle_s = idle_s
        self._wall = wall
        self._received = 0
        self._newest: int | None = None
        """The newest serial that a primary has said in this attempt."""
        self.secrets = Secrets()
        """None that a primary could say: a key is never sent."""
        self.remark = ""
        """Which primaries were asked in vain, and why, where another was of use."""

    async def run(self) -> tuple[Notes, Result]:
        """All steps.  Raises FetchFailed, with the reasons of all primaries, and OSError."""
        key = await asyncio.to_thread(self._key)
        here = await asyncio.to_thread(self._here)
        failures: list[tuple[Primary, FetchFailed]] = []
        unchanged: Notes | None = None
        for primary in self._transfer.primaries:
            try:
                notes, result = await self._from(primary, key, here)
            except FetchFailed as failure:
                failures.append((primary, failure))
                self.remark = "; ".join(f"{primary}: {failure.why}" for primary, failure in failures)
                continue
            if result is Result.UPDATED:
                return notes, result
            # Another primary may have heard of news sooner.
            if unchanged is None or is_newer(notes.authority_serial, unchanged.authority_serial):
                unchanged = notes
        is_behind = here is not None and self._newest is not None and is_newer(self._newest, here.serial)
        if unchanged is not None and not is_behind:
            return unchanged, Result.UNCHANGED
        # Where one primary has a newer zone that was not taken, another that lags makes it no success.
        raise FetchFailed(failures[-1][1].result, self.remark)

    def _key(self) -> dns.tsig.Key | None:
        spec = self._transfer.tsig
        return None if spec is None else read_tsig_key(spec)

    def _here(self) -> Soa | None:
        """The SOA of the copy, if it can be changed; else None."""
        before = self.before
        is_known = before.proof == self._download.proof and before.url == self._download.url
        if not is_known or not self._store.is_about_copy(before):
            return None
        with self._store.path.open("rb") as file:
            return soa_of(file, self._transfer.zone)

    async def _from(
        self, primary: Primary, key: dns.tsig.Key | None, here: Soa | None
    ) -> tuple[Notes, Result]:
        async with self._connected(primary, key) as connection:
            there = await self._ask_soa(connection)
            notes = _with_times(self.before, there)
            if self._newest is None or is_newer(there.serial, self._newest):
                # Known, and told, even if the transfer fails now.
                self._newest, self.before = there.serial, notes
            if here is not None and there.serial == here.serial:
                return replace(notes, serial=here.serial, authority_serial=there.serial), Result.UNCHANGED
            if here is not None and not is_newer(there.serial, here.serial):
                if not self._force:
                    raise FetchFailed(
                        Result.SERIAL,
                        f"its serial {there.serial} is older than {here.serial}, which is here; if the "
                        "authority began anew, run: "
                        f"exchange-resolver lists update {self._list.name} --force",
                    )
                here = None
            new = await asyncio.to_thread(self._store.new_copy)
            try:
                form = None if here is None else await self._changes(connection, here, new)
                if here is None:
                    form = await self._whole(connection, new)
                elif form is None:
                    async with self._connected(primary, key) as another:
                        form = await self._whole(another, new)
                assert form is not None
                return await self._accept(new, notes, form)
            finally:
                new.discard()

    def _connected(
        self, primary: Primary, key: dns.tsig.Key | None
    ) -> contextlib.AbstractAsyncContextManager[ZoneConnection]:
        self._received = 0
        tls = self._tls() if primary.tls_name is not None else None
        return connected(primary, key, tls, idle_s=self._idle_s, on_octets=self._count)

    def _tls(self) -> ssl.SSLContext:
        path = self._transfer.tls_ca
        try:
            return zone_tls(ssl.create_default_context(cafile=path))
        except (OSError, ssl.SSLError) as error:
            raise FetchFailed(Result.CONNECT, f"{path}: no certificate authorities: {error}") from None

    def _count(self, octets: int) -> None:
        self._received += octets
        if self._received > self._download.octets_max:
            raise FetchFailed(
                Result.TOO_LARGE,
                f"over {self._download.octets_max:,} bytes, which is what the list's size_mb_max permits",
            )

    async def _ask_soa(self, connection: ZoneConnection) -> Soa:
        async for message, is_proven in connection.ask(self._origin, dns.rdatatype.SOA):
            if not is_proven:
                break
            for wire in message.answer:
                if wire.rtype == dns.rdatatype.SOA and wire.owner == self._zone:
                    return soa_from(record_of(message, wire, self._zone).key)
            break
        raise FetchFailed(Result.BAD_TRANSFER, "the primary does not have this zone: it knows no SOA of it")

    async def _whole(self, connection: ZoneConnection, new: Replacement) -> Form:
        file = new.file
        await asyncio.to_thread(_begin, file, self._transfer.zone)
        await self._take(connection, ZoneChanges(None, _writer(file)), dns.rdatatype.AXFR, None)
        return Form.WHOLE

    async def _changes(self, connection: ZoneConnection, here: Soa, new: Replacement) -> Form | None:
        """Take an IXFR; None: it cannot be had, or does not fit what is here."""
        file = new.file
        await asyncio.to_thread(_begin, file, self._transfer.zone)
        changes = ZoneChanges(here.serial, _writer(file))
        try:
            await self._take(connection, changes, dns.rdatatype.IXFR, self._soa_rrset(here))
            if changes.form is Form.CHANGES:
                await asyncio.to_thread(self._apply, changes, file)
        except (NeedsWhole, RcodeFailed):
            return None
        # A primary that has news, and says in the same breath that it has none, is asked for all.
        return None if changes.form is Form.UNCHANGED else changes.form

    def _apply(self, changes: ZoneChanges, file: IO[bytes]) -> None:
        assert changes.soa is not None
        file.seek(0)
        file.truncate()
        with self._store.path.open("rb") as old:
            apply_changes(old, file, self._transfer.zone, changes.soa, changes.changes)

    def _soa_rrset(self, here: Soa) -> dns.rrset.RRset:
        return dns.rrset.from_text(self._origin, 0, "IN", "SOA", f". . {here.serial} 0 0 0 0")

    async def _take(
        self,
        connection: ZoneConnection,
        changes: ZoneChanges,
        rtype: dns.rdatatype.RdataType,
        soa: dns.rrset.RRset | None,
    ) -> None:
        entries_max = 4 * self._list.entries_max
        count = 0
        async for message, is_proven in connection.ask(self._origin, rtype, soa):
            for wire in message.answer:
                changes.take(record_of(message, wire, self._zone))
            count += len(message.answer)
            if count > entries_max:
                raise FetchFailed(
                    Result.TOO_LARGE, f"over {entries_max:,} records; the list's entries_max permits no more"
                )
            changes.end_of_message()
            if changes.is_over:
                if not is_proven:
                    raise FetchFailed(Result.TSIG, "the last message is not signed")
                break

    async def _accept(self, new: Replacement, notes: Notes, form: Form) -> tuple[Notes, Result]:
        file, path = new.file, new.path
        await asyncio.to_thread(file.flush)
        is_verified = await asyncio.to_thread(
            Zonemd(self._transfer.zone, self._store.path.parent).verify, file
        )
        names = await asyncio.to_thread(count_entries, path, self._list)
        day_names, day_began_at = (names, self._wall) if self._force else day_of(self.before, self._wall)
        if not self._force and self._store.has_copy():
            check_change(self._list, self.before.names, names, day_names)
        sha256, octets, soa = await asyncio.to_thread(self._measured, path)
        await asyncio.to_thread(new.commit)
        return (
            replace(
                _with_times(notes, soa),
                url=self._download.url,
                proof=self._download.proof,
                etag="",
                last_modified="",
                sha256=sha256,
                octets=octets,
                names=names,
                day_names=day_names,
                day_began_at=day_began_at,
                serial=soa.serial,
                authority_serial=soa.serial,
                transferred_as=form.value,
                is_digest_verified=is_verified,
                changed_at=self._wall,
            ),
            Result.UPDATED,
        )

    def _measured(self, path: Path) -> tuple[str, int, Soa]:
        with path.open("rb") as file:
            soa = soa_of(file, self._transfer.zone)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            octets = file.tell()
        assert soa is not None
        return sha256, octets, soa


def _with_times(notes: Notes, soa: Soa) -> Notes:
    return replace(
        notes,
        authority_serial=soa.serial,
        soa_refresh_s=soa.refresh_s,
        soa_retry_s=soa.retry_s,
        soa_expire_s=soa.expire_s,
    )


def _begin(file: IO[bytes], zone: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(head_of(zone))


def _writer(file: IO[bytes]) -> Callable[[Record], None]:
    def write(record: Record) -> None:
        file.write(line_of(record.key, record.ttl))

    return write
