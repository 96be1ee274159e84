"""Ports and addresses that are taken, bad or not here: what is served all the same, and what is remarked on."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path

import pytest

from resolver.listeners.address import is_here
from resolver.listeners.stream import StreamListener
from resolver.server.endpoints import show_address
from resolver.server.server import CannotStart
from tests.support.served import ask, make_server, play, taken, until

pytestmark = pytest.mark.loopback

KINDS = pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])


@KINDS
def test_with_every_port_taken_it_gives_up_and_says_that_this_may_pass(
    tmp_path: Path, impatient: None, kind: socket.SocketKind
) -> None:
    async def act() -> None:
        with taken(kind) as (_, address):
            server = make_server(tmp_path, dns=[address])
            with pytest.raises(CannotStart) as caught:
                await server.start()
        [reason] = caught.value.reasons
        assert address in reason and "another program" in reason
        assert caught.value.may_pass

    play(act)


def test_a_bad_address_is_no_trouble_that_may_pass(tmp_path: Path, impatient: None) -> None:
    async def act() -> None:
        # A multicast address of a kind that no socket can listen on.
        server = make_server(tmp_path, dns=["[ff02::1]:0"])
        with pytest.raises(CannotStart) as caught:
            await server.start()
        assert not caught.value.may_pass

    play(act)


def test_a_port_that_is_given_up_within_the_patience_is_served_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.server.endpoints.PATIENCE_S", 60.0)

    async def act() -> None:
        with taken(socket.SOCK_DGRAM) as (sock, address):
            server = make_server(tmp_path, dns=[address])
            starting = asyncio.create_task(server.start())
            await until(lambda: "listen" in server.facts().health.remarks)
            assert address in server.facts().health.remarks["listen"]
            assert not server.health.is_ready
            sock.close()
            await starting
        assert list(map(show_address, server.dns_addresses)) == [address]
        assert "listen" not in server.facts().health.remarks
        await server.stop()

    play(act)


@KINDS
def test_a_taken_port_beside_others_is_remarked_on_and_served_when_it_is_free(
    tmp_path: Path, impatient: None, kind: socket.SocketKind
) -> None:
    async def act() -> None:
        with taken(kind) as (sock, address):
            server = make_server(tmp_path, dns=["127.0.0.1:0", address])
            await server.start()
            assert server.health.is_ready and len(server.dns_addresses) == 1
            assert (await ask(server.dns_addresses[0], "acme.example"))[:2] == b"\0\7"
            assert address in server.facts().health.remarks["listen"]
            sock.close()
            await until(lambda: len(server.dns_addresses) == 2)
        assert "listen" not in server.facts().health.remarks
        assert (await ask(server.dns_addresses[1], "acme.example"))[:2] == b"\0\7"
        await server.stop()

    play(act)


def test_an_address_whose_tcp_cannot_be_read_yet_is_tried_again_whole(
    tmp_path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_start, failures = StreamListener.start, [OSError(errno.EMFILE, "Too many open files")] * 2

    async def start(listener: StreamListener) -> None:
        if list(map(str, listener.bound_to)) == address.split(":") and failures:
            raise failures.pop()
        await really_start(listener)

    monkeypatch.setattr(StreamListener, "start", start)
    with taken(socket.SOCK_DGRAM) as (sock, address):

        async def act() -> None:
            server = make_server(tmp_path, dns=["127.0.0.1:0", address])
            await server.start()
            sock.close()
            await until(lambda: len(server.dns_addresses) == 2)
            assert not failures and "listen" not in server.facts().health.remarks
            assert (await ask(server.dns_addresses[1], "acme.example"))[:2] == b"\0\7"
            await server.stop()

        play(act)


def test_an_address_that_vanishes_is_remarked_on_until_it_is_back(
    tmp_path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone: set[str] = set()
    monkeypatch.setattr("resolver.server.endpoints.is_here", lambda host: host not in gone)

    async def act() -> None:
        server = make_server(tmp_path, dns=["127.0.0.1:0", "127.0.0.2:0"])
        await server.start()
        assert "listen" not in server.facts().health.remarks
        gone.add("127.0.0.2")
        await until(lambda: "listen" in server.facts().health.remarks)
        remark = server.facts().health.remarks["listen"]
        assert "127.0.0.2" in remark and "127.0.0.1" not in remark
        assert sum("does not have the address" in text for text in caplog.messages) == 1
        gone.clear()
        await until(lambda: "listen" not in server.facts().health.remarks)
        assert caplog.messages.count("the address is here now, and served") == 1
        await server.stop()

    play(act)


def test_without_a_descriptor_left_no_address_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    assert is_here("127.0.0.1") and not is_here("192.0.2.1")
    monkeypatch.setattr("resolver.listeners.address.socket.socket", none_left)
    assert is_here("192.0.2.1")


def test_a_taken_http_port_keeps_nobody_from_dns_and_is_served_when_it_is_free(
    tmp_path: Path, impatient: None
) -> None:
    async def act() -> None:
        with taken(socket.SOCK_STREAM) as (sock, address):
            server = make_server(tmp_path, http=address)
            await server.start()
            assert (await ask(server.dns_addresses[0], "acme.example"))[:2] == b"\0\7"
            assert server.http_address is None
            assert address in server.facts().health.remarks["http"]
            sock.close()
            await until(lambda: server.http_address is not None)
        assert "http" not in server.facts().health.remarks
        await server.stop()

    play(act)


def test_an_address_that_is_not_here_is_bound_and_remarked_on(tmp_path: Path) -> None:
    async def act() -> None:
        server = make_server(tmp_path, dns=["127.0.0.1:0", "192.0.2.7:0"], http="192.0.2.8:0")
        await server.start()
        assert server.health.is_ready and len(server.dns_addresses) == 2
        remarks = server.facts().health.remarks
        assert "192.0.2.7" in remarks["listen"] and "127.0.0.1" not in remarks["listen"]
        assert "192.0.2.8" in remarks["http"]
        await server.stop()

    play(act)
