from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Transport
from resolver.listeners import handshakes, http
from resolver.listeners.limits import REASONS
from resolver.listeners.udp import errno_word
from resolver.observe.tally import DROP_REASONS, OTHER, SECONDS_BOUNDS, UNREADABLE, Hit, Tallies
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm, RuleMatch, Verdict
from resolver.server.native import is_drop
from resolver.wire.query import RESPONSE, SHORT


def match_of(kind: str, label: str, action: PolicyAction = PolicyAction.NXDOMAIN) -> RuleMatch:
    rule = PolicyRule(
        kind, label, label.title(), action, Mode.ENFORCE, 300, bytes(4), bytes(16), ede=15, ede_text=""
    )
    return RuleMatch(rule, RuleForm.SUBTREE, b"\x07example\x00", "blocklist.yaml", 1)


def blocked(
    label: str = "acme", kind: str = "exchange", action: PolicyAction = PolicyAction.NXDOMAIN
) -> Verdict:
    return Verdict(action, match_of(kind, label, action))


def respond(verdict: Verdict | None = None, *, qtype: int = 1, rcode: int = 0) -> Respond:
    if verdict is None:
        return Respond(b"", rcode, qtype, Source.CACHE)
    return Respond(b"", rcode, qtype, Source.POLICY, verdict)


def test_equal_outcomes_share_one_tally() -> None:
    tallies = Tallies()
    assert tallies.of(Transport.UDP, respond(blocked())) is tallies.of(Transport.UDP, respond(blocked()))


@pytest.mark.parametrize(
    "other",
    [
        (Transport.TCP, respond()),
        (Transport.UDP, respond(qtype=28)),
        (Transport.UDP, respond(rcode=3)),
        (Transport.UDP, respond(blocked())),
        (Transport.UDP, Drop("response")),
    ],
)
def test_different_outcomes_have_different_tallies(other: tuple[Transport, Respond | Drop]) -> None:
    tallies = Tallies()
    assert tallies.of(*other) is not tallies.of(Transport.UDP, respond())


def test_number_of_tallies_stays_bounded_whatever_types_are_asked() -> None:
    tallies = Tallies()
    for qtype in range(65536):
        tallies.of(Transport.UDP, respond(qtype=qtype)).add(0.0)
    counts = tallies.snapshot().counts
    assert len(counts) < 60
    assert sum(count for _, count, _ in counts) == 65536


def test_unknown_numbers_are_other_and_never_a_new_label() -> None:
    key = Tallies().of(Transport.UDP, respond(qtype=65280, rcode=3841)).key
    assert (key.qtype, key.rcode) == (OTHER, OTHER)


@pytest.mark.parametrize(
    "unreadable", [Respond(b"", 1, None, Source.LOCAL), Drop("short")], ids=["answered", "dropped"]
)
def test_a_question_that_could_not_be_read_has_no_type(unreadable: Respond | Drop) -> None:
    assert Tallies().of(Transport.UDP, unreadable).key.qtype == UNREADABLE
    assert OTHER != UNREADABLE


def test_a_batch_counts_each_answer_once_with_the_time_of_the_batch() -> None:
    tallies = Tallies()
    tally = tallies.of(Transport.UDP, respond())
    tallies.settle([tally] * 3, 0.0001)
    assert tally.count == 3
    assert tally.seconds == pytest.approx(0.0003)
    assert not any(tallies.snapshot().late["cache"])


def test_a_slow_batch_goes_to_the_bucket_of_each_source_it_holds() -> None:
    tallies = Tallies()
    cached = tallies.of(Transport.UDP, respond())
    refused = tallies.of(Transport.UDP, respond(blocked()))
    tallies.settle([cached, refused, cached], 0.003)
    late = tallies.snapshot().late
    bucket = SECONDS_BOUNDS.index(0.005)
    assert (late["cache"][bucket], late["policy"][bucket], sum(late["upstream"])) == (2, 1, 0)


