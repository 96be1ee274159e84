"""`lists` and `lists update`: where each list comes from, how fresh it is, and fetching it now.

Knows: tables, progress bars, exit codes.  Does not know: how anything is fetched or compiled.
A running server sees a new copy as it sees any changed file.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from resolver.blocklist.downloads import at_their_places, downloaded_lists
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import ListSpec
from resolver.cli.files import EXIT_FINDINGS, EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.moments import iso_moment
from resolver.cli.progress import progress_bar
from resolver.cli.wrapping import print_rows
from resolver.config.settings import Settings
from resolver.fetching.download import Job, Means, fetch_list
from resolver.fetching.outcome import Outcome, Result
from resolver.fetching.store import ListStore, Notes
from resolver.identity import as_owner_of
from resolver.plurals import counted
from resolver.problems import Problem, printable, show
from resolver.publishing.image_store import ImageStore
from resolver.server.lists import bootstrap_servers

OVERDUE = 2.0
"""A list that was not fetched for this many of its intervals is worth a remark."""


@dataclass(frozen=True, slots=True)
class ListState:
    """One list, as a person asks for it."""

    name: str
    source: str
    """A URL or a path."""
    last_success: float | None
    """Unix seconds: a download was known to be current, or a local file was changed; None: never."""
    age_s: float | None
    octets: int | None
    names: int | None
    """Of the downloaded copy; of a local file in the policy that served last."""
    problem: str
    """Empty: none."""


def show_lists(config: Path | None, blocklist: Path | None, *, as_json: bool) -> int:
    """Print how every list stands; 1 when one has a problem."""
    try:
        settings, specs = _read(config, blocklist)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    now = time.time()
    served = ImageStore(settings.state_dir).list_sizes()
    try:
        states = [_state_of(spec, settings.state_dir, now, served.get(spec.name)) for spec in specs]
    except OSError as error:
        return bad_input([Problem(str(settings.state_dir), 0, str(error.strerror))], as_json=as_json)
    if as_json:
        print(json.dumps({"lists": [_state_json(state) for state in states]}, indent=2))
    elif not states:
        print("The blocklist has no lists.")
    else:
        print_rows(_HEADERS, list(map(_row, states)), numbers=("SIZE", "NAMES"))
    return EXIT_FINDINGS if any(state.problem for state in states) else EXIT_FINE


def list_problems(config: Path) -> list[tuple[str, str]]:
    """Name of each list, and what is the matter with it; empty: nothing.  None where it cannot be read."""
    try:
        settings, specs = _read(config, None)
        now = time.time()
        states = [_state_of(spec, settings.state_dir, now, None) for spec in specs]
    except (BadInput, OSError):
        return []
    return [(state.name, state.problem) for state in states]


def update_lists(
    names: Iterable[str], config: Path | None, blocklist: Path | None, *, force: bool, as_json: bool
) -> int:
    """Fetch some or all downloaded lists now; 1 when one could not be had."""
    try:
        settings, specs = _read(config, blocklist)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    found = {entry.name: entry for entry in downloaded_lists(specs)}
    wanted = list(names) or list(found)
    if unknown := [name for name in wanted if name not in found]:
        known = ", ".join(found) or "none"
        message = f"is not a list that is downloaded; those are: {known}"
        return bad_input([Problem(show(name), 0, message) for name in unknown], as_json=as_json)
    try:
        with as_owner_of(settings.state_dir) as state_dir:
            jobs = [Job(found[name], state_dir, bootstrap_servers(settings), force) for name in wanted]
            outcomes = asyncio.run(_update(jobs))
    except OSError as error:
        return bad_input([Problem(str(settings.state_dir), 0, str(error.strerror))], as_json=as_json)
    if as_json:
        print(json.dumps({"lists": [_outcome_json(outcome) for outcome in outcomes]}, indent=2))
    else:
        for outcome in outcomes:
            print(_line_of(outcome), file=sys.stdout if outcome.is_success else sys.stderr)
        if not outcomes:
            print("No list of the blocklist is downloaded.")
    return EXIT_FINE if all(outcome.is_success for outcome in outcomes) else EXIT_FINDINGS


async def _update(jobs: list[Job]) -> list[Outcome]:
    """One after another: lists are few, and their servers are not ours."""
    outcomes = []
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with progress_bar(*columns) as progress:
        for job in jobs:
            task = progress.add_task(job.wanted.name, total=None)
            outcomes.append(await fetch_list(job, Means(progress=_teller(progress, task))))
            progress.update(task, visible=False)
    return outcomes


def _teller(progress: Progress, task: TaskID) -> Callable[[int, int | None], None]:
    def tell(received: int, total: int | None) -> None:
        progress.update(task, completed=received, total=total)

    return tell


def _read(config: Path | None, blocklist: Path | None) -> tuple[Settings, tuple[ListSpec, ...]]:
    path, settings = policy_path(config, blocklist)
    # Rails on names are none of this command's business.
    found, problems = read_blocklist(path, force=True)
    if found is None:
        raise BadInput(problems)
    return settings, at_their_places(found.lists, settings.state_dir)


def _state_of(spec: ListSpec, state_dir: Path, now: float, served: int | None) -> ListState:
    if spec.download is None:
        try:
            stat = spec.path.stat()
        except OSError as error:
            return ListState(spec.name, str(spec.path), None, None, None, served, f"{error.strerror}")
        age_s = max(0.0, now - stat.st_mtime)
        return ListState(spec.name, str(spec.path), stat.st_mtime, age_s, stat.st_size, served, "")
    with as_owner_of(state_dir) as folder:
        notes, has_copy = ListStore(folder, spec.name).look()
    if not has_copy:
        problem = f"never downloaded, so empty{': ' if notes.problem else ''}{notes.problem}"
        return ListState(spec.name, spec.download.url, None, None, None, None, problem)
    age_s = max(0.0, now - notes.succeeded_at)
    return ListState(
        spec.name,
        spec.download.url,
        notes.succeeded_at or None,
        age_s if notes.succeeded_at else None,
        notes.octets,
        notes.names,
        _problem_of(spec, notes, age_s),
    )


def _state_json(state: ListState) -> dict[str, Any]:
    return {**asdict(state), "last_success": iso_moment(state.last_success)}


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {**outcome.as_json(), "succeeded_at": iso_moment(outcome.succeeded_at or None)}


def _problem_of(spec: ListSpec, notes: Notes, age_s: float) -> str:
    assert spec.download is not None
    is_expired = 0 < notes.soa_expire_s < age_s
    expired = "; older than its authority wants it to be (SOA expire), and it serves on" if is_expired else ""
    if notes.problem:
        return f"{notes.result}: {notes.problem}{expired}"
    if notes.url != spec.download.url or notes.proof != spec.download.proof:
        return "not fetched since its entry was changed; the copy is older"
    if age_s > OVERDUE * spec.download.refresh_s:
        return "overdue: is the server running?"
    return ""


_HEADERS = ("LIST", "SOURCE", "AGE", "SIZE", "NAMES", "PROBLEM")


def _row(state: ListState) -> list[str]:
    size = "-" if state.octets is None else f"{state.octets:,}"
    names = "-" if state.names is None else f"{state.names:,}"
    return [state.name, state.source, show_age(state.age_s), size, names, printable(state.problem or "-")]


def show_age(age_s: float | None) -> str:
    """`3 min`, `5.2 h`, `12 days`, `never`."""
    if age_s is None:
        return "never"
    if age_s < 5400:
        return f"{age_s / 60:.0f} min"
    if age_s < 2 * 86_400:
        return f"{age_s / 3600:.1f} h"
    return f"{age_s / 86_400:.0f} days"


def _line_of(outcome: Outcome) -> str:
    vain = printable(f"; asked in vain: {outcome.remark}") if outcome.remark else ""
    if outcome.result is Result.UPDATED:
        size = f"{counted(outcome.names, 'name')}, {counted(outcome.octets, 'byte')}"
        return f"{outcome.name}: updated, {size}{vain}"
    if outcome.result is Result.UNCHANGED:
        return f"{outcome.name}: unchanged, {counted(outcome.names, 'name')}{vain}"
    return printable(f"{outcome.name}: {outcome.result}: {outcome.message}")
