"""Prints what the program needs, directly or not, as `name==version` lines, and no tools of tests.

Knows: the distributions of the environment it runs in.  Does not know: what is compiled into them.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "exchange-resolver"


def shipped(name: str = OURS) -> dict[str, str]:
    """Name -> version of all that `name` needs here, itself left out."""
    found: dict[str, str] = {}
    waiting = [(name, frozenset[str]())]
    while waiting:
        one, extras = waiting.pop()
        try:
            about = distribution(one)
        except PackageNotFoundError:
            continue
        for text in about.requires or ():
            needed = Requirement(text)
            words = extras or {""}
            if needed.marker and not any(needed.marker.evaluate({"extra": extra}) for extra in words):
                continue
            known = canonicalize_name(needed.name)
            if known not in found:
                found[known] = distribution(needed.name).version
                waiting.append((needed.name, frozenset(needed.extras)))
    return found


if __name__ == "__main__":
    for name, version in sorted(shipped().items()):
        print(f"{name}=={version}")
