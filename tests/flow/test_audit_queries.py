"""An audit's query gets the answer of any other, octet for octet, and is counted nowhere: every play, both engines."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from resolver.audit.marking import marked
from resolver.cache import ResponseCache
from resolver.flow.audit_queries import SECRET_OCTETS_MIN, AuditSecret
from resolver.flow.clients import Clients
from resolver.flow.outcome import Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Forwarder
from resolver.listeners.reporter import Reporter
from resolver.local import LocalNames
from resolver.observe.records import RecordBuffer
from resolver.observe.tally import Tallies
from resolver.policy.verdict import AUDITED
from resolver.wire.query import Malformed, parse_query
from tests.flow.test_scenarios import PLAYS, SHORT_PLAYS, SLOW_PLAYS
from tests.flow.test_service import SilentForwarder
from tests.support import scenario_engine, scenario_plane
from tests.support.engines import Engine
from tests.support.for_each import for_each
from tests.support.policy_maker import PolicyMaker, make_rule
from tests.support.scenario_clock import FakeClock
from tests.support.scenario_engine import Scene, take
from tests.support.scenario_messages import query_octets
from tests.support.scenario_plane import Ending
from tests.support.scenario_play import Play, QueryStep

SECRET = bytes(range(32))
WRONG = SECRET[:-1] + b"\xff"

Told = list[tuple[str, bytes, bool]]
"""Of each query: its name, its answer, and whether the connection was closed."""


def with_option(octets: bytes, value: bytes) -> bytes:
    """The query marked; what cannot be, and versions of EDNS in which nothing is read, as they are."""
    query = parse_query(octets)
    if isinstance(query, Malformed) or query.edns_version:
        return octets
    try:
        return marked(octets, value)
    except ValueError:
        return octets


class AuditedScene(Scene):
    """A scene whose queries all carry `value`; what they get is kept, not held against the play."""

    def expect(self, expected: Any) -> None:
        for client in self.groups[expected.of or self._last]:
            client.is_checked = True

    def count(self, expected: Any) -> None: ...

    def silent(self, of: str) -> None: ...


def told_with(
    value: bytes, play: Play, folder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> tuple[AuditedScene, Told]:
    """What everybody gets whose queries carry `value`."""

    def marked(step: QueryStep, query_id: int) -> bytes:
        return with_option(query_octets(step, query_id), value)

    folder.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(scenario_engine, "query_octets", marked)
        if value == SECRET:
            # Nothing says how these ended but their answers.
            patched.setattr(scenario_plane.Ledger, "take", endings_of_uncounted)
        scene = AuditedScene(play, folder, native=engine.module, logs="all", audit_secret=SECRET)
        for step in play.steps:
            take(scene, step)
        scene.read_records()
    closed = [client.ending is not None and client.ending.close for client in scene.clients.values()]
    told = [
        (client.name, client.reply, close)
        for client, close in zip(scene.clients.values(), closed, strict=True)
    ]
    return scene, told


def endings_of_uncounted(_: object, messages: list[bytes | None], close: bool = False) -> list[Ending]:
    return [Ending(close=close and message is None) for message in messages]


@pytest.mark.slow
@for_each("name", SHORT_PLAYS, ids=str)
def test_an_audit_gets_the_answers_of_everybody_and_is_counted_nowhere(
    name: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_audited(PLAYS[name], engine, tmp_path, monkeypatch)


@pytest.mark.slow
@for_each("name", SLOW_PLAYS, ids=str)
def test_it_does_where_there_are_thousands_of_questions(
    name: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_audited(PLAYS[name], engine, tmp_path, monkeypatch)


def check_audited(play: Play, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary, answers = told_with(WRONG, play, tmp_path / "ordinary", engine, monkeypatch)
    audited, answers_of_audit = told_with(SECRET, play, tmp_path / "audited", engine, monkeypatch)
    assert answers_of_audit == answers
    assert [sent.octets for sent in audited.network.sent] == [sent.octets for sent in ordinary.network.sent]
    clients = [client for client in audited.clients.values() if client.ending is not None]
    marked = [client for client in clients if is_marked(client.octets)]
    assert [client.ending.hits for client in marked if client.ending and client.ending.hits] == []
    assert all(client.outcome.verdict is AUDITED for client in marked if client.outcome is not None)
    stage = audited._stage
    if stage is not None:
        # What Python says over a stream goes through no listener here.
        told = [client for client in clients if client.outcome is not None]
        python = stage.reporter.tallies.snapshot()
        audits = python.audited + stage.core.audited() + sum(map(is_marked, (c.octets for c in told)))
        counted = sum(row[1] for row in python.counts) + sum(row[7] for row in stage.core.tallies())
        unreadable = len(clients) - len(marked)
        assert (audits, counted + sum(not is_marked(c.octets) for c in told)) == (len(marked), unreadable)
        assert stage.logged.total() == unreadable
    if marked == clients:
        # What a rule leads to is looked up, too.
        assert audited.cache.misses == 0
        assert ordinary.cache.misses > 0 or not play.fails_without_cache


def is_marked(octets: bytes) -> bool:
    query = parse_query(octets)
    return not isinstance(query, Malformed) and AuditSecret(SECRET).is_among(query.options)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(
        policy=PolicyMaker().block(make_rule(label="acme"), "acme.example").policy(tmp_path),
        cache=ResponseCache(1 << 20),
        forwarder=cast(Forwarder, SilentForwarder()),
        local=LocalNames(),
        clock=FakeClock(),
        clients=Clients([ip_network("127.0.0.0/8")]),
        memo_octets_max=1 << 20,
        audit_secret=AuditSecret(SECRET),
    )


PLAIN = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\x04acme\x07example\0\0\1\0\1"


def counted(service: Service, reporter: Reporter, octets: bytes, transport: Transport = Transport.UDP) -> int:
    """Ask as a listener's client does; how many hits there are then."""
    peer = Peer(bytes((127, 0, 0, 1)), transport)
    outcome = service.answer_now(octets, peer, 1.0)
    assert isinstance(outcome, Respond) and outcome.rcode == 3
    if peer.is_stream:
        reporter.settle(transport, peer, octets, outcome, 0.0)
    else:
        assert reporter.records is not None
        reporter.records.note(peer, octets, outcome)
        reporter.count_batch(transport, [outcome], 0.0)
    return sum(count for key, count, _ in reporter.tallies.snapshot().counts if key.enforced)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_an_audit_between_others_changes_no_count_of_theirs(service: Service, transport: Transport) -> None:
    records = RecordBuffer(only_blocked=False)
    reporter = Reporter(Tallies(), records)
    audit, wrong = with_option(PLAIN, SECRET), with_option(PLAIN, WRONG)
    told = [
        counted(service, reporter, octets, transport)
        for octets in (audit, PLAIN, audit, audit, wrong, audit, wrong, PLAIN, audit)
    ]
    assert told == [0, 1, 1, 1, 2, 2, 3, 4, 4]
    assert reporter.tallies.snapshot().audited == 5
    assert transport.is_stream or len(records.take()) == 4


