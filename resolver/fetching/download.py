"""One download of one list, from the first question to the rename.

Knows: the order of the steps, HTTP's conditions and redirects.  Does not know: when to try again.
Theory: everything happens in a temporary file; the copy that serves is replaced by one rename,
after every check.  Whatever goes wrong before it leaves the copy as it was, and is noted.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import httpcore

from resolver.blocklist.downloads import Download, DownloadedList, SignatureSpec
from resolver.durable import Replacement
from resolver.fetching.access import Secrets, read_secret, read_secrets
from resolver.fetching.body import Body
from resolver.fetching.connection import CheckedBackend, default_tls
from resolver.fetching.discovery import PAGE_OCTETS_MAX, find_link, sha256_in
from resolver.fetching.hops import Clients, following, header, post_for_token, read_small
from resolver.fetching.inspection import check_change, count_entries
from resolver.fetching.outcome import MESSAGE_CHARS_MAX, FetchFailed, Outcome, Result
from resolver.fetching.signature import SIGNATURE_OCTETS_MAX, verify_file
from resolver.fetching.store import VALIDATOR_CHARS_MAX, ListStore, Notes, day_of
from resolver.fetching.stub import Server, Stub
from resolver.fetching.transfer import ZoneAttempt
from resolver.fetching.zone_changes import is_newer

IDLE_S = 20.0
"""A server that sends nothing for so long is not going to."""
WRITE_OCTETS = 1 << 18
"""Octets gathered before a thread is asked to unpack and write them."""

Progress = Callable[[int, int | None], None]
"""Called with the octets over the wire so far, and all of them if the server says."""


@dataclass(frozen=True, slots=True)
class Job:
    """One list to fetch."""

    wanted: DownloadedList
    state_dir: Path
    bootstrap: tuple[Server, ...]
    """Whom to ask for the addresses of hosts."""
    force: bool = False
    """Accept a list that changed by more than `change_max_percent`."""


@dataclass(slots=True)
class Means:
    """What a download needs of the world; tests give their own."""

    wall: Callable[[], float] = time.time
    tls: Callable[[], ssl.SSLContext] = default_tls
    progress: Progress = field(default=lambda _received, _total: None)
    idle_s: float = IDLE_S


class _Fetched(NamedTuple):
    """The reply at the end of the redirects."""

    is_unchanged: bool
    etag: str
    last_modified: str
    sha256: str
    octets: int


async def fetch_list(job: Job, means: Means | None = None) -> Outcome:
    """Fetch a list, verify it, put it in place; never raises but for being cancelled."""
    means = means or Means()
    store = ListStore(job.state_dir, job.wanted.name)
    try:
        with contextlib.ExitStack() as stack:
            # Within the lock, so that two processes never note over each other.
            await asyncio.to_thread(stack.enter_context, store.locked())
            return await _fetch_and_note(job, store, means)
    except FetchFailed as failure:
        return Outcome(job.wanted.name, failure.result, failure.why)
    except OSError as error:
        return Outcome(job.wanted.name, Result.STORAGE, f"{store.path.parent}: {error.strerror or error}")


async def _fetch_and_note(job: Job, store: ListStore, means: Means) -> Outcome:
    before = await asyncio.to_thread(store.notes)
    now = means.wall()
    message = ""
    attempt = _attempt(job, store, means, before)
    try:
        async with asyncio.timeout(job.wanted.download.timeout_s):
            after, result = await attempt.run()
    except FetchFailed as failure:
        result, message = failure.result, attempt.secrets.hide(failure.why)
    except TimeoutError:
        result, message = Result.TIMEOUT, f"took over {job.wanted.download.timeout_s:g} s"
    except OSError as error:
        result, message = Result.STORAGE, f"cannot keep it: {error.strerror or error}"
    if message:
        failures = before.failures + 1
        after = replace(attempt.before, attempted_at=now, failures=failures, result=result, problem=message)
        if after.serial and is_newer(after.authority_serial, after.serial) and not after.behind_since:
            after = replace(after, behind_since=now)
    else:
        after = replace(
            after, attempted_at=now, succeeded_at=now, failures=0, result=result, problem="", behind_since=0.0
        )
    # The list is in place, or was never touched; a note that can not be written costs no list.
    with contextlib.suppress(OSError):
        await asyncio.to_thread(store.note, after)
    remark = "" if message else attempt.secrets.hide(attempt.remark)[:MESSAGE_CHARS_MAX]
    return Outcome(job.wanted.name, result, message, after.octets, after.names, after.succeeded_at, remark)


def _attempt(job: Job, store: ListStore, means: Means, before: Notes) -> _Attempt | ZoneAttempt:
    if job.wanted.download.transfer is None:
        return _Attempt(job, store, means, before)
    return ZoneAttempt(job.wanted, store, before, force=job.force, idle_s=means.idle_s, wall=means.wall())


class _Attempt:
    """The steps of one download."""

    def __init__(self, job: Job, store: ListStore, means: Means, before: Notes) -> None:
        self._list = job.wanted
        self._download: Download = job.wanted.download
        self._force = job.force
        self._store = store
        self._means = means
        self.before = before
        self._stub = Stub(job.bootstrap)
        self.secrets = Secrets()
        self.remark = ""
        self._sha256_beside = ""
        """What a file beside the list says; empty: there is none."""

    async def run(self) -> tuple[Notes, Result]:
        """All steps, in the order that lets the cheap and telling ones come first."""
        download, before = self._download, self.before
        is_known = before.proof == download.proof and await asyncio.to_thread(
            self._store.is_about_copy, before
        )
        if is_known and download.sha256 == before.sha256:
            # Pinned, verified, here: nothing that could come would be anything else.
            return replace(before, url=download.url), Result.UNCHANGED
        await self._read_secrets()
        new = await asyncio.to_thread(self._store.new_copy)
        try:
            fetched = await self._fetch_body(new.file, is_known and before.url == download.url)
            if fetched.is_unchanged:
                return before, Result.UNCHANGED
            return await self._accept(new, fetched, is_known)
        finally:
            # Not cut short by cancelling: the file must not be left open.
            new.discard()

    async def _accept(self, new: Replacement, fetched: _Fetched, is_known: bool) -> tuple[Notes, Result]:
        download, before = self._download, self.before
        await asyncio.to_thread(new.file.flush)
        path = new.path
        # Proofs first: nobody parses what was not meant for us.
        if download.sha256 is not None and fetched.sha256 != download.sha256:
            raise FetchFailed(
                Result.HASH, f"its SHA-256 is {fetched.sha256}, but {download.sha256} is pinned"
            )
        if self._sha256_beside and fetched.sha256 != self._sha256_beside:
            message = f"its SHA-256 is {fetched.sha256}, but the file beside it says {self._sha256_beside}"
            raise FetchFailed(Result.HASH, message)
        if download.signature is not None:
            signature = await self._signature(download.signature)
            await asyncio.to_thread(verify_file, path, signature, download.signature)
        names = await asyncio.to_thread(count_entries, path, self._list)
        notes = replace(
            before,
            url=download.url,
            proof=download.proof,
            etag=fetched.etag,
            last_modified=fetched.last_modified,
            sha256=fetched.sha256,
            octets=fetched.octets,
            names=names,
        )
        if fetched.sha256 == before.sha256 and await asyncio.to_thread(self._store.is_about_copy, before):
            return notes, Result.UNCHANGED
        wall = self._means.wall()
        day_names, day_began_at = (names, wall) if self._force else day_of(before, wall)
        if not self._force and self._store.has_copy():
            check_change(self._list, before.names, names, day_names)
        await asyncio.to_thread(new.commit)
        return (
            replace(notes, changed_at=wall, day_names=day_names, day_began_at=day_began_at),
            Result.UPDATED,
        )

    async def _signature(self, spec: SignatureSpec) -> bytes:
        if not spec.is_url:
            return await asyncio.to_thread(_read_start, Path(spec.location), SIGNATURE_OCTETS_MAX)
        kept = bytearray()
        try:
            async with self._clients() as clients, self._get(clients, spec.location, {}) as reply:
                async for octets in reply.aiter_stream():
                    kept += octets
                    if len(kept) > SIGNATURE_OCTETS_MAX:
                        raise FetchFailed(Result.SIGNATURE, "too large to be one")
        except FetchFailed as failure:
            raise FetchFailed(failure.result, f"signature {spec.location}: {failure.why}") from None
        return bytes(kept)

    async def _read_secrets(self) -> None:
        """What the list's server is to be shown, a login's token included.  Raises FetchFailed."""
        access = self._download.access
        if access is None:
            return
        self.secrets = await asyncio.to_thread(read_secrets, access, self._download.url)
        if access.login is not None:
            body = await asyncio.to_thread(read_secret, access.login.body_file)
            self.secrets.hide_json(body)
            async with self._clients() as clients:
                answer = await post_for_token(
                    clients, access.login, body, self._download, idle_s=self._means.idle_s
                )
            self.secrets.take_token(answer, access.login.token)

    async def _list_url(self) -> str:
        """Where the list is: its `url`, or what the page there names.  Raises FetchFailed."""
        wanted = self._download.discover
        if wanted is None:
            return self._download.url
        page = await self._small(self._download.url, PAGE_OCTETS_MAX, "the page")
        find = partial(find_link, page, self._download.url)
        link = await asyncio.to_thread(find, wanted.link, wanted.choose)
        if wanted.sha256:
            beside = await asyncio.to_thread(find, wanted.sha256, wanted.choose)
            self._sha256_beside = sha256_in(await self._small(beside, SIGNATURE_OCTETS_MAX, "the checksum"))
        return link

    async def _small(self, url: str, octets_max: int, what: str) -> bytes:
        try:
            async with self._clients() as clients, self._get(clients, url, {}) as reply:
                return await read_small(reply, octets_max, what)
        except FetchFailed as failure:
            raise FetchFailed(failure.result, f"{what} {url}: {failure.why}") from None

    def _get(
        self, clients: Clients, url: str, conditions: Mapping[str, str]
    ) -> contextlib.AbstractAsyncContextManager[httpcore.Response]:
        return following(clients, url, conditions, self._download, self.secrets, idle_s=self._means.idle_s)

    @contextlib.asynccontextmanager
    async def _clients(self) -> AsyncIterator[Clients]:
        backend = CheckedBackend(self._stub.addresses, allow_private=self._download.allow_private)
        contexts = [self.secrets.present(self._means.tls())]
        if self._download.access is not None:
            contexts.append(self._means.tls())
        async with contextlib.AsyncExitStack() as stack:
            pools = [
                await stack.enter_async_context(
                    httpcore.AsyncConnectionPool(
                        ssl_context=context, network_backend=backend, max_connections=1, retries=0
                    )
                )
                for context in contexts
            ]
            yield Clients(pools[0], pools[-1])

    async def _fetch_body(self, part: IO[bytes], may_be_unchanged: bool) -> _Fetched:
        """The list's octets into `part`, or the server's word that they are the same."""
        conditions = {}
        url = await self._list_url()
        # What an ETag says of one link it does not say of the next.
        may_be_unchanged = may_be_unchanged and self._download.discover is None
        if may_be_unchanged and self.before.etag:
            conditions["If-None-Match"] = self.before.etag
        if may_be_unchanged and self.before.last_modified:
            conditions["If-Modified-Since"] = self.before.last_modified
        async with self._clients() as clients, self._get(clients, url, conditions) as reply:
            if reply.status == 304:
                return _Fetched(True, "", "", "", 0)
            return await self._take_body(reply, part)

    async def _take_body(self, reply: httpcore.Response, part: IO[bytes]) -> _Fetched:
        length = header(reply, b"content-length")
        if not length and header(reply, b"transfer-encoding").lower() != "chunked":
            # RFC 9112 §6.3: such a body ends with the connection, so a broken one looks whole.
            raise FetchFailed(Result.TRUNCATED, "the server does not say where the list ends")
        total = int(length) if length.isascii() and length.isdigit() else None
        octets_max = self._download.octets_max
        if total is not None and total > octets_max:
            raise FetchFailed(
                Result.TOO_LARGE, f"{total:,} bytes; the list's size_mb_max permits {octets_max:,}"
            )
        if header(reply, b"content-type").lower().startswith("text/html"):
            raise FetchFailed(Result.NOT_A_LIST, "a web page (content type text/html), not a list")
        body = Body(part, header(reply, b"content-encoding").lower(), octets_max)
        gathered = bytearray()
        received = 0
        async for octets in reply.aiter_stream():
            gathered += octets
            received += len(octets)
            self._means.progress(received, total)
            if len(gathered) >= WRITE_OCTETS:
                await asyncio.to_thread(body.take, bytes(gathered))
                gathered.clear()
        await asyncio.to_thread(body.take, bytes(gathered))
        body.end()
        return _Fetched(
            False,
            _validator(reply, b"etag"),
            _validator(reply, b"last-modified"),
            body.sha256,
            body.octets,
        )


def _validator(reply: httpcore.Response, name: bytes) -> str:
    """An ETag or date to repeat in the next request; none if it could not be repeated safely."""
    text = header(reply, name)
    return text if text.isascii() and text.isprintable() and len(text) <= VALIDATOR_CHARS_MAX else ""


def _read_start(path: Path, octets_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(octets_max)
    except OSError as error:
        raise FetchFailed(Result.SIGNATURE, f"{path}: cannot be read: {error.strerror}") from None
