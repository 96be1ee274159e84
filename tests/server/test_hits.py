"""One server's history of hits: when it looks, which orders it counts for, what a stop leaves."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Transport
from resolver.hits.figures import HitKey
from resolver.hits.store import HitStore
from resolver.observe.tally import Tallies
from resolver.policy.table import PolicyTable, open_table
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm, RuleMatch, Verdict
from resolver.publishing.compiler import compile_policy
from resolver.server import hits as hits_module
from resolver.server.hits import Copied, HitHistory, hits_of, orders_in_force
from tests.hits.support import NOON, sum_of_hours, totals
from tests.support.policy_maker import PolicyMaker, make_rule
from tests.support.scenario_clock import FakeClock

ALPHA = HitKey("exchange", "alpha", "nxdomain", "enforce")


class Counting:
    """A server's clock, counts and history; no event loop is needed to count."""

    def __init__(self, state_dir: Path) -> None:
        self.clock = FakeClock()
        self.tallies = Tallies()
        self.began = self.clock.now()
        self.set_by = 0.0
        self.history = HitHistory(state_dir, 400, self.clock, self.copied, wall=self.wall)

    def copied(self) -> Copied:
        return Copied(self.tallies.snapshot())

    def wall(self) -> float:
        return NOON + self.clock.now() - self.began + self.set_by

    def hit(self, count: int, label: str = "alpha", mode: Mode = Mode.ENFORCE) -> None:
        rule = make_rule("exchange", label, mode=mode)
        match = RuleMatch(rule, RuleForm.SUBTREE, b"\x07example\x00", "blocklist.yaml", 1)
        is_enforced = mode is Mode.ENFORCE
        verdict = Verdict(rule.action, match) if is_enforced else Verdict(shadow=match)
        tally = self.tallies.of(Transport.UDP, Respond(b"", 3, 1, Source.POLICY, verdict))
        self.tallies.settle([tally] * count, 0.0)

    def close(self) -> None:
        asyncio.run(self.history.close())


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


def test_it_looks_just_after_each_half_minute(counting: Counting, tmp_path: Path) -> None:
    counting.clock.advance(17.0)
    counting.history.start()
    for _ in range(6):
        counting.hit(1)
        counting.clock.advance(30.0)
    counting.close()
    with HitStore.open_for_reading(tmp_path) as store:
        minutes = store.per_minute(0, 1e12)
    counted = [(span.starts_at - NOON, span.hits.get(ALPHA, 0)) for span in minutes]
    assert counted == [(0, 2), (60, 2), (120, 2), (180, 0)]


def test_a_stop_writes_what_was_counted_since_the_last_look(counting: Counting, tmp_path: Path) -> None:
    counting.history.start()
    counting.clock.advance(31.0)
    counting.hit(4)
    counting.close()
    assert totals(tmp_path) == {ALPHA: 4}
    assert counting.clock.pending == 0


def test_a_history_that_never_started_is_closed_and_leaves_nothing(
    counting: Counting, tmp_path: Path
) -> None:
    counting.hit(4)
    counting.close()
    assert list(tmp_path.iterdir()) == []


def test_its_clock_may_be_set_while_it_runs(counting: Counting, tmp_path: Path) -> None:
    counting.history.start()
    for set_by in (0.0, -5000.0, 12.0, 300.0, -200.0, 90_000.0, 0.0):
        counting.set_by = set_by
        counting.hit(3)
        counting.clock.advance(45.0)
    counting.close()
    assert sum_of_hours(tmp_path) == 21


def test_a_disk_that_hangs_holds_up_neither_looks_nor_the_stop(
    counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hits_module, "CLOSE_WAIT_S", 0.01)
    let_go, history = threading.Event(), counting.history
    write = history.recorder.write
    monkeypatch.setattr(history.recorder, "write", lambda at: (let_go.wait(), write(at)))
    history.start()
    for _ in range(600):
        counting.hit(1)
        counting.clock.advance(30.0)
    counting.close()
    let_go.set()
    history.thread.join()
    assert sum_of_hours(tmp_path) == 600, "looks were left out, hits were not"


