"""The whole server in this process, on ephemeral loopback ports."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from resolver.hits.figures import HitKey
from resolver.hits.file import HitsUnusable
from resolver.hits.store import HitStore
from resolver.listeners.address import SocketAddress
from resolver.observe.metric_table import METRICS
from resolver.observe.metrics import render
from resolver.orders.reach import Reason
from resolver.server.endpoints import show_address
from resolver.server.hits import HitHistory
from resolver.server.server import CannotStart
from tests.support.served import ORDERED, ask, make_server, play, refusals, until

pytestmark = pytest.mark.loopback


def test_is_ready_once_policy_and_sockets_are_there_and_not_before(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        assert refusals(server) == ["policy", "sockets"]
        await server.start()
        assert server.health.is_ready
        await server.stop()
        assert server.health.reasons() == {"sockets": "shutting down"}

    play(act)


def test_says_where_it_listens_and_what_it_blocks(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        await server.start()
        dns, http = server.dns_addresses[0], server.http_address
        assert http is not None
        assert server.describe() == (
            f"ready: dns 127.0.0.1:{dns.port}, http 127.0.0.1:{http.port}, 2 exchanges, 2 domains, engine python"
        )
        await server.stop()

    play(act)


def test_a_blocked_name_is_denied_and_counted(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        await server.start()
        reply = await ask(server.dns_addresses[0], "www.acme.example")
        assert reply[3] & 0x0F == 3
        page = render(server.facts()).decode()
        assert 'resolver_exchange_hits_total{action="nxdomain",exchange="acme",mode="enforce"} 1.0' in page
        assert 'resolver_exchange_hits_total{action="nxdomain",exchange="ghost",mode="shadow"} 0.0' in page
        await server.stop()

    play(act)


@pytest.mark.slow
def test_orders_are_told_once_measured_and_the_same_after_a_restart(tmp_path: Path) -> None:
    told: list[list[str]] = []

    async def act() -> None:
        server = make_server(tmp_path, ORDERED)
        await server.start()
        await server._recorder.settle()
        page = render(server.facts()).decode().splitlines()
        told.append([line for line in page if line.startswith("resolver_order_")])
        await server.stop()

    play(act)
    play(act)
    first, second = told
    assert first == second
    assert "silent" not in str(first)
    due, in_force, *unenforced = first
    assert due == 'resolver_order_due_timestamp_seconds{order="x"} 1.7965152e+09'
    assert in_force.startswith('resolver_order_in_force_timestamp_seconds{order="x"} 1.')
    assert len(unenforced) == len(Reason)
    counts = {line.partition('reason="')[2].partition('"')[0]: float(line.split()[1]) for line in unenforced}
    assert {reason: count for reason, count in counts.items() if count} == {"not_blocked": 1.0}


def test_a_client_has_so_many_tcp_connections_to_all_addresses_together(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(
            tmp_path, limits={"tcp_connections_per_client_max": 2}, dns=["127.0.0.1:0", "127.0.0.2:0"]
        )
        await server.start()
        first, second = server.dns_addresses
        opened = [await asyncio.open_connection(*first), await asyncio.open_connection(*second)]
        over, writer = await asyncio.open_connection(*second)
        try:
            assert await over.read(1) == b""
        except ConnectionError:
            pass
        page = render(server.facts()).decode()
        assert "resolver_tcp_connections 2.0" in page
        assert 'resolver_dropped_total{reason="tcp_connections_per_client_max"} 1.0' in page
        for _, one in [*opened, (over, writer)]:
            one.close()
        await server.stop()

    play(act)


def test_silent_http_connections_meet_a_limit_that_is_counted_and_harm_no_query(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path, limits={"http_connections_max": 3})
        await server.start()
        assert server.http_address is not None
        silent = [await asyncio.open_connection(*server.http_address) for _ in range(3)]
        reader, over = await asyncio.open_connection(*server.http_address)
        assert b" 503 " in await reader.readline()
        reply = await ask(server.dns_addresses[0], "www.acme.example")
        assert reply[3] & 0x0F == 3
        page = render(server.facts()).decode()
        assert "resolver_http_connections 3.0" in page
        assert 'resolver_dropped_total{reason="http_connections_max"} 1.0' in page
        for _, writer in [*silent, (reader, over)]:
            writer.close()
        await server.stop()

    play(act)


def test_every_metric_of_the_table_is_there_before_the_server_starts(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        page = render(server.facts()).decode()
        shown = set(re.findall(r"# TYPE (resolver_\w+)", page))
        assert shown == {metric.name for metric in METRICS if not metric.of_native}
        await server.stop()

    play(act)


def test_hits_are_in_the_history_after_a_stop_and_only_where_the_settings_keep_them(tmp_path: Path) -> None:
    async def act() -> None:
        for days in (400, 0):
            folder = tmp_path / str(days)
            folder.mkdir()
            server = make_server(folder, hits={"days": days})
            await server.start()
            await ask(server.dns_addresses[0], "www.acme.example")
            await ask(server.dns_addresses[0], "ghost.example")
            await server.stop()

    play(act)
    with HitStore.open_for_reading(tmp_path / "400" / "state") as store:
        assert store.totals() == {
            HitKey("exchange", "acme", "nxdomain", "enforce"): 1,
            HitKey("exchange", "ghost", "nxdomain", "shadow"): 1,
        }
    with pytest.raises(HitsUnusable, match="no history of hits"):
        HitStore.open_for_reading(tmp_path / "0" / "state")


def test_what_keeps_hits_from_their_history_is_remarked_on(tmp_path: Path) -> None:
    async def act() -> None:
        (tmp_path / "state" / "hits.sqlite3").mkdir(parents=True)
        server = make_server(tmp_path)
        await server.start()
        while not server.facts().health.remarks.get("hits"):  # noqa: ASYNC110 - a thread says it.
            await asyncio.sleep(0.01)
        assert server.health.is_ready
        assert "unable to open" in server.facts().health.remarks["hits"]
        assert server.facts().hit_history.failures["other"] == 1
        await server.stop()

    play(act)


def test_another_kind_of_machine_is_a_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        with pytest.raises(CannotStart, match="needs Linux on a 64-bit"):
            await server.start()
        assert server.http_address is None and server.dns_addresses == []

    monkeypatch.setattr("sys.platform", "darwin")
    play(act)


def test_udp_and_tcp_share_a_port_that_the_kernel_chose(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        await server.start()
        assert (await ask(server.dns_addresses[0], "acme.example"))[:2] == b"\0\7"
        await server.stop()

    play(act)


def test_without_http_it_serves_dns_alone(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path, http=None)
        await server.start()
        assert server.http_address is None
        assert "http" not in server.describe()
        await server.stop()

    play(act)


def test_upstreams_that_are_down_and_a_stale_policy_are_remarked_on(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        await server.start()
        assert not server.facts().health.remarks
        # Port 9 of loopback refuses: the first question finds that out, and nobody asked anything.
        await until(lambda: "upstreams" in server.facts().health.remarks)
        said = server.facts().health.remarks["upstreams"]
        assert said == "no upstream is left; udp://127.0.0.1:9 is down (network)"
        assert 'resolver_upstream_up{upstream="udp://127.0.0.1:9"} 0.0' in render(server.facts()).decode()
        (tmp_path / "blocklist.yaml").write_text("exchanges: [")
        assert not await server._publisher.reload_if_changed(asked=True)
        said = server.facts().health.remarks["policy"]
        assert "not in force" in said and "blocklist.yaml:2" in said
        assert server.health.is_ready
        await server.stop()

    play(act)


def test_a_bad_blocklist_is_fatal_with_all_its_problems(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path, "version: 2\nexchanges: 7\n")
        with pytest.raises(CannotStart) as caught:
            await server.start()
        assert len(caught.value.reasons) == 2
        assert all("blocklist.yaml:" in reason for reason in caught.value.reasons)

    play(act)


def test_stopping_does_not_wait_for_clients_that_stay_connected(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        await server.start()
        assert server.http_address is not None
        idle = [await asyncio.open_connection(*server.dns_addresses[0])]
        idle.append(await asyncio.open_connection(*server.http_address))
        async with asyncio.timeout(2.0):
            await server.stop()
        for _, writer in idle:
            writer.close()

    play(act)


@pytest.mark.parametrize(
    ("address", "text"), [(("192.0.2.1", 53), "192.0.2.1:53"), (("2001:db8::1", 53), "[2001:db8::1]:53")]
)
def test_addresses_are_shown_as_settings_write_them(address: tuple[str, int], text: str) -> None:
    assert show_address(SocketAddress(*address)) == text


def test_a_defect_beside_the_answers_keeps_no_policy_from_judging_and_is_remarked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(HitHistory, "judge_by", broken)
    monkeypatch.setattr(HitHistory, "start", broken)
    monkeypatch.setattr(HitHistory, "close", broken)

    async def act() -> None:
        server = make_server(tmp_path)
        await server.start()
        assert (await ask(server.dns_addresses[0], "www.acme.example"))[3] & 0x0F == 3
        assert "the history of hits" in server.facts().health.remarks["defects"]
        await server.stop()

    play(act)


def test_what_fails_while_starting_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("resolver.server.server.ask_each_upstream", broken)

    async def act() -> None:
        server = make_server(tmp_path)
        with pytest.raises(RuntimeError):
            await server.start()
        assert server.health.reasons()["sockets"] == "shutting down"
        with pytest.raises(ConnectionRefusedError):
            await ask(server.dns_addresses[0], "www.acme.example")

    play(act)
