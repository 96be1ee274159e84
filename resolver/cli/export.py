"""`export`: the policy in force, written for another resolver, and what that cannot say of it.

Knows: files and exit codes.  Does not know: formats; `resolver.export` spells them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from resolver.cli.files import (
    EXIT_BAD_INPUT,
    EXIT_FINDINGS,
    EXIT_FINE,
    BadInput,
    policy_path,
    print_problems,
    problems_as_json,
)
from resolver.cli.moments import iso_moment, moment_or, zone_of
from resolver.cli.process import scratch_folder
from resolver.cli.progress import long_work
from resolver.durable import replacing
from resolver.export import Export, export_policy
from resolver.export.losses import Loss
from resolver.plurals import counted
from resolver.policy.table import PolicyTable, open_table
from resolver.problems import Problem
from resolver.publishing.compiler import compile_policy

LINES_AT_ONCE = 4096
"""Lines joined for one write: a million writes would cost more than the lines."""


def export_files(
    list_format: str,
    *,
    config: Path | None,
    blocklist: Path | None,
    output: Path | None,
    at: str | None,
    as_json: bool,
    with_confidential: bool = False,
) -> int:
    """Write the export; the exit code: 1 when the format cannot say all of this policy.

    What it cannot say goes to standard error, as text or as JSON; as JSON to standard output
    where that does not carry the export itself.
    """
    report = sys.stderr if output is None or not as_json else sys.stdout
    try:
        path, settings = policy_path(config, blocklist)
        wall = moment_or(time.time(), at, zone_of(path))
        with scratch_folder() as directory:
            with long_work("reading the blocklist") as say:
                image = _compiled(path, directory, settings.state_dir, say)
                table = open_table(image, wall, 0.0, 1, is_shared=not with_confidential)
                say("converting")
                export = _prepare(table, list_format, wall, output)
            _write(export)
    except BadInput as error:
        if as_json:
            print(json.dumps({"problems": problems_as_json(error.problems)}, indent=2), file=report)
        else:
            print_problems(error.problems)
        return EXIT_BAD_INPUT
    losses = export.losses.all()
    if as_json:
        print(json.dumps(_as_json(export, list_format, wall, losses), indent=2), file=report)
    else:
        _print_losses(list_format, losses)
    return EXIT_FINDINGS if losses else EXIT_FINE


def _compiled(blocklist: Path, directory: Path, state_dir: Path, say: Callable[[str], None]) -> Path:
    compiled = compile_policy(blocklist, directory, state_dir=state_dir, on_step=say)
    if compiled.image is None:
        raise BadInput(compiled.problems)
    return compiled.image


def _prepare(table: PolicyTable, list_format: str, wall: float, output: Path | None) -> Export:
    try:
        return export_policy(table, list_format, wall, output.absolute() if output else None)
    except ValueError as error:
        raise BadInput([Problem("--output", 0, str(error))]) from None


def _write(export: Export) -> None:
    for file in export.files:
        if file.path is None:
            # Without progress: standard output may be the same terminal.
            for _ in _write_lines(file.lines, sys.stdout.write):
                pass
            continue
        try:
            with long_work(f"writing {file.path}") as say:
                _write_whole(file.lines, Path(file.path), say)
        except OSError as error:
            raise BadInput([Problem(str(file.path), 0, f"cannot be written: {error.strerror}")]) from None


def _write_whole(lines: Iterator[str], path: Path, say: Callable[[str], None]) -> None:
    """Put the file there whole or not at all: a resolver may be watching it."""
    with replacing(path) as new:
        for count in _write_lines(lines, lambda text: new.file.write(text.encode("ascii"))):
            say(f"writing {path}: {counted(count, 'line')}")


def _write_lines(lines: Iterator[str], write: Callable[[str], object]) -> Iterator[int]:
    """Write many lines at a time; gives how many are written so far."""
    count = 0
    while some := list(islice(lines, LINES_AT_ONCE)):
        write("".join(some))
        count += len(some)
        yield count


def _as_json(export: Export, list_format: str, wall: float, losses: list[Loss]) -> dict[str, Any]:
    return {
        "format": list_format,
        "at": iso_moment(wall),
        "files": [str(file.path) for file in export.files if file.path is not None],
        "losses": [{**asdict(loss), "message": loss.message} for loss in losses],
        "limits": list(export.limits),
    }


def _print_losses(list_format: str, losses: list[Loss]) -> None:
    if not losses:
        return
    print(f"What {list_format} cannot say of this policy:", file=sys.stderr)
    for loss in losses:
        more = ", ..." if loss.examples and loss.count > len(loss.examples) else ""
        examples = f": {', '.join(loss.examples)}{more}" if loss.examples else ""
        print(f"  {loss.kind.value} ({loss.count}): {loss.message}{examples}", file=sys.stderr)
