"""What tests of the server in this process share."""

from __future__ import annotations

import pytest

from resolver import children
from resolver.children import Share


@pytest.fixture(autouse=True)
def _children_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that nobody wants, which children have, is not left by tests side by side."""
    monkeypatch.setattr(children, "_set_back", lambda pid, share: None)
    monkeypatch.setitem(children._BACK, Share.IDLE, children._BACK[Share.EQUAL])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hardly waits for what is taken."""
    monkeypatch.setattr("resolver.server.endpoints.PATIENCE_S", 0.0)
    monkeypatch.setattr("resolver.server.endpoints.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("resolver.server.http_endpoint.LOOK_EVERY_S", 0.01)
