"""Steps, each within what the rails allow, that would open everything together."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.blocklist.rails import changes_too_much
from resolver.policy.table import PolicyTable
from resolver.publishing.approvals import Approval, add_approval, content_hash
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood, open_image, serial_after
from resolver.publishing.recorder import Applied, record
from resolver.publishing.second_person import served_now
from resolver.wire.names import name_from_text as n

NOW = 1.7e9
HOUR_S = 3_600.0


class Stage:
    """A blocklist with one list, served and recorded as a server does it, at an hour set by hand."""

    def __init__(self, folder: Path) -> None:
        self.blocklist = folder / "blocklist.yaml"
        self.list = folder / "ads.txt"
        self.state = folder / "state"
        self.state.mkdir()
        self.store = ImageStore(self.state)
        self.now = NOW
        self.fill(2_000)
        self.write(100)

    def write(self, exchanges: int, more: str = "") -> None:
        entries = "".join(f"  x{at}: {{name: X{at}, domains: [x{at}.example]}}\n" for at in range(exchanges))
        self.blocklist.write_text(
            f"version: 1\nexchanges:\n{entries}lists: [{{name: ads, path: ads.txt}}]\n{more}"
        )

    def fill(self, count: int) -> None:
        self.list.write_text("".join(f"n{number}.example\n" for number in range(count)))

    def compile(self) -> Compiled:
        return compile_policy(self.blocklist, self.store.images, state_dir=self.state, now=self.now)

    def serve(self) -> Compiled:
        compiled = self.compile()
        if compiled.image is not None:
            inputs = tuple(compiled.inputs)
            serial = serial_after(self.store.last_good(), self.state, inputs)
            note = LastGood(compiled.key, inputs, tuple(compiled.paths), serial, tuple(compiled.granted))
            self.store.remember(note)
            record(self.state, Applied(self.now, compiled.inputs, compiled.counts))
        return compiled

    def approve(self) -> None:
        compiled, served = self.compile(), served_now(self.state)
        assert served is not None
        blocklist = compiled.inputs[0].sha256 if compiled.has_objections_to_blocklist else ""
        content = content_hash(compiled.inputs)
        add_approval(self.state, Approval(content, "ann", self.now, "meant", blocklist, serial=served.serial))

    def blocks(self, name: str) -> bool:
        note = self.store.last_good()
        assert note is not None
        table = PolicyTable(open_image(self.store.path_of(note.key)), 1, self.now, 0.0)
        return table.judge_name(n(name), 0.0).is_blocked


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def said(compiled: Compiled) -> str:
    return " ".join(problem.message for problem in compiled.problems if problem.severity == "error")


def shrink_list(stage: Stage, steps: int, every_s: float) -> Compiled:
    """Twenty times four per cent fewer, or until it is refused."""
    compiled = stage.serve()
    for step in range(1, steps + 1):
        stage.now += every_s
        stage.fill(int(2_000 * 0.96**step))
        compiled = stage.serve()
        if compiled.image is None:
            break
    return compiled


def test_a_list_does_not_open_in_twenty_small_steps_within_a_day(stage: Stage) -> None:
    compiled = shrink_list(stage, 20, HOUR_S)
    assert compiled.image is None
    assert "in small steps since 2023-11-14 22:13 UTC: list 'ads' shrank by 5" in said(compiled)
    assert "from 2,000 to" in said(compiled) and stage.blocks("n1000.example")


def test_a_list_may_shrink_over_many_days(stage: Stage) -> None:
    assert shrink_list(stage, 20, 24 * HOUR_S).image is not None


def test_a_list_that_grows_again_is_not_held_up(stage: Stage) -> None:
    refused = shrink_list(stage, 20, HOUR_S)
    assert refused.image is None
    stage.fill(1_200)
    assert stage.serve().image is not None


def test_what_is_forced_begins_a_new_count(stage: Stage) -> None:
    assert shrink_list(stage, 20, HOUR_S).image is None
    stage.approve()
    assert stage.serve().image is not None
    stage.now += HOUR_S
    stage.fill(900)
    assert stage.serve().image is not None


def test_exchanges_do_not_open_in_small_steps_within_a_day(stage: Stage) -> None:
    stage.serve()
    for step in range(1, 26):
        stage.now += HOUR_S / 2
        stage.write(100 - 4 * step)
        compiled = stage.serve()
        if compiled.image is None:
            break
    assert "in small steps since 2023-11-14 22:13 UTC: 24 of 100 exchanges in force" in said(compiled)
    assert stage.blocks("x78.example")
    # What opens nothing more is loaded; what opens more has to be meant.
    stage.write(80, "allow: [late.example]\n")
    assert stage.serve().image is not None
    stage.write(76)
    stage.now += 60
    assert stage.serve().image is None
    stage.approve()
    assert stage.serve().image is not None
    stage.now += HOUR_S
    stage.write(72)
    assert stage.serve().image is not None


def test_exchanges_may_go_over_many_days(stage: Stage) -> None:
    stage.serve()
    for step in range(1, 20):
        stage.now += 25 * HOUR_S
        stage.write(100 - 4 * step)
        assert stage.serve().image is not None, step


def test_a_history_that_cannot_be_read_holds_nothing_up(stage: Stage) -> None:
    stage.serve()
    (stage.state / "history.sqlite").write_bytes(b"nothing of ours" * 100)
    compiled = stage.compile()
    assert compiled.image is not None


@pytest.mark.parametrize(
    ("before", "now", "is_too_much"),
    [(0, 9, False), (100, 50, False), (100, 49, True), (18, 9, False), (19, 9, True), (900, 1_900, True)],
)
def test_what_is_too_much_of_a_change(before: int, now: int, is_too_much: bool) -> None:
    assert changes_too_much(before, now, 50) is is_too_much
