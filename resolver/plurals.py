"""Counts in words: `1 exchange`, `2 exchanges`.

Knows: that one thing is singular and any other number of them is plural.  Does not know: what is counted.
"""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 entry`, `0 entries`, `12,000 entries`; `plural`: where it is not `noun` with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
