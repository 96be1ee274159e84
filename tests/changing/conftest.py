"""What tests of changes share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.office import Office
from tests.support.publisher_rig import Stage


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    # The stage's clock is behind this program's own files.
    monkeypatch.setattr("resolver.publishing.believed.built_at", lambda: 0.0)
    return Office(Stage(tmp_path))
