"""Audits the server that started it, by the policy that this serves; the child process of `audits`.

Knows: the files of `state_dir`, what a server is asked as, when a finding is believed.  Does not know: when
an audit is due, what a right answer is (`resolver.audit`).
Theory: what is in force may change while the server is asked, and a packet may be lost.  So whatever is not
as it must be is asked again, by the policy that serves then, letter for letter and to the same listener; only
what is wrong both times is a finding.

    python -m resolver.server.audit_child < JSON of `Job`

prints one line of JSON: a `Summary`, or `{"error": "why"}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv6Network
from pathlib import Path
from typing import Final

from resolver.audit.asks import asks_of
from resolver.audit.auditor import Again, Basis, Manner, again_of, audit
from resolver.audit.changes import changed_names
from resolver.audit.lags import lags_of, policy_lag
from resolver.audit.results import FINDINGS, AuditResult, Lag, Status, is_finding, load_last, save_last
from resolver.audit.subjects import Wanted
from resolver.audit.targets import own_server
from resolver.blocklist.downloads import at_their_places
from resolver.blocklist.reader import read_what_served
from resolver.blocklist.rules import Blocklist
from resolver.clock import boot_moment
from resolver.local import LocalNames
from resolver.policy.image import ImageUnusable
from resolver.policy.table import PolicyTable, open_table
from resolver.portions import open_regular, read_up_to
from resolver.publishing.believed import BelievedClock
from resolver.publishing.history import TEXT_PLAIN_OCTETS_MAX
from resolver.publishing.image_store import ImageStore
from resolver.publishing.paused_serving import kept_orders, paused_at, served_form
from resolver.server.audit_job import Job, Moment, Summary, job_from
from resolver.server.list_lags import changed_since_served, list_facts
from resolver.wire.carried_addresses import Nat64Prefix, nat64_prefix
from resolver.wire.names import name_from_text, suffix_offsets
from resolver.wire.query import Query

AGAIN_AFTER_S: Final = 2.0
"""Before what is not as it must be is asked again: a policy just published is in force everywhere by then."""
QUESTIONS_S: Final = 100.0
"""Where names are few they are asked in more ways, for so long at the most."""
TOLD_MAX: Final = 10
"""Names of findings in the summary; the result has all."""


class CannotAudit(Exception):
    """Nothing could be proved; the message says why."""


@dataclass(frozen=True, slots=True)
class Served:
    """What serves at one moment."""

    image: Path
    wall: float
    basis: Basis
    policy: Blocklist | None
    """What was compiled; None: its text is not kept."""


async def run(job: Job, clock: Callable[[], float] = time.time) -> Summary:
    """Ask, ask again, keep the result.  Raises CannotAudit and OSError."""
    wall = BelievedClock(clock, time.monotonic, job.earliest)
    state_dir = Path(job.state_dir)
    first = served_now(job, wall())
    always = _found_before(state_dir) | {ask.name for ask in first.basis.asks}
    names = None if job.since is None else _worth_asking(job.since, first, always)
    result = await _ask(job, first, Wanted(names=names, first=always), wall)
    if findings := [one for one in result.names if is_finding(one)]:
        await asyncio.sleep(AGAIN_AFTER_S)
        again = served_now(job, wall())
        wrong = frozenset(name_from_text(one.name) for one in findings)
        wanted = Wanted(names=wrong, first=wrong)
        result = _corrected(result, await _ask(job, again, wanted, wall, again_of(findings)), wrong)
    _refuse_nothing(result)
    if names is None or result.names:
        save_last(state_dir, result, of_change=names is not None)
    # What another policy changed meanwhile was not asked: the next audit holds it against the first.
    return _summary(result, first)


def served_now(job: Job, wall: float) -> Served:
    """What serves now.  Raises CannotAudit."""
    store = ImageStore(Path(job.state_dir))
    note = store.last_good()
    if note is None:
        raise CannotAudit("there is no note of what is served")
    paused = paused_at(Path(job.state_dir), wall, boot_moment())
    image = served_form(store.path_of(note.key), paused)
    try:
        table = open_table(image, wall, wall, 1, prefixes_of(job))
    except ImageUnusable as error:
        raise CannotAudit(f"the policy that serves cannot be read: {error}") from None
    policy = _policy(Path(job.blocklist), store.text_path_of(note.key))
    orders = {} if policy is None else policy.orders
    kept = kept_orders(orders, paused)
    asks = () if policy is None else tuple(ask for ask in asks_of(policy, wall) if ask.order in kept)
    local = LocalNames(job.records)
    suffixes = frozenset(map(name_from_text, job.forwarded)) - {b"\0"}

    def covers(name: bytes) -> bool:
        return any(name[at:] in suffixes for at in suffix_offsets(name))

    def is_local(query: Query) -> bool:
        return local.find(query, covers, table.is_filtering) is not None

    basis = Basis(
        table,
        asks,
        {key: order.measure for key, order in orders.items() if order.measure is not None},
        is_local,
        policy=note.key,
        blocklist=job.blocklist,
        lags=_lags(policy, table, Path(job.state_dir), wall) if job.since is None else (),
        paused_until=0.0 if paused is None else paused.until,
    )
    return Served(image, wall, basis, policy)


def prefixes_of(job: Job) -> tuple[Nat64Prefix, ...]:
    """By which prefixes the server judges addresses that carry others."""
    return tuple(nat64_prefix(IPv6Network(text)) for text in job.nat64_prefixes)


def _policy(blocklist: Path, text: Path) -> Blocklist | None:
    """What was compiled; None: its text is not kept, so only rules can be asked, not what orders name."""
    with contextlib.suppress(OSError), open_regular(text) as file:
        return read_what_served(blocklist, read_up_to(file, TEXT_PLAIN_OCTETS_MAX))
    return None


def _lags(policy: Blocklist | None, table: PolicyTable, state_dir: Path, wall: float) -> tuple[Lag, ...]:
    specs = [] if policy is None else list(at_their_places(policy.lists, state_dir))
    served = {str(name): int(count) for name, count in table.counts["per_list"].items()}
    lags = lags_of(list_facts(specs, state_dir, served, is_own=True), wall)
    return (*policy_lag(changed_since_served(state_dir)), *lags)


def _found_before(state_dir: Path) -> frozenset[bytes]:
    """The names that were wrong in the last audits."""
    last = [load_last(state_dir), load_last(state_dir, of_change=True)]
    names = (one.name for result in last if result is not None for one in result.names if is_finding(one))
    return frozenset(map(name_from_text, names))


def _worth_asking(since: Moment, served: Served, always: frozenset[bytes]) -> frozenset[bytes] | None:
    """What changed, and `always`; None: that cannot be told, so everything is."""
    try:
        before = open_table(Path(since.image), since.wall, since.wall, 1, served.basis.table.nat64_prefixes)
    except ImageUnusable:
        return None
    return changed_names(before, served.basis.table) | always


async def _ask(
    job: Job, served: Served, wanted: Wanted, wall: Callable[[], float], again: Again | None = None
) -> AuditResult:
    """`again`: what is asked before all others."""
    seed = secrets.randbits(31)
    wanted = replace(wanted, sample=job.names_max, seed=seed)
    manner = Manner(
        qps=job.qps,
        questions_max=int(job.qps * QUESTIONS_S),
        secret=bytes.fromhex(job.secret),
        seed=seed,
        again=again or {},
    )
    return await audit(served.basis, wanted, [own_server(job.endpoints)], manner, wall)


def _refuse_nothing(result: AuditResult) -> None:
    """Of an audit to which nobody answered there is nothing to keep.  Raises CannotAudit."""
    wrong = [one.status for one in result.names if is_finding(one)]
    if wrong and set(wrong) == {Status.UNKNOWN} and not result.counts()[Status.COVERED.value]:
        said = (f"{one.label} {one.says}" for one in result.servers[0].listeners if one.asked and one.says)
        raise CannotAudit("; ".join(said) or "no question was answered")


def _corrected(first: AuditResult, again: AuditResult, names: frozenset[bytes]) -> AuditResult:
    """The first result, of its policy, but what `again` shows of the names that were asked again."""
    kept = tuple(one for one in first.names if name_from_text(one.name) not in names)
    return replace(first, names=kept + again.names, ended_at=again.ended_at)


def _summary(result: AuditResult, served: Served) -> Summary:
    wrong = [one for one in result.names if is_finding(one) and not one.is_confidential]
    return Summary(
        image=str(served.image),
        wall=served.wall,
        counts=result.counts(),
        findings={
            status.value: sum(one.status is status and is_finding(one) for one in result.names)
            for status in FINDINGS
        },
        questions=sum(listener.asked for listener in result.servers[0].listeners),
        lags=len(result.lags),
        left_out=sum(result.left_out.values()),
        told=[f"{one.written} is {one.status}: {one.gravest.reason}" for one in wrong[:TOLD_MAX]],
        has_findings=result.has_findings,
    )


def main() -> int:
    """The child process: see the head of this file."""
    try:
        told = asdict(asyncio.run(run(job_from(sys.stdin.buffer.read()))))
    except (CannotAudit, OSError) as error:
        told = {"error": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if "error" not in told else 2


if __name__ == "__main__":
    sys.exit(main())
