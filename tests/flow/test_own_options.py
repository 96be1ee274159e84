"""NSID, keepalive and padding on the whole way through each engine: who gets them, on which transport."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode

from resolver.cache import NativeCache, ResponseCache
from resolver.flow.clients import Clients
from resolver.flow.outcome import Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.local import LocalNames
from resolver.plane import RESPOND
from resolver.policy.structured import StructuredErrors
from resolver.policy.verdict import PolicyAction
from resolver.wire.encode import NSID_OCTETS_MAX, PADDED_BLOCK_OCTETS
from resolver.wire.names import name_from_text
from resolver.wire.question import Question
from resolver.wire.response import Response, accept_response
from tests.fuzz.corpus import made_answer
from tests.fuzz.rig import ScriptedForwarder, StillClock, sent_query
from tests.support.engines import Engine
from tests.support.for_each import for_each
from tests.support.policy_maker import PolicyMaker, make_rule

NSID, KEEPALIVE, PADDING, EDE, SDE = 3, 11, 12, 15, 65001
NAME = b"resolver-1"
STRANGER, CLIENT = bytes((203, 0, 113, 1)), bytes((127, 0, 0, 1))
NETWORKS = ["127.0.0.0/8"]
STRUCTURED = StructuredErrors(SDE, 5, '"o":"Example Networks"', '"l":"en"')

Ask = Callable[..., bytes]
"""A query's octets, the transport, the client -> the reply's; the same server each time."""


def serving(engine: Engine, folder: Path, nsid: bytes = NAME) -> Ask:
    """One server that knows www.example, and that nobody answers for fail.example."""
    maker = PolicyMaker().block(make_rule(), "blocked.example")
    maker.block(make_rule(label="no", action=PolicyAction.REFUSED), "refused.example")
    maker.block(make_rule(label="tcp", action=PolicyAction.TCP_ONLY), "tcp.example")
    maker.block(
        make_rule(label="hole", action=PolicyAction.SINKHOLE, sinkhole_ipv4=b"\xc0\0\2\1"), "hole.example"
    )
    learnt = made_answer("www.example", "A", answer=("www.example. 300 A 192.0.2.1",))
    known = accept_response(learnt.octets, sent_query(learnt))
    assert isinstance(known, Response)
    failed = Question(name_from_text("fail.example"), 1, False, False)
    if engine.module is None:
        cache: Any = ResponseCache(1 << 20)
        service = Service(
            policy=maker.policy(folder),
            cache=cache,
            forwarder=ScriptedForwarder(lambda *_: None),
            local=LocalNames(),
            clock=StillClock(),
            clients=Clients([ip_network(text) for text in NETWORKS]),
            memo_octets_max=1 << 20,
            structured_errors=STRUCTURED,
            nsid=nsid,
        )

        def ask_python(octets: bytes, transport: Transport, client: bytes = CLIENT) -> bytes:
            outcome = service.answer_now(octets, Peer(client, transport), 0.0)
            assert not isinstance(outcome, Drop) and isinstance(outcome, Respond)
            return octets[:2] + outcome.tail

        ask: Ask = ask_python
    else:
        cache = NativeCache(engine.module.Cache(1 << 20))
        core = engine.module.Core(
            cache.core,
            allow=[(bytes((127, 0, 0, 0)), 8)],
            rate_limit_qps=0,
            records=[],
            tcp_idle_s=10.0,
            in_flight_max=8,
            waiters_max=8,
            waiting_max=8,
            structured_errors=STRUCTURED.fields,
            nsid=nsid,
        )
        core.publish(str(maker.write(folder / "x.policy")), 1, 0.0, 0.0)

        def ask_native(octets: bytes, transport: Transport, client: bytes = CLIENT) -> bytes:
            word, reply = core.answer(octets, client, transport, 0.0)
            assert word == RESPOND
            return bytes(reply)

        ask = ask_native
    cache.store(Question(name_from_text("www.example"), 1, False, False), known, 0.0)
    cache.store_failure(failed, (22, ""), 0.0)
    return ask


def query(name: str, *codes: int, rrtype: str = "A", **facts: Any) -> bytes:
    options: list[dns.edns.Option] = [
        dns.edns.GenericOption(dns.edns.OptionType.make(code), b"") for code in codes
    ]
    return dns.message.make_query(name, rrtype, use_edns=0, options=options, id=7, **facts).to_wire()


def options_of(reply: bytes) -> list[int]:
    return [int(option.otype) for option in dns.message.from_wire(reply).options]


REPLIES = {
    "cached": query("www.example", NSID),
    "blocked": query("blocked.example", NSID),
    "sinkhole": query("hole.example", NSID),
    "refused by a rule": query("refused.example", NSID),
    "over TCP only": query("tcp.example", NSID),
    "local": query("localhost", NSID),
    "a failure": query("fail.example", NSID),
    "a class that is not served": query("version.bind", NSID, rrtype="TXT", rdclass="CH"),
    "a type that is not served": query("www.example", NSID, rrtype="AXFR"),
}
"""Each kind of reply, asked for with NSID; ANY is not among them, whose answers have hardly room for more."""


@for_each(
    ("kind", "transport"),
    [
        (kind, transport)
        for kind in REPLIES
        for transport in Transport
        # Over a stream its rule lets the name pass.
        if kind != "over TCP only" or not transport.is_stream
    ],
)
def test_who_asks_learns_the_name_of_the_server_with_every_reply(
    engine: Engine, tmp_path: Path, kind: str, transport: Transport
) -> None:
    reply = dns.message.from_wire(serving(engine, tmp_path)(REPLIES[kind], transport))
    (told,) = [option for option in reply.options if option.otype == NSID]
    assert told.to_wire() == NAME


def test_a_stranger_learns_which_server_turns_it_away(engine: Engine, tmp_path: Path) -> None:
    reply = serving(engine, tmp_path)(query("www.example", NSID), Transport.UDP, STRANGER)
    assert options_of(reply) == [NSID, EDE] and dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


def test_nobody_is_told_unasked_or_without_the_setting(engine: Engine, tmp_path: Path) -> None:
    for folder in ("on", "off"):
        (tmp_path / folder).mkdir()
    told, untold = serving(engine, tmp_path / "on"), serving(engine, tmp_path / "off", b"")
    for name in ("www.example", "blocked.example", "localhost"):
        # More than once: what one asked for, no memo gives another.
        for _ in range(4):
            assert NSID not in options_of(told(query(name), Transport.UDP))
            assert NSID in options_of(told(query(name, NSID), Transport.UDP))
            assert NSID not in options_of(untold(query(name, NSID), Transport.UDP))
        plain = dns.message.make_query(name, "A", id=7).to_wire()
        assert not options_of(told(plain, Transport.UDP))


def test_what_a_client_puts_into_the_option_is_ignored(engine: Engine, tmp_path: Path) -> None:
    option = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"another")
    asked = dns.message.make_query("www.example", "A", use_edns=0, options=[option]).to_wire()
    reply = dns.message.from_wire(serving(engine, tmp_path)(asked, Transport.UDP))
    assert [told.to_wire() for told in reply.options] == [NAME]


def test_the_longest_name_pushes_no_record_out(engine: Engine, tmp_path: Path) -> None:
    ask = serving(engine, tmp_path, b"x" * NSID_OCTETS_MAX)
    reply = dns.message.from_wire(ask(query("www.example", NSID), Transport.UDP))
    assert len(reply.answer) == 1 and not reply.flags & dns.flags.TC
    anything = ask(query("www.example", NSID, rrtype="ANY"), Transport.UDP)
    assert NSID not in options_of(anything)


@for_each("name", ["www.example", "blocked.example", "hole.example", "localhost", "fail.example"])
@for_each("transport", list(Transport))
def test_answers_are_padded_where_nobody_reads_along_and_the_client_pads(
    engine: Engine, tmp_path: Path, name: str, transport: Transport
) -> None:
    ask = serving(engine, tmp_path)
    for codes in ((PADDING,), (PADDING, NSID), (SDE, PADDING)):
        reply = ask(query(name, *codes), transport)
        assert (options_of(reply)[-1:] == [PADDING]) is transport.is_encrypted
        assert (len(reply) % PADDED_BLOCK_OCTETS == 0) is transport.is_encrypted
    reply = ask(query(name, NSID), transport)
    assert PADDING not in options_of(reply) and len(reply) % PADDED_BLOCK_OCTETS


@for_each("transport", list(Transport))
@for_each("name", ["www.example", "blocked.example"])
def test_keepalive_is_told_on_tcp_and_tls_alone(
    engine: Engine, tmp_path: Path, transport: Transport, name: str
) -> None:
    options = options_of(serving(engine, tmp_path)(query(name, KEEPALIVE), transport))
    assert (KEEPALIVE in options) is (transport in (Transport.TCP, Transport.TLS))


def test_a_structured_error_and_the_name_of_the_server_share_the_option_record(
    engine: Engine, tmp_path: Path
) -> None:
    reply = serving(engine, tmp_path)(query("blocked.example", SDE, NSID), Transport.UDP)
    assert options_of(reply) == [NSID, EDE]
