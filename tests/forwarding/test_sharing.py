"""What another plane is told of upstreams, and what its answers do to their health."""

from __future__ import annotations

from typing import Any

import pytest

from resolver.forwarding.bounds import STREAM_TIMEOUT_S_MAX
from resolver.forwarding.oddities import BELIEVED_S, EVIDENCE_MIN
from resolver.forwarding.plan import ForwardPlan, Server, Strategy
from resolver.forwarding.sharing import (
    ASK_US,
    IN_LOWER_CASE,
    IN_MIXED_CASE,
    IN_UNPROVEN_CASE,
    SHARE_EVERY_S,
    Authorities,
    SharedUpstreams,
)
from resolver.forwarding.upstream import (
    ATTEMPT_TIMEOUT_S_FIRST,
    MEASURE_EVERY_S,
    RESPONSE_SECONDS_BOUNDS,
    Upstream,
)
from resolver.plane import UpstreamReport, UpstreamServerFields, UpstreamSetFields
from tests.support.scenario_clock import FakeClock

ONE, TWO = Server("udp", "192.0.2.1", 53), Server("udp", "2001:db8::2", 5353, trust_ad=True)
STREAM = Server("tcp", "192.0.2.3", 53)
PIN = bytes(32)
TLS = Server("tls", "192.0.2.4", 853, host="dns.example", pins=(PIN,))
CORP = b"\4corp\7example\0"
NEVER = float("inf")


class Rig:
    """A plan, and the other plane's two ears."""

    def __init__(
        self,
        *servers: Server,
        strategy: Strategy = "ordered",
        timeout_s: float = 2.0,
        hedge_share: float = 0.0,
        authorities: Authorities = Authorities(b"PEM", is_private=True),
        **forward: Any,
    ):
        self.clock = FakeClock()
        zones = {CORP: forward["corp"]} if forward else None
        self.plan = ForwardPlan(servers, strategy, zones, hedge_share=hedge_share)
        self.told: list[tuple[list[UpstreamServerFields], list[UpstreamSetFields]]] = []
        self.reports: list[UpstreamReport] = []
        self.shared = SharedUpstreams(
            self.plan,
            self.clock,
            timeout_s=timeout_s,
            publish=lambda servers, sets: self.told.append((servers, sets)),
            read_reports=self._read,
            authorities=authorities,
        )
        self.shared.start()

    def _read(self) -> list[UpstreamReport]:
        taken, self.reports = self.reports, []
        return taken

    @property
    def sets(self) -> list[UpstreamSetFields]:
        return self.told[-1][1]

    def go_down(self, number: int) -> None:
        for _ in range(3):
            self.plan.upstreams[number].on_failure("timeout", self.clock.now())


def buckets(*seconds: float) -> list[int]:
    upstream = Upstream("192.0.2.9")
    for each in seconds:
        upstream.on_answer(each, 0.0)
    return upstream.response_buckets


def test_the_first_in_line_is_told_with_all_that_asking_it_takes() -> None:
    rig = Rig(ONE)
    assert rig.told == [
        ([("192.0.2.1", 53)], [(b"", 0, True, False, ATTEMPT_TIMEOUT_S_FIRST, NEVER, IN_UNPROVEN_CASE, None)])
    ]


def test_each_suffix_has_its_own_line_and_each_upstream_its_number() -> None:
    rig = Rig(STREAM, ONE, corp=[TWO])
    servers, sets = rig.told[-1]
    assert servers == [("192.0.2.3", 53, None), ("192.0.2.1", 53), ("2001:db8::2", 5353)]
    assert [fields[:2] for fields in sets] == [(b"", 0), (CORP, 2)]
    assert sets[1][3] is True


def test_over_a_stream_names_are_in_lower_case_and_a_connection_has_time_to_open() -> None:
    for server in (STREAM, TLS):
        rig = Rig(server)
        _, _, _, _, timeout_s, _, letter_case, _ = rig.sets[0]
        assert (timeout_s, letter_case) == (2 * ATTEMPT_TIMEOUT_S_FIRST, IN_LOWER_CASE)
        rig.plan.upstreams[0].on_answer(1.4, rig.clock.now())
        rig.shared.tell()
        assert rig.sets[0][4] == STREAM_TIMEOUT_S_MAX


def test_over_tls_the_other_plane_is_told_what_a_certificate_must_show() -> None:
    rig = Rig(TLS)
    assert rig.told[-1][0] == [("192.0.2.4", 853, ("dns.example", (PIN,), b"PEM", True))]
    assert rig.sets[0][1] == 0


def test_an_upstream_over_https_is_asked_from_here() -> None:
    rig = Rig(Server("https", "192.0.2.5", 443, host="dns.example", path="/dns-query"))
    assert rig.told[-1][0] == []
    assert rig.sets[0][1] == ASK_US


