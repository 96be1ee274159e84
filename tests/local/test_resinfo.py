"""What resolver.arpa says of this resolver (RFC 9606), on both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rdatatype
import pytest

from resolver.cache import ResponseCache
from resolver.config.settings import load_settings
from resolver.flow.clients import Clients
from resolver.flow.outcome import Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.local.resinfo import ERRORS, RESINFO_TTL_S, ranges_text, resinfo_rdata
from resolver.plane import RESPOND
from resolver.server.parts import make_local_names, make_resinfo
from resolver.wire.numbers import ExtendedError
from tests.fuzz.rig import ScriptedForwarder, StillClock
from tests.support.engines import Engine
from tests.support.policy_maker import PolicyMaker, make_rule

RESINFO = 261
CLIENT = bytes((192, 0, 2, 1))


def strings_of(rdata: bytes) -> list[str]:
    strings = []
    while rdata:
        strings.append(rdata[1 : 1 + rdata[0]].decode())
        rdata = rdata[1 + rdata[0] :]
    return strings


def answered(
    engine: Engine, folder: Path, name: str, qtype: int, settings_text: str = ""
) -> dns.message.Message:
    """What the engine says to a query with RD=0, as RFC 9606 has clients send it."""
    settings, _ = load_settings(folder / "resolver.yaml", octets=(settings_text or "{}").encode())
    assert settings is not None
    asked = dns.message.make_query(name, dns.rdatatype.RdataType.make(qtype))
    asked.flags &= ~dns.flags.RD
    maker = PolicyMaker().block(make_rule(), "blocked.example")
    if engine.module is None:
        cache: Any = ResponseCache(1 << 20)
        service = Service(
            policy=maker.policy(folder),
            cache=cache,
            forwarder=ScriptedForwarder(lambda *_: None),
            local=make_local_names(settings),
            clock=StillClock(),
            clients=Clients(settings.clients.allow),
            memo_octets_max=0,
        )
        outcome = service.answer_now(asked.to_wire(), Peer(b"\x7f\0\0\1", Transport.UDP), 0.0)
        assert isinstance(outcome, Respond)
        return dns.message.from_wire(asked.to_wire()[:2] + outcome.tail)
    core = engine.module.Core(
        engine.module.Cache(1 << 20),
        allow=[(CLIENT, 32)],
        rate_limit_qps=0,
        records=[],
        tcp_idle_s=10.0,
        in_flight_max=8,
        waiters_max=8,
        waiting_max=8,
        resinfo=make_resinfo(settings),
    )
    core.publish(str(maker.write(folder / "x.policy")), 1, 0.0, 0.0)
    word, octets = core.answer(asked.to_wire(), CLIENT, Transport.UDP, 0.0)
    assert word == RESPOND
    return dns.message.from_wire(octets)


def test_resolver_arpa_says_what_this_resolver_does(engine: Engine, tmp_path: Path) -> None:
    settings = "resinfo: {qnamemin: true, infourl: 'https://resolver.example.net/guide'}"
    message = answered(engine, tmp_path, "Resolver.ARPA", RESINFO, settings)
    (rrset,) = message.answer
    assert (rrset.rdtype, rrset.ttl, len(rrset)) == (RESINFO, RESINFO_TTL_S, 1)
    assert strings_of(rrset[0].to_wire()) == [
        "qnamemin",
        "exterr=0,3-4,13-19,22-24",
        "infourl=https://resolver.example.net/guide",
    ]


def test_the_answer_is_authoritative_or_no_client_would_believe_it(engine: Engine, tmp_path: Path) -> None:
    message = answered(engine, tmp_path, "resolver.arpa", RESINFO)
    assert message.flags & dns.flags.AA and message.rcode() == 0


def test_nothing_is_claimed_that_nobody_said(engine: Engine, tmp_path: Path) -> None:
    message = answered(engine, tmp_path, "resolver.arpa", RESINFO)
    assert strings_of(message.answer[0][0].to_wire()) == ["exterr=0,3-4,13-19,22-24"]


@pytest.mark.parametrize(
    ("name", "qtype"),
    [
        ("resolver.arpa", dns.rdatatype.A),
        ("resolver.arpa", dns.rdatatype.TXT),
        ("_dns.resolver.arpa", dns.rdatatype.SVCB),
        ("_dns.resolver.arpa", RESINFO),
    ],
)
def test_other_types_and_names_have_no_records(engine: Engine, tmp_path: Path, name: str, qtype: int) -> None:
    message = answered(engine, tmp_path, name, qtype)
    assert message.rcode() == 0 and not message.answer and not message.flags & dns.flags.AA
    assert message.authority[0].rdtype == dns.rdatatype.SOA


def test_every_error_that_answers_carry_is_listed() -> None:
    source = Path(__file__).parents[2] / "resolver"
    used = {
        error
        for path in source.rglob("*.py")
        for error in ExtendedError
        if f"ExtendedError.{error.name}" in path.read_text() and path.name != "resinfo.py"
    }
    assert used == set(ERRORS)


def test_runs_of_numbers_are_ranges() -> None:
    assert ranges_text([15, 16, 17, 3, 22]) == "3,15-17,22"
    assert ranges_text([]) == ""


def test_each_key_is_a_string_of_its_own() -> None:
    longest = "https://example.net/" + "x" * 227
    rdata = resinfo_rdata(is_minimising=False, infourl=longest)
    assert strings_of(rdata)[-1] == f"infourl={longest}" and len(strings_of(rdata)[-1]) == 255
