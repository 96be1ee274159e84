"""`fmt`: tidies blocklists, and writes nothing that would mean anything else.

Knows: files, what is checked before one is replaced.  Does not know: what is tidy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from resolver.blocklist.formatting import CannotFormat, format_text, lost_comments, means_the_same
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.files import (
    EXIT_BAD_INPUT,
    EXIT_FINDINGS,
    EXIT_FINE,
    BadInput,
    bad_input,
    print_problems,
    problems_as_json,
    read_settings,
)
from resolver.cli.waiting import waits_as, waits_json, waits_lines
from resolver.config.yamlsource import read_octets
from resolver.durable import replace_file
from resolver.problems import Problem, has_errors


def format_files(
    files: list[Path],
    config: Path | None,
    *,
    check: bool,
    sort_exchanges: bool,
    schema: str | None,
    as_json: bool = False,
) -> int:
    """Tidy each file; the worst exit code of them."""
    try:
        if schema is not None and (not schema.isprintable() or not schema.strip()):
            raise BadInput([Problem("--schema", 0, "must be a URL or a path in one line")])
        settings = None if files and config is None else read_settings(config)[0]
        paths = files or [settings.blocklist] if settings is not None else files
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    formatted = [
        _format_file(path, check=check, sort_exchanges=sort_exchanges, schema=schema) for path in paths
    ]
    if settings is not None:
        formatted = [
            replace(one, waits_as=waits_as(settings, one.path)) if one.state is _State.TIDIED else one
            for one in formatted
        ]
    if as_json:
        print(json.dumps({"files": [one.as_json() for one in formatted]}, indent=2))
    else:
        for one in formatted:
            _print(one)
    return max(_EXIT_CODES[one.state] for one in formatted)


class _State(StrEnum):
    """What became of a file."""

    TIDY = "tidy"
    """It was so already."""
    TIDIED = "tidied"
    WOULD_CHANGE = "would_change"
    LEFT = "left"
    """It cannot be tidied; the problems say why."""


_EXIT_CODES = {
    _State.TIDY: EXIT_FINE,
    _State.TIDIED: EXIT_FINE,
    _State.WOULD_CHANGE: EXIT_FINDINGS,
    _State.LEFT: EXIT_BAD_INPUT,
}


@dataclass(frozen=True, slots=True)
class _Formatted:
    """One file and what became of it."""

    path: Path
    state: _State
    problems: tuple[Problem, ...] = ()
    waits_as: str | None = None
    """Tidied, it waits for a second person under this id."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        problems = problems_as_json(self.problems)
        told = {"file": str(self.path), "state": self.state.value, "problems": problems}
        return told if self.waits_as is None else {**told, "waits": waits_json(self.waits_as)}


def _print(one: _Formatted) -> None:
    match one.state:
        case _State.WOULD_CHANGE:
            print(f"{one.path}: would be changed by: exchange-resolver fmt")
        case _State.TIDIED:
            print(f"{one.path}: tidied")
            for line in [] if one.waits_as is None else waits_lines(one.waits_as):
                print(line)
        case _:
            print_problems(one.problems)


def _format_file(path: Path, *, check: bool, sort_exchanges: bool, schema: str | None) -> _Formatted:
    try:
        blocklist, octets = _read(path)
        before = octets.decode()
        after = format_text(before, sort_exchanges=sort_exchanges, schema=schema)
        if after == before:
            return _Formatted(path, _State.TIDY)
        _refuse_other_meaning(path, blocklist, before, after)
        if check:
            return _Formatted(path, _State.WOULD_CHANGE)
        replace_file(path, after.encode())
    except BadInput as error:
        return _Formatted(path, _State.LEFT, tuple(error.problems))
    except CannotFormat as error:
        return _Formatted(path, _State.LEFT, (Problem(str(path), 0, f"left as it is: {error}"),))
    except OSError as error:
        return _Formatted(path, _State.LEFT, (Problem(str(path), 0, str(error.strerror)),))
    return _Formatted(path, _State.TIDIED)


def _read(path: Path) -> tuple[Blocklist, bytes]:
    """The file and what it means.  Raises BadInput."""
    octets, problems = read_octets(path)
    if octets is None:
        raise BadInput(problems)
    blocklist, problems = read_blocklist(path, octets=octets, force=True)
    if blocklist is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    return blocklist, octets


def _refuse_other_meaning(path: Path, blocklist: Blocklist, before: str, after: str) -> None:
    """Raise BadInput unless the new text means what the old one did, comments included."""
    again, _ = read_blocklist(path, octets=after.encode(), force=True)
    if again is None or not means_the_same(blocklist, again) or lost_comments(before, after):
        message = "left as it is: tidying would change its meaning, which is a bug of ours; please report it"
        raise BadInput([Problem(str(path), 0, message)])
