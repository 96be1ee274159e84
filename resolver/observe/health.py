"""Whether the server is fit to be asked, and if not, why.

Knows: named conditions and their reasons.  Does not know: what they stand for, HTTP.
"""

from __future__ import annotations


class Health:
    """A set of named conditions, all of which must hold before the server is ready.

    A condition starts unmet.  Alive is whoever answers at all; ready is `reasons() == {}`.
    """

    def __init__(self, *conditions: str) -> None:
        self._unmet: dict[str, str] = dict.fromkeys(conditions, "not yet")
        self._remarks: dict[str, str] = {}

    def meet(self, condition: str) -> None:
        """The condition holds from now on."""
        self._unmet.pop(condition, None)

    def fail(self, condition: str, reason: str) -> None:
        """The condition does not hold, for `reason`."""
        self._unmet[condition] = reason

    def remark(self, topic: str, text: str) -> None:
        """Say something that a person should know although the server is ready; empty: no more."""
        if text:
            self._remarks[topic] = text
        else:
            self._remarks.pop(topic, None)

    @property
    def is_ready(self) -> bool:
        """Whether every condition holds."""
        return not self._unmet

    def reasons(self) -> dict[str, str]:
        """Unmet condition -> why."""
        return dict(self._unmet)

    def remarks(self) -> dict[str, str]:
        """Topic -> what there is to say of it."""
        return dict(self._remarks)
