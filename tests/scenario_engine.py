"""Plays scenes of clients, upstreams and policy edits on the real service, with a clock that obeys.

Knows: how the server is put together, and how to hold it to a play (`scenario_play`).  Does not
know: sockets, event loops, wall time.
Real: the service, the cache, the memo, the forwarder, the compiled policy.  Scripted: clock, network,
chance.  A play ends with nothing pending: every answer was expected, every upstream query was
handled, nobody waits, and no timer does anything any more.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from resolver.access import AccessList
from resolver.cache import ResponseCache
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.local import LocalNames
from resolver.observe.tally import hits_of
from resolver.outcome import Ask, Drop, Peer, Respond, Transport
from resolver.policy.compiler import compile_in_process
from resolver.policy.image import Image
from resolver.policy.table import PolicyTable
from resolver.service import Service
from resolver.wire.names import name_from_text
from tests.scenario_clock import FakeClock
from tests.scenario_messages import check_answer, query_octets, reply_octets
from tests.scenario_network import ScriptedNetwork, Sent
from tests.scenario_play import (
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
    outcome: Respond | Drop | None = None
    reply: bytes = b""
    """The octets sent to it; taken at once, since a `Respond` may be renewed for others later."""
    is_checked: bool = False


class Scene:
    """The server of one play, and everyone around it."""

    def __init__(self, play: Play, folder: Path, *, with_cache: bool = True, with_memo: bool = True) -> None:
        settings = play.settings
        self._folder = folder
        self._files = play.files
        self.clock = FakeClock()
        self._wall_offset = datetime.fromisoformat(settings.wall).timestamp() - self.clock.now()
        self._generation = 0
        self.network = ScriptedNetwork(settings.unreachable)
        self.forwarder = Forwarder(
            _plan(settings),
            self.network,
            self.clock,
            Entropy(random.Random(5).randbytes),
            timeout_s=settings.timeout_s,
            in_flight_max=settings.in_flight_max,
            waiters_max=settings.waiters_max,
        )
        self.cache = ResponseCache(
            settings.cache_octets if with_cache else 0,
            ttl_min_s=settings.ttl_min_s,
            ttl_max_s=settings.ttl_max_s,
            negative_ttl_max_s=settings.negative_ttl_max_s,
            stale_max_s=settings.stale_max_s,
        )
        self._image = self._compile(play.blocklist)
        self.service = Service(
            table=self._next_table(),
            cache=self.cache,
            forwarder=self.forwarder,
            local=LocalNames(settings.records),
            clock=self.clock,
            access=AccessList([ip_network(text) for text in settings.allow]),
            memo_octets_max=MEMO_OCTETS if with_memo and with_cache else 0,
            rate_limit_qps=settings.rate_limit_qps,
        )
        self.clients: dict[str, Client] = {}
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

    def _next_table(self) -> PolicyTable:
        now = self.clock.now()
        self._generation += 1
        return PolicyTable(self._image, self._generation, now + self._wall_offset, now)

    def reload(self, text: str) -> None:
        """A new blocklist is compiled and published."""
        self._image = self._compile(text)
        self.service.publish(self._next_table())

    def advance(self, seconds: float) -> None:
        """Let time pass; at each date of the policy a new table is published, as the publisher does."""
        end = self.clock.now() + seconds
        while (boundary := self.service.table.next_boundary - self._wall_offset) <= end:
            self.clock.advance(max(boundary - self.clock.now(), 0.0))
            self.service.publish(self._next_table())
        self.clock.advance(end - self.clock.now())

    # Clients.

    def query(self, step: QueryStep) -> None:
        """Send one query, or several of the same at once."""
        group = step.as_ or f"q{len(self.groups) + 1}"
        if group in self.groups:
            raise PlayFailed(f"two queries are called {group}")
        self._last = group
        self.groups[group] = []
        transport = Transport(step.transport)
        for number in range(step.times):
            name = group if step.times == 1 else f"{group}-{number + 1}"
            octets = query_octets(step, 4000 + len(self.clients))
            client = Client(name, octets, transport)
            self.clients[name] = client
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

    def _ask(self, client: Client, address: str) -> None:
        key = (address, client.transport)
        peer = self._peers.setdefault(key, Peer(ip_address(address).packed, client.transport))
        outcome = self.service.answer_now(client.octets, peer, self.clock.now())
        if isinstance(outcome, Ask):
            self.service.resolve(outcome, lambda _, final: self._deliver(client, final))
        else:
            self._deliver(client, outcome)

    def _deliver(self, client: Client, outcome: Respond | Drop) -> None:
        if client.outcome is not None:
            raise PlayFailed(f"{client.name} was answered twice")
        client.outcome = outcome
        if isinstance(outcome, Respond):
            client.reply = client.octets[:2] + outcome.tail
        for hit in _hits(outcome):
            self.hits[hit] += 1

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
            if client.outcome is not None:
                raise PlayFailed(f"{client.name} is answered already: {client.outcome}")

    # Upstreams.

    def upstream(self, step: UpstreamStep) -> None:
        """Check the oldest unhandled upstream query, and do with it what the play says."""
        if not self.network.unhandled:
            raise PlayFailed(f"no upstream was asked {step.asks}")
        sent = self.network.unhandled.pop(0)
        flaws = _query_flaws(sent, step)
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
            asked = [_asked(sent.octets) for sent in self.network.unhandled]
            raise PlayFailed(f"upstreams were asked {asked}")

    # Totals.

    def count(self, expected: Counts) -> None:
        """Check totals since the beginning."""
        got: dict[str, object] = {
            "upstream_queries": len(self.network.sent),
            "upstream_dropped": self.network.dropped,
            "cache_entries": self.cache.entries,
            "coalesced": self.forwarder.coalesced,
            "in_flight": self.forwarder.pending,
            "waiting": self.service.waiting,
            "defects": self.service.defects,
            "hits": dict(self.hits),
        }
        for name in expected.model_fields_set:
            if got[name] != getattr(expected, name):
                raise PlayFailed(f"{name} is {got[name]}, expected {getattr(expected, name)}")

    def end(self) -> None:
        """Check that nothing is pending, and that nothing happens any more."""
        unchecked = [client.name for client in self.clients.values() if not client.is_checked]
        before = (len(self.network.sent), sum(c.outcome is not None for c in self.clients.values()))
        facts: dict[str, object] = {
            "queries nobody checked": unchecked,
            "upstream queries nobody handled": [_asked(sent.octets) for sent in self.network.unhandled],
            "kept upstream queries never replied to": sorted(self.kept),
        }
        self.advance(SETTLING_S)
        facts |= {
            "clients waiting": self.service.waiting,
            "questions in flight": self.forwarder.pending,
            "probes in flight": self.forwarder.probing,
            "open tickets": [_asked(sent.octets) for sent in self.network.sent if sent.is_open],
            "timers": self.clock.pending,
            "defects": self.service.defects + self.forwarder.waiter_errors,
        }
        after = (len(self.network.sent), sum(c.outcome is not None for c in self.clients.values()))
        if before != after:
            facts["(sent, answered) after the end"] = [before, after]
        pending = {what: fact for what, fact in facts.items() if fact}
        if pending:
            raise PlayFailed(f"something is pending at the end: {pending}")


def perform(play: Play, folder: Path, *, with_cache: bool = True, with_memo: bool = True) -> Scene:
    """Play it from beginning to end; PlayFailed names the step (counted from 1)."""
    scene = Scene(play, folder, with_cache=with_cache, with_memo=with_memo)
    for number, step in enumerate(play.steps, 1):
        try:
            _take(scene, step)
        except PlayFailed as failed:
            raise PlayFailed(f"step {number} ({next(iter(step.model_fields_set))}): {failed}") from None
    scene.end()
    return scene


def _take(scene: Scene, step: Step) -> None:
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
    elif step.reload is not None:
        scene.reload(step.reload)
    elif step.counts is not None:
        scene.count(step.counts)
    else:
        raise AssertionError("every word of the language is played")


def _plan(settings: PlaySettings) -> ForwardPlan:
    return ForwardPlan(
        [_server(text, settings) for text in settings.servers],
        settings.strategy,
        {
            name_from_text(suffix): [_server(text, settings) for text in servers]
            for suffix, servers in settings.forward.items()
        },
    )


def _server(text: str, settings: PlaySettings) -> Server:
    scheme, _, rest = text.partition("://")
    address, _, port = rest.rpartition(":")
    assert scheme in ("udp", "tcp")
    return Server(scheme, address.strip("[]"), int(port), text in settings.trusted)  # type: ignore[arg-type]


def _hits(outcome: Respond | Drop) -> list[str]:
    return [f"{hit.kind} {hit.label} {hit.action} {hit.mode}" for hit in hits_of(outcome.verdict) if hit]


def _flaws(client: Client, expected: Answer | Dropped) -> list[str]:
    outcome = client.outcome
    if outcome is None:
        return ["it has no answer"]
    flaws = []
    if _hits(outcome) != expected.hits:
        flaws.append(f"hits are {_hits(outcome)}, expected {expected.hits}")
    if isinstance(expected, Dropped):
        if isinstance(outcome, Respond):
            flaws.append(f"it was answered with rcode {outcome.rcode}")
        elif (outcome.reason, outcome.close) != (expected.reason, expected.close):
            flaws.append(f"it was dropped: {outcome}")
        return flaws
    if isinstance(outcome, Drop):
        return [f"it was dropped: {outcome.reason}"]
    if outcome.source.value != expected.source:
        flaws.append(f"its source is {outcome.source.value}, expected {expected.source}")
    if outcome.rcode & 15 != client.reply[3] & 15:
        flaws.append(f"it is counted as rcode {outcome.rcode}, but says {client.reply[3] & 15}")
    return flaws + check_answer(client.octets, client.reply, expected, client.transport is Transport.TCP)


def _asked(octets: bytes) -> str:
    question = dns.message.from_wire(octets).question[0]
    return f"{question.name.to_text(omit_final_dot=True).lower()} {dns.rdatatype.to_text(question.rdtype)}"


def _query_flaws(sent: Sent, step: UpstreamStep) -> list[str]:
    query = dns.message.from_wire(sent.octets)
    # RD alone of the flags, CD if the client set it; the payload that avoids fragments (DNS Flag Day 2020).
    flags = dns.flags.RD | (dns.flags.CD if step.cd else 0)
    facts = {
        "question": (_asked(sent.octets), step.asks),
        "class": (int(query.question[0].rdclass), 1),
        "EDNS": (query.edns, 0 if step.edns else -1),
        "payload": (query.payload, 1232 if step.edns else 0),
        "DO": (bool(query.ednsflags & dns.flags.DO), step.do),
        "options": (len(query.options), 0),
        "AD left out of flags": (int(query.flags) & ~int(dns.flags.AD), int(flags)),
        "stream": (sent.is_stream, step.stream),
        "server": (sent.upstream.name, step.server or sent.upstream.name),
    }
    return [
        f"{what} is {got!r}, expected {wanted!r}" for what, (got, wanted) in facts.items() if got != wanted
    ]
