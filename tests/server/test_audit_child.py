"""What the child of an audit asks, asks again, and tells; servers are functions, and nothing waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from resolver.audit.auditor import Basis, Manner, audit
from resolver.audit.results import AuditResult, load_last
from resolver.audit.subjects import Ask, Wanted
from resolver.audit.targets import ServerToAsk, Target
from resolver.policy.table import PolicyTable
from resolver.server import audit_child
from resolver.server.audit_child import Served, run
from resolver.server.audit_job import Job, Moment, Summary
from resolver.wire.names import name_from_text
from tests.support.audit_rig import (
    WALL,
    Play,
    Replies,
    Script,
    compile_table,
    query_of,
    server_of,
    upstream_answer,
)

FEW = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example, mirror.example]}\n"


def leaks(_: Target, octets: bytes) -> Replies:
    return [(0.01, upstream_answer(octets))]


def but(table: PolicyTable, name: str, instead: Script) -> Script:
    """A server with this policy that answers as `instead` to this name and all under it."""
    right, owner = server_of(table), name_from_text(name)

    def answer(target: Target, octets: bytes) -> Replies:
        return (instead if query_of(octets).qname.endswith(owner) else right)(target, octets)

    return answer


class Rig:
    """One audit: the policies that serve, one after the other, and how the server answers to each pass."""

    def __init__(self, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tables: list[PolicyTable] = []
        """The policy of the first look, of the second, and so on; the last one stays."""
        self.scripts: list[Script] = []
        """The same of servers, for each pass."""
        self.wanted: list[Wanted] = []
        self.job = Job(
            str(state_dir), "blocklist.yaml", "00" * 32, {"dns": [("127.0.0.1", 53)]}, 500.0, 1_000
        )
        self.asks: tuple[Ask, ...] = ()
        self._looks = 0
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(audit_child, "AGAIN_AFTER_S", 0)
        monkeypatch.setattr(audit_child, "served_now", self._served_now)
        monkeypatch.setattr(audit_child, "audit", self._audit)
        monkeypatch.setattr(audit_child, "open_table", lambda path, *_: self.before)
        self.before: PolicyTable | None = None

    def _served_now(self, job: Job, wall: float) -> Served:
        number = min(self._looks, len(self.tables) - 1)
        self._looks += 1
        basis = Basis(self.tables[number], asks=self.asks, policy=f"policy{number}")
        return Served(Path(f"{number}.policy"), wall, basis, None)

    async def _audit(
        self, basis: Basis, wanted: Wanted, servers: Sequence[ServerToAsk], manner: Manner, wall: object
    ) -> AuditResult:
        script = self.scripts[min(len(self.wanted), len(self.scripts) - 1)]
        self.wanted.append(wanted)
        return await audit(basis, wanted, servers, manner, lambda: WALL, Play({"*": script}))

    def run(self, *, since: Moment | None = None, names_max: int = 1_000) -> Summary:
        self._looks = 0
        self.wanted.clear()
        job = replace(self.job, since=since, names_max=names_max)
        return asyncio.run(run(job, lambda: WALL))


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path / "state", monkeypatch)


def test_what_a_policy_changed_during_the_audit_is_left_for_the_next_one(rig: Rig, tmp_path: Path) -> None:
    rig.tables = [
        compile_table(tmp_path / "first", FEW),
        compile_table(tmp_path / "second", FEW.replace("mirror.example", "new.example")),
    ]
    rig.scripts = [but(rig.tables[0], "acme.example", leaks)]
    summary = rig.run()
    assert len(rig.wanted) == 2
    assert (summary.image, summary.wall) == ("0.policy", WALL)
    last = load_last(tmp_path / "state")
    assert last is not None and last.policy == "policy0"


MANY = """\
version: 1
lists:
  - {name: names, path: names.txt, format: domains}
