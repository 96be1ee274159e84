"""Heads of requests over HTTP/2: read out of HPACK, judged, and known again (RFC 7541, RFC 9113 §8).

Knows: which headers are well formed, what a head asks, HPACK's table as far as it says that a block means
what it meant before.  Does not know: frames, streams, bodies, answers.
Theory: a client repeats its head, and from the second time on the block of it is the same few octets.  As
long as nothing was put into the table these mean the same, so what they said is kept with them.  A block can
be read once, for reading it changes the table: what the library has to look at besides it finds read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from hpack.exceptions import HPACKError
from hpack.hpack import Decoder
from hpack.table import HeaderTable

from resolver.flow.client_names import ClientNames
from resolver.listeners.http import METHOD_NOT_ALLOWED, PATH, Asked, Refused, WantsBody, asked_by

KNOWN_HEADS_MAX: Final = 4
"""Heads that are known again on one connection: a client has one for GET and one for POST, or a few."""

KNOWN_HEAD_OCTETS_MAX: Final = 1_024
"""Of one of them, decoded; those of libraries and browsers have some 300."""

_PSEUDO: Final = (b":method", b":scheme", b":authority", b":path")
_OF_HTTP_1: Final = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
"""Headers that belong to a connection of HTTP/1.1 (§8.2.2)."""

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_ODD_VALUE: Final = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]$")


class Head:
    """What the headers of one request say; whoever has the same headers shares it."""

    __slots__ = ("asked", "content_length", "headers", "is_expecting", "is_head", "name")

    def __init__(
        self, headers: Sequence[tuple[bytes, bytes]], named: Mapping[bytes, bytes], names: ClientNames
    ) -> None:
        """`headers`: well formed (`named_in`), their lengths digits; `names`: those that clients may have."""
        self.headers = headers
        method, length = named.get(b":method", b""), named.get(b"content-length")
        self.is_head = method == b"HEAD"
        self.content_length = None if length is None else int(length)
        target, self.name = names.split_target(named.get(b":path", b""), PATH)
        self.asked: Asked | Refused | WantsBody = (
            asked_by(method, target, named.get(b"content-type"), self.content_length)
            if b":path" in named
            else Refused(METHOD_NOT_ALLOWED)
        )
        self.is_expecting = named.get(b"expect", b"").lower() == b"100-continue"
        """Whether the client waits for a word before it sends the body."""


def named_in(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes] | None:
    """The values by name; None: the headers are not well formed (RFC 9113 §8.2, §8.3)."""
    named = dict(headers)
    pseudo = 0
    for place, (name, value) in enumerate(headers):
        if name.startswith(b":"):
            # Before all others, and each once.
            if name not in _PSEUDO or pseudo != place:
                return None
            pseudo += 1
        elif not _NAME.fullmatch(name) or name in _OF_HTTP_1 or (name == b"te" and value != b"trailers"):
            return None
        if _ODD_VALUE.search(value):
            return None
    if sum(name in named for name in _PSEUDO) != pseudo or b":method" not in named:
        return None
    authority, host = named.get(b":authority"), named.get(b"host")
    if (authority is None and host is None) or (authority and host and authority != host):
        return None
    if named[b":method"] == b"CONNECT" or (b":scheme" in named and named.get(b":path")):
        return named
    return None


class _Table(HeaderTable):
    """Counts its changes: behind each of them a block may mean something else."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        return super().maxsize

    @maxsize.setter
    def maxsize(self, newmax: int) -> None:
        self.changes += 1
        HeaderTable.maxsize.fset(self, newmax)  # type: ignore[attr-defined]


class HeadDecoder(Decoder):
    """The library's decoder, which knows heads again."""

    def __init__(self, head_octets_max: int, names: ClientNames) -> None:
        super().__init__(max_header_list_size=head_octets_max)
        self.header_table: _Table = _Table()
        self.known: dict[bytes, Head] = {}
        """By what is said of them in HPACK; true until the table changes."""
        self._names = names
        self._ahead: tuple[bytes, Iterable[Any] | Exception] | None = None
        """A block that was read here already, for the library, and what came of it: it can be read once."""

    def head_of(self, block: bytes) -> Head | None:
        """What the whole block of a request's head says; None: the library must look at it, as the next."""
        known = self.known.get(block)
        if known is not None:
            return known
        changes = self.header_table.changes
        try:
            headers = list(super().decode(block, raw=True))
        except (HPACKError, IndexError, TypeError, UnicodeDecodeError) as error:
            # Those that the library expects.
            self._ahead = block, error
            return None
        has_changed = self.header_table.changes != changes
        if has_changed:
            self.known.clear()
        named = named_in(headers)
        if named is None or not _is_plain_length(headers, named.get(b"content-length")):
            self._ahead = block, headers
            return None
        head = Head(headers, named, self._names)
        if (
            not has_changed
            and sum(len(name) + len(value) for name, value in headers) <= KNOWN_HEAD_OCTETS_MAX
        ):
            if len(self.known) >= KNOWN_HEADS_MAX:
                self.known.clear()
            self.known[block] = head
        return head

    def decode(self, data: bytes, raw: bool = False) -> Iterable[Any]:
        """See `hpack.Decoder`."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == data:
            if isinstance(ahead[1], Exception):
                raise ahead[1]
            return ahead[1]
        changes = self.header_table.changes
        headers = super().decode(data, raw)
        if self.header_table.changes != changes:
            self.known.clear()
        return headers


def _is_plain_length(headers: Sequence[tuple[bytes, bytes]], length: bytes | None) -> bool:
    """Whether the length is said once, in few digits, or not at all."""
    return length is None or (
        length.isdigit() and len(length) < 10 and sum(name == b"content-length" for name, _ in headers) == 1
    )
