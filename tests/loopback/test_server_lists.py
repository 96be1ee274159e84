"""A whole server and its downloaded lists: first start, restart without a network, a list that changes."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from resolver.blocklist.downloads import stored_path
from resolver.config.settings import load_settings
from resolver.observe.log import LogWriter
from resolver.observe.metrics import render
from resolver.server.server import Server
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Rcode
from tests.support.list_server import WebServer, ca_pem, ok, web_server

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

Story = Callable[["Site", WebServer], Awaitable[None]]


class Site:
    """A folder with settings, a blocklist that downloads one list, and the state of earlier runs."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.started: list[Server] = []
        (folder / "blocklist.yaml").write_text(
            "version: 1\nexchanges: {acme: {name: Acme, domains: [acme.example]}}\n"
            f"lists: [{{name: ads, url: '{url}', format: domains, allow_private: true}}]\n"
        )
        settings = {
            "listen": {"dns": ["127.0.0.1:0"], "http": None},
            "upstreams": {"servers": ["udp://127.0.0.1:9"], "timeout_s": 0.1},
            "blocklist": "blocklist.yaml",
            "state_dir": "state",
        }
        (folder / "resolver.yaml").write_text(json.dumps(settings))

    async def start(self) -> Server:
        settings, problems = load_settings(self.folder / "resolver.yaml")
        assert settings is not None, problems
        server = Server(settings, engine="python", log_writer=LogWriter(io.BytesIO()))
        self.started.append(server)
        await server.start()
        return server

    async def stop_what_still_runs(self) -> None:
        """After a test that did not come to its end: an open socket would be told of in some other test."""
        for server in self.started:
            if server.health.reasons().get("sockets") != "shutting down":
                await server.stop()


async def is_blocked(server: Server, name: str) -> bool:
    """NXDOMAIN from policy; the upstream is dead, so all else is SERVFAIL."""
    reader, writer = await asyncio.open_connection(*server.dns_addresses[0])
    query = encode_query(name_from_text(name), 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True)
    writer.write(len(query).to_bytes(2, "big") + query)
    reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    writer.close()
    await writer.wait_closed()
    assert reply[3] & 0x0F in (Rcode.NXDOMAIN, Rcode.SERVFAIL)
    return reply[3] & 0x0F == Rcode.NXDOMAIN


def metrics_of(server: Server) -> str:
    return render(server.facts()).decode()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another process has to finish.
            await asyncio.sleep(0.02)


def play(folder: Path, monkeypatch: pytest.MonkeyPatch, story: Story) -> None:
    (folder / "ca.pem").write_bytes(ca_pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))

    async def whole() -> None:
        async with web_server(folder) as web:
            site = Site(folder, web.url("/list"))
            try:
                await story(site, web)
            finally:
                await site.stop_what_still_runs()

    asyncio.run(whole())


def test_a_first_start_waits_for_its_list_and_answers_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(site: Site, web: WebServer) -> None:
        web.pages["/list"] = ok(b"ads.example\n")
        server = await site.start()
        assert await is_blocked(server, "ads.example") and await is_blocked(server, "acme.example")
        assert server.health.remarks() == {}
        assert 'resolver_list_downloads_total{list="ads",result="updated"} 1.0' in metrics_of(server)
        assert 'resolver_list_downloads_total{list="ads",result="dns"} 0.0' in metrics_of(server)
        await server.stop()

    play(tmp_path, monkeypatch, story)


def test_a_first_start_without_the_list_serves_all_else_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(site: Site, web: WebServer) -> None:
        server = await site.start()
        assert await is_blocked(server, "acme.example") and not await is_blocked(server, "ads.example")
        assert server.health.is_ready and server.health.remarks() == {"lists": "never downloaded: ads"}
        assert 'resolver_list_last_success_timestamp_seconds{list="ads"} 0.0' in metrics_of(server)
        assert "IT WAS NEVER DOWNLOADED AND IS EMPTY" in caplog.text
        await server.stop()

    play(tmp_path, monkeypatch, story)


def test_a_restart_without_a_network_serves_the_last_good_copy_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(site: Site, web: WebServer) -> None:
        web.pages["/list"] = ok(b"ads.example\n")
        await (await site.start()).stop()
        asked = len(web.requests)
        web.pages.clear()
        server = await site.start()
        assert await is_blocked(server, "ads.example")
        assert server.health.remarks() == {} and len(web.requests) == asked
        await server.stop()

    play(tmp_path, monkeypatch, story)


def test_a_new_copy_is_served_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(site: Site, web: WebServer) -> None:
        web.pages["/list"] = ok(b"ads.example\n")
        server = await site.start()
        generation = server.facts().policy.generation
        # As `lists update` does it, from another process.
        path = stored_path(site.folder / "state", "ads")
        new = path.with_name("new")
        new.write_bytes(b"other.example\n")
        new.replace(path)
        await until(lambda: server.facts().policy.generation > generation)
        assert await is_blocked(server, "other.example") and not await is_blocked(server, "ads.example")
        await server.stop()

    play(tmp_path, monkeypatch, story)
