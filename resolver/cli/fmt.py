"""`fmt`: tidies blocklists, and writes nothing that would mean anything else.

Knows: files, what is checked before one is replaced.  Does not know: what is tidy.
"""

from __future__ import annotations

import sys
from pathlib import Path

from resolver.blocklist.formatting import CannotFormat, format_text, lost_comments, means_the_same
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.files import (
    EXIT_BAD_INPUT,
    EXIT_FINDINGS,
    EXIT_FINE,
    BadInput,
    print_problems,
    read_settings,
)
from resolver.config.yamlsource import read_octets
from resolver.durable import replace_file
from resolver.problems import Problem, has_errors


def format_files(
    files: list[Path], config: Path | None, *, check: bool, sort_exchanges: bool, schema: str | None
) -> int:
    """Tidy each file; the worst exit code of them."""
    try:
        if schema is not None and (not schema.isprintable() or not schema.strip()):
            raise BadInput([Problem("--schema", 0, "must be a URL or a path in one line")])
        paths = files or [read_settings(config)[0].blocklist]
    except BadInput as error:
        print_problems(error.problems)
        return EXIT_BAD_INPUT
    return max(
        _format_file(path, check=check, sort_exchanges=sort_exchanges, schema=schema) for path in paths
    )


def _format_file(path: Path, *, check: bool, sort_exchanges: bool, schema: str | None) -> int:
    try:
        blocklist, octets = _read(path)
        before = octets.decode()
        after = format_text(before, sort_exchanges=sort_exchanges, schema=schema)
        if after == before:
            return EXIT_FINE
        _refuse_other_meaning(path, blocklist, before, after)
        if check:
            print(f"{path}: would be changed by: exchange-resolver fmt")
            return EXIT_FINDINGS
        replace_file(path, after.encode())
    except BadInput as error:
        print_problems(error.problems)
        return EXIT_BAD_INPUT
    except CannotFormat as error:
        print_problems([Problem(str(path), 0, f"left as it is: {error}")])
        return EXIT_BAD_INPUT
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return EXIT_BAD_INPUT
    print(f"{path}: tidied")
    return EXIT_FINE


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
