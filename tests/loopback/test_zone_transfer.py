"""Zones transferred from real primaries: whole, then by changes, signed and not."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from resolver.blocklist.downloads import Download, DownloadedList
from resolver.blocklist.transfers import Primary as PrimarySpec
from resolver.blocklist.transfers import Transfer, TsigSpec
from resolver.fetching.download import Job, fetch_list
from resolver.fetching.outcome import Outcome, Result
from resolver.fetching.store import ListStore
from tests.loopback.primaries import KEY, SECRET, ZONE, running_primary

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

KINDS = [
    pytest.param("bind", marks=pytest.mark.needs("named")),
    pytest.param("nsd", marks=pytest.mark.needs("nsd")),
]
NAMES = [f"n{number}.example" for number in range(2_000)]


def wanted(folder: Path, *ports: int, key: str | None = SECRET, key_name: str = KEY) -> DownloadedList:
    tsig = None
    if key is not None:
        file = folder / "secret"
        file.write_text(key)
        file.chmod(0o600)
        tsig = TsigSpec(f"{key_name}.", "hmac-sha256", str(file))
    transfer = Transfer(f"{ZONE}.", tuple(PrimarySpec("127.0.0.1", port) for port in ports), tsig)
    urls = " ".join(f"axfr://127.0.0.1:{port}/{ZONE}" for port in ports)
    return DownloadedList("zone", "rpz", 50, Download(urls, 86_400, 60.0, 1 << 28, transfer=transfer))


def fetch(one: DownloadedList, folder: Path, *, force: bool = False) -> Outcome:
    return asyncio.run(fetch_list(Job(one, folder / "state", (), force)))


def content(folder: Path) -> list[bytes]:
    """The records of the copy, in an order of their own."""
    lines = ListStore(folder / "state", "zone").path.read_bytes().splitlines()
    assert lines[0] == f"$ORIGIN {ZONE}.".encode()
    return sorted(lines[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_zone_comes_whole_then_by_changes_and_both_ways_end_in_the_same(kind: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    with running_primary(kind, tmp_path / kind, NAMES) as primary:
        one = wanted(tmp_path, primary.port)
        first = fetch(one, tmp_path)
        assert (first.result, first.names, first.message) == (Result.UPDATED, 2_000, "")
        assert fetch(one, tmp_path).result is Result.UNCHANGED
        for step in range(8):
            gone = chance.sample(primary.names, 3)
            primary.change([f"new{step}-{number}.example" for number in range(4)], gone)
            changed = fetch(one, tmp_path)
            assert (changed.result, changed.names) == (Result.UPDATED, 2_001 + step), changed.message
            assert ListStore(tmp_path / "state", "zone").notes().transferred_as == "changes"
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        assert fetch(one, fresh).result is Result.UPDATED
        assert content(tmp_path) == content(fresh)
        assert ListStore(tmp_path / "state", "zone").notes().serial == primary.serial
