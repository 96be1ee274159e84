"""Plays scenes of clients, upstreams and policy edits on the real service, with a clock that obeys.

Two engines play them: the Python service alone, or behind the native plane (`scenario_plane`), as servers run.

Knows: how the server is put together, and how to hold it to a play (`scenario_play`).  Does not
know: sockets, event loops, wall time.
Real: the service, the cache, the memo, the forwarder, the compiled policy.  Scripted: clock, network,
chance.  A play ends with nothing pending: every answer was expected, every upstream query was
handled, nobody waits, and no timer does anything any more.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from ipaddress import IPv6Network, ip_address, ip_network
from pathlib import Path
from types import ModuleType

from resolver.cache import AnyCache, ResponseCache
from resolver.config.upstream_values import server_from
from resolver.flow.audit_queries import AuditSecret
from resolver.flow.clients import Clients
from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.flow.storing import keeper_of
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.forwarding.upstream import RESPONSE_SECONDS_BOUNDS, Upstream
from resolver.local import LocalNames
from resolver.observe.tally import RCODE_LABELS
from resolver.policy.image import Image
from resolver.policy.policy import Policy, make_policy
from resolver.publishing.compiler import compile_in_process
from resolver.wire.carried_addresses import Nat64Prefix, nat64_prefix
from resolver.wire.names import name_from_text
from tests.support.scenario_clock import FakeClock
from tests.support.scenario_messages import asked, check_answer, query_flaws, query_octets, reply_octets
from tests.support.scenario_network import ScriptedNetwork, Sent
from tests.support.scenario_plane import Ending, NativeStage, QueriesLogged, ending_of
from tests.support.scenario_play import (
    Answer,
    Counts,
    Doing,
    Dropped,
    LateStep,
    Play,
    PlaySettings,
    QueryStep,
    Reply,
    Step,
    UpstreamStep,
)

MEMO_OCTETS = 1 << 20
MEASURED_ANSWERS = 200
SETTLING_S = 60.0
"""Time let pass after the last step: longer than any timeout, so whatever would still happen happens."""


_images: dict[tuple[object, ...], Image] = {}
"""Compiled policies by their text and list files: images are immutable, and plays share few blocklists."""


class PlayFailed(AssertionError):
    """The server did not do what the play says."""


@dataclass(slots=True)
class Client:
    """One query sent, and what came back."""

    name: str
    octets: bytes
    transport: Transport
    number: int
    outcome: Respond | Drop | None = None
    """What the Python service said; the native plane says nothing but octets."""
    ending: Ending | None = None
    reply: bytes = b""
    """The octets sent to it; taken at once, since a `Respond` may be renewed for others later."""
    is_checked: bool = False


class Scene:
    """The server of one play, and everyone around it."""

    def __init__(
        self,
        play: Play,
        folder: Path,
        *,
        with_cache: bool = True,
        with_memo: bool = True,
        native: ModuleType | None = None,
        logs: QueriesLogged = "none",
        audit_secret: bytes | None = None,
        over: Transport | None = None,
    ) -> None:
        """`native`: the module `resolver_native`, to play behind the native plane; `logs`: what is logged then.

        `over`: how every client asks, whatever the play says; None: as it says.
        """
        settings = play.settings
        self._over = over
        self._folder = folder
        self._files = play.files
        self._logs = logs
        self.clock = FakeClock()
        self._wall_offset = datetime.fromisoformat(settings.wall).timestamp() - self.clock.now()
        self._generation = 0
        self._nat64_prefixes = _nat64_prefixes(settings.nat64_prefixes)
        self.network = ScriptedNetwork(settings.unreachable)
        plan = _plan(settings)
        allow = [ip_network(text) for text in settings.allow]
        self._stage: NativeStage | None = None
        self.cache: AnyCache
        if native is not None:
            self._stage = NativeStage(
                native,
                settings,
                plan,
                self.network,
                self.clock,
                self._hear,
                self._hear_drop,
                with_cache=with_cache,
                logs=logs,
                audit_secret=audit_secret,
                access=allow,
                records=_records(settings),
            )
            self.cache = self._stage.cache
        else:
            self.cache = ResponseCache(
                settings.cache_octets if with_cache else 0,
                ttl_min_s=settings.ttl_min_s,
                ttl_max_s=settings.ttl_max_s,
                negative_ttl_max_s=settings.negative_ttl_max_s,
                stale_max_s=settings.stale_max_s,
            )
        self.forwarder = Forwarder(
            plan,
            self.network,
            self.clock,
            Entropy(random.Random(5).randbytes),
            keep=keeper_of(self.cache),
            timeout_s=settings.timeout_s,
            in_flight_max=settings.in_flight_max,
            waiters_max=settings.waiters_max,
        )
        self._image = self._compile(play.blocklist)
        self.service = Service(
            policy=self._next_policy(),
            cache=self.cache,
            forwarder=self.forwarder,
            local=LocalNames(settings.records),
            clock=self.clock,
            clients=Clients(allow),
            # Behind the plane it has none, as in a server.
            memo_octets_max=MEMO_OCTETS if with_memo and with_cache and native is None else 0,
            rate_limit_qps=settings.rate_limit_qps,
            rotate_addresses=settings.rotate_addresses,
            audit_secret=None if audit_secret is None else AuditSecret(audit_secret),
        )
        if self._stage is not None:
            self._stage.start(self.service, self.forwarder)
        self.clients: dict[str, Client] = {}
        self._by_number: list[Client] = []
        self.groups: dict[str, list[Client]] = {}
        self.kept: dict[str, Sent] = {}
        self.hits: Counter[str] = Counter()
        self._peers: dict[tuple[str, Transport], Peer] = {}
        self._last = ""

    # Policy.

    def _compile(self, text: str) -> Image:
        key = (text, *self._files.items())
        if key not in _images:
            for name, content in self._files.items():
                (self._folder / name).write_text(content)
            path = self._folder / "blocklist.yaml"
            path.write_text(text)
            image, problems = compile_in_process(path, self._folder)
            if image is None:
                raise PlayFailed(f"the blocklist is refused: {[str(problem) for problem in problems]}")
            _images[key] = Image(image)
        return _images[key]

    def _next_policy(self) -> Policy:
        now = self.clock.now()
        self._generation += 1
        wall = now + self._wall_offset
        policy = make_policy(self._image, self._generation, wall, now, self._nat64_prefixes)
        if self._stage is not None:
            self._stage.publish(policy)
        return policy

    def reload(self, text: str) -> None:
        """A new blocklist is compiled and published."""
        self._image = self._compile(text)
        self.service.publish(self._next_policy())

    def find_nat64(self, prefixes: list[str]) -> None:
        """The network's NAT64 prefixes are these from now on, as the publisher learns it."""
        self._nat64_prefixes = _nat64_prefixes(prefixes)
        self.service.publish(self._next_policy())

    def advance(self, seconds: float) -> None:
        """Let time pass; at each date of the policy a new one is published, as the publisher does."""
        end = self.clock.now() + seconds
        while (boundary := self.service.policy.next_boundary - self._wall_offset) <= end:
            self.clock.advance(max(boundary - self.clock.now(), 0.0))
            self.service.publish(self._next_policy())
        self.clock.advance(end - self.clock.now())

    # Clients.

    def query(self, step: QueryStep) -> None:
        """Send one query, or several of the same at once."""
        group = step.as_ or f"q{len(self.groups) + 1}"
        if group in self.groups:
            raise PlayFailed(f"two queries are called {group}")
        self._last = group
        self.groups[group] = []
        transport = Transport[step.transport.upper()] if self._over is None else self._over
        for number in range(step.times):
            name = group if step.times == 1 else f"{group}-{number + 1}"
            octets = query_octets(step, 4000 + len(self.clients))
            client = Client(name, octets, transport, len(self.clients))
            self.clients[name] = client
            self._by_number.append(client)
            self.groups[group].append(client)
            self._ask(client, step.client)
        for expected in (step.expect, step.dropped):
            if expected is not None:
                self.expect(expected)

    def scan(self, count: int) -> None:
        """Ask for `count` names once each, and answer them."""
        for number in range(1, count + 1):
            name = f"scan{number}.example.net"
            answer = ["@ 300 A 192.0.2.1"]
            self.query(QueryStep(name=name))
            self.upstream(UpstreamStep(asks=f"{name} A", reply=Reply(answer=answer)))
            self.expect(Answer(rcode="NOERROR", source="upstream", answer=answer))

    def flood(self, count: int) -> None:
        """Ask for `count` names once each; what leaves gets lost."""
        self.network.lost = b"flood"
        for number in range(1, count + 1):
            self.query(QueryStep(name=f"flood{number}.example.net"))
            self.clients[self._last].is_checked = True

    def _ask(self, client: Client, address: str) -> None:
        packed = ip_address(address).packed
        if self._stage is not None:
            self._stage.plane.receive(client.number, client.octets, packed, client.transport)
            return
        peer = self._peers.setdefault((address, client.transport), Peer(packed, client.transport))
        now = self.clock.now()
        outcome = self.service.answer_now(client.octets, peer, now)
        if isinstance(outcome, Ask):
            self.service.resolve(outcome, lambda _, final: self._deliver(client, final))
        else:
            self._deliver(client, outcome)

    def _deliver(self, client: Client, outcome: Respond | Drop) -> None:
        message = client.octets[:2] + outcome.tail if isinstance(outcome, Respond) else None
        self._hear(client.number, message, ending_of(outcome))
        client.outcome = outcome
        if self._stage is not None:
            self._stage.note(client.octets, client.transport, outcome)

    def _hear(self, number: int, message: bytes | None, ending: Ending) -> None:
        client = self._by_number[number]
        if client.ending is not None:
            raise PlayFailed(f"{client.name} was answered twice")
        client.ending = ending
        client.reply = message or b""
        for hit in ending.hits:
            self.hits[hit] += 1

    def _hear_drop(self, octets: bytes, ending: Ending) -> None:
        number = next(c.number for c in self._by_number if c.octets == octets and c.ending is None)
        self._hear(number, None, ending)

    def expect(self, expected: Answer | Dropped) -> None:
        """Check what the last query, or the one named, got; every one of its group."""
        group = expected.of or self._last
        if group not in self.groups:
            raise PlayFailed(f"no query is called {group}")
        for client in self.groups[group]:
            client.is_checked = True
            flaws = _flaws(client, expected)
            if flaws:
                raise PlayFailed(f"{client.name}: " + "; ".join(flaws))

    def silent(self, of: str) -> None:
        """Check that a query has no answer yet."""
        for client in self.groups[of]:
            if client.ending is not None:
                raise PlayFailed(f"{client.name} is answered already: {client.ending}")

    # Upstreams.

    def upstream(self, step: UpstreamStep) -> None:
        """Check the oldest unhandled upstream query, and do with it what the play says."""
        if not self.network.unhandled:
            raise PlayFailed(f"no upstream was asked {step.asks}")
        sent = self.network.unhandled.pop(0)
        flaws = query_flaws(sent, step)
        if flaws:
            raise PlayFailed(f"upstream query for {step.asks}: " + "; ".join(flaws))
        self._do(sent, step)

    def _do(self, sent: Sent, doing: Doing) -> None:
        if doing.error is not None:
            self.network.fail(sent, doing.error)
        elif doing.keep is not None:
            if doing.keep in self.kept:
                raise PlayFailed(f"two upstream queries are kept as {doing.keep}")
            self.kept[doing.keep] = sent
        for reply in doing.replies or ([doing.reply] if doing.reply else []):
            if reply.after_s:
                self.clock.call_later(reply.after_s, partial(self._reply, sent, reply))
            else:
                self._reply(sent, reply)

    def _reply(self, sent: Sent, reply: Reply) -> bool:
        if reply.wrong == "other_port":
            # Sockets are connected: the kernel hands nothing over that comes from elsewhere.
            self.network.dropped += 1
            return False
        return self.network.deliver(sent, reply_octets(sent.octets, reply))

    def late(self, step: LateStep) -> None:
        """Reply to a kept upstream query."""
        delivered = self._reply(self.kept.pop(step.of), step.reply)
        if delivered == step.dropped:
            raise PlayFailed(f"the late reply was {'delivered' if delivered else 'dropped'}")

    def no_upstream(self) -> None:
        """Check that every upstream query has been handled."""
        if self.network.unhandled:
            questions = [asked(sent.octets) for sent in self.network.unhandled]
            raise PlayFailed(f"upstreams were asked {questions}")

    # Totals.

    def count(self, expected: Counts) -> None:
        """Check totals since the beginning."""
        stage = self._stage
        got: dict[str, object] = {
            "upstream_queries": len(self.network.sent),
            "upstream_dropped": self.network.dropped,
            "cache_entries": self.cache.entries,
            "coalesced": self.forwarder.coalesced + (stage.plane.coalesced if stage else 0),
            "in_flight": self.in_flight,
            "waiting": self.waiting,
            "defects": self.defects,
            "hits": dict(self.hits),
        }
        for name in expected.model_fields_set:
            if got[name] != getattr(expected, name):
                raise PlayFailed(f"{name} is {got[name]}, expected {getattr(expected, name)}")

    @property
    def in_flight(self) -> int:
        """Questions that somebody waits for, in either plane."""
        return self.forwarder.pending + (self._stage.core.in_flight if self._stage else 0)

    @property
    def waiting(self) -> int:
        """Clients that wait, in either plane."""
        return self.service.waiting + (self._stage.core.waiting if self._stage else 0)

    @property
    def defects(self) -> int:
        """What should not have been."""
        return self.service.defects + (self._stage.defects if self._stage else 0)

    def end(self) -> None:
        """Check that nothing is pending, and that nothing happens any more."""
        unchecked = [client.name for client in self.clients.values() if not client.is_checked]
        before = (len(self.network.sent), sum(c.ending is not None for c in self.clients.values()))
        facts: dict[str, object] = {
            "queries nobody checked": unchecked,
            "upstream queries nobody handled": [asked(sent.octets) for sent in self.network.unhandled],
            "kept upstream queries never replied to": sorted(self.kept),
        }
        self.advance(SETTLING_S)
        facts |= {
            "clients waiting": self.waiting,
            "questions in flight": self.in_flight,
            "probes in flight": self.forwarder.probing,
            "open tickets": [asked(sent.octets) for sent in self.network.sent if sent.is_open],
            "timers": self.clock.pending,
            "defects": self.defects + self.forwarder.defects,
        }
        after = (len(self.network.sent), sum(c.ending is not None for c in self.clients.values()))
        if before != after:
            facts["(sent, answered) after the end"] = [before, after]
        facts["differences of the query log"] = self._log_flaws()
        pending = {what: fact for what, fact in facts.items() if fact}
        if pending:
            raise PlayFailed(f"something is pending at the end: {pending}")

    def read_records(self) -> None:
        """Put what was recorded into the log."""
        if self._stage is not None:
            self._stage.read_records()

    def _log_flaws(self) -> list[object]:
        """What is in the query log and should not be, and the other way round."""
        if self._stage is None or self._logs == "none":
            return []
        self.read_records()
        ended = [client.ending for client in self.clients.values() if client.ending is not None]
        # Of what is confidential there is a count and no record.
        told = [ending for ending in ended if not any(" confidential " in hit for hit in ending.hits)]
        wanted = Counter(
            replace(ending, close=False) for ending in told if ending.hits or self._logs == "all"
        )
        logged = self._stage.logged
        return [logged - wanted, wanted - logged] if logged != wanted else []


