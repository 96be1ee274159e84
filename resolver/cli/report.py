"""`report`: the report for an authority, written and signed.

Knows: files, exit codes, the clock.  Does not know: what a report says, how it looks.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from resolver.blocklist.access import mode_objection
from resolver.cli.files import EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.progress import long_work
from resolver.cli.report_keys import read_file
from resolver.durable import replace_file
from resolver.problems import Problem, printable, show
from resolver.report.catalogue import language_from, texts_of
from resolver.report.collecting import collect
from resolver.report.reading import SourcesRefused, Wanted, read_sources
from resolver.report.rendering import Format, rendered
from resolver.report.signature import KEY_OCTETS_MAX, KeyUnusable, PrivateKey, fingerprint, private_key
from resolver.report.statement import Signing

_SUFFIXES: dict[str, Format] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".json": "json",
}
_FORMATS: dict[str, Format] = {form: form for form in _SUFFIXES.values()}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, as on the command line."""

    form: str | None
    output: Path | None
    sign: Path | None
    order: str | None
    first: str | None
    last: str | None
    language: str
    config: Path | None
    blocklist: Path | None


def write_report(request: Request) -> int:
    """Write the report; the exit code."""
    try:
        texts = texts_of(_language(request.language))
        key = None if request.sign is None else _signing_key(request.sign, request.output)
        now = time.time()
        with long_work("reading the policy and its history") as say:
            path, settings = policy_path(request.config, request.blocklist)
            # Another blocklist than the server's has no history there.
            state_dir = settings.state_dir if request.blocklist is None else None
            wanted = Wanted(path, state_dir, request.order or "", request.first, request.last)
            sources = read_sources(wanted, now)
            say("putting the report together")
            report = collect(sources, now)
            signing = None
            if key is not None and request.output is not None and request.sign is not None:
                signing = Signing(
                    fingerprint(key.public_key()), request.output.name, f"{request.sign.name}.pub"
                )
            remarks = [one.why for one in (sources.history, sources.hits, sources.audit) if one.why]
            octets = rendered(report, _format(request), texts, sources.zone, signing)
        _write(octets, request.output, key)
        for remark in remarks:
            print(
                printable(f"warning: something is missing in the report, and it says so: {remark}"),
                file=sys.stderr,
            )
    except (BadInput, SourcesRefused) as error:
        return bad_input(error.problems)
    return EXIT_FINE


def _language(text: str) -> str:
    try:
        return language_from(text)
    except ValueError as error:
        raise BadInput([Problem("--language", 0, str(error))]) from None


def _format(request: Request) -> Format:
    if request.form is not None:
        return _FORMATS[request.form]
    return "markdown" if request.output is None else _SUFFIXES.get(request.output.suffix.lower(), "markdown")


def _signing_key(path: Path, output: Path | None) -> PrivateKey:
    if output is None:
        message = "a signature stands in a file beside the report: use --output FILE, too"
        raise BadInput([Problem("--sign", 0, message)])
    for option, named in (("--output", output), ("--sign", path)):
        if not named.name.isprintable():
            message = f"{show(named.name)}: the name stands in the report; choose one of printable signs only"
            raise BadInput([Problem(option, 0, message)])
    for written in (output, _signature_path(output)):
        for kept in (path, path.with_name(f"{path.name}.pub")):
            if os.path.realpath(written) == os.path.realpath(kept):
                raise BadInput([Problem("--output", 0, f"{written} would be written over the key {kept}")])
    octets = read_file(path, KEY_OCTETS_MAX)
    if objection := mode_objection(path.stat().st_mode):
        raise BadInput([Problem(str(path), 0, f"{objection} {path}")])
    try:
        return private_key(octets)
    except KeyUnusable as error:
        raise BadInput([Problem(str(path), 0, str(error))]) from None


def _signature_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.sig")


def _write(octets: bytes, output: Path | None, key: PrivateKey | None) -> None:
    if output is None:
        sys.stdout.buffer.write(octets)
        sys.stdout.flush()
        return
    files = [(output, octets)]
    if key is not None:
        files.append((_signature_path(output), key.sign(octets)))
    for path, content in files:
        try:
            replace_file(path, content)
        except OSError as error:
            raise BadInput([Problem(str(path), 0, f"cannot be written: {error.strerror}")]) from None
        print(printable(f"written: {path}"), file=sys.stderr)
