"""Broken queries: every one is answered, refused or dropped, in time, and harms no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.flow.peer import Peer
from resolver.wire.query import Malformed, Query
from tests.fuzz import corpus
from tests.fuzz.mutate import Mutator
from tests.fuzz.rig import BATCH, IS_LONG, Rig, timed
from tests.support.engines import Engine

CASES = 1_000_000 if IS_LONG else 100_000
UDP_OCTETS_MAX = 1232

pytestmark = pytest.mark.slow


def check_facts(octets: bytes, query: Query | Malformed) -> None:
    """What the walker passes is what it says it is."""
    if isinstance(query, Malformed):
        assert query.rcode is None or len(octets) >= 12
        return
    assert len(query.qname) <= 255
    assert octets[12 : query.question_end - 4].lower() == query.qname
    assert octets[query.question_end - 4 : query.question_end] == query.qtype.to_bytes(
        2, "big"
    ) + query.qclass.to_bytes(2, "big")
    assert 512 <= query.payload_octets <= 65535


def check_reply(octets: bytes, reply: bytes | None, peer: Peer) -> None:
    """A reply is one, belongs to its query, and is no amplifier."""
    if reply is None:
        return
    assert len(reply) >= 12
    assert reply[:2] == octets[:2], "ID"
    assert reply[2] & 0x80, "QR"
    assert reply[2] & 0x78 == octets[2] & 0x78, "opcode"
    assert not octets[2] & 0x80, "a response was answered"
    if not peer.transport.is_stream:
        assert len(reply) <= UDP_OCTETS_MAX


@pytest.mark.parametrize("seed", [1, 2])
def test_no_query_raises_takes_long_or_spoils_another(seed: int, engine: Engine, tmp_path: Path) -> None:
    rig = Rig(tmp_path, engine)
    mutator = Mutator(corpus.queries(), seed)
    for case in range(CASES // 2):
        _, octets = mutator.next()
        peer = rig.peers[case & 1]
        check_facts(octets, engine.parse_query(octets))
        reply = timed(lambda octets=octets, peer=peer: rig.answer(octets, peer), octets)  # type: ignore[misc]
        check_reply(octets, reply, peer)
        if case % BATCH == 0:
            rig.check_canaries()
    rig.check_canaries()


def test_every_whole_query_of_the_corpus_is_answered(engine: Engine, tmp_path: Path) -> None:
    rig = Rig(tmp_path, engine)
    for octets in corpus.queries():
        assert rig.answer(octets, rig.peers[0]) is not None


def test_a_wrong_canary_is_noticed(engine: Engine, tmp_path: Path) -> None:
    rig = Rig(tmp_path, engine)
    poisoned = f"{corpus.CANARY} 86400 A {corpus.POISON_ADDRESS}"
    rig.keep(corpus.made_answer(corpus.CANARY, "A", answer=(poisoned,)))
    with pytest.raises(AssertionError):
        rig.check_canaries()
