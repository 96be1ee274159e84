"""Compiles a blocklist and its list files into a policy image; the child process of a reload.

Knows: which file says what, the key of an image, the time (for warnings of dates).  Does not know:
sockets, the server.

    python -m resolver.publishing.compiler BLOCKLIST --out DIR [--force] [--state DIR] [--text FILE]

prints one line of JSON, the fields of `Compiled` (`image`: its path, or null), and exits 0
with an image, 2 without.  An image is named after its content's key, so what was compiled
once is found again, and nothing is ever written over.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from resolver.blocklist.concealing import Concealment
from resolver.blocklist.date_remarks import date_problems
from resolver.blocklist.downloads import UNPLACED, at_their_places, downloaded_lists
from resolver.blocklist.falls import find_fall
from resolver.blocklist.orders import order_words
from resolver.blocklist.rails import (
    as_forced,
    can_be_forced,
    day_list_problems,
    in_steps,
    list_problems,
    shrunk_lists,
)
from resolver.blocklist.reader import read_blocklist, read_what_served
from resolver.blocklist.rules import Blocklist, ListSpec, NameRule
from resolver.config.yamlsource import read_octets
from resolver.durable import replacing
from resolver.policy.image import Effect, Image, ImageUnusable
from resolver.policy.verdict import Mode, RuleForm
from resolver.portions import read_up_to, write_all
from resolver.problems import Problem, has_errors
from resolver.publishing.approvals import Approval, approvals_of, approvals_path, content_hash, decisive
from resolver.publishing.believed import believed_time
from resolver.publishing.compiled import (
    IMAGE_SUFFIX,
    RECORDS_SUFFIX,
    TEXT_SUFFIX,
    Compiled,
    InputFile,
    key_of,
)
from resolver.publishing.day_base import DayBase, day_base
from resolver.publishing.image_store import ImageStore
from resolver.publishing.image_writer import ImageWriter, TooManyRules
from resolver.publishing.list_files import open_list, secret_problems
from resolver.publishing.list_rules import AddedList, add_list
from resolver.publishing.register_checks import check_problems, take_checks
from resolver.publishing.register_rules import FileChanged, RegisterFile, RegisterRules
from resolver.publishing.register_store import lost_records
from resolver.publishing.second_person import served_now, waits_for_second
from resolver.publishing.served_text import TextLost, served_text
from resolver.publishing.timetable import dated_exceptions

LOST_RECORDS_MAX = 100
"""Names of one register that are told one by one when they are lost; the history has more."""

OnStep = Callable[[str], None]

_EFFECTS = {"block": Effect.BLOCK, "allow": Effect.ALLOW, "protect": Effect.PROTECT}


def compile_in_process(
    blocklist_path: Path, out_dir: Path, *, force: bool = False, state_dir: Path | None = None
) -> tuple[Path | None, list[Problem]]:
    """Compile here and now; the image, or None and why.  For the command line and tests."""
    compiled = compile_policy(blocklist_path, out_dir, force=force, state_dir=state_dir)
    return compiled.image, compiled.problems


def compile_policy(
    blocklist_path: Path,
    out_dir: Path,
    *,
    force: bool = False,
    state_dir: Path | None = None,
    now: float | None = None,
    text: bytes | None = None,
    on_step: OnStep = lambda _: None,
    conceal: bool = False,
    two_person: bool = False,
) -> Compiled:
    """Read everything, and put the image into `out_dir` unless it is there already.

    `state_dir`: where approvals and the policy that served last are found; None: neither counts.
    `now`: Unix seconds, for remarks on dates.
    `text`: what the blocklist would say, instead of what stands in the file.
    `on_step`: is called with words on what is done next, list by list.
    `conceal`: what is said of it is for readers outside, who are not told what is confidential.
    `two_person`: what people edited and does not serve yet needs the approval of a second person.
    """
    compiled = Compiled(paths=[str(blocklist_path)])
    octets, problems = (text, []) if text is not None else read_octets(blocklist_path)
    if octets is None:
        # Network file systems fail and recover without a change of the file.
        compiled.transient = True
        compiled.problems = problems
        return compiled
    now = believed_time(state_dir, time.time()) if now is None else now
    task = _Task(blocklist_path, octets, out_dir, state_dir, now, force, conceal, two_person)
    _compile_octets(task, compiled, on_step)
    # The key may also be written with escapes.
    if conceal and (b"confidential" in octets or b"\\" in octets):
        concealment = Concealment(blocklist_path, octets, state_dir)
        compiled.problems = concealment.problems(compiled.problems)
        compiled.losses = concealment.lines(compiled.losses)
    return compiled


class _Task(NamedTuple):
    """What is to be compiled, and how."""

    path: Path
    octets: bytes
    out_dir: Path
    state_dir: Path | None
    now: float
    force: bool
    conceal: bool
    two_person: bool


def _compile_octets(task: _Task, compiled: Compiled, on_step: OnStep) -> None:
    """Compile a blocklist's octets; what comes of it is noted in `compiled`."""
    blocklist_path, octets, out_dir, state_dir, now, force, *_ = task
    compiled.inputs.append(_input(blocklist_path, octets))
    if state_dir is not None:
        compiled.paths.append(str(approvals_path(state_dir)))
    blocklist, problems = read_blocklist(blocklist_path, octets=octets, force=force)
    forced_problems = problems
    if blocklist is None and can_be_forced(problems):
        # Whether it is approved is known only when the lists have been read.
        blocklist, forced_problems = read_blocklist(blocklist_path, octets=octets, force=True)
    if blocklist is None:
        compiled.problems = problems
        return
    blocklist = replace(blocklist, lists=at_their_places(blocklist.lists, state_dir))
    compiled.paths += [str(spec.path) for spec in blocklist.lists]
    compiled.downloaded = [str(spec.path) for spec in blocklist.lists if spec.download is not None]
    served = {} if state_dir is None else ImageStore(state_dir).list_sizes()
    lists = [_read_file(spec, compiled, served) for spec in blocklist.lists]
    base = None if state_dir is None else day_base(state_dir, now)
    fall = _fall_of(blocklist, task, compiled, base)
    problems, forced_problems = [*problems, *fall], [*forced_problems, *map(as_forced, fall)]
    # Before anything is forced, so that an approval can say what it is for.
    compiled.has_objections_to_blocklist = any(problem.forcible for problem in forced_problems)
    is_approved = force
    if state_dir is not None and not has_errors(compiled.problems):
        given, lapsed = approvals_of(state_dir, own := compiled.own_inputs, served_now(state_dir))
        compiled.approval = decisive(given)
        compiled.granted = [approval.id for approval in given if approval.is_seconded]
        is_approved = force or any(approval.is_forced for approval in given)
        # Sizes of lists, and that one person is enough, are approved together with the lists.
        content = content_hash(own)
        force = force or any(approval.is_forced and approval.content == content for approval in given)
        alone = waits_for_second(blocklist_path, state_dir, own, given) if task.two_person else []
        problems += alone
        forced_problems += map(as_forced, alone) if force else alone
        if has_errors(problems) and not is_approved and lapsed:
            problems = [*problems, _lapsed(blocklist_path, lapsed[-1])]
    compiled.problems[:0] = forced_problems if is_approved else problems
    compiled.problems += [*date_problems(blocklist, now), *secret_problems(blocklist.lists)]
    if has_errors(compiled.problems):
        return
    compiled.key = key_of(compiled.inputs)
    # A download is held against the copy before it when it is fetched: a list from elsewhere that
    # suddenly shrinks must not keep a change of the blocklist out.
    local = tuple(spec for spec in blocklist.lists if spec.download is None)
    rails = _Rails(local, served, base, force)
    checks = take_checks(blocklist.lists, lists)
    _find_or_write(blocklist, lists, out_dir, compiled, rails, on_step)
    if compiled.image is not None:
        compiled.problems += check_problems(compiled.image, blocklist, checks, now)
        _keep_text(compiled.image, octets)
        compiled.losses += shrunk_lists(blocklist.lists, compiled.counts["per_list"], served)
        compiled.losses += _lost_records(blocklist, compiled.image, task.state_dir)


