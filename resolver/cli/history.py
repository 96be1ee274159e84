"""`history`: what was served when, by whom, and what each change did.

Knows: how a generation is shown.  Does not know: how it is kept.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resolver.blocklist.difference_text import as_text, headline, records_headline, records_lines
from resolver.cli.diff import text_of
from resolver.cli.files import EXIT_FINE, BadInput, bad_input, read_settings
from resolver.cli.moments import iso_moment
from resolver.plurals import counted
from resolver.problems import Problem, printable
from resolver.publishing.history import FORCED_AGAINST, Generation, HistoryUnusable, open_history
from resolver.publishing.pause_records import PAUSE
from resolver.wire.idn import with_unicode

NOT_OURS = (AttributeError, KeyError, TypeError, ValueError)
"""What entries lead to that somebody else has written into the file."""


def list_history(config: Path | None, *, limit: int, as_json: bool) -> int:
    """Print the latest generations; the exit code."""
    try:
        settings, _ = read_settings(config)
        with open_history(settings.state_dir) as history:
            generations = history.newest(limit)
            dropped = history.dropped()
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    except HistoryUnusable as error:
        return bad_input([Problem("history", 0, str(error))], as_json=as_json)
    if as_json:
        entries = [generation_json(generation) for generation in generations]
        print(json.dumps({"generations": entries, "dropped": asdict(dropped)}, indent=2))
        return EXIT_FINE
    width = max((len(str(generation.number)) for generation in generations), default=0)
    for generation in generations:
        mark = "FORCED" if generation.reason else ""
        who = _who(generation)
        try:
            said = changes_headline(generation.changes)
        except NOT_OURS:
            said = "changes are not as this program writes them"
        print(f"{generation.number:>{width}}  {iso_moment(generation.at)}  {who:<12} {mark:<6}  {said}")
    if dropped.texts or dropped.generations:
        texts = f"the texts of {dropped.texts:,} more" if dropped.texts != 1 else "the text of 1 more"
        print(f"no longer kept: {counted(dropped.generations, 'generation')}, {texts}")
    return EXIT_FINE


def show_generation(number: int, config: Path | None, *, text: bool, as_json: bool) -> int:
    """Print one generation; the exit code."""
    try:
        settings, _ = read_settings(config)
        if text:
            _write_text(text_of(settings.state_dir, number).decode("utf-8", "replace"))
            return EXIT_FINE
        with open_history(settings.state_dir) as history:
            generation = history.get(number)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    except HistoryUnusable as error:
        return bad_input([Problem("history", 0, str(error))], as_json=as_json)
    if generation is None:
        problem = Problem(f"generation {number}", 0, "there is no such generation")
        return bad_input([problem], as_json=as_json)
    if as_json:
        print(json.dumps(generation_json(generation), indent=2))
        return EXIT_FINE
    try:
        _print_generation(generation)
    except NOT_OURS:
        problem = Problem(f"generation {number}", 0, "the rest is not as this program writes it")
        return bad_input([problem], as_json=as_json)
    return EXIT_FINE


def _write_text(text: str) -> None:
    """As it is to a file or a program; a terminal gets what it cannot be steered by."""
    if sys.stdout.isatty():
        text = "\n".join(printable(line.rstrip("\r").expandtabs()) for line in text.split("\n"))
    sys.stdout.write(text)


def _print_generation(generation: Generation) -> None:
    known_from = {"apply": " (applied by hand)", "api": " (by the API)", "owner": " (owner of the file)"}
    print(f"generation  {generation.number}")
    print(f"in force    {iso_moment(generation.at)}")
    print(f"who         {_who(generation)}{known_from.get(generation.who_from, '')}")
    if generation.reason:
        against = generation.changes.get(FORCED_AGAINST)
        print(f"forced      {generation.reason}{f' (against generation {against})' if against else ''}")
    if rollback := generation.changes.get("rollback"):
        remark = f" ({rollback['remark']})" if rollback["remark"] else ""
        print(f"rollback    to generation {rollback['to']}{remark}")
    if edit := generation.changes.get("edit"):
        if edit["approved_by"]:
            print(f"approved    by {edit['approved_by']} (proposal {edit['proposal']})")
        if edit["reason"]:
            print(f"reason      {edit['reason']}")
    print(f"blocklist   sha256 {generation.sha256}")
    print(f"text        {'kept' if generation.has_text else 'not kept'}")
    counts = generation.counts
    if "exchanges" in counts:
        exchanges, domains = counts["exchanges"], counts["domains"]
        print(f"holds       {counted(exchanges, 'exchange')}, {counted(domains, 'domain')}")
    print()
    changes = generation.changes
    if date := changes.get("date"):
        _print_date(date)
        return
    if pause := changes.get(PAUSE):
        _print_pause(pause)
        return
    records = changes.get("records", {})
    if "unknown" in changes:
        print("\n".join(["what it changed is not known", *records_lines(records)]))
    else:
        print(as_text(changes, records))
    for name, (old, new) in changes.get("list_names", {}).items():
        print(f"list {name}: {_names(old)} -> {_names(new)}")
    for path in changes.get("files", ()):
        print(f"list file changed: {path}")
    for end in changes.get("ends", ()):
        print(f"ends soon: {end}")


def _who(generation: Generation) -> str:
    """Whoever did it, or what."""
    if generation.who_from == "date" or (generation.who_from == PAUSE and not generation.who):
        return "the calendar"
    return generation.who or "unknown"


def _print_pause(pause: dict[str, Any]) -> None:
    """When a pause began or how it ended, and what it opened."""
    print(_pause_headline(pause))
    print(f"reason      {pause['reason']}")
    if pause.get("approved_by"):
        proposal = f" (proposal {pause['proposal']})" if pause.get("proposal") else ""
        print(f"approved    by {pause['approved_by']}{proposal}")
    if pause.get("ended_reason"):
        print(f"ended       {pause['ended_reason']}")
    for kind in ("exchanges", "lists"):
        count = pause[f"{kind}_count"]
        more = count - len(pause[kind])
        if count:
            listed = ", ".join(pause[kind]) + (f" and {more:,} more" if more else "")
            print(f"not blocked meanwhile: {kind}: {listed}")
    if pause["confidential"]:
        print(f"not blocked meanwhile: {pause['confidential']:,} confidential")
    print(f"stayed blocked: {counted(pause['stays'], 'exchange or list', 'exchanges and lists')}")


def _pause_headline(pause: dict[str, Any]) -> str:
    scope = ", orders of authorities included" if pause["including_orders"] else ""
    if "ended_at" in pause:
        gone = f"{iso_moment(pause['began_at'])} to {iso_moment(pause['ended_at'])}"
        by = f", ended by {pause['ended_by']}" if pause["ended_by"] else ""
        return f"filtering goes on: it was paused by {pause['who']} from {gone}{by}{scope}"
    count = pause["exchanges_count"] + pause["lists_count"] + pause["confidential"]
    opened = f"opens {counted(count, 'exchange or list', 'exchanges and lists')}"
    until = iso_moment(pause["until"])
    return f"FILTERING PAUSED until {until}{scope}: {opened}, {counted(pause['domains'], 'domain')}"


def _print_date(date: dict[str, Any]) -> None:
    print(f"{_come(date)}: the same blocklist means something else since")
    if "opened" not in date:
        print("what it changed is not known")
        return
    for part, words in (("opened", "not blocked any more"), ("closed", "blocked since then")):
        for kind, names in date[part].items():
            if kind != "words":
                more = names["count"] - len(names["names"])
                listed = ", ".join(map(with_unicode, names["names"])) + (
                    f" and {more:,} more" if more else ""
                )
                print(f"{words}: {kind}: {listed}")


_NOUNS = {
    "exchanges": "exchange",
    "domains": "domain",
    "networks": "network",
    "lists": "list",
    "orders": "order",
    "allow": "exception",
    "protected": "protected name",
}


def _date_headline(date: dict[str, Any]) -> str:
    """What opened or closed by itself, in numbers."""
    said = []
    for part, verb in (("opened", "opens"), ("closed", "closes")):
        kinds = {kind: names["count"] for kind, names in date.get(part, {}).items() if kind != "words"}
        if kinds:
            said.append(f"{verb} " + ", ".join(counted(count, _NOUNS[kind]) for kind, count in kinds.items()))
    return f"{_come(date)}: {'; '.join(said) or 'nothing opens or closes'}"


def _come(date: dict[str, Any]) -> str:
    """How the moment came."""
    if "leapt_from" in date:
        return f"the clock leapt from {iso_moment(date['leapt_from'])} to {iso_moment(date['at'])}"
    return f"{iso_moment(date['at'])} had come"


def changes_headline(changes: dict[str, Any]) -> str:
    """One line on what a generation changed."""
    if date := changes.get("date"):
        return _date_headline(date)
    if pause := changes.get(PAUSE):
        return _pause_headline(pause)
    said = "changes unknown" if "unknown" in changes else headline(changes["summary"])
    lists = [name for name, sizes in changes.get("list_names", {}).items() if sizes[0] is not None]
    if lists:
        sizes = f"sizes of {counted(len(lists), 'list')}"
        said = f"{said}; {sizes}" if said != "nothing" else sizes
    elif said == "nothing" and changes.get("files"):
        said = counted(len(changes["files"]), "list file")
    elif said == "nothing":
        said = "no effect on the policy"
    if records := records_headline(changes.get("records", {})):
        said = f"{said}; {records}"
    if opened := changes.get("opened"):
        said = f"{said}; {opened['words']}"
    if ends := changes.get("ends"):
        more = f" and {counted(len(ends) - 1, 'more end')} soon" if len(ends) > 1 else ""
        said = f"{said}; {ends[0]}{more}"
    if rollback := changes.get("rollback"):
        said = f"rollback to {rollback['to']}; {said}"
    return said


def generation_json(generation: Generation) -> dict[str, Any]:
    """For `--json`."""
    return {**asdict(generation), "at": iso_moment(generation.at), "forced": bool(generation.reason)}


def _names(count: int | None) -> str:
    return "(none)" if count is None else counted(count, "name")
