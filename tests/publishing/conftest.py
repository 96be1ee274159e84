"""Fixtures of this room's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.publisher_rig import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A publisher that is not started yet."""
    return Stage(tmp_path)
