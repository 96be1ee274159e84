"""What an answer adds to the verdict on a name: chains, service targets, addresses."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.policy.table import PolicyTable
from resolver.policy.verdict import (
    PASS,
    Mode,
    PolicyAction,
    Verdict,
)
from resolver.wire.names import name_from_text as n
from resolver.wire.response import ChainLink, Response
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = 1000.0


def judge(table: PolicyTable, name: str) -> Verdict:
    return table.judge_name(n(name), NOW)


def winner_of(verdict: Verdict) -> str | None:
    return verdict.match.rule.label if verdict.match else None


def make_response(
    chain: tuple[str, ...] = (), *, targets: tuple[str, ...] = (), addresses: tuple[bytes, ...] = ()
) -> Response:
    links = tuple(ChainLink(n(name), 20 * place, place) for place, name in enumerate(chain, start=1))
    return Response(
        rcode=0,
        authentic_data=False,
        body=b"\0" * 20 * len(links),
        ancount=len(links),
        nscount=0,
        ttl_offsets=(),
        ttls=(),
        negative=None,
        ttl_s=60,
        links=links,
        service_targets=tuple(map(n, targets)),
        addresses=addresses,
        name_at_end=n(chain[-1]) if chain else n("ask.example"),
    )


def respond(table: PolicyTable, response: Response, qname: str = "ask.example") -> Verdict:
    return table.judge_response(judge(table, qname), n(qname), 1, response, NOW)


def test_answer_that_no_rule_speaks_of_keeps_the_verdict_itself(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "bad.example").table(tmp_path)
    assert respond(table, make_response(("a.example", "b.example"))) is PASS


@pytest.mark.parametrize("place", [0, 1, 2])
def test_chain_is_kept_up_to_the_link_that_names_the_blocked_name(tmp_path: Path, place: int) -> None:
    chain = ["one.example", "two.example", "three.example"]
    chain[place] = "www.bad.example"
    table = PolicyMaker().block(make_rule(), "bad.example").table(tmp_path)
    verdict = respond(table, make_response(tuple(chain)))
    assert verdict.is_blocked and verdict.denied == n("www.bad.example")
    assert verdict.kept_links == place + 1 and verdict.nxdomain_ok


def test_first_blocked_name_of_the_chain_decides(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="late"), "z.example")
    table = maker.block(make_rule(label="early"), "y.example").table(tmp_path)
    assert winner_of(respond(table, make_response(("y.example", "z.example")))) == "early"


def test_allowed_question_exempts_its_whole_response(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "bad.example").addresses(make_rule(), "192.0.2.0/24")
    table = maker.allow("ask.example").table(tmp_path)
    response = make_response(("bad.example",), addresses=(bytes([192, 0, 2, 1]),))
    verdict = respond(table, response)
    assert not verdict.is_blocked and verdict is not PASS
    assert respond(table, response, "other.example").is_blocked


def test_allow_on_a_later_name_exempts_that_name_only(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "bad.example").allow("good.bad.example")
    table = maker.table(tmp_path)
    assert not respond(table, make_response(("good.bad.example",))).is_blocked
    verdict = respond(table, make_response(("good.bad.example", "x.bad.example")))
    assert verdict.is_blocked and verdict.kept_links == 2


def test_chain_that_leads_to_a_protected_name_is_let_through_from_there_on(tmp_path: Path) -> None:
    maker = (
        PolicyMaker().block(make_rule(), "bad.example", "up.example").addresses(make_rule(), "192.0.2.0/24")
    )
    table = maker.protect("updates.up.example").table(tmp_path)
    behind = make_response(("updates.up.example", "edge.bad.example"), addresses=(bytes([192, 0, 2, 1]),))
    assert not respond(table, behind, "alias.example").is_blocked
    assert respond(table, make_response(("other.up.example",)), "alias.example").is_blocked


def test_name_before_a_protected_one_in_a_chain_is_judged_as_ever(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "bad.example").protect("updates.example").table(tmp_path)
    verdict = respond(table, make_response(("bad.example", "updates.example")), "alias.example")
    assert verdict.is_blocked and verdict.kept_links == 1


def test_protected_target_of_a_service_record_exempts_that_name_only(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "bad.example").protect("updates.example").table(tmp_path)
    response = make_response((), targets=("updates.example", "bad.example"))
    assert respond(table, response, "alias.example").is_blocked


def test_list_allow_on_the_question_exempts_from_lists_not_from_exchanges(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "bad.example").block(make_rule("list", "ads"), "ads.example")
    good = make_rule("list", "good", action=PolicyAction.PASSTHRU)
    table = maker.list_allow(good, "ask.example").table(tmp_path)
    assert not respond(table, make_response(("ads.example",))).is_blocked
    assert respond(table, make_response(("ads.example",)), "other.example").is_blocked
    assert respond(table, make_response(("ads.example", "bad.example"))).is_blocked


def test_shadow_rule_on_a_later_name_is_reported_and_blocks_nothing(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(mode=Mode.SHADOW), "bad.example").table(tmp_path)
    verdict = respond(table, make_response(("bad.example",)))
    assert not verdict.is_blocked and verdict.shadow is not None


def test_coming_date_on_a_later_name_bounds_the_response(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(starts_at=500.0), "bad.example").table(tmp_path, wall=400.0)
    verdict = respond(table, make_response(("bad.example",)))
    assert not verdict.is_blocked and verdict.valid_until == 100.0


def test_service_target_condemns_its_answer_without_nxdomain(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "bad.example").table(tmp_path)
    verdict = respond(table, make_response(("mid.example",), targets=("svc.bad.example",)))
    assert verdict.is_blocked and not verdict.nxdomain_ok
    assert verdict.denied == n("mid.example") and verdict.kept_links == 1


@pytest.mark.parametrize(
    ("address", "blocked"),
    [
        (bytes([192, 0, 2, 0]), True),
        (bytes([192, 0, 2, 255]), True),
        (bytes([192, 0, 1, 255]), False),
        (bytes([192, 0, 3, 0]), False),
        (bytes.fromhex("20010db8000100000000000000000001"), True),
        (bytes.fromhex("20010db8000200000000000000000001"), False),
        (bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1]), True),
        (b"\xff" * 16, False),
        (bytes(4), False),
    ],
)
def test_address_inside_a_network_condemns_the_response(
    tmp_path: Path, address: bytes, blocked: bool
) -> None:
    table = PolicyMaker().addresses(make_rule(), "192.0.2.0/24", "2001:db8:1::/48").table(tmp_path)
    verdict = respond(table, make_response(addresses=(b"\x08\x08\x08\x08", address)))
    assert verdict.is_blocked is blocked
    if blocked:
        assert verdict.match is not None and verdict.match.form is None
        assert not verdict.nxdomain_ok and verdict.denied == n("ask.example")


def test_smallest_of_nested_networks_wins_and_shadow_ones_only_report(tmp_path: Path) -> None:
    maker = PolicyMaker().addresses(make_rule(label="wide"), "198.51.100.0/24")
    maker.addresses(make_rule(label="narrow"), "198.51.100.64/26")
    maker.addresses(make_rule(label="shadow", mode=Mode.SHADOW), "198.51.100.65/32")
    table = maker.table(tmp_path)

    def at(last: int) -> Verdict:
        return respond(table, make_response(addresses=(bytes([198, 51, 100, last]),)))

    assert winner_of(at(1)) == winner_of(at(128)) == "wide"
    assert winner_of(at(64)) == winner_of(at(65)) == "narrow"
    shadow = at(65).shadow
    assert shadow is not None and shadow.rule.label == "shadow"
    assert at(64).shadow is None
    match = at(64).match
    assert match is not None and match.owner == bytes([198, 51, 100, 64])


def test_network_at_the_end_of_the_address_space_is_found(tmp_path: Path) -> None:
    table = PolicyMaker().addresses(make_rule(), "ffff:ffff::/32").table(tmp_path)
    assert respond(table, make_response(addresses=(b"\xff" * 16,))).is_blocked


@given(
    networks=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 8)), max_size=6),
    probe=st.integers(0, 255),
)
@settings(max_examples=100, deadline=None)
def test_intervals_agree_with_plain_containment(networks: list[tuple[int, int]], probe: int) -> None:
    import ipaddress

    nets = [
        ipaddress.ip_network((int.from_bytes(bytes([192, 0, 2, last])), 24 + bits), strict=False)
        for last, bits in networks
    ]
    maker = PolicyMaker()
    for number, net in enumerate(nets):
        maker.addresses(make_rule(label=f"n{number}"), str(net))
    address = ipaddress.ip_address(bytes([192, 0, 2, probe]))
    with tempfile.TemporaryDirectory() as folder:
        table = maker.table(Path(folder))
        around = table.addresses_at(address.packed)
        found = [line for _, line, _, _ in around]
        assert [(packed, length) for _, _, packed, length in around] == [
            (nets[line - 1].network_address.packed, nets[line - 1].prefixlen) for line in found
        ]
    inside = [number for number, net in enumerate(nets) if address in net]
    assert found == [number + 1 for number in sorted(inside, key=lambda k: (nets[k].num_addresses, k))]


def test_network_for_some_clients_is_not_there_for_others(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "a.example").meant_for(3)
    policy = maker.addresses(make_rule(label="net"), "192.0.2.0/24").policy(tmp_path)
    answer = make_response(addresses=(bytes((192, 0, 2, 1)),))
    assert not respond(policy.everybody, answer).is_blocked
    assert respond(policy.table_for(3), answer).is_blocked