def perform(
    play: Play,
    folder: Path,
    *,
    with_cache: bool = True,
    with_memo: bool = True,
    native: ModuleType | None = None,
    logs: QueriesLogged = "none",
    over: Transport | None = None,
) -> Scene:
    """Play it from beginning to end; PlayFailed names the step (counted from 1)."""
    scene = Scene(
        play, folder, with_cache=with_cache, with_memo=with_memo, native=native, logs=logs, over=over
    )
    for number, step in enumerate(play.steps, 1):
        try:
            take(scene, step)
            scene.read_records()
        except PlayFailed as failed:
            raise PlayFailed(f"step {number} ({next(iter(step.model_fields_set))}): {failed}") from None
    scene.end()
    return scene


def take(scene: Scene, step: Step) -> None:
    """Play one step; PlayFailed says what the server did not do."""
    if step.query is not None:
        scene.query(step.query)
    elif step.expect is not None:
        scene.expect(step.expect)
    elif step.dropped is not None:
        scene.expect(step.dropped)
    elif step.upstream is not None:
        scene.upstream(step.upstream)
    elif step.late is not None:
        scene.late(step.late)
    elif step.no_upstream is not None:
        scene.no_upstream()
    elif step.silent is not None:
        scene.silent(scene._last if step.silent is True else step.silent)
    elif step.advance is not None:
        scene.advance(step.advance)
    elif step.scan is not None:
        scene.scan(step.scan)
    elif step.flood is not None:
        scene.flood(step.flood)
    elif step.reload is not None:
        scene.reload(step.reload)
    elif step.nat64 is not None:
        scene.find_nat64(step.nat64)
    elif step.counts is not None:
        scene.count(step.counts)
    else:
        raise AssertionError("every word of the language is played")


