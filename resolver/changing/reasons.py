"""Who changes something, and why, as both are kept.

Knows: their limits.  Does not know: users, tokens.
"""

from __future__ import annotations

from resolver.changing.refusal import Kind, Refused
from resolver.problems import printable
from resolver.publishing.approvals import REASON_CHARS_MAX, WHO_CHARS_MAX


def read_reason(text: str | None, *, is_needed: bool = True) -> str:
    """The reason as it is kept.  Raises Refused for one that cannot be, or that is needed and not there."""
    reason = (text or "").strip()
    if is_needed and not reason:
        raise Refused(Kind.BAD, "there is no reason", "say why: it is kept in the history")
    if len(reason) > REASON_CHARS_MAX or not reason.isprintable():
        raise Refused(Kind.BAD, f"a reason has at most {REASON_CHARS_MAX} printable characters")
    return reason


def shown_name(who: str) -> str:
    """A name as it is kept."""
    return printable(who)[:WHO_CHARS_MAX]
