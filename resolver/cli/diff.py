"""`diff`: what a change of blocklist would do.

Knows: what may stand on either side.  Does not know: how blocklists are compared.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from resolver.blocklist.by_order import changes_by_order
from resolver.blocklist.difference import compare
from resolver.blocklist.difference_text import as_markdown as render_markdown
from resolver.blocklist.difference_text import as_text
from resolver.blocklist.in_force import InForce
from resolver.blocklist.openings import find_opening
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.diff_records import Side, compare_records, records_of
from resolver.cli.files import (
    EXIT_FINDINGS,
    EXIT_FINE,
    BadInput,
    bad_input,
    read_settings,
)
from resolver.problems import Problem, has_errors
from resolver.publishing.believed import believed_time
from resolver.publishing.history import HistoryUnusable, open_history


def diff_blocklists(old: str, new: str, config: Path | None, *, as_json: bool, as_markdown: bool) -> int:
    """Print the difference; the exit code."""
    if as_json and as_markdown:
        return bad_input([Problem("diff", 0, "choose one of --json and --markdown")])
    try:
        with contextlib.ExitStack() as opened:
            sides = _side(old, config, opened), _side(new, config, opened)
            difference = compare(sides[0].blocklist, sides[1].blocklist)
            records = compare_records(*sides)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    described = {**difference.as_json(), **effects(sides[0].blocklist, sides[1].blocklist)}
    if as_json:
        print(json.dumps({"old": old, "new": new, **described, "records": records}, indent=2))
    elif as_markdown:
        print(render_markdown(described, records), end="")
    else:
        print(as_text(described, records))
    return EXIT_FINDINGS if records or not difference.is_empty else EXIT_FINE


def effects(before: Blocklist | None, after: Blocklist) -> dict[str, Any]:
    """What opens now, and what each order gains and loses."""
    found: dict[str, Any] = {"by_order": [change.as_json() for change in changes_by_order(before, after)]}
    if before is not None:
        now = believed_time(None, time.time())
        found["opened"] = find_opening(InForce(before, now), InForce(after, now)).as_json()
    return found


def _side(text: str, config: Path | None, opened: contextlib.ExitStack) -> Side:
    """A file, or a generation of the history where a number names no file.  Raises BadInput."""
    path = Path(text)
    if not (text.isascii() and text.isdigit()) or path.exists():
        return Side(read_side(path, None))
    settings, _ = read_settings(config)
    path = settings.blocklist.with_name(f"generation {text}")
    blocklist = read_side(path, text_of(settings.state_dir, int(text)))
    records = records_of(settings.state_dir, int(text))
    return Side(blocklist, None if records is None else opened.enter_context(records))


def read_side(path: Path, octets: bytes | None) -> Blocklist:
    """Read one side; safety rails do not keep it from being compared.  Raises BadInput."""
    blocklist, problems = read_blocklist(path, octets=octets, force=True)
    if blocklist is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    return blocklist


def text_of(state_dir: Path, number: int) -> bytes:
    """The blocklist of one generation.  Raises BadInput."""
    try:
        with open_history(state_dir) as history:
            text = history.text(number)
            if text is None:
                known = history.get(number) is not None
                reason = "its text is no longer kept" if known else "there is no such generation"
                raise BadInput([Problem(f"generation {number}", 0, reason)])
            return text
    except HistoryUnusable as error:
        raise BadInput([Problem("history", 0, str(error))]) from None
