"""Finds what is new of lists whose records are acknowledged, proves it in force, and writes it down.

Knows: where records come from, how they are proved, the ledgers.  Does not know: commands, when to look.
Theory: a record is acknowledged when every rule that it brought is answered as the policy says, by the server
that started this, over each way that it listens.  One that is gone is when its names are not denied any more,
unless another rule has them.  What cannot be proved waits, and the next look tries again.

    python -m resolver.server.acknowledge_child < JSON of `ProofJob`

prints one line of JSON: a list of `Proved`, or `{"error": "why"}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from resolver.acknowledging.batch import Difference, Origin, Row, document_of, encoded, without
from resolver.acknowledging.ledger import Ledger, ledger_path, open_ledger
from resolver.audit.asking import run_campaign
from resolver.audit.auditor import Manner, audit
from resolver.audit.campaign import Asked, Campaign, Outcome
from resolver.audit.marking import marked
from resolver.audit.results import Kind, Status
from resolver.audit.subjects import Wanted, references
from resolver.audit.targets import own_server
from resolver.blocklist.downloads import at_their_places
from resolver.fetching.store import ListStore
from resolver.policy.image import Effect
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import RuleForm
from resolver.publishing.believed import BelievedClock
from resolver.publishing.image_store import ImageStore
from resolver.publishing.register_store import open_store
from resolver.server.acknowledge_job import ProofJob, Proved, proof_job_from
from resolver.server.audit_child import CannotAudit, Served, served_now
from resolver.server.audit_job import Job
from resolver.wire.encode import encode_query
from resolver.wire.names import NAME_OCTETS_MAX, name_from_text, name_to_text
from resolver.wire.numbers import ExtendedError, Qtype

ROWS_MAX: Final = 20_000
"""Rules of one batch, each way; more make several, one after the other."""
REMOVED_ASKED_MAX: Final = 200
"""Names that are gone and are asked about, by chance; where there are more and one fails, none is told."""
AGAIN_AFTER_S: Final = 2.0
"""Before what was not proved is asked once more: a packet may be lost."""
_SIGNS: Final = {RuleForm.EXACT: "=", RuleForm.BELOW: "*.", RuleForm.SUBTREE: ""}
_OF_POLICY: Final = {int(ExtendedError.BLOCKED), int(ExtendedError.CENSORED), int(ExtendedError.FILTERED)}
_TAKEN: Final = frozenset((Kind.SERVFAIL, Kind.TRUNCATED))
"""An upstream that fails says that the policy let the question through."""


class NotKept(Exception):
    """What a list has cannot be told; the message says why."""


@dataclass(frozen=True, slots=True)
class _Proofs:
    """Which rules were not proved, and why the first was not."""

    unproved: frozenset[str]
    reason: str


async def run(job: ProofJob, clock: Callable[[], float] = time.time) -> list[Proved]:
    """Look at each list.  Raises CannotAudit, OSError and sqlite3.Error."""
    wall = BelievedClock(clock, time.monotonic, job.audit.earliest)
    served = served_now(job.audit, wall())
    return [await _look_at(name, served, job.audit, wall) for name in job.lists]


async def _look_at(name: str, served: Served, job: Job, wall: Callable[[], float]) -> Proved:
    table, state_dir = served.basis.table, Path(job.state_dir)
    if all(rule.id != name for rule in table.lists):
        return Proved(name)
    with open_ledger(ledger_path(state_dir, name)) as ledger:
        if ledger.standing().pending is not None:
            return Proved(name, has_batch=True)
        try:
            difference = ledger.difference(_rows_of(name, served, state_dir), ROWS_MAX)
        except NotKept as error:
            return Proved(name, problem=str(error))
        added, removed = difference.added, difference.removed
        proofs = await _prove_added(name, added, served, job, wall)
        gone = await _prove_removed(removed, table, job)
        added, added_withheld = without(added, proofs.unproved)
        removed, removed_withheld = without(removed, gone.unproved)
        difference = Difference(added, removed)
        has_batch = bool(difference) and _begin(ledger, name, difference, served, state_dir, wall())
        unproved = added_withheld + removed_withheld
        return Proved(name, has_batch, unproved, proofs.reason or gone.reason)


def _begin(
    ledger: Ledger, name: str, difference: Difference, served: Served, state_dir: Path, wall: float
) -> bool:
    origin = _origin(name, served, state_dir)

    def document(batch: str, number: int) -> bytes:
        return encoded(document_of(origin, difference, batch=batch, number=number, proved_at=wall))

    return ledger.begin(difference, wall, document)


def _origin(name: str, served: Served, state_dir: Path) -> Origin:
    specs = () if served.policy is None else at_their_places(served.policy.lists, state_dir)
    spec = next((spec for spec in specs if spec.name == name), None)
    notes = ListStore(state_dir, name).notes()
    updated_at = notes.changed_at
    if spec is not None and spec.download is None:
        with contextlib.suppress(OSError):
            updated_at = spec.path.stat().st_mtime
    return Origin(name, notes.serial, updated_at, served.basis.policy)


# What a list has.


def _rows_of(name: str, served: Served, state_dir: Path) -> Iterator[Row]:
    """Every rule of a list that is in force, with the id of its record.  Raises NotKept."""
    table = served.basis.table
    classes = table.image.classes
    mine = {
        number: _SIGNS[origin.form]
        for number, origin in enumerate(classes)
        if origin.rule.kind == "list"
        and origin.rule.id == name
        and origin.effect is Effect.BLOCK
        and origin.form is not None
        and table.class_state(number).is_enforced
    }
    if not mine:
        return iter(())
    if name in table.counts.get("registers", {}):
        return _rows_of_register(name, ImageStore(state_dir).records_path_of(served.image.stem))
    rules = (
        mine[class_id] + name_to_text(owner) for owner, class_id, _ in references(table) if class_id in mine
    )
    return ((rule, rule) for rule in rules)


def _rows_of_register(name: str, records: Path) -> Iterator[Row]:
    try:
        with open_store(records) as store:
            for entry in store.rules(name):
                yield entry.id, _SIGNS[RuleForm(entry.form)] + name_to_text(entry.owner)
    except (sqlite3.Error, OSError) as error:
        raise NotKept(f"the register's records cannot be read: {error}") from None


# Proofs.


async def _prove_added(
    name: str, rows: Sequence[Row], served: Served, job: Job, wall: Callable[[], float]
) -> _Proofs:
    """Which of the rules are answered as the policy says."""
    unproved = {rule for _, rule in rows}
    reason = ""
    for attempt in range(2):
        if not unproved:
            break
        if attempt:
            await asyncio.sleep(AGAIN_AFTER_S)
        names = frozenset(_owner_of(rule) for rule in unproved)
        manner = Manner(
            qps=job.qps, questions_max=0, secret=bytes.fromhex(job.secret), seed=secrets.randbits(31)
        )
        wanted = Wanted(register=name, seed=manner.seed, names=names)
        result = await audit(served.basis, wanted, [own_server(job.endpoints)], manner, wall)
        mine = [one for one in result.names if (one.kind, one.source) == ("list", name)]
        unproved -= {one.written for one in mine if one.status is Status.COVERED}
        wrong = next((one for one in mine if one.status is not Status.COVERED), None)
        reason = f"{wrong.written} is {wrong.status}: {wrong.gravest.reason}" if wrong is not None else ""
    return _Proofs(frozenset(unproved), (reason or "not in force") if unproved else "")


async def _prove_removed(rows: Sequence[Row], table: PolicyTable, job: Job) -> _Proofs:
    """Which of the rules that are gone still deny their names."""
    passing = {}
    for _, rule in rows:
        owner = _owner_of(rule)
        qname = b"\x01x" + owner if rule.startswith("*.") and len(owner) <= NAME_OCTETS_MAX - 2 else owner
        if not table.judge_name(qname, table.made_at[1]).is_blocked:
            passing[rule] = qname
    if not passing:
        return _Proofs(frozenset(), "")
    chosen = secrets.SystemRandom().sample(sorted(passing), min(REMOVED_ASKED_MAX, len(passing)))
    asked = {rule: passing[rule] for rule in chosen}
    wrong: dict[str, str] = {}

    def take(outcome: Outcome[str]) -> None:
        message = outcome.message
        if message is None:
            wrong[outcome.tag] = "is gone, and no answer shows it"
        elif any(code in _OF_POLICY for code, _ in message.extended_errors):
            wrong[outcome.tag] = "is gone, and is still denied"

    campaign = Campaign(
        (Asked(rule, _question(qname, job), takes=_TAKEN) for rule, qname in asked.items()),
        qps=job.qps,
        seed=secrets.randbits(31),
    )
    await run_campaign(own_server(job.endpoints).targets[0], campaign, take)
    reason = next((f"{rule} {why}" for rule, why in wrong.items()), "")
    if wrong and len(asked) < len(passing):
        # What the sample shows of some is likely of others that were not asked.
        return _Proofs(frozenset(rule for _, rule in rows), f"{reason}; none of {len(rows):,} is told")
    return _Proofs(frozenset(wrong), reason)


def _question(qname: bytes, job: Job) -> bytes:
    octets = encode_query(qname, Qtype.A, id=0, dnssec_ok=False, checking_disabled=False, edns=True)
    return marked(octets, bytes.fromhex(job.secret))


def _owner_of(rule: str) -> bytes:
    return name_from_text(rule.removeprefix("=").removeprefix("*."))


def main() -> int:
    """The child process: see the head of this file."""
    told: object
    try:
        told = [asdict(found) for found in asyncio.run(run(proof_job_from(sys.stdin.buffer.read())))]
    except (CannotAudit, OSError, sqlite3.Error) as error:
        told = {"error": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if isinstance(told, list) else 2


if __name__ == "__main__":
    sys.exit(main())
