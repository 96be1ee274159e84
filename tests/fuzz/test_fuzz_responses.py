"""Broken upstream answers: refused or trimmed in time, and never an answer to what was not asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.wire.response import Refused, Response, Truncated, UpstreamFailure
from tests.fuzz import corpus
from tests.fuzz.corpus import Answer
from tests.fuzz.mutate import Mutator
from tests.fuzz.rig import BATCH, IS_LONG, Rig, sent_query, timed
from tests.support.engines import Engine

CASES = 300_000 if IS_LONG else 30_000

pytestmark = pytest.mark.slow


def end_of_name(octets: bytes, offset: int) -> int:
    """Offset after the name at `offset`, written anew so as to share no mistake; raises on a bad one."""
    while True:
        length = octets[offset]
        if length == 0:
            return offset + 1
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | octets[offset + 1]
            assert target < offset, "a pointer that does not lead back"
            end_of_name(octets, target)
            return offset + 2
        assert length < 0x40
        offset += 1 + length


def check_body(answer: Answer, response: Response) -> None:
    """The trimmed body is whole: its records end where it ends, and its TTLs are where they should be."""
    head = bytes(12) + answer.qname + bytes(4)
    octets = head + response.body
    offset, ttl_places = len(head), []
    for _ in range(response.ancount + response.nscount):
        offset = end_of_name(octets, offset)
        ttl_places.append(offset + 4 - len(head))
        rdata_octets = int.from_bytes(octets[offset + 8 : offset + 10], "big")
        offset += 10 + rdata_octets
    assert offset == len(octets)
    assert tuple(ttl_places) == response.ttl_offsets
    written = tuple(int.from_bytes(response.body[place : place + 4], "big") for place in ttl_places)
    assert written == response.ttls
    assert all(0 <= ttl < 2**31 for ttl in response.ttls)
    assert 0 <= response.ttl_s < 2**31
    assert len(response.links) <= 11
    assert all(link.end <= len(response.body) for link in response.links)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_answer_raises_takes_long_or_spoils_another(seed: int, engine: Engine, tmp_path: Path) -> None:
    rig = Rig(tmp_path, engine)
    originals = corpus.answers()
    mutator = Mutator([answer.octets for answer in originals], seed)
    for case in range(CASES // 2):
        place, octets = mutator.next()
        answer = originals[place]
        sent = sent_query(answer)
        accepted = timed(lambda octets=octets, sent=sent: engine.accept_response(octets, sent), octets)  # type: ignore[misc]
        assert isinstance(accepted, Response | Refused | Truncated | UpstreamFailure)
        if isinstance(accepted, Response):
            assert octets[:2] == corpus.ANSWER_ID.to_bytes(2, "big")
            assert octets[12 : 12 + len(sent.question_octets)] == sent.question_octets
            check_body(answer, accepted)
        rig.hear(answer, octets, accepted if isinstance(accepted, Response) else None)
        if case % BATCH == 0:
            rig.check_canaries()
    rig.check_canaries()


def test_every_whole_answer_of_the_corpus_is_understood(engine: Engine) -> None:
    for answer in corpus.answers():
        accepted = engine.accept_response(answer.octets, sent_query(answer))
        assert not isinstance(accepted, Refused)
