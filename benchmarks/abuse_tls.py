"""Attacks on TLS itself: hellos in pieces, too long, made up; garbage, early data, handshakes without end.

Knows: RFC 8446's records and ClientHello, Python's own TLS.  Does not know: the server, what is measured.
Theory: a made-up ClientHello costs its sender nothing and the server a whole answer, key exchange and
signature: a flood of those is what a few attackers can do.  Its post-quantum share must look like one (FIPS
203 §7.2: coefficients under the modulus), or the server refuses it cheaply.
"""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Callable, Sequence

from benchmarks.abuse_attacks import CROWD, Seen, Target, framed, query
from benchmarks.abuse_crowd import REOPEN_S, SEND_OCTETS, Connection, run_crowd

HANDSHAKE, APPLICATION = 22, 23
X25519, X25519MLKEM768 = 0x1D, 0x11EC
MODULUS = 3329
COEFFICIENTS = 768
SERVER_NAME = b"localhost"
ALERT = 21


def record(kind: int, octets: bytes) -> bytes:
    """TLS records that carry `octets` (RFC 8446 §5.1)."""
    parts = [octets[start : start + 16_384] for start in range(0, len(octets), 16_384)] or [b""]
    return b"".join(bytes((kind, 3, 1)) + len(part).to_bytes(2, "big") + part for part in parts)


def extension(kind: int, octets: bytes) -> bytes:
    """One extension of a ClientHello (RFC 8446 §4.2)."""
    return kind.to_bytes(2, "big") + len(octets).to_bytes(2, "big") + octets


def counted(octets: bytes, size: int = 2) -> bytes:
    """Octets behind their length."""
    return len(octets).to_bytes(size, "big") + octets


