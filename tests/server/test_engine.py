from __future__ import annotations

import sys
from types import ModuleType
from typing import cast

import pytest

from resolver import __version__
from resolver.plane import INTERFACE, NativeModule
from resolver.server.engine import NATIVE_PACKAGE, Choice, NoSuchEngine, Unusable, choose_engine, load_native


def module(version: str = __version__, interface: int | None = INTERFACE) -> NativeModule:
    made = ModuleType(NATIVE_PACKAGE)
    made.VERSION = version  # type: ignore[attr-defined]
    if interface is not None:
        made.INTERFACE = interface  # type: ignore[attr-defined]
    return cast(NativeModule, made)


def missing() -> NativeModule:
    raise Unusable("the native plane is not installed")


@pytest.mark.parametrize("wanted", ["auto", "native"])
def test_the_native_plane_runs_where_it_is_installed(wanted: str) -> None:
    assert choose_engine(wanted, module).engine == "native"


def test_python_runs_where_the_settings_say_so() -> None:
    assert choose_engine("python", module) == Choice("python", "", None)


def test_without_the_plane_auto_means_python_and_says_why() -> None:
    choice = choose_engine("auto", missing)
    assert choice.module is None
    assert str(choice) == "engine: python (the native plane is not installed)"


def test_an_engine_that_is_not_there_is_refused_not_replaced() -> None:
    with pytest.raises(NoSuchEngine, match="engine: native cannot run: the native plane is not installed"):
        choose_engine("native", missing)


def test_a_plane_of_another_version_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, NATIVE_PACKAGE, cast(ModuleType, module("0.0.9")))
    with pytest.raises(Unusable, match=r"version 0\.0\.9, this program of"):
        load_native()


@pytest.mark.parametrize("interface", [None, INTERFACE + 1])
def test_a_plane_of_another_interface_counts_as_absent(
    interface: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NATIVE_PACKAGE, cast(ModuleType, module(interface=interface)))
    why = f"the native plane installed has interface {interface}, this program needs {INTERFACE}"
    assert str(choose_engine("auto")) == f"engine: python ({why})"
    with pytest.raises(NoSuchEngine, match=why):
        choose_engine("native")


def test_a_plane_of_this_version_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = module()
    monkeypatch.setitem(sys.modules, NATIVE_PACKAGE, cast(ModuleType, made))
    assert load_native() is made


def test_a_module_that_cannot_be_imported_is_a_remark_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, NATIVE_PACKAGE, None)
    with pytest.raises(Unusable, match="not installed"):
        load_native()


def test_the_engine_is_told_in_one_line() -> None:
    assert "\n" not in str(choose_engine("auto"))
