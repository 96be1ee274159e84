"""What a policy is while filtering is paused, for whoever looks at it beside the server that serves it.

Knows: `pause.json`, where paused images stand, what of orders' asks is not in force meanwhile.
Does not know: the time (that is given), the event loop, who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from resolver.clock import BootMoment
from resolver.policy.image import Image
from resolver.publishing.paused_image import paused_path, write_paused
from resolver.publishing.pausing import Pause, PauseUnusable, read_pause


class Imposed(Protocol):
    """An order, as far as pauses are concerned."""

    @property
    def imposed_by(self) -> str: ...


class Paused(NamedTuple):
    """A pause that counts at some moment."""

    pause: Pause
    until: float
    """Unix seconds."""

    def keeps(self, order: Imposed | None) -> bool:
        """Whether what an order asks stays in force; None: it is not there."""
        return not self.pause.including_orders and (order is None or order.imposed_by != "house")


def paused_at(state_dir: Path, wall: float, boot: BootMoment) -> Paused | None:
    """The pause that counts at `wall` (Unix seconds), which is `boot`; None: none does.

    A damaged file pauses nothing.
    """
    try:
        pause = read_pause(state_dir)
    except PauseUnusable:
        return None
    left_s = 0.0 if pause is None else pause.left_s(wall, boot)
    return Paused(pause, wall + left_s) if pause is not None and left_s else None


def served_form(image: Path, paused: Paused | None) -> Path:
    """The file that a server judges by whose image this is: the paused form, where it has made one."""
    return paused_path(image) if paused is not None and paused_path(image).exists() else image


def paused_form(image: Path, paused: Paused | None, wall: float) -> Path:
    """The same of an image that a command has made for itself; the paused form is made beside it.

    `wall`: Unix seconds.  Raises CannotPause and ImageUnusable.
    """
    if paused is None:
        return image
    path = paused_path(image)
    write_paused(Image(image), path, (wall, paused.until), including_orders=paused.pause.including_orders)
    return path


def kept_orders(orders: Mapping[str, Imposed], paused: Paused | None) -> frozenset[str]:
    """The orders whose asks are in force although filtering is paused; all of them where it is not."""
    return frozenset(key for key, order in orders.items() if paused is None or paused.keeps(order))