def test_without_authorities_only_a_pin_alone_is_enough_for_the_other_plane() -> None:
    named, nameless = TLS, TLS._replace(host="")
    for server, number in ((named, ASK_US), (nameless, 0), (nameless._replace(pins=()), ASK_US)):
        rig = Rig(server, authorities=Authorities())
        assert rig.sets[0][1] == number


def test_a_host_is_asked_from_here_until_its_address_is_known_and_has_a_number_at_each() -> None:
    rig = Rig(TLS._replace(address=""), ONE)
    upstream = rig.plan.upstreams[0]
    assert rig.sets[0][1] == ASK_US
    numbers = []
    for addresses in (("192.0.2.6", "192.0.2.7"), ("192.0.2.7", "192.0.2.6"), ("192.0.2.6",)):
        upstream.addresses = addresses
        rig.shared.tell()
        numbers.append(rig.sets[0][1])
    assert numbers == [1, 2, 1]
    assert [fields[0] for fields in rig.told[-1][0]] == ["192.0.2.1", "192.0.2.6", "192.0.2.7"]
    assert rig.shared.numbered == [rig.plan.upstreams[1], upstream, upstream]


def test_where_nobody_is_reached_another_address_is_next() -> None:
    rig = Rig(TLS._replace(address=""))
    upstream = rig.plan.upstreams[0]
    upstream.addresses = ("192.0.2.6", "192.0.2.7")
    rig.shared.tell()
    for reason, first in (("timeout", "192.0.2.6"), ("network", "192.0.2.7"), ("network", "192.0.2.7")):
        rig.shared.on_handover(0, reason)
        assert upstream.addresses[0] == first
    rig.shared.tell()
    assert rig.sets[0][1] == 1


def test_what_the_other_plane_found_wrong_is_told_to_people() -> None:
    rig = Rig(TLS)
    upstream = rig.plan.upstreams[0]
    rig.shared.on_handover(0, "certificate_name")
    rig.shared.on_handover(0, "timeout")
    assert upstream.details == {"certificate_name": "its certificate is not valid for 'dns.example'"}
    upstream.details["certificate_name"] = "what we found ourselves"
    rig.shared.on_handover(0, "certificate_name")
    assert upstream.details == {"certificate_name": "what we found ourselves"}


def test_numbers_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.forwarding.sharing.NUMBERS_MAX", 1)
    rig = Rig(ONE, TWO)
    assert rig.told[-1][0] == [("192.0.2.1", 53)]
    rig.go_down(0)
    assert rig.sets[0][1] == ASK_US


def test_nothing_is_told_twice() -> None:
    rig = Rig(ONE)
    rig.clock.advance(10 * SHARE_EVERY_S)
    rig.shared.tell()
    assert len(rig.told) == 1


def test_one_that_goes_down_is_told_at_once_and_so_is_its_return() -> None:
    rig = Rig(ONE)
    rig.go_down(0)
    assert rig.sets[0][1] == ASK_US
    rig.plan.upstreams[0].on_answer(0.01, rig.clock.now())
    assert rig.sets[0][1] == 0


def test_the_next_in_line_takes_over() -> None:
    rig = Rig(ONE, TWO)
    rig.go_down(0)
    assert rig.sets[0][1] == 1


def test_a_refusal_of_edns_is_told_and_forgotten_in_time() -> None:
    rig = Rig(ONE)
    rig.plan.upstreams[0].oddities.learn("edns", rig.clock.now())
    assert rig.sets[0][2] is False
    rig.clock.advance(BELIEVED_S)
    assert rig.sets[0][2] is False
    rig.clock.advance(SHARE_EVERY_S)
    assert rig.sets[0][2] is True


def test_letter_case_is_told_when_it_is_learnt_and_forgotten_in_time() -> None:
    rig = Rig(ONE)
    oddities = rig.plan.upstreams[0].oddities
    now = rig.clock.now()
    oddities.show_case(now)
    assert rig.sets[0][6] == IN_MIXED_CASE
    for _ in range(EVIDENCE_MIN):
        oddities.learn("lowered", now)
    assert rig.sets[0][6] == IN_LOWER_CASE
    rig.clock.advance(BELIEVED_S + SHARE_EVERY_S)
    assert rig.sets[0][6] == IN_UNPROVEN_CASE


def test_why_all_are_down_is_told() -> None:
    rig = Rig(ONE, TWO)
    told = []
    for number in (0, 1):
        rig.go_down(number)
        told.append(rig.sets[0][7])
    rig.plan.upstreams[1].on_answer(0.01, rig.clock.now())
    told.append(rig.sets[0][7])
    assert told == [None, (22, "no upstream answered in time"), None]


