"""`blocklist.yaml` -> a `Blocklist`, or every reason why not.

Knows: the whole contract of the file.  Does not know: the image, list files' contents, the time.
"""

from __future__ import annotations

from pathlib import Path

from resolver.policy.rules import AddressRule, Blocklist, ListSpec, NameRule, Order
from resolver.problems import Problem

__all__ = ["AddressRule", "Blocklist", "ListSpec", "NameRule", "Order", "blocklist_schema", "read_blocklist"]


def read_blocklist(
    path: Path, *, octets: bytes | None = None, force: bool = False
) -> tuple[Blocklist | None, list[Problem]]:
    """Read and check a whole blocklist; see the problems for why there is none.

    `octets`: the content, where the caller has read (and hashed) it already; `path` is then only
    its name and the folder of relative paths.  `force`: forcible problems are warnings.
    """
    raise NotImplementedError


def blocklist_schema() -> dict[str, object]:
    """Give the JSON Schema of the file, for editors."""
    raise NotImplementedError
