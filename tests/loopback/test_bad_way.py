"""Upstreams over TLS behind ways that lose, change and flap: hardly a question is left without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from resolver.wire.encode import encode_question
from resolver.wire.names import name_from_text
from tests.fuzz.rig import IS_LONG
from tests.loopback.encrypted_peers import Files, Peer, running_unbound, write_files
from tests.loopback.server import running_server
from tests.support.bad_proxy import BadProxy, Faults
from tests.support.encrypted_upstreams import HOST, authorities_file

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("unbound")]

SECONDS = 300 if IS_LONG else 20
QPS = 100
UNANSWERED_MAX = 3
"""One in ten thousand at length; twenty seconds cannot tell that apart from one gap in the way."""
CLIENT_S = 3.0
"""How long a client waits for its one query; it asks nothing twice."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[Peer]:
    with running_unbound(tmp_path_factory.mktemp("unbound"), files) as peer:
        yield peer


class Client(asyncio.DatagramProtocol):
    """Asks one new name after the other, and notes which are answered."""

    def __init__(self) -> None:
        self.answered: dict[int, int] = {}
        """By number of the query: the response code."""

    def datagram_received(self, data: bytes, addr: object) -> None:
        label = data[13 : 13 + data[12]]
        self.answered[int(label[1:])] = data[3] & 15


@pytest.mark.parametrize("scheme", ["tls", "https"])
def test_hardly_a_question_is_left_unanswered(
    serving_engine: str, tmp_path: Path, unbound: Peer, files: Files, scheme: str
) -> None:
    count = SECONDS * QPS

    async def play() -> Client:
        async with AsyncExitStack() as stack:
            urls = []
            for seed, begins_up in enumerate((True, False)):
                target = unbound.tls if scheme == "tls" else unbound.https
                proxy = BadProxy(target, Faults(begins_up=begins_up), seed)
                await proxy.start()
                stack.push_async_callback(proxy.close)
                path = "/dns-query" if scheme == "https" else ""
                urls.append(f"{scheme}://127.0.0.1:{proxy.port}{path}#{HOST}")
            changes = {"upstreams": {"servers": urls, "tls_ca": str(authorities_file(tmp_path))}}
            loop = asyncio.get_running_loop()
            context = running_server(tmp_path, 9, changes=changes)
            server = await loop.run_in_executor(None, context.__enter__)

            async def stop() -> None:
                await loop.run_in_executor(None, context.__exit__, None, None, None)

            stack.push_async_callback(stop)
            transport, client = await loop.create_datagram_endpoint(
                Client, remote_addr=("127.0.0.1", server.port)
            )
            for number in range(count):
                question = name_from_text(f"n{number}.example") + b"\0\1\0\1"
                query = encode_question(number & 0xFFFF, question, False, False, True)
                transport.sendto(query)
                await asyncio.sleep(1 / QPS)
            await asyncio.sleep(CLIENT_S)
            transport.close()
            return client

    client = asyncio.run(play())
    failed = count - sum(rcode == 0 for rcode in client.answered.values())
    assert failed <= UNANSWERED_MAX, f"{failed} of {count} questions came to nothing"
