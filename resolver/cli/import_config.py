"""`import-config`: another product's configuration becomes files here, with a list of what has no
counterpart.

Knows: files, exit codes, how losses are shown.  Does not know: any product's keys.
Theory: what is written is checked as `check` does it.  A line of a list that the checks leave out becomes a
loss, too, with its place in the product's own file.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from resolver.cli.called_as import called_as
from resolver.cli.check import default_state_dir
from resolver.cli.files import (
    EXIT_FINDINGS,
    EXIT_FINE,
    BadInput,
    bad_input,
    print_problems,
    problems_as_json,
)
from resolver.cli.init_profiles import state_dir_for
from resolver.cli.new_files import PRIVATE_MODE, write_files
from resolver.cli.process import scratch_folder
from resolver.cli.progress import long_work
from resolver.cli.wrapping import terminal_columns, wrapped
from resolver.config.settings import load_settings
from resolver.identity import ROOT, group_of_owner
from resolver.migration.gathered import Answer, BadConfig, Gathered, Loss
from resolver.migration.kinds import read_config
from resolver.migration.writing import BLOCKLIST_FILE, SETTINGS_FILE, Written, write
from resolver.orders.platforms import SHIPPED
from resolver.plurals import counted
from resolver.problems import Problem, has_errors
from resolver.publishing.compiler import compile_policy

SHOWN_MAX: Final = 200
"""Losses that are printed; all are in the JSON."""


ROUNDS_MAX: Final = 5
"""How often rules are left out before the rest is said as it is."""


@dataclass(frozen=True, slots=True)
class _Imported:
    gathered: Gathered
    written: Written
    problems: list[Problem]
    counts: dict[str, Any]


def import_files(
    file: Path,
    kind: str,
    directory: Path,
    *,
    dry_run: bool,
    force: bool,
    as_json: bool,
    with_catalogue: bool = False,
) -> int:
    """Read, write, check, and say what has no counterpart; the exit code.

    `with_catalogue`: block the exchanges of the shipped catalogue besides.
    """
    try:
        with long_work(f"reading {file}") as say:
            say("reading")
            catalogue = SHIPPED.read_text(encoding="utf-8") if with_catalogue else ""
            imported = _import(file, kind, catalogue, state_dir_for(directory))
        if has_errors(imported.problems):
            raise BadInput(imported.problems)
        files, mode = imported.written.files, PRIVATE_MODE
        group = _group_of_server(directory)
        paths = (
            []
            if dry_run
            else write_files(directory, files, force=force, mode=mode, mode_max=mode, group=group)
        )
        if (remark := _unreadable(paths, group)) is not None:
            imported.gathered.remark(remark)
    except BadConfig as error:
        return bad_input(error.problems, as_json=as_json)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    if as_json:
        print(json.dumps(_as_json(imported, paths), indent=2))
    else:
        _print(imported, paths, directory)
    return EXIT_FINDINGS if imported.gathered.losses or imported.gathered.lost_beyond else EXIT_FINE


def _group_of_server(directory: Path) -> int | None:
    """The group of the server's user, whom its `state_dir` belongs to; None: nobody knows."""
    if os.geteuid() != ROOT:
        return None
    group = group_of_owner(directory / state_dir_for(directory))
    state_dir = default_state_dir() if group is None else None
    return group if state_dir is None else group_of_owner(state_dir)


def _unreadable(paths: Sequence[Path], group: int | None) -> str | None:
    """What is to be done where the files are for root alone; None: nothing."""
    alone = [path for path in paths if path.stat().st_uid == ROOT]
    if group is not None or not alone:
        return None
    names = " ".join(shlex.quote(str(path)) for path in alone)
    return (
        "these files are for root alone, and no state_dir says whom the server runs as; where that is "
        f"another user: chgrp GROUP-OF-THE-SERVER {names}"
    )


def _import(file: Path, kind: str, catalogue: str, state_dir: str) -> _Imported:
    gathered = read_config(file, kind)
    if not catalogue:
        gathered.remark(
            "no exchange of the catalogue is blocked by this: it blocks what was blocked before; "
            "--with-catalogue puts them in"
        )
    for _ in range(ROUNDS_MAX):
        imported = _checked(gathered, catalogue, state_dir)
        if not _drop_left_out(imported):
            break
    return imported