def test_time_on_a_bound_belongs_to_that_bucket_as_prometheus_says() -> None:
    tallies = Tallies()
    tally = tallies.of(Transport.UDP, respond())
    for bound in SECONDS_BOUNDS:
        tally.add(bound)
        tallies.settle([tally], bound)
    assert tallies.snapshot().late["cache"] == (0, *[2] * (len(SECONDS_BOUNDS) - 1), 0)


def test_time_over_every_bound_is_in_the_last_bucket() -> None:
    tallies = Tallies()
    tallies.of(Transport.UDP, respond()).add(60.0)
    assert tallies.snapshot().late["cache"][-1] == 1


def test_drops_leave_no_trace_in_response_times() -> None:
    tallies = Tallies()
    tallies.of(Transport.UDP, Drop("response")).add(3.0)
    assert not any(any(buckets) for buckets in tallies.snapshot().late.values())


def test_a_blocked_answer_is_a_hit_of_its_exchange() -> None:
    key = Tallies().of(Transport.UDP, respond(blocked())).key
    assert key.enforced == Hit("exchange", "acme", "nxdomain", "enforce")
    assert key.shadow is None


def test_a_silent_block_is_a_hit_too() -> None:
    drop = Drop("policy", qtype=1, verdict=blocked(action=PolicyAction.DROP))
    assert Tallies().of(Transport.UDP, drop).key.enforced == Hit("exchange", "acme", "drop", "enforce")


def test_a_shadow_rule_is_a_hit_beside_the_rule_that_blocks() -> None:
    verdict = Verdict(PolicyAction.NXDOMAIN, match_of("list", "ads"), shadow=match_of("exchange", "acme"))
    key = Tallies().of(Transport.UDP, respond(verdict)).key
    assert key.enforced == Hit("list", "ads", "nxdomain", "enforce")
    assert key.shadow == Hit("exchange", "acme", "nxdomain", "shadow")


@pytest.mark.parametrize("kind", ["allow", "protected"])
def test_an_exception_is_no_hit(kind: str) -> None:
    verdict = Verdict(PolicyAction.PASSTHRU, match_of(kind, "allow", PolicyAction.PASSTHRU))
    assert Tallies().of(Transport.UDP, respond(verdict)).key.enforced is None


def test_a_snapshot_does_not_move_when_counting_goes_on() -> None:
    tallies = Tallies()
    tally = tallies.of(Transport.UDP, respond())
    tally.add(1.0)
    before = tallies.snapshot()
    tally.add(1.0)
    assert before.counts[0][1] == 1 and sum(before.late["cache"]) == 1


REASON_CALLS = ("Drop", "count_drop", "_on_drop")
ROOT = Path(__file__).parents[2]


def reasons_in(path: Path) -> set[str]:
    """Every text that a file gives as the reason of a drop."""
    return {
        argument.value
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and call.args
        and (call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", ""))
        in REASON_CALLS
        for argument in call.args[:1]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


@pytest.mark.slow
def test_every_reason_of_a_drop_is_in_the_closed_set() -> None:
    found = set().union(*map(reasons_in, (ROOT / "resolver").rglob("*.py")))
    assert {"policy", "send_failed", "http_connections_max"} <= found
    given = {*REASONS, *handshakes.REASONS, *http.REASONS, "defect", SHORT.reason, RESPONSE.reason}
    given |= {f"receive_{errno_word(OSError(number, ''))}" for number in (105, 12, 111, 1)}
    assert found | given | native_reasons() == set(DROP_REASONS)


def native_reasons() -> set[str]:
    """Those of the native plane's totals that are drops."""
    folder = ROOT / "native" / "binding" / "src"
    source = (folder / "counters.rs").read_text()
    rare = {name for name in re.findall(r"^    ([a-z_]+),$", source, re.MULTILINE) if is_drop(name)}
    return rare | set(re.findall(r'StreamDrop::\w+, "([a-z_]+)"', (folder / "stream_state.rs").read_text()))
