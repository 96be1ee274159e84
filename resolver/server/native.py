"""The native plane, put together with the rooms that it works beside.

Knows: which settings the plane is made of, in which order it starts and stops, what it counts.  Does not
know: what it does with a query, how handovers are finished (`listeners.native`).
Theory: both planes judge by the same policy.  A new one is first published to the plane, on a
thread since that reads the whole image, and then to Python's own flow.  If the plane cannot use an
image that Python can, Python serves alone from then on, and says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from resolver.cache import NativeCache
from resolver.certificates.outcomes import SessionLabels
from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.flow.peer import Transport
from resolver.flow.service import Service
from resolver.flow.shares import Places
from resolver.flow.waiting import WAITING_MAX
from resolver.forwarding.authorities import authorities_pem
from resolver.forwarding.forwarder import WAITERS_MAX, Forwarder
from resolver.forwarding.sharing import Authorities, SharedUpstreams
from resolver.forwarding.source_ports import SourcePorts
from resolver.forwarding.upstream import Upstream
from resolver.listeners.address import SocketAddress, bind_udp
from resolver.listeners.inheritance import enough_udp
from resolver.listeners.native import BoundSocket, NativeListener
from resolver.listeners.reporter import Reporter
from resolver.listeners.stream import StreamListener
from resolver.observe.tally import Hit, TallyKey, TallySnapshot
from resolver.plane import UNSEEN, Core, HitFields, NativeModule, OwnPlane, Records, TallyFields
from resolver.policy.policy import Policy
from resolver.server.parts import make_client_names, make_nsid, make_resinfo, make_structured_errors
from resolver.server.query_records import queries_recorded, wants_answers

MEMO_PART_OF_CACHE: Final = 4
"""One part in this many of the cache's memory goes to memos of whole answers in front of it."""

STREAM_MEMO_PART_OF_CACHE: Final = 16
"""One part in this many to those of threads with streams."""

SERVED_STREAMS: Final = (Transport.TCP, Transport.TLS, Transport.HTTPS)
"""Streams that the plane serves; others are Python's."""

SOCKETS_MAX: Final = 256
"""Listening sockets that a plane can serve, one for each thread on each address."""

HAND_OVER_S: Final = 0.1
"""How long a stopping server waits for the plane's threads to hand over what is in flight."""

STOP_READING_S: Final = 0.3
"""How long it may take a thread to see that it is to read no more; one that waits for queries looks every
0.1 seconds."""

HAND_OVER_POLL_S: Final = 0.005

_log = logging.getLogger(__name__)


