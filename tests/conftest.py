"""What all tests share: skipping by name where a program is not installed."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings

# Debian keeps servers where an ordinary user's PATH does not look.
os.environ["PATH"] = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"

# No deadline: a busy machine must not fail a test.  Derandomized: a run can be repeated.
settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Honour `@pytest.mark.needs("dig", "nsd")`."""
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")
