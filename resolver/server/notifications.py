"""What a primary's NOTIFY leads to in one server: an answer, and a look at the zone.

Knows: the lists in force, the keeper, addresses as the flow has them.  Does not know: the messages, which
are `fetching.notify`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from resolver.blocklist.downloads import DownloadedList
from resolver.fetching.keeper import ListKeeper
from resolver.fetching.notify import NotifyDesk

log = logging.getLogger("resolver.fetching")


class Notifications:
    """Takes NOTIFY for the zones of one server's lists."""

    def __init__(self, keeper: ListKeeper, on_primaries: Callable[[list[bytes]], None]) -> None:
        """`on_primaries`: called with the packed addresses whose NOTIFY is for `take`, when they change."""
        self._keeper = keeper
        self._on_primaries = on_primaries
        self._desk = NotifyDesk()
        self._primaries: frozenset[bytes] = frozenset()

    def follow(self, lists: Iterable[DownloadedList]) -> None:
        """Take NOTIFY for these from now on."""
        self._desk.follow(lists)
        primaries = frozenset(ip_address(address).packed for address in self._desk.addresses)
        if primaries != self._primaries:
            self._primaries = primaries
            self._on_primaries(sorted(primaries))

    def take(self, octets: bytes, address: bytes) -> bytes | None:
        """The answer to a NOTIFY of `address` (packed); None: it is none, or of somebody else."""
        if address not in self._primaries:
            return None
        serials = {entry.wanted.name: entry.notes.serial for entry in self._keeper.lists}
        notified = self._desk.take(octets, str(ip_address(address)), serials)
        if notified is None:
            return None
        if notified.lists:
            named = {entry.wanted.name: entry.wanted.shown for entry in self._keeper.lists}
            shown = dict.fromkeys(named.get(name, name) for name in notified.lists)
            log.info("a primary announces a change of %s", ", ".join(shown))
            self._keeper.notified(notified.lists)
        return notified.reply
