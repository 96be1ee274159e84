"""Finds where upstreams are that are named by a host name alone, and looks again when their TTL ends.

Knows: which hosts, whom to ask, how long an answer holds.  Does not know: how a question is asked, what is
asked of the upstreams.
Theory: the bootstrap servers are asked in clear text, and for nothing but A and AAAA of these hosts.  Whoever
forges their answers can send us astray, but not be believed: the certificate is for the name.  Addresses once
found hold until others are: the silence of a bootstrap server takes none away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from ipaddress import ip_address

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.forwarding.upstream import Upstream
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qtype
from resolver.wire.question import Question

ASK_AGAIN_S_MIN = 30.0
"""Soonest next question after an answer, whatever its TTL."""
ASK_AGAIN_S_MAX = 86_400.0
RETRY_S_MIN = 1.0
"""After a failure; each further one doubles it."""
RETRY_S_MAX = 60.0
MOVED_S = 10.0
"""An upstream that goes down may have moved: its host is asked for again if that was not done since."""
ADDRESSES_MAX = 8
"""Of one host, that are looked at."""

_TYPES = (Qtype.AAAA, Qtype.A)
"""RFC 8305 §4: those of IPv6 are tried first."""

_log = logging.getLogger(__name__)


class _Host:
    """One host name, and the upstreams that it is the name of."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.upstreams: list[Upstream] = []
        self.found: dict[int, tuple[str, ...]] = {}
        """By type."""
        self.ttls: list[float] = []
        """Of the answers since it was last asked for."""
        self.open = 0
        """Questions not answered yet."""
        self.failures = 0
        """In a row."""
        self.asked_at = float("-inf")
        self.timer: TimerHandle | None = None
        self.waiting: list[asyncio.Future[bool]] = []


class Bootstrap:
    """See the module's docstring; an `AddressBook` of `stream.Streams`."""

    def __init__(
        self, upstreams: Iterable[Upstream], servers: Sequence[Upstream], forwarder: Forwarder, clock: Clock
    ) -> None:
        """`servers`: whom to ask, in order; upstreams of no plan."""
        self._servers = tuple(servers)
        self._forwarder = forwarder
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._is_closed = False
        for upstream in upstreams:
            if upstream.host and not upstream.address:
                host = self._hosts.setdefault(upstream.host, _Host(upstream.host))
                host.upstreams.append(upstream)
                upstream.on_change.append(self._on_change)

    def start(self) -> None:
        """Ask for every host."""
        for host in self._hosts.values():
            self._ask(host)

    def close(self) -> None:
        """Ask no more; who waits gets nothing."""
        self._is_closed = True
        for host in self._hosts.values():
            if host.timer is not None:
                host.timer.cancel()
            self._tell(host)

    async def find(self, upstream: Upstream) -> bool:
        """See `stream.AddressBook`."""
        if upstream.addresses:
            return True
        host = self._hosts.get(upstream.host)
        if host is None or self._is_closed or not self._servers:
            return False
        if not host.open:
            if self._clock.now() - host.asked_at < RETRY_S_MIN:
                return False  # it was just asked for, in vain
            self._ask(host)
        if not host.open:
            return bool(upstream.addresses)
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        host.waiting.append(waiter)
        return await waiter

    def _ask(self, host: _Host) -> None:
        if host.open or self._is_closed or not self._servers:
            return
        if host.timer is not None:
            host.timer.cancel()
            host.timer = None
        host.asked_at = self._clock.now()
        host.open = len(_TYPES)
        host.ttls = []
        name = name_from_text(host.name)
        for qtype in _TYPES:
            done = partial(self._on_result, host, int(qtype))
            self._forwarder.ask_these(self._servers, Question(name, int(qtype)), done)

    def _on_result(self, host: _Host, qtype: int, result: Answered | Failed) -> None:
        host.open -= 1
        if self._is_closed:
            return
        if isinstance(result, Answered):
            response = result.response
            host.found[qtype] = _usable(response.addresses)
            host.ttls.append(response.ttl_s)
            self._move(host)
        if host.open:
            return
        if not any(host.found.values()):
            host.ttls = []  # a host without any address is as good as unanswered
        host.failures = 0 if host.ttls else host.failures + 1
        if host.ttls:
            delay_s = min(max(min(host.ttls), ASK_AGAIN_S_MIN), ASK_AGAIN_S_MAX)
        else:
            delay_s = min(RETRY_S_MIN * 2 ** (host.failures - 1), RETRY_S_MAX)
            if host.failures == 1:
                _log.warning("no bootstrap server has an address of %s", host.name)
        host.timer = self._clock.call_later(delay_s, lambda: self._ask(host))
        self._tell(host)

    def _move(self, host: _Host) -> None:
        """Give its upstreams what was found; the address in use stays in front while it is one of them."""
        found = [address for qtype in _TYPES for address in host.found.get(qtype, ())][:ADDRESSES_MAX]
        if not found:
            return
        for upstream in host.upstreams:
            kept = [address for address in upstream.addresses if address in found]
            upstream.addresses = tuple(dict.fromkeys((*kept, *found)))
        self._tell(host)

    def _tell(self, host: _Host) -> None:
        waiting, host.waiting = host.waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(bool(host.upstreams[0].addresses))

    def _on_change(self, upstream: Upstream) -> None:
        host = self._hosts[upstream.host]
        if not upstream.is_up and self._clock.now() - host.asked_at >= MOVED_S:
            self._ask(host)


def _usable(addresses: Iterable[bytes]) -> tuple[str, ...]:
    """As texts, without those that are nobody's address."""
    found = [ip_address(octets) for octets in addresses]
    return tuple(str(one) for one in found if not one.is_unspecified and not one.is_multicast)
