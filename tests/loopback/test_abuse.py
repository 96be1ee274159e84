"""The short form of the abuse runs: what a server is when an attack is over, it was before.

`python -m benchmarks abuse` has all attacks, longer.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.abuse import Lengths, Rig
from benchmarks.abuse_attacks import ATTACKS
from benchmarks.measure import compile_c

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("gcc", "taskset")]

SHORT = Lengths(rounds=1, attack_s=0.5, probe_s=0.25)
CHOSEN = ("resets", "flood-garbage", "http-huge", "mute-upstream")
"""Over each way in, and one of an upstream."""


def test_memory_and_answers_are_what_they_were_when_an_attack_is_over(
    tmp_path: Path, serving_engine: str
) -> None:
    program = compile_c("udp_load.c", tmp_path)
    with Rig(tmp_path / "rig", serving_engine, SHORT, program) as rig:
        for name in CHOSEN:
            reading = rig.run(name, ATTACKS[name], serving_engine)
            assert reading.failures == [], name
            assert reading.before.completed and all(one.seen for one in reading.rounds)
