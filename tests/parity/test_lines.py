"""The lines of the query log: both engines write the same octets for the same queries, however hostile."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from resolver.flow.outcome import Source
from resolver.flow.peer import Peer, Transport
from resolver.observe.clients import HIDDEN
from resolver.observe.query_log import lines_of
from resolver.observe.records import Record
from resolver.policy.verdict import PASS
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qtype
from resolver.wire.query import Malformed, parse_query
from resolver.wire.question import Question
from resolver.wire.response import Response, accept_response
from tests.fuzz import corpus
from tests.fuzz.rig import sent_query
from tests.parity.material import policies
from tests.parity.sides import ClientQuery, Difference, Sides
from tests.parity.test_parity import learn, query_for
from tests.support.engines import Engine, engine_called

LOOKS = [
    (line_format, clients)
    for line_format in ("text", "json", "jsonl", "dnstap", "syslog")
    for clients in ("hidden", "network", "full", "encrypted")
]
CLIENTS = [ip_address(text).packed for text in ("192.0.2.1", "2001:db8::1", "203.0.113.9", "2001:db9:0:1::")]
OFFSETS_S = (0.0, 1.7e9, 1_709_251_199.999_999_9, 951_868_799.123_456_5)
EVERY_OCTET = [bytes(range(start, start + 32)) for start in range(0, 256, 32)]


def asked(qname: bytes, qtype: int = 1) -> bytes:
    return encode_query(qname, qtype, id=4711, dnssec_ok=False, checking_disabled=False, edns=False)


def hostile_names() -> list[bytes]:
    """Every octet, labels that look like fields and escapes, the longest names, the root."""
    labels = [*EVERY_OCTET, b'a="b" c', b"\\", b"\\\\n", b"\n", b"", "ü…\u202e".encode(), b"x" * 63, b"a.b"]
    names = [
        b"".join(bytes((len(label),)) + label for label in (one, b"example") if label) + b"\0"
        for one in labels
    ]
    longest = b"".join(bytes((63,)) + octet * 63 for octet in (b"\0", b"\xff", b'"'))
    return [
        *names,
        b"\0",
        longest + bytes((61,)) + b"\\" * 61 + b"\0",
        longest + bytes((60,)) + b"a" * 60 + b"\0",
    ]


@pytest.fixture
def native() -> Engine:
    return engine_called("native")


def compare_all(sides: Sides, questions: list[ClientQuery], now: float) -> int:
    """Let both answer, then write every look of line; how many lines."""
    lines = 0
    for number, (line_format, clients) in enumerate(LOOKS):
        sides.compare(questions, now)
        lines += sides.compare_lines(line_format, clients, OFFSETS_S[number % len(OFFSETS_S)])
    return lines


def test_hostile_names_from_every_client_look_alike(native: Engine, tmp_path: Path) -> None:
    policy = policies(tmp_path, random.Random(1))[0]
    sides = Sides(native.module, policy, query_records="all")
    # Without RD each is answered at once.
    octets = [asked(name)[:2] + b"\0\0" + asked(name)[4:] for name in hostile_names()]
    questions = [
        ClientQuery(one, client, transport, name)
        for one in octets
        for client in CLIENTS
        for transport, name in (
            (Transport.UDP, ""),
            (Transport.TCP, ""),
            (Transport.TLS, "phones"),
            (Transport.HTTPS, "x" * 63),
        )
    ]
    assert compare_all(sides, questions, policy.monotonic) == len(LOOKS) * len(questions)


def test_every_type_looks_alike(native: Engine, tmp_path: Path) -> None:
    policy = policies(tmp_path, random.Random(1))[0]
    sides = Sides(native.module, policy, query_records="all")
    qtypes = sorted({*map(int, Qtype), *range(300), 4660, 32767, 65280, 65535})
    qname = name_from_text("name.example.com")
    octets = [asked(qname, qtype)[:2] + b"\0\0" + asked(qname, qtype)[4:] for qtype in qtypes]
    questions = [ClientQuery(one, CLIENTS[0], Transport.TCP) for one in octets]
    assert compare_all(sides, questions, policy.monotonic) == len(LOOKS) * len(qtypes)


@pytest.mark.slow
def test_every_rule_and_mode_of_a_policy_looks_alike(native: Engine, tmp_path: Path) -> None:
    lines = 0
    chance = random.Random(1)
    for policy in policies(tmp_path, chance):
        for query_records in ("blocked", "all"):
            sides = Sides(native.module, policy, query_records=query_records)
            octets = [asked(name_from_text(name)) for name in policy.names]
            questions = [ClientQuery(one, CLIENTS[0], transport) for one in octets for transport in Transport]
            lines += compare_all(sides, questions, policy.monotonic)
    assert lines > 1000


def test_whatever_of_an_answer_condemns_it_looks_alike(native: Engine, tmp_path: Path) -> None:
    matches: Counter[str] = Counter()
    for seed in range(40):
        chance = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        for policy in policies(folder, chance):
            sides = Sides(native.module, policy, query_records="all")
            known = [learn(sides, policy, policy.monotonic, chance) for _ in range(30)]
            questions = [ClientQuery(query_for(one, chance), CLIENTS[0], Transport.TCP) for one in known]
            for record_format in ("jsonl", "dnstap", "syslog"):
                sides.compare(questions, policy.monotonic)
                sides.compare_lines(record_format, "full", 0.0)
            matches += sides.matches
        if len(matches) == 4:
            break
    assert matches.keys() == {"qname", "chain", "service", "address"}


def test_every_rcode_and_every_state_of_the_cache_look_alike(native: Engine, tmp_path: Path) -> None:
    policy = policies(tmp_path, random.Random(1))[0]
    sides = Sides(native.module, policy, query_records="all")
    now = policy.monotonic
    learnt = (accept_response(each.octets, sent_query(each)) for each in corpus.answers())
    response = next(each for each in learnt if isinstance(each, Response) and each.ttl_s and not each.links)
    for rcode in range(32):
        qname = name_from_text(f"r{rcode}.example.org")
        for state, age_s in (("fresh", 0.0), ("stale", response.ttl_s + 10.0)):
            question = Question(bytes((5,)) + state.encode() + qname, 1, False, False)
            sides.store(question, replace(response, rcode=rcode, addresses=()), now - age_s)
            if state == "stale":
                sides.fail(question, (22, "no upstream answered in time"), now)
    questions = [
        ClientQuery(
            asked(bytes((5,)) + state + name_from_text(f"r{rcode}.example.org")), CLIENTS[0], Transport.UDP
        )
        for rcode in range(32)
        for state in (b"fresh", b"stale")
    ]
    assert compare_all(sides, questions, now) == len(LOOKS) * len(questions)
    sources = {key.source for key, _, _ in sides.tallies.snapshot().counts}
    assert {Source.CACHE, Source.STALE} <= sources


def test_what_is_no_query_looks_alike(native: Engine, tmp_path: Path) -> None:
    policy = policies(tmp_path, random.Random(1))[0]
    sides = Sides(native.module, policy, query_records="all")
    good = asked(name_from_text("www.example.org"))
    broken = [good[:length] for length in range(len(good))]
    broken += [
        good + b"\0",
        good[:2] + b"\x81" + good[3:],
        good[:2] + b"\x29" + good[3:],
        good[:5] + b"\2" + good[6:],
    ]
    reasons = {query.reason for query in map(parse_query, broken) if isinstance(query, Malformed)}
    assert len(reasons) >= 5
    questions = [ClientQuery(octets, client, Transport.UDP) for octets in broken for client in CLIENTS]
    assert compare_all(sides, questions, policy.monotonic) == len(LOOKS) * len(questions)


def test_the_comparison_of_lines_can_fail(native: Engine, tmp_path: Path) -> None:
    policy = policies(tmp_path, random.Random(1))[0]
    sides = Sides(native.module, policy, query_records="all")
    octets = asked(name_from_text("use-application-dns.net"))
    sides.compare([ClientQuery(octets, CLIENTS[0], Transport.TCP)], policy.monotonic)
    sides.core.answer(octets, CLIENTS[0], True, policy.monotonic)
    with pytest.raises(Difference):
        sides.compare_lines("text", "hidden", 0.0)


def test_moments_look_alike_over_the_centuries(native: Engine, tmp_path: Path) -> None:
    policy = policies(tmp_path, random.Random(1))[0]
    sides = Sides(native.module, policy, query_records="all")
    octets = asked(name_from_text("use-application-dns.net"))
    chance = random.Random(3)
    peer = Peer(CLIENTS[0], Transport.TCP)
    look = native.module.RecordLook("text", "hidden")
    for _ in range(300):
        offset_s = chance.choice(
            (chance.uniform(0, 4e9), chance.uniform(1.7e9, 1.9e9), float(chance.randrange(4 << 30)))
        )
        assert sides.core.answer(octets, CLIENTS[0], True, policy.monotonic)[0] == 0
        native_line = sides.core.take_records().written(look, offset_s)[0].decode()
        record = Record(policy.monotonic, peer, octets, 0, "local", PASS)
        python_line = lines_of([record], "text", HIDDEN, offset_s).decode()
        assert native_line.split(" ", 1)[0] == python_line.split(" ", 1)[0]
