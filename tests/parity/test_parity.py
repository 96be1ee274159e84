"""Policies by chance x queries whole and broken x caches in every state: native and Python agree to the octet.

`FUZZ_PROFILE=long` runs 10,000,000 cases.  Each failure names its seed and the octets.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from resolver.cache import NativeCache, ResponseCache
from resolver.cache.entry import CacheEntry
from resolver.cache.native_cache import fields_of
from resolver.flow.outcome import Source
from resolver.flow.peer import Transport
from resolver.wire.encode import encode_query
from resolver.wire.query import Malformed, parse_query
from resolver.wire.question import Question
from resolver.wire.response import Response, accept_response
from tests.fuzz import corpus
from tests.fuzz.corpus import Answer
from tests.fuzz.mutate import Mutator
from tests.fuzz.rig import IS_LONG, sent_query
from tests.parity.material import Policy, answer, policies, query
from tests.parity.sides import ClientQuery, Difference, Sides
from tests.support.engines import Engine, engine_called

SEEDS = range(8)
CASES = (10_000_000 if IS_LONG else 20_000) // len(SEEDS)
"""For each seed, of queries; as many answers, and as many steps of caches."""
PER_POLICY = 5000 if IS_LONG else 500
ABREAST_MAX = 40
"""Queries of one batch at most; more than the plane prepares together."""
ANSWERS_PER_POLICY = 40
CLIENTS = [ip_address(text).packed for text in ("192.0.2.1", "192.0.2.2", "2001:db8::1")]
TRANSPORTS = (*[Transport.UDP] * 12, Transport.TCP, Transport.TLS, Transport.HTTPS)
"""Datagrams more often: they have a memo and come in batches."""
STRANGER = ip_address("203.0.113.9").packed

STEPS_S = (0.0, 1 / 64, 0.25, 0.75, 1.0, 12.0)
"""Sums of powers of two: where a memo works out when a second is over, rounding must not decide."""

pytestmark = pytest.mark.slow


@pytest.fixture
def native() -> Engine:
    return engine_called("native")


def policies_without_end(folder: Path, chance: random.Random) -> Iterator[Policy]:
    """Policy after policy, new ones by chance each round."""
    round_number = 0
    while True:
        place = folder / str(round_number)
        place.mkdir()
        yield from policies(place, chance)
        round_number += 1


EDES = [(22, "no upstream answered in time"), (23, ""), (0, "ü" * 150)]


TRANSPORTS = (*[Transport.UDP] * 20, *Transport)
"""Most queries come as datagrams, the others over anything."""


def learn(sides: Sides, policy: Policy, now: float, chance: random.Random) -> Question:
    """Let both caches know an answer: fresh, stale or too old."""
    learnt = answer(policy, chance)
    question = Question(learnt.qname.lower(), learnt.qtype, learnt.dnssec_ok, chance.random() < 0.1)
    at = now - chance.choice((0.0, 0.0, 0.25, 1.0, 4.5, 31.0, 299.5, 299.5, 4000.0, 4000.0, 90_000.0))
    response = accept_response(learnt.octets, sent_query(learnt))
    if isinstance(response, Response):
        sides.store(question, response, at)
    else:
        sides.fail(question, chance.choice(EDES), at)
    return question


@pytest.mark.parametrize("seed", SEEDS)
def test_both_engines_say_the_same_to_every_query(seed: int, native: Engine, tmp_path: Path) -> None:
    chance = random.Random(seed)
    cases = punts = asks = lines = audited = 0
    sources: Counter[str | None] = Counter()
    # In turn, not by chance: a run without a line would show nothing.
    recorded = cycle(("all", "blocked", "none", "all", "all"))
    for policy in policies_without_end(tmp_path, chance):
        sides = Sides(
            native.module,
            policy,
            rate_limit_qps=chance.choice((0, 0, 0, 100)),
            query_records=next(recorded),
        )
        # JSON lines twice as often: they say in words what matched.
        looks = (
            chance.choice(("text", "json", "jsonl", "jsonl", "dnstap", "syslog")),
            chance.choice(("hidden", "network", "full", "encrypted")),
        )
        now = policy.monotonic
        known = [learn(sides, policy, now, chance) for _ in range(ANSWERS_PER_POLICY)]
        whole = [query(policy, chance) for _ in range(60)]
        whole += [query_for(chance.choice(known), chance) for _ in range(120)]
        mutator = Mutator([*whole, *corpus.queries()], chance.getrandbits(64))
        for _ in range(PER_POLICY // ABREAST_MAX * 2):
            questions = [
                ClientQuery(
                    next_query(whole, mutator, chance), next_client(chance), chance.choice(TRANSPORTS)
                )
                for _ in range(chance.randint(1, ABREAST_MAX))
            ]
            for _ in range(6):
                sides.fail(chance.choice(known), chance.choice(EDES), now)
            try:
                sides.compare(questions, now)
                lines += sides.compare_lines(*looks, policy.wall - policy.monotonic)
            except Difference as difference:
                raise Difference(f"seed {seed}, {policy}, now {now}: {difference}") from None
            cases += len(questions)
            now += chance.choice(STEPS_S)
        sides.compare_counts()
        punts += sides.punts
        audited += sides.core.audited()
        asks += sides.asks
        for key, count, _ in sides.tallies.snapshot().counts:
            sources[key.source] += count
        if cases >= CASES:
            break
    print(f"{cases} queries, {punts} punted, {asks} to be asked")
    assert asks > cases // 50
    assert punts < cases // 3
    assert lines > cases // 20
    assert audited > 0
    for source in set(Source) - {Source.UPSTREAM}:
        assert sources[source] > cases // 200, f"hardly an answer from {source}: {sources}"


def next_query(whole: list[bytes], mutator: Mutator, chance: random.Random) -> bytes:
    """Most are whole, and asked again and again, so that memos and caches have something to say."""
    return chance.choice(whole) if chance.random() < 0.8 else mutator.next()[1]


def query_for(known: Question, chance: random.Random) -> bytes:
    """A query that a cache may answer."""
    qname, qtype, dnssec_ok, checking_disabled = known
    octets = encode_query(
        qname,
        qtype,
        id=chance.randrange(65536),
        dnssec_ok=dnssec_ok,
        checking_disabled=checking_disabled,
        edns=dnssec_ok or chance.random() < 0.5,
    )
    return octets if chance.random() < 0.9 else octets[:2] + bytes((octets[2] & 0xFE,)) + octets[3:]


def next_client(chance: random.Random) -> bytes:
    return chance.choice(CLIENTS) if chance.random() < 0.95 else STRANGER


def test_the_comparison_can_fail(native: Engine, tmp_path: Path) -> None:
    policy = policies(tmp_path, random.Random(1))[0]
    sides = Sides(native.module, policy)
    now = policy.monotonic
    learnt = corpus.answers()[0]
    response = accept_response(learnt.octets, sent_query(learnt))
    assert isinstance(response, Response)
    sides.python_cache.store(Question(learnt.qname, learnt.qtype), response, now)
    asked = corpus.made_answer("www.example.org.", "A").octets
    plain = bytes(2) + b"\1\0" + asked[4:6] + bytes(6) + asked[12:33]
    with pytest.raises(Difference):
        sides.compare([ClientQuery(plain, CLIENTS[0], Transport.UDP)], now)


# The two walkers.


def answers_without_end(seed: int, folder: Path) -> Iterator[tuple[Answer, bytes]]:
    """Answers of the corpus and of policies by chance, and what comes in their place: broken nearly always."""
    chance = random.Random(seed)
    for policy in policies_without_end(folder, chance):
        whole = [*corpus.answers(), *(answer(policy, chance) for _ in range(ANSWERS_PER_POLICY))]
        mutator = Mutator([each.octets for each in whole], chance.getrandbits(64))
        for each in whole:
            yield each, each.octets
        for _ in range(PER_POLICY * 2):
            place, octets = mutator.next()
            each = whole[place]
            if chance.random() < 0.7 and len(octets) > 17 + len(each.qname):
                # Most of what is broken elsewhere would be refused at the question.
                end = 16 + len(each.qname)
                octets = each.octets[:6] + octets[6:12] + each.octets[12:end] + octets[end:]
            yield each, octets


@pytest.mark.parametrize("seed", SEEDS)
def test_both_engines_accept_the_same_answers(seed: int, native: Engine, tmp_path: Path) -> None:
    accepted = 0
    for number, (each, octets) in enumerate(answers_without_end(seed, tmp_path)):
        sent = sent_query(each)
        sent.edns = number % 3 > 0
        sent.is_stream = number % 7 == 0
        wanted, told = accept_response(octets, sent), native.accept_response(octets, sent)
        assert told == wanted, f"seed {seed}: {octets.hex()} to {each.qname.hex()} {each.qtype}"
        accepted += isinstance(told, Response)
        if number >= CASES:
            break
    assert accepted > CASES // 10


@pytest.mark.parametrize("seed", SEEDS)
def test_the_native_walker_never_accepts_what_the_python_one_rejects(
    seed: int, native: Engine, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    policy = policies(tmp_path, chance)[0]
    whole = [*corpus.queries(), *(query(policy, chance) for _ in range(300))]
    mutator = Mutator(whole, seed)
    accepted = 0
    for number in range(CASES):
        octets = whole[number] if number < len(whole) else mutator.next()[1]
        told = native.parse_query(octets)
        wanted = parse_query(octets)
        if isinstance(wanted, Malformed):
            assert isinstance(told, Malformed), f"seed {seed}: {octets.hex()} is no query: {wanted}"
        assert told == wanted, f"seed {seed}: {octets.hex()}"
        accepted += not isinstance(told, Malformed)
    assert accepted > CASES // 50


# The two caches.


def entry_facts(entry: CacheEntry | None) -> tuple[Any, ...] | None:
    """What can be told of an entry by its users."""
    if entry is None:
        return None
    response = None if entry.response is None else fields_of(entry.response)
    times = (entry.stored_at, entry.expires_at, entry.stale_until, entry.failed_until)
    return response, *times, entry.failure


@pytest.mark.parametrize("seed", SEEDS)
def test_both_caches_keep_the_same(seed: int, native: Engine, tmp_path: Path) -> None:
    chance = random.Random(seed)
    steps = 0
    for policy in policies_without_end(tmp_path, chance):
        limits = {
            "ttl_min_s": chance.choice((0, 0, 60)),
            "ttl_max_s": chance.choice((86400, 86400, 300)),
            "negative_ttl_max_s": chance.choice((3600, 10)),
            "stale_max_s": chance.choice((86400, 60, 0)),
        }
        caches = (ResponseCache(16 << 20, **limits), NativeCache(native.module.Cache(16 << 20, **limits)))
        known = [
            (each, response)
            for each in (answer(policy, chance) for _ in range(ANSWERS_PER_POLICY))
            if isinstance(response := accept_response(each.octets, sent_query(each)), Response)
        ]
        now = 1000.0
        for _ in range(PER_POLICY):
            each, response = chance.choice(known)
            question = Question(each.qname.lower(), each.qtype, each.dnssec_ok, chance.random() < 0.2)
            match chance.randrange(8):
                case 0 | 1:
                    facts = [entry_facts(cache.store(question, response, now)) for cache in caches]
                case 2:
                    ede = (22, "no upstream answered in time")
                    facts = [entry_facts(cache.store_failure(question, ede, now)) for cache in caches]
                case _:
                    facts = [entry_facts(cache.lookup(question, now)) for cache in caches]
            assert facts[0] == facts[1], f"seed {seed}: {question} at {now}"
            now += chance.choice((0.0, 0.0, 0.4, 1.0, 3.0, 61.0, 900.0, 30_000.0))
            steps += 1
        assert [(c.entries, c.hits, c.misses) for c in caches[:1]] == [
            (c.entries, c.hits, c.misses) for c in caches[1:]
        ]
        if steps >= CASES:
            break
