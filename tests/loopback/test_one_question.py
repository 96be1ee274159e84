"""Clients over UDP and TCP that ask the same at the same time: upstreams are asked once, on either engine."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.loopback.process import poll
from tests.loopback.server import running_server
from tests.loopback.slow_upstream import ADDRESS, SlowUpstream
from tests.support.engines import Engine

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

TRANSPORTS = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
NAME = "held.example.org."


def connect(transport: str, port: int) -> socket.socket:
    client = socket.socket(socket.AF_INET, TRANSPORTS[transport])
    client.settimeout(5.0)
    client.connect(("127.0.0.1", port))
    return client


def send(client: socket.socket) -> None:
    octets = dns.message.make_query(NAME, "A").to_wire()
    client.sendall(octets if client.type is socket.SOCK_DGRAM else len(octets).to_bytes(2, "big") + octets)


def receive(client: socket.socket) -> dns.message.Message:
    octets = client.recv(4096)
    return dns.message.from_wire(octets if client.type is socket.SOCK_DGRAM else octets[2:])


@pytest.mark.parametrize("order", [("udp", "tcp", "udp"), ("tcp", "udp", "tcp")], ids="-".join)
def test_one_question_is_out_once_whoever_asks(
    order: tuple[str, ...], engine: Engine, tmp_path: Path
) -> None:
    with (
        SlowUpstream() as upstream,
        running_server(tmp_path, upstream.port, changes={"engine": engine.name}) as server,
        ExitStack() as stack,
    ):
        clients = [stack.enter_context(connect(transport, server.port)) for transport in order]
        send(clients[0])
        poll(lambda: upstream.held_count > 0, timeout_s=5.0, what="the first question at the upstream")
        for client in clients[1:]:
            send(client)
        # Less than what makes the server ask again by itself.
        time.sleep(0.1)
        upstream.release()
        for client in clients:
            reply = receive(client)
            assert [rdata.to_text() for rrset in reply.answer for rdata in rrset] == [ADDRESS]
        assert upstream.held_count == 1
        # Beside the one that the server asked for itself when it started.
        assert server.metric("resolver_upstream_queries_total") == 1 + 1
        assert server.metric("resolver_responses_total", source="upstream") == len(order)
