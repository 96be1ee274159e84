"""`pause` and `resume`: filtering off for a while, and on again.

Knows: what is printed, whose server is meant.  Does not know: what a pause is.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

from resolver.changing.blocklist import Author, Place
from resolver.changing.doing import do
from resolver.changing.pausing import read_duration_s, resume_filtering
from resolver.changing.refusal import Refused
from resolver.cli.files import EXIT_BAD_INPUT, EXIT_FINE, BadInput, bad_input, read_settings
from resolver.cli.waiting import waits_json, waits_lines
from resolver.clock import boot_moment
from resolver.moments import iso_moment
from resolver.problems import printable
from resolver.publishing.approvals import current_user

SOON = "a running server does it within seconds"


class Wanted(NamedTuple):
    """A pause that is asked for on the command line."""

    length: str
    reason: str
    including_orders: bool = False
    force: bool = False
    """Without a second person, where two are needed."""


def pause(wanted: Wanted, config: Path | None, *, as_json: bool) -> int:
    """Ask for a pause; the exit code."""
    try:
        settings, _ = read_settings(config)
        place = Place(settings.blocklist, settings.state_dir, settings.http.changes == "two-person")
        asked = {
            "for_s": read_duration_s(wanted.length),
            "reason": wanted.reason,
            "including_orders": wanted.including_orders,
            "alone_here": wanted.force,
        }
        done = do(place, Author(current_user(), may_approve=True), "pause", asked)
    except (BadInput, Refused) as error:
        return refused(error, "pause", as_json=as_json)
    if as_json:
        told = {**done, "including_orders": wanted.including_orders, "waits": waits_json(done["proposal"])}
        print(json.dumps(told, ensure_ascii=False))
        return EXIT_FINE
    if done["state"] == "proposed":
        print("\n".join(map(printable, done["words"].splitlines())))
        for warning in done["warnings"]:
            print(printable(f"note: {warning}"), file=sys.stderr)
        for line in waits_lines(done["proposal"]):
            print(line)
        return EXIT_FINE
    orders = (
        ", orders of authorities included" if wanted.including_orders else " but what authorities ordered"
    )
    print(f"filtering is paused until {done['until']}: everything{orders}; {SOON}")
    print("where it cannot, the pause is refused for good, and log and /readyz say so")
    print("'exchange-resolver resume' ends it before that")
    return EXIT_FINE


def resume(reason: str | None, config: Path | None, *, as_json: bool) -> int:
    """End the pause; the exit code."""
    try:
        settings, _ = read_settings(config)
        ended = resume_filtering(
            settings.state_dir, current_user(), reason, wall=time.time(), boot=boot_moment()
        )
    except (BadInput, Refused) as error:
        return refused(error, "resume", as_json=as_json)
    if as_json:
        print(json.dumps({"ended": iso_moment(ended.until)}))
    else:
        print(f"filtering goes on: the pause by {ended.who} ({ended.reason}) is ended; {SOON}")
    return EXIT_FINE


def refused(error: BadInput | Refused, command: str, *, as_json: bool = False) -> int:
    """Say why a command changes nothing; the exit code."""
    if isinstance(error, BadInput):
        return bad_input(error.problems, as_json=as_json)
    if as_json:
        told = {"refused": error.kind.value, "detail": error.detail, "remedy": error.remedy}
        print(json.dumps({**told, **error.more}, indent=2))
        return EXIT_BAD_INPUT
    for problem in error.problems:
        print(problem, file=sys.stderr)
    remedy = f"; {error.remedy}" if error.remedy else ""
    print(f"{command}: {error.detail}{remedy}", file=sys.stderr)
    return EXIT_BAD_INPUT
