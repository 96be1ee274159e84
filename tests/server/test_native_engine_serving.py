"""The whole server over a stand-in for the native module: what it punts is answered, counted, and let end."""

from __future__ import annotations

import asyncio
import importlib
import socket
from pathlib import Path
from typing import Any

import pytest

from resolver.flow.peer import Transport
from resolver.listeners.address import SocketAddress
from resolver.observe.tally import TallySnapshot, joined
from resolver.server import draining
from resolver.server import native as native_module
from resolver.server.native import is_drop
from resolver.server.server import Server
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.server.native_engine_rig import BLOCKLIST, core_of, make_server, page, plane_of, play, settled
from tests.support.served import ask

pytestmark = pytest.mark.loopback


async def stand_in(server: Server) -> None:
    """The plane's threads with streams go down, and Python serves in their place."""
    assert server._native is not None
    for thread in range(server._native.stream_threads):
        plane_of(server).say("stream_down", thread)
    listeners = [one for known in server._native._streams for one in known]
    while not all(one.is_accepting for one in listeners):  # noqa: ASYNC110 -- nothing else says so
        await asyncio.sleep(0)


async def hears(server: Server, *event: Any) -> None:
    """Something happens in the plane, and Python deals with it."""
    plane_of(server).say(*event)
    for _ in range(100):
        await asyncio.sleep(0)


def test_the_plane_is_given_a_socket_for_each_thread_and_the_limits_of_the_settings(tmp_path: Path) -> None:
    limits = {"tcp_connections_max": 30, "tcp_connections_per_client_max": 7, "stream_buffers_mb": 9}

    async def act(server: Server) -> None:
        plane = plane_of(server)
        listeners = [one for known in server._native._streams for one in known] if server._native else []
        assert [fd for known in plane.streams for _, fd in known] == [one.fileno() for one in listeners]
        assert {one.bound_to for one in listeners} == {server.dns_addresses[0]}
        assert [[transport for transport, _ in known] for known in plane.streams] == [[Transport.TCP]] * 2
        given = plane.limits
        assert (given["connections_max"], given["connections_per_client_max"]) == (30, 7)
        assert (given["held_octets_max"], given["idle_s"]) == (9 << 20, 10.0)
        assert (given["handshakes_per_s_max"], given["handshakes_per_client_max"]) == (1000, 100)
        plane.connected["tcp"], plane.held_octets = 3, 5000
        lines = page(server).splitlines()
        assert "resolver_tcp_connections 3.0" in lines
        assert "resolver_tcp_held_bytes 5000.0" in lines
        plane.connected["tcp"] = 0

    play(tmp_path, act, limits=limits)