def _plan(settings: PlaySettings) -> ForwardPlan:
    plan = ForwardPlan(
        [_server(text, settings) for text in settings.servers],
        settings.strategy,
        {
            name_from_text(suffix): [_server(text, settings) for text in servers]
            for suffix, servers in settings.forward.items()
        },
        race=settings.parallel,
        hedge_share=settings.hedge_percent / 100,
    )
    for upstream in plan.upstreams:
        if upstream.name in settings.measured_s:
            _measure(upstream, settings.measured_s[upstream.name])
    if settings.case_shown:
        for upstream in plan.upstreams:
            upstream.oddities.case_shown_until = math.inf
    return plan


def _server(text: str, settings: PlaySettings) -> Server:
    read = server_from(text)
    return Server(
        read.scheme,
        read.address,
        read.port,
        text in settings.trusted,
        settings.letter_case.get(text, "auto"),
        read.host,
        read.path,
    )


def _measure(upstream: Upstream, each_s: float) -> None:
    """It gave 200 answers before, each in so many seconds."""
    buckets = [0] * (len(RESPONSE_SECONDS_BOUNDS) + 1)
    buckets[bisect_left(RESPONSE_SECONDS_BOUNDS, each_s)] = MEASURED_ANSWERS
    upstream.queries += MEASURED_ANSWERS
    upstream.on_answers(MEASURED_ANSWERS, buckets, MEASURED_ANSWERS * each_s, 0.0)


