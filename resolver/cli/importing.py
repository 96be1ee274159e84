"""`import`: what a register would do, were it a list of the blocklist.

Knows: how the result is shown.  Does not know: formats of registers, what becomes of a name.
Nothing is written: the register becomes a list by an entry in the blocklist.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resolver.blocklist.keys import Defaults, ListEntry
from resolver.blocklist.properties import list_rule
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.registers import CHECK_KINDS, REGISTER_PREFIX, RegisterFormat, register_format
from resolver.blocklist.rules import Blocklist, ListSpec
from resolver.cli.files import EXIT_FINDINGS, EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.process import scratch_folder
from resolver.cli.progress import long_work
from resolver.plurals import counted
from resolver.problems import Problem, has_errors, printable, show
from resolver.publishing.compiler import compile_policy
from resolver.publishing.register_checks import check_problems
from resolver.publishing.register_rules import (
    FileChanged,
    RegisterFile,
    RegisterTaking,
    lone_www_text,
    overlap_text,
)
from resolver.publishing.register_store import RegisterStore, new_store
from resolver.registers.record import RegisterRefused
from resolver.wire.names import parent

LIST_NAME = "import"
SIZE_OCTETS_MAX = 4_096 << 20
"""As `size_mb_max` allows at most: the file is the operator's own."""
TOLD_MAX = 1_000
"""Entries of each sort that `--json` has; text has `SHOWN_MAX` of them."""
SHOWN_MAX = 30


def import_register(
    file: Path, kind: str, *, config: Path | None, blocklist: Path | None, as_json: bool
) -> int:
    """Read a register and print what it would do; the exit code: 1 when not all of it would be enforced."""
    try:
        wanted = _wanted(kind)
        policy = _policy(config, blocklist)
        spec = _spec(file, wanted)
        register = _hashed(spec)
        if wanted.kind in CHECK_KINDS:
            return _print_check(register, policy, as_json=as_json)
        with scratch_folder() as folder, long_work(f"reading {file}"):
            result = _judged(register, policy, folder)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    except RegisterRefused as refused:
        problem = Problem(str(file), refused.line, f"{refused}; the whole register is refused")
        return bad_input([problem], as_json=as_json)
    except (OSError, sqlite3.Error, FileChanged) as error:
        message = getattr(error, "strerror", None) or str(error) or "changed while it was read"
        return bad_input([Problem(str(file), 0, message)], as_json=as_json)
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(printable, _lines(result))))
    return EXIT_FINDINGS if result["entries"] != result["enforced"] else EXIT_FINE


def _wanted(kind: str) -> RegisterFormat:
    try:
        wanted = register_format(kind if kind.startswith(REGISTER_PREFIX) else REGISTER_PREFIX + kind)
    except ValueError as error:
        raise BadInput([Problem("--kind", 0, str(error))]) from None
    assert wanted is not None
    return wanted


def _policy(config: Path | None, blocklist: Path | None) -> Blocklist | None:
    """The blocklist whose exchanges and protected names count; None where there is none.  Raises BadInput."""
    try:
        path, _ = policy_path(config, blocklist)
    except BadInput:
        if config is not None or blocklist is not None:
            raise
        return None
    found, problems = read_blocklist(path, force=True)
    if found is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    return found


def _spec(file: Path, wanted: RegisterFormat) -> ListSpec:
    entry = ListEntry(name=LIST_NAME, path="register", format=wanted.text)
    return ListSpec(
        name=LIST_NAME,
        path=file,
        format=wanted.text,
        match=None,
        kind="check" if wanted.kind in CHECK_KINDS else "block",
        rule=list_rule(entry, Defaults()),
        size_octets_max=SIZE_OCTETS_MAX,
        file=str(file),
        line=0,
        register=wanted,
    )


def _hashed(spec: ListSpec) -> RegisterFile:
    register = RegisterFile.of(spec)
    if register.octets > SIZE_OCTETS_MAX:
        raise BadInput([Problem(str(spec.path), 0, f"has over {SIZE_OCTETS_MAX:,} bytes")])
    return register


def _judged(register: RegisterFile, policy: Blocklist | None, folder: Path) -> dict[str, Any]:
    with new_store(folder / "import.records") as store:
        taking = RegisterTaking(store, register.spec, policy)
        taking.take_all(register.records())
        return _result(register, store, taking, policy)


