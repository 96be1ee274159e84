"""Zones transferred from real primaries: whole, then by changes, signed and not."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import dns.message
import dns.opcode
import dns.query
import dns.rcode
import pytest

from resolver.blocklist.downloads import Download, DownloadedList
from resolver.blocklist.transfers import Primary as PrimarySpec
from resolver.blocklist.transfers import Transfer, TsigSpec
from resolver.fetching.download import Job, fetch_list
from resolver.fetching.outcome import Outcome, Result
from resolver.fetching.store import ListStore
from tests.loopback.primaries import KEY, SECRET, ZONE, running_primary
from tests.loopback.process import free_port, poll
from tests.loopback.server import Server

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
        for step in range(10):
            # A thousand edits in all.
            gone = chance.sample(primary.names, 49)
            primary.change([f"new{step}-{number}.example" for number in range(51)], gone)
            changed = fetch(one, tmp_path)
            assert (changed.result, changed.names) == (Result.UPDATED, 2_002 + 2 * step), changed.message
            assert ListStore(tmp_path / "state", "zone").notes().transferred_as == "changes"
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        assert fetch(one, fresh).result is Result.UPDATED
        assert content(tmp_path) == content(fresh)
        assert ListStore(tmp_path / "state", "zone").notes().serial == primary.serial


def blocklist(folder: Path, port: int, key: str = SECRET) -> str:
    """A policy whose list is the zone of a primary on this port."""
    (folder / "secret").write_text(key)
    (folder / "secret").chmod(0o600)
    return (
        "version: 1\nexchanges: {acme: {name: Acme, domains: [acme.example]}}\n"
        f"lists: [{{name: zone, url: 'axfr://127.0.0.1:{port}/{ZONE}', "
        f"tsig: {{name: {KEY}, secret_file: secret}}}}]\n"
    )


def is_blocked(server: Server, name: str) -> bool:
    """Whether policy denies the name; the upstream is dead, so all else fails."""
    return server.ask(name).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_in_force_soon_after_its_primary_says_so(
    kind: str, tmp_path: Path, serving_engine: str
) -> None:
    names = [f"n{number}.example" for number in range(10_000)]
    dns_port, primary_port = free_port(), free_port()
    folder = tmp_path / "server"
    folder.mkdir()
    upstreams = {"timeout_s": 0.1}
    with running_primary(kind, tmp_path / kind, names, notify_port=dns_port, port=primary_port) as primary:
        server = Server(
            folder,
            port=dns_port,
            blocklist=blocklist(folder, primary.port),
            changes={"upstreams": upstreams, "clients": {"allow": ["192.0.2.0/24", "127.0.0.1/32"]}},
        )
        with server:
            server.wait_until_ready()
            assert is_blocked(server, "www.n9999.example")
            assert not is_blocked(server, "late.example")
            started = time.monotonic()
            primary.change(["late.example"], ["n17.example"])
            poll(lambda: is_blocked(server, "late.example"), timeout_s=20.0, what="the change is in force")
            print(f"{kind}, {serving_engine}: {time.monotonic() - started:.2f} s from change to force")
            assert not is_blocked(server, "n17.example")
            assert server.metric("resolver_list_serial", list="zone") == primary.serial
            assert "announces a change of zone" in server.stderr()


def test_notify_of_a_stranger_is_not_implemented_here(tmp_path: Path, serving_engine: str) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Server(folder, blocklist=blocklist(folder, 9).replace("127.0.0.1:9", "192.0.2.1:9")) as server:
        server.wait_until_ready()
        notify = dns.message.make_query(ZONE, "SOA")
        notify.set_opcode(dns.opcode.NOTIFY)
        for ask in (dns.query.udp, dns.query.tcp):
            reply = ask(notify, "127.0.0.1", port=server.port, timeout=5.0)
            assert reply.rcode() == dns.rcode.NOTIMP
