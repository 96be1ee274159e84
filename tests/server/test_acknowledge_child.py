"""Which rules that are gone are told; the server is a function, and nothing waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resolver.audit.campaign import Campaign, Outcome
from resolver.audit.targets import Target
from resolver.server import acknowledge_child
from resolver.server.acknowledge_child import REMOVED_ASKED_MAX, _Proofs, _prove_removed
from resolver.server.acknowledge_job import ProofJob
from resolver.server.audit_job import Job
from tests.support.audit_rig import WALL, Play, Replies, Script, compile_table, query_of, server_of

JOB = Job("state", "blocklist.yaml", "00" * 32, {"dns": [("127.0.0.1", 53)]}, 500.0, 100)
POLICY = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n"


@pytest.fixture
def prove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Script], _Proofs]:
    table = compile_table(tmp_path, POLICY)

    def proved(count: int, script: Script) -> _Proofs:
        async def run(
            target: Target, campaign: Campaign[str], on_outcome: Callable[[Outcome[str]], None]
        ) -> None:
            await Play({"*": script})(target, campaign, on_outcome)  # type: ignore[arg-type]

        monkeypatch.setattr(acknowledge_child, "run_campaign", run)
        rows = [(f"gone{number}.left.example",) * 2 for number in range(count)]
        return asyncio.run(_prove_removed(rows, table, JOB))

    return proved


def denying(tmp_path: Path, *, only: bytes = b"") -> Script:
    """A server that still denies what is gone, or only one name of it."""
    old = server_of(compile_table(tmp_path / "old", POLICY.replace("acme.example", "left.example")))
    new = server_of(compile_table(tmp_path / "new", POLICY))

    def answer(target: Target, octets: bytes) -> Replies:
        return (old if query_of(octets).qname.startswith(only) else new)(target, octets)

    return answer


def test_one_of_a_sample_that_is_still_denied_withholds_the_whole_removal(
    tmp_path: Path, prove: Callable[[int, Script], _Proofs]
) -> None:
    count = 2 * REMOVED_ASKED_MAX
    proofs = prove(count, denying(tmp_path))
    assert proofs.unproved == {f"gone{number}.left.example" for number in range(count)}
    assert "still denied; none of 400 is told" in proofs.reason


def test_where_all_are_asked_each_stands_for_itself(
    tmp_path: Path, prove: Callable[[int, Script], _Proofs]
) -> None:
    proofs = prove(20, denying(tmp_path, only=b"\x05gone7"))
    assert proofs.unproved == {"gone7.left.example"}
    assert prove(2 * REMOVED_ASKED_MAX, server_of(compile_table(tmp_path, POLICY))).unproved == set()


def test_a_board_that_starts_in_1970_proves_what_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def served_now(job: Job, wall: float) -> object:
        seen.append(wall)
        return None

    monkeypatch.setattr(acknowledge_child, "served_now", served_now)
    job = ProofJob([], replace(JOB, earliest=WALL))
    assert asyncio.run(acknowledge_child.run(job, lambda: 42.0)) == []
    assert WALL <= seen[0] < WALL + 60