class NativeEngine:
    """The plane of one server: bind sockets, publish a policy, `start`, and down again."""

    def __init__(
        self,
        module: NativeModule,
        settings: Settings,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        audit_secret: bytes,
        on_unusable: Callable[[str], None],
    ) -> None:
        """`on_unusable`: called with the reason when Python has to serve alone."""
        self._module = module
        self._reporter = reporter
        self._clock = clock
        self._loop = loop
        self._on_unusable = on_unusable
        cache = settings.cache
        self._memo_octets = cache.size_octets // MEMO_PART_OF_CACHE
        self._stream_memo_octets = cache.size_octets // STREAM_MEMO_PART_OF_CACHE
        self.cache = NativeCache(
            module.Cache(
                cache.size_octets - self._memo_octets - self._stream_memo_octets,
                ttl_min_s=cache.ttl_min_s,
                ttl_max_s=cache.ttl_max_s,
                negative_ttl_max_s=cache.negative_ttl_max_s,
                stale_max_s=cache.stale_max_s,
            )
        )
        structured = make_structured_errors(settings)
        self._core: Core = module.Core(
            self.cache.core,
            allow=_fields_of(settings.clients.allow),
            rate_limit_qps=settings.clients.rate_limit_qps,
            records=[
                (name, [address.packed for address in found]) for name, found in settings.records.items()
            ],
            tcp_idle_s=settings.limits.tcp_idle_s,
            in_flight_max=settings.limits.in_flight_max,
            waiters_max=WAITERS_MAX,
            waiting_max=WAITING_MAX,
            query_records=queries_recorded(settings),
            record_details=wants_answers(settings),
            rotate_addresses=cache.rotate_addresses,
            audit_secret=audit_secret,
            structured_errors=None if structured is None else structured.fields,
            resinfo=make_resinfo(settings),
            nsid=make_nsid(settings),
            blocks_relay=settings.special_names.browser_relay == "block",
            **_who_asks(settings),
        )
        self._upstreams = settings.upstreams
        workers = workers_of(settings)
        self.threads = workers * len(settings.listen.dns)
        """Each listening socket has one."""
        self._bound_sockets: list[list[BoundSocket]] = [[] for _ in range(workers)]
        self.stream_threads = workers
        self._streams: list[list[StreamListener]] = [[] for _ in range(2 * workers)]
        """Of each thread with streams: the listeners of its sockets, which accept only in its place.  The
        later half is for HTTPS, which has threads of its own."""
        self._certificates: list[tuple[bytes, bytes]] = []
        self._limits = settings.limits
        self._plane: OwnPlane | None = None
        self._listener: NativeListener | None = None
        self._shared: SharedUpstreams | None = None
        self._wanted: tuple[Policy, Callable[[Policy], None]] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._is_usable = True

    # Starting and stopping.

    def bind(self, address: SocketAddress, inherited: Sequence[socket.socket] = ()) -> SocketAddress:
        """One more address to serve, with a socket for each thread; where it is bound.  Raises OSError.

        `inherited`: sockets of this address that are there already.  All of them are read, be they more than
        threads: each has queries of its own.
        """
        workers = len(self._bound_sockets)
        socks = [] if not inherited else enough_udp(inherited, workers)
        try:
            while len(socks) < workers:
                where = address if not socks else SocketAddress(*socks[0].getsockname()[:2])
                socks.append(bind_udp(where, reuse_port=True))
        except OSError:
            for sock in socks:
                sock.close()
            raise
        bound = SocketAddress(*socks[0].getsockname()[:2])
        for index, sock in enumerate(socks):
            self._bound_sockets[index % workers].append(BoundSocket(bound, sock))
        return bound

    def unbind(self) -> None:
        """Give up the address bound last."""
        bound = next(found[-1].address for found in self._bound_sockets)
        for bound_sockets in self._bound_sockets:
            while bound_sockets and bound_sockets[-1].address == bound:
                bound_sockets.pop().sock.close()

    @property
    def sockets(self) -> list[socket.socket]:
        """All its sockets for datagrams."""
        return [bound.sock for bound_sockets in self._bound_sockets for bound in bound_sockets]

    def designate(self, name: bytes, rdatas: list[bytes]) -> None:
        """See `LocalNames.designate`."""
        self._core.designate(name, rdatas)

    def add_stream(self, thread: int, listener: StreamListener) -> None:
        """Serve the listener's socket on thread number `thread`; the listener accepts only in its place."""
        is_https = listener.transport is Transport.HTTPS
        self._streams[thread + self.stream_threads if is_https else thread].append(listener)

    def set_certificates(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Serve these pairs of PEM chain and PEM key from now on.  Raises ValueError: nothing is changed.

        Before the start they are only noted; if they are no good, it is the start that fails.
        """
        if self._plane is not None:
            self._plane.set_certificates(pairs)
        self._certificates = list(pairs)

    def publish_notifiers(self, addresses: list[bytes]) -> None:
        """Leave the NOTIFY of these packed addresses to the service from now on."""
        self._core.publish_notifiers(addresses)

    async def start(self, service: Service, forwarder: Forwarder, ports: SourcePorts) -> None:
        """Serve what is bound; a policy must have been published.

        Raises OSError or ValueError when the plane cannot: no room for its threads, too many addresses.
        """
        if self._publishing is not None:
            await self._publishing
        self._streams = [known for known in self._streams if known]
        plane: OwnPlane = self._module.Plane(
            self._core,
            [[bound.fields for bound in bound_sockets] for bound_sockets in self._bound_sockets],
            sockets_per_upstream=ports.base,
            sockets_max=ports.sockets_max,
            usable_ports=list(ports.usable),
            memo_octets=self._memo_octets,
            streams=[[(int(one.transport), one.fileno()) for one in known] for known in self._streams],
            stream_memo_octets=self._stream_memo_octets,
            connections_max=self._limits.tcp_connections_max,
            connections_per_client_max=self._limits.tcp_connections_per_client_max,
            held_octets_max=self._limits.stream_buffers_octets,
            idle_s=self._limits.tcp_idle_s,
            handshakes_per_s_max=self._limits.tls_handshakes_per_s_max,
            handshakes_per_client_max=self._limits.tls_handshakes_per_s_per_client_max,
            https_streams_max=self._limits.https_streams_max,
            https_header_octets_max=self._limits.https_header_octets_max,
        )
        if self._certificates:
            plane.set_certificates(self._certificates)
        self._plane = plane
        shared = self._shared = SharedUpstreams(
            forwarder.plan,
            self._clock,
            timeout_s=self._upstreams.timeout_s,
            publish=self._core.publish_upstreams,
            read_reports=plane.upstream_reports,
            authorities=self._authorities(forwarder),
        )
        shared.start()
        listener = NativeListener(
            plane,
            self._bound_sockets,
            service,
            forwarder,
            shared.numbered,
            self._reporter,
            self._clock,
            self._loop,
            streams=self._streams,
            before_handovers=shared.listen,
            on_handover=shared.on_handover,
            after_turn=shared.tell,
            proxies=service.identities.proxies,
        )
        listener.start()
        self._listener = listener
        if not self._is_usable:
            self._serve_from_python()

    def _authorities(self, forwarder: Forwarder) -> Authorities:
        """Who vouches for the upstreams; nobody where none is asked over TLS."""
        if all(upstream.scheme != "tls" for upstream in forwarder.upstreams):
            return Authorities()
        path = self._upstreams.tls_ca
        try:
            return Authorities(authorities_pem(path), is_private=path is not None)
        except OSError as error:
            # Python asks them then, and says what is the matter where it matters.
            _log.warning("the authorities for upstreams over TLS cannot be read: %s", error)
            return Authorities()

    def stop_reading(self) -> None:
        """Take no more queries; who waits is still answered."""
        if self._listener is not None:
            self._listener.stop_reading()

    async def has_stopped_reading(self) -> None:
        """Wait until every thread has seen that it is to: what it has read before is asked by then."""
        deadline = self._clock.now() + STOP_READING_S
        self.pulse()
        while self._clock.now() < deadline:
            await asyncio.sleep(HAND_OVER_POLL_S)
            if not self.pulse():
                break

    async def hand_over(self) -> None:
        """Let Python have the questions in flight: it is about to tell who waits that nothing will come."""
        if self._plane is None or not self._core.in_flight:
            return
        self._plane.hand_over_all()
        deadline = self._clock.now() + HAND_OVER_S
        while self._core.waiting and self._clock.now() < deadline:  # noqa: ASYNC110 -- it happens once
            await asyncio.sleep(HAND_OVER_POLL_S)

    async def close(self) -> None:
        """End the threads, close the sockets."""
        self._wanted = None
        if self._publishing is not None:
            await asyncio.gather(self._publishing, return_exceptions=True)
        if self._shared is not None:
            self._shared.close()
        if self._listener is not None:
            self._listener.close()
        for bound_sockets in self._bound_sockets:
            for bound in bound_sockets:
                bound.sock.close()
            bound_sockets.clear()

    # Policy.

    def publish(self, policy: Policy, then: Callable[[Policy], None]) -> None:
        """Judge by `policy` soon; `then` is called with it when the plane does, or a newer one after it."""
        self._wanted = (policy, then)
        if self._publishing is None or self._publishing.done():
            self._publishing = self._loop.create_task(self._publish(), name="native-publisher")

    async def _publish(self) -> None:
        while self._wanted is not None:
            (policy, then), self._wanted = self._wanted, None
            if self._is_usable:
                try:
                    await asyncio.to_thread(
                        self._core.publish,
                        str(policy.image.path),
                        policy.generation,
                        *policy.made_at,
                        policy.nat64_prefixes,
                    )
                except Exception as error:
                    # Whatever it is: the plane must not go on serving the policy before this one.
                    # Its threads read on for a moment; what they read is ours from now on.
                    self._is_usable = False
                    self._core.withdraw()
                    why = f"is unusable for the native plane: {error}"
                    reason = f"a new policy {why}"
                    _log.error("%s: Python serves alone until the next start", reason)
                    self._on_unusable(reason)
                    self._serve_from_python()
            then(policy)

    def _serve_from_python(self) -> None:
        if self._listener is not None and self._plane is not None:
            self._plane.stop_reading()
            self._listener.serve_all_sockets()

    # Queries over streams.

    def answer(
        self, octets: bytes, address: bytes, transport: int, now: float, name: str = ""
    ) -> tuple[int, bytes]:
        """See `plane.NativeGates`."""
        if not self.answers:
            return UNSEEN, b""
        return self._core.answer(octets, address, transport, now, name)

    @property
    def answers(self) -> bool:
        """Whether its threads answer queries; if not, Python does."""
        return self._is_usable

    @property
    def places(self) -> Places:
        """Of clients that wait, here or there."""
        return self._core

    # Query records: see `records.Source`.

    def take(self) -> Records:
        """What its threads have recorded."""
        return self._core.take_records()

    def lost(self, *, only_blocked: bool) -> int:
        """Records that found no room."""
        return self._core.records_lost(only_blocked=only_blocked)

    # What monitoring shows.

    def read_upstream_reports(self) -> None:
        """Take in what upstreams have answered the plane up to now."""
        if self._shared is not None:
            self._shared.listen()

    def connections_to(self, upstream: Upstream) -> int:
        """The plane's connections to an upstream."""
        return 0 if self._shared is None else self._shared.connections_to(upstream)

    @property
    def counters(self) -> dict[str, int]:
        """The plane's running totals of what is rare, by its own names."""
        return {} if self._plane is None else self._plane.counters()

    def connections(self) -> tuple[Counter[str], int]:
        """Clients connected to the plane, by what they speak, and the octets that their connections hold."""
        if self._plane is None:
            return Counter(), 0
        over, octets = self._plane.connections()
        return Counter(dict(over)), octets

    def https_responses(self) -> Counter[str]:
        """What requests over HTTPS got from the plane, by status."""
        responses = [] if self._plane is None else self._plane.https_responses()
        return Counter({str(status): count for status, count in responses})

    def handshakes(self) -> tuple[Counter[SessionLabels], Counter[str]]:
        """What handshakes with the plane came to: sessions by their labels, failures by reason."""
        if self._plane is None:
            return Counter(), Counter()
        sessions, failures = self._plane.handshakes()
        counts = {(one, version, group, str(again).lower()): n for one, version, group, again, n in sessions}
        return Counter(counts), Counter(dict(failures))

    def drops(self) -> Counter[str]:
        """What the plane lost beside the outcomes, by reason."""
        counters = self.counters
        drops = Counter({name: counters[name] for name in counters if is_drop(name)})
        drops["defect"] = counters.get("panics", 0)
        return drops

    def pulse(self) -> int:
        """How many of its threads have done nothing since the last call; each looks several times a
        second."""
        return 0 if self._plane is None else self._plane.pulse()

    @property
    def waiting(self) -> int:
        """Clients that wait for an upstream in the plane."""
        return self._core.waiting

    @property
    def in_flight(self) -> int:
        """Questions that the plane has asked."""
        return self._core.in_flight

    def tally_rows(self) -> list[TallyFields]:
        """Everything the plane counted, as it has it: a fifth of what `tallies` costs."""
        return self._core.tallies()

    def tallies(self) -> TallySnapshot:
        """Everything the plane counted."""
        return TallySnapshot(
            counts=tuple(map(_tally_of, self.tally_rows())),
            late={source: tuple(buckets) for source, buckets in self._core.late().items()},
            audited=self._core.audited(),
        )


def is_drop(name: str) -> bool:
    """Whether one of the plane's totals is of queries or answers lost."""
    return name in ("ring_full", "late_full", "proxy_head", "pulse", "send_failed") or name.startswith(
        ("receive_", "tcp_", "tls_", "https_")
    )


def _who_asks(settings: Settings) -> dict[str, Any]:
    """What says it beside the address that is connected."""
    return {
        "proxies": _fields_of(settings.listen.proxy_protocol),
        "trusted_proxies": _fields_of(settings.http.trusted_proxies),
        "names_in_path": settings.client_names.in_path,
        "names_below": make_client_names(settings).below,
    }


def _fields_of(networks: Iterable[IPv4Network | IPv6Network]) -> list[tuple[bytes, int]]:
    return [(network.network_address.packed, network.prefixlen) for network in networks]


def workers_of(settings: Settings) -> int:
    """How many threads serve each address."""
    return max(min(settings.threads or cores(), SOCKETS_MAX // len(settings.listen.dns)), 1)


def cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def _tally_of(fields: TallyFields) -> tuple[TallyKey, int, float]:
    transport, qtype, rcode, source, reason, enforced, shadow, count, seconds = fields
    key = TallyKey(transport, qtype, rcode, source, reason, _hit(enforced), _hit(shadow))
    return key, count, seconds


def _hit(fields: HitFields | None) -> Hit | None:
    return None if fields is None else Hit(*fields)
