"""The life of one server: settings -> rooms -> sockets, and down again.

Knows: how the rooms are made and in which order they start and stop.
Does not know: argv, signals, how sockets are bound (`endpoints`), what it says of itself (`telling`).
Order of starting: HTTP (a waiting monitor sees why), policy (nothing is answered without one), then the
DNS sockets.  Order of stopping: no new queries, then those in flight for as long as the limit
allows, then everything else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from resolver.certificates.keeper import CertificatesRefused
from resolver.clock import LoopClock
from resolver.config.settings import Settings
from resolver.flow.service import Service
from resolver.flow.storing import keeper_of
from resolver.listeners import mmsg
from resolver.listeners.reporter import Reporter
from resolver.observe.facts import PolicyFacts
from resolver.observe.health import Health
from resolver.observe.log import LogWriter
from resolver.observe.tally import Tallies
from resolver.plane import NativeModule
from resolver.policy.policy import Policy
from resolver.publishing.status import StartRefused
from resolver.server.api import HttpSide
from resolver.server.beside import Beside
from resolver.server.changeover import Arrival, Changeover
from resolver.server.changes import Changes
from resolver.server.designating import Designation
from resolver.server.draining import drain
from resolver.server.encryption import Encryption
from resolver.server.endpoints import CannotListen, Endpoints
from resolver.server.explaining import LiveExplainer
from resolver.server.facts import (
    policy_facts,
    waiting_of,
)
from resolver.server.first_questions import ask_each_upstream
from resolver.server.forwarding import Forwarding, make_forwarding
from resolver.server.hits import copy_of
from resolver.server.http_endpoint import HttpEndpoint
from resolver.server.lists import FIRST_DOWNLOADS_S, lists_to_keep, make_keeper, remark_missing
from resolver.server.nat64 import Nat64Finder
from resolver.server.native import MEMO_PART_OF_CACHE, NativeEngine
from resolver.server.notifications import Notifications
from resolver.server.parts import make_cache, make_local_names, make_record_buffer
from resolver.server.publishing import make_publisher, make_recorder
from resolver.server.query_records import make_query_records
from resolver.server.refusal import NOT_THIS_MACHINE, CannotStart
from resolver.server.service_making import make_service
from resolver.server.snapshots import Snapshots
from resolver.server.telling import Telling

__all__ = ["CannotStart", "Server"]

_log = logging.getLogger(__name__)


class Server(Telling):
    """One resolver, from settings to sockets.  Make it and use it inside a running event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: str,
        native: NativeModule | None = None,
        log_writer: LogWriter,
        wall: Callable[[], float] = time.time,
        arrival: Arrival | None = None,
    ) -> None:
        """`arrival`: sockets that are there already, and whose place is taken."""
        self.settings = settings
        self.engine = engine
        self._log_writer = log_writer
        self._loop = asyncio.get_running_loop()
        self._clock = LoopClock(self._loop)
        self._tallies = Tallies()
        buffer = make_record_buffer(settings)
        self._reporter = Reporter(self._tallies, buffer)
        self._wall = wall
        self._recorder = make_recorder(settings, lambda: self._publisher)
        self._publisher = make_publisher(settings, self._clock, self._on_publish, self._recorder, wall)
        self._keeper = make_keeper(
            settings, self._clock, self._publisher.reload, self._on_lists_looked_at, wall=wall
        )
        self._notifications = Notifications(self._keeper, self._on_primaries)
        self._forwarding: Forwarding | None = None
        self._nat64: Nat64Finder | None = None
        self._service: Service | None = None
        self._policy: Policy | None = None
        self._policy_facts = PolicyFacts()
        self.changeover = Changeover(arrival or Arrival(), settings.state_dir, self._loop)
        self.health = Health("policy", "sockets")
        self._beside = self._make_beside()
        self._native = self._make_native(native)
        self._records = make_query_records(
            settings,
            log_writer,
            self._native,
            buffer,
            wall=wall,
            record_look=None if native is None else native.RecordLook,
            suggestions=self._beside.suggestion_sink,
        )
        # The native plane has memos of its own in front of its cache.
        self._memo_octets = settings.cache.size_octets // MEMO_PART_OF_CACHE if native is None else 0
        self._cache = make_cache(settings, self._memo_octets) if self._native is None else self._native.cache
        self._snapshots = Snapshots(settings, self._cache, self._clock, wall)
        self._designation = Designation(settings)
        self._encryption = Encryption(settings, wall, self._designation.on_certificates)
        self._endpoints = self._make_endpoints()
        self._http_side = HttpSide(
            settings,
            self,
            self._clock,
            wall=self._publisher.dates.wall,
            explains=self._make_explainer().explain,
            on_drop=self._reporter.count_drop,
            records=None if self._records is None else self._records.newest,
            changing=self._make_changes(),
        )
        self._http = HttpEndpoint(
            settings.listen.http, self._http_side.make_server, self.changeover.inheritance
        )
        self.changeover.serve_from(self._endpoints, self._http, self._beside)
        self._endpoints.on_late = self._http.on_late = self.changeover.keep
        self._beside.tell_late(self.changeover.keep)

    async def start(self) -> None:
        """Load the policy and bind everything.  Raises CannotStart, with nothing left open."""
        try:
            if not mmsg.is_available():
                raise CannotStart([NOT_THIS_MACHINE])
            # All that may fail comes before anything of a server that serves is touched.
            self._http_side.tls.start()
            is_alone = self.changeover.predecessor is None
            if is_alone:
                self._http.start()
                self._beside.start_without_policy()
            await self._encryption.start()
            await self._first_policy()
            await self._first_downloads()
            self.health.meet("policy")
            assert self._policy is not None
            self._service = self._make_service(self._policy)
            self._service.take_notify = self._notifications.take
            if is_alone:
                await self._start_beside_queries()
            await self.changeover.fetch_snapshot()
            await self._snapshots.load()
            await self._serve_dns(self._service)
            self.health.meet("sockets")
            if is_alone:
                self._beside.start_behind_sockets()
                self.changeover.sockets_are_bound()
            else:
                self._http.start()
                self.changeover.take_over(self._move_in)
            self.changeover.open_door(self._snapshots.write)
            self._http_side.start()
            assert self._forwarder is not None
            ask_each_upstream(self._forwarder, self._clock)
            if self.settings.upstreams.nat64_prefixes is None:
                self._nat64 = Nat64Finder(self._forwarder, self._clock, self._publisher.judge_by)
                self._find_nat64_prefixes()
        except CannotListen as error:
            await self.stop()
            raise CannotStart(error.reasons, may_pass=error.may_pass) from None
        except CertificatesRefused as error:
            await self.stop()
            raise CannotStart(error.objections) from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more queries, answer or fail what is in flight, close everything; within 2 seconds.

        Where another process serves in our place it may take longer, for nobody waits for it.
        """
        was_ready = self.health.is_ready
        if not self.changeover.is_retired:
            self.health.fail("sockets", "shutting down")
        self._endpoints.stop_reading()
        if self._native is not None:
            self._native.stop_reading()
            await self._native.has_stopped_reading()
        if self.changeover.is_retired:
            await self._http.stop()
            await self._drain()
        else:
            await asyncio.gather(self._drain(), *([self._snapshots.write()] if was_ready else []))
        if self._native is not None:
            await self._native.hand_over()
        if self._nat64 is not None:
            self._nat64.close()
        if self._forwarding is not None:
            await self._forwarding.close()
        if self._service is not None:
            self._service.held.send_everything()
        # One turn of the loop, for the failures just delivered to leave.
        await asyncio.sleep(0)
        self._endpoints.close()
        if self._native is not None:
            await self._native.close()
        if self._records is not None:
            # Nobody answers any more, so nothing is recorded behind it.
            self._records.close()
        beside = self._beside, self._http_side
        parts = *beside, self._encryption, self._keeper, self._publisher, self._recorder
        for close in (*(part.close for part in parts), self._beside.close_page, self._http.stop):
            try:
                await close()
            except Exception:
                # What cannot end must not keep the others from ending.
                _log.exception("defect while stopping")
        await self.changeover.close()

    def reload(self) -> None:
        """Read the blocklist again soon; the result is in the log and in the metrics."""
        self._publisher.reload()

    # Starting.

    def _make_explainer(self) -> LiveExplainer:
        return LiveExplainer(
            self.settings,
            self._cache,
            self._clock,
            engine=self.engine,
            policy=lambda: self._policy,
            forwarder=lambda: self._forwarder,
            wall=self._wall,
            paused=self._publisher.pausing.paused,
        )

    def _make_beside(self) -> Beside:
        return Beside(
            self.settings,
            self._clock,
            wall=self._wall,
            believed_wall=self._publisher.dates.wall,
            counts=lambda: copy_of(self._tallies, self._native),
            endpoints=lambda: self._endpoints.served(),
            inheritance=self.changeover.inheritance,
        )

    def _make_changes(self) -> Changes:
        parts = self._publisher, self._keeper, self._beside.audits, self._cache
        return Changes(self.settings, *parts, wall=self._wall)

    def _make_endpoints(self) -> Endpoints:
        shared = self.settings, self._reporter, self._clock, self._loop, self._native
        tls, http = self._encryption.sides, self._encryption.http
        endpoints = Endpoints(*shared, tls, http, self.changeover.inheritance)
        endpoints.on_encrypted = self._designation.on_listener
        return endpoints

    async def _first_policy(self) -> None:
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
            audit_secret=self._beside.audit_secret,
            on_unusable=lambda why: self.health.remark("engine", why),
        )

    def _make_service(self, policy: Policy) -> Service:
        settings = self.settings
        try:
            self._forwarding = make_forwarding(
                settings,
                self._clock,
                self._loop,
                threads=0 if self._native is None else self._native.threads,
                keep=keeper_of(self._cache),
            )
        except OSError as error:
            raise CannotStart([f"upstreams.tls_ca: {settings.upstreams.tls_ca}: {error}"]) from None
        local = make_local_names(settings)
        self._designation.tell(local)
        if self._native is not None:
            self._designation.tell(self._native)
        return make_service(
            settings,
            policy,
            local,
            cache=self._cache,
            forwarder=self._forwarding.forwarder,
            clock=self._clock,
            memo_octets=self._memo_octets,
            places=None if self._native is None else self._native.places,
            audit_secret=self._beside.audit_secret,
        )

    async def _serve_dns(self, service: Service) -> None:
        await self._endpoints.bind(service)
        if self._native is not None:
            forwarding = self._forwarding
            assert forwarding is not None and forwarding.native_ports is not None
            try:
                self._encryption.serve_by(self._native)
                await self._native.start(service, forwarding.forwarder, forwarding.native_ports)
            except (OSError, ValueError) as error:
                raise CannotStart(
                    [f"engine: native cannot start: {error}; 'python' can"],
                    # No room for its threads or sockets is nothing that the settings are to blame for.
                    may_pass=isinstance(error, OSError),
                ) from None

    async def _start_beside_queries(self) -> None:
        """What counts from the first query on, and has files that one server alone may write."""
        await self._beside.start_before_queries()
        if self._records is not None:
            # The others have closed theirs: they record what they answer to the end.
            self._records.start()

    async def _move_in(self) -> None:
        """The server before us has ended: start what must not run twice.

        What cannot start is logged and remarked on, and keeps nothing else from starting.
        """
        starts: list[tuple[str, Callable[[], Awaitable[None] | None]]] = [
            ("block_page", self._beside.start_without_policy),
            # The page has taken what was handed over for it; what is left now is of no use.
            ("listen", self.changeover.sockets_are_bound),
            *self._beside.starts(),
        ]
        if self._records is not None:
            starts.append(("query_records", self._records.start))
        for topic, start in starts:
            try:
                starting = start()
                if starting is not None:
                    await starting
            except Exception as error:
                _log.exception("cannot be started after a takeover: %s", topic)
                self.health.remark(topic, f"cannot be started after a takeover: {error}")

    def are_threads_alive(self) -> bool:
        """Whether all that answers has done something since the last call."""
        return self._native is None or not self._native.pulse()

    # What happens while it runs.

    def _on_publish(self, policy: Policy) -> None:
        self._policy = policy
        lists = lists_to_keep(policy.everybody)
        self._keeper.follow(lists)
        self._notifications.follow(lists)
        self._beside.expect(policy)
        if self._native is not None:
            self._native.publish(policy, self._judge_by)
        else:
            self._judge_by(policy)

    def _find_nat64_prefixes(self) -> None:
        """Look for them as soon as a rule for addresses needs them; else upstreams are asked for nothing."""
        if self._nat64 is not None and self._policy is not None and self._policy.has_addresses:
            self._nat64.start()

    def _judge_by(self, policy: Policy) -> None:
        # Only now: who reads a generation in the metrics may count on being answered by it.
        self._policy_facts = policy_facts(policy.everybody, self._publisher.status.content)
        self._beside.before(policy)
        if self._service is not None:
            self._service.publish(policy)
        self._beside.after(policy)
        self._find_nat64_prefixes()

    def _on_primaries(self, addresses: list[bytes]) -> None:
        if self._native is not None:
            self._native.publish_notifiers(addresses)

    def _on_lists_looked_at(self) -> None:
        remark_missing(self._keeper, self.health)

    async def _drain(self) -> None:
        await drain(
            self._clock,
            lambda: waiting_of(self._service, self._native),
            lambda: self._endpoints.tcp_connections,
            is_retired=self.changeover.is_retired,
        )