def _lapsed(path: Path, approval: Approval) -> Problem:
    """Say why what somebody forced once is held against the rails again."""
    day = datetime.fromtimestamp(approval.at, UTC).strftime("%Y-%m-%d")
    message = (
        f"{approval.who} forced this text on {day}, against what served then; something else has served "
        f"since, so that counts no more (their reason: {approval.reason})"
    )
    return Problem(str(path), 0, message, "warning")


def _fall_of(blocklist: Blocklist, task: _Task, compiled: Compiled, base: DayBase | None) -> list[Problem]:
    """Hold it against what served last: note what is lost, and give the remarks and objections."""
    try:
        before = None if task.state_dir is None else served_text(task.state_dir)
    except TextLost as error:
        message = f"{error}; what this one no longer blocks is not known"
        return [Problem(str(blocklist.path), 0, message, "warning")]
    if before is None or before == task.octets:
        return []
    old = read_what_served(blocklist.path, before)
    if old is None:
        message = "what served last cannot be read any more; what this one no longer blocks is not known"
        return [Problem(str(blocklist.path), 0, message, "warning")]
    sizes = ImageStore(task.state_dir).list_sizes() if task.state_dir is not None else {}
    fall = find_fall(old, blocklist, task.now, sizes=sizes, conceal=task.conceal)
    compiled.losses = fall.lines()
    if fall.opening and not fall.objections and base is not None and base.text not in (None, before):
        fall = replace(fall, objections=_in_small_steps(blocklist, task, base))
    return fall.problems(str(blocklist.path))


