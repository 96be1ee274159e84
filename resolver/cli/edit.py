"""How commands change the blocklist's text: edited, read again, checked like the server does, then written.

Knows: the steps and their order.  Does not know: what is changed and why.
Theory: nothing is written that was not read again, checked as the server checks it, and held against what
serves now.  A running server then loads it like any edit, and the history records it like any edit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from resolver.blocklist.formatting import CannotFormat, format_text, lost_comments, means_the_same
from resolver.blocklist.rails import can_be_forced
from resolver.blocklist.reader import read_blocklist
from resolver.changing.blocklist import lock_of_changes
from resolver.cli.files import BadInput
from resolver.cli.process import scratch_folder
from resolver.cli.progress import long_work
from resolver.config.yamlsource import read_octets
from resolver.durable import replace_file
from resolver.orders.plan import Change
from resolver.orders.writing import CannotWrite, written
from resolver.problems import Problem, has_errors
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy

NOTHING_WRITTEN = "nothing was written"


def edited(path: Path, octets: bytes, changes: Sequence[Change], *, what: str) -> bytes:
    """The blocklist's octets with the changes carried out; they mean what they should.  Raises BadInput.

    `what`: of whom an error is, as the beginning of a sentence: `with this order`.
    """
    before = octets.decode()
    try:
        after = written(before, changes)
    except CannotWrite as error:
        raise BadInput([Problem(str(path), 0, f"cannot be edited: {error}")]) from None
    read, problems = read_blocklist(path, octets=after.encode(), force=True)
    if read is None:
        errors = [problem for problem in problems if has_errors([problem])]
        raise BadInput([Problem(one.file, 0, f"{what}: {one.message}") for one in errors])
    # Who keeps the file tidy keeps it so.
    try:
        if format_text(before) == before:
            tidy = format_text(after)
            again, _ = read_blocklist(path, octets=tidy.encode(), force=True)
            if again is not None and means_the_same(read, again) and not lost_comments(after, tidy):
                after = tidy
    except CannotFormat:
        pass
    return after.encode()


def while_alone(state_dir: Path | None) -> AbstractContextManager[None]:
    """Be the only one who changes the blocklist, other commands and the API held up.  Raises OSError.

    Where there is no `state_dir`, no server has run, and nobody else changes anything.
    """
    if state_dir is None or not state_dir.exists():
        return contextlib.nullcontext()
    return lock_of_changes(state_dir)


def check_and_write(
    path: Path,
    before: bytes,
    after: bytes,
    state_dir: Path | None,
    *,
    again: str,
    first: Callable[[Compiled], None] | None = None,
) -> Compiled:
    """Check `after` as the server would, then put it in the place of `before`; what came of the check.

    `again`: what to do where somebody changed the file meanwhile.  `first`: done when all is checked, before
    the file is written.  Meanwhile nobody else changes it, but by hand.  Raises BadInput when the server
    would refuse it, and OSError.
    """
    with while_alone(state_dir):
        return _check_and_write(path, before, after, state_dir, again=again, first=first)


def _check_and_write(
    path: Path,
    before: bytes,
    after: bytes,
    state_dir: Path | None,
    *,
    again: str,
    first: Callable[[Compiled], None] | None,
) -> Compiled:
    with scratch_folder() as folder, long_work(f"checking {path}") as say:
        compiled = compile_policy(path, folder, state_dir=state_dir, text=after, on_step=say)
    if has_errors(compiled.problems):
        problems = [problem for problem in compiled.problems if has_errors([problem])]
        hint = "a safety rail objects" if can_be_forced(compiled.problems) else "the server would refuse it"
        raise BadInput([*problems, Problem(str(path), 0, f"{hint}, so {NOTHING_WRITTEN}")])
    octets, _ = read_octets(path)
    if octets != before:
        raise BadInput([Problem(str(path), 0, f"was changed meanwhile, so {NOTHING_WRITTEN}; {again}")])
    if first is not None:
        first(compiled)
    replace_file(path, after)
    return compiled
