"""Batches of datagrams over real sockets on loopback."""

import socket
from collections.abc import Iterator

import pytest

from resolver.flow.route import DatagramRoute
from resolver.listeners import mmsg
from resolver.listeners.address import SocketAddress, bind_udp

pytestmark = pytest.mark.skipif(not mmsg.is_available(), reason="needs Linux on a 64-bit machine")


@pytest.fixture(params=["127.0.0.1", "::1", "0.0.0.0", "::"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[mmsg.BatchSocket, socket.socket]]:
    host = request.param
    server = bind_udp(SocketAddress(host, 0))
    port = server.getsockname()[1]
    loopback = {"0.0.0.0": "127.0.0.2", "::": "::1"}.get(host, host)
    client = socket.socket(server.family, socket.SOCK_DGRAM)
    client.settimeout(5)
    client.connect((loopback, port))
    yield mmsg.BatchSocket(server, with_control=host in ("0.0.0.0", "::")), client
    client.close()
    server.close()


def packed_address(client: socket.socket) -> bytes:
    return socket.inet_pton(client.family, client.getsockname()[0])


def test_nothing_waiting_is_an_empty_batch(pair: tuple[mmsg.BatchSocket, socket.socket]) -> None:
    batch, _ = pair
    assert batch.receive() == []


def test_each_datagram_is_answered_to_its_sender_from_the_address_it_asked(
    pair: tuple[mmsg.BatchSocket, socket.socket],
) -> None:
    batch, client = pair
    for number in range(5):
        client.send(bytes([number]) * (number + 20))
    lengths = batch.receive()
    assert lengths == [20, 21, 22, 23, 24]
    queries = batch.datagrams(lengths)
    assert queries == [bytes([slot]) * length for slot, length in enumerate(lengths)]
    assert batch.addresses(5) == [packed_address(client)] * 5
    batch.put([query[:2] + b"answer %d" % slot for slot, query in enumerate(queries)], range(5))
    assert batch.send(5) == 0
    # The client's socket is connected: the kernel hands it only what comes from the address it asked.
    assert [client.recv(100) for _ in range(5)] == [bytes([n, n]) + b"answer %d" % n for n in range(5)]


def test_answers_to_some_of_a_batch_go_to_their_own_senders(
    pair: tuple[mmsg.BatchSocket, socket.socket],
) -> None:
    batch, client = pair
    with socket.socket(client.family, socket.SOCK_DGRAM) as other:
        other.settimeout(5)
        other.connect(client.getpeername())
        for number, sock in enumerate((client, other, client, other, client)):
            sock.send(bytes([number]) * 3)
        assert batch.receive() == [3] * 5
        batch.put([b"to other", b"to client"], [1, 4])
        assert batch.send(2) == 0
        assert (other.recv(100), client.recv(100)) == (b"to other", b"to client")


def test_a_late_answer_finds_its_sender_after_other_batches(
    pair: tuple[mmsg.BatchSocket, socket.socket],
) -> None:
    batch, client = pair
    client.send(b"first query")
    assert batch.receive() == [11]
    route = batch.route(0)
    with socket.socket(client.family, socket.SOCK_DGRAM) as other:
        other.connect(client.getpeername())
        for _ in range(3):
            other.send(b"noise noise noise")
        assert len(batch.receive()) == 3
    batch.put_late([b"late answer"], [route])
    assert batch.send(1) == 0
    assert client.recv(100) == b"late answer"


def test_more_than_a_batch_is_fetched_in_several(pair: tuple[mmsg.BatchSocket, socket.socket]) -> None:
    batch, client = pair
    for number in range(mmsg.BATCH_MAX + 3):
        client.send(number.to_bytes(2, "big"))
    assert len(batch.receive()) == mmsg.BATCH_MAX
    lengths = batch.receive()
    assert len(lengths) == 3
    assert batch.datagrams(lengths)[2] == (mmsg.BATCH_MAX + 2).to_bytes(2, "big")


def test_a_datagram_over_the_limit_arrives_cut(pair: tuple[mmsg.BatchSocket, socket.socket]) -> None:
    batch, client = pair
    client.send(b"x" * 9000)
    assert batch.receive() == [mmsg.RECEIVE_OCTETS_MAX]


def test_one_row_that_cannot_be_sent_costs_only_itself() -> None:
    server = bind_udp(SocketAddress("127.0.0.1", 0))
    batch = mmsg.BatchSocket(server, with_control=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, server:
        client.bind(("127.0.0.1", 0))
        client.settimeout(5)
        host, port = client.getsockname()
        good = socket.AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big") + socket.inet_aton(host)
        good = good.ljust(32, b"\0")
        no_port = good[:2] + b"\0\0" + good[4:]
        batch.put_late(
            [b"one", b"two", b"three"], [DatagramRoute(name, b"") for name in (good, no_port, good)]
        )
        assert batch.send(3) == 1
        assert [client.recv(10), client.recv(10)] == [b"one", b"three"]


@pytest.mark.parametrize(
    ("platform", "pointer_octets", "byte_order", "fits"),
    [
        ("linux", 8, "little", True),
        ("linux", 4, "little", False),
        ("linux", 8, "big", False),
        ("darwin", 8, "little", False),
    ],
)
def test_only_machines_with_this_layout_are_served(
    monkeypatch: pytest.MonkeyPatch, platform: str, pointer_octets: int, byte_order: str, fits: bool
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("sys.byteorder", byte_order)
    monkeypatch.setattr("ctypes.sizeof", lambda _type: pointer_octets)
    assert mmsg.is_available() is fits
