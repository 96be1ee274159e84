"""What a running server adds: the state of what it has, and what in an answer is blocked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import pytest

from resolver.cache import AnyCache, NativeCache, ResponseCache
from resolver.explain.server_part import cached_json, condemned
from resolver.policy.table import PolicyTable
from resolver.wire.names import name_from_text as n
from resolver.wire.numbers import Qtype
from resolver.wire.question import Question
from resolver.wire.response import Response, SentQuery, accept_response
from tests.support.engines import Engine
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = 1_000.0
NAME = "www.example.org"


def heard(*lines: str, name: str = NAME, rrtype: str = "A") -> Response:
    """What an upstream says, accepted."""
    asked = dns.message.make_query(name, rrtype, id=7)
    reply = dns.message.make_response(asked)
    for line in lines:
        owner, ttl, rtype, rdata = line.split(" ", 3)
        reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", rtype, *rdata.split(" | ")))
    sent = SentQuery(id=7, qname=n(name), qtype=int(Qtype[rrtype]), qclass=1, edns=True, dnssec_ok=False)
    response = accept_response(reply.to_wire(), sent)
    assert isinstance(response, Response), response
    return response


def table_of(folder: Path) -> PolicyTable:
    maker = PolicyMaker().block(make_rule(label="acme"), "acme.example", "=exact.example")
    maker.block(make_rule(label="hush", ede_text="", is_confidential=True), "hush.example")
    maker.addresses(make_rule(label="net"), "203.0.113.0/24", "2001:db8:bad::/48")
    return maker.allow("ok.example").table(folder)


def found_in(folder: Path, *lines: str, rrtype: str = "A", name: str = NAME) -> dict[str, Any] | None:
    response = heard(*lines, rrtype=rrtype, name=name)
    found = condemned(table_of(folder), n(name), int(Qtype[rrtype]), response, NOW)
    return None if found is None else found.as_json()


def test_the_link_that_is_blocked_is_named_with_its_place(tmp_path: Path) -> None:
    found = found_in(
        tmp_path,
        f"{NAME}. 60 CNAME mid.example.net.",
        "mid.example.net. 60 CNAME cdn.acme.example.",
        "cdn.acme.example. 60 A 192.0.2.1",
    )
    assert found is not None
    assert (found["by"], found["position"], found["value"]) == ("link", 2, "cdn.acme.example")
    assert (found["rule"], found["file"], found["line"], found["label"]) == (
        "acme.example",
        "blocklist.yaml",
        1,
        "acme",
    )


def test_the_address_that_is_blocked_is_named_with_its_network(tmp_path: Path) -> None:
    found = found_in(tmp_path, f"{NAME}. 60 A 192.0.2.1 | 203.0.113.7 | 192.0.2.9")
    assert found is not None
    assert (found["by"], found["value"], found["rule"]) == ("address", "203.0.113.7", "203.0.113.0/24")


def test_an_address_carried_in_another_is_named_as_it_came(tmp_path: Path) -> None:
    found = found_in(tmp_path, f"{NAME}. 60 AAAA 64:ff9b::203.0.113.7", rrtype="AAAA")
    assert found is not None
    assert (found["by"], found["value"], found["rule"]) == ("address", "64:ff9b::cb00:7107", "203.0.113.0/24")


def test_the_service_target_that_is_blocked_is_named(tmp_path: Path) -> None:
    found = found_in(tmp_path, f"{NAME}. 60 HTTPS 1 edge.acme.example.", rrtype="HTTPS")
    assert found is not None
    assert (found["by"], found["value"], found["position"]) == ("service", "edge.acme.example", 1)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (NAME, (f"{NAME}. 60 A 192.0.2.1",)),
        ("ok.example", ("ok.example. 60 A 203.0.113.7",)),
        ("www.acme.example", ("www.acme.example. 60 A 203.0.113.7",)),
        (NAME, (f"{NAME}. 60 CNAME below.exact.example.", "below.exact.example. 60 A 192.0.2.1")),
    ],
)
def test_what_is_fine_or_excepted_or_blocked_by_its_own_name_is_not(
    tmp_path: Path, name: str, lines: tuple[str, ...]
) -> None:
    assert found_in(tmp_path, *lines, name=name) is None


def caches(engine: Engine) -> AnyCache:
    if engine.module is None:
        return ResponseCache(1 << 20)
    return NativeCache(engine.module.Cache(1 << 20))


def told(cache: AnyCache, folder: Path, at: float, name: str = NAME) -> list[dict[str, Any]]:
    table = table_of(folder)
    return cached_json(lambda question: cache.lookup(question, at), n(name), int(Qtype.A), table, at)


def test_nothing_is_told_of_what_is_not_there(engine: Engine, tmp_path: Path) -> None:
    assert told(caches(engine), tmp_path, NOW) == []


def test_a_fresh_entry_has_its_time_left(engine: Engine, tmp_path: Path) -> None:
    cache = caches(engine)
    cache.store(Question(n(NAME), Qtype.A), heard(f"{NAME}. 60 A 192.0.2.1"), NOW)
    (entry,) = told(cache, tmp_path, NOW + 20)
    assert (entry["state"], entry["age_s"], entry["ttl_left_s"]) == ("fresh", 20, 40)
    assert entry["reply"]["answers"] == [{"name": NAME, "ttl_s": 40, "type": "A", "rdata": "192.0.2.1"}]
    assert entry["failure"] is None and entry["blocked_by"] is None


def test_a_stale_entry_is_called_so(engine: Engine, tmp_path: Path) -> None:
    cache = caches(engine)
    cache.store(Question(n(NAME), Qtype.A), heard(f"{NAME}. 60 A 203.0.113.7"), NOW)
    (entry,) = told(cache, tmp_path, NOW + 100)
    assert (entry["state"], entry["ttl_left_s"]) == ("stale", 0)
    assert 0 < entry["stale_left_s"] <= 86_400 - 40
    assert entry["blocked_by"]["by"] == "address"


def test_a_failure_is_told_with_its_time_left(engine: Engine, tmp_path: Path) -> None:
    cache = caches(engine)
    cache.store_failure(Question(n(NAME), Qtype.A), (22, "no upstream answered in time"), NOW)
    (entry,) = told(cache, tmp_path, NOW)
    assert entry["state"] == "failure"
    assert entry["failure"] == {"code": 22, "text": "no upstream answered in time", "left_s": 1}


def test_what_dnssec_clients_get_is_told_apart(engine: Engine, tmp_path: Path) -> None:
    cache = caches(engine)
    cache.store(Question(n(NAME), Qtype.A, True), heard(f"{NAME}. 60 A 192.0.2.1"), NOW)
    (entry,) = told(cache, tmp_path, NOW)
    assert (entry["dnssec_ok"], entry["checking_disabled"]) == (True, False)
