"""A web server that says what it is told, over TLS with a CA of its own; and a DNS server that does.

Knows: sockets on loopback.  Does not know: what is under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.wirebuild import rr

HOST = "lists.example"

Headers = Mapping[str, str]
Page = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Octets to send, or somebody who sends them."""


@cache
def _authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
    return _signed(name, name, key, key, is_ca=True), key


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
) -> x509.Certificate:
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    names = [x509.DNSName(HOST), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=is_ca,
                crl_sign=is_ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(by, hashes.SHA256())
    )


def trusting() -> ssl.SSLContext:
    """A client's trust in the test CA and nobody else."""
    return ssl.create_default_context(cadata=ca_pem().decode())


def ca_pem() -> bytes:
    """The test CA's certificate."""
    return _authority()[0].public_bytes(serialization.Encoding.PEM)


def client_files(folder: Path) -> tuple[Path, Path]:
    """A client's certificate of the test CA and its key, as files."""
    certificate, ca_key = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a client")])
    own = _signed(name, certificate.subject, key, ca_key, is_ca=False)
    paths = folder / "client.pem", folder / "client.key"
    paths[0].write_bytes(own.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    paths[1].chmod(0o600)
    return paths


def server_files(folder: Path) -> tuple[Path, Path]:
    """A server's certificate of the test CA (localhost, 127.0.0.1) and its key, as files."""
    certificate, ca_key = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    own = _signed(name, certificate.subject, key, ca_key, is_ca=False)
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "server.pem", folder / "server.key"
    paths[0].write_bytes(own.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


def serving(folder: Path) -> ssl.SSLContext:
    """A server's certificate; clients may show one of the test CA's; `folder` holds its files for a moment."""
    certificate, ca_key = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    own = _signed(name, certificate.subject, key, ca_key, is_ca=False)
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + own.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=ca_pem().decode())
    return context


def ok(body: bytes, **headers: str) -> bytes:
    """A whole reply with status 200."""
    return reply("200 OK", body, **{"content-length": str(len(body)), **headers})


def reply(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A reply; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """A reply that sends the client elsewhere."""
    return reply(status, content_length="0", location=location)


@dataclass
class WebServer:
    """Pages by path; every request that came."""

    pages: dict[str, Page] = field(default_factory=dict)
    answer: Callable[[str, Headers], Page] | None = None
    """Asked first, if there is one."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """Of the requests that had one."""
    clients: list[bool] = field(default_factory=list)
    """Of each request, whether the client showed a certificate."""
    port: int = 0
    scheme: str = "https"

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Where a path is."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            path = head[0].split(" ")[1]
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
            }
            self.requests.append((path, headers))
            self.clients.append(bool(writer.get_extra_info("peercert")))
            if length := int(headers.get("content-length", 0)):
                self.bodies.append(await reader.readexactly(length))
            page = self.answer(path, headers) if self.answer else self.pages.get(path)
            if page is None:
                page = reply("404 Not Found", content_length="0")
            if isinstance(page, bytes):
                writer.write(page)
            else:
                await page(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def web_server(folder: Path, *, tls: bool = True) -> AsyncIterator[WebServer]:
    """A running web server on loopback."""
    server = WebServer(scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(server.handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=serving(folder) if tls else None)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Dns(asyncio.DatagramProtocol):
    def __init__(self, zone: DnsServer) -> None:
        self.zone = zone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.zone.asked += 1
        for packet in self.zone.say(data):
            self.transport.sendto(packet, addr)


@dataclass
class DnsServer:
    """Answers every question with packets of its own making."""

    say: Callable[[bytes], list[bytes]] = lambda query: []
    asked: int = 0
    port: int = 0

    @property
    def server(self) -> tuple[str, int]:
        """As a bootstrap server."""
        return ("127.0.0.1", self.port)


@contextlib.asynccontextmanager
async def dns_server(say: Callable[[bytes], list[bytes]]) -> AsyncIterator[DnsServer]:
    """A running DNS server on loopback."""
    server = DnsServer(say)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Dns(server), local_addr=("127.0.0.1", 0))
    server.port = transport.get_extra_info("sockname")[1]
    try:
        yield server
    finally:
        transport.close()


def addresses(*texts: str) -> Callable[[bytes], list[bytes]]:
    """Say that every name has these addresses."""
    found = [ipaddress.ip_address(text) for text in texts]

    def say(query: bytes) -> list[bytes]:
        qtype = int.from_bytes(query[query.index(b"\0", 12) + 1 :][:2], "big")
        size = {1: 4, 28: 16}[qtype]
        records = [rr(b"\xc0\x0c", qtype, a.packed) for a in found if len(a.packed) == size]
        end = query.index(b"\0", 12) + 5
        counts = b"\0\1" + len(records).to_bytes(2, "big") + bytes(4)
        return [query[:2] + b"\x81\x80" + counts + query[12:end] + b"".join(records)]

    return say
