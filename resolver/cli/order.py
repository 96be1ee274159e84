"""`order import`: an order's file becomes a proposal, and with `--write` a part of the blocklist.

Knows: the steps and their order, which files are read and written.  Does not know: how an order is read,
what is known of platforms, how a text is edited.
Theory: nothing is written that was not read again, checked as the server checks it, and held against what
serves now.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from resolver.blocklist.dates import end_of_day, moment_from, zone_from
from resolver.blocklist.keys import ID_FORM, ID_PATTERN
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.catalogue import read_catalogue
from resolver.cli.check import default_state_dir
from resolver.cli.edit import check_and_write, edited
from resolver.cli.files import (
    EXIT_FINDINGS,
    EXIT_FINE,
    BadInput,
    bad_input,
    policy_path,
)
from resolver.cli.moments import zone_of
from resolver.cli.order_file import read_order_file
from resolver.cli.order_text import Report, print_report
from resolver.cli.waiting import waits_as
from resolver.config.settings import Settings
from resolver.config.yamlsource import read_octets
from resolver.orders.plan import OrderTexts, Plan, Tree, make_plan
from resolver.orders.platforms import Platforms
from resolver.orders.proposal import Proposal
from resolver.orders.rows import Document, Unreadable
from resolver.orders.sorting import sort_rows
from resolver.orders.standing import Standings
from resolver.orders.writing import tree_of
from resolver.problems import Problem, has_errors, show


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    file: Path
    texts: OrderTexts
    time_zone: str | None
    is_named: bool
    take: tuple[str, ...]
    kind: str
    encoding: str | None
    catalogue: Path | None
    write: bool
    config: Path | None
    blocklist: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Policy:
    """The blocklist as it stands."""

    path: Path
    octets: bytes
    blocklist: Blocklist
    tree: Tree
    state_dir: Path | None
    settings: Settings


def import_order(request: Request) -> int:
    """Do it, print what came of it; the exit code."""
    try:
        policy = _read_policy(request)
        texts, remarks = _checked_texts(request, policy)
        document = read_order_file(request.file, request.kind, request.encoding)
        proposal = _proposal(request, texts, document, policy)
        plan = make_plan(proposal, policy.blocklist, policy.tree, texts, is_named=request.is_named)
        if plan.problems:
            raise BadInput([Problem(str(policy.path), 0, problem) for problem in plan.problems])
        proposal.not_taken += plan.not_taken
        remarks += _zone_remarks(request, proposal, policy)
        after = edited(policy.path, policy.octets, plan.changes, what="with this order")
        report = _report(request, texts, document, proposal, plan, policy, after)
        report.remarks = [*remarks, *report.remarks]
        if request.write and after != policy.octets:
            compiled = check_and_write(
                policy.path, policy.octets, after, policy.state_dir, again="import again"
            )
            report.remarks += compiled.losses
            report.is_written = True
            report.waits_as = waits_as(policy.settings, policy.path)
    except BadInput as error:
        return bad_input(error.problems, as_json=request.as_json)
    except OSError as error:
        return bad_input(
            [Problem(str(error.filename or request.file), 0, str(error.strerror))], as_json=request.as_json
        )
    if request.as_json:
        print(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        print_report(report)
    return EXIT_FINDINGS if proposal.not_taken else EXIT_FINE


def _read_policy(request: Request) -> _Policy:
    path, settings = policy_path(request.config, request.blocklist)
    octets, problems = read_octets(path)
    if octets is None:
        raise BadInput(problems)
    blocklist, problems = read_blocklist(path, octets=octets, force=True)
    if blocklist is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    is_served = request.config is not None or request.blocklist is None
    state_dir = settings.state_dir if is_served else default_state_dir()
    return _Policy(path, octets, blocklist, tree_of(octets), state_dir, settings)


def _checked_texts(request: Request, policy: _Policy) -> tuple[OrderTexts, list[str]]:
    """The order's keys as they will be written.  Raises BadInput."""
    texts = request.texts
    if not ID_PATTERN.fullmatch(texts.id):
        raise BadInput([Problem("--id", 0, f"{show(texts.id)} is not allowed; allowed: {ID_FORM}")])
    zone = policy_zone = zone_of(policy.path)
    try:
        zone = zone_from(request.time_zone) if request.time_zone else policy_zone
    except ValueError as error:
        raise BadInput([Problem("--time-zone", 0, str(error))]) from None
    if texts.until is not None and texts.through is not None:
        raise BadInput([Problem("--through", 0, "is instead of --until; give one of both")])

    def moment(option: str, text: str | None) -> str | None:
        """A plain date of another zone is written with its offset."""
        if text is None:
            return None
        try:
            at = moment_from(text, zone)
        except ValueError as error:
            raise BadInput([Problem(option, 0, str(error))]) from None
        is_day = len(text) == len("2026-01-31")
        return (
            datetime.fromtimestamp(at, UTC).astimezone(zone).isoformat()
            if is_day and zone != policy_zone
            else text
        )

    texts = replace(
        texts,
        starts=moment("--from", texts.starts),
        until=moment("--until", texts.until),
        received=moment("--received", texts.received),
        due=moment("--due", texts.due),
    )
    if texts.date is not None:
        moment("--date", texts.date)
    if texts.through is not None:
        try:
            end = end_of_day(texts.through, zone)
        except ValueError as error:
            raise BadInput([Problem("--through", 0, str(error))]) from None
        if zone != policy_zone:
            text = datetime.fromtimestamp(end, UTC).astimezone(zone).isoformat()
            texts = replace(texts, through=None, until=text)
    remarks = []
    for option, value in (("--authority", texts.authority), ("--title", texts.title)):
        if value is None and texts.id not in policy.blocklist.orders:
            remarks.append(f"{option} is not given: fill it in under orders.{texts.id}")
    return texts, remarks


