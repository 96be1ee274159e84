"""The whole server over a stand-in for the native module that punts everything: how it is made and told."""

from __future__ import annotations

import io
import socket
from pathlib import Path
from typing import Any

import pytest

from resolver.server.server import CannotStart, Server
from resolver.wire.names import name_from_text
from tests.server.native_engine_rig import BLOCKLIST, core_of, page, plane_of, play, settled
from tests.support import fake_native

pytestmark = pytest.mark.loopback


async def nothing(server: Server) -> None:
    """Start and stop."""


def test_the_core_is_made_of_the_settings(tmp_path: Path) -> None:
    given = core_of(play(tmp_path, nothing, log={"queries": "blocked"})).given
    assert given["allow"] == [(b"\x7f\0\0\0", 8), (b"\x20\x01\x0d\xb8" + bytes(12), 32)]
    assert given["records"] == [
        (name_from_text("router.home.arpa"), [b"\xc0\xa8\1\1", b"\x20\x01\x0d\xb8" + bytes(11) + b"\1"])
    ]
    assert given["tcp_idle_s"] == 10.0
    assert given["query_records"] == "blocked"


def test_what_the_plane_recorded_is_written_and_counted(tmp_path: Path) -> None:
    stream = io.BytesIO()

    async def act(server: Server) -> None:
        core_of(server).records.made.extend([b"one\n", b"two\n"])
        core_of(server).lost = 3

    server = play(tmp_path, act, stream, log={"queries": "blocked"})
    server._log_writer.close()
    assert stream.getvalue().endswith(b"one\ntwo\n")
    assert [(sink.name, sink.records, sink.lost) for sink in server.facts().sinks] == [("log", 2, 3)]


def test_without_a_log_there_is_no_sink(tmp_path: Path) -> None:
    assert play(tmp_path, nothing).facts().sinks == ()


def test_each_thread_has_its_own_socket_on_each_address(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        sockets = plane_of(server).sockets
        assert [len(of_worker) for of_worker in sockets] == [1, 1]
        ports = set()
        for ((fd, is_ipv6, with_control),) in sockets:
            sock = socket.socket(fileno=fd)
            ports.add(sock.getsockname())
            sock.detach()
            assert (is_ipv6, with_control) == (False, False)
        assert ports == {tuple(server.dns_addresses[0])}
        assert plane_of(server).state == "started"

    assert plane_of(play(tmp_path, act)).state == "closed"


def test_there_are_no_more_sockets_than_a_plane_can_serve(tmp_path: Path) -> None:
    addresses = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"]
    server = play(tmp_path, nothing, threads=1024, listen={"dns": addresses, "http": None})
    assert [len(of_worker) for of_worker in plane_of(server).sockets] == [3] * 85


def test_a_plane_that_cannot_start_is_a_reason_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: fake_native.Plane) -> None:
        raise OSError("Resource temporarily unavailable")

    monkeypatch.setattr(fake_native.Plane, "start", refuse)
    with pytest.raises(CannotStart, match="native cannot start: Resource temporarily unavailable") as caught:
        play(tmp_path, nothing)
    assert caught.value.may_pass


def test_the_policy_and_the_upstreams_are_told_before_the_first_query(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        [(path, generation, wall, monotonic)] = core_of(server).published
        assert Path(path).exists()
        assert generation == 1
        assert server._policy is not None
        assert server._policy.made_at == (wall, monotonic)
        [(servers, sets)] = core_of(server).upstreams
        assert servers == [("127.0.0.1", 9), ("127.0.0.1", 9, None)]
        assert [fields[:2] for fields in sets] == [(b"", 0), (name_from_text("corp.example"), 1)]

    play(tmp_path, act)


def test_a_new_policy_reaches_the_plane_and_then_us(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        (tmp_path / "blocklist.yaml").write_text(BLOCKLIST.replace("acme.example", "other.example"))
        assert await server._publisher.reload_if_changed()
        await settled(server)
        assert [generation for _, generation, _, _ in core_of(server).published] == [1, 2]
        assert server._service is not None
        assert server._service.policy.generation == 2

    play(tmp_path, act)


def test_the_metrics_tell_of_a_policy_when_both_planes_judge_by_it(tmp_path: Path) -> None:
    told: list[bool] = []

    async def act(server: Server) -> None:
        core = core_of(server)
        publish = core.publish

        def slowly(*arguments: Any) -> None:
            told.append("resolver_policy_generation 2.0" in page(server))
            publish(*arguments)

        core.publish = slowly  # type: ignore[assignment, method-assign]
        (tmp_path / "blocklist.yaml").write_text(BLOCKLIST.replace("acme.example", "other.example"))
        assert await server._publisher.reload_if_changed()
        await settled(server)
        told.append("resolver_policy_generation 2.0" in page(server))

    play(tmp_path, act)
    assert told == [False, True]
