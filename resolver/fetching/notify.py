"""NOTIFY (RFC 1996): a primary says that its zone has changed, and is answered.

Knows: the message, its signature, which list has which zone and which primaries.  Does not know: sockets,
what a change leads to.
Theory: a NOTIFY is a hint and nothing more: it makes us ask the primary for its serial a little earlier.  So
an address of one of the zone's primaries is proof enough, and a key is used only to answer in kind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig

from resolver.blocklist.downloads import DownloadedList
from resolver.fetching.outcome import FetchFailed
from resolver.fetching.tsig_key import read_tsig_key

NOTIFY_OCTETS_MAX: Final = 4_096
"""Of one message; a real one has about a hundred."""


@dataclass(frozen=True, slots=True)
class Notified:
    """What came of one message."""

    reply: bytes
    lists: tuple[str, ...] = ()
    """Names of the lists whose zone may have changed."""


@dataclass(slots=True)
class NotifyDesk:
    """The zones that are transferred, and who may speak of them."""

    _lists: dict[dns.name.Name, list[DownloadedList]] = field(default_factory=dict)
    _addresses: dict[dns.name.Name, set[str]] = field(default_factory=dict)
    _keys: dict[dns.name.Name, dns.tsig.Key] = field(default_factory=dict)

    @property
    def addresses(self) -> frozenset[str]:
        """Whose NOTIFY is looked at at all, as text."""
        return frozenset().union(*self._addresses.values())

    def follow(self, lists: Iterable[DownloadedList]) -> None:
        """From now on these; reads the files of their keys (a key that cannot be read signs nothing)."""
        self._lists, self._addresses, self._keys = {}, {}, {}
        for one in lists:
            transfer = one.download.transfer
            if transfer is None:
                continue
            zone = dns.name.from_text(transfer.zone)
            self._lists.setdefault(zone, []).append(one)
            self._addresses.setdefault(zone, set()).update(primary.address for primary in transfer.primaries)
            if (spec := transfer.tsig) is not None:
                with contextlib.suppress(FetchFailed):
                    key = read_tsig_key(spec)
                    self._keys[key.name] = key

    def take(self, octets: bytes, address: str, serials: Mapping[str, int]) -> Notified | None:
        """Read one message of `address`; None: it is no NOTIFY that can be answered.

        `serials`: by list, of the copies that are here.  Never raises for whatever octets.
        """
        if len(octets) > NOTIFY_OCTETS_MAX:
            return None
        try:
            message = dns.message.from_wire(octets, keyring=dict(self._keys), ignore_trailing=False)
        except (dns.exception.DNSException, ValueError, KeyError, IndexError):
            # A wrong key is one of these; its sender gets the answer to a malformed query.
            return None
        if (
            message.opcode() != dns.opcode.NOTIFY
            or message.flags & dns.flags.QR
            or len(message.question) != 1
        ):
            return None
        question = message.question[0]
        if question.rdtype != dns.rdatatype.SOA or question.rdclass != dns.rdataclass.IN:
            return Notified(_reply(message, dns.rcode.FORMERR))
        zone = question.name
        if zone not in self._lists:
            return Notified(_reply(message, dns.rcode.NOTAUTH))
        if address not in self._addresses[zone]:
            return Notified(_reply(message, dns.rcode.REFUSED))
        said = _serial_in(message)
        names = tuple(one.name for one in self._lists[zone] if said is None or serials.get(one.name) != said)
        return Notified(_reply(message, dns.rcode.NOERROR), names)


def _serial_in(message: dns.message.Message) -> int | None:
    """The serial that a NOTIFY may carry (RFC 1996 §3.7)."""
    for rrset in message.answer:
        if rrset.rdtype == dns.rdatatype.SOA and rrset:
            return int(rrset[0].serial)
    return None


def _reply(message: dns.message.Message, rcode: dns.rcode.Rcode) -> bytes:
    """An answer; signed as the message was."""
    reply = dns.message.make_response(message)
    reply.flags |= dns.flags.AA
    reply.set_rcode(rcode)
    return reply.to_wire()
