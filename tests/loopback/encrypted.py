"""A server that also listens over TLS and HTTPS, with a certificate of the test CA.

Knows: the settings, the ports.  Does not know: what is asked.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from tests.loopback.process import free_port
from tests.loopback.server import Server, merged
from tests.support.asking import Client, Http2Client, StreamClient, UdpClient
from tests.support.list_server import server_files, trusting

ENCRYPTED = ("tls", "https")


class EncryptedServer(Server):
    """`python -m resolver run` with every listener there is."""

    def __init__(self, directory: Path, *, changes: dict[str, Any] | None = None, **options: Any) -> None:
        certificate, key = server_files(directory / "certificate")
        self.ports: dict[str, int] = {}
        own = {"tls": {"certificate": str(certificate), "key": str(key)}}
        super().__init__(directory, changes=merged(own, changes or {}), **options)

    def _take_ports(self) -> None:
        """All of them anew: any of the old ones may be what somebody else has."""
        self.ports = {transport: free_port() for transport in ENCRYPTED}
        listen = {transport: [f"127.0.0.1:{port}"] for transport, port in self.ports.items()}
        self._changes = merged({"listen": listen}, self._changes_wanted)
        super()._take_ports()

    @property
    def transports(self) -> tuple[str, ...]:
        """Over which it can be asked."""
        return ("udp", "tcp", *self.ports)

    def context(self) -> ssl.SSLContext:
        """A client's trust in its certificate."""
        return trusting()


def client_of(server: EncryptedServer, transport: str, context: ssl.SSLContext) -> Client:
    """A client of it, over UDP, TCP, TLS or HTTP/2."""
    if transport == "udp":
        return UdpClient(server.port)
    if transport == "tcp":
        return StreamClient(server.port)
    if transport == "tls":
        return StreamClient(server.ports["tls"], context)
    return Http2Client(server.ports["https"], context)