def _in_small_steps(blocklist: Blocklist, task: _Task, base: DayBase) -> tuple[str, ...]:
    """Objections to what an edit opens together with those before it."""
    old = None if base.text is None else read_what_served(blocklist.path, base.text)
    if old is None:
        return ()
    fall = find_fall(old, blocklist, task.now, sizes=base.sizes, conceal=task.conceal)
    return tuple(f"{in_steps(base.at)}{objection}" for objection in fall.objections)


def _lost_records(blocklist: Blocklist, image: Path, state_dir: Path | None) -> list[str]:
    """What registers that are enforced asked for when a policy served last, and do not now."""
    lists = [
        spec.name
        for spec in blocklist.lists
        if spec.register is not None and spec.kind == "block" and spec.rule.mode is Mode.ENFORCE
    ]
    if state_dir is None or not lists or image.parent != ImageStore(state_dir).images:
        return []  # A command compiles elsewhere, perhaps as root, and has no business with files there.
    note = ImageStore(state_dir).last_good()
    if note is None or note.key == image.stem:
        return []
    old = ImageStore(state_dir).records_path_of(note.key)
    return lost_records(old, image.with_suffix(RECORDS_SUFFIX), lists, LOST_RECORDS_MAX)


def _find_or_write(
    blocklist: Blocklist,
    lists: list[bytes | RegisterFile],
    out_dir: Path,
    compiled: Compiled,
    rails: _Rails,
    on_step: OnStep,
) -> None:
    image = out_dir / f"{compiled.key}{IMAGE_SUFFIX}"
    if image.exists():
        try:
            known = Image(image)
            known.verify()
        except ImageUnusable:
            with contextlib.suppress(OSError):
                image.unlink()
        else:
            compiled.problems += [Problem(**problem) for problem in known.meta["list_problems"]]
            compiled.counts = known.meta["counts"]
            if rails.allow(compiled):
                compiled.image = image
            return
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(RegisterRules(blocklist, image)) as registers:
            _write_image(blocklist, lists, image, compiled, rails, on_step, registers)
    except FileChanged:
        compiled.transient = True
        compiled.problems.append(Problem(str(out_dir), 0, "a register changed while it was read"))
    except sqlite3.Error as error:
        compiled.transient = True
        compiled.problems.append(Problem(str(out_dir), 0, f"cannot write the registers' records: {error}"))
    except OSError as error:
        compiled.transient = True
        compiled.problems.append(Problem(str(out_dir), 0, f"cannot write the image: {error.strerror}"))
    except ImageUnusable as error:
        compiled.transient = True
        compiled.problems.append(Problem(str(out_dir), 0, str(error)))
    except TooManyRules as error:
        compiled.problems.append(Problem(str(blocklist.path), 0, str(error)))


