"""The transports, as both engines name and number them."""

from __future__ import annotations

from pathlib import Path

import yaml

from resolver.flow.peer import Transport

VECTORS = Path(__file__).parents[1] / "vectors/transports.yaml"


def test_the_transports_are_those_of_the_vectors() -> None:
    expected = [tuple(row) for row in yaml.safe_load(VECTORS.read_text())]
    facts = [(one.value, one.label, one.is_stream, one.is_encrypted, one.has_keepalive) for one in Transport]
    assert facts == expected
