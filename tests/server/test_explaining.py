"""A running server explains: both caches, bounded, and counted nowhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from resolver.cache import AnyCache, NativeCache, ResponseCache
from resolver.config.settings import load_settings
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.policy.policy import Policy
from resolver.policy.verdict import PolicyRule
from resolver.server.explaining import ASKS_PER_S, LiveExplainer
from resolver.web.explain import Busy, NotReady
from resolver.wire.names import name_from_text as n
from resolver.wire.numbers import Qtype
from resolver.wire.question import Question
from tests.explain.test_server_part import heard
from tests.fuzz.rig import StillClock
from tests.support.engines import Engine
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = StillClock().now()
NAME = "www.example.org"
SETTINGS = b"records: {printer.example.net: [192.0.2.9]}\nclients: {allow: [127.0.0.0/8, 192.0.2.0/24]}\n"


class Upstreams:
    """A forwarder that gives everybody the same."""

    def __init__(self, result: Answered | Failed) -> None:
        self.result = result
        self.asked: list[Question] = []

    def ask(self, question: Question, done: Callable[[Answered | Failed], None]) -> None:
        self.asked.append(question)
        done(self.result)


class Named:
    name = "udp://198.51.100.53:53"


class Place:
    """A server's parts over one engine's cache."""

    def __init__(self, engine: Engine, folder: Path, result: Answered | Failed | None = None) -> None:
        settings, problems = load_settings(folder / "resolver.yaml", octets=SETTINGS)
        assert settings is not None, problems
        cache = ResponseCache(1 << 20) if engine.module is None else NativeCache(engine.module.Cache(1 << 20))
        self.cache: AnyCache = cache
        self.upstreams = Upstreams(result or Answered(heard(f"{NAME}. 60 A 192.0.2.1"), cast(Any, Named())))
        self.maker = PolicyMaker().block(make_rule(label="acme"), "acme.example")
        self.policy: Policy | None = None
        self.folder = folder
        self.explainer = LiveExplainer(
            settings,
            self.cache,
            StillClock(),
            engine=engine.name,
            policy=lambda: self.policy,
            forwarder=lambda: cast(Forwarder, self.upstreams),
            wall=lambda: 1_000_000.0,
        )

    def explain(self, name: str, qtype: str = "A", client: str | None = None, *, asks: bool = True) -> Any:
        if self.policy is None:
            self.policy = self.maker.policy(self.folder)
        return asyncio.run(self.explainer.explain(name, qtype, client, asks=asks))


def test_a_document_has_the_shape_of_explain_and_the_servers_part(engine: Engine, tmp_path: Path) -> None:
    document = Place(engine, tmp_path).explain("www.acme.example")
    assert set(document) == {
        "asked",
        "name",
        "unicode",
        "paused",
        "type",
        "at",
        "blocklist",
        "client",
        "decision",
        "records",
        "trace",
        "client_sees",
        "server",
    }
    assert document["decision"]["label"] == "acme" and document["client_sees"]["reply"]["rcode"] == "NXDOMAIN"
    server = document["server"]
    assert (server["engine"], server["generation"], server["cached"]) == (engine.name, 1, [])
    assert server["upstream"]["server"] == "udp://198.51.100.53:53"


def test_what_is_cached_is_told_and_looking_counts_as_nothing(engine: Engine, tmp_path: Path) -> None:
    place = Place(engine, tmp_path)
    place.cache.store(Question(n(NAME), Qtype.A), heard(f"{NAME}. 60 A 192.0.2.1"), NOW)
    before = (place.cache.hits, place.cache.misses)
    (entry,) = place.explain(NAME)["server"]["cached"]
    assert (entry["state"], entry["ttl_left_s"]) == ("fresh", 60)
    place.explain("absent.example.org")
    assert (place.cache.hits, place.cache.misses) == before


def test_upstreams_are_asked_what_a_plain_client_would_ask(engine: Engine, tmp_path: Path) -> None:
    place = Place(engine, tmp_path)
    upstream = place.explain(NAME, "aaaa")["server"]["upstream"]
    assert place.upstreams.asked == [Question(n(NAME), Qtype.AAAA, False, False)]
    assert upstream["failure"] is None and upstream["reply"]["answers"][0]["rdata"] == "192.0.2.1"


def test_a_failure_of_the_upstreams_is_told(engine: Engine, tmp_path: Path) -> None:
    failed = Failed("timeout", (22, "no upstream answered in time"))
    upstream = Place(engine, tmp_path, failed).explain(NAME)["server"]["upstream"]
    assert upstream["failure"] == {"reason": "timeout", "code": 22, "text": "no upstream answered in time"}
    assert "reply" not in upstream


@pytest.mark.parametrize(
    "name", ["localhost", "printer.example.net", "resolver.arpa", "1.0.0.127.in-addr.arpa"]
)
def test_names_of_this_place_are_asked_of_nobody(engine: Engine, tmp_path: Path, name: str) -> None:
    place = Place(engine, tmp_path)
    assert place.explain(name)["server"]["upstream"] is None and place.upstreams.asked == []


def test_nobody_is_asked_for_a_client_that_is_refused(engine: Engine, tmp_path: Path) -> None:
    place = Place(engine, tmp_path)
    document = place.explain(NAME, client="203.0.113.1")
    assert document["client"] == {"address": "203.0.113.1", "allowed": False}
    assert place.upstreams.asked == []


def test_nobody_is_asked_who_need_not_be(engine: Engine, tmp_path: Path) -> None:
    place = Place(engine, tmp_path)
    assert place.explain(NAME, asks=False)["server"]["upstream"] is None and place.upstreams.asked == []


def test_what_in_an_answer_is_blocked_is_told(engine: Engine, tmp_path: Path) -> None:
    chain = heard(f"{NAME}. 60 CNAME cdn.acme.example.", "cdn.acme.example. 60 A 192.0.2.1")
    place = Place(engine, tmp_path, Answered(chain, cast(Any, Named())))
    place.cache.store(Question(n(NAME), Qtype.A), chain, NOW)
    server = place.explain(NAME)["server"]
    for part in (server["upstream"], server["cached"][0]):
        assert (part["blocked_by"]["by"], part["blocked_by"]["value"]) == ("link", "cdn.acme.example")


def test_a_few_a_second_and_no_more(engine: Engine, tmp_path: Path) -> None:
    place = Place(engine, tmp_path)
    answered = 0
    with contextlib.suppress(Busy):
        while answered < 10 * ASKS_PER_S:
            place.explain(NAME)
            answered += 1
    assert ASKS_PER_S <= answered <= 2 * ASKS_PER_S
    assert len(place.upstreams.asked) == answered


def test_before_there_is_a_policy_it_says_so(engine: Engine, tmp_path: Path) -> None:
    place = Place(engine, tmp_path)
    with pytest.raises(NotReady):
        asyncio.run(place.explainer.explain(NAME, "A", None, asks=True))


@pytest.mark.parametrize(
    ("name", "qtype", "client"),
    [("bad..name", "A", None), (NAME, "NONSENSE", None), (NAME, "A", "nobody"), ("x" * 300, "A", None)],
)
def test_a_bad_argument_is_a_value_error(
    engine: Engine, tmp_path: Path, name: str, qtype: str, client: str | None
) -> None:
    place = Place(engine, tmp_path)
    with pytest.raises(ValueError):
        place.explain(name, qtype, client)
    assert place.upstreams.asked == []


def test_an_address_is_explained_without_a_cache(engine: Engine, tmp_path: Path) -> None:
    place = Place(engine, tmp_path)
    place.maker.addresses(make_rule(label="net"), "203.0.113.0/24")
    document = place.explain("203.0.113.7")
    assert document["trace"][0]["rule"] == "203.0.113.0/24"
    assert document["server"]["cached"] == [] and document["server"]["upstream"] is None


def secret_rule() -> PolicyRule:
    return make_rule(
        label="hush-label", name="Hush Name", orders=("hush-order",), is_confidential=True, ede_text=""
    )


def test_what_is_confidential_is_told_to_nobody_outside(engine: Engine, tmp_path: Path) -> None:
    place = Place(engine, tmp_path)
    place.maker.block(secret_rule(), "hush.example")
    document = place.explain("www.hush.example")
    assert document["decision"]["blocked"] and document["decision"]["confidential"]
    text = repr(document)
    assert not any(word in text for word in ("hush-label", "Hush Name", "hush-order"))
    assert document["decision"]["label"] == "confidential" and not document["decision"]["line"]
    chain = heard(f"{NAME}. 60 CNAME cdn.hush.example.", "cdn.hush.example. 60 A 192.0.2.1")
    place.upstreams.result = Answered(chain, cast(Any, Named()))
    document = place.explain(NAME)
    assert document["server"]["upstream"]["blocked_by"]["label"] == "confidential"
    text = repr(document)
    assert not any(word in text for word in ("hush-label", "Hush Name", "hush-order"))