def _keep_text(image: Path, octets: bytes) -> None:
    """Put the blocklist's octets beside its image: the file itself may be another when it is recorded."""
    path = image.with_suffix(TEXT_SUFFIX)
    # No record is worth keeping a policy from serving; the reader holds the text against its hash.
    with contextlib.suppress(OSError):
        if not path.exists():
            with replacing(path) as new:
                write_all(new.file.fileno(), [octets])


class _Rails(NamedTuple):
    """What the sizes of lists are judged by."""

    specs: tuple[ListSpec, ...]
    served: Mapping[str, int]
    base: DayBase | None
    is_forced: bool

    def allow(self, compiled: Compiled) -> bool:
        """Note what there is to object to the lists' sizes; whether they may be served."""
        counts = compiled.counts["per_list"]
        found = list_problems(self.specs, counts, self.served)
        if self.base is not None:
            found += day_list_problems(self.specs, counts, self.served, self.base.sizes, self.base.at)
        if self.is_forced:
            found = [as_forced(problem) for problem in found]
        compiled.problems += found
        return not has_errors(found)


def _input(path: Path, octets: bytes) -> InputFile:
    return InputFile(str(path), hashlib.sha256(octets).hexdigest(), len(octets))


def _read_file(spec: ListSpec, compiled: Compiled, served: Mapping[str, int]) -> bytes | RegisterFile:
    """A list's octets, a register's file; empty with a problem noted when there is no reading it."""
    try:
        # Sized before it is read, and read to one octet more than allowed: it may grow meanwhile.
        found = RegisterFile.of(spec) if spec.register is not None else _octets_of(spec)
    except FileNotFoundError as error:
        compiled.problems.append(_missing(spec, error, served.get(spec.name, 0)))
        # Noted as absent, so that the image is known to be another once it is there.
        compiled.inputs.append(InputFile(str(spec.path), "", 0))
        return b""
    except OSError as error:
        message = f"list {spec.name!r}: {spec.path}: cannot be read: {error.strerror}"
        compiled.problems.append(Problem(spec.file, spec.line, message))
        compiled.transient = True
        return b""
    size = found.octets if isinstance(found, RegisterFile) else len(found)
    if size > spec.size_octets_max:
        message = f"list {spec.name!r}: {spec.path} has over {spec.size_octets_max:,} bytes"
        compiled.problems.append(Problem(spec.file, spec.line, message))
        return b""
    if isinstance(found, RegisterFile):
        compiled.inputs.append(InputFile(str(spec.path), found.sha256, size))
    else:
        compiled.inputs.append(_input(spec.path, found))
    return found


def _octets_of(spec: ListSpec) -> bytes:
    """The start of a list's file, one octet more than allowed.  Raises OSError."""
    with open_list(spec) as file:
        return read_up_to(file, spec.size_octets_max + 1)


def _missing(spec: ListSpec, error: OSError, served: int) -> Problem:
    """What to say of a list that is not there: a download that never came is empty, nothing else is."""
    if spec.download is None:
        message = f"list {spec.name!r}: {spec.path}: cannot be read: {error.strerror}"
        return Problem(spec.file, spec.line, message)
    if spec.path == UNPLACED:
        message = f"list {spec.name!r} is downloaded; without settings its copy is not looked at"
        return Problem(spec.file, spec.line, message, "warning")
    if served:
        # To go on without it would open what is closed now; what serves now stays until it is fetched.
        message = f"list {spec.name!r} serves {served:,} names, but its last good copy {spec.path} is gone"
        return Problem(spec.file, spec.line, message)
    message = f"list {spec.name!r} was never downloaded: IT IS EMPTY until it is ({spec.download.url})"
    return Problem(spec.file, spec.line, message, "warning")