def test_a_probe_is_left_to_us_and_its_next_time_told() -> None:
    rig = Rig(ONE, TWO, strategy="fastest")
    assert rig.sets[0][5] == float("-inf")
    rig.plan.default.probe_target(rig.clock.now())
    rig.shared.tell()
    assert rig.clock.now() < rig.sets[0][5] <= rig.clock.now() + 1.0


def test_nobody_waits_for_an_upstream_longer_than_for_the_whole_question() -> None:
    assert Rig(ONE, timeout_s=0.2).sets[0][4] == 0.2


def test_after_closing_nothing_is_told_or_asked() -> None:
    rig = Rig(ONE)
    rig.shared.close()
    rig.go_down(0)
    assert len(rig.told) == 1
    assert rig.clock.pending == 0


def test_reports_are_counted_and_keep_the_upstream_in_health() -> None:
    rig = Rig(ONE)
    upstream = rig.plan.upstreams[0]
    upstream.on_failure("timeout", rig.clock.now())
    rig.reports = [(0, 5, 3, 0.06, buckets(0.02, 0.02, 0.02), 0.02, (2, 1, 3), None)]
    rig.clock.advance(SHARE_EVERY_S)
    assert upstream.queries == 5
    assert (upstream.handshakes, upstream.resumptions, upstream.certificate_until) == (2, 1, None)
    assert rig.shared.connections_to(upstream) == 3
    assert upstream.response_buckets == buckets(0.02, 0.02, 0.02)
    assert upstream.response_sum_s == pytest.approx(0.06)
    assert upstream.rtt_s == pytest.approx(0.02)
    assert upstream.consecutive_failures == 0
    assert upstream.answered_at == rig.clock.now()
    assert upstream.probe_at == rig.clock.now() + MEASURE_EVERY_S


def test_a_report_without_answers_changes_no_health() -> None:
    upstream = Upstream("192.0.2.1")
    upstream.on_answers(0, [0] * 12, 0.0, 5.0)
    assert upstream.rtt_s is None
    assert upstream.answered_at == float("-inf")


def test_answers_by_the_sum_bring_back_one_that_is_down() -> None:
    upstream = Upstream("192.0.2.1")
    for _ in range(3):
        upstream.on_failure("timeout", 0.0)
    assert not upstream.is_up
    upstream.on_answers(1, buckets(0.01), 0.01, 1.0)
    assert upstream.is_up


@pytest.mark.parametrize("count", [1, 5, 2000])
def test_equal_times_are_smoothed_as_if_each_had_been_told(count: int) -> None:
    single, summed = Upstream("192.0.2.1"), Upstream("192.0.2.1")
    for upstream in (single, summed):
        upstream.on_answer(0.4, 0.0)
    for _ in range(count):
        single.on_answer(0.3, 0.0)
    summed.on_answers(count, buckets(*[0.3] * count), 0.3 * count, 0.0)
    assert summed.rtt_s == pytest.approx(single.rtt_s, rel=1e-3)
    assert summed.attempt_timeout_s() == pytest.approx(single.attempt_timeout_s(), rel=0.02)
    assert summed.response_buckets == single.response_buckets


def test_times_that_differ_keep_us_patient() -> None:
    times = [0.05, 0.6] * 50
    summed = Upstream("192.0.2.1")
    for _ in range(10):
        summed.on_answers(len(times), buckets(*times), sum(times), 0.0)
    assert summed.attempt_timeout_s() > 0.6


def test_buckets_are_those_of_the_other_plane() -> None:
    assert len(RESPONSE_SECONDS_BOUNDS) + 1 == 12


@pytest.mark.parametrize(
    ("strategy", "first"), [("ordered", 0), ("fastest", 0), ("parallel", ASK_US), ("random", ASK_US)]
)
def test_races_and_chance_are_ours(strategy: Strategy, first: int) -> None:
    assert Rig(ONE, TWO, strategy=strategy).sets[0][1] == first


def test_the_other_plane_waits_no_longer_than_until_a_second_upstream_may_be_asked() -> None:
    rig = Rig(ONE, TWO, hedge_share=0.05)
    upstream = rig.plan.upstreams[0]
    assert rig.sets[0][4] == ATTEMPT_TIMEOUT_S_FIRST
    upstream.queries += 200
    upstream.on_answers(200, buckets(*[0.04] * 200), 200 * 0.04, rig.clock.now())
    rig.clock.advance(2 * SHARE_EVERY_S)
    assert rig.sets[0][4] == pytest.approx(0.025 + 0.95 * 0.025)
    while rig.plan.default.take_hedge(upstream):
        pass
    rig.clock.advance(2 * SHARE_EVERY_S)
    assert rig.sets[0][4] == upstream.attempt_timeout_s()
