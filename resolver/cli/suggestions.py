"""`suggestions`: names that look like a listed exchange, as a table or as JSON.

Knows: which files are read, what is shown of a suggestion.  Does not know: what looks alike.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.catalogue import read_catalogue
from resolver.cli.files import EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.moments import iso_moment
from resolver.config.settings import Settings
from resolver.config.yamlsource import read_octets
from resolver.identity import as_owner_of
from resolver.plurals import counted
from resolver.policy.image import ImageUnusable
from resolver.policy.table import open_table
from resolver.problems import Problem, has_errors, printable
from resolver.publishing.image_store import ImageStore
from resolver.suggestions.advice import Suggestion, suggest
from resolver.suggestions.decisions import Decision, DecisionsUnusable, read_decisions
from resolver.suggestions.listed import known_of, left_out_words
from resolver.suggestions.score import DEFAULT_SCORE_MIN
from resolver.suggestions.seen import SeenUnusable, read_seen
from resolver.wire.idn import with_unicode
from resolver.wire.names import name_to_text

OFF = "suggestions are off: with 'suggestions: {enabled: true}' in its settings the server collects them"


@dataclass(frozen=True, slots=True)
class Desk:
    """All that suggestions are made of, read."""

    path: Path
    """The blocklist."""
    octets: bytes
    blocklist: Blocklist
    settings: Settings
    decisions: dict[bytes, Decision]
    found: list[Suggestion]
    """All of them, whatever their state."""
    left_out: str = ""
    """What is to be said of names that nothing was held against."""


def list_suggestions(
    config: Path | None,
    blocklist: Path | None,
    *,
    show_all: bool,
    score_min: float | None,
    with_confidential: bool,
    as_json: bool,
) -> int:
    """Print them; the exit code."""
    try:
        desk = read_desk(config, blocklist)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    except OSError as error:
        return bad_input([Problem(str(error.filename), 0, str(error.strerror))], as_json=as_json)
    least = DEFAULT_SCORE_MIN if score_min is None else score_min
    wanted = [one for one in desk.found if show_all or one.state(least) == "open"]
    shown = [one for one in wanted if with_confidential or not one.exchange.is_confidential]
    concealed = len(wanted) - len(shown)
    if as_json:
        fields = {
            "enabled": desk.settings.suggestions.enabled,
            "suggestions": [suggestion_json(one, least) for one in shown],
            "confidential": concealed,
            "remark": desk.left_out,
        }
        print(json.dumps(fields, indent=2, ensure_ascii=False))
        return EXIT_FINE
    if shown:
        Console(width=None if sys.stdout.isatty() else 120).print(_table(shown, least))
    if concealed:
        names = counted(concealed, "more name")
        print(f"{names} like a confidential exchange: --with-confidential lists them")
    if desk.left_out:
        print(desk.left_out)
    if not desk.settings.suggestions.enabled:
        print(OFF)
    elif not shown and not concealed:
        print("Nothing that was asked for looks like a listed exchange.")
    return EXIT_FINE


def read_desk(config: Path | None, blocklist: Path | None) -> Desk:
    """Read everything.  Raises BadInput and OSError."""
    return desk_of(*policy_path(config, blocklist), time.time())


def desk_of(path: Path, settings: Settings, now: float) -> Desk:
    """The same of one blocklist, as of `now` (Unix seconds)."""
    octets, problems = read_octets(path)
    if octets is None:
        raise BadInput(problems)
    policy, problems = read_blocklist(path, octets=octets, force=True)
    if policy is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    known = known_of(policy, read_catalogue(None))
    try:
        with as_owner_of(settings.state_dir) as folder:
            seen, decisions = read_seen(folder), read_decisions(folder)
    except (SeenUnusable, DecisionsUnusable) as error:
        raise BadInput([Problem("suggestions", 0, str(error))]) from None
    listed = {one.id: one for one in known.listed}
    found = suggest(known.index(), listed, seen, decisions, _judge_of(settings.state_dir, now))
    return Desk(path, octets, policy, settings, decisions, found, left_out_words(known))


def _judge_of(state_dir: Path, wall: float) -> Callable[[bytes], bool]:
    """Whether the policy that served last, with its lists, says something about a name."""
    try:
        with as_owner_of(state_dir) as folder:
            store = ImageStore(folder)
            note = store.last_good()
            if note is None:
                return lambda name: False
            table = open_table(store.path_of(note.key), wall, wall, 1)
    except (ImageUnusable, OSError):
        return lambda name: False

    def is_judged(name: bytes) -> bool:
        verdict = table.judge_name(name, wall)
        return verdict.match is not None or verdict.shadow is not None

    return is_judged


def suggestion_json(one: Suggestion, score_min: float) -> dict[str, Any]:
    """For programs."""
    decision = one.decision
    return {
        "name": name_to_text(one.name),
        "exchange": one.exchange.id,
        "exchange_name": one.exchange.name,
        "score": one.score,
        "reasons": list(one.reasons),
        "official": one.is_official,
        "confidential": one.exchange.is_confidential,
        "state": one.state(score_min),
        "queries": one.seen.queries,
        "days": {day.isoformat(): count for day, count in sorted(one.seen.days.items())},
        "first": one.seen.first.isoformat(),
        "last": one.seen.last.isoformat(),
        "decision": None if decision is None else decision_json(decision),
    }


def decision_json(decision: Decision) -> dict[str, Any]:
    """For programs."""
    return {
        "what": decision.what,
        "who": decision.who,
        "at": iso_moment(decision.at),
        "reason": decision.reason,
        "exchange": decision.exchange,
    }


def _table(shown: list[Suggestion], score_min: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("NAME", overflow="fold")
    table.add_column("LOOKS LIKE", overflow="fold")
    table.add_column("SCORE", justify="right")
    table.add_column("QUERIES", justify="right")
    table.add_column("LAST", no_wrap=True)
    table.add_column("WHY", overflow="fold")
    for one in shown:
        cells = (
            with_unicode(name_to_text(one.name)),
            one.exchange.id,
            f"{one.score:.2f}",
            f"{one.seen.queries:,}",
            one.seen.last.isoformat(),
            "; ".join(_words(one, score_min)),
        )
        # As text: rich would take brackets in a stranger's words for its markup.
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _words(one: Suggestion, score_min: float) -> list[str]:
    words = list(one.reasons)
    if one.is_official:
        words.append("official, so no imitation")
    if one.exchange.is_confidential:
        words.append("confidential")
    if one.decision is not None and one.state(score_min) == "dismissed":
        words.insert(0, decided_words(one.decision))
    return words


def decided_words(decision: Decision) -> str:
    """`dismissed by ann on 2026-01-31: why`."""
    why = f": {decision.reason}" if decision.reason else ""
    return f"{decision.what} by {decision.who} on {str(iso_moment(decision.at))[:10]}{why}"
