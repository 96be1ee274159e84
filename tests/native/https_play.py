"""A native plane with a listener for DNS over HTTPS, and an upstream that the test speaks for."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from resolver.certificates.making import make_pair
from resolver.flow.peer import Transport
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.support.https_client import Http1Client, Http2Client

PATIENCE_S = 10.0
LOOPBACK = [(b"\x7f\0\0\0", 8)]
ADDRESS = b"\xc0\0\2\1"
A, FAR, WALL = 1, 1e18, 1.7e9
_NOW = time.time()


def query(name: str, number: int = 0, *, qtype: int = A, edns: bool = False) -> bytes:
    """A client's."""
    return encode_query(
        name_from_text(name), qtype, id=number, dnssec_ok=False, checking_disabled=False, edns=edns
    )


def reply(octets: bytes, *, ttl_s: int = 300, addresses: int = 1) -> bytes:
    """The answer of an upstream to `octets`: so many addresses, the last of them always the same."""
    end = octets.index(b"\0", 12) + 5
    record = b"\xc0\x0c\0\1\0\1" + ttl_s.to_bytes(4, "big") + b"\0\4"
    others = b"".join(record + b"\xc6\x33\x64" + bytes([number]) for number in range(addresses - 1))
    counts = b"\0\1" + addresses.to_bytes(2, "big") + b"\0\0\0\0"
    return octets[:2] + b"\x81\x80" + counts + octets[12:end] + others + record + ADDRESS


class HttpsPlay:
    """The plane, and what it reports."""

    def __init__(
        self,
        native: Any,
        image: Path,
        pairs: list[tuple[bytes, bytes]] | None = None,
        *,
        allow: list[tuple[bytes, int]] = LOOPBACK,
        **bounds: Any,
    ) -> None:
        core = native.Core(
            native.Cache(1 << 20),
            allow=allow,
            rate_limit_qps=0,
            records=[(name_from_text("printer.example"), [ADDRESS])],
            tcp_idle_s=10.0,
            in_flight_max=1000,
            waiters_max=1000,
            waiting_max=1000,
        )
        core.publish(str(image), 1, WALL, time.monotonic())
        self.core = core
        self.upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.upstream.settimeout(PATIENCE_S)
        self.upstream.bind(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        streams = [[(int(Transport.HTTPS), self._listening.fileno())]]
        self.plane = native.Plane(core, [[(self._udp.fileno(), False, False)]], streams=streams, **bounds)
        self.plane.set_certificates(pairs or [make_pair(["dns.example"], [], _NOW)])
        core.publish_upstreams([self.upstream.getsockname()], [(b"", 0, True, False, 5.0, FAR, 2, None)])

    def __enter__(self) -> HttpsPlay:
        self.plane.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.plane.close()
        for sock in (self.upstream, self._udp, self._listening):
            sock.close()

    def http2(self, **settings: Any) -> Http2Client:
        """A client of HTTP/2."""
        return Http2Client(self.port, **settings)

    def http1(self, **settings: Any) -> Http1Client:
        """A client of HTTP/1.1."""
        return Http1Client(self.port, **settings)

    def asked(self) -> tuple[bytes, tuple[str, int]]:
        """What the upstream is asked next, and by whom."""
        octets, sender = self.upstream.recvfrom(4096)
        return octets, sender

    def counter(self, name: str) -> int:
        """One of the plane's totals."""
        return int(self.plane.counters()[name])
