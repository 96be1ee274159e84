"""`check` and `schema`: are the files right, and what may stand in them.

Knows: who checks which file.  Does not know: the rules they check by.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from resolver.blocklist.formatting import SCHEMA_MARK
from resolver.blocklist.rails import FORCE_HINT, can_be_forced
from resolver.blocklist.reader import blocklist_schema
from resolver.blocklist.told import contacts_in
from resolver.cli.certificates import certificate_problems, token_problems
from resolver.cli.designation_remarks import designation_problems
from resolver.cli.files import (
    EXIT_BAD_INPUT,
    EXIT_FINE,
    BadInput,
    exit_code,
    print_problems,
    problems_as_json,
    read_settings,
    settings_path,
)
from resolver.cli.page_remarks import page_problems
from resolver.cli.paths import command_problems, path_problems
from resolver.cli.process import scratch_folder
from resolver.cli.progress import long_work
from resolver.cli.sink_remarks import sink_problems
from resolver.cli.this_moment import remarks_now
from resolver.cli.upstream_remarks import upstream_problems
from resolver.config.settings import Settings, load_settings, settings_schema
from resolver.config.yamlmodel import line_of
from resolver.config.yamlsource import YamlMapping, read_yaml
from resolver.durable import replace_file
from resolver.plurals import counted
from resolver.problems import Problem, has_errors, printable
from resolver.publishing.compiler import compile_policy
from resolver.server.engine import NATIVE, NoSuchEngine, choose_engine
from resolver.server.native import workers_of
from resolver.server.parts import source_ports_of
from resolver.sinks.schema import records_schema


def check_files(config: Path | None, blocklist: Path | None, *, strict: bool, as_json: bool) -> int:
    """Check everything that can be checked, print every problem; the exit code."""
    problems: list[Problem] = []
    checked: list[str] = []
    state_dir = None
    checked_settings: tuple[Path, Settings] | None = None
    if config is not None or blocklist is None:
        try:
            path = settings_path(config)
        except BadInput as error:
            problems += error.problems
        else:
            checked.append(str(path))
            settings, found = load_settings(path)
            problems += found
            if settings is not None:
                checked_settings = (path, settings)
                trouble = path_problems(path, settings)
                if blocklist is not None:
                    trouble.pop("blocklist", None)
                elif "blocklist" not in trouble:
                    blocklist = settings.blocklist
                problems += trouble.values()
                for look in _LOOKS:
                    problems += look(path, settings)
                state_dir = settings.state_dir
    else:
        state_dir = default_state_dir()
    counts = {}
    ends: list[str] = []
    if blocklist is not None:
        checked.append(str(blocklist))
        # Compiling is the check: it reads the blocklist and every list as the server would.
        with scratch_folder() as directory, long_work(f"checking {blocklist}") as say:
            compiled = compile_policy(blocklist, directory, state_dir=state_dir, on_step=say)
            if checked_settings is not None:
                problems += page_problems(*checked_settings, compiled.image)
                problems += upstream_problems(*checked_settings, compiled.image)
            remarks, ends = remarks_now(blocklist, compiled.image, compiled.problems, state_dir)
        problems += compiled.problems + remarks
        counts = compiled.counts
        if checked_settings is not None and checked_settings[1].structured_errors.enabled:
            problems += _untold_contact(blocklist)
    if checked_settings is not None:
        lists = counts.get("per_list")
        problems += command_problems(*checked_settings, None if lists is None else list(lists))
    code = exit_code(problems, strict=strict)
    if as_json:
        report = {
            "ok": not has_errors(problems),
            "files": checked,
            "counts": counts,
            "ends": ends,
            "problems": problems_as_json(problems),
        }
        print(json.dumps(report, indent=2))
        return code
    print_problems(problems)
    if can_be_forced(problems):
        print(FORCE_HINT, file=sys.stderr)
    if not has_errors(problems):
        _say_fine(checked, problems, counts, ends)
    return code


def _say_fine(checked: list[str], problems: list[Problem], counts: dict[str, Any], ends: list[str]) -> None:
    """What was checked, what is in it, and what of it ends soon."""
    warnings = f", {counted(len(problems), 'warning')}" if problems else ""
    print(f"{', '.join(checked)}: fine{warnings}")
    if counts:
        nouns = {
            "exchanges": "exchange",
            "domains": "domain",
            "addresses": "network",
            "list_names": "list name",
        }
        print(", ".join(counted(counts[key], noun) for key, noun in nouns.items()))
    for end in ends:
        print(printable(end))


def _too_few_ports(path: Path, settings: Settings) -> list[Problem]:
    """What the server would warn of at its start, as far as the limits here are those it will have."""
    try:
        engine = choose_engine(settings.engine).engine
    except NoSuchEngine:
        return []  # It does not start, and says why.
    threads = workers_of(settings) * len(settings.listen.dns) if engine == NATIVE else 0
    *_, too_few = source_ports_of(settings, threads, raises=False)
    return [] if too_few is None else [Problem(str(path), 0, f"upstreams: {too_few}", "warning")]


_LOOKS = (certificate_problems, token_problems, _too_few_ports, designation_problems, sink_problems)
"""What looks at more than the settings themselves."""


def _untold_contact(blocklist: Path) -> list[Problem]:
    """Structured errors name mail and telephone alone; what else `defaults.contact` says is not told."""
    tree, _ = read_yaml(blocklist)
    defaults = tree.items.get("defaults") if isinstance(tree, YamlMapping) else None
    contact = defaults.items.get("contact") if isinstance(defaults, YamlMapping) else None
    if isinstance(contact, str) and contacts_in(contact):
        return []
    given = "is not set" if contact is None else "has no mailto: or tel: URI in it"
    message = f"defaults.contact: {given}, so structured errors name no contact; e.g. mailto:noc@example.net"
    return [Problem(str(blocklist), line_of(tree, ("defaults", "contact"), 1), message, "warning")]


def default_state_dir() -> Path | None:
    """What a server here would hold a blocklist against; None where no settings can be read.

    Whoever names a file asks about that file, so nothing is said of settings.
    """
    try:
        return read_settings(None)[0].state_dir
    except BadInput:
        return None


def _api_description() -> dict[str, Any]:
    # Nothing else here needs what it needs.
    from resolver.api.app import description_of_all

    return description_of_all()


def print_schema(kind: str, output: Path | None) -> int:
    """Print the schema of `blocklist`, `settings`, `records` or `api`, or write it; the exit code."""
    schemas = {
        "blocklist": blocklist_schema,
        "settings": settings_schema,
        "records": records_schema,
        "api": _api_description,
    }
    schema = schemas[kind]()
    text = json.dumps(schema, indent=2) + "\n"
    if output is None:
        print(text, end="")
        return EXIT_FINE
    try:
        replace_file(output, text.encode())
    except OSError as error:
        print(f"{output}: {error.strerror}", file=sys.stderr)
        return EXIT_BAD_INPUT
    if kind in ("records", "api"):
        print(f"{output}: written")
        return EXIT_FINE
    print(f"{output}: written; editors find it by this first line of the {kind} (a path from there):")
    print(f"{SCHEMA_MARK}{output.name}")
    return EXIT_FINE


_LOOKS = (certificate_problems, token_problems, _too_few_ports, designation_problems, sink_problems)
"""What looks at settings that could be read."""
