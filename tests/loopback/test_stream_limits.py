"""Each setting of `limits` that bounds streams bounds them with both engines, and is counted by the same reason.

A table: what is done to go over the limit, from addresses that nothing else comes from, and which reason of
`resolver_dropped_total` goes up for it, alone.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import h2.config
import h2.connection
import h2.events
import pytest

from resolver.config.listen_settings import Limits
from resolver.observe.tally import DROP_REASONS
from tests.loopback.encrypted import EncryptedServer
from tests.loopback.process import poll

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

CONNECTIONS, OF_CLIENT = 60, 20
HANDSHAKES, HANDSHAKES_OF_CLIENT = 30, 5
STREAMS = 2
HEADER_OCTETS = 4_096
BUFFERS_MB = 8

LIMITS = {
    "tcp_connections_max": CONNECTIONS,
    "tcp_connections_per_client_max": OF_CLIENT,
    "tcp_idle_s": 600.0,
    "stream_buffers_mb": BUFFERS_MB,
    "tls_handshakes_per_s_max": HANDSHAKES,
    "tls_handshakes_per_s_per_client_max": HANDSHAKES_OF_CLIENT,
    "https_streams_max": STREAMS,
    "https_header_octets_max": HEADER_OCTETS,
}

PARTIAL = b"\xff\xff" + bytes(65_534)
"""A message that lacks one octet."""

PATIENCE_S = 20.0

OF_STREAMS = ("tcp_", "tls_", "https_")


class Stage:
    """The server, and connections to it that stay open until the row is over."""

    def __init__(self, server: EncryptedServer, stack: ExitStack) -> None:
        self.server = server
        self._stack = stack
        self._context = server.context()

    def connect(self, source: int, transport: str = "tcp") -> socket.socket:
        port = self.server.port if transport == "tcp" else self.server.ports[transport]
        address = (f"127.0.1.{source}", 0)
        connection = socket.create_connection(("127.0.0.1", port), PATIENCE_S, source_address=address)
        return self._stack.enter_context(connection)

    def http(self, source: int) -> tuple[ssl.SSLSocket, h2.connection.H2Connection]:
        """A connection of HTTP/2, with nothing asked on it yet."""
        self._context.set_alpn_protocols(["h2"])
        plain = self.connect(source, "https")
        connection = self._stack.enter_context(self._context.wrap_socket(plain, server_hostname="localhost"))
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        state = h2.connection.H2Connection(config)
        state.initiate_connection()
        return connection, state

    def dropped(self) -> dict[str, float]:
        """By reason, those of streams."""
        samples = self.server.metrics()
        counts = {reason: samples[f'resolver_dropped_total{{reason="{reason}"}}'] for reason in DROP_REASONS}
        return {reason: count for reason, count in counts.items() if reason.startswith(OF_STREAMS)}


HEAD = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"localhost"),
    (b":path", b"/dns-query"),
    (b"content-type", b"application/dns-message"),
]


def one_more_of_a_client(stage: Stage) -> None:
    for _ in range(OF_CLIENT + 1):
        stage.connect(1)


def one_more_of_all(stage: Stage) -> None:
    for number in range(CONNECTIONS):
        stage.connect(10 + number // (OF_CLIENT // 2))
    stage.connect(20)


def more_octets_than_a_clients_part(stage: Stage) -> None:
    for _ in range((BUFFERS_MB << 20) // 8 // len(PARTIAL) + 1):
        with contextlib.suppress(ConnectionError):
            stage.connect(30).sendall(PARTIAL)


def one_more_request(stage: Stage) -> None:
    connection, http = stage.http(40)
    for _ in range(STREAMS + 1):
        http.send_headers(http.get_next_available_stream_id(), HEAD)
    connection.sendall(http.data_to_send())


def too_long_headers(stage: Stage) -> None:
    connection, http = stage.http(50)
    streams = [http.get_next_available_stream_id()]
    http.send_headers(streams[0], [*HEAD, (b"x-a", b"~" * (HEADER_OCTETS // 2))])
    streams.append(http.get_next_available_stream_id())
    http.send_headers(streams[1], [*HEAD, (b"x-a", b"~" * HEADER_OCTETS)])
    connection.sendall(http.data_to_send())
    said: dict[int, bytes] = {}
    while streams[1] not in said:
        for event in http.receive_data(connection.recv(65_536)):
            if isinstance(event, h2.events.ResponseReceived):
                said[event.stream_id] = dict(event.headers)[b":status"]
    assert said == {streams[1]: b"431"}


def one_more_handshake_of_a_client(stage: Stage) -> None:
    for _ in range(4 * HANDSHAKES_OF_CLIENT):
        # Over it they are closed before they say anything.
        with contextlib.suppress(ConnectionError):
            stage.connect(60, "tls").close()


def more_handshakes_than_all_may(stage: Stage) -> None:
    for number in range(4 * HANDSHAKES):
        with contextlib.suppress(ConnectionError):
            stage.connect(70 + number, "tls").close()


class Row(NamedTuple):
    """What one setting bounds."""

    setting: str
    go_over: Callable[[Stage], None]
    reason: str
    """Counted for it."""
    times: int = 0
    """How often exactly; 0: at least once."""


ROWS = (
    Row("tcp_connections_per_client_max", one_more_of_a_client, "tcp_connections_per_client_max", 1),
    Row("tcp_connections_max", one_more_of_all, "tcp_yielded_idle", 1),
    Row("stream_buffers_mb", more_octets_than_a_clients_part, "tcp_client_octets_max"),
    Row("https_streams_max", one_more_request, "https_streams_max", 1),
    Row("https_header_octets_max", too_long_headers, "https_headers", 1),
    Row(
        "tls_handshakes_per_s_per_client_max",
        one_more_handshake_of_a_client,
        "tls_handshakes_per_s_per_client_max",
    ),
    # Last: it takes from all.
    Row("tls_handshakes_per_s_max", more_handshakes_than_all_may, "tls_handshakes_per_s_max"),
)

COUNTED_NOWHERE = ("tcp_idle_s",)
"""What it ends is no loss; `test_tcp_limits` shows it with both engines."""

NOT_OF_STREAMS = ("http_connections_max", "http_event_streams_max", "in_flight_max")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, serving_engine: str) -> Iterator[EncryptedServer]:
    """A server of each engine with low limits."""
    with EncryptedServer(tmp_path_factory.mktemp("limits"), changes={"limits": LIMITS}) as server:
        yield server


def test_the_table_has_every_setting_of_streams() -> None:
    shown = {row.setting for row in ROWS} | {*COUNTED_NOWHERE, *NOT_OF_STREAMS}
    assert shown == set(Limits.model_fields)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.setting)
def test_what_goes_over_a_limit_is_refused_and_counted_alike(limited: EncryptedServer, row: Row) -> None:
    with ExitStack() as stack:
        stage = Stage(limited, stack)
        before = stage.dropped()
        row.go_over(stage)

        def risen() -> dict[str, float]:
            return {reason: n - before[reason] for reason, n in stage.dropped().items() if n > before[reason]}

        poll(lambda: row.reason in risen(), timeout_s=PATIENCE_S, what=f"{row.reason} is counted")
        found = risen()
        # A connection that is closed before its handshake came to nothing besides.
        assert set(found) <= {row.reason, "tls_failed"}
        assert not row.times or found[row.reason] == row.times
    # Who goes makes room.
    poll(lambda: limited.metric("resolver_tcp_connections") == 0, timeout_s=PATIENCE_S, what="all are gone")
