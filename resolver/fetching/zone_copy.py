"""The copy of a transferred zone: a file in zone text, one record a line, written whole and changed by IXFR.

Knows: the lines, how changes are put into them, the digest of a whole zone (ZONEMD, RFC 8976).  Does not
know: transfers, connections, what the zone is for; `lists.rpz` reads the file as it reads any zone.

    $ORIGIN zone.example.
    @ 3600 IN SOA ns.example. admin.example. 7 3600 600 86400 300
    bad.example 300 IN CNAME .
    ...

Owners are relative to the zone and in lower case.  Lines are read and written one by one, so that a zone
of millions of records needs no room in memory; for a digest they are sorted in parts, on disk.
"""

from __future__ import annotations

import hashlib
import heapq
import marshal
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.ZONEMD

from resolver.fetching.outcome import FetchFailed, Result
from resolver.fetching.zone_changes import Changes, Key, NeedsWhole, Record
from resolver.fetching.zone_message import APEX

_SOA: Final = b"SOA "
_ZONEMD: Final = b"ZONEMD "
SORTED_AT_ONCE: Final = 200_000
"""Records of a digest that are sorted in memory; more go to disk in parts of so many."""
_Sortable = tuple[bytes, bytes, bytes, int]
"""Order of owner and type, data, owner, TTL."""


class Soa:
    """What a SOA says of the zone's times, in seconds."""

    __slots__ = ("expire_s", "refresh_s", "retry_s", "serial")

    def __init__(self, rdata: dns.rdata.Rdata) -> None:
        assert isinstance(rdata, dns.rdtypes.ANY.SOA.SOA)
        self.serial = int(rdata.serial)
        self.refresh_s = int(rdata.refresh)
        self.retry_s = int(rdata.retry)
        self.expire_s = int(rdata.expire)


def soa_from(key: Key) -> Soa:
    """What a kept SOA record says."""
    return Soa(_rdata(key.rdata))


def line_of(key: Key, ttl: int) -> bytes:
    """A record as a line of the file."""
    return b"%s %d IN %s\n" % (key.owner, ttl, key.rdata)


def head_of(zone: str) -> bytes:
    """The file's first line."""
    return f"$ORIGIN {zone}\n".encode()


def read_records(file: IO[bytes]) -> Iterator[tuple[Key, int]]:
    """The records of a file that was written here.  Raises ValueError for any other."""
    for line in file:
        if line.startswith(b"$"):
            continue
        owner, ttl, _, rdata = line.rstrip(b"\n").split(b" ", 3)
        yield Key(owner, rdata), int(ttl)


def soa_of(file: IO[bytes], zone: str) -> Soa | None:
    """The SOA of a kept zone; None where the file is not one of ours, or of another zone."""
    try:
        if file.readline() != head_of(zone):
            return None
        owner, _, _, rdata = file.readline().rstrip(b"\n").split(b" ", 3)
        if owner != APEX or not rdata.startswith(_SOA):
            return None
        return Soa(_rdata(rdata))
    except (ValueError, dns.exception.DNSException):
        return None


def apply_changes(old: IO[bytes], new: IO[bytes], zone: str, soa: Record, changes: Changes) -> None:
    """Write the zone as it is after `changes`.  Raises NeedsWhole where they do not fit, and OSError."""
    removed, added = changes.removed, changes.added
    new.write(head_of(zone))
    new.write(line_of(soa.key, soa.ttl))
    found = 0
    try:
        for key, ttl in read_records(old):
            if key.owner == APEX and key.rdata.startswith(_SOA):
                continue
            if key in removed:
                found += 1
            elif key in added:
                raise NeedsWhole("it adds a record that is here")
            else:
                new.write(line_of(key, ttl))
    except ValueError:
        raise NeedsWhole("the copy is damaged") from None
    if found != len(removed):
        raise NeedsWhole("it removes records that are not here")
    for key, ttl in added.items():
        new.write(line_of(key, ttl))


