"""One downloaded list in a folder, and a web server that has it, or something else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from resolver.blocklist.downloads import Download, DownloadedList
from resolver.fetching.download import Job, Means, fetch_list
from resolver.fetching.outcome import Outcome, Result
from resolver.fetching.store import ListStore, Notes
from tests.support.list_server import (
    Page,
    WebServer,
    trusting,
    web_server,
)

LIST = b"# names\nads.example\ntracker.example\n"
OLD = b"old.example\n"
NOW = 1.7e9

Story = Callable[["Place"], Awaitable[None]]


class Place:
    """A web server, a state folder, and one list."""

    def __init__(self, folder: Path, web: WebServer) -> None:
        self.state = folder / "state"
        self.web = web
        self.store = ListStore(self.state, "ads")
        self.bootstrap: tuple[tuple[str, int], ...] = ()
        self.now = NOW
        self.tls: Callable[[], ssl.SSLContext] = trusting
        self.seen: list[tuple[int, int | None]] = []

    def have(self, octets: bytes) -> None:
        """A copy from before, without notes."""
        self.store.path.parent.mkdir(parents=True, exist_ok=True)
        self.store.path.write_bytes(octets)

    async def fetch(
        self, path: str = "/list", *, host: str = "127.0.0.1", force: bool = False, **more: Any
    ) -> Outcome:
        url = path if "://" in path else self.web.url(path, host)
        download = Download(
            **{
                "url": url,
                "refresh_s": 3600,
                "timeout_s": 20.0,
                "octets_max": 1 << 20,
                "allow_private": True,
                **more,
            }
        )
        job = Job(DownloadedList("ads", "auto", 50, download), self.state, self.bootstrap, force)
        means = Means(
            wall=lambda: self.now,
            tls=self.tls,
            progress=lambda received, total: self.seen.append((received, total)),
            idle_s=more.get("timeout_s", 20.0),
        )
        return await fetch_list(job, means)

    @property
    def notes(self) -> Notes:
        return self.store.notes()

    def copy(self) -> bytes | None:
        return self.store.path.read_bytes() if self.store.has_copy() else None

    def leftovers(self) -> list[str]:
        return [path.name for path in self.store.path.parent.glob(".*.new")]


def play(folder: Path, story: Story, *, tls: bool = True) -> None:
    async def whole() -> None:
        async with web_server(folder, tls=tls) as web:
            place = Place(folder, web)
            await story(place)
            assert place.leftovers() == []

    asyncio.run(whole())


def refused(folder: Path, page: Page, result: Result, *, tls: bool = True, **more: Any) -> Outcome:
    """Fetch a page that must not replace the copy; the outcome."""
    outcomes = []

    async def story(place: Place) -> None:
        place.have(OLD)
        place.web.pages["/list"] = page
        outcomes.append(await place.fetch(**more))
        assert place.copy() == OLD
        assert (place.notes.result, place.notes.failures) == (result, 1)

    play(folder, story, tls=tls)
    assert outcomes[0].result is result, outcomes[0]
    assert outcomes[0].message
    return outcomes[0]