def test_a_query_over_tcp_that_the_plane_punts_is_answered_by_us_through_it(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        octets = query_for("www.acme.example")
        await hears(server, "query", octets, b"\x7f\0\0\1", b"way", Transport.TCP)
        [(route, reply)] = plane_of(server).sent
        assert (route, reply[:2], reply[3] & 0x0F) == (b"way", octets[:2], 3)
        assert plane_of(server).dropped == []

    play(tmp_path, act)


def test_whoever_gets_no_answer_over_a_stream_is_reported_to_the_plane(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        await hears(server, "query", b"\0\0", b"\x7f\0\0\1", b"way", Transport.TLS)
        await hears(server, "query", b"\0\0", b"\x7f\0\0\1", b"datagram", Transport.UDP)
        assert (plane_of(server).sent, plane_of(server).dropped) == ([], [(b"way", True)])

    play(tmp_path, act)


def test_while_a_thread_with_streams_is_down_python_accepts_in_its_place(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        assert server._native is not None
        listeners = [one for known in server._native._streams for one in known]
        assert not any(one.is_accepting for one in listeners)
        await stand_in(server)
        reader, writer = await asyncio.open_connection(*server.dns_addresses[0])
        for again in range(2):
            octets = query_for("www.acme.example")
            writer.write(len(octets).to_bytes(2, "big") + octets)
            reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            assert reply[3] & 0x0F == 3
            [(asked, address, transport)] = core_of(server).asked
            assert (asked, address, transport) == (octets, b"\x7f\0\0\1", Transport.TCP)
            core_of(server).asked.clear()
            if not again:
                for thread in range(2):
                    await hears(server, "stream_up", thread)
                # Who is connected stays, who comes is the thread's again.
                assert not any(one.is_accepting for one in listeners)
        writer.close()
        await stand_in(server)
        assert (await ask(server.dns_addresses[0], "www.acme.example"))[3] & 0x0F == 3

    play(tmp_path, act)


def test_both_planes_counts_are_told_together(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        await hears(server, "query", query_for("www.acme.example"), b"\x7f\0\0\1", b"way", Transport.TCP)
        text = page(server)
        for line in (
            'resolver_exchange_hits_total{action="nxdomain",exchange="acme",mode="enforce"} 6.0',
            'resolver_queries_total{qtype="A",transport="udp"} 7.0',
            'resolver_queries_total{qtype="A",transport="tcp"} 1.0',
            'resolver_responses_total{rcode="NXDOMAIN",source="policy"} 6.0',
            'resolver_response_seconds_bucket{le="0.001",source="policy"} 3.0',
            'resolver_response_seconds_count{source="policy"} 6.0',
            'resolver_dropped_total{reason="short"} 2.0',
            'resolver_dropped_total{reason="ring_full"} 3.0',
            'resolver_dropped_total{reason="defect"} 1.0',
            "resolver_upstream_in_flight 2.0",
            "resolver_upstream_coalesced_total 2.0",
            "resolver_upstream_overloads_total 4.0",
            "resolver_native_punted_queries_total 5.0",
            "resolver_native_panics_total 1.0",
            'resolver_build_info{engine="native",version="0.1.0"} 1.0',
        ):
            assert line in text.splitlines(), line
        assert server.describe().endswith("engine native")

    play(tmp_path, act)


def test_a_query_over_udp_that_the_plane_punts_is_answered_through_it(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        octets = encode_query(
            name_from_text("router.home.arpa"), 1, id=9, dnssec_ok=False, checking_disabled=False, edns=False
        )
        await hears(server, "query", octets, b"\x7f\0\0\1", b"way", Transport.UDP)
        [(route, reply)] = plane_of(server).sent
        assert (route, reply[-4:]) == (b"way", b"\xc0\xa8\1\1")

    play(tmp_path, act)


def query_for(name: str) -> bytes:
    return encode_query(name_from_text(name), 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True)


def udp_ask(address: SocketAddress, name: str, timeout_s: float = 5.0) -> bytes:
    query = encode_query(name_from_text(name), 1, id=3, dnssec_ok=False, checking_disabled=False, edns=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        sock.connect(address)
        sock.send(query)
        return sock.recv(1500)


def test_where_the_plane_cannot_use_a_policy_python_serves_alone_and_says_so(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        core_of(server).is_broken = True
        (tmp_path / "blocklist.yaml").write_text(BLOCKLIST.replace("acme.example", "other.example"))
        assert await server._publisher.reload_if_changed()
        await settled(server)
        assert plane_of(server).state == "stopping"
        assert core_of(server).is_withdrawn, "not a moment longer by the policy before"
        for _ in range(8):  # other ports, other threads' sockets
            reply = await asyncio.to_thread(udp_ask, server.dns_addresses[0], "www.other.example")
            assert reply[3] & 0x0F == 3
        asked = len(core_of(server).asked)
        await ask(server.dns_addresses[0], "www.other.example")
        assert len(core_of(server).asked) == asked
        assert "a new policy is unusable" in server.health.remarks()["engine"]

    play(tmp_path, act)


def test_stopping_waits_for_clients_of_the_plane(tmp_path: Path) -> None:
    states: list[str] = []

    async def act(server: Server) -> None:
        core, plane = core_of(server), plane_of(server)
        core.waiting = 1

        def answer_them() -> None:
            states.append(plane.state)
            core.waiting = 0

        asyncio.get_running_loop().call_later(0.1, answer_them)

    assert plane_of(play(tmp_path, act)).state == "closed"
    assert states == ["stopping"]


def test_what_the_plane_still_asks_when_time_is_up_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "DRAIN_S", 0.0)
    monkeypatch.setattr(native_module, "HAND_OVER_S", 0.0)
    states: list[str] = []

    async def act(server: Server) -> None:
        core_of(server).waiting = 1
        plane = plane_of(server)
        close = plane.close

        def note_and_close() -> None:
            states.append(plane.state)
            close()

        monkeypatch.setattr(plane, "close", note_and_close)

    play(tmp_path, act)
    assert states == ["handed over"]


def test_what_upstreams_answered_the_plane_is_heard_before_it_is_told(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        # Python itself has asked once, when it started.
        own = server.facts().upstreams[0].queries
        plane_of(server).reports = [(0, 4, 3, 0.03, [0, 0, 0, 3, *[0] * 8], 0.01, (0, 0, 0), None)]
        text = page(server)
        assert f'resolver_upstream_queries_total{{upstream="udp://127.0.0.1:9"}} {own + 4}.0' in text
        assert 'resolver_upstream_response_seconds_count{upstream="udp://127.0.0.1:9"} 3.0' in text

    play(tmp_path, act)


def test_a_second_server_on_the_same_address_is_still_refused(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        second = tmp_path / "second"
        second.mkdir()
        port = server.dns_addresses[0].port
        other = make_server(second, listen={"dns": [f"127.0.0.1:{port}"], "http": None})
        with pytest.raises(Exception, match="another program listens there"):
            await other.start()

    play(tmp_path, act)


def test_an_address_that_joins_later_is_served_by_python_and_the_plane_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.server.endpoints.PATIENCE_S", 0.0)
    monkeypatch.setattr("resolver.server.endpoints.LOOK_EVERY_S", 0.01)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

        async def act(server: Server) -> None:
            assert [len(of_worker) for of_worker in plane_of(server).sockets] == [1, 1]
            sock.close()
            async with asyncio.timeout(30.0):
                while len(server.dns_addresses) < 2:  # noqa: ASYNC110 -- there is nothing else to wait for
                    await asyncio.sleep(0.01)
            assert [len(of_worker) for of_worker in plane_of(server).sockets] == [1, 1]
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect(("127.0.0.1", port))
                name = name_from_text("www.acme.example")
                await loop.sock_sendall(
                    client,
                    encode_query(name, 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True),
                )
                reply = await asyncio.wait_for(loop.sock_recv(client, 4096), 5.0)
            assert reply[3] & 0x0F == 3
            assert (await ask(server.dns_addresses[1], "www.acme.example"))[3] & 0x0F == 3

        play(tmp_path, act, listen={"dns": ["127.0.0.1:0", f"127.0.0.1:{port}"], "http": None})


def test_a_panic_costs_one_query_and_the_rest_are_answered_meanwhile(tmp_path: Path) -> None:
    module = pytest.importorskip("resolver_native")
    testing = importlib.import_module("resolver_native.testing")

    async def act(server: Server) -> None:
        assert server._native is not None
        plane: Any = server._native._plane
        lost = 0
        for _ in range(3):
            for worker in range(2):
                testing.panic_worker(plane, worker)
            for _ in range(20):
                try:
                    reply = await asyncio.to_thread(udp_ask, server.dns_addresses[0], "www.acme.example", 1.0)
                    assert reply[3] & 0x0F == 3
                except TimeoutError:
                    lost += 1
        counters = plane.counters()
        assert 0 < lost == counters["panics"]
        assert f'resolver_dropped_total{{reason="defect"}} {float(lost)}' in page(server)
        assert f'resolver_responses_total{{rcode="NXDOMAIN",source="policy"}} {60.0 - lost}' in page(server)

    play(tmp_path, act, module=module)


@pytest.mark.parametrize(
    ("name", "is_one"), [("ring_full", True), ("receive_nomem", True), ("punts", False), ("late", False)]
)
def test_drops_are_told_from_other_counts(name: str, is_one: bool) -> None:
    assert is_drop(name) is is_one


def test_times_of_both_planes_add_up() -> None:
    one = TallySnapshot((), {"cache": (0, 1, 2), "policy": (0, 0, 1)})
    other = TallySnapshot((), {"cache": (0, 3, 4)})
    assert joined(one, other).late == {"cache": (0, 4, 6), "policy": (0, 0, 1)}