"""
NAMES = "".join(f"site{number}.example\n" for number in range(400))


@pytest.mark.slow
def test_what_was_wrong_is_asked_by_every_later_audit_until_it_is_right(rig: Rig, tmp_path: Path) -> None:
    rig.before = compile_table(tmp_path / "before", MANY, names_txt="site1.example\n")
    rig.tables = [compile_table(tmp_path / "now", MANY, names_txt=NAMES)]
    right = server_of(rig.tables[0])
    rig.scripts = [but(rig.tables[0], "site7.example", leaks)]
    assert rig.run().findings["uncovered"] == 1
    since = Moment("before.policy", WALL)
    for _ in range(2):
        # A change of many names, then a whole audit: each of a few names only.
        assert rig.run(since=since, names_max=20).findings["uncovered"] == 1
        summary = rig.run(names_max=20)
        assert summary.findings["uncovered"] == 1 and summary.left_out >= 380
    rig.scripts = [right]
    assert rig.run(names_max=20).findings["uncovered"] == 0


def test_a_narrow_leak_is_asked_again_as_it_was_and_stays_a_finding(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "".join(f"site{number}.example\n" for number in range(30))
    rig.tables = [compile_table(tmp_path / "now", MANY, names_txt=names)]
    right = server_of(rig.tables[0])
    seeds = iter((3, 4))
    monkeypatch.setattr("secrets.randbits", lambda _: next(seeds))
    # So few that each name has three questions or four: the second plan has others.
    monkeypatch.setattr(audit_child, "QUESTIONS_S", 0.0)
    leaking: set[tuple[bytes, bytes, Target]] = set()

    def narrow(target: Target, octets: bytes) -> Replies:
        query = query_of(octets)
        spelt = octets[12 : query.question_end]
        if query.qname.startswith(b"\x0a") and b"\x05site7" in query.qname and not leaking:
            leaking.add((query.qname, spelt, target))
        is_leak = (query.qname, spelt, target) in leaking
        return leaks(target, octets) if is_leak else right(target, octets)

    rig.scripts = [narrow]
    summary = rig.run()
    assert leaking and summary.findings["uncovered"] == 1
    assert "site7.example is uncovered" in summary.told[0]


def test_what_was_a_chance_both_ways_is_cleared(rig: Rig, tmp_path: Path) -> None:
    rig.tables = [compile_table(tmp_path / "now", FEW)]
    rig.scripts = [but(rig.tables[0], "acme.example", leaks), server_of(rig.tables[0])]
    assert not rig.run().has_findings
    assert len(rig.wanted) == 2


def test_a_board_that_starts_in_1970_audits_what_serves(rig: Rig, tmp_path: Path) -> None:
    text = FEW.replace("name: Acme,", "name: Acme, from: 2020-01-01,")
    table = compile_table(tmp_path / "now", text)
    seen: list[float] = []

    def served_now(job: Job, wall: float) -> Served:
        seen.append(wall)
        return Served(Path("a.policy"), wall, Basis(table), None)

    rig.scripts = [server_of(table)]
    rig.monkeypatch.setattr(audit_child, "served_now", served_now)
    asyncio.run(run(replace(rig.job, earliest=WALL), lambda: 42.0))
    assert len(seen) == 1 and WALL <= seen[0] < WALL + 60
    asyncio.run(run(replace(rig.job, earliest=WALL), lambda: WALL + 7_200))
    assert seen[1] == WALL + 7_200


def asked(rig: Rig) -> frozenset[bytes]:
    names = rig.wanted[0].names
    assert names is not None
    return names


@pytest.mark.parametrize("opening", ["protected: [opened.example]", 'allow: ["*.opened.example"]'])
def test_what_an_exception_may_open_below_it_is_asked_after_it_came_and_after_it_went(
    opening: str, rig: Rig, tmp_path: Path
) -> None:
    names = "acme.example\none.opened.example\nx.two.opened.example\n"
    rig.before = compile_table(tmp_path / "before", MANY, names_txt=names)
    rig.tables = [compile_table(tmp_path / "now", f"{MANY}{opening}\n", names_txt=names)]
    rig.scripts = [server_of(rig.tables[0])]
    below = {name_from_text("one.opened.example"), name_from_text("x.two.opened.example")}
    rig.run(since=Moment("before.policy", WALL))
    assert asked(rig) == below | {name_from_text("opened.example")}
    rig.before, rig.tables = rig.tables[0], [rig.before]
    rig.run(since=Moment("before.policy", WALL))
    assert asked(rig) >= below and name_from_text("acme.example") not in asked(rig)


def test_what_orders_name_is_asked_after_every_change(rig: Rig, tmp_path: Path) -> None:
    rig.before = compile_table(tmp_path / "before", FEW)
    rig.tables = [rig.before]
    rig.asks = (Ask("order", name_from_text("named.example"), False, "", 3),)
    rig.scripts = [server_of(rig.tables[0])]
    summary = rig.run(since=Moment("before.policy", WALL))
    assert summary.findings["uncovered"] == 1
