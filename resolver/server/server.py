"""The whole server, put together: settings -> rooms -> sockets, and down again.

Knows: how the rooms are made and in which order they start and stop.  Does not know: argv, signals.
Order of starting: HTTP (a waiting monitor sees why), policy (nothing is answered without one), then the
DNS sockets.  Order of stopping: no new queries, then those in flight for as long as the limit
allows, then everything else.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from resolver import __version__
from resolver.cache import ResponseCache
from resolver.clock import LoopClock
from resolver.config.settings import Settings, UpstreamServer
from resolver.flow.clients import AccessList
from resolver.flow.service import Service
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.plan import ForwardPlan
from resolver.forwarding.plan import Server as PlannedServer
from resolver.forwarding.socket_network import SocketNetwork, pool_size
from resolver.listeners.address import SocketAddress
from resolver.listeners.reporter import Reporter
from resolver.listeners.tcp import TcpListener
from resolver.listeners.udp import UdpListener
from resolver.local import LocalNames
from resolver.observe.health import Health
from resolver.observe.log import LogWriter
from resolver.observe.metrics import Metrics, PolicyFacts, ReloadFacts, UpstreamFacts
from resolver.observe.query_log import QueryLog
from resolver.observe.tally import Tallies
from resolver.plane import NativeModule
from resolver.plurals import counted
from resolver.policy.table import PolicyTable
from resolver.publishing.publisher import Publisher, StartRefused
from resolver.server.counters import forwarding_counters, native_counters, upstream_facts
from resolver.server.keeping import FIRST_DOWNLOADS_S, list_facts, lists_to_keep, make_keeper, remark_missing
from resolver.server.native import MEMO_PART_OF_CACHE, NativeEngine
from resolver.server.policyfacts import count_expiring, policy_facts
from resolver.server.recording import HistoryRecorder
from resolver.web import WebServer, make_app
from resolver.web.server import bind as bind_http
from resolver.wire.names import name_to_text

DRAIN_S: Final = 1.5
"""How long a stopping server waits for answers in flight; what is left then is answered SERVFAIL.
With closing it stays within the 2 seconds that the contract gives."""

LINGER_S: Final = 0.3
"""How long TCP clients that have all their answers get to take them and close."""

DRAIN_POLL_S: Final = 0.01

PORT_ATTEMPTS_MAX: Final = 20
"""Tries to find a port that is free for both UDP and TCP when any will do."""

_NO_IPV6: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

_log = logging.getLogger(__name__)


class CannotStart(Exception):
    """The server can not serve; `reasons` says why, a line each."""

    def __init__(self, reasons: Iterable[object]) -> None:
        self.reasons = [str(reason) for reason in reasons]
        super().__init__("; ".join(self.reasons))


class Server:
    """One resolver, from settings to sockets.  Make it and use it inside a running event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: str,
        native: NativeModule | None = None,
        log_writer: LogWriter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self._log_writer = log_writer
        self._loop = asyncio.get_running_loop()
        self._clock = LoopClock(self._loop)
        self._tallies = Tallies()
        self._reporter = Reporter(self._tallies, make_query_log(settings, log_writer))
        self._wall = wall
        self._recorder = HistoryRecorder(settings.state_dir, wall=wall)
        self._publisher = Publisher(
            settings.blocklist,
            settings.state_dir,
            self._clock,
            self._on_publish,
            wall=wall,
            on_applied=self._recorder.note,
        )
        self._keeper = make_keeper(
            settings, self._clock, self._publisher.reload, self._on_lists_looked_at, wall=wall
        )
        self._network: SocketNetwork | None = None
        self._forwarder: Forwarder | None = None
        self._service: Service | None = None
        self._table: PolicyTable | None = None
        self._facts = PolicyFacts()
        self._dns: list[SocketAddress] = []
        self._udp: list[UdpListener] = []
        self._tcp: list[TcpListener] = []
        self._web: WebServer | None = None
        self.health = Health("policy", "sockets")
        self._native = self._make_native(native)
        self._pool_size = 0
        # The native plane has memos of its own in front of its cache.
        self._memo_octets = settings.cache.size_octets // MEMO_PART_OF_CACHE if native is None else 0
        self._cache = make_cache(settings, self._memo_octets) if self._native is None else self._native.cache
        self.metrics = Metrics(
            self._tallies,
            policy=lambda: self._facts,
            reloads=self._reload_facts,
            upstreams=self._upstream_facts,
            cache=self._cache,
            version=__version__,
            engine=engine,
            gauges=self._gauges,
            counters=self._counters,
            drops=self._drops,
            lists=lambda: list_facts(self._keeper),
            native=lambda: None if self._native is None else self._native.tallies(),
        )

    async def start(self) -> None:
        """Load the policy and bind everything.  Raises CannotStart, with nothing left open."""
        try:
            self._start_web()
            await self._first_table()
            await self._first_downloads()
            self.health.meet("policy")
            assert self._table is not None
            self._service = self._make_service(self._table)
            await self._bind_dns(self._service)
            self.health.meet("sockets")
        except CannotStart:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more queries, answer or fail what is in flight, close everything; within 2 seconds."""
        self.health.fail("sockets", "shutting down")
        listeners: list[UdpListener | TcpListener] = [*self._udp, *self._tcp]
        for listener in listeners:
            listener.stop_reading()
        if self._native is not None:
            self._native.stop_reading()
        await self._drain()
        if self._native is not None:
            await self._native.hand_over()
        if self._forwarder is not None:
            await self._forwarder.close()
        # One turn of the loop, for the failures just delivered to leave.
        await asyncio.sleep(0)
        for listener in listeners:
            listener.close()
        if self._native is not None:
            await self._native.close()
        await self._keeper.close()
        await self._publisher.close()
        await self._recorder.close()
        if self._web is not None:
            await self._web.stop()

    def reload(self) -> None:
        """Read the blocklist again soon; the result is in the log and in the metrics."""
        self._publisher.reload()

    @property
    def dns_addresses(self) -> list[SocketAddress]:
        """Where DNS is served, UDP and TCP alike."""
        return self._dns

    @property
    def http_address(self) -> SocketAddress | None:
        """Where HTTP is served; None: off."""
        return None if self._web is None else SocketAddress(*self._web.address)

    def describe(self) -> str:
        """One line: addresses, exchanges, domains, engine."""
        assert self._table is not None
        counts = self._table.counts
        parts = ["dns " + " ".join(map(show_address, self.dns_addresses))]
        if self.http_address is not None:
            parts.append("http " + show_address(self.http_address))
        parts.append(counted(counts["exchanges"], "exchange"))
        parts.append(counted(counts["domains"], "domain"))
        if counts["list_names"]:
            parts.append(counted(counts["list_names"], "list name"))
        parts.append(f"engine {self.engine}")
        return "ready: " + ", ".join(parts)

    # Starting.

    def _start_web(self) -> None:
        endpoint = self.settings.listen.http
        if endpoint is None:
            return
        try:
            bound = bind_http(endpoint.address, endpoint.port)
        except OSError as error:
            raise CannotStart([_why_not(f"listen.http: {endpoint}", error, endpoint.port)]) from None
        self._web = WebServer(
            make_app(self.health, self.metrics),
            bound,
            connections_max=self.settings.limits.http_connections_max,
            on_drop=self._reporter.count_drop,
        )
        self._web.start()

    async def _first_table(self) -> None:
        try:
            await self._publisher.start()
        except StartRefused as error:
            raise CannotStart(error.problems) from None

    async def _first_downloads(self) -> None:
        """Fetch lists of which there is no copy, if that is quickly done; then serve without, loudly."""
        self._keeper.start()
        if self._keeper.lists:
            await self._keeper.settle(FIRST_DOWNLOADS_S)
            await self._publisher.reload_if_changed()

    def _make_native(self, module: NativeModule | None) -> NativeEngine | None:
        if module is None:
            return None
        return NativeEngine(
            module,
            self.settings,
            self._reporter,
            self._clock,
            self._loop,
            on_unusable=lambda why: self.health.remark("engine", why),
        )

    def _make_service(self, table: PolicyTable) -> Service:
        settings = self.settings
        plan = make_plan(settings)
        entropy = Entropy()
        # Each plane has sockets of its own towards each upstream.
        self._pool_size = pool_size(len(plan.upstreams) * (1 if self._native is None else 2))
        self._network = network = SocketNetwork(
            self._loop, self._clock, entropy, sockets_per_upstream=self._pool_size
        )
        self._forwarder = Forwarder(
            plan,
            network,
            self._clock,
            entropy,
            timeout_s=settings.upstreams.timeout_s,
            in_flight_max=settings.limits.in_flight_max,
        )
        return Service(
            table=table,
            cache=self._cache,
            forwarder=self._forwarder,
            local=make_local_names(settings),
            clock=self._clock,
            access=AccessList(settings.clients.allow),
            memo_octets_max=self._memo_octets,
            rate_limit_qps=settings.clients.rate_limit_qps,
            tcp_idle_s=settings.limits.tcp_idle_s,
        )

    async def _bind_dns(self, service: Service) -> None:
        reasons = []
        for endpoint in self.settings.listen.dns:
            try:
                await self._bind_endpoint(SocketAddress(endpoint.address, endpoint.port), service)
            except OSError as error:
                if error.errno in _NO_IPV6 and endpoint.is_ipv6:
                    # The shipped settings name ::1, and many containers have no IPv6.
                    _log.warning("no IPv6 here, not listening", extra={"address": str(endpoint)})
                else:
                    reasons.append(_why_not(f"listen.dns: {endpoint}", error, endpoint.port))
        if not self._dns and not reasons:
            reasons.append("listen.dns: none of the addresses exists on this machine")
        if reasons:
            raise CannotStart(reasons)
        if self._native is not None:
            assert self._forwarder is not None
            try:
                await self._native.start(service, self._forwarder, self._pool_size)
            except (OSError, ValueError) as error:
                raise CannotStart([f"engine: native cannot start: {error}; 'python' can"]) from None

    async def _bind_endpoint(self, address: SocketAddress, service: Service) -> None:
        limits = self.settings.limits
        for attempt in range(PORT_ATTEMPTS_MAX):
            bound = self._bind_udp(address, service)
            try:
                tcp = TcpListener(
                    bound,
                    service,
                    self._reporter,
                    self._clock,
                    self._loop,
                    idle_s=limits.tcp_idle_s,
                    connections_max=limits.tcp_connections_max,
                    connections_per_client_max=limits.tcp_connections_per_client_max,
                    front=self._native,
                )
            except OSError:
                self._unbind_udp()
                # With port 0 the kernel chose for UDP alone; another choice may be free for both.
                if address.port or attempt == PORT_ATTEMPTS_MAX - 1:
                    raise
                continue
            self._dns.append(bound)
            self._tcp.append(tcp)
            if self._native is None:
                self._udp[-1].start()
            await tcp.start()
            return

    def _bind_udp(self, address: SocketAddress, service: Service) -> SocketAddress:
        """A UDP socket, or one for each of the native plane's threads, bound but not read yet."""
        if self._native is not None:
            return self._native.bind(address)
        self._udp.append(UdpListener(address, service, self._reporter, self._clock, self._loop))
        return SocketAddress(*self._udp[-1].bound_to)

    def _unbind_udp(self) -> None:
        if self._native is not None:
            self._native.unbind()
        else:
            self._udp.pop().close()

    # What happens while it runs.

    def _on_publish(self, table: PolicyTable) -> None:
        self._table = table
        self._keeper.follow(lists_to_keep(table))
        if self._native is not None:
            self._native.publish(table, self._judge_by)
        else:
            self._judge_by(table)

    def _judge_by(self, table: PolicyTable) -> None:
        # Only now: who reads a generation in the metrics may count on being answered by it.
        self._facts = policy_facts(table)
        if self._service is not None:
            self._service.publish(table)

    def _on_lists_looked_at(self) -> None:
        remark_missing(self._keeper, self.health)

    async def _drain(self) -> None:
        """Wait until everyone has an answer, and a little for TCP clients to take theirs."""
        now = self._clock.now
        deadline = now() + DRAIN_S
        # Looked at rather than signalled: it happens once, and spares two rooms a hook on every answer.
        while self._waiting and now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_POLL_S)
        deadline = min(deadline, now() + LINGER_S)
        while any(listener.connections for listener in self._tcp) and now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_POLL_S)

    @property
    def answers_natively(self) -> bool:
        """Whether queries over UDP are answered by threads that are not Python's."""
        return self._native is not None and self._native.answers

    # What monitoring is told.

    @property
    def _waiting(self) -> int:
        """Clients that wait for an upstream, in either plane."""
        waiting = 0 if self._service is None else self._service.waiting
        return waiting + (0 if self._native is None else self._native.waiting)

    def _reload_facts(self) -> ReloadFacts:
        status = self._publisher.status
        return ReloadFacts(status.successes, status.failures, status.last_success, status.last_attempt)

    def _upstream_facts(self) -> Iterable[UpstreamFacts]:
        if self._native is not None:
            self._native.hear_upstreams()
        return () if self._forwarder is None else upstream_facts(self._forwarder)

    def _gauges(self) -> Iterable[tuple[str, str, float]]:
        connections = sum(listener.connections for listener in self._tcp)
        pending = 0 if self._forwarder is None else self._forwarder.pending
        pending += 0 if self._native is None else self._native.in_flight
        yield (
            "resolver_blocklist_is_stale",
            "1 while the blocklist as it stands is not in force because it could not be loaded, else 0.",
            float(self._publisher.status.serves_last_good),
        )
        yield (
            "resolver_blocklist_expiring_exchanges",
            "Exchanges in force whose until comes within 30 days.",
            0 if self._table is None else count_expiring(self._table, self._wall()),
        )
        yield (
            "resolver_history_generation",
            "Number of the last generation recorded in the history since the start; 0: none yet.",
            self._recorder.generation,
        )
        yield "resolver_waiting_queries", "Queries that wait for an upstream now.", self._waiting
        yield "resolver_tcp_connections", "Open TCP connections of clients.", connections
        yield (
            "resolver_http_connections",
            "Open HTTP connections.",
            0 if self._web is None else self._web.connections,
        )
        yield "resolver_upstream_in_flight", "Questions in flight to upstreams now.", pending

    def _drops(self) -> Counter[str]:
        """What was lost beside the outcomes; a defect in an answer that had to wait counts like any other."""
        late_defects = 0 if self._service is None else self._service.defects
        late_defects += 0 if self._forwarder is None else self._forwarder.waiter_errors
        drops = self._reporter.drops + Counter(defect=late_defects)
        return drops if self._native is None else drops + self._native.drops()

    def _counters(self) -> Iterable[tuple[str, str, float]]:
        overloads = 0 if self._forwarder is None else self._forwarder.overloads
        if self._service is not None:
            overloads += self._service.overloads
        native = None if self._native is None else self._native.counters
        if native is not None:
            overloads += native.get("overloads", 0)
            yield from native_counters(native)
        yield from forwarding_counters(self._forwarder, self._network, native)
        yield "resolver_upstream_overloads", "Questions failed because too many were in flight.", overloads
        failures = self._recorder.failures
        yield "resolver_history_failures", "Generations that could not be recorded in the history.", failures
        yield "resolver_log_lines_dropped", "Log lines lost to a slow reader.", self._log_writer.dropped


