from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Transport
from resolver.observe.facts import (
    STATES,
    CacheFacts,
    Facts,
    ForwardingFacts,
    ListFacts,
    NativeFacts,
    PolicyFacts,
    ReloadFacts,
    UpstreamFacts,
)
from resolver.observe.metrics import render
from resolver.observe.series import DROP_REASONS
from resolver.observe.tally import Tallies
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm, RuleMatch, Verdict

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


POLICY = PolicyFacts(
    generation=7,
    exchanges=(("acme", "nxdomain", "enforce"), ("zenith", "sinkhole", "shadow")),
    lists=(("ads", "nxdomain", "enforce"),),
    rules={"acme": 4, "zenith": 1},
    states={"acme": "enforced", "zenith": "shadow"},
    content="5eed",
)
UPSTREAM = UpstreamFacts(
    name="udp://192.0.2.53:53",
    is_up=False,
    queries=9,
    failures={"timeout": 2},
    bounds=(0.01, 0.1),
    buckets=(4, 2, 1),
    seconds=0.9,
)


def facts_of(tallies: Tallies, policy: PolicyFacts = POLICY) -> Facts:
    return Facts(
        version="0.1.0",
        engine="python",
        tallies=tallies.snapshot(),
        drops={"policy": 1, "tcp_short_message": 6},
        policy=policy,
        reloads=ReloadFacts(successes=2, failures=1, last_success=1.5, last_attempt=2.5),
        cache=CacheFacts(entries=3, octets=4096, misses=5, evictions=1),
        upstreams=(UPSTREAM,),
        forwarding=ForwardingFacts(waiting=2),
        log_lines_dropped=4,
    )


