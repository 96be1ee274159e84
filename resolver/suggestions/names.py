"""The part of a name that somebody registered, and its label as people read it.

Knows: public suffixes, A-labels.  Does not know: exchanges.
"""

from __future__ import annotations

from resolver.known_names.public_suffixes import suffixes
from resolver.wire.idn import A_LABEL_PREFIX, u_label
from resolver.wire.names import suffix_offsets


def registrable(name: bytes) -> bytes | None:
    """The part of a name that somebody registered: a label more than its public suffix; None: there is none.

    `name`: wire form, lower case.
    """
    known, wildcards, exceptions = suffixes()
    offsets = suffix_offsets(name)
    before = None
    for number, at in enumerate(offsets):
        suffix = name[at:]
        is_last = number + 1 == len(offsets)
        if (
            is_last
            or suffix in known
            or (name[offsets[number + 1] :] in wildcards and suffix not in exceptions)
        ):
            return None if before is None else name[before:]
        before = at
    return None


def label_text(owner: bytes) -> str | None:
    """The first label for people; None where it holds what no registered name does."""
    octets = owner[1 : 1 + owner[0]]
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        return None
    if text.startswith(A_LABEL_PREFIX):
        return u_label(text)
    return text if text.replace("-", "").isalnum() else None
