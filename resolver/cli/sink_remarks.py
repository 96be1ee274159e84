"""What is wrong with the files that sinks of query records need: keys, certificates, authorities.

Knows: who opens which of them.  Does not know: the sockets; a server starts without these files and tries
again, so that a renewed certificate needs no start, and loses records meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from resolver.config.settings import Settings, key_line
from resolver.problems import Problem
from resolver.server.query_records import way_of
from resolver.sinks.making import tls_of


def sink_problems(config: Path, settings: Settings) -> list[Problem]:
    """Warnings, each at the line of its sink."""
    problems = []
    for index, sink in enumerate(settings.query_records):
        way = way_of(sink)
        if way.kind != "tls":
            continue
        try:
            tls_of(way)
        except OSError as error:
            text = f"query_records {sink.name}: {error.strerror}; until that is mended its records are lost"
            line = key_line(config, "query_records", index)
            problems.append(Problem(str(config), line, text, "warning"))
    return problems
