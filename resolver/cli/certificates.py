"""What is wrong with the certificates and tokens that the settings name, each at its line.

Knows: which files they are, who can read them here.  Does not know: what makes a pair good (`certificates`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from resolver.api.token_file import read_file
from resolver.certificates.contexts import HTTPS_PROTOCOLS, CannotServe, FrontContexts
from resolver.certificates.files import Objection, Source, read_pairs, remarks_on
from resolver.certificates.pair import Pair
from resolver.config.settings import Settings, key_line
from resolver.problems import Problem
from resolver.server.encryption import sources_of
from resolver.server.http_tls import HttpTls, http_sources


def certificate_problems(config: Path, settings: Settings) -> list[Problem]:
    """Every problem of `tls` and `http.tls`; nothing where nobody uses them."""
    problems = []
    for sources, serve in (
        (sources_of(settings), FrontContexts(HTTPS_PROTOCOLS).prepare),
        (http_sources(settings), lambda pairs: HttpTls(settings, time.time).prepare(pairs)),
    ):
        problems += _problems_of(config, sources, serve) if sources else []
    return problems


def _problems_of(
    config: Path, sources: Sequence[Source], serve: Callable[[Sequence[Pair]], object]
) -> list[Problem]:
    pairs, objections = read_pairs(sources)
    if not objections:
        try:
            serve(pairs)
        except CannotServe as error:
            objections = [Objection(sources[error.place], "certificate", error.reason)]
    problems = [_problem(config, one, "error") for one in objections if not _is_others_business(one)]
    problems += [
        _problem(config, Objection(one.source, one.part, OTHERS_BUSINESS), "warning")
        for one in objections
        if _is_others_business(one)
    ]
    if not objections:
        problems += [_problem(config, one, "warning") for one in remarks_on(sources, pairs, time.time())]
    return problems


def token_problems(config: Path, settings: Settings) -> list[Problem]:
    """Every problem of the file of tokens: its own lines, and the key that names it."""
    path = settings.http.tokens_file
    if path is None:
        return []
    _, problems = read_file(path)
    return [
        one
        if one.line
        else Problem(str(config), key_line(config, "http", "tokens_file"), f"http.tokens_file: {one}")
        for one in problems
    ]


OTHERS_BUSINESS = "cannot be read by this user; the user that the server runs as must be able to"


def _is_others_business(objection: Objection) -> bool:
    """Whether a file is there that only somebody else may read, as a key should be."""
    path = objection.path
    return path.is_file() and not os.access(path, os.R_OK)


def _problem(config: Path, objection: Objection, severity: str) -> Problem:
    key = ".".join(part for part in objection.keys if isinstance(part, str))
    line = key_line(config, *objection.keys)
    return Problem(str(config), line, f"{key}: {objection}", "error" if severity == "error" else "warning")
