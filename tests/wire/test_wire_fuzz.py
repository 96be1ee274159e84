"""Mutated messages through the whole wire room: no exception, no slow case, no contradiction.

The golden vectors are the corpus; the seed is fixed, so a run can be repeated.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.wire.encode import response_limit
from resolver.wire.message import describe, read_message
from resolver.wire.query import Malformed, Query
from resolver.wire.response import Response, SentQuery, accept_response
from resolver.wire.ttl import age_body, with_ttl
from tests.support.engines import Engine
from tests.support.wirebuild import header, sent

VECTORS = Path(__file__).parents[1] / "vectors"
MUTATIONS = 4000
SLOWEST_S = 0.010
INTERESTING = (0, 1, 0x0C, 0x29, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xFF)


def corpus(name: str, key: str) -> list[dict[str, Any]]:
    loaded = yaml.safe_load((VECTORS / name).read_text())
    return [{**case, "octets": bytes.fromhex(case[key])} for case in loaded]


def mutate(octets: bytes, chance: random.Random, keep: int) -> bytes:
    """A few random edits behind the first `keep` octets."""
    out = bytearray(octets)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(min(keep, len(out)), len(out) + 1)
        kind = chance.randrange(6)
        if kind == 0 and at < len(out):
            out[at] = chance.choice(INTERESTING)
        elif kind == 1 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del out[at : at + chance.randint(1, 8)]
        elif kind == 3:
            out[at:at] = bytes((0xC0, chance.randrange(64)))
        elif kind == 4:
            out[at:at] = out[chance.randrange(len(out) + 1) :][: chance.randint(1, 40)]
        else:
            out[at:at] = chance.randbytes(chance.randint(1, 12))
    return bytes(out)


def timed(run: Callable[[], object]) -> None:
    """Run it within SLOWEST_S of CPU time; one that was not gets two more goes to blame the machine."""
    for _ in range(3):
        start = time.process_time()
        run()
        if time.process_time() - start < SLOWEST_S:
            return
    raise AssertionError(f"slower than {SLOWEST_S} s three times")


def check_query(octets: bytes, engine: Engine) -> None:
    parsed = engine.parse_query(octets)
    if isinstance(parsed, Malformed):
        if parsed.rcode is not None:
            assert engine.encode_malformed(octets, parsed.rcode)[:2] == octets[:2]
        return
    limit = response_limit(parsed, False)
    reply = engine.encode_response(parsed, 3, limit=limit, ede=((15, "x" * 200),))
    assert len(reply) <= limit
    assert reply[12 : parsed.question_end] == octets[12 : parsed.question_end]
    message = read_message(reply)
    assert message is not None
    assert message.questions[0][0].lower() == parsed.qname
    assert (message.opt is not None) == parsed.has_opt


def check_response(octets: bytes, asked: SentQuery, engine: Engine) -> None:
    verdict = engine.accept_response(octets, asked)
    if not isinstance(verdict, Response):
        return
    for body in (verdict.body, age_body(verdict, 7), with_ttl(verdict, 30)):
        assert len(body) == len(verdict.body)
        message = read_message(
            header(0x8180, (1, verdict.ancount, verdict.nscount, 0)) + asked.question_octets + body
        )
        assert message is not None
        owners = {asked.qname.lower(), *(link.target for link in verdict.links)}
        names = [r.owner for r in message.answer if r.rtype not in (39, 46)]
        assert owners.issuperset(names)
    assert all(0 <= ttl < 2**31 for ttl in verdict.ttls)
    assert len(verdict.links) <= 11


@pytest.mark.timed
def test_mutated_queries_are_borne(engine: Engine) -> None:
    chance = random.Random(20_240_101)
    seeds = [case["octets"] for case in corpus("queries.yaml", "octets")]
    verdicts = set()
    for _ in range(MUTATIONS):
        octets = mutate(chance.choice(seeds), chance, chance.choice((0, 4, 12, 30)))
        timed(lambda octets=octets: check_query(octets, engine))  # type: ignore[misc]
        verdicts.add(type(engine.parse_query(octets)))
    assert verdicts == {Query, Malformed}


@pytest.mark.timed
def test_mutated_responses_are_borne(engine: Engine) -> None:
    chance = random.Random(20_240_102)
    seeds = corpus("responses.yaml", "octets")
    accepted = 0
    for _ in range(MUTATIONS):
        case = chance.choice(seeds)
        asked = SentQuery(**{**case["sent"], "qname": bytes.fromhex(case["sent"]["qname"])})
        octets = mutate(case["octets"], chance, chance.choice((2, 12, 33, 33)))
        timed(lambda octets=octets, asked=asked: check_response(octets, asked, engine))  # type: ignore[misc]
        accepted += isinstance(engine.accept_response(octets, asked), Response)
    assert accepted > MUTATIONS // 20


def test_mutated_messages_can_be_shown() -> None:
    chance = random.Random(20_240_103)
    seeds = [case["octets"] for case in corpus("responses.yaml", "octets")]
    for _ in range(MUTATIONS // 4):
        text = describe(mutate(chance.choice(seeds), chance, 0))
        assert text.isascii() and text.replace("\n", "").isprintable()


def test_the_check_of_responses_can_fail() -> None:
    asked = sent()
    good = corpus("responses.yaml", "octets")[0]["octets"]
    response = accept_response(good, asked)
    assert isinstance(response, Response)
    response.body = response.body[:-1]
    assert read_message(header(0x8180, (1, 1, 0, 0)) + asked.question_octets + response.body) is None
