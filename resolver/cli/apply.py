"""`apply` and `rollback`: put a blocklist in force knowingly.

Knows: what is asked before a file or an approval is written.  Does not know: the rails, how the
server loads: it follows the blocklist and the approvals, wherever they come from.
"""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import replace
from pathlib import Path

from resolver.blocklist.difference import compare
from resolver.blocklist.difference_text import as_text
from resolver.blocklist.rails import FORCE_HINT, can_be_forced
from resolver.changing.rolling_back import free_name, octets_of
from resolver.cli.diff import effects, read_side, text_of
from resolver.cli.edit import NOTHING_WRITTEN, while_alone
from resolver.cli.files import EXIT_BAD_INPUT, EXIT_FINE, BadInput, print_problems, read_settings
from resolver.cli.process import scratch_folder
from resolver.cli.progress import long_work
from resolver.config.settings import Settings
from resolver.durable import replace_file, replacing
from resolver.problems import Problem, has_errors
from resolver.publishing.approvals import (
    REASON_CHARS_MAX,
    Approval,
    add_approval,
    content_hash,
    current_user,
)
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import HistoryUnusable, open_history
from resolver.publishing.second_person import served_now


def apply_blocklist(config: Path | None, *, force: bool, reason: str | None) -> int:
    """Check, say what changes, note the approval; the exit code."""
    try:
        why = _reason(force, reason)
        settings, _ = read_settings(config)
        compiled = _checked(settings, force=force)
        _say_changes(settings)
        _approve(settings, compiled, why)
    except BadInput as error:
        print_problems(error.problems)
        return EXIT_BAD_INPUT
    except OSError as error:
        print(f"apply: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    print("noted; a running server loads it within seconds; then 'exchange-resolver history' lists it")
    return EXIT_FINE


def roll_back(
    number: int | None, config: Path | None, *, dry_run: bool, force: bool, reason: str | None
) -> int:
    """Check the text of generation `number`, say what changes, write it; the exit code.

    `number` None: the last one that served and is not what stands in the file.
    With a reason it passes the safety rails: it served before.
    """
    try:
        why = _reason(force, reason, needs_force=False)
        settings, _ = read_settings(config)
        with while_alone(None if dry_run else settings.state_dir):
            written = _roll_back(settings, number, why, dry_run=dry_run)
    except BadInput as error:
        print_problems(error.problems)
        return EXIT_BAD_INPUT
    except OSError as error:
        print(f"rollback: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    done = f"written to {settings.blocklist}; a running server loads it within seconds"
    print(done if written else NOTHING_WRITTEN)
    return EXIT_FINE


def _roll_back(settings: Settings, number: int | None, why: str, *, dry_run: bool) -> bool:
    """Check it and write it, while nobody else changes anything; whether it is written.

    Raises BadInput and OSError.
    """
    path = settings.blocklist
    current = octets_of(path) if path.exists() else None
    if number is None:
        number = _previous(settings, current)
    text = text_of(settings.state_dir, number)
    hint = f"if you mean it, run: exchange-resolver rollback {number} --reason '...'"
    compiled = _checked(
        settings, force=bool(why), text=text, shown_as=f"generation {number}", force_hint=hint
    )
    print(f"generation {number} replaces {path}:")
    _say_difference(path, current, text)
    unrecorded = None if current is None or _is_recorded(settings, current) else current
    if dry_run:
        if unrecorded is not None:
            saved = free_name(path, unrecorded)
            print(f"{path} is in no generation of the history: it would be saved as {saved}")
        return False
    with replacing(path) as new:
        new.file.write(text)
        if unrecorded is not None:
            saved = free_name(path, unrecorded)
            replace_file(saved, unrecorded, mode=path.stat().st_mode & 0o7777)
            print(f"{path} was in no generation of the history: it is saved as {saved}")
        # The approval first: the server may look at the new file at once.
        _approve(settings, compiled, why, rolled_back_to=number)
    return True


def _previous(settings: Settings, current: bytes | None) -> int:
    """The newest generation whose text is not what stands in the file.  Raises BadInput."""
    sha256 = "" if current is None else hashlib.sha256(current).hexdigest()
    try:
        with open_history(settings.state_dir) as history:
            number = history.newest_other(sha256)
    except HistoryUnusable as error:
        raise BadInput([Problem("history", 0, str(error))]) from None
    if number is None:
        raise BadInput([Problem("--previous", 0, "the history has no other blocklist than this one")])
    return number


def _is_recorded(settings: Settings, octets: bytes) -> bool:
    """Whether a rollback can bring these octets back.  Raises BadInput."""
    try:
        with open_history(settings.state_dir) as history:
            return history.keeps(octets)
    except HistoryUnusable as error:
        raise BadInput([Problem("history", 0, str(error))]) from None


def _reason(force: bool, reason: str | None, *, needs_force: bool = True) -> str:
    """The reason for forcing; empty: nothing is forced.  Raises BadInput.

    `needs_force`: a reason alone is a slip.
    """
    text = (reason or "").strip()
    if force and not text:
        raise BadInput([Problem("--force", 0, "needs --reason TEXT: it is kept in the history")])
    if text and needs_force and not force:
        raise BadInput([Problem("--reason", 0, "needs --force")])
    if len(text) > REASON_CHARS_MAX or not text.isprintable():
        message = f"at most {REASON_CHARS_MAX} printable characters"
        raise BadInput([Problem("--reason", 0, message)])
    return text


def _checked(
    settings: Settings,
    *,
    force: bool,
    text: bytes | None = None,
    shown_as: str = "",
    force_hint: str = FORCE_HINT,
) -> Compiled:
    """Compile as the server would, and print every remark.  Raises BadInput when it would refuse.

    `text`: instead of what stands in the file; `shown_as`: what it is called; `force_hint`: how to go on.
    """
    path = settings.blocklist
    with scratch_folder() as folder, long_work(f"checking {shown_as or path}") as say:
        compiled = compile_policy(
            path,
            folder,
            force=force,
            state_dir=settings.state_dir,
            text=text,
            on_step=say,
            two_person=settings.http.changes == "two-person",
        )
    problems = compiled.problems
    if shown_as:
        problems = [
            replace(problem, file=shown_as) if problem.file == str(path) else problem for problem in problems
        ]
    if has_errors(problems):
        if can_be_forced(problems):
            problems.append(Problem(shown_as or str(path), 0, force_hint, "warning"))
        raise BadInput(problems)
    print_problems(problems)
    return compiled


def _say_changes(settings: Settings) -> None:
    """What the blocklist changes against what was served last."""
    try:
        with open_history(settings.state_dir) as history:
            latest = history.latest()
            before = history.text(latest.number) if latest else None
    except HistoryUnusable as error:
        print(f"what changes is not known: {error}", file=sys.stderr)
        return
    if latest is None or before is None:
        print("what changes is not known: the history has no text of what is served", file=sys.stderr)
        return
    print(f"changes since generation {latest.number}, the last one served:")
    _say_difference(settings.blocklist, before, settings.blocklist.read_bytes())


def _say_difference(path: Path, before: bytes | None, after: bytes) -> None:
    try:
        old = None if before is None else read_side(path, before)
    except BadInput:
        print("the blocklist as it stands cannot be read, so what changes is not known")
        return
    new = read_side(path, after)
    print(as_text({**compare(old, new).as_json(), **effects(old, new)}))


def _approve(settings: Settings, compiled: Compiled, why: str, *, rolled_back_to: int = 0) -> None:
    """Note the approval; `why` forces only where a rail objects, and is a remark elsewhere."""
    remark = ""
    if why and not any(problem.forcible for problem in compiled.problems):
        if rolled_back_to:
            remark = why
        else:
            print("no safety rail objects: --force was not needed, nothing is forced", file=sys.stderr)
        why = ""
    content = content_hash(compiled.own_inputs)
    blocklist = compiled.inputs[0].sha256 if why and compiled.has_objections_to_blocklist else ""
    served = served_now(settings.state_dir)
    serial = 0 if served is None else served.serial
    approval = Approval(content, current_user(), time.time(), why, blocklist, rolled_back_to, remark, serial)
    add_approval(settings.state_dir, approval)