def _result(
    register: RegisterFile, store: RegisterStore, taking: RegisterTaking, policy: Blocklist | None
) -> dict[str, Any]:
    count, lone = store.lone_www(LIST_NAME, TOLD_MAX)
    open_above = [entry for entry in lone if not taking.is_exchange_name(parent(entry.owner))]
    overlaps = [
        {
            "line": record.line,
            "id": record.id or name,
            "name": name,
            "exchange": rule.rule.label,
            "text": overlap_text(record.id or name, name, rule),
        }
        for record, name, rule in taking.overlaps
    ]
    return {
        "file": str(register.spec.path),
        "kind": register.spec.format,
        "sha256": register.sha256,
        "mode": register.spec.rule.mode.value,
        **store.counts(LIST_NAME),
        "authorities": store.authorities(LIST_NAME),
        "left_out": [entry.as_json() for entry in store.not_enforced(LIST_NAME, TOLD_MAX)],
        "open_above_count": count - (len(lone) - len(open_above)),
        "open_above": [{**entry.as_json(), "text": lone_www_text(entry)} for entry in open_above],
        "overlap_count": taking.overlap_count,
        "overlaps": overlaps,
        "blocklist": None if policy is None else str(policy.path),
    }


def _lines(result: dict[str, Any]) -> Iterator[str]:
    """The result as a page."""
    yield f"{result['file']}: {result['kind']}, SHA-256 {result['sha256']}"
    records = counted(result["records"], "record")
    whole, partly, none = (result[f"records_{key}"] for key in ("whole", "partly", "not"))
    yield f"{records} read: {whole:,} as a whole, {partly:,} in part, {none:,} not enforced"
    shadow = " (in shadow: this register only warns)" if result["mode"] == "shadow" else ""
    yield f"{counted(result['entries'], 'name, URL or address', 'names, URLs and addresses')}:"
    yield f"  {result['enforced']:,} enforced{shadow}"
    for reason, count in result["not_enforced"].items():
        if count:
            yield f"  {count:,} not enforced: {reason}"
    for authority, count in result["authorities"].items():
        yield f"authority: {authority or 'not said'}, {counted(count, 'record')}"
    left_out = [
        f"line {entry['line']}, record {entry['id']}: {show(entry['written'])}: {entry['reason']}"
        for entry in result["left_out"]
    ]
    total = sum(result["not_enforced"].values())
    yield from _section("Not enforced", left_out, total)
    open_above = [f"line {entry['line']}, {entry['text']}" for entry in result["open_above"]]
    yield from _section("Open above", open_above, result["open_above_count"])
    overlaps = [f"line {entry['line']}, {entry['text']}" for entry in result["overlaps"]]
    yield from _section("On the blocklist already", overlaps, result["overlap_count"])
    if result["blocklist"] is None:
        yield "No blocklist was found, so nobody looked which names its exchanges have already."


def _section(heading: str, lines: list[str], total: int) -> Iterator[str]:
    if not total:
        return
    yield ""
    yield f"{heading}:"
    yield from (f"  {line}" for line in lines[:SHOWN_MAX])
    if total > SHOWN_MAX:
        yield f"  ... and {total - SHOWN_MAX:,} more"


def _print_check(register: RegisterFile, policy: Blocklist | None, *, as_json: bool) -> int:
    """A register of who is authorised: what of them the blocklist blocks."""
    if policy is None:
        message = "says who is authorised, so it needs a blocklist to check: use --blocklist FILE"
        raise BadInput([Problem(str(register.spec.path), 0, message)])
    records = sum(1 for _ in register.records())
    # Its lists are left out: without settings nobody knows where their copies are.
    with scratch_folder() as folder, long_work(f"checking {policy.path}"):
        compiled = compile_policy(policy.path, folder, force=True)
        if compiled.image is None:
            raise BadInput([problem for problem in compiled.problems if has_errors([problem])])
        found = check_problems(compiled.image, policy, [register], time.time())
    if as_json:
        blocked = [{"line": problem.line, "text": problem.message} for problem in found]
        answer = {
            "file": str(register.spec.path),
            "kind": register.spec.format,
            "sha256": register.sha256,
            "records": records,
            "blocked": blocked,
            "blocklist": str(policy.path),
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        print(f"{register.spec.path}: {counted(records, 'record')} of authorised providers")
        for problem in found:
            print(problem)
        if not found:
            print(f"{policy.path} blocks none of their hosts")
    return EXIT_FINDINGS if found else EXIT_FINE
