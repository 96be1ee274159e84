"""Which engine serves which address, as facts and metrics say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resolver.observe.connection_facts import LISTENING
from resolver.server.server import Server
from tests.server.native_engine_rig import page, play
from tests.server.test_encryption import PAIR, write_pair

pytestmark = pytest.mark.loopback

LISTEN: dict[str, Any] = {
    "dns": ["127.0.0.1:0"],
    "tls": ["127.0.0.1:0"],
    "https": ["127.0.0.1:0", "127.0.0.1:0"],
    "http": None,
}

WHO_ASKS: dict[str, Any] = {
    "listen": {**LISTEN, "proxy_protocol": ["192.0.2.8/32"]},
    "client_names": {"below": "phones.dns.example", "in_path": True},
    "http": {"trusted_proxies": ["192.0.2.9/32"]},
}


@pytest.mark.parametrize("changes", [{}, WHO_ASKS])
def test_the_native_plane_serves_every_address_whatever_says_who_asks(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_pair(tmp_path)

    async def act(server: Server) -> None:
        facts = server.facts()
        counts = {"udp": 1, "tcp": 1, "tls": 1, "https": 2}
        assert facts.connections.addresses == {
            (transport, engine): counts[transport] * (engine == "native") for transport, engine in LISTENING
        }
        assert server.describe().endswith("engine native")
        assert facts.health.is_ready and "engine" not in facts.health.remarks
        assert 'resolver_listen_addresses{engine="native",transport="https"} 2.0' in page(server)

    play(tmp_path, act, **{"listen": LISTEN, "tls": PAIR, **changes})


def test_where_the_plane_fails_everything_counts_as_pythons(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        server._native._is_usable = False  # type: ignore[union-attr]
        addresses = server.facts().connections.addresses
        assert (addresses["udp", "python"], addresses["tcp", "python"]) == (1, 1)
        assert not any(count for (_, engine), count in addresses.items() if engine == "native")

    play(tmp_path, act)
