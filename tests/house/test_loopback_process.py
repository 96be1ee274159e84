"""Programs of loopback runs get another port when somebody was faster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.loopback.process import PORT_TRIES_MAX, PortTaken, Program, running_on_a_free_port

LATE = "import sys; sys.exit('cannot bind: Address already in use')"
BROKEN = "import sys; sys.exit('no such file')"
SERVES = "import time; print('up', flush=True); time.sleep(60)"


class Attempts:
    """Programs one after the other, each for the port it is given."""

    def __init__(self, folder: Path, *codes: str) -> None:
        self.folder = folder
        self.codes = codes
        self.ports: list[int] = []
        self.last: Program | None = None

    def program_on(self, port: int) -> Program:
        code = self.codes[min(len(self.ports), len(self.codes) - 1)]
        self.ports.append(port)
        self.last = Program([sys.executable, "-c", code], self.folder)
        return self.last

    def is_up(self, port: int) -> bool:
        assert port == self.ports[-1]
        return self.last is not None and "up" in self.last.stdout()


def test_a_port_that_was_taken_is_replaced(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, LATE, SERVES)
    with running_on_a_free_port(attempts.program_on, attempts.is_up, "up") as port:
        assert port == attempts.ports[1]
        assert attempts.last is not None and attempts.last.is_running()
    assert len(attempts.ports) == 2
    assert not attempts.last.is_running()


def test_the_port_that_is_wished_for_comes_first(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, LATE, SERVES)
    with running_on_a_free_port(attempts.program_on, attempts.is_up, "up", 5300) as port:
        assert attempts.ports == [5300, port]


def test_ports_are_not_tried_for_ever(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, LATE)
    with (
        pytest.raises(PortTaken, match="already in use"),
        running_on_a_free_port(attempts.program_on, attempts.is_up, "up"),
    ):
        pass
    assert len(attempts.ports) == PORT_TRIES_MAX


def test_any_other_end_is_told_at_once(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, BROKEN)
    with (
        pytest.raises(AssertionError, match="no such file"),
        running_on_a_free_port(attempts.program_on, attempts.is_up, "up"),
    ):
        pass
    assert len(attempts.ports) == 1
