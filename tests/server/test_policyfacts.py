"""What monitoring is told of a policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.policy.verdict import Mode
from resolver.server.policyfacts import EXPIRY_NOTICE_S, count_expiring
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = 1.7e9


@pytest.mark.parametrize(
    ("ends_at", "mode", "count"),
    [
        (NOW + 1, Mode.ENFORCE, 1),
        (NOW + EXPIRY_NOTICE_S, Mode.ENFORCE, 1),
        (NOW + 1, Mode.SHADOW, 1),
        (NOW + EXPIRY_NOTICE_S + 1, Mode.ENFORCE, 0),
        (NOW, Mode.ENFORCE, 0),
        (NOW + 1, Mode.DISABLED, 0),
        (None, Mode.ENFORCE, 0),
    ],
)
def test_exchanges_that_end_within_thirty_days_are_counted(
    tmp_path: Path, ends_at: float | None, mode: Mode, count: int
) -> None:
    maker = PolicyMaker().block(make_rule(ends_at=ends_at, mode=mode), "x.example")
    assert count_expiring(maker.table(tmp_path, wall=NOW), NOW) == count
