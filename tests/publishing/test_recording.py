"""What is put in force gets recorded; what befalls the record never befalls the server."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolver.blocklist.downloads import stored_path
from resolver.children import Ended
from resolver.cli.history import changes_headline
from resolver.publishing.approvals import Approval, add_approval, content_hash
from resolver.publishing.compiled import InputFile, key_of
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import history_path, open_history
from resolver.publishing.image_store import IMAGES_KEPT_MAX, ImageStore, hash_file
from resolver.publishing.recorder import Applied, record
from resolver.server.history import (
    RECORD_TIMEOUT_S,
    WAITING_MAX,
    HistoryRecorder,
    Recorded,
    RecordFailed,
    record_in_child,
)

BLOCKLIST = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n"
AT = 1.7e9


def applied(folder: Path, text: str = BLOCKLIST) -> Applied:
    path = folder / "blocklist.yaml"
    path.write_text(text)
    return Applied(AT, [hash_file(path)], {"per_list": {"ads": 3}, "per_exchange": {"acme": 1}})


def test_a_generation_is_recorded_with_what_it_changed(tmp_path: Path) -> None:
    assert record(tmp_path, applied(tmp_path)) == 1
    assert record(tmp_path, applied(tmp_path, BLOCKLIST.replace("[acme", "[www2.example, acme"))) == 2
    with open_history(tmp_path) as history:
        latest, first = history.newest(9)
    assert first.changes["summary"]["exchanges"] == {"gained": 1, "lost": 0, "changed": 0}
    assert latest.changes["exchanges"][0]["gained"] == ["www2.example"]
    assert latest.changes["list_names"] == {} and first.changes["list_names"] == {"ads": [None, 3]}
    assert latest.who_from == "owner" and latest.who and latest.at == AT and latest.has_text


def test_the_same_content_is_recorded_once_in_a_row(tmp_path: Path) -> None:
    first, second = applied(tmp_path), BLOCKLIST + "# more\n"
    assert record(tmp_path, first) == 1
    assert record(tmp_path, first) == 1
    assert record(tmp_path, applied(tmp_path, second)) == 2
    assert record(tmp_path, applied(tmp_path)) == 3


def test_who_applied_it_and_why_comes_from_the_approval(tmp_path: Path) -> None:
    note = applied(tmp_path)
    add_approval(tmp_path, Approval(content_hash(note.inputs), "ann", 1.0, "court order"))
    record(tmp_path, note)
    with open_history(tmp_path) as history:
        latest = history.latest()
    assert latest is not None and (latest.who, latest.who_from, latest.reason) == (
        "ann",
        "apply",
        "court order",
    )


def test_an_old_approval_claims_no_later_edit(tmp_path: Path) -> None:
    note = applied(tmp_path)
    add_approval(tmp_path, Approval(content_hash(note.inputs), "ann", AT - 1, "court order"))
    record(tmp_path, note)
    for at, text in ((AT + 1, BLOCKLIST + "# other\n"), (AT + 2, BLOCKLIST)):
        later = applied(tmp_path, text)
        later.at = at
        record(tmp_path, later)
    with open_history(tmp_path) as history:
        third, second, first = history.newest(3)
    assert (first.who, first.who_from, first.reason) == ("ann", "apply", "court order")
    assert (second.who_from, second.reason) == ("owner", "")
    assert (third.who_from, third.reason) == ("owner", "forced earlier by ann on 2023-11-14: court order")


def test_a_fresh_apply_is_credited_though_another_forced_it(tmp_path: Path) -> None:
    note = applied(tmp_path, BLOCKLIST + "# other\n")
    record(tmp_path, note)
    again = applied(tmp_path)
    again.at = AT + 2
    for who, at, reason in (("ann", AT - 1, "court order"), ("bob", AT + 1, "")):
        add_approval(tmp_path, Approval(content_hash(again.inputs), who, at, reason))
    record(tmp_path, again)
    with open_history(tmp_path) as history:
        latest = history.latest()
    assert latest is not None and (latest.who, latest.who_from) == ("bob", "apply")
    assert latest.reason.startswith("forced earlier by ann")


def test_a_downloaded_list_needs_no_approval_of_its_own(tmp_path: Path) -> None:
    note = applied(tmp_path)
    state = tmp_path / "state"
    add_approval(state, Approval(content_hash(note.inputs), "ann", 1.0, "court order"))
    copy = stored_path(state, "ads")
    copy.parent.mkdir()
    copy.write_text("ads.example\n")
    note.inputs.append(hash_file(copy))
    record(state, note)
    with open_history(state) as history:
        latest = history.latest()
    assert latest is not None and latest.reason == "court order"
    assert latest.changes["files"] == [str(copy)]


def test_a_text_that_changed_since_is_not_passed_off_as_what_was_applied(tmp_path: Path) -> None:
    note = applied(tmp_path)
    (tmp_path / "blocklist.yaml").write_text("version: 1\nexchanges: {}\n")
    record(tmp_path, note)
    with open_history(tmp_path) as history:
        latest = history.latest()
        assert latest is not None and not latest.has_text and "unknown" in latest.changes


def compiled_into(state: Path, path: Path, text: str) -> Applied:
    path.write_text(text)
    compiled = compile_policy(path, ImageStore(state).images, state_dir=state)
    return Applied(AT, compiled.inputs, compiled.counts)


def test_an_edit_right_after_it_takes_no_text_from_the_history(tmp_path: Path) -> None:
    path, state = tmp_path / "blocklist.yaml", tmp_path / "state"
    texts = [BLOCKLIST, BLOCKLIST.replace("[acme", "[more.example, acme"), BLOCKLIST + "# end\n"]
    for note in [compiled_into(state, path, text) for text in texts]:
        record(state, note)
    with open_history(state) as history:
        assert [history.text(number) for number in (1, 2, 3)] == [text.encode() for text in texts]
        assert not any("unknown" in entry.changes for entry in history.newest(3))


def test_the_kept_text_of_another_content_is_not_believed(tmp_path: Path) -> None:
    path, state = tmp_path / "blocklist.yaml", tmp_path / "state"
    note = compiled_into(state, path, BLOCKLIST)
    path.write_text("version: 1\nexchanges: {}\n")
    [kept] = ImageStore(state).images.glob("*.yaml")
    kept.write_text("version: 1\nexchanges: {}\n")
    record(state, note)
    with open_history(state) as history:
        assert history.text(1) is None


def test_texts_go_with_their_images(tmp_path: Path) -> None:
    path, state = tmp_path / "blocklist.yaml", tmp_path / "state"
    for number in range(IMAGES_KEPT_MAX + 2):
        note = compiled_into(state, path, f"{BLOCKLIST}# {number}\n")
    store = ImageStore(state)
    store.prune(key_of(note.inputs))
    images, texts = (
        sorted(entry.stem for entry in store.images.glob(f"*.{kind}")) for kind in ("policy", "yaml")
    )
    assert images == texts and len(images) == IMAGES_KEPT_MAX
    assert store.text_path_of(key_of(note.inputs)).exists()


async def _record_twice(folder: Path) -> list[Recorded]:
    return [await record_in_child(folder, applied(folder)) for _ in range(2)]


@pytest.mark.slow
def test_the_child_records(tmp_path: Path) -> None:
    assert asyncio.run(_record_twice(tmp_path)) == [Recorded(1, [])] * 2


def test_the_child_takes_idle_time_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []

    async def when_idle(*words: str, timeout_s: float, job: bytes) -> Ended:
        assert timeout_s == RECORD_TIMEOUT_S and job
        started.append(words)
        return Ended(0, b'{"number": 7}', b"")

    monkeypatch.setattr("resolver.server.history.run_child_when_idle", when_idle)
    assert asyncio.run(record_in_child(tmp_path, applied(tmp_path))) == Recorded(7)
    assert started == [("resolver.publishing.recorder", str(tmp_path))]


ORDERED = """\
version: 1
orders: {x: {authority: A, title: T, due: 2026-12-06, asks: [gone.example]}}
exchanges: {acme: {name: Acme, order: x, domains: [acme.example]}}
"""


@pytest.mark.slow
def test_the_child_tells_orders_also_when_it_cannot_record(tmp_path: Path) -> None:
    orders = [{"id": "x", "due": 1_796_515_200.0, "in_force": AT, "unenforced": {"not_blocked": 1}}]
    assert asyncio.run(record_in_child(tmp_path, applied(tmp_path, ORDERED))) == Recorded(1, orders)
    history_path(tmp_path).write_bytes(b"somebody's notes, no database" * 100)
    with pytest.raises(RecordFailed) as failed:
        asyncio.run(record_in_child(tmp_path, applied(tmp_path, ORDERED)))
    assert failed.value.orders == orders


@pytest.mark.slow
def test_the_child_says_why_it_cannot(tmp_path: Path) -> None:
    history_path(tmp_path).write_bytes(b"somebody's notes, no database" * 100)
    with pytest.raises(RecordFailed, match="not a database"):
        asyncio.run(record_in_child(tmp_path, applied(tmp_path)))
    assert history_path(tmp_path).read_bytes().startswith(b"somebody's")


INPUTS = [InputFile("blocklist.yaml", "00", 1)]


class Desk:
    """Records into memory, as slowly as it is told to."""

    def __init__(self, *failing: int) -> None:
        self.recorded: list[Applied] = []
        self.failing = failing
        self.open = asyncio.Event()

    async def record(self, state_dir: Path, applied: Applied) -> Recorded:
        await self.open.wait()
        self.recorded.append(applied)
        if len(self.recorded) in self.failing:
            raise RecordFailed("disk full")
        return Recorded(len(self.recorded))


def test_a_failure_is_counted_and_the_next_is_recorded_all_the_same() -> None:
    async def play() -> None:
        desk = Desk(1)
        desk.open.set()
        recorder = HistoryRecorder(Path("state"), wall=lambda: AT, record=desk.record)
        recorder.note(INPUTS, {})
        recorder.note(INPUTS, {})
        await recorder.settle()
        assert (recorder.failures, recorder.generation) == (1, 2)
        assert [entry.at for entry in desk.recorded] == [AT, AT]

    asyncio.run(play())


def test_the_number_is_that_of_the_policy_in_force_or_none(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        desk = Desk(2)
        desk.open.set()
        recorder = HistoryRecorder(Path("state"), wall=lambda: AT, record=desk.record)
        recorder.note(INPUTS, {})
        await recorder.settle()
        assert recorder.generation == 1
        recorder.note(INPUTS, {})
        assert recorder.generation == 0, "what is in force now is not recorded yet"
        await recorder.settle()
        assert (recorder.failures, recorder.generation) == (1, 0)

    caplog.set_level(logging.INFO)
    asyncio.run(play())
    assert "the policy in force is generation 1 of the history" in caplog.text


def test_what_waits_is_bounded_and_what_is_given_up_is_counted() -> None:
    async def play() -> None:
        desk = Desk()
        recorder = HistoryRecorder(Path("state"), wall=lambda: AT, record=desk.record)
        for _ in range(WAITING_MAX + 3):
            recorder.note(INPUTS, {})
        assert recorder.failures == 3
        desk.open.set()
        await recorder.settle()
        assert len(desk.recorded) == WAITING_MAX

    asyncio.run(play())


def test_orders_are_told_as_they_stand_last_also_when_the_record_fails() -> None:
    async def play() -> None:
        results: list[Recorded | RecordFailed] = [
            Recorded(1, [{"id": "x"}]),
            Recorded(2),
            RecordFailed("disk full", [{"id": "y"}]),
        ]

        async def give(state_dir: Path, applied: Applied) -> Recorded:
            result = results.pop(0)
            if isinstance(result, RecordFailed):
                raise result
            return result

        recorder = HistoryRecorder(Path("state"), wall=lambda: AT, record=give)
        for ids in (["x"], ["x"], ["y"]):
            recorder.note(INPUTS, {})
            await recorder.settle()
            assert [order["id"] for order in recorder.orders] == ids

    asyncio.run(play())


def test_closing_waits_for_no_record() -> None:
    async def play() -> None:
        recorder = HistoryRecorder(Path("state"), wall=lambda: AT, record=Desk().record)
        recorder.note(INPUTS, {})
        await asyncio.wait_for(recorder.close(), 5)

    asyncio.run(play())


# Dates.

DATED = """\
version: 1
orders:
  nafm: {authority: A, title: T, until: 2026-12-05}