def scrape(tallies: Tallies, policy: PolicyFacts = POLICY) -> Samples:
    text = render(facts_of(tallies, policy)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def verdict(label: str = "acme", action: PolicyAction = PolicyAction.NXDOMAIN) -> Verdict:
    rule = PolicyRule("exchange", label, label, action, Mode.ENFORCE, 300, bytes(4), bytes(16), 15, "")
    return Verdict(action, RuleMatch(rule, RuleForm.SUBTREE, b"\x07example\x00", "blocklist.yaml", 1))


def test_every_exchange_is_there_at_zero_before_anyone_asks() -> None:
    samples = scrape(Tallies())
    assert (
        value(samples, "resolver_exchange_hits_total", exchange="acme", action="nxdomain", mode="enforce")
        == 0
    )
    assert (
        value(samples, "resolver_exchange_hits_total", exchange="zenith", action="sinkhole", mode="shadow")
        == 0
    )
    assert value(samples, "resolver_list_hits_total", list="ads", action="nxdomain", mode="enforce") == 0


def test_closed_sets_are_there_at_zero_before_anyone_asks() -> None:
    samples = scrape(Tallies())
    for reason in DROP_REASONS:
        assert value(samples, "resolver_dropped_total", reason=reason) == (
            {"policy": 1, "tcp_short_message": 6}.get(reason, 0)
        )
    for source in Source:
        for rcode in ("NOERROR", "SERVFAIL", "NXDOMAIN", "OTHER"):
            assert value(samples, "resolver_responses_total", rcode=rcode, source=source.value) == 0
    for transport in ("udp", "tcp"):
        for qtype in ("A", "AAAA", "HTTPS", "OTHER", "none"):
            assert value(samples, "resolver_queries_total", transport=transport, qtype=qtype) == 0
    for state in STATES:
        count = {"enforced": 1, "shadow": 1}.get(state, 0)
        assert value(samples, "resolver_blocklist_exchanges", state=state) == count


def test_the_states_of_a_server_without_a_policy_are_at_zero() -> None:
    samples = scrape(Tallies(), PolicyFacts())
    for state in STATES:
        assert value(samples, "resolver_blocklist_exchanges", state=state) == 0
        assert value(samples, "resolver_blocklist_domains", state=state) == 0
    assert not [name for name, _ in samples if name == "resolver_policy_info"]


def test_how_exchanges_stand_is_told() -> None:
    samples = scrape(Tallies())
    assert value(samples, "resolver_blocklist_domains", state="enforced") == 4
    assert value(samples, "resolver_blocklist_domains", state="shadow") == 1
    assert value(samples, "resolver_exchange_in_force", exchange="acme") == 1
    assert value(samples, "resolver_exchange_in_force", exchange="zenith") == 0
    assert value(samples, "resolver_policy_info", hash="5eed") == 1


def test_hits_count_exactly_the_queries_asked() -> None:
    tallies = Tallies()
    for transport in (Transport.UDP, Transport.UDP, Transport.TCP):
        tallies.of(transport, Respond(b"", 3, 1, Source.POLICY, verdict())).add(0.0)
    tallies.of(Transport.UDP, Respond(b"", 0, 1, Source.CACHE)).add(0.0)
    samples = scrape(tallies)
    assert (
        value(samples, "resolver_exchange_hits_total", exchange="acme", action="nxdomain", mode="enforce")
        == 3
    )
    assert value(samples, "resolver_queries_total", transport="udp", qtype="A") == 3
    assert value(samples, "resolver_responses_total", rcode="NXDOMAIN", source="policy") == 3
    assert value(samples, "resolver_responses_total", rcode="NOERROR", source="cache") == 1


def test_a_series_that_counted_outlives_its_exchange() -> None:
    tallies = Tallies()
    tallies.of(Transport.UDP, Respond(b"", 3, 1, Source.POLICY, verdict("gone"))).add(0.0)
    samples = scrape(tallies)
    assert (
        value(samples, "resolver_exchange_hits_total", exchange="gone", action="nxdomain", mode="enforce")
        == 1
    )


def test_an_exchange_that_never_counted_leaves_with_its_policy() -> None:
    samples = scrape(Tallies(), PolicyFacts(generation=8))
    assert not [name for name, _ in samples if name == "resolver_exchange_hits_total"]


def test_a_silent_block_is_a_hit_and_a_drop_but_no_response() -> None:
    tallies = Tallies()
    tallies.of(Transport.UDP, Drop("policy", qtype=1, verdict=verdict(action=PolicyAction.DROP))).add(0.0)
    samples = scrape(tallies)
    assert value(samples, "resolver_exchange_hits_total", exchange="acme", action="drop", mode="enforce") == 1
    assert value(samples, "resolver_dropped_total", reason="policy") == 2  # one of them the listeners'
    assert value(samples, "resolver_dropped_total", reason="tcp_short_message") == 6
    assert not sum(number for (name, _), number in samples.items() if name == "resolver_responses_total")


def test_histogram_buckets_add_up_to_the_count() -> None:
    tallies = Tallies()
    tally = tallies.of(Transport.UDP, Respond(b"", 0, 1, Source.CACHE))
    tallies.settle([tally] * 5, 0.0002)
    tallies.settle([tally] * 2, 0.004)
    tally.add(9.0)
    samples = scrape(tallies)
    assert value(samples, "resolver_response_seconds_bucket", source="cache", le="0.0005") == 5
    assert value(samples, "resolver_response_seconds_bucket", source="cache", le="0.002") == 5
    assert value(samples, "resolver_response_seconds_bucket", source="cache", le="0.005") == 7
    assert value(samples, "resolver_response_seconds_bucket", source="cache", le="5.0") == 7
    assert value(samples, "resolver_response_seconds_bucket", source="cache", le="+Inf") == 8
    assert value(samples, "resolver_response_seconds_count", source="cache") == 8
    assert value(samples, "resolver_response_seconds_sum", source="cache") == pytest.approx(9.009)


def test_the_other_rooms_integers_are_told() -> None:
    samples = scrape(Tallies())
    assert value(samples, "resolver_cache_entries") == 3
    assert value(samples, "resolver_cache_bytes") == 4096
    assert value(samples, "resolver_cache_misses_total") == 5
    assert value(samples, "resolver_upstream_queries_total", upstream="udp://192.0.2.53:53") == 9
    assert (
        value(samples, "resolver_upstream_failures_total", upstream="udp://192.0.2.53:53", reason="timeout")
        == 2
    )
    assert value(samples, "resolver_upstream_response_seconds_count", upstream="udp://192.0.2.53:53") == 7
    assert value(samples, "resolver_blocklist_rules", exchange="acme") == 4
    assert value(samples, "resolver_policy_generation") == 7
    assert value(samples, "resolver_reloads_total", result="failure") == 1
    assert value(samples, "resolver_blocklist_last_success_timestamp_seconds") == 1.5
    assert value(samples, "resolver_build_info", version="0.1.0", engine="python") == 1
    assert value(samples, "resolver_waiting_queries") == 2
    assert value(samples, "resolver_log_lines_dropped_total") == 4


def test_hits_in_the_cache_are_counted_where_answers_leave() -> None:
    tallies = Tallies()
    for source in (Source.CACHE, Source.STALE, Source.UPSTREAM, Source.POLICY):
        tallies.of(Transport.UDP, Respond(b"", 0, 1, source)).add(0.0)
    assert value(scrape(tallies), "resolver_cache_hits_total") == 2


@pytest.mark.needs("promtool")
def test_promtool_has_nothing_to_say() -> None:
    tallies = Tallies()
    tallies.of(Transport.UDP, Respond(b"", 3, 1, Source.POLICY, verdict())).add(0.0)
    tallies.of(Transport.UDP, Drop("response")).add(0.0)
    facts = replace(
        facts_of(tallies), native=NativeFacts(), lists=(ListFacts("ads", 1.0, {"updated": 1, "timeout": 0}),)
    )
    told = subprocess.run(
        ["promtool", "check", "metrics"],
        input=render(facts),
        capture_output=True,
        check=False,
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")
