"""Puts a changed blocklist in the place of the one that stands: checked as the server would, recorded, whole.

Knows: the steps and their order, whether the file can be written.  Does not know: what is changed (`edits`),
who may (`second_person`), the running server: it follows the file and the approvals, wherever they come from.
Theory: whoever changes the file holds one lock from reading it until it is written, so of two editors the
second one finds what the first has written, and is told what that changed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resolver.blocklist.formatting import CannotFormat, format_text, lost_comments, means_the_same
from resolver.blocklist.rails import can_be_forced
from resolver.blocklist.reader import read_blocklist
from resolver.changing.reasons import shown_name
from resolver.changing.refusal import Kind, Refused
from resolver.changing.words import difference_of
from resolver.config.yamlsource import read_octets
from resolver.durable import MOUNTED, is_mount_point, locked, replace_file
from resolver.identity import as_owner_of
from resolver.portions import open_regular, read_up_to
from resolver.problems import Problem, has_errors
from resolver.publishing.approvals import Approval, add_approval, content_hash
from resolver.publishing.believed import believed_time
from resolver.publishing.compiled import TEXT_SUFFIX, Compiled
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import TEXT_PLAIN_OCTETS_MAX, HistoryUnusable, open_history
from resolver.publishing.image_store import ImageStore
from resolver.publishing.second_person import served_now
from resolver.scratch import scratch

LOCK_FILE = ".changes.lock"
PROBLEMS_TOLD_MAX = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Whose blocklist is changed."""

    blocklist: Path
    state_dir: Path
    two_person: bool = False
    wall: Callable[[], float] = time.time
    """Unix seconds, as the clock says them."""

    def now(self) -> float:
        """Unix seconds, as far as the clock can be believed."""
        return believed_time(self.state_dir, self.wall())


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes it."""

    name: str
    """Of the token, or of the system's user."""
    via: str = ""
    """`api`, or empty: a command."""
    may_approve: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A blocklist's octets, and their name."""

    octets: bytes

    @property
    def sha256(self) -> str:
        """What an editor names as the text that was seen."""
        return hashlib.sha256(self.octets).hexdigest()


@contextlib.contextmanager
def alone(place: Place) -> Iterator[Text]:
    """Be the only one who changes the blocklist; gives what stands there.  Raises Refused."""
    with lock_of(place):
        yield read_text(place)


@contextlib.contextmanager
def lock_of(place: Place) -> Iterator[None]:
    """The same, whatever stands there.  Raises Refused."""
    try:
        lock = lock_of_changes(place.state_dir)
        lock.__enter__()
    except OSError as error:
        raise Refused(Kind.UNWRITABLE, f"{place.state_dir}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


@contextlib.contextmanager
def lock_of_changes(state_dir: Path) -> Iterator[None]:
    """The lock alone, for whoever finds out otherwise what stands there.  Raises OSError."""
    with contextlib.ExitStack() as held:
        with as_owner_of(state_dir) as folder:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(folder / LOCK_FILE))
        yield


def read_text(place: Place) -> Text:
    """What stands there.  Raises Refused."""
    octets, problems = read_octets(place.blocklist)
    if octets is None:
        raise Refused(Kind.CONFLICT, str(problems[0]) if problems else "the blocklist cannot be read")
    return Text(octets)


def why_unwritable(blocklist: Path) -> str:
    """Why this process cannot replace the blocklist; empty: it can."""
    target = blocklist.resolve()
    if is_mount_point(target):
        return f"{blocklist} {MOUNTED}"
    if not os.access(target.parent, os.W_OK | os.X_OK):
        return f"{target.parent} cannot be written to by the service ({os.strerror(errno.EACCES)})"
    return ""


LAYOUT_HINT = (
    "give the service's user a folder of its own for blocklist.yaml, or change the file on the machine with "
    "'exchange-resolver edit'; the guide has a layout in which the service can write it"
)


def require_writable(place: Place) -> None:
    """Raises Refused where the blocklist cannot be written by whom this process runs as."""
    if why := why_unwritable(place.blocklist):
        raise Refused(Kind.UNWRITABLE, why, LAYOUT_HINT)


def require_base(place: Place, now: Text, base: str) -> None:
    """Raises Refused, with the difference, where `now` is not the text that an editor saw.

    `base`: the SHA-256 of that.
    """
    if base == now.sha256:
        return
    seen = _text_of(place, base)
    changed = difference_of(place.blocklist, seen, now.octets, place.now()) if seen is not None else None
    words = "what changed is not known: the text that you saw was never served"
    raise Refused(
        Kind.CONFLICT,
        f"the blocklist was changed meanwhile: {changed['headline'] if changed else words}",
        "look at the change, and make yours again on top of it",
        more={"base": now.sha256, "changed": changed["words"] if changed else words},
    )


