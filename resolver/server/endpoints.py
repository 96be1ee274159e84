"""The DNS sockets of one server: bound, read, no longer read, closed.

Knows: which addresses are served, over what, and by which plane; which cannot be served yet.  Does not know:
what is answered, when a server starts and stops, certificates.
Theory: each address of `listen.dns` is one UDP port and the same TCP port, those of `listen.tls` and
`listen.https` are TCP ports.  The native plane has UDP and TCP sockets of its own, one for each thread; a
listener of Python's stands behind each TCP socket, and accepts where no thread does.

An address that this machine does not have yet is bound all the same, and served when it comes; one that
it loses later is remarked on until it is back.  A port
that another program holds is tried again: at first before anything is read, for a server that stops
gives its ports up within seconds.  Then those that could be bound are served, and the others are tried every
second.  The native plane takes its sockets when it starts, so an address that joins later is served by
Python until the next start: slower, and with the same answers.  With no address at all the server gives
up, and whoever supervises it starts it again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.config.settingvalues import Endpoint
from resolver.flow.peer import Transport
from resolver.flow.service import Service
from resolver.listeners.address import SocketAddress, bind_tcp_for, bind_udp, has_ipv6, is_here
from resolver.listeners.https_connection import HttpSide
from resolver.listeners.inheritance import Inheritance, enough_tcp
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.reporter import Reporter
from resolver.listeners.stream import StreamListener
from resolver.listeners.tls_connection import TlsSide
from resolver.listeners.turns import Turns
from resolver.listeners.udp import UdpListener
from resolver.server.engine import NATIVE, PYTHON
from resolver.server.native import SERVED_STREAMS, NativeEngine

PORT_ATTEMPTS_MAX: Final = 20
"""Tries to find a port that is free for both UDP and TCP when any will do."""

PATIENCE_S: Final = 3.0
"""How long a start waits for ports that are taken: a server that stops has 2 seconds to give them up."""

FIRST_TRIES_EVERY_S: Final = 0.1
"""How often they are tried meanwhile: nobody is answered yet."""

LOOK_EVERY_S: Final = 1.0
"""How often a server that serves tries ports that are taken, and looks whether addresses have come."""

SHORTAGES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN)
"""What a machine or a process may be short of for a while: descriptors, memory, threads."""

MAY_PASS: Final = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, *SHORTAGES)
"""Why an address cannot be bound now, and perhaps can later; the second where IP_FREEBIND is unknown."""

_log = logging.getLogger(__name__)


KEY_OF: Final = {Transport.TCP: "dns", Transport.TLS: "tls", Transport.HTTPS: "https"}
"""Under which key of `listen` the addresses of streams stand."""

TRANSPORT_OF: Final = {key: transport for transport, key in KEY_OF.items()}
"""What the streams of each key of `listen` speak."""


class Wanted(NamedTuple):
    """An address of the settings."""

    key: str
    """Of `listen`."""
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"listen.{self.key}: {self.endpoint}"


class CannotListen(Exception):
    """Nothing is served; `reasons` says why, a line each.  `may_pass`: another start may do better."""

    def __init__(self, reasons: list[str], *, may_pass: bool = False) -> None:
        self.reasons = reasons
        self.may_pass = may_pass
        super().__init__("; ".join(reasons))


class Endpoints:
    """The listeners of `listen.dns`, `listen.tls` and `listen.https`."""

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        native: NativeEngine | None,
        tls: Mapping[Transport, TlsSide],
        http: HttpSide,
        inheritance: Inheritance,
    ) -> None:
        """`tls`: what encrypted listeners need, by what they speak; `http`: what those for HTTPS need
        besides.  `inheritance`: sockets that are there already."""
        self.addresses: list[SocketAddress] = []
        """Where plain DNS is served, UDP and TCP alike."""
        self.encrypted: list[tuple[str, SocketAddress]] = []
        """Where it is served encrypted, and over what: `tls` or `https`."""
        self.on_encrypted: Callable[[str, SocketAddress, bool], None] = lambda key, address, is_here: None
        """Called with each of them once it is served, and when its address leaves this machine or comes."""
        self.on_late: Callable[[], None] = lambda: None
        """Called when addresses are served that could not be at the start."""
        self._served_at: dict[Wanted, SocketAddress] = {}
        self._wanted = [Wanted(key, endpoint) for key, _, endpoint in settings.listen.served()]
        self._tls = tls
        self._http = http
        self._inheritance = inheritance
        self._tcp_idle_s = settings.limits.tcp_idle_s
        self._connection_limits = ConnectionLimits(
            settings.limits.tcp_connections_max,
            settings.limits.tcp_connections_per_client_max,
            held_octets_max=settings.limits.stream_buffers_octets,
        )
        self._turns = Turns(loop.call_soon, clock.now)
        self._reporter = reporter
        self._clock = clock
        self._loop = loop
        self._native = native
        self._plane = native
        """Who gets the UDP sockets that are bound now; None: Python."""
        self._udp: list[UdpListener] = []
        self._streams: list[StreamListener] = []
        self._planes: set[StreamListener] = set()
        """Those of them that accept only in the place of the native plane's threads."""
        self._taken: dict[Wanted, str] = {}
        """Addresses that cannot be bound yet, and why."""
        self._bound: list[Wanted] = []
        self._absent: list[Wanted] = []
        """Those of them that this machine does not have, not yet or not any more."""
        self._looking: asyncio.Task[None] | None = None
        self._is_shared = False

    async def bind(self, service: Service) -> None:
        """Bind and read every address that can be bound, and go on trying the others.  Raises CannotListen.

        UDP sockets of the native plane are bound only: it reads them itself.
        """
        deadline = self._clock.now() + PATIENCE_S
        await self._bind_all(self._wanted, service)
        while self._taken and self._clock.now() < deadline:
            await asyncio.sleep(FIRST_TRIES_EVERY_S)
            await self._bind_all(list(self._taken), service)
        if not self.addresses:
            reasons = list(self._taken.values())
            may_pass = bool(reasons)
            raise CannotListen(
                reasons or ["listen.dns: this machine has no IPv6, and no other address is named"],
                may_pass=may_pass,
            )
        self._plane = None
        self._looking = self._loop.create_task(self._look(service), name="listen-addresses")

    @property
    def remark(self) -> str:
        """What a person should know of addresses that are not served; empty: nothing."""
        absent = dict.fromkeys(
            show_absent(wanted.endpoint) for wanted in self._absent if _is_expected(wanted.endpoint)
        )
        return "; ".join([*self._taken.values(), *absent])

    @property
    def sockets(self) -> list[tuple[str, socket.socket]]:
        """Every socket, and the key under `listen` that it serves."""
        datagrams = [listener.sock for listener in self._udp]
        datagrams += [] if self._native is None else self._native.sockets
        streams = [(KEY_OF[listener.transport], listener.sock) for listener in self._streams]
        return [*(("dns", sock) for sock in datagrams), *streams]

    def share(self, *, is_shared: bool) -> None:
        """Somebody else has the sockets, too: who waits to be accepted is not turned away at the end."""
        self._is_shared = is_shared
        for listener in self._streams:
            listener.is_shared = is_shared

    def stop_reading(self) -> None:
        """Take no more queries; who waits is still answered."""
        if self._looking is not None:
            self._looking.cancel()
        for listener in self._listeners:
            listener.stop_reading()

    def close(self) -> None:
        """Close the sockets, but for the native plane's."""
        for listener in self._listeners:
            listener.close()

    @property
    def _listeners(self) -> list[UdpListener | StreamListener]:
        return [*self._udp, *self._streams]

    @property
    def tcp_connections(self) -> int:
        """How many clients are connected."""
        return self.connections.total()

    @property
    def connections(self) -> Counter[str]:
        """How many clients are connected, by what they speak."""
        counts = Counter() if self._native is None else self._native.connections()[0]
        for listener in self._streams:
            counts[listener.transport.label] += listener.connections
        return counts

    @property
    def engines(self) -> Counter[tuple[str, str]]:
        """How many addresses are listened on, by transport and by the engine that serves them."""
        native = self._native
        planes = PYTHON if native is None or not native.answers else NATIVE
        found = {("udp", PYTHON, listener.bound_to) for listener in self._udp}
        if native is not None:
            found |= {("udp", planes, sock.getsockname()[:2]) for sock in native.sockets}
        for listener in self._streams:
            engine = planes if listener in self._planes else PYTHON
            found.add((listener.transport.label, engine, listener.bound_to))
        return Counter((transport, engine) for transport, engine, _ in found)

    @property
    def tcp_octets(self) -> int:
        """Octets that their connections hold."""
        native = 0 if self._native is None else self._native.connections()[1]
        return self._connection_limits.octets + native

    # Binding.

    async def _bind_all(self, every: Iterable[Wanted], service: Service) -> None:
        """Try each of them once.  Raises CannotListen at a start, for what will not pass."""
        reasons = []
        for wanted in every:
            endpoint = wanted.endpoint
            try:
                await self._bind_address(wanted, service)
            except OSError as error:
                why = why_not(str(wanted), error, endpoint.port)
                if error.errno == errno.EAFNOSUPPORT and endpoint.is_ipv6:
                    # The shipped settings name ::1, and some kernels have no IPv6.
                    _log.warning("no IPv6 here, not listening", extra={"address": str(endpoint)})
                elif error.errno in MAY_PASS or self._looking is not None:
                    self._note_taken(wanted, why)
                else:
                    reasons.append(why)
            else:
                if self._taken.pop(wanted, None) is not None:
                    _log.warning("listening now, after all", extra={"address": str(endpoint)})
                self._bound.append(wanted)
                self._look_at(wanted)
        if reasons:
            raise CannotListen([*reasons, *self._taken.values()])

    def _note_taken(self, wanted: Wanted, why: str) -> None:
        if self._taken.get(wanted) != why:
            _log.warning("%s; it is tried again", why)
        self._taken[wanted] = why

    def _look_at(self, wanted: Wanted) -> None:
        """Note whether this machine has the address, and say it where that has changed."""
        endpoint = wanted.endpoint
        was_absent = wanted in self._absent
        if is_here(endpoint.address):
            if was_absent:
                self._absent.remove(wanted)
                self._tell_presence(wanted, is_here=True)
                _log.warning("the address is here now, and served", extra={"address": str(endpoint)})
        elif not was_absent:
            self._absent.append(wanted)
            self._tell_presence(wanted, is_here=False)
            if _is_expected(endpoint):
                _log.warning("%s", show_absent(endpoint))
            else:
                _log.warning("no IPv6 here, not listening until there is", extra={"address": str(endpoint)})

    def _tell_presence(self, wanted: Wanted, *, is_here: bool) -> None:
        served_at = self._served_at.get(wanted)
        if served_at is not None:
            self.on_encrypted(wanted.key, served_at, is_here)

    async def _bind_address(self, wanted: Wanted, service: Service) -> None:
        address = SocketAddress(wanted.endpoint.address, wanted.endpoint.port)
        if wanted.key != "dns":
            socks = self._bind_streams(wanted.key, address)
            bound = SocketAddress(*socks[0].getsockname()[:2])
            await self._listen(wanted.key, socks, service)
            self.encrypted.append((wanted.key, bound))
            self._served_at[wanted] = bound
            self.on_encrypted(wanted.key, bound, True)
            return
        bound, socks = self._bind_pair(address, service)
        try:
            await self._listen(wanted.key, socks, service)
        except OSError:
            # Neither is served, and the next try finds both ports free.
            self._unbind_udp(bound)
            raise
        for listener in self._udp:
            if listener.bound_to == bound:
                listener.start()
        # Last: whoever finds an address here is served there, over both, and reads no remark on it.
        self.addresses.append(bound)

    def served(self) -> dict[str, list[tuple[str, int]]]:
        """Where DNS is served now: key under `listen` -> (address, port) pairs."""
        listening = {"dns": [(address.host, address.port) for address in self.addresses]}
        for key, address in self.encrypted:
            listening.setdefault(key, []).append((address.host, address.port))
        return listening

    def _is_planes(self, transport: Transport) -> bool:
        return self._plane is not None and transport in SERVED_STREAMS

    def _bind_streams(self, key: str, address: SocketAddress) -> list[socket.socket]:
        """A socket, or one for each of the native plane's threads with streams.  Raises OSError."""
        plane = self._plane if self._is_planes(TRANSPORT_OF[key]) else None
        count = 1 if plane is None else plane.stream_threads
        inherited = self._inheritance.take_tcp(key, address)
        return enough_tcp(inherited, count) if inherited else bind_tcp_for(address, count)

    async def _listen(self, key: str, socks: list[socket.socket], service: Service) -> None:
        """Serve streams on these sockets; OSError: they are closed."""
        transport = TRANSPORT_OF[key]
        listeners = [self._make_listener(transport, sock, service) for sock in socks]
        if self._plane is not None and self._is_planes(transport):
            for index, listener in enumerate(listeners):
                self._plane.add_stream(index % self._plane.stream_threads, listener)
            self._planes.update(listeners)
        else:
            try:
                for listener in listeners:
                    await listener.start()
            except OSError:
                for listener in listeners:
                    listener.close()
                raise
        for listener in listeners:
            listener.is_shared = self._is_shared
        self._streams += listeners

    def _make_listener(self, transport: Transport, sock: socket.socket, service: Service) -> StreamListener:
        return StreamListener(
            sock,
            service,
            self._reporter,
            self._clock,
            self._loop,
            self._connection_limits,
            idle_s=self._tcp_idle_s,
            transport=transport,
            tls=self._tls.get(transport),
            http=self._http if transport is Transport.HTTPS else None,
            native_gates=self._native,
            turns=self._turns,
            identities=service.identities,
            clients=service.clients,
        )

    def _bind_pair(
        self, address: SocketAddress, service: Service
    ) -> tuple[SocketAddress, list[socket.socket]]:
        """UDP bound, whose sockets are kept, and sockets for TCP on the same port; OSError: neither."""
        if address.port:
            # TCP first.  The native plane's UDP sockets share a port with those of another server of this
            # user, and would take queries from it; its TCP port it shares with nobody.
            socks = self._bind_streams("dns", address)
            try:
                return self._bind_udp(address, service), socks
            except OSError:
                for sock in socks:
                    sock.close()
                raise
        for attempt in range(PORT_ATTEMPTS_MAX):
            bound = self._bind_udp(address, service)
            try:
                return bound, self._bind_streams("dns", bound)
            except OSError:
                self._unbind_udp(bound)
                # The kernel chose for UDP alone; another choice may be free for both.
                if attempt == PORT_ATTEMPTS_MAX - 1:
                    raise
        raise AssertionError("there is at least one attempt")

    def _bind_udp(self, address: SocketAddress, service: Service) -> SocketAddress:
        """A UDP socket, or one for each of the native plane's threads, bound but not read yet.

        Those that are there already are taken, however many they are.
        """
        inherited = self._inheritance.take_udp("dns", address)
        if self._plane is not None:
            return self._plane.bind(address, inherited)
        proxies = service.identities.proxies
        for sock in inherited or [bind_udp(address)]:
            self._udp.append(
                UdpListener(
                    address, service, self._reporter, self._clock, self._loop, sock=sock, proxies=proxies
                )
            )
        return SocketAddress(*self._udp[-1].bound_to)

    def _unbind_udp(self, bound: SocketAddress) -> None:
        """Give up this address, the one bound last."""
        if self._plane is not None:
            self._plane.unbind()
            return
        while self._udp and self._udp[-1].bound_to == bound:
            self._udp.pop().close()

    # What is not served.

    async def _look(self, service: Service) -> None:
        """As long as the server runs: ports are given up by others, addresses come and go."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            bound = len(self._bound)
            await self._bind_all(list(self._taken), service)
            if len(self._bound) > bound:
                self.on_late()
            for wanted in self._bound:
                self._look_at(wanted)


def why_not(what: str, error: OSError, port: int) -> str:
    """Why `what` cannot be listened on, for people."""
    hint = ""
    if error.errno == errno.EACCES and port < 1024:
        hint = " (a port under 1024 needs the capability CAP_NET_BIND_SERVICE)"
    elif error.errno == errno.EADDRINUSE:
        hint = " (another program listens there)"
    return f"{what}: cannot listen: {error.strerror or error}{hint}"


def show_address(address: SocketAddress) -> str:
    """`192.0.2.1:53`, `[2001:db8::53]:53`."""
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


def show_absent(endpoint: Endpoint) -> str:
    """That an address is bound but not there, for people."""
    return f"{endpoint}: this machine does not have the address; it is served when it comes"


def _is_expected(endpoint: Endpoint) -> bool:
    """Whether anybody can miss it: the shipped settings name ::1, and many containers have no IPv6 at all."""
    return not endpoint.is_ipv6 or has_ipv6()