def test_a_defect_ends_neither_the_thread_nor_loses_a_hit(
    counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, calls = hits_of, []

    def fail_at_first(snapshot: object) -> object:
        calls.append(snapshot)
        if len(calls) == 1:
            raise RuntimeError("a defect")
        return real(snapshot)  # type: ignore[arg-type]

    monkeypatch.setattr(hits_module, "hits_of", fail_at_first)
    counting.history.start()
    counting.hit(2)
    counting.clock.advance(31.0)
    counting.hit(3)
    counting.clock.advance(31.0)
    counting.close()
    assert totals(tmp_path) == {ALPHA: 5}
    assert "defect in the history of hits" in caplog.text


def test_what_blocks_and_what_would_are_counted_apart_and_drops_too(counting: Counting) -> None:
    counting.hit(2)
    counting.hit(5, mode=Mode.SHADOW)
    rule = make_rule("list", "ads", action=PolicyAction.DROP)
    match = RuleMatch(rule, RuleForm.SUBTREE, b"\x07example\x00", "ads.txt", 1)
    dropped = Drop("policy", qtype=1, verdict=Verdict(PolicyAction.DROP, match))
    counting.tallies.settle([counting.tallies.of(Transport.UDP, dropped)] * 7, 0.0)
    counting.tallies.settle([counting.tallies.of(Transport.TCP, Respond(b"", 0, 1, Source.CACHE))] * 9, 0.0)
    assert hits_of(counting.copied()) == {
        ALPHA: 2,
        ALPHA._replace(mode="shadow"): 5,
        HitKey("list", "ads", "drop", "enforce"): 7,
    }


# Orders.

BLOCKLIST = """\
version: 1
orders:
  first: {authority: A, title: T, from: 2024-01-01, until: 2024-02-01}
  second: {authority: A, title: T, from: 2024-01-15, until: 2024-03-01}
  tried: {authority: A, title: T, mode: shadow}
  off: {authority: A, title: T, mode: disabled}
  hush: {authority: A, title: T, confidential: true}
exchanges:
  both: {name: Both, order: [first, second], domains: [both.example]}
  one: {name: One, order: first, domains: [one.example]}
  mixed: {name: Mixed, order: [second, tried, off], domains: [mixed.example]}
  shade: {name: Shade, order: tried, domains: [shade.example]}
  half: {name: Half, order: [second, hush], domains: [half.example]}
  mute: {name: Mute, order: hush, domains: [mute.example]}
  house: {name: House, domains: [house.example]}
lists:
  - {name: ads, path: ads.txt, order: second}
  - {name: secret, path: ads.txt, order: hush}
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "ads.txt").write_text("ads.example\n")
    (tmp_path / "blocklist.yaml").write_text(BLOCKLIST)
    compiled = compile_policy(
        tmp_path / "blocklist.yaml", tmp_path / "images", now=at("2024-01-20"), force=True
    )
    assert compiled.image is not None, compiled.problems
    return compiled.image


def at(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def orders_at(image: Path, day: str) -> dict[tuple[str, str], tuple[str, ...]]:
    return dict(orders_in_force(open_table(image, at(day), 0.0, 1), at(day)))


def test_an_order_counts_while_it_is_in_force(image: Path) -> None:
    both = [orders_at(image, day)["exchange", "both"] for day in ("2024-01-10", "2024-01-20", "2024-02-20")]
    assert both == [("first",), ("first", "second"), ("second",)]


def test_an_order_that_is_over_has_no_hits(image: Path) -> None:
    assert orders_at(image, "2024-01-20")["exchange", "one"] == ("first",)
    assert orders_at(image, "2024-02-20")["exchange", "one"] == ()


def test_where_one_enforces_one_that_is_tried_has_no_hits(image: Path) -> None:
    orders = orders_at(image, "2024-01-20")
    assert orders["exchange", "mixed"] == ("second",)
    assert orders["exchange", "shade"] == ("tried",)


def test_a_confidential_order_has_one_label_and_no_name(image: Path) -> None:
    orders = orders_at(image, "2024-01-20")
    assert orders["exchange", "half"] == ("second", "confidential")
    assert orders["exchange", "confidential"] == ("confidential",)
    assert orders["list", "confidential"] == ("confidential",)
    assert orders["list", "ads"] == ("second",)
    assert orders["exchange", "house"] == ()
    assert not any(word in str(orders) for word in ("hush", "mute", "secret"))


def table_with(folder: Path, rule: PolicyRule, *orders: str) -> PolicyTable:
    folder.mkdir()
    table = PolicyMaker().block(rule, "alpha.example").table(folder, wall=NOON)
    table.orders = {order: {"mode": None, "from": None, "until": None} for order in orders}
    return table


def test_hits_before_a_change_of_the_policy_are_of_the_orders_before(
    counting: Counting, tmp_path: Path
) -> None:
    before = table_with(tmp_path / "before", make_rule("exchange", "alpha", orders=("a",)), "a", "b")
    after = table_with(tmp_path / "after", make_rule("exchange", "alpha", orders=("a", "b")), "a", "b")
    counting.history.judge_by(before)
    counting.history.start()
    counting.hit(3)
    counting.history.judge_by(after)
    counting.hit(5)
    counting.close()
    counts = totals(tmp_path)
    assert counts[ALPHA] == 8
    assert counts[ALPHA._replace(kind="order", label="a")] == 8
    assert counts[ALPHA._replace(kind="order", label="b")] == 5


def test_hits_of_both_planes_are_added_up(counting: Counting) -> None:
    counting.hit(2)
    fields = ("exchange", "alpha", "nxdomain", "enforce")
    tried = ("list", "ads", "drop", "shadow")
    native = [
        ("udp", "A", "NXDOMAIN", "policy", None, fields, None, 5, 0.1),
        ("udp", "AAAA", "NXDOMAIN", "policy", None, fields, tried, 7, 0.1),
        ("udp", "A", "NOERROR", "cache", None, None, None, 9, 0.1),
    ]
    hits = hits_of(Copied(counting.tallies.snapshot(), native))
    assert hits == {ALPHA: 14, HitKey(*tried): 7}