def test_no_memo_knows_an_audits_query(service: Service) -> None:
    for octets in [with_option(PLAIN, SECRET)] * 4:
        assert service.answer_now(octets, Peer(bytes((127, 0, 0, 1)), Transport.UDP), 1.0) is not None
    assert (len(service._memo_datagram), len(service._memo_stream)) == (0, 0)


def test_the_audits_tally_has_no_response_time() -> None:
    tallies = Tallies()
    tallies.settle([tallies.audited], 1.5)
    tallies.audited.add(3.0)
    snapshot = tallies.snapshot()
    assert (snapshot.audited, snapshot.counts) == (2, ())
    assert {sum(buckets) for buckets in snapshot.late.values()} == {0}


def test_a_secret_that_can_be_guessed_is_none(engine: Engine) -> None:
    short = SECRET[: SECRET_OCTETS_MIN - 1]
    with pytest.raises(ValueError, match="16 octets or more"):
        AuditSecret(short)
    if engine.module is not None:
        with pytest.raises(ValueError, match="16 octets or more"):
            engine.module.Core(
                engine.module.Cache(1 << 20),
                allow=[],
                rate_limit_qps=0,
                records=[],
                tcp_idle_s=10.0,
                in_flight_max=8,
                waiters_max=8,
                waiting_max=8,
                audit_secret=short,
            )