def _text_of(place: Place, sha256: str) -> bytes | None:
    """A text that served: beside the images that are kept, or in the history."""
    with contextlib.suppress(OSError), as_owner_of(place.state_dir) as folder:
        for path in sorted(ImageStore(folder).images.glob(f"*{TEXT_SUFFIX}")):
            with contextlib.suppress(OSError), open_regular(path) as file:
                octets = read_up_to(file, TEXT_PLAIN_OCTETS_MAX)
                if Text(octets).sha256 == sha256:
                    return octets
    try:
        with open_history(place.state_dir) as history:
            return history.text_of_hash(sha256)
    except HistoryUnusable:
        return None


def tidied(path: Path, before: bytes, after: bytes) -> bytes:
    """`after`, tidy where `before` was; who keeps the file tidy keeps it so."""
    try:
        if format_text(before.decode()) != before.decode():
            return after
        tidy = format_text(after.decode())
    except (CannotFormat, UnicodeDecodeError):
        return after
    read, _ = read_blocklist(path, octets=after, force=True)
    again, _ = read_blocklist(path, octets=tidy.encode(), force=True)
    if read is None or again is None or not means_the_same(read, again):
        return after
    return after if lost_comments(after.decode(), tidy) else tidy.encode()


def checked(place: Place, after: bytes, *, force: bool) -> Compiled:
    """What the server would make of a text.  Raises Refused when it would not load it.

    `force`: although a safety rail objects.
    """
    with scratch() as folder:
        compiled = compile_policy(place.blocklist, folder, state_dir=place.state_dir, text=after, force=force)
    if not has_errors(compiled.problems):
        return compiled
    errors = [problem for problem in compiled.problems if has_errors([problem])]
    detail = f"the server would not load it: {errors[0].message}"
    remedy = "mend what is wrong"
    if can_be_forced(compiled.problems):
        detail = f"a safety rail objects: {errors[0].message}"
        remedy = "if it is meant, make the change with force and a reason"
    told = errors[:PROBLEMS_TOLD_MAX]
    more = {"problems": [_problem_json(problem) for problem in told]}
    raise Refused(Kind.REFUSED, detail, remedy, problems=told, more=more)


def _problem_json(problem: Problem) -> dict[str, object]:
    return {"line": problem.line, "message": problem.message, "forcible": problem.forcible}


@dataclass(frozen=True, slots=True)
class Standing:
    """Who stands for a text that is put in force."""

    who: str
    via: str
    reason: str
    is_forced: bool = False
    approved_by: str = ""
    proposal: str = ""
    rolled_back_to: int = 0


def put(
    place: Place,
    after: bytes,
    compiled: Compiled,
    standing: Standing,
    before: Text,
) -> None:
    """Note who stands for the text, then write it in the place of `before`; call it within `alone`.

    Raises Refused, with the old file still in place.
    """
    # Whoever edits by hand knows nothing of our lock, and checking takes a while.
    require_base(place, read_text(place), before.sha256)
    forcible = any(problem.forcible for problem in compiled.problems)
    forced = standing.is_forced and forcible
    served = served_now(place.state_dir)
    approval = Approval(
        content=content_hash(compiled.own_inputs),
        who=shown_name(standing.who),
        at=place.now(),
        reason=standing.reason if forced else "",
        blocklist=_blocklist_of(compiled, forced=forced, seconded=bool(standing.approved_by)),
        rolled_back_to=standing.rolled_back_to,
        remark="" if forced else standing.reason,
        serial=0 if served is None else served.serial,
        approved_by=shown_name(standing.approved_by),
        proposal=standing.proposal,
        via=standing.via,
    )
    try:
        # The approval first: the server may look at the new file at once.
        add_approval(place.state_dir, approval)
        replace_file(place.blocklist, after)
    except OSError as error:
        detail = f"{error.filename or place.blocklist}: {error.strerror or error}"
        raise Refused(Kind.UNWRITABLE, detail, LAYOUT_HINT) from None


def _blocklist_of(compiled: Compiled, *, forced: bool, seconded: bool) -> str:
    """The blocklist's hash, where an approval says it."""
    if forced:
        return compiled.inputs[0].sha256 if compiled.has_objections_to_blocklist else ""
    return compiled.inputs[0].sha256 if seconded else ""