exchanges:
  acme: {name: Acme, order: nafm, domains: [acme.example, also.example]}
  other: {name: Other, domains: [also.acme.example]}
"""
TURN = datetime(2026, 12, 5, tzinfo=UTC).timestamp()


def test_a_date_that_passed_is_a_generation_that_says_what_opened(tmp_path: Path) -> None:
    note = applied(tmp_path, DATED)
    note.at = TURN - 5
    assert record(tmp_path, note) == 1
    turned = Applied(TURN, note.inputs, note.counts, TURN)
    assert record(tmp_path, turned) == record(tmp_path, turned) == 2
    # Whoever restarts has the same content in force: no news.
    assert record(tmp_path, Applied(TURN + 60, note.inputs, note.counts)) == 2
    with open_history(tmp_path) as history:
        latest = history.latest()
        assert history.text(2) == DATED.encode()
    assert latest is not None and (latest.who, latest.who_from) == ("", "date")
    date = latest.changes["date"]
    assert date["at"] == TURN and "closed" in date
    assert date["opened"]["words"].startswith("1 exchange, 2 domains blocked now are not blocked")
    assert date["opened"]["exchanges"] == {"count": 1, "names": ["acme"]}
    assert date["opened"]["orders"] == {"count": 1, "names": ["nafm"]}


def test_the_history_says_what_an_edit_opened(tmp_path: Path) -> None:
    note = applied(tmp_path, DATED)
    note.at = TURN - 5
    record(tmp_path, note)
    later = applied(tmp_path, DATED.replace(", also.example", ""))
    later.at = TURN - 4
    record(tmp_path, later)
    with open_history(tmp_path) as history:
        latest = history.latest()
    assert latest is not None
    assert latest.changes["opened"]["words"] == (
        "1 domain blocked now is not blocked after this: 'also.example'"
    )


def test_the_history_says_in_one_line_what_an_edit_lets_end_and_when(tmp_path: Path) -> None:
    note = applied(tmp_path, DATED.replace("2026-12-05", "2027-12-05"))
    note.at = TURN - 5
    record(tmp_path, note)
    for at, text in ((TURN - 4, DATED), (TURN - 3, DATED + "# said already\n")):
        later = applied(tmp_path, text)
        later.at = at
        record(tmp_path, later)
    with open_history(tmp_path) as history:
        same, near, far = history.newest(3)
    assert changes_headline(near.changes) == (
        "exchanges: 1 changed; orders: 1 changed; "
        "on 2026-12-05 ends: order nafm; not blocked any more: 1 exchange, 2 domains: acme"
    )
    assert "ends" not in far.changes and "ends" not in same.changes


# A clock that was ahead.

AHEAD = AT + 24 * 365 * 86_400.0
ENDS = BLOCKLIST.replace("name: Acme", "name: Acme, until: 2024-01-01")


def test_a_leap_of_the_clock_is_one_entry_that_says_what_it_opened_and_closed(tmp_path: Path) -> None:
    record(tmp_path, applied(tmp_path, ENDS))
    note = applied(tmp_path, ENDS)
    note.at, note.turned_at, note.leapt_from = AHEAD, AHEAD, AT
    record(tmp_path, note)
    back = applied(tmp_path, ENDS)
    back.turned_at, back.leapt_from = AT, AHEAD
    record(tmp_path, back)
    with open_history(tmp_path) as history:
        undone, leap, _ = history.newest(3)
    assert leap.changes["date"]["leapt_from"] == AT and leap.who_from == "date"
    assert leap.changes["date"]["opened"]["exchanges"]["names"] == ["acme"]
    assert undone.changes["date"]["closed"]["exchanges"]["names"] == ["acme"]


def test_an_apply_counts_though_a_clock_ahead_dated_the_entry_before(tmp_path: Path) -> None:
    record(tmp_path, applied(tmp_path))
    early = applied(tmp_path, BLOCKLIST + "# early\n")
    early.at = AHEAD
    record(tmp_path, early)
    note = applied(tmp_path, BLOCKLIST + "# right\n")
    note.at = AT + 20
    add_approval(tmp_path, Approval(content_hash(note.inputs), "ann", AT + 10, "court order"))
    record(tmp_path, note)
    with open_history(tmp_path) as history:
        latest = history.latest()
    assert latest is not None and (latest.who, latest.reason) == ("ann", "court order")
