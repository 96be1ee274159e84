"""A server that repeats answers from memory says, octet for octet, what one says that never does.

Two scenes live through the same random life (queries, floods of repeats, time, reloads, moody upstreams),
one with the packet memo, one without; every answer and every hit is compared, and a few things that must
hold whatever happens are checked on each.
"""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype
import pytest

from resolver.flow.outcome import Drop, Respond
from resolver.policy.verdict import Exemption
from resolver.wire.names import name_from_text
from tests.support.scenario_engine import Client, Scene
from tests.support.scenario_messages import reply_octets
from tests.support.scenario_network import Sent
from tests.support.scenario_play import Edns, Play, PlaySettings, QueryStep, Reply

NAMES = ["a.example.org", "B.example.org", "a.acme.example", "b.acme.example", "b.bank.example"]
TYPES = ["A", "A", "A", "AAAA", "TXT", "ANY"]
BLOCKLISTS = [
    "version: 1\nexchanges: {}\n",
    "version: 1\nexchanges:\n  acme: {name: Acme, category: exchange, domains: [acme.example], addresses: [8.8.8.0/24]}\n",
    "version: 1\nexchanges:\n  acme: {name: Acme, category: exchange, domains: [acme.example], mode: shadow}\n"
    "  bank: {name: Bank, category: exchange, domains: [bank.example], action: sinkhole}\n",
    "version: 1\nexchanges:\n  acme: {name: Acme, category: exchange, domains: [acme.example], from: 2026-01-01T00:03:00.5Z}\n"
    "  bank: {name: Bank, category: exchange, domains: ['=b.bank.example'], until: 2026-01-01T00:05:00Z, ttl_s: 20}\n"
    "allow: [a.acme.example]\n",
]
SOA = "example 40 SOA ns.example host.example 1 2 3 4 25"


def mood(sent: Sent, now: float) -> Reply | None:
    """What an upstream says of a question in this minute; None: nothing."""
    question = sent.octets[12:].lower()
    kind = zlib.crc32(question + int(now / 60).to_bytes(4, "big")) % 10
    ttl = kind * 7 % 30
    rtype, rdata = {1: ("A", "192.0.2.1"), 28: ("AAAA", "2001:db8::1")}.get(
        int.from_bytes(question[question.index(0) + 1 :][:2], "big"), ("TXT", '"text"')
    )
    match kind:
        case 0:
            return None
        case 1:
            return Reply(rcode="SERVFAIL")
        case 2:
            return Reply(rcode="NXDOMAIN", authority=[SOA] if question.endswith(b"example") else [])
        case 3 | 4:
            return Reply(
                answer=[f"@ {ttl} CNAME x.acme.example", f"x.acme.example {ttl + 9} {rtype} {rdata}"]
            )
        case 5:
            return Reply()
        case 8 | 9 if rtype != "TXT":
            # With eleven records the answer turns by several at once, and may not fit 512 octets.
            more = range(2 + kind + int(now / 60) % 3 * 4)
            stem = rdata.removesuffix("1")
            return Reply(answer=[f"@ {ttl} {rtype} {stem}{number + 1}" for number in more])
        case 6 | 7 if rtype == "A":
            return Reply(answer=[f"@ {ttl} A 8.8.8.8"])
        case _:
            return Reply(answer=[f"@ {ttl} {rtype} {rdata}"])


def let_upstreams_speak(scene: Scene) -> None:
    while scene.network.unhandled:
        sent = scene.network.unhandled.pop(0)
        reply = mood(sent, scene.clock.now())
        if reply is not None:
            scene.network.deliver(sent, reply_octets(sent.octets, reply))


