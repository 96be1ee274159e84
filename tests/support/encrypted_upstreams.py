"""Upstreams over TLS and HTTPS on loopback, good and bad, and somebody on the path who reads along.

Knows: certificates of an authority of its own, HTTP/2 by h2, sockets on loopback.  Does not know: what is
under test.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import hashlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from h2.exceptions import H2Error

HOST = "dns.example"
LOOPBACK = "127.0.0.1"

START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
FOR_EVER = START + datetime.timedelta(days=36_500)
LONG_AGO = START + datetime.timedelta(days=30)

RECORD_OF_A_QUERY = b"\x17\x03\x03" + (2 + 128 + 1 + 16).to_bytes(2, "big")
"""How a record of TLS 1.3 begins that has one padded query and its length in it (RFC 8446 §5.2)."""

HEADER_OCTETS = 12
ADDRESS = bytes((192, 0, 2, 7))


@dataclass(frozen=True)
class Certified:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def pin(self) -> bytes:
        """SHA-256 of its public key."""
        spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(spki).digest()

    @property
    def pin_text(self) -> str:
        """The same as settings write it."""
        return base64.b64encode(self.pin).decode()


@cache
def authority() -> Certified:
    """Who signs."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Certified(_sign("Test CA", key, None, (), FOR_EVER, is_ca=True), key)


def certified(
    *names: str, until: datetime.datetime = FOR_EVER, by: Certified | None = None, self_signed: bool = False
) -> Certified:
    """A server's certificate for these names and addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = None if self_signed else by or authority()
    return Certified(_sign("server", key, signer, names, until, is_ca=False), key)


def _sign(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    by: Certified | None,
    names: tuple[str, ...],
    until: datetime.datetime,
    *,
    is_ca: bool,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    signing_key = key if by is None else by.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(text) for text in names]), critical=False
        )
    return builder.sign(signing_key, hashes.SHA256())


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def authorities_file(folder: Path) -> Path:
    """A PEM file with the test authority."""
    path = folder / "ca.pem"
    path.write_bytes(authority().pem)
    return path


def server_context(folder: Path, own: Certified, *alpn: str) -> ssl.SSLContext:
    """A server's context."""
    path = folder / f"{own.certificate.serial_number}.pem"
    path.write_bytes(own.key_pem + own.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


# DNS.


def answer_to(query: bytes, address: bytes = ADDRESS) -> bytes:
    """A reply with one address to any query."""
    end = query.index(b"\0", HEADER_OCTETS) + 5
    record = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + address
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[HEADER_OCTETS:end] + record


def framed(octets: bytes) -> bytes:
    """With its length in front."""
    return len(octets).to_bytes(2, "big") + octets


class Accepted:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> bytes:
        """One query over TLS."""
        length = int.from_bytes(await self.reader.readexactly(2), "big")
        return await self.reader.readexactly(length)

    def reply(self, octets: bytes) -> None:
        """One message over TLS."""
        self.writer.write(framed(octets))

    @property
    def tls(self) -> ssl.SSLObject:
        """What TLS knows of it."""
        found: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return found

    def close(self) -> None:
        """Close in order."""
        self.writer.close()

    def abort(self) -> None:
        """Break off."""
        self.writer.transport.abort()


Play = Callable[[Accepted], Awaitable[None]]


async def answering(accepted: Accepted) -> None:
    """Answer every query."""
    while True:
        accepted.reply(answer_to(await accepted.read()))


async def silent(accepted: Accepted) -> None:
    """Read everything, say nothing."""
    while await accepted.reader.read(65_536):
        pass


async def closing_after_each(accepted: Accepted) -> None:
    """Answer one query and close."""
    accepted.reply(answer_to(await accepted.read()))
    await accepted.writer.drain()
    accepted.close()


async def resetting(accepted: Accepted) -> None:
    """Break off when the first query has come."""
    await accepted.read()
    accepted.abort()


@dataclass
class Upstream:
    """A running server; what came to it is in `queries` where its play puts it."""

    port: int = 0
    accepted: list[Accepted] = field(default_factory=list)


@contextlib.asynccontextmanager
async def upstream(context: ssl.SSLContext | None, play: Play = answering) -> AsyncIterator[Upstream]:
    """A server on loopback that plays with each connection."""
    running = Upstream()
    tasks: set[asyncio.Task[None]] = set()

    async def perform(accepted: Accepted) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await play(accepted)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            accepted.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = Accepted(reader, writer)
        running.accepted.append(accepted)
        task = asyncio.get_running_loop().create_task(perform(accepted))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, LOOPBACK, 0, ssl=context)
    running.port = listening.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for accepted in running.accepted:
            accepted.abort()
        await asyncio.sleep(0)


# HTTP/2.


class Http:
    """The server's side of HTTP/2 on an accepted connection."""

    def __init__(self, accepted: Accepted) -> None:
        self.accepted = accepted
        self.http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.requests: dict[int, tuple[dict[str, str], bytearray]] = {}

    def flush(self) -> None:
        """Send what is to be sent."""
        self.accepted.writer.write(self.http.data_to_send())

    def reply(
        self,
        stream: int,
        body: bytes,
        *,
        status: str = "200",
        media_type: str = "application/dns-message",
    ) -> None:
        """A whole reply."""
        headers = [(":status", status), ("content-type", media_type), ("content-length", str(len(body)))]
        self.http.send_headers(stream, headers)
        self.http.send_data(stream, body, end_stream=True)
        self.flush()

    async def next_request(self) -> tuple[int, dict[str, str], bytes]:
        """Stream, headers and body of the next whole request."""
        while True:
            for stream, (headers, body) in list(self.requests.items()):
                if "done" in headers:
                    del self.requests[stream]
                    return stream, headers, bytes(body)
            data = await self.accepted.reader.read(65_536)
            if not data:
                raise ConnectionResetError
            try:
                events = self.http.receive_data(data)
            except H2Error:
                raise ConnectionResetError from None
            for event in events:
                self._note(event)
            self.flush()

    def _note(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
            self.requests[event.stream_id or 0] = (headers, bytearray())
        elif isinstance(event, DataReceived):
            self.requests[event.stream_id or 0][1].extend(event.data or b"")
        elif isinstance(event, StreamEnded):
            self.requests[event.stream_id or 0][0]["done"] = ""


async def start_http(accepted: Accepted) -> Http:
    """HTTP/2 on a connection, its settings sent."""
    http = Http(accepted)
    http.http.initiate_connection()
    http.flush()
    return http


async def answering_http(accepted: Accepted) -> None:
    """Answer every request."""
    http = await start_http(accepted)
    while True:
        stream, _, query = await http.next_request()
        http.reply(stream, answer_to(query))


# Who is on the path.


@dataclass
class OnPath:
    """A relay in front of a server: what passed it, and whether it works now."""

    port: int = 0
    seen: bytearray = field(default_factory=bytearray)
    """Octets from the client."""
    connections: int = 0


@contextlib.asynccontextmanager
async def eavesdropper(target: int) -> AsyncIterator[OnPath]:
    """A relay to `target` that keeps what the client sent."""
    path = OnPath()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: bytearray | None
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if keep is not None:
                    keep += data
                writer.write(data)
        with contextlib.suppress(ConnectionError):
            writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path.connections += 1
        onward, back = await asyncio.open_connection(LOOPBACK, target)
        try:
            await asyncio.gather(pump(reader, back, path.seen), pump(onward, writer, None))
        finally:
            writer.transport.abort()
            back.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(relay(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, LOOPBACK, 0)
    path.port = listening.sockets[0].getsockname()[1]
    try:
        yield path
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
