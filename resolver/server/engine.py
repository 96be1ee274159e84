"""Which data plane answers: the plain Python one, or the native one when its module is installed.

Knows: how to look for it, and when it does not fit.  Does not know: either plane.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple, cast

from resolver import __version__
from resolver.plane import INTERFACE, NativeModule

NATIVE_PACKAGE = "resolver_native"

NATIVE, PYTHON = "native", "python"


class NoSuchEngine(ValueError):
    """The settings demand an engine that this installation does not have."""


class Unusable(Exception):
    """The module is not there, or not one for this package; the text says which."""


class Choice(NamedTuple):
    """The engine that runs, and why it is not the other."""

    engine: str
    """`native` or `python`: the metric label."""
    why: str
    """Why not native; empty where that runs, or nobody wants it."""
    module: NativeModule | None
    """None: the Python plane runs."""

    def __str__(self) -> str:
        """One line for people."""
        return f"engine: {self.engine}" + (f" ({self.why})" if self.why else "")


def load_native() -> NativeModule:
    """Import the module.  Raises Unusable."""
    try:
        module = importlib.import_module(NATIVE_PACKAGE)
    except ModuleNotFoundError:
        raise Unusable("the native plane is not installed") from None
    except ImportError as error:
        # Built for another machine, another C library, another Python.
        raise Unusable(f"the native plane cannot be loaded: {error}") from None
    version = getattr(module, "VERSION", None)
    if version != __version__:
        raise Unusable(f"the native plane installed is of version {version}, this program of {__version__}")
    interface = getattr(module, "INTERFACE", None)
    if interface != INTERFACE:
        raise Unusable(
            f"the native plane installed has interface {interface}, this program needs {INTERFACE}"
        )
    return cast(NativeModule, module)


def choose_engine(wanted: str, load: Callable[[], NativeModule] = load_native) -> Choice:
    """The engine to run for the setting `auto`, `native` or `python`.

    Raises NoSuchEngine for `native` where it cannot be had.
    """
    if wanted == PYTHON:
        return Choice(PYTHON, "", None)
    try:
        return Choice(NATIVE, "", load())
    except Unusable as error:
        if wanted == NATIVE:
            raise NoSuchEngine(f"engine: native cannot run: {error}; use 'auto' or 'python'") from None
        return Choice(PYTHON, str(error), None)


if __name__ == "__main__":
    print(choose_engine("auto"))