def post_quantum_share(chance: random.Random) -> bytes:
    """A key share of X25519MLKEM768 that no secret key belongs to, and that is well-formed."""
    packed = bytearray()
    for _ in range(COEFFICIENTS // 2):
        low, high = chance.randrange(MODULUS), chance.randrange(MODULUS)
        packed += bytes((low & 0xFF, low >> 8 | (high & 0xF) << 4, high >> 4))
    return bytes(packed) + chance.randbytes(32) + chance.randbytes(32)


def client_hello(
    chance: random.Random, protocol: bytes = b"dot", *, more: bytes = b"", filling_octets: int = 0
) -> bytes:
    """A handshake message that a server of TLS 1.3 must answer with its whole flight (RFC 8446 §4.1.2)."""
    shares = X25519MLKEM768.to_bytes(2, "big") + counted(post_quantum_share(chance))
    shares += X25519.to_bytes(2, "big") + counted(chance.randbytes(32))
    name = b"\0" + counted(SERVER_NAME)
    extensions = (
        extension(0, counted(name))
        + extension(10, counted(X25519MLKEM768.to_bytes(2, "big") + X25519.to_bytes(2, "big")))
        + extension(13, counted(b"\x04\x03\x08\x04\x04\x01\x05\x03\x08\x05"))
        + extension(16, counted(counted(protocol, 1)))
        + extension(43, b"\x02\x03\x04")
        + extension(45, b"\x01\x01")
        + extension(51, counted(shares))
        + (extension(21, bytes(filling_octets)) if filling_octets else b"")
        # A pre-shared key, where there is one, stands last (RFC 8446 §4.2.11).
        + more
    )
    body = b"\3\3" + chance.randbytes(32) + counted(chance.randbytes(32), 1)
    body += counted(b"\x13\x01\x13\x02\x13\x03") + b"\1\0" + counted(extensions)
    return b"\1" + counted(body, 3)


def early_data(chance: random.Random) -> bytes:
    """Extensions that announce early data under a ticket that nobody has given out."""
    identity = counted(chance.randbytes(120)) + chance.randbytes(4)
    binder = counted(chance.randbytes(32), 1)
    return extension(42, b"") + extension(41, counted(identity) + counted(binder))


class Octets(Connection):
    """A ClientHello, an octet at a time."""

    def __init__(self, source: str, port: int, number: int) -> None:
        super().__init__(source, port, number)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = record(HANDSHAKE, client_hello(random.Random(number)))

    def act(self) -> float:
        self._left = self._left[self.socket.send(self._left[:1]) :]
        return 0.02 if self._left else 10.0


class HalfHello(Connection):
    """Half of a ClientHello, held back."""

    def act(self) -> None:
        hello = record(HANDSHAKE, client_hello(random.Random(self.number)))
        self.socket.send(hello[: len(hello) // 2])


class HugeHello(Connection):
    """A ClientHello that says it has 16 MB, sent as fast as it is taken."""

    message = record(HANDSHAKE, b"\1\xff\xff\xff" + bytes(1 << 20))

    def act(self) -> float:
        self._left = getattr(self, "_left", b"") or self.message
        self._left = self._left[self.socket.send(self._left[:SEND_OCTETS]) :]
        return 0.0005


class LongHello(Connection):
    """A ClientHello of 40 kB, which is legal, over three records."""

    def act(self) -> float:
        if getattr(self, "_has_sent", False):
            raise ConnectionResetError
        self._has_sent = True
        self.socket.send(record(HANDSHAKE, client_hello(random.Random(self.number), filling_octets=40_000)))
        return 0.05


class MadeUp(Connection):
    """A ClientHello that must be answered in full, and a reset once it is, again and again."""

    made = tuple(record(HANDSHAKE, client_hello(random.Random(number))) for number in range(16))

    def act(self) -> float:
        if getattr(self, "_has_sent", False):
            return 10.0
        self._has_sent = True
        self.socket.send(self.made[self.number % len(self.made)])
        return 10.0

    def hear(self) -> bool:
        return bool(self.socket.recv(SEND_OCTETS)) and False


class SplitShare(MadeUp):
    """The same in two segments, cut within the post-quantum share: as a browser's arrives."""

    def __init__(self, source: str, port: int, number: int) -> None:
        super().__init__(source, port, number)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = self.made[number % len(self.made)]

    def act(self) -> float:
        self._left = self._left[self.socket.send(self._left[:700]) :]
        return 0.005 if self._left else 10.0


class EarlyData(MadeUp):
    """Early data behind a hello that announces it, a megabyte and more."""

    made = tuple(
        record(HANDSHAKE, client_hello(random.Random(number), more=early_data(random.Random(number))))
        for number in range(4)
    )
    data = record(APPLICATION, random.Random(1).randbytes(16_384))

    def act(self) -> float:
        if not getattr(self, "_has_sent", False):
            return super().act() and 0.001
        self._left = getattr(self, "_left", b"") or self.data
        self._left = self._left[self.socket.send(self._left[:SEND_OCTETS]) :]
        return 0.0005

    def hear(self) -> bool:
        return Connection.hear(self)


class TlsConnection(Connection):
    """A connection that makes a real handshake; subclasses say what it sends once that is done."""

    protocol = "dot"
    version = ssl.TLSVersion.TLSv1_3

    def __init__(self, source: str, port: int, number: int) -> None:
        super().__init__(source, port, number)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = self.version
        context.set_alpn_protocols([self.protocol])
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._unsent = b""
        self.is_established = False

    def act(self) -> float | None:
        if not self.is_established:
            self._shake_hands()
            self._flush()
        if not self.is_established:
            return REOPEN_S
        if self._unsent:
            self._flush()
            return 0.0005
        after_s = self.attack()
        self._flush()
        return after_s

    def attack(self) -> float | None:
        """Send what is due with `say` or `say_raw`; seconds to the next time."""
        raise NotImplementedError

    def say(self, octets: bytes) -> None:
        """Within the session."""
        self.tls.write(octets)

    def say_raw(self, octets: bytes) -> None:
        """Beside it, as if it were a part of it."""
        self._unsent += self._outgoing.read() + octets

    def hear(self) -> bool:
        octets = self.socket.recv(SEND_OCTETS)
        self._incoming.write(octets)
        if octets and not self.is_established:
            self._shake_hands()
            self._flush()
        elif octets:
            self.take(self._read())
            self._flush()
        return bool(octets)

    def take(self, octets: bytes) -> None:
        """What the server says within the session."""

    def _read(self) -> bytes:
        parts = []
        try:
            while part := self.tls.read(SEND_OCTETS):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts)

    def _shake_hands(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_established = True

    def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        if self._unsent:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]


class Garbage(TlsConnection):
    """A whole handshake, then records that nobody has sealed."""

    junk = record(APPLICATION, random.Random(2).randbytes(4_000))

    def attack(self) -> float:
        self.say_raw(self.junk)
        return 0.01


class AskOnceTls(TlsConnection):
    """One question, then silence."""

    message = framed(query("hot1.example.org"))

    def attack(self) -> float:
        if not getattr(self, "_has_asked", False):
            self._has_asked = True
            self.say(self.message)
        return 10.0


class SlowTls(TlsConnection):
    """A question, an octet in each record, one each second."""

    message = framed(query("hot1.example.org"))

    def attack(self) -> float:
        self._at = getattr(self, "_at", -1) + 1
        self.say(self.message[self._at % len(self.message) :][:1])
        return 1.0


class UnreadTls(TlsConnection):
    """Pipelines questions of 64 kB answers, and reads none once it is established."""

    receive_buffer_octets = 2_048
    message = framed(query("big1.example.org", 16)) * 20

    def attack(self) -> float:
        self.reads = False
        self.say(self.message)
        return 0.01


class LengthsTls(TlsConnection):
    """Lengths that no query has: 0, 11, and 65,535 with octets to match."""

    def attack(self) -> float:
        messages = (b"\0\0", b"\0\x0b" + bytes(11), b"\xff\xff" + bytes(65_535))
        self.say(messages[self.number % len(messages)])
        return 0.02


def over_tls(
    kind: Callable[[str, int, int], Connection], count: int, sources: Sequence[str] = CROWD
) -> Callable[[Target], Seen]:
    """So many connections of one kind to the port of DNS over TLS."""
    return lambda target: run_crowd(kind, target.tls_port, count, sources, target.until)