def random_query(dice: random.Random, number: int) -> QueryStep:
    rare = [Edns(), Edns(do=True), Edns(size=512), Edns(options={10: "0011223344556677"})]
    name: dict[str, Any] = {"as": f"life{number}"}  # a keyword of Python's
    return QueryStep(
        **name,
        name=dice.choice(NAMES),
        type=dice.choice(TYPES),
        rd=dice.random() < 0.9,
        cd=dice.random() < 0.1,
        edns=dice.choice([*[None] * 8, *rare]),
        transport=dice.choice(["udp", "udp", "udp", "tcp"]),
        client=dice.choice(["192.0.2.1", "192.0.2.1", "192.0.2.2", "203.0.113.9"]),
        times=dice.choice([1, 2, 5, 9]),
    )


def said(scene: Scene, group: str) -> list[tuple[object, ...]]:
    """What a group's clients have heard so far."""
    heard: list[tuple[object, ...]] = []
    for client in scene.groups[group]:
        outcome = client.outcome
        if isinstance(outcome, Respond):
            heard.append((client.name, client.reply, outcome.rcode, outcome.qtype, outcome.source))
        elif isinstance(outcome, Drop):
            heard.append((client.name, outcome.reason, outcome.close))
        else:
            heard.append((client.name, None))
    return heard


def check_whatever_happens(scene: Scene, client: Client) -> None:
    """A reply is well-formed, fits, and gives no blocked name's real records."""
    if not client.reply:
        return
    query, reply = dns.message.from_wire(client.octets), dns.message.from_wire(client.reply)
    qname = query.question[0].name.to_wire() or b""
    assert client.reply[12:].startswith(qname)
    assert reply.id == query.id
    assert (reply.edns >= 0) == (query.edns >= 0)
    assert client.transport.is_stream or len(client.reply) <= max(512, query.payload)
    assert all(rrset.ttl <= 300 or rrset.rdtype == dns.rdatatype.HINFO for rrset in reply.answer)
    table, now = scene.service.policy.everybody, scene.clock.now()
    if table.judge_name(name_from_text(str(query.question[0].name)), now).exemption is not Exemption.NONE:
        return
    for rrset in reply.answer:
        if rrset.rdtype == dns.rdatatype.A and str(rrset[0]) in ("192.0.2.1", "8.8.8.8"):
            assert not table.judge_name(name_from_text(str(rrset.name)), now).is_blocked


@pytest.mark.parametrize("seed", range(8))
def test_memory_changes_no_octet_and_no_count(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    settings = PlaySettings(rotate_addresses=True)
    play = Play(title="a life", settings=settings, steps=[{"silent": True}])  # type: ignore[list-item]
    scenes = [Scene(play, tmp_path, with_memo=with_memo) for with_memo in (True, False)]
    memory, plain = scenes
    for number in range(150):
        match dice.randrange(14):
            case 0:
                text = dice.choice(BLOCKLISTS)
                for scene in scenes:
                    scene.reload(text)
            case 1 | 2 | 3:
                seconds = dice.choice([0.05, 0.3, 0.9, 1, 2.5, 7, 31])
                for scene in scenes:
                    scene.advance(seconds)
                    let_upstreams_speak(scene)
            case _:
                step = random_query(dice, number)
                for scene in scenes:
                    scene.query(step)
                    let_upstreams_speak(scene)
                assert said(memory, step.as_ or "") == said(plain, step.as_ or "")
                for client in memory.groups[step.as_ or ""]:
                    check_whatever_happens(memory, client)
        assert memory.hits == plain.hits
        assert len(memory.network.sent) == len(plain.network.sent)
    for scene in scenes:
        scene.advance(60)
        let_upstreams_speak(scene)
        assert scene.service.defects == 0
        assert scene.service.waiting == scene.forwarder.pending == 0
        assert all(client.outcome is not None for client in scene.clients.values())
    for group in memory.groups:
        assert said(memory, group) == said(plain, group)
    outcomes = [client.outcome for client in memory.clients.values()]
    from_memory = len(outcomes) - len({id(outcome) for outcome in outcomes})
    assert from_memory > 20, "the memo was hardly used"