def make_cache(settings: Settings, memo_octets: int) -> ResponseCache:
    """Python's own cache, of what the memo leaves of its memory."""
    return ResponseCache(
        settings.cache.size_octets - memo_octets,
        ttl_min_s=settings.cache.ttl_min_s,
        ttl_max_s=settings.cache.ttl_max_s,
        negative_ttl_max_s=settings.cache.negative_ttl_max_s,
        stale_max_s=settings.cache.stale_max_s,
    )


def make_query_log(settings: Settings, writer: LogWriter) -> QueryLog | None:
    """The query log that the settings ask for; None: off."""
    log = settings.log
    if log.queries == "none":
        return None
    return QueryLog(writer, queries=log.queries, clients=log.clients, line_format=log.format)


def make_plan(settings: Settings) -> ForwardPlan:
    """Whom to ask about what."""
    upstreams = settings.upstreams
    return ForwardPlan(
        [_planned(server) for server in upstreams.servers],
        "ordered" if upstreams.strategy == "ordered" else "fastest",
        {suffix: [_planned(server) for server in servers] for suffix, servers in upstreams.forward.items()},
    )


def make_local_names(settings: Settings) -> LocalNames:
    """The site's own records."""
    return LocalNames(
        {name_to_text(name): [str(address) for address in found] for name, found in settings.records.items()}
    )


def show_address(address: SocketAddress) -> str:
    """`192.0.2.1:53`, `[2001:db8::1]:53`."""
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


def _planned(server: UpstreamServer) -> PlannedServer:
    return PlannedServer(server.scheme, server.address, server.port, server.trust_ad)


def _why_not(what: str, error: OSError, port: int) -> str:
    hint = ""
    if error.errno == errno.EACCES and port < 1024:
        hint = " (a port under 1024 needs the capability CAP_NET_BIND_SERVICE)"
    elif error.errno == errno.EADDRINUSE:
        hint = " (another program listens there)"
    return f"{what}: cannot listen: {error.strerror or error}{hint}"
