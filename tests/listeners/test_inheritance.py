"""Sockets that others opened: which are taken for which address, and which are not."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator

import pytest

from resolver.listeners.address import SocketAddress, bind_tcp, bind_udp
from resolver.listeners.inheritance import (
    Inheritance,
    Inherited,
    adopted,
    each_once,
    enough_tcp,
    enough_udp,
    key_of,
    name_of,
)

ANY = SocketAddress("127.0.0.1", 0)


@pytest.fixture
def socks() -> Iterator[list[socket.socket]]:
    """To be closed at the end."""
    made: list[socket.socket] = []
    yield made
    for sock in made:
        sock.close()


def where(sock: socket.socket) -> SocketAddress:
    return SocketAddress(*sock.getsockname()[:2])


def test_a_socket_is_taken_once_for_its_own_address_kind_and_key(socks: list[socket.socket]) -> None:
    udp, tcp = bind_udp(ANY), bind_tcp(ANY)
    socks += [udp, tcp]
    found = Inheritance([Inherited("dns", udp), Inherited("tls", tcp)])
    other = SocketAddress("127.0.0.1", where(udp).port % 60_000 + 1)
    assert found.take_udp("dns", other) == []
    assert found.take_tcp("dns", where(udp)) == []
    assert found.take_tcp("dns", where(tcp)) == []
    assert found.take_udp("dns", where(udp)) == [udp]
    assert found.take_udp("dns", where(udp)) == []
    assert found.take_tcp("tls", where(tcp)) == [tcp]
    assert not found


def test_a_socket_without_a_key_is_for_whatever_has_its_address(socks: list[socket.socket]) -> None:
    tcp = bind_tcp(ANY)
    socks.append(tcp)
    found = Inheritance([Inherited("", tcp, "exchange-resolver.socket")])
    assert found.take_tcp("https", ANY) == []
    assert found.take_tcp("https", where(tcp)) == [tcp]


def test_any_port_is_the_port_that_the_server_before_had(socks: list[socket.socket]) -> None:
    one = bind_udp(ANY, reuse_port=True)
    again = bind_udp(where(one), reuse_port=True)
    other = bind_udp(ANY)
    socks += [one, again, other]
    found = Inheritance([Inherited("dns", one), Inherited("dns", other), Inherited("dns", again)])
    assert found.take_udp("dns", ANY) == [one, again]


def test_what_nobody_takes_is_closed_and_said(
    socks: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    left = bind_udp(ANY)
    found = Inheritance([Inherited("dns", left, "dns/udp/127.0.0.1/1")])
    with caplog.at_level(logging.WARNING):
        assert found.let_go() == ["dns/udp/127.0.0.1/1"]
    assert left.fileno() == -1 and "the settings have no such address" in caplog.text


def test_what_the_server_before_us_had_is_let_go_by_the_name_of_its_address() -> None:
    left, unknown = bind_udp(ANY), bind_udp(ANY)
    port = left.getsockname()[1]
    found = Inheritance([Inherited("dns", left), Inherited("", unknown)])
    assert found.let_go() == [f"dns/udp/127.0.0.1/{port}"]


def test_sockets_that_cannot_serve_are_refused_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    silent = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    silent.bind(("127.0.0.1", 0))
    refused = [unix, silent]
    if socket.has_ipv6:
        both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        refused.append(both)
    with caplog.at_level(logging.ERROR):
        assert not Inheritance([Inherited("", sock) for sock in refused])
    assert all(sock.fileno() == -1 for sock in refused)
    assert "Accept=no" in caplog.text
    assert not socket.has_ipv6 or "BindIPv6Only=ipv6-only" in caplog.text


def test_what_is_no_socket_is_closed_and_said(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with caplog.at_level(logging.ERROR):
        assert adopted([("dns", reading)]) == []
    assert "is no socket" in caplog.text
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


def test_names_lead_back_to_their_keys(socks: list[socket.socket]) -> None:
    udp = bind_udp(ANY)
    socks.append(udp)
    assert name_of("dns", udp) == f"dns/udp/127.0.0.1/{where(udp).port}"
    assert [key_of(name) for name in (name_of("dns", udp), "https", "block-page", "a.socket", "")] == [
        "dns",
        "https",
        "block_page",
        "",
        "",
    ]


def test_a_socket_is_handed_on_once_however_many_descriptors_there_are(socks: list[socket.socket]) -> None:
    one, other = bind_udp(ANY, reuse_port=True), bind_tcp(ANY)
    socks += [one, other, one.dup(), other.dup()]
    assert each_once([("dns", sock) for sock in socks]) == [("dns", one), ("dns", other)]


@pytest.mark.parametrize(("shares", "name"), [(True, "dns/udp"), (False, ""), (True, "")])
def test_sockets_become_enough_and_what_waits_in_them_stays(
    socks: list[socket.socket], shares: bool, name: str
) -> None:
    one = bind_udp(ANY, reuse_port=shares)
    found = Inheritance([Inherited("dns", one, name)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"waits", where(one))
        socks += enough_udp(found.take_udp("dns", ANY), 3)
    assert len(socks) == 3 and {where(sock) for sock in socks} == {where(one)}
    assert len(each_once([("dns", sock) for sock in socks])) == 3
    assert one.recv(64) == b"waits"


def test_beside_a_socket_that_a_supervisor_has_for_itself_nothing_is_bound(
    socks: list[socket.socket],
) -> None:
    one = bind_udp(ANY)
    found = Inheritance([Inherited("", one, "exchange-resolver.socket")])
    socks += enough_udp(found.take_udp("dns", where(one)), 3)
    assert len(socks) == 3 and len(each_once([("dns", sock) for sock in socks])) == 1


def test_more_sockets_than_threads_all_stay(socks: list[socket.socket]) -> None:
    one = bind_udp(ANY, reuse_port=True)
    socks += [one, bind_udp(where(one), reuse_port=True)]
    assert enough_udp(socks, 1) == socks


def test_threads_share_a_listening_socket(socks: list[socket.socket]) -> None:
    socks.append(bind_tcp(ANY))
    socks += enough_tcp(socks, 3)[1:]
    assert len({sock.fileno() for sock in socks}) == 3
    assert len(each_once([("dns", sock) for sock in socks])) == 1


def test_a_buffer_that_was_forced_is_not_made_smaller(socks: list[socket.socket]) -> None:
    handed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    socks.append(handed)
    handed.bind(("127.0.0.1", 0))
    try:
        handed.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
    except PermissionError:
        pytest.skip("SO_RCVBUFFORCE: needs CAP_NET_ADMIN")
    before = handed.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    Inheritance([Inherited("dns", handed)])
    assert handed.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in (before, 16 << 20)
