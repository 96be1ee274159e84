"""`explain -f`: one line for each name of a file, or one JSON object a line.

Knows: files of names, the order of the words in a line.  Does not know: how anything is decided.
Theory: line by line, so that a file of a million names takes no memory; a line that is no name says so at its
place, and the others go on.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from resolver.cli.explain import DEFAULT_CLIENT, Explainer
from resolver.cli.files import EXIT_BAD_INPUT, EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.moments import moment_or, term_text, zone_of
from resolver.cli.process import scratch_folder
from resolver.explain.explanation import Explanation
from resolver.explain.trace import RuleResult, form_text
from resolver.policy.verdict import PolicyRule
from resolver.portions import open_regular
from resolver.problems import Problem, printable
from resolver.wire.idn import with_unicode
from resolver.wire.names import TEXT_CHARACTERS_MAX


def explain_file(
    file: Path,
    *,
    qtype: str,
    client: str | None,
    at: str | None,
    config: Path | None,
    blocklist: Path | None,
    as_json: bool,
) -> int:
    """Explain every name, print it; 2 when a line is no name."""
    code = EXIT_FINE
    shown = "standard input" if str(file) == "-" else str(file)
    try:
        path, settings = policy_path(config, blocklist)
        zone = zone_of(path)
        wall = moment_or(time.time(), at, zone)
        with _opened(file) as lines, scratch_folder() as directory:
            explainer = Explainer(qtype, client or DEFAULT_CLIENT, wall, zone, path, settings, directory)
            for number, text in _names(lines):
                code = max(code, _explain_line(explainer, text, shown, number, as_json=as_json))
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    except OSError as error:
        return bad_input(
            [Problem(str(file), 0, f"cannot be read: {error.strerror or error}")], as_json=as_json
        )
    return code


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    with open_regular(file) as opened, open(opened.fileno(), "rb", closefd=False) as lines:
        yield lines


def _names(lines: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Number and text of each line with a name on it; never more of a line than a name can have."""
    number = 0
    is_rest = False
    while piece := lines.readline(TEXT_CHARACTERS_MAX * 4):
        was_rest, is_rest = is_rest, not piece.endswith(b"\n")
        if was_rest:
            continue
        number += 1
        text = piece.decode("utf-8", "replace").strip("\ufeff \t\r\n")
        if text and not text.startswith("#"):
            yield number, text


def _explain_line(explainer: Explainer, text: str, file: str, number: int, *, as_json: bool) -> int:
    try:
        explanation = explainer.explain(text)
    except BadInput as error:
        message = error.problems[0].message
        if as_json:
            print(json.dumps({"asked": text, "line": number, "problem": message}))
        else:
            print(Problem(file, number, message), file=sys.stderr)
        return EXIT_BAD_INPUT
    if as_json:
        print(json.dumps({"line": number, **explanation.as_json()}))
    else:
        print(printable(line_of(explanation)))
    return EXIT_FINE


def line_of(explanation: Explanation) -> str:
    """`NAME  nxdomain  exchange binance  binance.com  blocklist.yaml:12  order x  from ..., until ...`."""
    name = with_unicode(explanation.name)
    verdict = explanation.verdict
    if verdict is None:
        deciding = next((rule for rule in explanation.trace if rule.fate is RuleResult.DECIDES), None)
        if deciding is None:
            return f"{name}  not blocked"
        return "  ".join(
            [name, deciding.rule.action.value, *_source(deciding.rule, explanation), deciding.place]
        )
    match = verdict.match
    if match is None:
        shadow = f"  in shadow: {verdict.shadow.rule.kind} {verdict.shadow.rule.id}" if verdict.shadow else ""
        return f"{name}  not blocked{shadow}"
    place = f"{match.file}:{match.line}" if match.line else match.file
    word = verdict.action.value if verdict.is_blocked else "let through"
    return "  ".join(
        [name, word, form_text(match.owner, match.form), *_source(match.rule, explanation), place]
    )


def _source(rule: PolicyRule, explanation: Explanation) -> list[str]:
    """Whose rule it is, why, and from when until when."""
    if rule.kind not in ("exchange", "list"):
        return [rule.kind]
    orders = f"order {', '.join(explanation.cited)}" if explanation.cited else "no order"
    mark = " (confidential)" if rule.is_confidential else ""
    return [f"{rule.kind} {rule.id}{mark}", orders, term_text(rule.starts_at, rule.ends_at, explanation.zone)]
