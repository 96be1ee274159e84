"""What tests of the server in this process share."""

from __future__ import annotations

import pytest


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hardly waits for what is taken."""
    monkeypatch.setattr("resolver.server.endpoints.PATIENCE_S", 0.0)
    monkeypatch.setattr("resolver.server.endpoints.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("resolver.server.http_endpoint.LOOK_EVERY_S", 0.01)
