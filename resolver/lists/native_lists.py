"""The native help for compiling lists: whether it is there, and what it does.

Knows: the names of its parts.  Does not know: formats, images.
It is optional, and changes nothing but the time: what it reads and lays is octet for octet what the Python
code here reads and lays, and every line that it finds odd is handed back to that code.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, Protocol, cast

from resolver.plane import INTERFACE

MODULE = "resolver_native"
_PARTS = ("ImageTable", "ListNames", "SharedNames", "read_list_lines", "read_zone_pairs")


class Names(Sequence[bytes]):
    """Names in wire form, held natively; here for its type alone."""

    @abstractmethod
    def merged(self, lines: bytes, others: list[tuple[int, bytes]]) -> tuple[Names, bytes]:
        """These names with others among them, by line; `lines` and the others' are in order."""


class SharedNames(Protocol):
    """Finds the names under which strangers have theirs."""

    def find_in(self, names: Names) -> list[bytes]:
        """Those of `names` that are known, or stand directly under a top-level domain of `above`."""


class NativeLists(Hashable, Protocol):
    """The module, as far as lists are concerned."""

    ListNames: type[Names]

    def ImageTable(self, seed: int) -> Any:  # noqa: N802 -- a class over there.
        """An empty table of names: an `AnyNameTable` of `publishing.name_table`."""

    def SharedNames(self, known: list[bytes], above: list[bytes]) -> SharedNames:  # noqa: N802
        """`known`: names in wire form; `above`: top-level domains, every name directly under which counts."""

    def read_list_lines(
        self, list_format: str, chunk: bytes, first_line: int
    ) -> tuple[Names, bytes, list[tuple[int, bytes]]]:
        """Names of plain lines, their lines (32 bits each), and every other line with its number."""

    def read_zone_pairs(self, text: bytes, suffix: bytes) -> Names | None:
        """The names of whole lines that are `x CNAME .` and `*.x CNAME .` from end to end, else None.

        `suffix`: the zone's name between dots, in lower case, which owners may end in; or nothing.
        """


@cache
def native_lists() -> NativeLists | None:
    """The native help, or None where it is not built, or built for another interface than this program's."""
    try:
        module = importlib.import_module(MODULE)
    except ImportError:
        return None
    has_all = getattr(module, "INTERFACE", None) == INTERFACE and all(
        hasattr(module, part) for part in _PARTS
    )
    return cast(NativeLists, module) if has_all else None
