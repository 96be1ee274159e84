"""Names of a list under which strangers have theirs: left out, one by one.

Knows: public suffixes and shared platforms, what to say of each.  Does not know: formats, the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from resolver.blocklist.rules import ListSpec
from resolver.known_names.public_suffixes import suffixes, within_infrastructure
from resolver.lists.native_lists import NativeLists, SharedNames, native_lists
from resolver.problems import Problem
from resolver.wire.names import name_to_text

SUFFIXES_SHOWN_MAX = 20
"""Names left out of a list that are reported one by one."""


def without_suffixes(
    spec: ListSpec, names: Sequence[bytes], lines: Sequence[int], problems: list[Problem], told: int = 0
) -> tuple[Sequence[bytes], Sequence[int], int]:
    """Leave out of a stretch of a list what would block all under `co.uk` or `github.io`; how many were.

    One stray line of a list from elsewhere must not cost the others, so it is reported and left out.
    `told`: of that list so far; beyond `SUFFIXES_SHOWN_MAX` they are counted only.
    """
    found = shared_names(names)
    if not found:
        return names, lines, 0
    kept = [(name, line) for name, line in zip(names, lines, strict=True) if name not in found]
    for name, line in zip(names, lines, strict=True):
        if name in found and (told := told + 1) <= SUFFIXES_SHOWN_MAX:
            text = name_to_text(name)
            message = (
                f"list {spec.name!r}: {text!r} is a public suffix or shared platform; the line is left out"
            )
            problems.append(Problem(str(spec.path), line, message, "warning"))
    return [name for name, _ in kept], [line for _, line in kept], len(names) - len(kept)


def shared_names(names: Sequence[bytes]) -> set[bytes]:
    """Those of `names` (wire form) under which strangers have theirs: of registries and of platforms.

    Of a wildcard such as `*.compute.amazonaws.com` that is the name without the star; what stands below
    it is one machine, and often on a list for good reason.  Below a top-level domain (`*.bd`) it is not.
    """
    known, above = _shared()
    native = native_lists()
    if native is not None and isinstance(names, native.ListNames):
        found = set(_shared_natively(native).find_in(names))
    else:
        found = set(known.intersection(names))
        found.update(name for name in names if name[name[0] + 1 :] in above)
    return found - suffixes().exceptions


@cache
def _shared_natively(native: NativeLists) -> SharedNames:
    known, above = _shared()
    return native.SharedNames(list(known), list(above))


@cache
def _shared() -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Shared names, and the top-level domains of which every name is one."""
    known = suffixes()
    return known.names | known.wildcards | within_infrastructure(), frozenset(
        name for name in known.wildcards if len(name) == name[0] + 2
    )
