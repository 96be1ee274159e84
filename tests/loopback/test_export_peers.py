"""Our export, loaded by other resolvers: for each name and type they decide as our table does.

Where they do not, the name must stand in the list of what the format can not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from resolver.export import LossKind, export_policy
from resolver.policy.answer import answer_rcode, sinkhole_address
from resolver.policy.table import PolicyTable, open_table
from resolver.policy.verdict import PolicyAction
from resolver.publishing.compiler import compile_in_process
from resolver.wire.names import name_from_text
from tests.loopback.export_peers import HOSTS_PEER, PEERS, ExportPeer, running_peer, running_upstream

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("nsd")]

WALL = 1_700_000_000.0
TYPES = ("A", "AAAA", "TXT", "MX", "HTTPS")
REPLY_S_MAX = 5.0
SILENCE_S = 0.4
BLOCKED = "listed.example"
"""By every format."""

POLICY = """\
version: 1
defaults: {ttl_s: 300}
exchanges:
  tree:
    name: Tree
    domains: [tree.example, "=exact.example", "*.below.example", plain.example, www.plain.example]
  sink:
    name: Sink
    action: sinkhole
    sinkhole: {ipv4: 192.0.2.99, ipv6: "2001:db8::99"}
    domains: [sink.example, a.b.plain.example, "=exactsink.example"]
  nodata: {name: Nodata, action: nodata, domains: [nodata.example]}
  refused: {name: Refused, action: refused, domains: [refused.example]}
  drop: {name: Drop, action: drop, domains: [drop.example]}
  addresses: {name: Addresses, addresses: [203.0.113.0/24]}
  later: {name: Later, from: 2099-01-01, domains: [later.example]}
  shadow: {name: Shadow, mode: shadow, domains: [shadow.example]}
  over: {name: Over, until: 2020-01-01, domains: [over.example]}
allow: [ok.tree.example, "=one.plain.example", "*.some.plain.example", x.y.sink.example, spared.example, pardon.example]
protected: [safe.listed.example]
lists:
  - {name: names, path: names.txt, format: domains}
  - {name: hosts, path: hosts.txt, format: hosts}
  - {name: pardons, path: pardons.txt, format: domains, kind: allow}
