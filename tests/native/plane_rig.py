"""The native plane on sockets of loopback, and who asks and answers it."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resolver.publishing.compiler import compile_policy
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")
testing: Any = pytest.importorskip("resolver_native.testing", reason="resolver_native is not built")
PATIENCE_S = 10.0
LOOPBACK = [(b"\x7f\0\0\0", 8), (bytes(15) + b"\1", 128)]
A, NS = 1, 2
ADDRESS = b"\xc0\0\2\1"


CLIENT = b"\x7f\0\0\1"


FAR = 1e18
BLOCKLIST = """\
version: 1
exchanges: {}
lists:
  - {name: ads, path: ads.txt, format: domains}
"""


def query(name: str, number: int = 0x1234, *, qtype: int = A, edns: bool = True) -> bytes:
    return encode_query(
        name_from_text(name), qtype, id=number, dnssec_ok=False, checking_disabled=False, edns=edns
    )


def reply(octets: bytes, *, flags: int = 0x8180, address: bytes = ADDRESS, ttl_s: int = 300) -> bytes:
    """The answer of an upstream to `octets`: one address."""
    end = octets.index(b"\0", 12) + 5
    record = b"\xc0\x0c\0\1\0\1" + ttl_s.to_bytes(4, "big") + b"\0\4" + address
    head = octets[:2] + flags.to_bytes(2, "big") + b"\0\1\0\1\0\0\0\0"
    return head + octets[12:end] + record


def rcode(octets: bytes) -> int:
    return octets[3] & 15


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "ads.txt").write_text("ads.example\n")
    (folder / "blocklist.yaml").write_text(BLOCKLIST)
    compiled = compile_policy(folder / "blocklist.yaml", folder / "images")
    assert compiled.image is not None, compiled.problems
    return compiled.image


def make_core(image: Path | None, **settings: Any) -> Any:
    given: dict[str, Any] = {
        "allow": LOOPBACK,
        "rate_limit_qps": 0,
        "records": [(name_from_text("printer.example"), [ADDRESS])],
        "tcp_idle_s": 10.0,
        "in_flight_max": 100,
        "waiters_max": 100,
        "waiting_max": 1000,
    }
    cache = settings.pop("cache", None) or native.Cache(1 << 20)
    core = native.Core(cache, **{**given, **settings})
    if image is not None:
        core.publish(str(image), 1, 1.7e9, time.monotonic())
    return core


class Play:
    """A plane with one worker on one socket, its client, and an upstream that the test speaks for."""

    def __init__(self, core: Any, address: str = "127.0.0.1", *, at: str = "", **settings: Any) -> None:
        self.core = core
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.door = socket.socket(family, socket.SOCK_DGRAM)
        is_wildcard = address in ("0.0.0.0", "::")
        if is_wildcard and family == socket.AF_INET6:
            self.door.setsockopt(socket.IPPROTO_IPV6, 49, 1)  # IPV6_RECVPKTINFO
        elif is_wildcard:
            self.door.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        self.door.bind((address, 0))
        self.upstream = self._socket(socket.AF_INET)
        self.upstream.bind(("127.0.0.1", 0))
        self.client = self._socket(family)
        self.client.connect((at or address, self.door.getsockname()[1]))
        fields = (self.door.fileno(), family == socket.AF_INET6, is_wildcard)
        self.plane = native.Plane(core, [[fields]], **settings)
        self.events: list[Any] = []

    @staticmethod
    def _socket(family: int) -> socket.socket:
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.settimeout(PATIENCE_S)
        return made

    def ask_upstream(
        self,
        *,
        timeout_s: float = PATIENCE_S,
        letter_case: int = 2,
        failure: tuple[int, str] | None = None,
    ) -> None:
        """Publish the upstream: misses are asked natively, where it is not down for `failure`."""
        host, port = self.upstream.getsockname()
        first = -1 if failure else 0
        fields = (b"", first, True, False, timeout_s, FAR, letter_case, failure)
        self.core.publish_upstreams([(host, port)], [fields])

    def ask(self, octets: bytes) -> bytes:
        self.client.send(octets)
        return self.client.recv(4096)

    def event(self, word: str) -> Any:
        """The first event with this word that was not asked for yet."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for place, event in enumerate(self.events):
                if event[0] == word:
                    return self.events.pop(place)
            readable, _, _ = select.select([self.plane.fileno()], [], [], PATIENCE_S)
            if readable:
                self.events += self.plane.drain()
        raise AssertionError(f"no event {word!r}")

    def close(self) -> None:
        self.plane.close()
        for made in (self.door, self.upstream, self.client):
            made.close()


@pytest.fixture
def start(image: Path) -> Iterator[Callable[..., Play]]:
    """Starts plays; all are closed in the end."""
    plays: list[Play] = []

    def start(core: Any = None, *arguments: Any, **settings: Any) -> Play:
        play = Play(core or make_core(image), *arguments, **settings)
        plays.append(play)
        play.plane.start()
        return play

    yield start
    for play in plays:
        play.close()
