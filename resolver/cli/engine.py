"""Which data plane answers: the plain Python one, or a native one when its package is installed.

Knows: how to look for it.  Does not know: either plane.
"""

from __future__ import annotations

import importlib.util

NATIVE_PACKAGE = "resolver_native"


class NoSuchEngine(ValueError):
    """The settings demand an engine that this installation does not have."""


def choose_engine(wanted: str) -> str:
    """The engine to run for the setting `auto`, `native` or `python`.

    This version drives the Python plane only, so `auto` means it.  Raises NoSuchEngine for `native`.
    """
    if wanted == "native":
        raise NoSuchEngine("engine: native is not in this build; use 'auto' or 'python'")
    return "python"


def describe_engine() -> str:
    """One line for people."""
    if importlib.util.find_spec(NATIVE_PACKAGE) is None:
        return "engine: python (no native plane in this build)"
    return "engine: python (a native plane is installed, but this version does not drive it)"


if __name__ == "__main__":
    print(describe_engine())
