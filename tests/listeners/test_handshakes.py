"""How many handshakes may begin in a second."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.flow.clients import client_key
from resolver.listeners import handshakes
from resolver.listeners.handshakes import TOO_MANY, TOO_MANY_BREACHES, TOO_MANY_OF_CLIENT, HandshakeLimits

VECTORS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "vectors/handshakes.yaml").read_text()
)

OUTCOMES = {"": "ok", TOO_MANY: "of_all", TOO_MANY_OF_CLIENT: "of_client", TOO_MANY_BREACHES: "breaches"}


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_handshakes_begin_as_the_vectors_say(case: dict[str, Any]) -> None:
    limits = HandshakeLimits(*case["rates"])
    for milliseconds, event, address, times, *wanted in case["steps"]:
        client, now = client_key(ip_address(address).packed), milliseconds / 1000
        if event == "breach":
            for _ in range(times):
                limits.charge(client, now)
        else:
            begun = [OUTCOMES[limits.begin(client, now)] for _ in range(times)]
            assert begun == [outcome for outcome, count in wanted for _ in range(count)], (
                milliseconds,
                event,
            )


def test_no_more_clients_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "CLIENTS_MAX", 3)
    limits = HandshakeLimits(1000, 1)
    for client in (b"a", b"b", b"c"):
        assert limits.begin(client, 1.0) == ""
    assert limits.begin(b"a", 1.0) == TOO_MANY_OF_CLIENT
    assert limits.begin(b"d", 1.0) == ""
    assert limits.begin(b"b", 1.0) == "", "the one that had not come for longest was forgotten"
    assert len(limits._clients) == 3
