"""A blocklist that opens too much is not loaded: on the real file, through publisher, restart and upgrade."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from resolver.policy.image import FORMAT_VERSION, Image
from resolver.policy.table import PolicyTable
from resolver.publishing.approvals import Approval, add_approval, content_hash
from resolver.publishing.compile_child import compile_text_in_child
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import open_history
from resolver.publishing.image_store import ImageStore, LastGood, hash_file
from resolver.publishing.publisher import Publisher
from resolver.publishing.recorder import Applied, record
from resolver.publishing.second_person import served_now
from resolver.publishing.status import StartRefused
from resolver.wire.names import name_from_text as n
from tests.support.publisher_rig import HandClock

REAL = (Path(__file__).parents[2] / "blocklist.yaml").read_text()
NOW = 1.7e9


class Stage:
    """A blocklist, and what a server keeps of it."""

    def __init__(self, folder: Path) -> None:
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        self.store = ImageStore(self.state)
        self.table: PolicyTable | None = None

    def compile(self, text: str) -> Compiled:
        self.blocklist.write_text(text)
        return compile_policy(self.blocklist, self.store.images, state_dir=self.state, now=NOW)

    def serve(self, text: str) -> Compiled:
        """Compile, and note it as what serves; the table in force stays where it is not to be loaded."""
        compiled = self.compile(text)
        if compiled.image is not None:
            self.store.remember(LastGood(compiled.key, tuple(compiled.inputs), tuple(compiled.paths)))
            self.table = PolicyTable(Image(compiled.image), 1, NOW, 0.0)
        return compiled

    def approve(self, compiled: Compiled, reason: str) -> None:
        blocklist = compiled.inputs[0].sha256 if compiled.has_objections_to_blocklist else ""
        served = served_now(self.state)
        serial = 0 if served is None else served.serial
        content = content_hash(compiled.inputs)
        add_approval(self.state, Approval(content, "ann", NOW, reason, blocklist, serial=serial))

    def blocks(self, name: str) -> bool:
        assert self.table is not None
        return self.table.judge_name(n(name), 0.0).is_blocked


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def cut(text: str) -> str:
    """The first half, to the end of an entry: what is left of a copy that broke off is valid."""
    lines = text.splitlines(keepends=True)
    starts = [at for at, line in enumerate(lines) if line[:2] == "  " and line[2] not in " #-"]
    return "".join(lines[: next(at for at in starts if at > len(lines) // 2)])


EDITS = {
    "cut off": cut(REAL),
    "emptied": REAL[: REAL.index("\nexchanges:")] + "\nexchanges: {}\n",
    "in shadow": REAL.replace("  mode: enforce ", "  mode: shadow ", 1),
}


@pytest.mark.parametrize("how", EDITS)
def test_the_shipped_blocklist_is_not_loaded(stage: Stage, how: str) -> None:
    assert EDITS[how] != REAL
    stage.serve(REAL)
    compiled = stage.compile(EDITS[how])
    errors = [problem for problem in compiled.problems if problem.severity == "error"]
    assert compiled.image is None and errors and all(problem.forcible for problem in errors)
    assert "exchanges in force would no longer be enforced" in " ".join(problem.message for problem in errors)


def test_an_order_from_a_later_day_for_what_is_blocked_already_does_not_open_it(stage: Stage) -> None:
    cases = Path(__file__).parents[1] / "golden" / "blocklists"
    stage.serve((cases / "order-trap-before.yaml").read_text())
    compiled = stage.serve((cases / "order-trap-after.yaml").read_text())
    assert compiled.image is None and stage.blocks("www.binance.com")
    # Beside others it is one exchange of many, and still no fall that anybody means.
    other = "  kraken: {name: Kraken, order: house, domains: [kraken.com]}\n"
    stage.serve((cases / "order-trap-before.yaml").read_text() + other)
    compiled = stage.serve((cases / "order-trap-after.yaml").read_text() + other)
    assert compiled.image is None and stage.blocks("www.binance.com")
    [objection] = [problem.message for problem in compiled.problems if problem.severity == "error"]
    assert "open until a later 'from': exchanges.binance until 2099-12-05" in objection


def test_force_with_a_reason_loads_it_and_the_log_names_what_is_lost(stage: Stage) -> None:
    served = stage.serve(REAL)
    assert served.losses == []
    half = EDITS["cut off"]
    stage.approve(stage.compile(half), "the ministry withdrew the order")
    compiled = stage.serve(half)
    assert compiled.image is not None
    lost = set(served.counts["per_exchange"]) - set(compiled.counts["per_exchange"])
    named = "".join(compiled.losses)
    assert lost and all(label in named for label in lost)
    assert any(problem.message.endswith("(forced)") for problem in compiled.problems)


FEW = "version: 1\nexchanges:\n  one: {name: One, domains: [one.example]}\n"
EMPTY = "version: 1\nexchanges: {}\n"


def test_an_image_of_the_edit_that_is_there_already_changes_nothing(stage: Stage) -> None:
    assert stage.serve(EMPTY).image is not None
    stage.serve(FEW)
    assert stage.compile(EMPTY).image is None


@pytest.mark.parametrize("kept_in", ["images", "history", "history without a note"])
def test_what_served_is_found_wherever_it_is_kept(stage: Stage, kept_in: str) -> None:
    compiled = stage.serve(FEW)
    if kept_in != "images":
        record(stage.state, Applied(NOW, [hash_file(stage.blocklist)]))
        stage.store.text_path_of(compiled.key).unlink()
    if kept_in == "history without a note":
        (stage.state / "last-good.json").unlink()
    assert stage.compile(EMPTY).image is None


def test_where_what_served_is_lost_a_warning_says_so(stage: Stage) -> None:
    stage.store.text_path_of(stage.serve(FEW).key).unlink()
    compiled = stage.compile(EMPTY)
    assert compiled.image is not None
    assert any("what this one no longer blocks is not known" in item.message for item in compiled.problems)


def test_another_text_in_its_place_is_not_taken_for_what_served(stage: Stage) -> None:
    stage.store.text_path_of(stage.serve(FEW).key).write_text(EMPTY)
    assert any("is not known" in item.message for item in stage.compile(EMPTY).problems)


# The publisher: start, restart, upgrade.


def publish(stage: Stage, text: str, *then: str) -> Publisher:
    """Start on `text`, then make each edit; the publisher as it was when it was closed."""

    async def run() -> Publisher:
        stage.blocklist.write_text(text)
        clock = HandClock()

        async def compile_here(blocklist: Path, out: Path, idle: bool) -> Compiled:
            return compile_policy(blocklist, out, state_dir=out.parent)

        async def compile_text(blocklist: Path, out: Path, text: Path) -> Compiled:
            octets = text.read_bytes()
            return compile_policy(blocklist, out, force=True, state_dir=out.parent, text=octets)

        publisher = Publisher(
            stage.blocklist,
            stage.state,
            clock,
            lambda policy: None,
            wall=clock.wall,
            compile_policy=compile_here,
            compile_text=compile_text,
            watch=False,
        )
        stage.table = (await publisher.start()).everybody
        for edit in then:
            stage.blocklist.write_text(edit)
            await publisher.reload_if_changed(asked=True)
        assert publisher.policy is not None
        stage.table = publisher.policy.everybody
        await publisher.close()
        return publisher

    return asyncio.run(run())


def test_an_emptied_file_keeps_the_old_policy_serving(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    publisher = publish(stage, FEW, EMPTY)
    assert stage.blocks("one.example") and publisher.status.serves_last_good
    [error] = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert "nothing is blocked any more" in error.getMessage()


def test_a_file_emptied_while_the_server_was_down_does_not_serve_at_its_start(stage: Stage) -> None:
    publish(stage, FEW)
    publisher = publish(stage, EMPTY)
    assert stage.blocks("one.example") and publisher.status.serves_last_good


def make_older(stage: Stage) -> None:
    """The image that served becomes one of the older format, as an upgrade finds it, under its older key."""
    note = stage.store.last_good()
    assert note is not None
    image, older = stage.store.path_of(note.key), "0" * 40
    octets = bytearray(image.read_bytes())
    octets[8:12] = (FORMAT_VERSION - 1).to_bytes(4, "little")
    stage.store.path_of(older).write_bytes(octets)
    stage.store.text_path_of(note.key).rename(stage.store.text_path_of(older))
    image.unlink()
    fields = json.loads((stage.state / "last-good.json").read_text())
    (stage.state / "last-good.json").write_text(json.dumps({**fields, "key": older}))


def test_a_file_emptied_before_an_upgrade_is_held_against_what_served_before_it(stage: Stage) -> None:
    publish(stage, FEW)
    make_older(stage)
    assert stage.compile(EMPTY).image is None


@pytest.mark.parametrize("edit", [EMPTY, "exchanges: ["], ids=["emptied", "broken"])
def test_after_an_upgrade_what_served_is_compiled_anew_and_serves_on(stage: Stage, edit: str) -> None:
    publish(stage, FEW)
    make_older(stage)
    for _ in range(2):  # and is found at the next start
        publisher = publish(stage, edit)
        assert stage.blocks("one.example") and publisher.status.serves_last_good
    assert publish(stage, FEW).status.serves_last_good is False


def test_a_damaged_image_is_compiled_anew_from_what_served(stage: Stage) -> None:
    publish(stage, FEW)
    note = stage.store.last_good()
    assert note is not None
    image = stage.store.path_of(note.key)
    image.chmod(0o644)
    image.write_bytes(image.read_bytes()[:-1])
    assert publish(stage, EMPTY).status.serves_last_good and stage.blocks("one.example")


def test_after_an_upgrade_another_text_in_its_place_does_not_serve(stage: Stage) -> None:
    publish(stage, FEW)
    make_older(stage)
    stage.store.text_path_of("0" * 40).write_text(FEW.replace("one", "two"))
    with pytest.raises(StartRefused):
        publish(stage, "exchanges: [")


@pytest.mark.slow
def test_the_child_compiles_the_text_that_served(stage: Stage, tmp_path: Path) -> None:
    stage.blocklist.write_text(EMPTY)
    text = tmp_path / "served.yaml"
    text.write_text(FEW)
    compiled = asyncio.run(compile_text_in_child(stage.blocklist, stage.store.images, text))
    assert compiled.image is not None and compiled.counts["domains"] == 1
    assert compiled.inputs[0] == replace(hash_file(text), path=str(stage.blocklist))


def test_an_upgrade_alone_loads_the_same_text_anew(stage: Stage) -> None:
    publish(stage, FEW)
    make_older(stage)
    assert publish(stage, FEW).status.failures == 0 and stage.blocks("one.example")


def test_with_nothing_served_before_an_empty_policy_starts_and_the_log_says_it(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    publish(stage, EMPTY)
    assert "THE POLICY IN FORCE BLOCKS NOTHING" in caplog.text


def test_what_is_lost_within_bounds_is_named_in_the_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    two = FEW + "  two: {name: Two, domains: [two.example]}\n"
    publish(stage, two, FEW)
    warned = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert "new policy in force: no longer enforced: 1 exchange: two" in warned
    assert "new policy in force: no longer blocked: 1 domain: 'two.example'" in warned


def test_forced_edits_are_recorded_as_forced(stage: Stage) -> None:
    stage.serve(FEW)
    record(stage.state, Applied(NOW - 10, [hash_file(stage.blocklist)]))
    stage.approve(stage.compile(EMPTY), "the end of the orders")
    record(stage.state, Applied(NOW, [hash_file(stage.blocklist)]))
    with open_history(stage.state) as history:
        latest = history.latest()
    assert latest is not None and latest.reason == "the end of the orders"


# What was forced once.


def test_what_was_forced_serves_on_over_restarts_and_changes_of_its_lists(stage: Stage) -> None:
    ads = stage.blocklist.with_name("ads.txt")
    ads.write_text("a.example\n")
    listed = FEW + "lists: [{name: ads, path: ads.txt}]\n"
    wide = listed.replace("[one.example]", "[one.example, co.uk]")
    publish(stage, listed)
    stage.approve(stage.compile(wide), "court order 7")
    publish(stage, wide)
    for line in ("b.example\n", "c.example\n"):
        ads.write_text(ads.read_text() + line)
        assert not publish(stage, wide).status.serves_last_good and stage.blocks("any.co.uk")


def test_a_text_that_was_forced_once_is_not_put_back_later_unseen(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    publish(stage, FEW)
    stage.approve(stage.compile(EMPTY), "a test of an hour")
    assert not publish(stage, EMPTY).status.serves_last_good
    publish(stage, FEW)
    caplog.clear()
    assert publish(stage, EMPTY).status.serves_last_good and stage.blocks("one.example")
    said = " ".join(problem.message for problem in stage.compile(EMPTY).problems)
    assert "nothing is blocked any more" in said
    assert (
        "ann forced this text on 2023-11-14, against what served then" in said and "a test of an hour" in said
    )
    # And counts again once somebody says so again.
    stage.approve(stage.compile(EMPTY), "for good")
    assert not publish(stage, EMPTY).status.serves_last_good


def test_an_approval_that_was_not_used_before_something_else_served_is_void(stage: Stage) -> None:
    publish(stage, FEW)
    stage.approve(stage.compile(EMPTY), "meant for now")
    publish(stage, FEW + "  two: {name: Two, domains: [two.example]}\n")
    assert publish(stage, EMPTY).status.serves_last_good


def test_the_history_says_against_what_a_generation_was_forced(stage: Stage) -> None:
    publish(stage, FEW)
    record(stage.state, Applied(NOW - 10, [hash_file(stage.blocklist)]))
    stage.approve(stage.compile(EMPTY), "the end")
    publish(stage, EMPTY)
    record(stage.state, Applied(NOW + 1, [hash_file(stage.blocklist)]))
    with open_history(stage.state) as history:
        latest = history.latest()
    assert latest is not None and latest.reason == "the end" and latest.changes["forced_against"] == 1
