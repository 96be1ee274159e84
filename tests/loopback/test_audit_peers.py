"""An audit of 20,000 names: no false alarm against ourselves and against others with our exports loaded.

The same others with a list as people write one by hand: what leaks there is found, by name.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from resolver.audit.auditor import Basis, Manner, audit
from resolver.audit.campaign import PAUSES_S
from resolver.audit.results import AuditResult, Status, is_finding
from resolver.audit.subjects import Wanted
from resolver.audit.targets import ServerToAsk, own_server, server_from
from resolver.export import LossKind, export_policy
from resolver.policy.table import PolicyTable, open_table
from resolver.publishing.compiler import compile_in_process
from tests.fuzz.rig import IS_LONG
from tests.loopback.export_peers import PEERS, ExportPeer, running_peer, running_upstream
from tests.loopback.server import running_server

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("nsd")]

NAMES = 20_000 if IS_LONG else 600
SINKS = NAMES // 4
QPS = 2_500.0
"""Far below what any of them answers on one core, so that a busy machine is no rate limit."""
KEPT = "kept.example"
LAST = "site9999.example" if IS_LONG else "site99.example"
"""By the alphabet: where it is blocked, a table that is made in order is whole."""


def blocklist_text() -> str:
    """Trees, exact names, names below, a sinkhole and exceptions."""
    signs = {3: "=", 7: "*."}
    domains = "".join(f'      - "{signs.get(i % 10, "")}site{i}.example"\n' for i in range(NAMES - SINKS))
    sinks = "".join(f"      - sink{i}.example\n" for i in range(SINKS))
    allowed = "".join(f"  - ok.site{i}.example\n" for i in range(0, NAMES - SINKS, 250))
    return (
        "version: 1\n"
        "orders:\n  o1: {authority: A, title: T, date: 2024-01-02, imposed_by: external}\n"
        f"exchanges:\n  big:\n    name: Big\n    order: o1\n    domains:\n{domains}"
        "  sink:\n    name: Sink\n    order: o1\n    action: sinkhole\n"
        f"    sinkhole: {{ipv4: 192.0.2.99, ipv6: '2001:db8::99'}}\n    domains:\n{sinks}"
        f"allow:\n{allowed}  - {KEPT}\nprotected: [safe.example]\n"
    )


@dataclass(frozen=True)
class Policy:
    directory: Path
    text: str
    table: PolicyTable


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever refuses is asked again after a tenth of the time: nobody here bounds a rate."""
    monkeypatch.setattr("resolver.audit.campaign.PAUSES_S", tuple(pause_s / 10 for pause_s in PAUSES_S))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    directory = tmp_path_factory.mktemp("policy")
    text = blocklist_text()
    (directory / "blocklist.yaml").write_text(text)
    image, problems = compile_in_process(directory / "blocklist.yaml", directory)
    assert image is not None, problems
    wall = time.time()
    return Policy(directory, text, open_table(image, wall, wall, 1))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_upstream(tmp_path_factory.mktemp("upstream")) as port:
        yield port


def audit_of(policy: Policy, server: ServerToAsk, sample: int | None = None) -> AuditResult:
    manner = Manner(qps=QPS, seed=20260101)
    basis = Basis(policy.table)
    return asyncio.run(audit(basis, Wanted(seed=20260101, sample=sample), [server], manner, time.time))


def findings(result: AuditResult) -> dict[str, str]:
    return {
        name.written: f"{name.status.value}: {name.gravest.faults[:1]}"
        for name in result.names
        if is_finding(name)
    }


def peer_called(name: str) -> ExportPeer:
    return next(peer for peer in PEERS if peer.name == name)


def each_peer() -> list[object]:
    names = ("unbound", "bind", "dnsmasq")
    return [
        pytest.param(peer, id=peer.name, marks=pytest.mark.needs(peer.program))
        for peer in map(peer_called, names)
    ]


def test_no_false_alarm_against_ourselves(policy: Policy, upstream: int, tmp_path: Path) -> None:
    with running_server(tmp_path, upstream, blocklist=policy.text) as server:
        result = audit_of(policy, own_server({"dns": [("127.0.0.1", server.port)]}))
    assert findings(result) == {}
    assert result.counts()["covered"] == NAMES


