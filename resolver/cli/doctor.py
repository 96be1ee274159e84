"""`doctor`: looks at settings, files, machine, upstreams and the running server, and says what is wrong.

Knows: who looks at what, how findings are shown, exit codes.  Does not know: what makes anything wrong
(`doctor`).
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shlex
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from resolver.cli.called_as import called_as
from resolver.cli.certificates import certificate_problems
from resolver.cli.files import (
    EXIT_BAD_INPUT,
    EXIT_FINDINGS,
    EXIT_FINE,
    BadInput,
    settings_path,
)
from resolver.cli.lists import list_problems
from resolver.cli.paths import path_problems
from resolver.cli.process import scratch_folder
from resolver.cli.progress import long_work
from resolver.cli.upstreams import remark_on
from resolver.cli.wrapping import terminal_columns, wrapped
from resolver.clock import time_service_sets_clock
from resolver.config.settings import Settings, load_settings
from resolver.doctor.configuration_checks import (
    READY_PATH,
    check_engine,
    check_lists,
    check_secrets,
    check_server,
    check_state_dir,
    check_upstreams,
    check_written,
)
from resolver.doctor.finding import Finding
from resolver.doctor.machine_checks import (
    check_buffers,
    check_clock,
    check_disk,
    check_files,
    check_ipv6,
    check_ports,
)
from resolver.machine.files import Machine
from resolver.plurals import counted
from resolver.problems import Problem
from resolver.publishing.believed import built_at, read_note
from resolver.publishing.compiler import compile_policy
from resolver.server.engine import NATIVE, NoSuchEngine, choose_engine
from resolver.server.native import workers_of
from resolver.server.parts import files_wanted_of
from resolver.server.upstream_trial import try_upstreams

READY_TIMEOUT_S: Final = 3.0
READY_OCTETS_MAX: Final = 1 << 20
_SIGNS: Final = {"error": "✗", "warning": "!", "fine": "✓", "unknown": "?"}
_STYLES: Final = {"error": "bold red", "warning": "yellow", "fine": "green", "unknown": "dim"}
_ORDER: Final = ("error", "warning", "unknown", "fine")
_PROGRAM: Final = re.compile(r"((?:sudo )?)exchange-resolver(?= )")
_OURS: Final = re.compile(r"(sudo )?exchange-resolver (?!init)")
"""Our own commands, all of which take --config but the one that makes settings."""


def diagnose(config: Path | None, *, offline: bool, as_json: bool, root: Path = Path("/")) -> int:
    """Look at everything, print what was found; 1 when something is wrong, 2 when settings cannot be read."""
    machine = Machine(root)
    code = EXIT_FINE
    with long_work("looking at this machine and its configuration") as say:
        say("looking")
        findings, is_readable = _findings(machine, config, offline=offline)
    if not is_readable:
        code = EXIT_BAD_INPUT
    elif any(finding.is_wrong for finding in findings):
        code = EXIT_FINDINGS
    findings = [_as_called(finding) for finding in findings]
    findings.sort(key=lambda finding: _ORDER.index(finding.level))
    if as_json:
        wrong = [finding for finding in findings if finding.is_wrong]
        document = {"ok": not wrong, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(document, indent=2))
    else:
        _print(findings)
    return code


def _findings(machine: Machine, config: Path | None, *, offline: bool) -> tuple[list[Finding], bool]:
    try:
        path = settings_path(config)
    except BadInput as error:
        found = check_written("settings", error.problems, "exchange-resolver init")
        return [*found, *_of_machine(machine)], False
    settings, problems = load_settings(path)
    command = f"exchange-resolver check --config {path}"
    if not path.exists():
        command = f"exchange-resolver init --directory {path.parent}"
    findings = check_written("settings", problems, command)
    if settings is None:
        return [*findings, *_of_machine(machine)], False
    found = [*findings, *_of_settings(machine, path, settings, command, offline=offline)]
    return [_with_config(one, config) for one in found], True


def _as_called(finding: Finding) -> Finding:
    """The same with a command of ours that can be copied."""
    if not (ours := _PROGRAM.match(finding.remedy)):
        return finding
    return replace(finding, remedy=f"{ours[1]}{called_as()}{finding.remedy[ours.end() :]}")


def _with_config(finding: Finding, config: Path | None) -> Finding:
    """The same with a command that looks at these settings, and not at those that are usual here."""
    remedy = finding.remedy
    if config is None or "--config" in remedy or not _OURS.match(remedy):
        return finding
    return replace(finding, remedy=f"{remedy} --config {shlex.quote(str(config))}")


def _of_machine(machine: Machine) -> list[Finding]:
    """What can be said without settings."""
    clock = check_clock(machine, time.time(), _known(None), is_synchronised=time_service_sets_clock())
    return [*check_buffers(machine), *clock]


def _of_settings(
    machine: Machine, path: Path, settings: Settings, command: str, *, offline: bool
) -> Iterator[Finding]:
    trouble = path_problems(path, settings)
    yield from check_written("paths", [*trouble.values(), *certificate_problems(path, settings)], command)
    with scratch_folder() as folder:
        problems = [] if "blocklist" in trouble else _policy_problems(settings, folder)
    yield from check_written("policy", problems, command)
    status, body = _ready(settings)
    yield from check_server(status, body, _ready_url(settings))
    wanted = [(endpoint.address, endpoint.port) for _, _, endpoint in settings.listen.served()]
    yield from check_ports(machine, wanted, is_running=status is not None, euid=os.geteuid())
    yield from check_secrets(_secrets(settings))
    yield from check_state_dir(settings.state_dir, os.geteuid())
    yield from check_lists([] if "blocklist" in trouble else list_problems(path))
    yield from check_disk(settings.state_dir)
    known = _known(settings.state_dir)
    yield from check_clock(machine, time.time(), known, is_synchronised=time_service_sets_clock())
    yield from check_buffers(machine)
    try:
        choice = choose_engine(settings.engine)
    except NoSuchEngine as error:
        yield Finding("engine", "error", str(error), "write `engine: auto` into the settings")
    else:
        yield from check_engine(settings.engine, choice.engine, choice.why)
        threads = workers_of(settings) * len(settings.listen.dns) if choice.engine == NATIVE else 0
        yield from check_files(machine, files_wanted_of(settings, threads))
    upstreams = [server.address for server in settings.upstreams.all_servers]
    yield from check_ipv6(machine, [address for address, _ in wanted], upstreams)
    if not offline:
        yield from check_upstreams(_tried(settings))


def _policy_problems(settings: Settings, folder: Path) -> list[Problem]:
    compiled = compile_policy(settings.blocklist, folder, state_dir=settings.state_dir)
    return [problem for problem in compiled.problems if problem.severity == "error"]


def _known(state_dir: Path | None) -> list[tuple[str, float]]:
    """What was written when, for a clock that goes wrong."""
    known = [("this program", built_at())]
    if state_dir is not None:
        known.append((f"the state in {state_dir}", read_note(state_dir).seen_at))
    return known


def _secrets(settings: Settings) -> list[Path]:
    """Files with secrets that the settings name."""
    files = [settings.tls.key, *(pair.key for pair in settings.tls.more), settings.log.key_file]
    files += [path for sink in settings.query_records for path in (sink.key_file, sink.tls_key)]
    http_tls = settings.http.tls
    files += [settings.http.tokens_file, None if http_tls is None else http_tls.key]
    return [path for path in files if path is not None]


def _ready_url(settings: Settings) -> str:
    """Where a running server says whether it is ready; empty: nowhere."""
    endpoint = settings.listen.http
    if endpoint is None or not endpoint.port:
        return ""
    return f"{'http' if settings.http.tls is None else 'https'}://{endpoint.from_here}{READY_PATH}"


def _ready(settings: Settings) -> tuple[int | None, str]:
    """Status and text of a running server's /readyz; None: none answers."""
    endpoint = settings.listen.http
    if endpoint is None or not endpoint.port:
        return None, ""
    host = endpoint.from_here.address
    connection = http.client.HTTPConnection(host, endpoint.port, timeout=READY_TIMEOUT_S)
    try:
        if settings.http.tls is not None:
            # Our own certificate vouches for itself; its name need not be the address that we ask at.
            context = ssl.create_default_context(cafile=str(settings.http.tls.certificate))
            context.check_hostname = False
            connection = http.client.HTTPSConnection(
                host, endpoint.port, timeout=READY_TIMEOUT_S, context=context
            )
        connection.request("GET", READY_PATH)
        response = connection.getresponse()
        return response.status, response.read(READY_OCTETS_MAX).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None, ""
    finally:
        connection.close()


def _tried(settings: Settings) -> list[tuple[str, str, float | None]]:
    try:
        tried = asyncio.run(try_upstreams(settings))
    except OSError as error:
        return [("upstreams.tls_ca", str(error), None)]
    now = time.time()
    return [(one.upstream.name, remark_on(one, now), one.warm_s or one.first_s) for one in tried]


def _print(findings: list[Finding]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    columns = terminal_columns()
    for finding in findings:
        first, *more = wrapped(f"{_SIGNS[finding.level]} {finding.check}: {finding.what}", columns, 4)
        line = Text("\n".join([first, *more]))
        line.stylize(_STYLES[finding.level], 0, 1)
        line.stylize("bold", 2, 3 + len(finding.check))
        console.print(line, soft_wrap=True)
        if finding.remedy and finding.level != "fine":
            console.print(Text(f"    {finding.remedy}"), soft_wrap=True)
    wrong = [finding for finding in findings if finding.is_wrong]
    print(f"{counted(len(wrong), 'finding')}" if wrong else "nothing is wrong")
