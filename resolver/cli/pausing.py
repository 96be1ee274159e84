"""`pause` and `resume`: filtering off for a while, and on again.

Knows: what is printed, whose server is meant.  Does not know: what a pause is.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from resolver.changing.pausing import pause_filtering, read_duration_s, resume_filtering
from resolver.changing.refusal import Refused
from resolver.cli.files import EXIT_BAD_INPUT, EXIT_FINE, BadInput, bad_input, read_settings
from resolver.clock import boot_moment
from resolver.moments import iso_moment
from resolver.publishing.approvals import current_user

SOON = "a running server does it within seconds"


def pause(length: str, reason: str, config: Path | None, *, including_orders: bool, as_json: bool) -> int:
    """Ask for a pause; the exit code."""
    try:
        for_s = read_duration_s(length)
        settings, _ = read_settings(config)
        asked = pause_filtering(
            settings.state_dir,
            current_user(),
            for_s,
            reason,
            including_orders=including_orders,
            wall=time.time(),
            boot=boot_moment(),
        )
    except (BadInput, Refused) as error:
        return refused(error, "pause", as_json=as_json)
    if as_json:
        print(json.dumps({"until": iso_moment(asked.until), "including_orders": including_orders}))
    else:
        print(f"filtering is paused until {iso_moment(asked.until)}: {asked.scope()}; {SOON}")
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