def _checked(gathered: Gathered, catalogue: str, state_dir: str) -> _Imported:
    """The files, and what the checks say of them."""
    written = write(gathered, state_dir=state_dir, catalogue=catalogue)
    with scratch_folder() as folder:
        for name, text in written.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        settings, found = load_settings(folder / SETTINGS_FILE)
        state = folder / "state"
        state.mkdir()
        compiled = compile_policy(
            folder / BLOCKLIST_FILE, state, state_dir=None if settings is None else state
        )
        problems = [
            replace(problem, file=problem.file.removeprefix(f"{folder}/"))
            for problem in (*found, *compiled.problems)
        ]
    return _Imported(gathered, written, problems, compiled.counts)


def _drop_left_out(imported: _Imported) -> bool:
    """Make losses of rules that the checks leave out, or refuse all for; whether there were any.

    Each is told with its place in the product's own file.
    """
    gathered, found = imported.gathered, False
    for problem in imported.problems:
        source = imported.written.places.get((problem.file, problem.line))
        if source is None or (problem.severity == "warning" and problem.file == BLOCKLIST_FILE):
            continue
        # One rule may fill several lines.
        if source.tier.pop(source.rule, None) is not None:
            found = True
            gathered.lose(
                source.place, source.rule.text, problem.message, "write it into an exchange, if it is meant"
            )
    return found


def _print(imported: _Imported, paths: list[Path], directory: Path) -> None:
    gathered = imported.gathered
    for path in paths:
        print(f"written: {path}")
    denied = sum(answers == [Answer("CNAME .")] for answers, _ in gathered.answers.values())
    taken = {
        "blocked by hand": len(gathered.blocked) + len(gathered.firmly) + len(gathered.refused) + denied,
        "let through": len(gathered.let_through) + len(gathered.excepted),
        "answered": len(gathered.answers) - denied + len(gathered.records),
    }
    nouns = [f"{counted(count, 'name')} {what}" for what, count in taken.items()]
    print(f"taken over from {gathered.product}: {', '.join([*nouns, counted(len(gathered.lists), 'list')])}")
    for remark in gathered.remarks:
        _say(f"note: {remark}")
    print_problems(imported.problems)
    _print_losses(
        [loss for loss in imported.gathered.losses if loss.changes_answers], "changes what clients get"
    )
    _print_losses(
        [loss for loss in imported.gathered.losses if not loss.changes_answers], "about how it runs"
    )
    beyond = gathered.lost_beyond
    if beyond:
        print(f"and {beyond:,} more that are not listed")
    if not imported.gathered.losses:
        print("nothing was left out")
    if paths:
        print(f"next: {called_as()} check --config {directory / SETTINGS_FILE}")
        print(f"then: {called_as()} lists update --config {directory / SETTINGS_FILE}")


def _say(line: str) -> None:
    print("\n".join(wrapped(line, terminal_columns(), 6)))


def _print_losses(losses: list[Loss], title: str) -> None:
    if not losses:
        return
    print(f"\nno counterpart, {title} ({len(losses):,}):")
    for loss in losses[:SHOWN_MAX]:
        place = f"{loss.place.file}:{loss.place.line}" if loss.place.line else loss.place.file
        instead = f"  -> {loss.instead}" if loss.instead else ""
        _say(f"  {place}: {loss.key}: {loss.why}{instead}")
    if len(losses) > SHOWN_MAX:
        print(f"  ... and {len(losses) - SHOWN_MAX:,} more; --json has them all")


def _as_json(imported: _Imported, paths: list[Path]) -> dict[str, Any]:
    gathered = imported.gathered
    return {
        "product": gathered.product,
        "files": [str(path) for path in paths],
        "counts": imported.counts,
        "remarks": gathered.remarks,
        "losses": [
            {
                "file": loss.place.file,
                "line": loss.place.line,
                "key": loss.key,
                "why": loss.why,
                "instead": loss.instead,
                "changes_answers": loss.changes_answers,
            }
            for loss in imported.gathered.losses
        ],
        "losses_beyond": gathered.lost_beyond,
        "problems": problems_as_json(imported.problems),
    }
