"""The facts by which an audit sees that what is in force is behind a register.

Knows: the notes of lists, the image that served last.  Does not know: when a fact is a lag.
Everything here may block: call it in a thread.  Root comes here as the owner of `state_dir`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from resolver.audit.lags import ListFacts
from resolver.blocklist.rules import ListSpec
from resolver.fetching.store import ListStore
from resolver.publishing.image_store import ImageStore, hash_file


def list_facts(
    specs: Sequence[ListSpec], state_dir: Path, compiled: Mapping[str, int], *, is_own: bool
) -> list[ListFacts]:
    """What is known of each list.

    `compiled`: names of each in the policy as it is written now.  `is_own`: this server is audited, so what
    it serves counts, too.
    """
    served = ImageStore(state_dir).list_sizes() if is_own else {}
    return [_facts_of(spec, state_dir, compiled.get(spec.name), served.get(spec.name)) for spec in specs]


def _facts_of(spec: ListSpec, state_dir: Path, compiled: int | None, served: int | None) -> ListFacts:
    if spec.download is None:
        return ListFacts(spec.name, False, enforced=served, compiled=compiled)
    notes, has_copy = ListStore(state_dir, spec.name).look()
    return ListFacts(
        spec.name,
        True,
        has_copy=has_copy,
        serial=notes.serial,
        authority_serial=notes.authority_serial,
        behind_since=notes.behind_since,
        succeeded_at=notes.succeeded_at,
        refresh_s=spec.download.refresh_s,
        problem=f"{notes.result}: {notes.problem}" if notes.problem else "",
        copied=notes.names,
        enforced=served,
        compiled=compiled,
    )


def changed_since_served(state_dir: Path) -> list[str]:
    """The files that are other than when the policy that serves was made of them."""
    note = ImageStore(state_dir).last_good()
    changed = []
    for entry in note.inputs if note is not None else ():
        try:
            is_same = hash_file(Path(entry.path)) == entry
        except OSError:
            is_same = False
        if not is_same:
            changed.append(entry.path)
    return changed
