"""What a server says of itself: every count of every room reaches one fact, and is there from the start."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from resolver.flow.outcome import Respond, Source
from resolver.flow.peer import Transport
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.stream import StreamCounts
from resolver.forwarding.udp_pool import UdpCounts
from resolver.listeners.reporter import Reporter
from resolver.observe.facts import DatagramFacts, ForwardingFacts, NativeFacts, StreamFacts
from resolver.observe.tally import Tallies, TallySnapshot
from resolver.orders.reach import Reason
from resolver.policy.verdict import Mode, PolicyAction
from resolver.server.facts import (
    EXPIRY_NOTICE_S,
    count_expiring,
    datagram_facts,
    drops_of,
    forwarding_facts,
    native_facts,
    order_facts,
    policy_facts,
    state_of,
    stream_facts,
    tallies_of,
    upstream_facts,
    waiting_of,
)
from resolver.server.history import HistoryRecorder
from resolver.server.native import NativeEngine
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = 1.7e9


@dataclass
class Plane:
    """A stand-in for the native plane: what it counted."""

    counters: dict[str, int] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    in_flight: int = 0
    counted: Tallies = field(default_factory=Tallies)

    def drops(self) -> Counter[str]:
        return self.lost

    def tallies(self) -> TallySnapshot:
        return self.counted.snapshot()


def native(**counts: Any) -> NativeEngine:
    return cast(NativeEngine, Plane(**counts))


def service(**counts: int) -> Service:
    return cast(Service, SimpleNamespace(**{"waiting": 0, "overloads": 0, "defects": 0, **counts}))


def forwarder(**counts: int) -> Forwarder:
    none = {"pending": 0, "coalesced": 0, "overloads": 0, "defects": 0}
    return cast(Forwarder, SimpleNamespace(**{**none, **counts}))


def counted(kind: type, start: int) -> Any:
    """An object of counters, each with a number of its own, in the order of their names."""
    counts = kind()
    for number, name in enumerate(sorted(kind.__slots__), start):  # type: ignore[attr-defined]
        setattr(counts, name, number)
    return counts


def test_everything_is_there_before_anything_is_made() -> None:
    assert forwarding_facts(None, None, None, None) == ForwardingFacts()
    assert upstream_facts(None) == ()
    assert count_expiring(None, NOW) == 0
    assert native_facts(None) is None
    assert drops_of(Reporter(Tallies()), None, None, None) == Counter()


def test_each_count_of_udp_reaches_one_fact() -> None:
    facts = datagram_facts(counted(UdpCounts, 10), {})
    assert sorted(astuple(facts)) == list(range(10, 10 + len(UdpCounts.__slots__)))


def test_each_count_of_tcp_reaches_one_fact() -> None:
    facts = stream_facts(counted(StreamCounts, 10), {})
    assert sorted(astuple(facts)) == list(range(10, 10 + len(StreamCounts.__slots__)))


def test_both_planes_are_added_up() -> None:
    own = {"unexpected": 100, "late": 200, "send_drops": 300, "opened": 400, "open_failures": 500}
    words = ("unexpected", "opened", "reused", "broken", "retried", "held_back")
    own |= {f"streams_{word}": number for number, word in enumerate(words, 1)}
    plane = native(counters={**own, "coalesced": 10, "overloads": 20}, waiting=30, in_flight=40)
    facts = forwarding_facts(
        service(waiting=1, overloads=2), forwarder(pending=3, coalesced=4, overloads=5, hedges=6), None, plane
    )
    assert facts == ForwardingFacts(
        waiting=31,
        in_flight=43,
        coalesced=14,
        hedges=6,
        overloads=27,
        datagrams=DatagramFacts(
            unexpected=100, late=200, unsent=300, sockets_opened=400, socket_failures=500
        ),
        streams=StreamFacts(unexpected=1, opened=2, reused=3, broken=4, retried=5, held_back=6),
    )
    assert waiting_of(service(waiting=1), plane) == 31


def test_the_native_planes_own_counts_are_0_until_it_runs() -> None:
    assert native_facts(native()) == NativeFacts()
    counts = {"punts": 1, "handovers": 2, "panics": 3, "restarts": 4}
    assert native_facts(native(counters=counts)) == NativeFacts(1, 2, 3, 4)


def test_a_defect_anywhere_is_a_drop() -> None:
    reporter = Reporter(Tallies())
    reporter.count_drop("defect")
    reporter.count_drop("short", 7)
    plane = native(lost=Counter(defect=1000, ring_full=3))
    drops = drops_of(reporter, service(defects=10), forwarder(defects=100), plane)
    assert drops == Counter(defect=1111, short=7, ring_full=3)


def test_the_outcomes_of_both_planes_are_told_together() -> None:
    tallies, plane = Tallies(), Plane()
    tallies.of(Transport.UDP, Respond(b"", 0, 1, Source.CACHE)).add(0.0)
    plane.counted.of(Transport.UDP, Respond(b"", 0, 28, Source.CACHE)).add(0.0)
    counts = tallies_of(tallies, cast(NativeEngine, plane)).counts
    assert [(key.qtype, count) for key, count, _ in counts] == [("A", 1), ("AAAA", 1)]


def test_a_policy_is_told_in_labels(tmp_path: Path) -> None:
    maker = PolicyMaker()
    maker.block(make_rule(label="acme", mode=Mode.SHADOW), "x.example")
    maker.block(make_rule(kind="list", label="ads", action=PolicyAction.NODATA), "y.example")
    maker.block(make_rule(kind="list", label="ok", action=PolicyAction.PASSTHRU), "z.example")
    facts = policy_facts(maker.table(tmp_path, wall=NOW), "0123")
    assert facts.content == "0123" and not facts.is_empty
    assert facts.exchanges == (("acme", "nxdomain", "shadow"),)
    assert facts.lists == (("ads", "nodata", "enforce"),)
    assert facts.generation == 1


def test_an_exchange_is_told_with_its_name_category_and_end(tmp_path: Path) -> None:
    maker = PolicyMaker()
    maker.block(make_rule(label="acme", name="Acme", category="otc", ends_at=NOW + 5), "x.example")
    maker.block(make_rule(label="ever", name="Ever", category="ico"), "y.example")
    facts = policy_facts(maker.table(tmp_path, wall=NOW), "")
    assert facts.described == {"acme": ("Acme", "otc"), "ever": ("Ever", "ico")}
    assert facts.ends == {"acme": NOW + 5}


def test_every_reason_of_an_order_is_there_from_the_start() -> None:
    recorder = HistoryRecorder(Path("state"), wall=lambda: NOW)
    assert order_facts(recorder) == ()
    recorder.orders = [{"id": "x", "due": None, "in_force": 0.0, "unenforced": {"not_blocked": 2}}]
    [order] = order_facts(recorder)
    assert (order.id, order.due_at, order.in_force_at) == ("x", None, 0.0)
    assert order.unenforced == {**{reason.value: 0 for reason in Reason}, "not_blocked": 2}


@pytest.mark.parametrize(
    ("state", "keywords"),
    [
        ("enforced", {}),
        ("enforced", {"starts_at": NOW, "ends_at": NOW + 1}),
        ("shadow", {"mode": Mode.SHADOW}),
        ("pending", {"starts_at": NOW + 1}),
        ("pending", {"starts_at": NOW + 1, "mode": Mode.SHADOW}),
        ("expired", {"ends_at": NOW}),
        ("disabled", {"ends_at": NOW, "mode": Mode.DISABLED}),
    ],
)
def test_an_exchange_stands_by_its_mode_and_dates(
    tmp_path: Path, state: str, keywords: dict[str, Any]
) -> None:
    maker = PolicyMaker().block(make_rule(label="acme", **keywords), "x.example")
    facts = policy_facts(maker.table(tmp_path, wall=NOW), "")
    assert facts.states == {"acme": state} and facts.is_empty == (state != "enforced")


def test_an_exchange_without_domains_and_addresses_is_not_in_force() -> None:
    assert state_of(make_rule(), has_entries=False, wall=NOW) == "disabled"


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
