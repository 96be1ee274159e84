"""What is designated (RFC 9462, RFC 9461), and that relays can be told of: on both engines."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from resolver.cache import ResponseCache
from resolver.config.settings import load_settings
from resolver.flow.clients import Clients
from resolver.flow.outcome import Ask, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.local import LocalNames
from resolver.local.designation import DESIGNATION_TTL_S, HINTS_MAX, EncryptedListener, designations
from resolver.plane import ASK, RESPOND
from resolver.wire.names import name_from_text
from tests.fuzz.rig import ScriptedForwarder, StillClock
from tests.support import engines
from tests.support.engines import Engine
from tests.support.for_each import for_each
from tests.support.policy_maker import PolicyMaker, make_rule

CLIENT = bytes((127, 0, 0, 1))
RECORDS = {"dns.home.example": ["192.0.2.53", "2001:db8::53"]}

Said = dns.message.Message | None
"""None: the question goes on to upstreams."""


class Serving:
    """One server of either engine, a memo in front."""

    def __init__(
        self, engine: Engine, folder: Path, *, blocks_relay: bool = False, covers: bool = False
    ) -> None:
        maker = PolicyMaker().block(make_rule(), "blocked.example")
        self.designate: Callable[[bytes, list[bytes]], None]
        self._ask: Callable[[bytes], bytes | None]
        if engine.module is None:
            forwarder = ScriptedForwarder(lambda *_: None)
            if covers:
                forwarder.covers = lambda qname: True  # type: ignore[method-assign]
            names = LocalNames(RECORDS, blocks_relay=blocks_relay)
            service = Service(
                policy=maker.policy(folder),
                cache=ResponseCache(1 << 20),
                forwarder=forwarder,
                local=names,
                clock=StillClock(),
                clients=Clients([ip_network("127.0.0.0/8")]),
                memo_octets_max=1 << 20,
            )

            def ask_python(octets: bytes) -> bytes | None:
                outcome = service.answer_now(octets, Peer(CLIENT, Transport.UDP), 0.0)
                assert isinstance(outcome, Ask | Respond)
                return None if isinstance(outcome, Ask) else octets[:2] + outcome.tail

            self.designate, self._ask = names.designate, ask_python
            return
        core: Any = engine.module.Core(
            engine.module.Cache(1 << 20),
            allow=[(CLIENT, 8)],
            rate_limit_qps=0,
            records=[
                (name_from_text(name), [ip_address(text).packed for text in texts])
                for name, texts in RECORDS.items()
            ],
            tcp_idle_s=10.0,
            in_flight_max=8,
            waiters_max=8,
            waiting_max=8,
            blocks_relay=blocks_relay,
        )
        core.publish(str(maker.write(folder / "x.policy")), 1, 0.0, 0.0)
        if covers:
            suffixes = [name_from_text(text) for text in ("arpa", "com")]
            sets = [(suffix, 0, True, False, 0.4, 1e9, 0, None) for suffix in (b"\0", *suffixes)]
            core.publish_upstreams([("192.0.2.1", 53)], sets)
        steps = engines.testing_of(engine.module).Steps(core, seed=bytes(32))

        def ask_native(octets: bytes) -> bytes | None:
            ((word, reply),) = steps.answer_batch([(octets, CLIENT)], 0.0)
            assert word in (ASK, RESPOND)
            return bytes(reply) if word == RESPOND else None

        self.designate, self._ask = core.designate, ask_native

    def ask(self, name: str, rrtype: str = "SVCB") -> Said:
        octets = self._ask(dns.message.make_query(name, rrtype, id=7).to_wire())
        return None if octets is None else dns.message.from_wire(octets)


def listener(kind: Literal["tls", "https"], address: str, port: int) -> EncryptedListener:
    return EncryptedListener(kind, ip_address(address), port)


NAME = name_from_text("dns.home.example")
BOTH = [
    listener("https", "192.0.2.1", 443),
    listener("tls", "192.0.2.1", 853),
    listener("tls", "2001:db8::1", 853),
]


def texts_of(message: Said) -> list[str]:
    assert message is not None and message.rcode() == dns.rcode.NOERROR
    return [record.to_text() for rrset in message.answer for record in rrset]


def is_nodata(message: Said) -> bool:
    assert message is not None
    soa = message.authority[0].rdtype == dns.rdatatype.SOA
    return message.rcode() == dns.rcode.NOERROR and not message.answer and soa


def test_clients_are_told_of_the_listeners_there_are_and_of_no_others(engine: Engine, tmp_path: Path) -> None:
    serving = Serving(engine, tmp_path)
    serving.designate(NAME, designations(NAME, BOTH, []))
    message = serving.ask("_dns.Resolver.arpa")
    assert sorted(texts_of(message)) == [
        '1 dns.home.example. alpn="dot" port="853" ipv4hint="192.0.2.1" ipv6hint="2001:db8::1"',
        '2 dns.home.example. alpn="h2,http/1.1" port="443" ipv4hint="192.0.2.1" dohpath="/dns-query{?dns}"',
    ]
    assert message is not None and message.answer[0].ttl == DESIGNATION_TTL_S
    assert not message.flags & dns.flags.AA
    serving.designate(NAME, designations(NAME, BOTH[:1], []))
    assert len(texts_of(serving.ask("_dns.resolver.arpa"))) == 1


def test_without_encrypted_listeners_there_is_no_data_and_no_memo_holds_on_to_it(
    engine: Engine, tmp_path: Path
) -> None:
    serving = Serving(engine, tmp_path)
    for _ in range(4):
        assert is_nodata(serving.ask("_dns.resolver.arpa"))
    serving.designate(NAME, designations(NAME, BOTH, []))
    for _ in range(4):
        assert len(texts_of(serving.ask("_dns.resolver.arpa"))) == 2
    serving.designate(NAME, [])
    assert is_nodata(serving.ask("_dns.resolver.arpa"))


@for_each(
    ("name", "rrtype"),
    [
        ("resolver.arpa", "SVCB"),
        ("resolver.arpa", "NS"),
        ("_dns.resolver.arpa", "A"),
        ("_dns.resolver.arpa", "HTTPS"),
        ("x._dns.resolver.arpa", "SVCB"),
        ("_853._https.resolver.arpa", "SVCB"),
        ("_dns.dns.home.example", "A"),
    ],
)
def test_other_types_and_names_there_have_no_data(
    engine: Engine, tmp_path: Path, name: str, rrtype: str
) -> None:
    serving = Serving(engine, tmp_path)
    serving.designate(NAME, designations(NAME, BOTH, []))
    assert is_nodata(serving.ask(name, rrtype))


def test_the_site_s_own_name_of_the_server_tells_of_it_and_others_are_not_ours(
    engine: Engine, tmp_path: Path
) -> None:
    serving = Serving(engine, tmp_path)
    assert serving.ask("_dns.dns.home.example") is None
    serving.designate(NAME, designations(NAME, BOTH, []))
    assert len(texts_of(serving.ask("_DNS.dns.home.example"))) == 2
    assert serving.ask("_dns.home.example") is None
    # A name in somebody else's zone: what stands there is for its owner to say.
    other = name_from_text("dns.example.net")
    serving.designate(other, designations(other, BOTH, []))
    assert serving.ask("_dns.dns.example.net") is None
    assert serving.ask("_dns.dns.home.example") is None
    assert len(texts_of(serving.ask("_dns.resolver.arpa"))) == 2


def test_resolver_arpa_is_never_forwarded_whatever_the_operator_says(engine: Engine, tmp_path: Path) -> None:
    serving = Serving(engine, tmp_path, covers=True)
    for name in ("_dns.resolver.arpa", "resolver.arpa", "x.resolver.arpa"):
        assert is_nodata(serving.ask(name))
    # As the other special names are.
    assert serving.ask("nas.home.arpa", "A") is None


def test_a_listener_on_all_addresses_has_those_that_its_name_has_here() -> None:
    own = [ip_address(text) for text in RECORDS["dns.home.example"]]
    (rdata,) = designations(NAME, [listener("tls", "0.0.0.0", 853)], own)
    assert own[0].packed in rdata and own[1].packed not in rdata
    (rdata,) = designations(NAME, [listener("tls", "::", 853)], [])
    # Keys alpn and port alone: without hints a client looks the name up.
    assert rdata == b"\0\1" + NAME + b"\0\1\0\4\3dot" + b"\0\3\0\2\x03\x55"


def test_hints_are_few_enough_for_a_datagram() -> None:
    many = [listener("tls", f"2001:db8::{number:x}", 853) for number in range(200)]
    many += [listener("https", f"192.0.2.{number}", 443) for number in range(200)]
    rdatas = designations(NAME, many, [])
    assert len(rdatas) == 2
    assert all(len(rdata) < 2 + len(NAME) + 64 + 16 * HINTS_MAX for rdata in rdatas)


@for_each("name", ["mask.icloud.com", "MASK-h2.icloud.com", "x.mask.icloud.com"])
@for_each("rrtype", ["A", "AAAA", "HTTPS"])
def test_browsers_learn_that_no_relay_has_a_part_in_this_network(
    engine: Engine, tmp_path: Path, name: str, rrtype: str
) -> None:
    for folder in ("on", "off"):
        (tmp_path / folder).mkdir()
    message = Serving(engine, tmp_path / "on", blocks_relay=True).ask(name, rrtype)
    assert message is not None and message.rcode() == dns.rcode.NXDOMAIN
    assert message.authority[0].name.to_text().lower() in ("mask.icloud.com.", "mask-h2.icloud.com.")
    assert Serving(engine, tmp_path / "off").ask(name, rrtype) is None


@pytest.mark.parametrize("name", ["icloud.com", "www.icloud.com", "mask.example.com", "xmask.icloud.com"])
def test_no_other_name_is_taken_for_a_relay(engine: Engine, tmp_path: Path, name: str) -> None:
    assert Serving(engine, tmp_path, blocks_relay=True).ask(name, "A") is None


def test_an_upstream_named_for_the_relay_gets_the_question(engine: Engine, tmp_path: Path) -> None:
    assert Serving(engine, tmp_path, blocks_relay=True, covers=True).ask("mask.icloud.com", "A") is None


def test_relays_are_allowed_until_the_operator_says_otherwise() -> None:
    settings, _ = load_settings(Path("resolver.yaml"), octets=b"{}")
    assert settings is not None and settings.special_names.browser_relay == "allow"
