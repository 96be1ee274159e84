"""Names that are well formed and yet hardly what was meant: warnings, with what probably was.

Knows: mixed scripts, A-labels that say nothing, top-level domains, hyphens and underscores at odd places.
Does not know: YAML, which rules clash.
Theory: a misspelt name blocks nothing and nobody notices, so whatever no registry would sell is worth a
remark; none is an error, as private zones may hold any name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from resolver.blocklist.rules import NameRule
from resolver.known_names.public_suffixes import top_level_labels
from resolver.problems import Findings, show
from resolver.wire.idn import (
    A_LABEL_PREFIX,
    a_label_problem,
    mixing_remarks,
    unicode_name,
)
from resolver.wire.names import name_to_text

# fmt: off
COMMON_TOP_LEVELS = (
    "com", "net", "org", "io", "co", "example", "exchange", "finance", "trade", "trading", "market",
    "markets", "pro", "app", "xyz", "online", "site", "top", "info", "biz", "dev", "me", "tv", "cc",
    "vip", "world", "global", "capital", "fund", "money", "cash", "bet", "fi", "ai", "gg", "ru", "cn",
    "jp", "kr", "hk", "sg", "in", "uk", "de", "eu", "us", "fr", "nl", "ch", "tr", "br", "ca", "au", "ae",
    "id", "vn", "th", "ph", "my", "tw", "ng", "za",
)
# fmt: on
"""Tried first for a misspelt one, in this order; the others only where none of these is near."""


def check_spelling(blocked: Iterable[NameRule], exceptions: Iterable[NameRule], findings: Findings) -> None:
    """Warn of each odd name; `exceptions` may be of private zones, so less is odd in them."""
    for rule in blocked:
        for remark in name_remarks(rule.owner, is_public=True):
            findings.warning(rule.line, f"{rule.rule.label}: {remark}")
    for rule in exceptions:
        for remark in name_remarks(rule.owner, is_public=False):
            findings.warning(rule.line, f"{rule.rule.label}: {remark}")


def readable(text: str) -> str:
    """A rule's text in quotes, and behind it how people read its A-labels."""
    read = unicode_name(text)
    return repr(text) if read is None else f"{text!r} ({read})"


def name_remarks(owner: bytes, *, is_public: bool) -> list[str]:
    """What is odd about a name in wire form; `is_public`: it should be one that a registry sold."""
    known = top_level_labels()
    end = len(owner) - 1
    at = last_at = 0
    while at < end:
        last_at = at
        at += owner[at] + 1
    last = owner[last_at + 1 : end]
    has_odd_signs = b"-" in owner or b"_" in owner
    if not has_odd_signs and (not is_public or not last_at or last.decode("latin-1") in known):
        return []  # Nearly every name there is.
    text = name_to_text(owner)
    labels = text.split(".")
    remarks = _label_remarks(text, labels, is_public=is_public) if has_odd_signs else []
    if is_public and last_at and labels[-1] not in known:
        remarks.append(_top_level_remark(labels))
    return remarks


def _label_remarks(text: str, labels: list[str], *, is_public: bool) -> list[str]:
    remarks = []
    for label in labels:
        if label.startswith(A_LABEL_PREFIX):
            if problem := a_label_problem(label):
                remarks.append(f"{text!r}: {problem}")
    remarks += mixing_remarks(text)
    if any(label.startswith("-") or label.endswith("-") for label in labels if label != A_LABEL_PREFIX):
        meant = ".".join(label.strip("-") for label in labels if label.strip("-"))
        odd = "a hyphen at the start or end of a label"
        remarks.append(f"{text!r}: no registry sells a name with {odd}{_meant(meant, text)}")
    if is_public and "_" in text:
        meant = ".".join(label.replace("_", "-") for label in labels if not label.startswith("_"))
        remarks.append(f"{text!r}: no registry sells a name with an underscore{_meant(meant, text)}")
    return remarks


def _top_level_remark(labels: list[str]) -> str:
    near = near_top_level(labels[-1])
    hint = f"; did you mean {'.'.join([*labels[:-1], near])!r}?" if near else ""
    return f"{'.'.join(labels)!r}: there is no top-level domain {show(labels[-1])}{hint}"


def _meant(meant: str, text: str) -> str:
    # One label is never what was meant: it would be a top-level domain.
    return f"; did you mean {meant!r}?" if "." in meant and meant != text else ""


@cache
def near_top_level(label: str) -> str | None:
    """The top-level domain of which `label` is one slip away: a letter more, less, other, or two swapped."""
    near = _one_slip_from(label)
    found = next((known for known in COMMON_TOP_LEVELS if known in near), None)
    return found or min(near & top_level_labels(), default=None, key=lambda known: (-len(known), known))


def _one_slip_from(word: str) -> set[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    slips = {front + back[1:] for front, back in cuts if back}
    slips |= {front + back[1] + back[0] + back[2:] for front, back in cuts if len(back) > 1}
    slips |= {front + letter + back[1:] for front, back in cuts if back for letter in letters}
    return slips | {front + letter + back for front, back in cuts for letter in letters}