def _write_image(
    blocklist: Blocklist,
    lists: list[bytes | RegisterFile],
    image: Path,
    compiled: Compiled,
    rails: _Rails,
    on_step: OnStep,
    registers: RegisterRules,
) -> None:
    # Random, so that nobody can compose a list whose names all meet in one place of the table.
    writer = ImageWriter(int.from_bytes(os.urandom(8)))
    per_exchange = {rule.label: 0 for rule in blocklist.exchanges}
    for (_, form, effect, file), same in groupby(blocklist.name_rules, _class_key):
        rules = list(same)
        rule = rules[0].rule
        if effect == "block":
            per_exchange[rule.label] += len(rules)
        class_id = writer.class_of(rule, form, _EFFECTS[effect], file)
        writer.add_names(class_id, [rule.owner for rule in rules], [rule.line for rule in rules])
    for network, rule, file, line in blocklist.address_rules:
        writer.add_address(writer.class_of(rule, None, Effect.BLOCK, file), network, line)
    list_problems: list[Problem] = []
    added: dict[str, AddedList] = {}
    for number, spec in enumerate(blocklist.lists):
        on_step(f"list {spec.name} ({number + 1} of {len(lists)})")
        found, lists[number] = lists[number], b""  # A large list is not needed twice in memory.
        if isinstance(found, RegisterFile):
            added[spec.name] = registers.add(writer, spec, found, list_problems)
        elif spec.register is not None:
            added[spec.name] = AddedList(spec.format)  # Never downloaded, or to be checked by.
        else:
            added[spec.name] = add_list(writer, spec, found, list_problems)
    compiled.problems += list_problems
    if has_errors(list_problems):
        return
    on_step("sorting the names")
    writer.lay()
    list_names = {name: one.served(writer.duplicates) for name, one in added.items()}
    compiled.counts = {
        "exchanges": len(blocklist.exchanges),
        "domains": sum(per_exchange.values()),
        "addresses": len(blocklist.address_rules),
        "list_names": sum(list_names.values()),
        "per_exchange": per_exchange,
        "per_list": list_names,
        "list_formats": {name: one.format for name, one in added.items()},
        "list_skipped": {name: one.skipped for name, one in added.items() if one.skipped},
    }
    if registers.counts:
        compiled.counts["registers"] = registers.counts
    if not rails.allow(compiled):
        return
    meta = {
        "blocklist": str(blocklist.path),
        "contact": blocklist.contact,
        "time_zone": blocklist.time_zone,
        "exchanges": [writer.rule_id(rule) for rule in blocklist.exchanges],
        "lists": [writer.rule_id(spec.rule) for spec in blocklist.lists],
        "orders": {order_id: order_words(order) for order_id, order in blocklist.orders.items()},
        "exceptions": dated_exceptions(blocklist),
        "counts": compiled.counts,
        "downloads": [entry.as_json() for entry in downloaded_lists(blocklist.lists)],
        "list_problems": [asdict(problem) for problem in list_problems],
    }
    # First, so that an image that is there has its records.
    registers.keep()
    writer.write(image, meta)
    compiled.image = image


def _class_key(rule: NameRule) -> tuple[int, RuleForm, str, str]:
    return id(rule.rule), rule.form, rule.effect, rule.file


def main(arguments: list[str] | None = None) -> int:
    """The child process: see the head of this file."""
    parser = argparse.ArgumentParser(prog="resolver.publishing.compiler")
    parser.add_argument("blocklist", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--force", action="store_true", help="accept what a safety rail objects to")
    parser.add_argument("--state", type=Path, help="where approvals and the policy that serves are found")
    parser.add_argument("--two-person", action="store_true", help="what is edited needs a second person")
    parser.add_argument("--text", type=Path, help="what the blocklist would say, instead of what it says")
    options = parser.parse_args(arguments)
    gc.disable()  # Nothing here lives in cycles; looking for them costs a tenth of the time.
    text, problems = (None, []) if options.text is None else read_octets(options.text)
    compiled = Compiled(problems=problems)
    if not problems:
        compiled = compile_policy(
            options.blocklist,
            options.out,
            force=options.force,
            state_dir=options.state,
            text=text,
            conceal=True,
            two_person=options.two_person,
        )
    result = {**asdict(compiled), "image": str(compiled.image) if compiled.image else None}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if compiled.image else 2


if __name__ == "__main__":
    sys.exit(main())
