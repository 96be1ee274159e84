"""Loading modules collects no garbage, and whatever was set before is so again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from importlib import import_module

import pytest

from resolver.cli.loading import loading


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("is_enabled", [True, False])
def test_nothing_is_collected_within_and_afterwards_as_before(is_enabled: bool) -> None:
    if not is_enabled:
        gc.disable()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled() is is_enabled


def test_a_module_that_cannot_be_loaded_changes_nothing() -> None:
    with pytest.raises(ModuleNotFoundError), loading():
        import_module("no_such_module")
    assert gc.isenabled()