def _nat64_prefixes(texts: list[str]) -> tuple[Nat64Prefix, ...]:
    return tuple(nat64_prefix(IPv6Network(text)) for text in texts)


def _records(settings: PlaySettings) -> list[tuple[bytes, list[bytes]]]:
    return [
        (name_from_text(name), [ip_address(address).packed for address in addresses])
        for name, addresses in settings.records.items()
    ]


def _flaws(client: Client, expected: Answer | Dropped) -> list[str]:
    ending = client.ending
    if ending is None:
        return ["it has no answer"]
    flaws = []
    if list(ending.hits) != expected.hits:
        flaws.append(f"hits are {list(ending.hits)}, expected {expected.hits}")
    if isinstance(expected, Dropped):
        if ending.reason is None:
            flaws.append(f"it was answered with rcode {ending.rcode}")
        elif (ending.reason, ending.close) != (expected.reason, expected.close):
            flaws.append(f"it was dropped: {ending}")
        return flaws
    if ending.reason is not None:
        return [f"it was dropped: {ending.reason}"]
    if ending.source != expected.source:
        flaws.append(f"its source is {ending.source}, expected {expected.source}")
    if ending.rcode not in [
        label for code, label in RCODE_LABELS.items() if code & 15 == client.reply[3] & 15
    ]:
        flaws.append(f"it is counted as rcode {ending.rcode}, but says {client.reply[3] & 15}")
    return flaws + check_answer(client.octets, client.reply, expected, client.transport.is_stream)
