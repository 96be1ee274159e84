"""Structured DNS errors on the whole way through each engine: who gets them, and that nobody else notices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.edns
import dns.message

from resolver.cache import ResponseCache
from resolver.config.settings import Settings, load_settings
from resolver.flow.clients import Clients
from resolver.flow.outcome import Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.plane import RESPOND
from resolver.policy.verdict import PolicyAction
from resolver.server.parts import make_local_names, make_structured_errors
from tests.fuzz.rig import ScriptedForwarder, StillClock
from tests.support import engines
from tests.support.engines import Engine
from tests.support.for_each import for_each
from tests.support.policy_maker import PolicyMaker, make_rule

SDE = 65001
CLIENT = bytes((127, 0, 0, 1))
ENABLED = f"structured_errors: {{enabled: true, option_code: {SDE}, organization: Example Networks}}"
TOLD = {"contacts_json": '"c":["mailto:noc@example.net"]', "reason_json": '"j":"Acme: 12/3"'}

Ask = Callable[[bytes], bytes]
"""A query's octets over UDP -> the reply's; the same server each time."""


def settings_of(text: str) -> Settings:
    settings, problems = load_settings(Path("resolver.yaml"), octets=text.encode())
    assert settings is not None, problems
    return settings


def serving(engine: Engine, folder: Path, text: str) -> Ask:
    """One server with a memo in front."""
    settings = settings_of(text)
    structured = make_structured_errors(settings)
    maker = PolicyMaker().block(make_rule(**TOLD), "blocked.example")
    sinkhole = make_rule(label="hole", action=PolicyAction.SINKHOLE, sinkhole_ipv4=b"\xc0\0\2\1", **TOLD)
    maker.block(sinkhole, "hole.example")
    folder.mkdir(exist_ok=True)
    if engine.module is None:
        cache: Any = ResponseCache(1 << 20)
        service = Service(
            policy=maker.policy(folder),
            cache=cache,
            forwarder=ScriptedForwarder(lambda *_: None),
            local=make_local_names(settings),
            clock=StillClock(),
            clients=Clients(settings.clients.allow),
            memo_octets_max=1 << 20,
            structured_errors=structured,
        )

        def ask_python(octets: bytes) -> bytes:
            outcome = service.answer_now(octets, Peer(CLIENT, Transport.UDP), 0.0)
            assert isinstance(outcome, Respond)
            return octets[:2] + outcome.tail

        return ask_python
    core = engine.module.Core(
        engine.module.Cache(1 << 20),
        allow=[(CLIENT, 32)],
        rate_limit_qps=0,
        records=[],
        tcp_idle_s=10.0,
        in_flight_max=8,
        waiters_max=8,
        waiting_max=8,
        structured_errors=None if structured is None else structured.fields,
    )
    core.publish(str(maker.write(folder / "x.policy")), 1, 0.0, 0.0)
    steps = engines.testing_of(engine.module).Steps(core, seed=bytes(32))

    def ask_native(octets: bytes) -> bytes:
        ((word, reply),) = steps.answer_batch([(octets, CLIENT)], 0.0)
        assert word == RESPOND
        return bytes(reply)

    return ask_native


def option_of(code: int, value: bytes) -> dns.edns.Option:
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), value)


def query(name: str, *options: tuple[int, bytes], rrtype: str = "A") -> bytes:
    made = [option_of(code, value) for code, value in options]
    return dns.message.make_query(name, rrtype, use_edns=0, options=made, id=7).to_wire()


def texts_of(octets: bytes) -> list[tuple[int, str | None]]:
    message = dns.message.from_wire(octets)
    return [(int(o.code), o.text) for o in message.options if isinstance(o, dns.edns.EDEOption)]


def test_only_who_asks_gets_json_however_often_the_others_ask(engine: Engine, tmp_path: Path) -> None:
    ask = serving(engine, tmp_path, ENABLED)
    plain, asked = query("blocked.example"), query("blocked.example", (SDE, b""))
    before = ask(plain)
    for _ in range(4):
        assert ask(plain) == before
        ((code, text),) = texts_of(ask(asked))
        assert code == 15 and text is not None
        assert json.loads(text) == {
            "c": ["mailto:noc@example.net"],
            "j": "Acme: 12/3",
            "s": 5,
            "o": "Example Networks",
            "l": "en",
        }
    assert texts_of(before) == [(15, "Blocked: example")]


@for_each(
    "octets",
    [
        query("blocked.example"),
        query("www.blocked.example", rrtype="AAAA"),
        query("hole.example"),
        query("hole.example", (10, bytes(8))),
        query("blocked.example", (SDE + 1, b"")),
        query("blocked.example")[:-11][:11] + b"\0" + query("blocked.example")[12:-11],
        query("localhost"),
    ],
)
def test_without_the_option_not_an_octet_changes(engine: Engine, tmp_path: Path, octets: bytes) -> None:
    enabled, disabled = serving(engine, tmp_path / "on", ENABLED), serving(engine, tmp_path / "off", "{}")
    assert enabled(octets) == disabled(octets)


def test_where_it_is_off_the_option_says_nothing(engine: Engine, tmp_path: Path) -> None:
    ask = serving(engine, tmp_path, "{}")
    for name in ("blocked.example", "hole.example"):
        assert ask(query(name, (SDE, b""))) == ask(query(name))


def test_a_sinkhole_is_not_called_forged_to_who_asks(engine: Engine, tmp_path: Path) -> None:
    ask = serving(engine, tmp_path, ENABLED)
    assert [code for code, _ in texts_of(ask(query("hole.example", (SDE, b""))))] == [15]
    assert [code for code, _ in texts_of(ask(query("hole.example")))] == [15, 4]


def test_the_option_is_found_among_others_and_whatever_its_length(engine: Engine, tmp_path: Path) -> None:
    ask = serving(engine, tmp_path, ENABLED)
    octets = query("blocked.example", (10, bytes(8)), (SDE, b"longer"), (12, bytes(20)))
    ((_, text),) = texts_of(ask(octets))
    assert text is not None and json.loads(text)["o"] == "Example Networks"


def test_a_small_payload_keeps_every_record(engine: Engine, tmp_path: Path) -> None:
    ask = serving(engine, tmp_path, ENABLED)
    name = ".".join(["x" * 60] * 3 + ["hole.example"])
    made = dns.message.make_query(name, "A", use_edns=0, payload=512, options=[option_of(SDE, b"")])
    reply = ask(made.to_wire())
    assert len(reply) <= 512
    assert dns.message.from_wire(reply).answer[0][0].to_text() == "192.0.2.1"