@pytest.mark.parametrize("peer", each_peer())
def test_no_false_alarm_against_others_with_our_export(
    peer: ExportPeer, policy: Policy, upstream: int, tmp_path: Path
) -> None:
    output = tmp_path / "export.conf"
    patch = pytest.MonkeyPatch()
    patch.setattr("resolver.export.losses.EXAMPLES_MAX", NAMES)
    export = export_policy(policy.table, peer.export_format, time.time(), output)
    for file in export.files:
        assert file.path is not None
        Path(file.path).write_text("".join(file.lines))
    patch.undo()
    losses = {
        f"*.{name}" for loss in export.losses.all() if loss.kind is LossKind.BELOW for name in loss.examples
    }
    with running_peer(peer, tmp_path / "peer", upstream, output, LAST) as port:
        result = audit_of(policy, server_from(f"127.0.0.1:{port}"))
    found = findings(result)
    # What the format cannot say, as the export has told, is open there indeed: and nothing else is.
    assert found.keys() == losses, dict(list(found.items())[:5])
    assert result.counts()["covered"] == NAMES - len(losses)


def naive_lines(name: str) -> str:
    """What people write for each domain of a list they are sent."""
    return {
        "unbound": 'server:\n  local-zone: "{name}." always_nxdomain\n',
        "bind": "{name} CNAME .\n",
        "dnsmasq": "address=/{name}/0.0.0.0\n",
    }[name]


@contextmanager
def running_naively(peer: ExportPeer, directory: Path, upstream: int, names: list[str]) -> Iterator[int]:
    """The peer with a list that knows names and nothing else."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = "".join(naive_lines(peer.name).format(name=name) for name in names)
    export = directory / "naive.conf"
    if peer.name == "bind":
        zone = directory / "naive.zone"
        zone.write_text(
            f"$TTL 300\n@ SOA policy.invalid. nobody.invalid. 1 3600 600 86400 300\n@ NS a.invalid.\n{lines}"
        )
        lines = f'zone "naive.invalid" {{ type primary; file "{zone}"; check-names ignore; }};\n'
        export.with_suffix(".options.conf").write_text(
            'response-policy { zone "naive.invalid"; } qname-wait-recurse no;\n'
        )
    export.write_text(lines)
    with running_peer(peer, directory, upstream, export, LAST) as port:
        yield port


@pytest.mark.parametrize("peer", each_peer()[: None if IS_LONG else 1])
def test_a_list_written_by_hand_shows_its_real_leaks(
    peer: ExportPeer, policy: Policy, upstream: int, tmp_path: Path
) -> None:
    names = [f"site{i}.example" for i in range(NAMES - SINKS)] + [f"sink{i}.example" for i in range(SINKS)]
    with running_naively(peer, tmp_path, upstream, names) as port:
        result = audit_of(policy, server_from(f"127.0.0.1:{port}"), sample=NAMES // 2)
    by_form = Counter((name.form, name.kind, name.status) for name in result.names)
    trees = [
        name
        for name in result.names
        if name.form == "subtree" and name.source == "big" and f"ok.{name.name}" not in policy.text
    ]
    sinks = [name for name in result.names if name.source == "sink"]
    exact = [name for name in result.names if name.written.startswith("=")]
    allowed = [name for name in result.names if name.written.startswith("ok.")]
    assert trees and sinks and exact and allowed, by_form
    assert {name.status for name in sinks} == {Status.UNCOVERED}
    if peer.name == "unbound":
        # NXDOMAIN for the whole tree: right for trees, too much for what is exact or excepted.
        assert {name.status for name in trees} == {Status.COVERED}
        assert all(name.status is not Status.COVERED for name in exact)
        assert {name.status for name in allowed} == {Status.OVERBLOCKED}
    elif peer.name == "bind":
        # Without `*.` names below are not covered at all.
        assert {name.status for name in trees} == {Status.UNCOVERED}
        assert {name.status for name in allowed} == {Status.OPEN}
        reasons = {fault.kind.value for name in trees for fault in name.gravest.faults}
        assert "leak" in reasons
    else:
        # 0.0.0.0 for A; other types are asked upstream, and leak.
        assert {name.status for name in trees} == {Status.UNCOVERED}
        assert "leak" in {fault.kind.value for name in trees for fault in name.gravest.faults}
        assert {name.status for name in allowed} == {Status.OVERBLOCKED}
