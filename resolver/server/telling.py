"""What one server says of itself: its facts, its remarks, where it is reached.

Knows: which fact comes from which room.  Does not know: how the rooms are made and started (`server`), what
the facts mean (`facts`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from resolver import __version__
from resolver.api.desk import Listening
from resolver.cache import AnyCache
from resolver.certificates.files import Source
from resolver.certificates.pair import Pair
from resolver.fetching.keeper import ListKeeper
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.socket_network import SocketNetwork
from resolver.listeners.address import SocketAddress
from resolver.listeners.reporter import Reporter
from resolver.observe.connection_facts import LISTENING, STREAM_TRANSPORTS, ConnectionFacts
from resolver.observe.facts import Facts, PolicyFacts
from resolver.observe.health import Health
from resolver.observe.log import LogWriter
from resolver.observe.tally import Tallies, TallySnapshot
from resolver.policy.policy import Policy
from resolver.publishing.publisher import Publisher
from resolver.server.api import HttpSide
from resolver.server.audit_log import Run
from resolver.server.beside import Beside
from resolver.server.encryption import Encryption
from resolver.server.endpoints import Endpoints
from resolver.server.facts import (
    cache_facts,
    count_expiring,
    drops_of,
    forwarding_facts,
    health_facts,
    history_facts,
    list_facts,
    native_facts,
    order_facts,
    reload_facts,
    remark_on_policy,
    remark_on_upstreams,
    tallies_of,
    upstream_facts,
)
from resolver.server.forwarding import Forwarding
from resolver.server.history import HistoryRecorder
from resolver.server.http_endpoint import HttpEndpoint
from resolver.server.native import NativeEngine
from resolver.server.query_records import QueryRecords
from resolver.server.ready_line import listening_of, ready_fields, ready_line
from resolver.server.snapshots import Snapshots

BLOCKS_NOTHING: Final = "nothing is blocked: no exchange and no list of the policy is enforced"


class Telling:
    """The half of a server that is asked; what it tells of is made by the other half."""

    engine: str
    health: Health
    _beside: Beside
    _cache: AnyCache
    _encryption: Encryption
    _endpoints: Endpoints
    _forwarding: Forwarding | None
    _http: HttpEndpoint
    _http_side: HttpSide
    _keeper: ListKeeper
    _log_writer: LogWriter
    _native: NativeEngine | None
    _policy: Policy | None
    _policy_facts: PolicyFacts
    _publisher: Publisher
    _recorder: HistoryRecorder
    _records: QueryRecords | None
    _reporter: Reporter
    _service: Service | None
    _snapshots: Snapshots
    _tallies: Tallies
    _wall: Callable[[], float]

    @property
    def reloads(self) -> int:
        """How many attempts to load the blocklist have ended, well or not."""
        return self._publisher.status.successes + self._publisher.status.failures

    @property
    def dns_addresses(self) -> list[SocketAddress]:
        """Where DNS is served, UDP and TCP alike."""
        return self._endpoints.addresses

    @property
    def http_address(self) -> SocketAddress | None:
        """Where HTTP is served; None: off, or not yet."""
        return self._http.address

    def describe(self) -> str:
        """Where it serves, and what; once it is ready."""
        assert self._policy is not None
        return ready_line(self.listening(), self._policy.everybody.counts, self.engine)

    def description(self) -> dict[str, object]:
        """What `describe` says, for programs."""
        assert self._policy is not None
        return ready_fields(self.listening(), self._policy.everybody.counts, self.engine)

    @property
    def _forwarder(self) -> Forwarder | None:
        return None if self._forwarding is None else self._forwarding.forwarder

    @property
    def _network(self) -> SocketNetwork | None:
        return None if self._forwarding is None else self._forwarding.network

    @property
    def answers_natively(self) -> bool:
        """Whether queries over UDP are answered by threads that are not Python's."""
        return self._native is not None and self._native.answers

    @property
    def asks_natively(self) -> bool:
        """Whether those threads ask the upstreams, too."""
        return self._forwarder is None or not self._forwarder.plan.is_pythons

    def _remarks(self) -> dict[str, str]:
        """What a person should know although the server is ready; empty texts: nothing."""
        return {
            "listen": self._endpoints.remark,
            "certificates": self._encryption.remark,
            "http": "; ".join(filter(None, (self._http.remark, self._http_side.tls.remark))),
            "filtering": self._publisher.pausing.remark()
            or (BLOCKS_NOTHING if self._policy_facts.is_empty else ""),
            "policy": "" if self._policy is None else remark_on_policy(self._publisher.status),
            "clock": self._publisher.dates.wall.remark(),
            "upstreams": remark_on_upstreams(self._forwarder),
            **self._beside.remarks(),
            "query_records": "" if self._records is None else self._records.remark(),
            "cache": self._snapshots.remark,
        }

    def _told_outside(self) -> dict[str, str]:
        """What strangers are told instead: not who paused filtering, nor why."""
        said = self._publisher.pausing.remark_outside()
        return {"filtering": said} if said else {}

    def facts(self) -> Facts:
        """Everything at this moment; call it on the event loop."""
        native, service, forwarder = self._native, self._service, self._forwarder
        if native is not None:
            native.read_upstream_reports()
        facts = Facts(
            version=__version__,
            engine=self.engine,
            health=health_facts(self.health, self._remarks(), self._told_outside()),
            tallies=self.tallies(),
            drops=drops_of(self._reporter, service, forwarder, native),
            policy=self._policy_facts,
            expiring=count_expiring(
                self._policy.everybody if self._policy else None, self._publisher.dates.wall()
            ),
            clock_doubt=self._publisher.dates.wall.doubt(),
            paused_until=self._publisher.pausing.until,
            reloads=reload_facts(self._publisher.status),
            history=history_facts(self._recorder),
            orders=order_facts(self._recorder),
            lists=list_facts(self._keeper, self._wall()),
            cache=cache_facts(self._cache),
            upstreams=upstream_facts(self._forwarding, native),
            forwarding=forwarding_facts(service, forwarder, self._network, native),
            connections=ConnectionFacts(
                tcp=self._endpoints.tcp_connections,
                tcp_octets=self._endpoints.tcp_octets,
                http=self._http.connections,
                by_transport=dict.fromkeys(STREAM_TRANSPORTS, 0) | self._endpoints.connections,
                addresses=dict.fromkeys(LISTENING, 0) | self._endpoints.engines,
            ),
            native=native_facts(native),
            event_loop_stalls=0 if forwarder is None else forwarder.stalls,
            log_lines_dropped=self._log_writer.dropped,
            sinks=() if self._records is None else self._records.facts(),
            records_left_out=0 if self._records is None else self._records.left_out,
        )
        return self._http_side.told_of(self._beside.told_of(self._encryption.told_of(facts, native)))

    @property
    def generation(self) -> int:
        """Of the policy that judges; 0: there is none yet."""
        return self._policy_facts.generation

    def tallies(self) -> TallySnapshot:
        """Outcomes of queries, of both planes; call it on the event loop."""
        return tallies_of(self._tallies, self._native)

    def listening(self) -> Listening:
        """Where it is reached now."""
        return listening_of(self.dns_addresses, self._endpoints.encrypted, self.http_address)

    def audits(self) -> list[Run]:
        """The last ones, the newest first."""
        return self._beside.audits.log.newest

    def certificates(self) -> list[tuple[Source, Pair]]:
        """Those that encrypted listeners show now."""
        return self._encryption.served