class Zonemd:
    """The digests that a zone carries of itself, found while its file is read."""

    def __init__(self, zone: str, folder: Path) -> None:
        """`folder`: where the parts are kept while they are sorted."""
        self._origin = dns.name.from_text(zone)
        self._folder = folder

    def verify(self, file: IO[bytes]) -> bool:
        """Whether a digest was there and fits; False: none that can be computed here.

        Raises FetchFailed where none of those that can be computed fits.  `file` is read from its start.
        """
        wanted, serial = self._wanted(file)
        usable = [one for one in wanted if one.scheme == 1 and one.hash_algorithm in (1, 2)]
        # RFC 8976 §2.1: two digests of one scheme and hash are of no use, either of them.
        kinds = [one.hash_algorithm for one in usable]
        usable = [one for one in usable if kinds.count(one.hash_algorithm) == 1]
        if not usable:
            return False
        hashes = {1: hashlib.sha384(), 2: hashlib.sha512()}
        file.seek(0)
        for wire in self._sorted(file):
            for one in usable:
                hashes[one.hash_algorithm].update(wire)
        if not any(
            one.serial == serial and hashes[one.hash_algorithm].digest() == one.digest for one in usable
        ):
            raise FetchFailed(Result.ZONEMD, "the zone is not what its ZONEMD record says (RFC 8976)")
        return True

    def _wanted(self, file: IO[bytes]) -> tuple[list[dns.rdtypes.ANY.ZONEMD.ZONEMD], int]:
        file.seek(0)
        wanted: list[dns.rdtypes.ANY.ZONEMD.ZONEMD] = []
        serial = 0
        for key, _ in read_records(file):
            if key.owner == APEX and key.rdata.startswith((_SOA, _ZONEMD)):
                rdata = _rdata(key.rdata)
                if isinstance(rdata, dns.rdtypes.ANY.ZONEMD.ZONEMD):
                    wanted.append(rdata)
                else:
                    serial = Soa(rdata).serial
        return wanted, serial

    def _sorted(self, file: IO[bytes]) -> Iterator[bytes]:
        """Each record in wire form, in canonical order (RFC 4034 §6), each once."""
        parts: list[IO[bytes]] = []
        kept: list[_Sortable] = []
        before = None
        try:
            for key, ttl in read_records(file):
                if (sortable := self._sortable(key, ttl)) is not None:
                    kept.append(sortable)
                if len(kept) >= SORTED_AT_ONCE:
                    parts.append(self._part_of(sorted(kept)))
                    kept = []
            for sortable in heapq.merge(*map(_read_part, parts), sorted(kept)):
                if sortable[:2] != before:
                    yield _wire_of(*sortable)
                before = sortable[:2]
        finally:
            for part in parts:
                part.close()

    def _sortable(self, key: Key, ttl: int) -> _Sortable | None:
        """A record as RFC 4034 §6 sorts it; None: the digest leaves it out (RFC 8976 §3.3.1)."""
        if key.owner == APEX and key.rdata.startswith((_ZONEMD, b"RRSIG ZONEMD ")):
            return None
        name = dns.name.from_text(key.owner.decode(), self._origin)
        rdata = _rdata(key.rdata)
        # The end of a label, and of a name, sorts below every octet: a parent comes before its children.
        labels = [label.lower().replace(b"\0", b"\0\1") + b"\0\0" for label in reversed(name.labels[:-1])]
        rtype = rdata.rdtype.to_bytes(2)
        order = b"".join(labels) + b"\0\0" + rtype
        return order, rdata.to_digestable(), name.to_digestable(), ttl

    def _part_of(self, records: Iterable[_Sortable]) -> IO[bytes]:
        part = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - `_sorted` closes it.
        for record in records:
            marshal.dump(record, part)
        part.seek(0)
        return part


def _read_part(part: IO[bytes]) -> Iterator[_Sortable]:
    while True:
        try:
            yield marshal.load(part)  # Written here, a moment ago.
        except EOFError:
            return


def _wire_of(order: bytes, data: bytes, owner: bytes, ttl: int) -> bytes:
    rclass = dns.rdataclass.IN.to_bytes(2)
    return b"".join((owner, order[-2:], rclass, ttl.to_bytes(4), len(data).to_bytes(2), data))


def _rdata(text: bytes) -> dns.rdata.Rdata:
    rtype, _, data = text.decode().partition(" ")
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rtype), data, relativize=False)
