"""Finds the NAT64 prefixes of the network by asking for ipv4only.arpa (RFC 7050), again when its TTL ends.

Knows: whom to ask, how long an answer holds.  Does not know: what an answer means
(`wire.carried_addresses`), who judges by the prefixes.
Theory: a DNS64 upstream puts IPv4 addresses under a prefix of its network, and rules for addresses must see
through that.  Every server of `upstreams.servers` is asked by itself, for one may translate and its
neighbour not.  Nobody waits for an answer.  What a server said last holds until it says otherwise: its
silence takes no prefix away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.forwarding.upstream import Upstream
from resolver.wire.carried_addresses import NAT64_PREFIXES_MAX, Nat64Prefix, found_prefixes
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qtype
from resolver.wire.question import Question

IPV4_ONLY: Final = Question(name_from_text("ipv4only.arpa"), int(Qtype.AAAA))
ASK_AGAIN_MIN_S: Final = 60.0
"""Soonest time of the next question, whatever the TTL; also after a failure."""
ASK_AGAIN_MAX_S: Final = 86_400.0
"""A prefix of long ago is asked for again within a day."""
NOT_SAID_S: Final = 3_600.0
"""When to ask again after an answer that is not to be kept: without a TTL it says nothing of later."""

_log = logging.getLogger("resolver.nat64")


class Nat64Finder:
    """Asks from `start` until `close`; tells `on_found` whenever the prefixes found are others."""

    def __init__(
        self,
        forwarder: Forwarder,
        clock: Clock,
        on_found: Callable[[tuple[Nat64Prefix, ...]], None],
    ) -> None:
        self._forwarder = forwarder
        self._clock = clock
        self._on_found = on_found
        self._found: dict[Upstream, list[Nat64Prefix]] = {}
        self._told: tuple[Nat64Prefix, ...] = ()
        self._timers: dict[Upstream, TimerHandle] = {}
        self._is_running = False

    def start(self) -> None:
        """Ask, unless that was begun before."""
        if not self._is_running:
            self._is_running = True
            for upstream in self._forwarder.plan.default.upstreams:
                self._ask(upstream)

    def close(self) -> None:
        """Ask no more."""
        self._is_running = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _ask(self, upstream: Upstream) -> None:
        self._forwarder.ask_one(upstream, IPV4_ONLY, lambda result: self._on_result(upstream, result))

    def _on_result(self, upstream: Upstream, result: Answered | Failed) -> None:
        if not self._is_running:
            return
        again_s = ASK_AGAIN_MIN_S
        if isinstance(result, Answered):
            response = result.response
            self._found[upstream] = found_prefixes(response.addresses)
            again_s = min(max(response.ttl_s or NOT_SAID_S, ASK_AGAIN_MIN_S), ASK_AGAIN_MAX_S)
            self._tell()
        self._timers[upstream] = self._clock.call_later(again_s, lambda: self._ask(upstream))

    def _tell(self) -> None:
        # In the order of the upstreams, so that who answers first changes nothing.
        found = [
            prefix
            for upstream in self._forwarder.plan.default.upstreams
            for prefix in self._found.get(upstream, ())
        ]
        prefixes = tuple(dict.fromkeys(found))[:NAT64_PREFIXES_MAX]
        if prefixes == self._told:
            return
        self._told = prefixes
        shown = ", ".join(map(str, prefixes)) or "none any more"
        _log.info("NAT64 prefixes by ipv4only.arpa: %s; addresses are judged again", shown)
        self._on_found(prefixes)
