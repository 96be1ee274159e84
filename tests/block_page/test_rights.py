"""Beginning anew without capabilities: at most once, whatever the program's file grants."""

from __future__ import annotations

import os

import pytest

from resolver.block_page import rights


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The environment of each program that would have been run; this one keeps its capabilities."""
    found: list[dict[str, str]] = []
    monkeypatch.setattr("os.geteuid", lambda: 1_000)
    monkeypatch.setattr(rights, "_has_capabilities", lambda: True)
    monkeypatch.setattr("os.execve", lambda path, words, environment: found.append(dict(environment)))
    return found


def test_a_python_whose_file_grants_capabilities_is_run_anew_once(
    runs: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rights.begin_without_capabilities()
    [environment] = runs
    monkeypatch.setattr("os.environ", dict(environment))
    rights.begin_without_capabilities()
    assert len(runs) == 1
    # And whatever it starts knows nothing of it.
    assert not set(os.environ) - set(environment) and os.environ != environment


def test_without_capabilities_nothing_is_run_anew(
    runs: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "_has_capabilities", lambda: False)
    rights.begin_without_capabilities()
    assert runs == []
