"""Which engine serves what: said where Python serves streams although the native plane runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resolver.observe.connection_facts import LISTENING
from resolver.server.engines import remark_on_streams
from resolver.server.server import Server
from tests.server.test_encryption import PAIR, write_pair
from tests.server.test_native_engine import page, play

pytestmark = pytest.mark.loopback

LISTEN: dict[str, Any] = {
    "dns": ["127.0.0.1:0"],
    "tls": ["127.0.0.1:0"],
    "https": ["127.0.0.1:0", "127.0.0.1:0"],
    "http": None,
}

PROXY = {"listen": {**LISTEN, "proxy_protocol": ["192.0.2.8/32"]}}
BELOW = {"client_names": {"below": "phones.dns.example"}}
TRUSTED = {"http": {"trusted_proxies": ["192.0.2.8/32"]}, "client_names": {"in_path": True}}


@pytest.mark.parametrize(
    ("changes", "pythons"),
    [
        ({}, {}),
        (PROXY, {"https": ["listen.proxy_protocol"]}),
        (BELOW, {"tls": ["client_names.below"], "https": ["client_names.below"]}),
        (TRUSTED, {"https": ["client_names.in_path", "http.trusted_proxies"]}),
        ({**TRUSTED, "listen": {"dns": ["127.0.0.1:0"], "http": None}}, {}),
    ],
)
def test_streams_that_python_serves_beside_the_native_plane_are_told_at_the_start_and_while_it_runs(
    tmp_path: Path, changes: dict[str, Any], pythons: dict[str, list[str]]
) -> None:
    write_pair(tmp_path)

    async def act(server: Server) -> None:
        line, facts = server.describe(), server.facts()
        assert server.description()["pythons_streams"] == pythons
        has_tls = "tls 127" in line
        counts = {"udp": 1, "tcp": 1, "tls": int(has_tls), "https": 2 * has_tls}
        assert facts.connections.addresses == {
            (transport, engine): counts[transport] * ((engine == "python") is (transport in pythons))
            for transport, engine in LISTENING
        }
        if not pythons:
            assert line.endswith("engine native") and "streams" not in facts.health.remarks
            return
        remark = facts.health.remarks["streams"]
        for label, settings in pythons.items():
            told = f"{label} ({', '.join(settings)})"
            assert told in line.partition("engine native but Python for ")[2] and told in remark
        assert facts.health.is_ready and "engine" not in facts.health.remarks
        assert 'resolver_listen_addresses{engine="python",transport="https"} 2.0' in page(server)

    play(tmp_path, act, **{"listen": LISTEN, "tls": PAIR, **changes})


def test_where_the_plane_fails_everything_counts_as_pythons(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        server._native._is_usable = False  # type: ignore[union-attr]
        addresses = server.facts().connections.addresses
        assert (addresses["udp", "python"], addresses["tcp", "python"]) == (1, 1)
        assert not any(count for (_, engine), count in addresses.items() if engine == "native")

    play(tmp_path, act)


def test_there_is_no_remark_where_there_is_nothing_to_say() -> None:
    assert remark_on_streams({}) == ""
