"""What all tests share: both engines, skipping by name where a program is not installed."""

from __future__ import annotations

import functools
import gc
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
import typer.main
import typer.testing
from hypothesis import settings

from resolver.observe.log import LOGGERS_SET_UP
from tests.support.engines import ENGINES, Engine, engine_called

# Debian keeps servers where an ordinary user's PATH does not look.
os.environ["PATH"] = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"

# Images of containers say that no bytecode is kept; a thousand short processes would each compile the whole program.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# No deadline: a busy machine must not fail a test.  Derandomized: a run can be repeated.
settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")

# Making the command line of its functions takes 60 ms; made once, it serves each of thousands of calls.
typer.testing._get_command = functools.cache(typer.main.get_command)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    """Undo what `set_up_logging` does to the whole process: later tests look at their own log lines."""
    loggers = [logging.getLogger(name) for name in LOGGERS_SET_UP]
    before = [(logger.level, logger.propagate, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


@pytest.fixture(autouse=True)
def process_as_found() -> Iterator[None]:
    """Fail a test that leaves the process another than it was: all later ones would run so.

    A worker whose garbage collector somebody had switched off grew to 5 GB.
    """
    before = _process()
    yield
    after = _process()
    gc.enable()
    gc.set_threshold(*before[1])
    assert after == before, "garbage collector, its thresholds, niceness: not as they were found"


def _process() -> tuple[bool, tuple[int, int, int], int]:
    return gc.isenabled(), gc.get_threshold(), os.getpriority(os.PRIO_PROCESS, 0)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn; the native one is skipped, by name, where it is not built."""
    return engine_called(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A busy machine can stand still for longer than any patience: what lives in real time gets more than one go.

    A test of it that fails is run again, at most twice; the summary names every one that was.
    """
    for item in items:
        if any(item.get_closest_marker(mark) for mark in ("loopback", "slow", "timed")):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))
    # What takes long begins first: at the end of a run no worker waits for another's long test.
    long = Counter(item.path for item in items if any(map(item.get_closest_marker, ("loopback", "slow"))))
    items.sort(key=lambda item: ("loopback" not in item.path.parts, item.path not in long))


def pytest_sessionstart() -> None:
    """While tests are collected nearly all that is made stays: no look for garbage until they are."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What is collected lives until the end: no full collection of garbage need walk it, and many tests make one."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Honour `@pytest.mark.needs("dig", "nsd")`."""
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")
