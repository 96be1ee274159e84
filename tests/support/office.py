"""A served blocklist and people who change it, for tests of changes by two.

Knows: the desk's words, a publisher's rig.  Does not know: what is tested.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from resolver.changing.blocklist import Author, Place, read_text
from resolver.changing.doing import do
from resolver.publishing.approvals import content_hash
from resolver.publishing.compiled import InputFile
from resolver.publishing.history import Generation, open_history
from resolver.publishing.pausing import Pause, read_pause
from resolver.publishing.publisher import Publisher
from tests.support.publisher_rig import Stage, entry, play

ANN = Author("ann", "api", may_approve=True)
BOB = Author("bob", "api", may_approve=True)
EVE = Author("eve", "api")
"""An editor, who may not approve."""
NAMING_ADS = "lists: [{name: ads, path: ads.txt}]\n"
ADD = {"do": "add-domains", "id": "alpha", "domains": ["more.example"]}


class Office:
    """A served blocklist, and people who change it."""

    def __init__(self, stage: Stage, *, two_person: bool = True) -> None:
        self.stage = stage
        stage.with_state, stage.two_person = True, two_person
        stage.earliest = 0.0
        self.place = Place(stage.blocklist, stage.state, two_person, stage.clock.wall)
        stage.write(entry("alpha"), entry("beta"))

    def base(self) -> str:
        return read_text(self.place).sha256

    def do(self, who: Author, word: str, **asked: Any) -> dict[str, Any]:
        return do(self.place, who, word, asked)

    def edit(self, who: Author, *edits: dict[str, Any], **asked: Any) -> dict[str, Any]:
        return self.do(who, "edit", **{"base": self.base(), "edits": [*edits], "reason": "why", **asked})

    def play(self, story: Callable[[Publisher], Awaitable[None]]) -> None:
        play(self.stage, story)


def paused(office: Office) -> Pause | None:
    pause = read_pause(office.stage.state)
    return pause if pause is not None and pause.ended is None else None


PAUSE = {"for_s": 1_800, "reason": "the bank's portal fails", "including_orders": True}


def record(state_dir: Path, file: InputFile, at: float = 1.0) -> None:
    with open_history(state_dir, create=True) as history:
        content = content_hash([file])
        history.add(Generation(0, at, content, file.sha256, "ann", "apply", "", {}, {}, False), None)
