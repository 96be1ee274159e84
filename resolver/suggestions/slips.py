"""Slips of finger and eye: is a text another one with a letter too many, too few, changed or moved?

Knows: keys that are neighbours, letters that are read for each other.  Does not know: names, exchanges.
Theory: two texts one slip apart share a text that lacks one letter of each at most.  So an index holds each
listed text without each of its letters, and a text is looked up without each of its own: as many look-ups as
it has letters, however many are listed (Damerau's four slips; the index is that of symmetric deletion).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

SLIP_CHARS_MIN: Final = 6
"""Shorter labels have too many neighbours for a slip to say anything."""
END_CHARS_MIN: Final = 10
"""In a label as long as this a letter lost at its end still says something."""

_KEYS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_ALIKE: Final = frozenset(
    "ce co nm uv hn gq pq bd kc sz vw ey ao ae it if ou bh ei".split()  # noqa: SIM905
)
_WORTH: Final = {
    # For a meant text of 6, of 7, and of 8 letters and more: how surely it is a slip, measured on imitations.
    "moved": (0.85, 0.85, 0.92),
    "doubled": (0.85, 0.85, 0.92),
    "added": (0.77, 0.80, 0.85),
    "near": (0.75, 0.80, 0.88),
    "changed": (0.60, 0.72, 0.80),
    "changed at an end": (0.45, 0.50, 0.65),
    "added at an end": (0.50, 0.68, 0.68),
}
END_OF_LONG: Final = 0.8


def shortened(text: str) -> Iterator[str]:
    """The text, and it without each of its letters: two texts one slip apart share one of these."""
    yield text
    last = ""
    for at, letter in enumerate(text):
        if letter != last:
            yield text[:at] + text[at + 1 :]
        last = letter


def slip(text: str, meant: str) -> float:
    """How surely `text` is `meant` with one slip, 0 to 1; 0: it is none, or more than one."""
    if text == meant:
        return 0.0
    longer, shorter = (text, meant) if len(text) > len(meant) else (meant, text)
    same = 0
    while same < len(shorter) and longer[same] == shorter[same]:
        same += 1
    size = min(max(len(meant), SLIP_CHARS_MIN), SLIP_CHARS_MIN + 2) - SLIP_CHARS_MIN
    kind = _kind_of(longer, shorter, same)
    if kind == "added at an end" and len(meant) >= END_CHARS_MIN:
        return END_OF_LONG
    return _WORTH[kind][size] if kind else 0.0


def _kind_of(longer: str, shorter: str, same: int) -> str:
    """The slip between two texts, a key of `_WORTH`; empty: none.  `same`: letters alike at the start."""
    if len(longer) == len(shorter) + 1:
        if longer[same + 1 :] != shorter[same:]:
            return ""
        if longer[same] in (longer[same - 1 : same], longer[same + 1 : same + 2]):
            return "doubled"
        # At an end it may be another word.
        return "added at an end" if same in (0, len(shorter)) else "added"
    if len(longer) != len(shorter):
        return ""
    if longer[same + 1 :] == shorter[same + 1 :]:
        if are_near(longer[same], shorter[same]):
            return "near"
        return "changed at an end" if same in (0, len(longer) - 1) else "changed"
    turned = longer[same + 1 : same + 2] + longer[same]
    return "moved" if shorter[same:] == turned + longer[same + 2 :] else ""


def are_near(one: str, other: str) -> bool:
    """Whether two keys are neighbours, or two letters are read for each other."""
    if one + other in _ALIKE or other + one in _ALIKE:
        return True
    return any(abs(row.find(one) - row.find(other)) == 1 for row in _KEYS if one in row and other in row)
