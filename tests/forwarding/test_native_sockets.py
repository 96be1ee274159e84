"""How many sockets towards an upstream the native plane opens.

Knows: its counters.  Does not know: what is asked.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from resolver.publishing.compiler import compile_policy
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")

pytestmark = pytest.mark.loopback


def udp(stack: contextlib.ExitStack) -> socket.socket:
    made = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    made.settimeout(10.0)
    made.bind(("127.0.0.1", 0))
    return made


@pytest.mark.parametrize(("limit", "opened"), [(100, 16), (12, 12)])
def test_threads_have_windows_of_their_own(tmp_path: Path, limit: int, opened: int) -> None:
    blocklist = tmp_path / "blocklist.yaml"
    blocklist.write_text("version: 1\nexchanges: {}\n")
    image = compile_policy(blocklist, tmp_path / "images").image
    assert image is not None
    core = native.Core(
        native.Cache(1 << 20),
        allow=[(b"\x7f\0\0\0", 8)],
        rate_limit_qps=0,
        records=[],
        tcp_idle_s=10.0,
        in_flight_max=100,
        waiters_max=10,
        waiting_max=100,
    )
    core.publish(str(image), 1, 0.0, 0.0)
    with contextlib.ExitStack() as stack:
        bound_sockets = [udp(stack), udp(stack)]
        upstream, client = udp(stack), udp(stack)
        core.publish_upstreams([upstream.getsockname()], [(b"", 0, True, False, 10.0, 1e18, 2, None)])
        fields = [(door.fileno(), False, False) for door in bound_sockets]
        plane = native.Plane(core, [fields], sockets_per_upstream=8, sockets_max=limit)
        stack.callback(plane.close)
        plane.start()
        for number in range(20):
            name = name_from_text(f"n{number}.example")
            octets = encode_query(name, 1, id=number, dnssec_ok=False, checking_disabled=False, edns=True)
            client.sendto(octets, bound_sockets[number % 2].getsockname())
            upstream.recv(4096)
        # Each window is full, or all that may be are open.
        assert plane.counters()["opened"] >= opened
