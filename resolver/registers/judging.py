"""What becomes of each name that a register asks for: a rule, or the reason why not.

Knows: protected names, public suffixes, shared platforms, forms.  Does not know: formats, whether the list
is in force.
Theory: a host blocks itself and what is below it.  Whatever would reach further than it says is counted with
its reason, so that the counts of all reasons and of the rules add up to what was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache

from resolver.known_names.infrastructure import infrastructure
from resolver.known_names.public_suffixes import SHARED_PLATFORMS, above_suffixes, top_level_labels
from resolver.known_names.shared_platforms import above_shared_platforms, shared_platforms
from resolver.lists.shared_names import shared_names
from resolver.policy.verdict import RuleForm
from resolver.registers.record import Asked, Record, Scope
from resolver.wire.names import name_from_text, suffix_offsets


class Reason(StrEnum):
    """Why something that a register asks for is no rule: a closed set, for counters."""

    PROTECTED = "protected"
    SHARED_PLATFORM = "shared platform"
    PUBLIC_SUFFIX = "public suffix"
    PATH_ONLY = "path only"
    """A page or a port: DNS can only block the whole host."""
    ADDRESS_ONLY = "address only"
    INVALID = "invalid"
    REMOVED = "removed"
    """The register says that it is not in force any more."""
    DUPLICATE = "duplicate"
    """The same name stands earlier in the register."""


FORMS: Mapping[Scope, RuleForm] = {
    Scope.NAME: RuleForm.SUBTREE,
    Scope.EXACT: RuleForm.EXACT,
    Scope.MASK: RuleForm.BELOW,
}
WWW = b"\x03www"


class Judge:
    """Judges one register."""

    def __init__(self, protected: Iterable[tuple[bytes, RuleForm]], match: RuleForm | None) -> None:
        """`protected`: the built-in names and the blocklist's own.  `match`: the list's, over all forms."""
        self._protected: dict[bytes, set[RuleForm]] = {}
        for owner, form in protected:
            self._protected.setdefault(owner, set()).add(form)
        self._match = match

    def judge(self, record: Record, asked: Asked) -> RuleForm | Reason:
        """The rule's form, or why there is none; of a duplicate the caller knows."""
        form = FORMS.get(asked.scope)
        if form is None:
            return _REASONS[asked.scope] if not record.removed else Reason.REMOVED
        if record.removed:
            return Reason.REMOVED
        form = self._match or form
        return self._objection(asked.owner, form) or form

    def _objection(self, owner: bytes, form: RuleForm) -> Reason | None:
        offsets = suffix_offsets(owner)
        if len(offsets) < 2:
            label = owner[1:-1].decode("latin-1")
            return Reason.PUBLIC_SUFFIX if label in top_level_labels() else Reason.INVALID
        for at in offsets:
            if (forms := self._protected.get(owner[at:])) and _is_void(forms, form, is_same=not at):
                return Reason.PROTECTED
        is_wide = form is not RuleForm.EXACT
        if owner in _behind_cnames() or (owner in _platforms() and (is_wide or not shared_names([owner]))):
            # `=github.io` alone is nobody's page, `=github.com` is everybody's.
            return Reason.SHARED_PLATFORM
        if is_wide and (shared_names([owner]) or owner in above_suffixes()):
            return Reason.PUBLIC_SUFFIX
        return Reason.SHARED_PLATFORM if is_wide and owner in above_shared_platforms() else None


_REASONS = {
    Scope.URL: Reason.PATH_ONLY,
    Scope.ADDRESS: Reason.ADDRESS_ONLY,
    Scope.NOTHING: Reason.INVALID,
}


def _is_void(protected: set[RuleForm], form: RuleForm, *, is_same: bool) -> bool:
    """Whether protection leaves nothing of a rule at the same name, or below it."""
    if RuleForm.SUBTREE in protected:
        return True
    if is_same:
        return form in protected
    return RuleForm.BELOW in protected


@cache
def _behind_cnames() -> frozenset[bytes]:
    return frozenset(infrastructure())


@cache
def _platforms() -> frozenset[bytes]:
    return frozenset((*shared_platforms(), *map(name_from_text, SHARED_PLATFORMS)))
