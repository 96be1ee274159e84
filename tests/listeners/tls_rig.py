"""Clients of DNS over TLS that keep what they got, record by record."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import pytest

from resolver.flow.peer import Transport
from resolver.listeners import stream
from resolver.listeners.stream import StreamListener
from resolver.listeners.tls_connection import TlsSide
from tests.listeners.stream_rig import (
    WAIT_S,
    connect,
    is_closed,
)
from tests.support.list_server import HOST, serving, trusting


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's, with a certificate made for these tests."""
    made = serving(tmp_path_factory.mktemp("tls"))
    made.set_alpn_protocols(["dot"])
    return made


@pytest.fixture
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SWEEP_EVERY_S", 0.01)


def over_tls(context: ssl.SSLContext) -> dict[str, Any]:
    """What makes a listener speak TLS."""
    return {"transport": Transport.TLS, "tls": TlsSide(lambda now: context)}


class Client:
    """A client that says when each step of TLS happens."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        context = trusting()
        context.set_alpn_protocols(["dot"])
        self.tune(context)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=HOST)
        self._plain = b""

    def tune(self, context: ssl.SSLContext) -> None:
        """For clients of a special kind."""

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                assert await self._more(), "the server hung up during the handshake"
            else:
                self.flush()
                return

    def flush(self) -> None:
        self.writer.write(self._outgoing.read())

    def say(self, octets: bytes) -> None:
        self.tls.write(octets)
        self.flush()

    def sealed(self, octets: bytes) -> bytes:
        """As `say` would send it."""
        self.tls.write(octets)
        return self._outgoing.read()

    def close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    async def _more(self) -> bool:
        octets = await asyncio.wait_for(self.reader.read(1 << 16), WAIT_S)
        self._incoming.write(octets)
        return bool(octets)

    async def read_message(self) -> bytes:
        while len(self._plain) < 2 or len(self._plain) < 2 + int.from_bytes(self._plain[:2], "big"):
            try:
                part = self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                assert await self._more(), "the server hung up"
                continue
            assert part, "the server said close_notify"
            self._plain += part
        end = 2 + int.from_bytes(self._plain[:2], "big")
        message, self._plain = self._plain[2:end], self._plain[end:]
        return message

    async def gets_close_notify(self) -> bool:
        """Whether close_notify comes, nothing before it, and the end of the stream behind it."""
        while True:
            try:
                said = self.tls.read(1)
            except ssl.SSLWantReadError:
                if not await self._more():
                    return False
            except ssl.SSLZeroReturnError:
                said = b""
                break
            else:
                break
        return not said and await is_closed(self.reader)


class Tls12Client(Client):
    def tune(self, context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2


async def shake_hands(listener: StreamListener, kind: type[Client] = Client) -> Client:
    client = kind(*await connect(listener))
    await client.shake_hands()
    return client