def _zone_remarks(request: Request, proposal: Proposal, policy: _Policy) -> list[str]:
    """The text names a time zone, and the dates given are read in another."""
    texts = request.texts
    days = [text for text in (texts.starts, texts.until, texts.through) if text and "T" not in text]
    zones = {fact.written for fact in proposal.facts if fact.kind == "time zone" and "/" in fact.written}
    here = str(zone_of(policy.path))
    if request.time_zone is None and days and zones - {here}:
        zone = min(zones - {here})
        read = f"the text names {zone}, and {', '.join(days)} is read in {here}"
        return [f"{read}; --time-zone {zone} writes dates with its offset"]
    return []


def _proposal(request: Request, texts: OrderTexts, document: Document, policy: _Policy) -> Proposal:
    platforms = Platforms(policy.blocklist, read_catalogue(request.catalogue))
    try:
        proposal = sort_rows(document, platforms, order_id=texts.id, take=request.take, url=texts.url)
    except Unreadable as error:
        raise BadInput([Problem(str(request.file), error.line, str(error))]) from None
    if unused := [text for text in request.take if text not in proposal.taken]:
        message = "is no suggestion and no doubtful name of this order"
        raise BadInput([Problem(f"--take {show(text)}", 0, message) for text in unused])
    return proposal


def _report(
    request: Request,
    texts: OrderTexts,
    document: Document,
    proposal: Proposal,
    plan: Plan,
    policy: _Policy,
    after: bytes,
) -> Report:
    blocklist, problems = read_blocklist(policy.path, octets=after, force=True)
    assert blocklist is not None
    _, before = read_blocklist(policy.path, octets=policy.octets, force=True)
    known = {problem.message for problem in before}
    fresh = [problem.message for problem in problems if problem.message not in known]
    return Report(
        file=str(request.file),
        kind=document.kind,
        blocklist=str(policy.path),
        texts=texts,
        is_new=texts.id not in policy.blocklist.orders,
        proposal=proposal,
        plan=plan,
        standing=Standings(blocklist).of(blocklist.orders[texts.id], time.time()),
        zone=zone_of(policy.path),
        remarks=fresh,
        is_changed=after != policy.octets,
    )
