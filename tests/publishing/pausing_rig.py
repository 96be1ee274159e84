"""A stage whose policy is paused."""

from __future__ import annotations

from resolver.changing.pausing import pause_filtering, resume_filtering
from resolver.publishing.pausing import Pause
from tests.support.publisher_rig import Stage


def house(label: str, more: str = "") -> str:
    return f"  {label}: {{name: {label.title()}, domains: [{label}.example]{more}}}\n"


def ask(
    stage: Stage, for_s: float = 600.0, *, including_orders: bool = False, approved_by: str = ""
) -> Pause:
    return pause_filtering(
        stage.state,
        "ann",
        for_s,
        "the bank's portal fails",
        including_orders=including_orders,
        wall=stage.clock.wall(),
        boot=stage.boot(),
        approved_by=approved_by,
    )


def resume(stage: Stage) -> None:
    resume_filtering(stage.state, "bob", None, wall=stage.clock.wall(), boot=stage.boot())
