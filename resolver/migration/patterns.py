"""Rules on names as blockers write them -> rules of a blocklist: filters of ad blockers, regular expressions.

Knows: `||x^` and its kin, the regular expressions that mean a name and what is below it.  Does not know:
where rules come from, which of them wins.
A regular expression in general has no counterpart: no table of names can hold it.
"""

from __future__ import annotations

import re
from typing import Final

from resolver.policy.verdict import RuleForm

_LABELS: Final = r"((?:[A-Za-z0-9._-]|\\[-_.])+)"
"""A dot without its backslash is taken for the dot that was meant, though it stands for any sign."""
_ANCHORS: Final[tuple[tuple[str, RuleForm], ...]] = (
    (r"(\.|^)", RuleForm.SUBTREE),
    (r"(^|\.)", RuleForm.SUBTREE),
    (r"(?:^|\.)", RuleForm.SUBTREE),
    (r"(?:\.|^)", RuleForm.SUBTREE),
    (r"^(.+\.)?", RuleForm.SUBTREE),
    (r"^(.*\.)?", RuleForm.SUBTREE),
    (r"^(.+\.)*", RuleForm.SUBTREE),
    (r"^(?:.+\.)?", RuleForm.SUBTREE),
    (r"^([^.]+\.)*", RuleForm.SUBTREE),
    (r"^.+\.", RuleForm.BELOW),
    (r".+\.", RuleForm.BELOW),
    (r"^.*\.", RuleForm.BELOW),
    (r".*\.", RuleForm.BELOW),
    (r"\.", RuleForm.BELOW),
    (r"^", RuleForm.EXACT),
)
"""What stands before a name in an expression, and how far that reaches; the longest first where it
matters."""

REGEX_WHY: Final = "a regular expression has no counterpart: rules here are names"
REGEX_INSTEAD: Final = "list the names it is meant for"


def regex_rules(expression: str) -> list[tuple[str, RuleForm]]:
    r"""The names that a regular expression means; none where it means more than names.

    `(\.|^)ads\.example$` is a name and all below it.  `^(a|b)\.example$` are two names.
    """
    text = expression.strip()
    if not text.endswith("$") or len(text) > 1_000:
        return []
    for anchor, form in _ANCHORS:
        if text.startswith(anchor):
            names = _names(text[len(anchor) : -1])
            if names:
                return [(name, form) for name in names]
    return []


def _names(body: str) -> list[str]:
    """The names that the middle of an expression spells, one choice of words at most among them."""
    choice = re.fullmatch(rf"(?:{_LABELS})?\((?:\?:)?((?:[A-Za-z0-9._-]|\\[-_.]|\|)+)\)(?:{_LABELS})?", body)
    if choice is None:
        whole = re.fullmatch(_LABELS, body)
        return [_unescaped(body)] if whole else []
    before, words, after = choice.groups()
    return [_unescaped(f"{before or ''}{word}{after or ''}") for word in words.split("|")]


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def filter_line(form: RuleForm, name: str, *, is_exception: bool = False) -> str:
    """A rule as a filter of ad blockers, the one format of lists that has all three forms."""
    pattern = {
        RuleForm.SUBTREE: f"||{name}^",
        RuleForm.EXACT: f"|{name}^",
        RuleForm.BELOW: f"||*.{name}^",
    }[form]
    return f"@@{pattern}" if is_exception else pattern
