"""What a rule class is at one time, for one group of clients: in force or not, and until when.

Knows: modes, dates, what a source is at which time, audiences.  Does not know: names, which rule wins.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from resolver.policy.image import Effect, RuleClass
from resolver.policy.verdict import Mode, PolicyRule, RuleForm


class ClassState(NamedTuple):
    """A rule class as of the table's time, for the table's group."""

    origin: RuleClass
    rule: PolicyRule
    """Its rule at that time: the phase in force, or else the one to come."""
    is_enforced: bool
    is_counted: bool
    """Enforced, or shadow and within its dates: it takes part in the second winner."""
    is_coming: bool
    """Not enforced yet, and some day it is."""
    changes_at: float
    """Monotonic seconds of its next `from` or `until`; inf: none."""


def is_exception_below(origin: RuleClass) -> bool:
    """Whether rules of this class except the names below their owner and not the owner itself."""
    return origin.effect is not Effect.BLOCK and origin.form is RuleForm.BELOW


def class_state_of(
    origin: RuleClass, wall: float, offset: float, group: int, *, is_shared: bool = False
) -> ClassState:
    """The state of a class at `wall`; `offset`: how far the verdicts' clock is behind it.

    `is_shared`: for readers outside, to whom what is confidential is not there.
    """
    source = origin.rule
    rule = source.at(wall)
    changes_at = next_change(source, wall) if origin.is_for(group) else None
    if changes_at is None or (is_shared and rule.is_confidential):
        return ClassState(origin, rule, False, False, False, math.inf)
    is_in_date = rule.is_within_dates(wall)
    is_enforced = is_in_date and rule.mode is Mode.ENFORCE
    is_coming = not is_enforced and _is_coming(source, wall)
    return ClassState(origin, rule, is_enforced, is_in_date, is_coming, changes_at - offset)


def _is_coming(source: PolicyRule, wall: float) -> bool:
    """Whether a phase that is enforced begins after `wall`."""
    return any(
        phase.mode is Mode.ENFORCE and phase.starts_at is not None and wall < phase.starts_at
        for phase in source.phases or (source,)
    )


def next_change(rule: PolicyRule, wall: float) -> float | None:
    """Wall time of a rule's next `from` or `until`; inf: none; None: the rule takes no part any more."""
    now = rule.at(wall)
    starts_at = -math.inf if now.starts_at is None else now.starts_at
    ends_at = math.inf if now.ends_at is None else now.ends_at
    if now.mode is Mode.DISABLED or ends_at <= wall or ends_at <= starts_at:
        return None
    return starts_at if wall < starts_at else ends_at