"""
FILES = {
    "names.txt": "listed.example\nfar.tree.example\nfar.ok.tree.example\n",
    "hosts.txt": "0.0.0.0 host.example\n0.0.0.0 x.pardoned.listed.example\n",
    "pardons.txt": "pardoned.listed.example\n",
}

NAMES = (
    *("tree.example", "www.tree.example", "a.b.tree.example", "ok.tree.example", "www.ok.tree.example"),
    *("far.tree.example", "far.ok.tree.example", "xtree.example"),
    *("exact.example", "www.exact.example", "a.b.exact.example", "xexact.example"),
    *("below.example", "www.below.example", "a.b.below.example", "xbelow.example"),
    *("plain.example", "www.plain.example", "one.plain.example", "www.one.plain.example"),
    *("some.plain.example", "www.some.plain.example", "a.b.some.plain.example"),
    *("b.plain.example", "a.b.plain.example", "x.a.b.plain.example", "c.b.plain.example"),
    *("sink.example", "www.sink.example", "y.sink.example", "z.y.sink.example", "x.y.sink.example"),
    *("w.x.y.sink.example", "exactsink.example", "www.exactsink.example"),
    *("nodata.example", "www.nodata.example", "refused.example", "www.refused.example", "drop.example"),
    *("listed.example", "www.listed.example", "safe.listed.example", "www.safe.listed.example"),
    *("pardoned.listed.example", "x.pardoned.listed.example", "y.pardoned.listed.example"),
    *("host.example", "www.host.example", "later.example", "shadow.example", "over.example"),
    *("free.example", "www.free.example"),
)
"""Blocked trees, exact names, names below, exceptions, their ancestors and neighbours, and the rest."""

Seen = tuple[str, frozenset[tuple[str, str]]] | None
"""Rcode, and (type, RDATA) of the answer section; None: silence."""


@dataclass(frozen=True)
class Policy:
    """One policy and its exports."""

    directory: Path
    table: PolicyTable
    losses: dict[str, dict[LossKind, list[str]]]
    """Per format."""

    def export(self, export_format: str) -> Path:
        """The file to load."""
        return self.directory / f"{export_format}.conf"

    def expected(self, qname: str, qtype: str, upstream: int) -> Seen:
        """What our own server would say."""
        verdict = self.table.judge_name(name_from_text(qname), 0.0)
        if not verdict.is_blocked:
            return ask(upstream, qname, qtype)
        assert verdict.match is not None
        if verdict.action is PolicyAction.DROP:
            return None
        records: frozenset[tuple[str, str]] = frozenset()
        if verdict.action is PolicyAction.SINKHOLE:
            kind = dns.rdatatype.from_text(qtype)
            packed = sinkhole_address(verdict.match.rule, kind)
            if packed:
                rdata = dns.rdata.from_wire("IN", kind, packed, 0, len(packed))
                records = frozenset({(qtype, rdata.to_text())})
        return dns.rcode.to_text(dns.rcode.Rcode(answer_rcode(verdict))), records


def ask(port: int, qname: str, qtype: str, timeout_s: float = REPLY_S_MAX) -> Seen:
    """What a server says."""
    query = dns.message.make_query(qname, qtype)
    try:
        reply = dns.query.udp(query, "127.0.0.1", port=port, timeout=timeout_s)
    except dns.exception.Timeout:
        return None
    records = {
        (dns.rdatatype.to_text(rrset.rdtype), rdata.to_text()) for rrset in reply.answer for rdata in rrset
    }
    return dns.rcode.to_text(reply.rcode()), frozenset(records)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of an NSD in whose zone every name exists."""
    with running_upstream(tmp_path_factory.mktemp("upstream")) as port:
        yield port


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The policy, and its export in every format that a peer loads."""
    directory = tmp_path_factory.mktemp("policy")
    (directory / "blocklist.yaml").write_text(POLICY)
    for name, text in FILES.items():
        (directory / name).write_text(text)
    image, problems = compile_in_process(directory / "blocklist.yaml", directory)
    assert image is not None, problems
    table = open_table(image, WALL, 0.0, 1)
    losses: dict[str, dict[LossKind, list[str]]] = {}
    # All of them, not just some: each difference is looked up among them.
    patch = pytest.MonkeyPatch()
    patch.setattr("resolver.export.losses.EXAMPLES_MAX", 1000)
    for export_format in sorted({peer.export_format for peer in (*PEERS, HOSTS_PEER)}):
        export = export_policy(table, export_format, WALL, directory / f"{export_format}.conf")
        for file in export.files:
            assert file.path is not None
            Path(file.path).write_text("".join(file.lines))
        losses[export_format] = {loss.kind: loss.examples for loss in export.losses.all()}
    patch.undo()
    return Policy(directory, table, losses)


@dataclass(frozen=True)
class Running:
    """A peer that serves."""

    peer: ExportPeer
    port: int


@pytest.fixture(
    scope="module",
    params=[pytest.param(peer, id=peer.name, marks=pytest.mark.needs(peer.program)) for peer in PEERS],
)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, policy: Policy, upstream: int
) -> Iterator[Running]:
    """Each peer with its export loaded."""
    peer: ExportPeer = request.param
    directory = tmp_path_factory.mktemp(peer.name)
    with running_peer(peer, directory, upstream, policy.export(peer.export_format), BLOCKED) as port:
        yield Running(peer, port)


def differences(policy: Policy, port: int, upstream: int) -> dict[tuple[str, str], tuple[Seen, Seen]]:
    """(name, type) -> what we say and what the peer says, where that is not the same."""
    found = {}
    for qname in NAMES:
        for qtype in TYPES:
            ours = policy.expected(qname, qtype, upstream)
            theirs = ask(port, qname, qtype, SILENCE_S if ours is None else REPLY_S_MAX)
            if ours != theirs:
                found[qname, qtype] = ours, theirs
    return found


NAME_LOSSES = {
    LossKind.SUBTREE,
    LossKind.EXACT,
    LossKind.BELOW,
    LossKind.EXCEPTION,
    LossKind.NESTED,
    LossKind.DENIAL,
}


OWN_LIMITS = {"knot-resolver": {"drop.example"}}
"""What is the peer's doing, not the format's: Knot Resolver answers SERVFAIL where others are silent."""


def test_a_peer_decides_as_we_do_or_the_report_says_that_it_does_not(
    running: Running, policy: Policy, upstream: int
) -> None:
    losses = policy.losses[running.peer.export_format]
    reported = {name for kind in NAME_LOSSES for name in losses.get(kind, [])}
    reported |= OWN_LIMITS.get(running.peer.name, set())
    found = differences(policy, running.port, upstream)
    unreported = {
        asked: seen
        for asked, seen in found.items()
        if not any(asked[0] == name or asked[0].endswith(f".{name}") for name in reported)
    }
    assert unreported == {}
    # And the other way round: nothing is reported that is no difference.
    assert {
        name
        for name in reported
        if not any(qname == name or qname.endswith(f".{name}") for qname, _ in found)
    } == set()


def test_no_peer_blocks_what_passes_here(running: Running, policy: Policy, upstream: int) -> None:
    for qname in NAMES:
        if not policy.table.judge_name(name_from_text(qname), 0.0).is_blocked:
            assert ask(running.port, qname, "TXT") == ask(upstream, qname, "TXT"), qname


def test_the_report_names_what_each_format_lacks(policy: Policy) -> None:
    said = {kind: policy.losses["rpz"].get(kind) for kind in LossKind}
    assert said[LossKind.DENIAL] == ["refused.example"]
    assert said[LossKind.DATES] == ["exchange later from 2099-01-01T00:00:00Z"]
    assert said[LossKind.SHADOW] == ["exchange shadow"]
    assert said[LossKind.ADDRESSES] is None
    assert policy.losses["unbound"][LossKind.BELOW] == ["below.example", "one.plain.example"]
    assert policy.losses["unbound"][LossKind.ADDRESSES] == ["203.0.113.0/24"]
    assert LossKind.BELOW not in policy.losses["dnsmasq"] and LossKind.EXACT not in policy.losses["dnsmasq"]


RESPONSE_SIDE = {"bind", "powerdns", "unbound-rpz"}
"""Peers that look at answers too."""


def test_peers_that_look_at_answers_block_what_a_cname_leads_to(running: Running, upstream: int) -> None:
    seen = ask(running.port, "alias.example", "A")
    if running.peer.name not in RESPONSE_SIDE:
        # The others let it pass, as the limits of their formats say.
        assert seen == ask(upstream, "alias.example", "A")
        return
    assert seen is not None and seen[0] == "NXDOMAIN"
    assert not any(rtype == "A" for rtype, _ in seen[1])


def test_an_exception_is_spared_wherever_its_cname_leads(running: Running, upstream: int) -> None:
    # NSD can not follow the name out of its zone's CNAME, but www.tree.example is in it.
    assert ask(running.port, "spared.example", "A") == ask(upstream, "spared.example", "A")


def test_peers_that_look_at_answers_block_addresses_of_that_type_only(
    running: Running, upstream: int
) -> None:
    is_judged = running.peer.name in RESPONSE_SIDE
    passed = ask(upstream, "points.example", "A")
    assert ask(running.port, "points.example", "A") == (("NOERROR", frozenset()) if is_judged else passed)
    for qtype in ("AAAA", "TXT"):
        assert ask(running.port, "points.example", qtype) == ask(upstream, "points.example", qtype)
    assert ask(running.port, "pardon.example", "A") == ask(upstream, "pardon.example", "A")


@pytest.mark.needs("dnsmasq")
def test_a_hosts_file_blocks_the_names_themselves_and_says_what_it_leaves(
    policy: Policy, upstream: int, tmp_path: Path
) -> None:
    with running_peer(HOSTS_PEER, tmp_path, upstream, policy.export("hosts"), BLOCKED) as port:
        for qname in NAMES:
            verdict = policy.table.judge_name(name_from_text(qname), 0.0)
            is_blocked = ask(port, qname, "A") != ask(upstream, qname, "A")
            if is_blocked != verdict.is_blocked:
                assert verdict.is_blocked
                subtrees = policy.losses["hosts"][LossKind.SUBTREE]
                assert any(qname.endswith(f".{name}") for name in subtrees), qname
