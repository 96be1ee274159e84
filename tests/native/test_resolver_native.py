"""The native module as Python meets it: over real sockets on loopback, and without any.

Knows: its stub file.  Does not know: what the right answer to a question is, beyond a few plain ones.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resolver import __version__
from resolver.flow.peer import Transport
from resolver.forwarding.forwarder import LOST_IN_FLIGHT_MAX
from resolver.plane import INTERFACE
from resolver.publishing.compiler import compile_policy
from resolver.wire.encode import encode_query, encode_response
from resolver.wire.names import name_from_text
from resolver.wire.query import Query, parse_query

native: Any = pytest.importorskip("resolver_native", reason="resolver_native is not built")
testing: Any = pytest.importorskip("resolver_native.testing", reason="resolver_native is not built")

ROOT = Path(__file__).parents[2]
PATIENCE_S = 10.0
LOOPBACK = [(b"\x7f\0\0\0", 8), (bytes(15) + b"\1", 128)]
A, NS = 1, 2
ADDRESS = b"\xc0\0\2\1"
CLIENT = b"\x7f\0\0\1"
FAR = 1e18

BLOCKLIST = """\
version: 1
exchanges: {}
lists:
  - {name: ads, path: ads.txt, format: domains}
"""

pytestmark = pytest.mark.loopback


def query(name: str, number: int = 0x1234, *, qtype: int = A, edns: bool = True) -> bytes:
    return encode_query(
        name_from_text(name), qtype, id=number, dnssec_ok=False, checking_disabled=False, edns=edns
    )


def reply(octets: bytes, *, flags: int = 0x8180, address: bytes = ADDRESS, ttl_s: int = 300) -> bytes:
    """The answer of an upstream to `octets`: one address."""
    end = octets.index(b"\0", 12) + 5
    record = b"\xc0\x0c\0\1\0\1" + ttl_s.to_bytes(4, "big") + b"\0\4" + address
    head = octets[:2] + flags.to_bytes(2, "big") + b"\0\1\0\1\0\0\0\0"
    return head + octets[12:end] + record


def rcode(octets: bytes) -> int:
    return octets[3] & 15


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "ads.txt").write_text("ads.example\n")
    (folder / "blocklist.yaml").write_text(BLOCKLIST)
    compiled = compile_policy(folder / "blocklist.yaml", folder / "images")
    assert compiled.image is not None, compiled.problems
    return compiled.image


def make_core(image: Path | None, **settings: Any) -> Any:
    given: dict[str, Any] = {
        "allow": LOOPBACK,
        "rate_limit_qps": 0,
        "records": [(name_from_text("printer.example"), [ADDRESS])],
        "tcp_idle_s": 10.0,
        "in_flight_max": 100,
        "waiters_max": 100,
        "waiting_max": 1000,
    }
    cache = settings.pop("cache", None) or native.Cache(1 << 20)
    core = native.Core(cache, **{**given, **settings})
    if image is not None:
        core.publish(str(image), 1, 1.7e9, time.monotonic())
    return core


class Play:
    """A plane with one worker on one socket, its client, and an upstream that the test speaks for."""

    def __init__(self, core: Any, address: str = "127.0.0.1", *, at: str = "", **settings: Any) -> None:
        self.core = core
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.door = socket.socket(family, socket.SOCK_DGRAM)
        is_wildcard = address in ("0.0.0.0", "::")
        if is_wildcard and family == socket.AF_INET6:
            self.door.setsockopt(socket.IPPROTO_IPV6, 49, 1)  # IPV6_RECVPKTINFO
        elif is_wildcard:
            self.door.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        self.door.bind((address, 0))
        self.upstream = self._socket(socket.AF_INET)
        self.upstream.bind(("127.0.0.1", 0))
        self.client = self._socket(family)
        self.client.connect((at or address, self.door.getsockname()[1]))
        fields = (self.door.fileno(), family == socket.AF_INET6, is_wildcard)
        self.plane = native.Plane(core, [[fields]], **settings)
        self.events: list[Any] = []

    @staticmethod
    def _socket(family: int) -> socket.socket:
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.settimeout(PATIENCE_S)
        return made

    def ask_upstream(
        self,
        *,
        timeout_s: float = PATIENCE_S,
        letter_case: int = 2,
        failure: tuple[int, str] | None = None,
    ) -> None:
        """Publish the upstream: misses are asked natively, where it is not down for `failure`."""
        host, port = self.upstream.getsockname()
        first = -1 if failure else 0
        fields = (b"", first, True, False, timeout_s, FAR, letter_case, failure)
        self.core.publish_upstreams([(host, port)], [fields])

    def ask(self, octets: bytes) -> bytes:
        self.client.send(octets)
        return self.client.recv(4096)

    def event(self, word: str) -> Any:
        """The first event with this word that was not asked for yet."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for place, event in enumerate(self.events):
                if event[0] == word:
                    return self.events.pop(place)
            readable, _, _ = select.select([self.plane.fileno()], [], [], PATIENCE_S)
            if readable:
                self.events += self.plane.drain()
        raise AssertionError(f"no event {word!r}")

    def close(self) -> None:
        self.plane.close()
        for made in (self.door, self.upstream, self.client):
            made.close()


@pytest.fixture
def start(image: Path) -> Iterator[Callable[..., Play]]:
    """Starts plays; all are closed in the end."""
    plays: list[Play] = []

    def start(core: Any = None, *arguments: Any, **settings: Any) -> Play:
        play = Play(core or make_core(image), *arguments, **settings)
        plays.append(play)
        play.plane.start()
        return play

    yield start
    for play in plays:
        play.close()


# The module.


@pytest.mark.slow
def test_the_stub_file_is_the_manual() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "resolver_native"]
    allowed = ["--allowlist", str(ROOT / "native/binding/stubtest-allowlist.txt")]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "native/binding")}
    told = subprocess.run(command + allowed, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert told.returncode == 0, told.stdout + told.stderr


def test_it_is_of_this_version() -> None:
    assert __version__ == native.VERSION
    assert INTERFACE == native.INTERFACE


# Queries.


def test_a_blocked_name_is_denied_and_a_local_one_is_answered(start: Callable[..., Play]) -> None:
    play = start()
    assert rcode(play.ask(query("www.ads.example"))) == 3
    assert play.ask(query("printer.example")).endswith(ADDRESS + b"\0\0\x29\x04\xd0\0\0\0\0\0\0")
    assert rcode(play.ask(b"\0\1\x28" + bytes(9))) == 4  # UPDATE: NOTIMP
    rows = play.core.tallies()
    assert ("udp", "A", "NXDOMAIN", "policy", None) in [row[:5] for row in rows]
    assert [row[5] for row in rows if row[3] == "policy"] == [("list", "ads", "nxdomain", "enforce")]
    assert sum(row[7] for row in rows) == 3


def test_a_reply_to_us_is_dropped_and_counted(start: Callable[..., Play]) -> None:
    play = start()
    play.client.send(reply(query("printer.example")))
    play.ask(query("printer.example", 2))
    assert ("udp", "none", None, None, "response") in [row[:5] for row in play.core.tallies()]


def test_whole_batches_are_answered_each_query_to_its_own_sender(start: Callable[..., Play]) -> None:
    play = start()
    others = [Play._socket(socket.AF_INET) for _ in range(8)]
    for number in range(1600):
        others[number % 8].sendto(query(f"h{number}.ads.example", number), play.door.getsockname())
        if number % 160 == 159:  # No socket's buffer is asked to hold more than that.
            for place, other in enumerate(others):
                heard = [other.recv(4096) for _ in range(20)]
                wanted = range(number - 159 + place, number + 1, 8)
                assert [int.from_bytes(octets[:2], "big") for octets in heard] == list(wanted)
                assert all(f"h{n}".encode() in octets for n, octets in zip(wanted, heard, strict=True))
    for other in others:
        other.close()


@pytest.mark.parametrize(("address", "at"), [("0.0.0.0", "127.0.0.53"), ("::", "::1"), ("::1", "::1")])
def test_an_answer_leaves_from_the_address_that_was_asked(
    start: Callable[..., Play], address: str, at: str
) -> None:
    play = start(None, address, at=at)
    # The client is connected: it hears nobody else.
    assert rcode(play.ask(query("www.ads.example"))) == 3
    play.client.send(query("unknown.example", 7))
    _, _, packed, route, transport, _ = play.event("query")
    assert transport == Transport.UDP
    assert packed == socket.inet_pton(play.client.family, play.client.getsockname()[0])
    assert play.plane.send(route, reply(query("unknown.example", 7)))
    assert play.client.recv(4096)[:2] == b"\0\7"


def test_a_query_python_must_answer_comes_with_the_way_back(start: Callable[..., Play]) -> None:
    play = start()  # No upstream is published.
    octets = query("punted.example")
    play.client.send(octets)
    word, heard, address, route, transport, name = play.event("query")
    assert (word, heard, address, transport, name) == ("query", octets, CLIENT, Transport.UDP, "")
    assert play.plane.send(route, b"whatever Python says")
    assert play.client.recv(4096) == b"whatever Python says"
    play.ask(query("www.ads.example"))
    assert play.plane.counters()["punts"] == 1


def test_a_policy_that_is_withdrawn_punts_until_there_is_another(
    start: Callable[..., Play], image: Path
) -> None:
    play = start()
    assert rcode(play.ask(query("www.ads.example"))) == 3
    play.core.withdraw()
    assert play.core.answer(query("www.ads.example"), CLIENT, Transport.TCP, 1.0) == (4, b"")
    play.client.send(query("www.ads.example"))
    assert play.event("query")[1] == query("www.ads.example")
    play.core.publish(str(image), 2, 1.7e9, time.monotonic())
    assert rcode(play.ask(query("www.ads.example"))) == 3


def test_a_route_of_nobody_is_refused(start: Callable[..., Play]) -> None:
    plane = start().plane
    datagram, stream = b"\0\0\0\x10\0" + bytes(16), b"\1" + bytes(14)
    others = b"", b"\0\0", b"\0\xff\xff\x10\0" + bytes(16), datagram + b"\0", stream + b"\0", stream[:-1]
    for route in (*others, b"\2" + bytes(14), bytes(200)):
        with pytest.raises(ValueError):
            plane.send(route, b"octets")


def test_before_a_policy_is_published_everything_is_punted(start: Callable[..., Play]) -> None:
    play = start(make_core(None))
    play.client.send(query("www.ads.example"))
    assert play.event("query")[1] == query("www.ads.example")


def test_who_finds_the_ring_full_gets_servfail_and_nobody_nothing(start: Callable[..., Play]) -> None:
    play = start(None, events_max=4)
    for number in range(20):
        play.client.send(query(f"p{number}.example", number))
    refused = [play.client.recv(4096) for _ in range(16)]
    assert {rcode(octets) for octets in refused} == {2}
    assert {octets[1] for octets in refused} == set(range(4, 20))
    assert rcode(play.ask(query("www.ads.example"))) == 3
    counters = play.plane.counters()
    assert (counters["punts"], counters["ring_full"], counters["overloads"]) == (4, 0, 16)
    assert len(play.plane.drain()) == 4
    play.client.send(query("again.example"))
    assert play.event("query")[1] == query("again.example")


def test_drain_takes_no_more_than_it_is_told_and_the_bell_rings_on(start: Callable[..., Play]) -> None:
    play = start()
    for number in range(5):
        play.client.send(query(f"p{number}.example", number))
    play.ask(query("www.ads.example", 1))
    play.ask(query("www.ads.example", 2))
    assert [len(play.plane.drain(2)) for _ in range(2)] == [2, 2]
    assert select.select([play.plane.fileno()], [], [], 0)[0]
    assert len(play.plane.drain(2)) == 1
    assert not select.select([play.plane.fileno()], [], [], 0)[0]


def test_who_waits_for_an_attempt_that_finds_the_ring_full_gets_servfail_too(
    start: Callable[..., Play],
) -> None:
    play = start(None, events_max=1)
    play.ask_upstream(timeout_s=0.05)
    play.client.send(query("one.example", 1))
    play.client.send(query("two.example", 2))
    play.client.send(query("two.example", 3))
    answered = {play.client.recv(4096)[1]}
    if answered == {1}:
        assert play.plane.drain()[0][0] == "handover"
    else:
        answered.add(play.client.recv(4096)[1])
        assert answered == {2, 3}
    assert play.plane.counters()["ring_full"] == 0


def test_while_all_upstreams_are_down_queries_beyond_those_at_python_get_the_reason(
    start: Callable[..., Play],
) -> None:
    play = start()
    play.ask_upstream(failure=(22, "no upstream answered in time"))
    for number in range(2048):
        # Fewer are enough for a client that has its part of them.
        if number == LOST_IN_FLIGHT_MAX:
            play.client.send(query("zero.example"))
            assert play.event("query")[1] == query("zero.example")
            for mark in range(16):
                assert play.core.enter(CLIENT, mark) == 0
            assert rcode(play.ask(query("one.example"))) == 2
            for mark in range(16):
                play.core.leave(CLIENT, mark)
        assert play.plane.claim((name_from_text(f"p{number}.example"), 1, False, False)) is None
    octets = play.ask(query("one.example", 1, edns=True))
    assert rcode(octets) == 2 and b"no upstream answered in time" in octets
    assert rcode(play.ask(query("www.ads.example"))) == 3
    play.plane.release((name_from_text("p0.example"), 1, False, False))
    play.client.send(query("two.example"))
    assert play.event("query")[1] == query("two.example")
    assert play.plane.counters()["ring_full"] == 0


def test_names_go_out_as_the_letter_case_says(start: Callable[..., Play]) -> None:
    play = start()
    name = "a-name-of-many-letters.example"
    spelt = []
    for letter_case in (0, 1, 2):
        play.ask_upstream(letter_case=letter_case)
        play.client.send(query(f"{letter_case}.{name}"))
        octets, peer = play.upstream.recvfrom(4096)
        spelt.append(octets[12:-15] == octets[12:-15].lower())
        play.upstream.sendto(octets[:2] + b"\x81\x83" + octets[4:], peer)
        if letter_case == 1:
            assert play.event("handover")
        else:
            assert rcode(play.client.recv(4096)) == 3
    assert spelt == [True, False, False]


# Misses.


def test_a_miss_is_asked_once_and_then_cached(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    octets = query("fresh.example", 0xAAAA)
    play.client.send(octets)
    asked, peer = play.upstream.recvfrom(4096)
    assert asked[12:].lower() == octets[12:]
    play.upstream.sendto(reply(asked), peer)
    heard = play.client.recv(4096)
    assert heard[:2] == b"\xaa\xaa"
    assert heard[12 : len(octets) - 11] == octets[12:-11]
    assert ADDRESS in heard
    assert ADDRESS in play.ask(query("fresh.example", 2))
    [(number, queries, answers, sum_s, buckets, mean_s, *tls)] = play.plane.upstream_reports()
    assert tls == [(0, 0, 0), None]
    assert (number, queries, answers, sum(buckets), len(buckets)) == (0, 1, 1, 1, 12)
    assert 0 < sum_s == mean_s < PATIENCE_S
    assert play.plane.upstream_reports() == []
    sources = [row[3] for row in play.core.tallies()]
    assert sorted(sources) == ["cache", "upstream"]


def test_those_who_ask_the_same_meanwhile_share_one_query(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    for number in range(20):
        play.client.send(query("shared.example", number))
    asked, peer = play.upstream.recvfrom(4096)
    for number in (1, 2):  # By the second answer all twenty wait.
        play.ask(query("www.ads.example", number))
    assert (play.core.in_flight, play.core.waiting) == (1, 20)
    play.upstream.sendto(reply(asked), peer)
    heard = {int.from_bytes(play.client.recv(4096)[:2], "big") for _ in range(20)}
    assert heard == set(range(20))
    assert (play.core.in_flight, play.core.waiting) == (0, 0)
    counters = play.plane.counters()
    assert (counters["asked"], counters["coalesced"]) == (20, 19)


def test_many_misses_leave_from_many_ports_with_letters_mixed(start: Callable[..., Play]) -> None:
    play = start(None, sockets_per_upstream=64, sockets_max=96)
    play.ask_upstream()
    ports, names = set(), set()
    for number in range(100):
        play.client.send(query(f"n{number}.letters.example.net", number))
        asked, peer = play.upstream.recvfrom(4096)
        ports.add(peer[1])
        names.add(asked[15:].split(b"\0")[0])
        play.upstream.sendto(reply(asked), peer)
        assert play.client.recv(4096)[:2] == number.to_bytes(2, "big")
    assert len(ports) >= 60
    assert len(names) >= 60
    assert 64 < play.plane.counters()["opened"] <= 96


def test_a_silent_upstream_is_handed_over_with_all_who_wait(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream(timeout_s=0.02)
    for number in (1, 2):
        play.client.send(query("silent.example", number))
    asked, peer = play.upstream.recvfrom(4096)
    _, handover = play.event("handover")
    question, set_index, upstream, number, as_sent, edns, sent_at, due_at = handover[:8]
    ticket, octets, reason, _, waiters = handover[8:]
    assert question == (name_from_text("silent.example"), A, False, False)
    assert (set_index, upstream, edns) == (0, 0, True)
    assert number.to_bytes(2, "big") == asked[:2]
    assert as_sent == asked[12 : 12 + len(question[0])]
    assert due_at == pytest.approx(sent_at + 0.02)
    assert (octets, reason) == (None, "timeout")
    assert [waiter[0][:2] for waiter in waiters] == [b"\0\1", b"\0\2"]
    assert [waiter[1] for waiter in waiters] == [CLIENT, CLIENT]
    assert play.plane.send(waiters[1][2], b"said Python")
    assert play.client.recv(4096) == b"said Python"

    # Whoever asks the same is Python's too, until the ticket is closed.
    play.client.send(query("silent.example", 3))
    assert play.event("query")[1][:2] == b"\0\3"
    # What comes late is Python's.
    play.upstream.sendto(b"late", peer)
    assert play.event("late") == ("late", ticket, b"late")
    play.upstream.sendto(reply(asked), peer)
    assert play.event("late") == ("late", ticket, reply(asked))
    play.plane.close_ticket(ticket)
    play.plane.close_ticket(ticket)
    play.ask(query("www.ads.example", 1))
    play.client.send(query("silent.example", 4))
    assert play.upstream.recv(4096)[12:].lower() == asked[12:].lower()


def test_what_python_asks_too_is_pythons_whatever_comes_of_it(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    question = (name_from_text("both.example"), A, False, False)
    play.client.send(query("both.example", 1))
    asked, peer = play.upstream.recvfrom(4096)
    [(octets, address, route, _, transport, _)] = play.plane.claim(question)
    assert (octets[:2], address, transport) == (b"\0\1", CLIENT, Transport.UDP)
    assert (play.core.in_flight, play.core.waiting) == (0, 0)
    assert play.plane.send(route, b"said Python")
    assert play.client.recv(4096) == b"said Python"
    play.client.send(query("both.example", 2))
    assert play.event("query")[1][:2] == b"\0\2", "whoever asks the same is Python's"
    play.upstream.sendto(reply(asked), peer)
    _, handover = play.event("handover")
    ticket, received, reason, _, waiters = handover[8:]
    assert (received, reason, waiters) == (reply(asked), "reply", [])
    play.plane.close_ticket(ticket)


def test_what_python_asks_alone_is_not_asked_until_it_lets_go(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    question = (name_from_text("alone.example"), A, False, False)
    assert play.plane.claim(question) is None
    play.client.send(query("alone.example", 1))
    assert play.event("query")[1][:2] == b"\0\1"
    play.plane.release(question)
    play.client.send(query("alone.example", 2))
    asked, _ = play.upstream.recvfrom(4096)
    assert asked[12:].lower().startswith(question[0])


def test_a_late_reply_to_a_closed_ticket_is_only_counted(start: Callable[..., Play]) -> None:
    play = start(None, sockets_per_upstream=1)
    play.ask_upstream(timeout_s=0.02)
    play.client.send(query("silent.example"))
    asked, peer = play.upstream.recvfrom(4096)
    play.plane.close_ticket(play.event("handover")[1][8])
    play.client.send(query("other.example", 2))
    other, _ = play.upstream.recvfrom(4096)
    play.upstream.sendto(reply(asked), peer)
    play.upstream.sendto(reply(other), peer)
    play.event(
        "handover" if not select.select([play.client], [], [], PATIENCE_S)[0] else ""
    ) if False else None
    assert play.client.recv(4096)[:2] == b"\0\2"
    counters = play.plane.counters()
    assert (counters["late"], counters["unexpected"]) == (1, 0)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda octets: reply(octets, flags=0x8380),  # TC
        lambda octets: reply(octets, flags=0x8182),  # SERVFAIL
        lambda octets: reply(octets)[:-1],
        lambda octets: reply(octets).replace(b"spoilt", b"SpOiLt").replace(b"example", b"exampLe"),
        lambda octets: reply(bytes((octets[0] ^ 1, *octets[1:]))),
    ],
)
def test_a_reply_that_is_not_simply_the_answer_is_handed_over(
    start: Callable[..., Play], spoil: Callable[[bytes], bytes]
) -> None:
    play = start()
    play.ask_upstream()
    play.client.send(query("spoilt.example", 5))
    asked, peer = play.upstream.recvfrom(4096)
    sent = spoil(asked)
    if sent.lower() == reply(asked).lower() and sent == reply(asked):
        sent = sent.swapcase()  # RandomSource had mixed the letters just so.
    play.upstream.sendto(sent, peer)
    _, handover = play.event("handover")
    assert (handover[9], handover[10]) == (sent, "reply")
    assert [waiter[0] for waiter in handover[12]] == [query("spoilt.example", 5)]
    assert play.core.in_flight == 0


def test_an_upstream_that_is_not_there_is_handed_over(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    play.upstream.close()
    play.client.send(query("nobody.example"))
    assert play.event("handover")[1][10] == "network"


def test_a_broken_socket_is_told_for_each_ticket(start: Callable[..., Play]) -> None:
    play = start(None, sockets_per_upstream=1)
    play.ask_upstream(timeout_s=0.02)
    play.client.send(query("first.example", 1))
    ticket = play.event("handover")[1][8]
    play.upstream.close()
    play.client.send(query("second.example", 2))
    assert play.event("broken") == ("broken", ticket, "network", None)
    assert play.event("handover")[1][10] == "network"
    play.plane.close_ticket(ticket)


def test_a_number_keeps_its_meaning(image: Path) -> None:
    core = make_core(image)
    core.publish_upstreams([("192.0.2.1", 53)], [])
    core.publish_upstreams([("192.0.2.1", 53), ("2001:db8::1", 53)], [])
    for servers in ([("192.0.2.2", 53)], [("192.0.2.1", 53)], [("localhost", 53)]):
        with pytest.raises(ValueError):
            core.publish_upstreams(servers, [])


def test_everything_in_flight_can_be_handed_over(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    play.client.send(query("waiting.example"))
    play.upstream.recv(4096)
    play.plane.hand_over_all()
    assert play.event("handover")[1][10] == "recalled"


# Threads.


def test_a_panic_costs_one_query_and_python_is_told(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    play.client.send(query("waiting.example"))
    play.upstream.recv(4096)
    testing.panic_worker(play.plane, 0)
    play.client.send(query("a.ads.example", 1))
    _, handover = play.event("handover")
    assert handover[10] == "abandoned"
    assert play.event("down") == ("down", 0)
    assert play.event("up") == ("up", 0)
    assert play.ask(query("a.ads.example", 2))[:2] == b"\0\2"
    counters = play.plane.counters()
    assert (counters["panics"], counters["restarts"]) == (1, 1)
    assert play.core.in_flight == 0


def test_a_defect_in_a_call_is_counted_and_told_as_what_does_no_harm(
    start: Callable[..., Play], image: Path
) -> None:
    cache = native.Cache(1 << 20)
    play = start(make_core(image, cache=cache))
    core, plane, steps = play.core, play.plane, testing.Steps(play.core)
    taken = core.take_records()
    question = (name_from_text("a.example"), A, False, False)
    response = (0, False, b"", 0, 0, (), (), 0, 300, (), (), (), None)
    failed = (None, 7.0, 7.0, 7.0, 7.0, (22, "why"))
    route = b"\0\0\0\x10\0" + bytes(16)
    safe: list[tuple[Callable[[], Any], Any]] = [
        (lambda: cache.lookup(question, 7.0), None),
        (lambda: cache.store(question, response, 7.0), None),
        (lambda: cache.store_failure(question, (22, "why"), 7.0), failed),
        (lambda: core.answer(query("www.ads.example"), CLIENT, Transport.TCP, 7.0), (4, b"")),
        (lambda: steps.claim(question), None),
        (lambda: steps.release(question), None),
        (lambda: plane.claim(question), None),
        (lambda: plane.release(question), None),
        (lambda: plane.send(route, b"octets"), False),
        (lambda: plane.close_ticket(1), None),
        (lambda: plane.upstream_reports(), []),
    ]
    for call, outcome in safe:
        testing.panic_next(cache)
        assert call() == outcome
    raising = [
        lambda: core.publish(str(image), 2, 1.7e9, 7.0),
        lambda: core.publish_upstreams([], []),
        lambda: core.tallies(),
        lambda: core.late(),
        lambda: plane.drain(),
        lambda: core.take_records(),
        lambda: taken.written(native.RecordLook("text", "hidden"), 0.0),
    ]
    for call in raising:
        testing.panic_next(cache)
        with pytest.raises(RuntimeError, match="a defect of the native plane"):
            call()
    assert plane.counters()["panics"] == len(safe) + len(raising)
    assert cache.entries == 0
    assert core.answer(query("www.ads.example"), CLIENT, Transport.TCP, 7.0)[0] == 0, (
        "the next one is answered"
    )


def test_while_a_thread_is_down_its_queries_wait(start: Callable[..., Play]) -> None:
    play = start()
    for number in range(3):
        testing.panic_worker(play.plane, 0)
        play.client.send(query("a.ads.example", number))
        assert play.event("down") == ("down", 0)
        assert play.ask(query("a.ads.example", 100 + number))[1] == 100 + number
    assert play.plane.counters()["panics"] == 3


def test_no_more_queries_are_read_but_who_waits_is_answered(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    play.client.send(query("waiting.example", 9))
    asked, peer = play.upstream.recvfrom(4096)
    play.plane.stop_reading()
    play.upstream.sendto(reply(asked), peer)
    assert play.client.recv(4096)[:2] == b"\0\x09"
    play.client.send(query("a.ads.example", 1))
    assert play.door.recv(4096, 0) == query("a.ads.example", 1), "it is left for whoever has the socket too"


def own_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def descriptors() -> set[tuple[str, str]]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add((entry.name, str(entry.readlink())))
        except OSError:
            continue  # That of the listing itself.
    return found


def test_close_leaves_no_thread_and_no_descriptor(image: Path) -> None:
    before = own_threads(), descriptors()
    for _ in range(3):
        play = Play(make_core(image))
        play.plane.start()
        play.ask_upstream()
        assert own_threads() == before[0] + 1
        play.client.send(query("waiting.example"))
        play.upstream.recv(4096)
        play.plane.close()
        play.plane.close()
        assert play.plane.drain() == []
        assert not play.plane.send(b"\0\0\0\x10\0" + bytes(16), b"octets")
        assert play.plane.counters()["opened"] == 1
        with pytest.raises(RuntimeError):
            play.plane.fileno()
        with pytest.raises(RuntimeError):
            play.plane.start()
        play.close()
    assert (own_threads(), descriptors()) == before


def test_a_plane_forgotten_ends_its_threads(image: Path) -> None:
    before = own_threads()
    play = Play(make_core(image))
    play.plane.start()
    plane, play.plane = play.plane, native.Plane(play.core, [])
    del plane
    assert own_threads() == before
    play.close()


def test_it_cannot_be_started_twice(start: Callable[..., Play]) -> None:
    with pytest.raises(RuntimeError):
        start().plane.start()


def test_a_descriptor_that_is_none_is_refused(image: Path) -> None:
    core = make_core(image)
    for fd in (-1, 1 << 20):
        with pytest.raises(OSError):
            native.Plane(core, [[(fd, False, False)]])


def resident_octets() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def maps() -> int:
    return Path("/proc/self/maps").read_text().count("\n")


def test_a_thousand_publications_leak_nothing(
    image: Path, tmp_path: Path, start: Callable[..., Play]
) -> None:
    copies = [tmp_path / "one", tmp_path / "two"]
    for copy in copies:
        copy.write_bytes(image.read_bytes())
    play = start()
    play.ask(query("a.ads.example"))  # Its thread has all that it needs.
    for generation in range(100):
        play.core.publish(str(copies[generation % 2]), generation, 1.7e9, 0.0)
    before = descriptors(), maps(), resident_octets()
    for generation in range(100, 1100):
        play.core.publish(str(copies[generation % 2]), generation, 1.7e9, 0.0)
        if generation % 100 == 0:
            assert rcode(play.ask(query("a.ads.example"))) == 3
    assert descriptors() == before[0]
    assert maps() <= before[1] + 2
    assert resident_octets() < before[2] + (4 << 20)


def test_an_unusable_image_is_refused_and_the_old_one_serves(image: Path, tmp_path: Path) -> None:
    core = make_core(image)
    octets = image.read_bytes()
    broken = tmp_path / "broken"
    for spoilt in (b"", octets[:-1], octets[:100] + bytes((octets[100] ^ 1,)) + octets[101:], bytes(5000)):
        broken.write_bytes(spoilt)
        with pytest.raises(ValueError):
            core.publish(str(broken), 2, 1.7e9, 0.0)
    with pytest.raises(ValueError):
        core.publish(str(tmp_path / "nothing"), 2, 1.7e9, 0.0)
    assert core.answer(query("a.ads.example"), CLIENT, Transport.UDP, 1.0)[0] == 0


# Query records.


def lines_from(core: Any, *, line_format: str = "text", clients: str = "hidden") -> list[str]:
    """The lines of everything that waits."""
    lines: list[str] = []
    look = native.RecordLook(line_format, clients)
    while taken := core.take_records():
        octets, count = taken.written(look, 0.0)
        made = octets.decode().splitlines()
        assert len(made) == count == len(taken)
        lines += made
    return lines


@pytest.mark.parametrize(("only_blocked", "here"), [(False, 200), (True, 100)])
def test_a_reader_gets_no_more_records_than_it_wants(image: Path, only_blocked: bool, here: int) -> None:
    core = make_core(image, query_records="all")
    for number in range(100):
        core.answer(query(f"n{number}.ads.example"), CLIENT, Transport.TCP, 1.0)
        core.answer(query("printer.example"), CLIENT, Transport.TCP, 1.0)
    taken = core.take_records()
    look = native.RecordLook("jsonl", "hidden", only_blocked=only_blocked)
    assert taken.count(only_blocked=only_blocked) == here
    whole, count = taken.written(look, 0.0)
    assert count == here
    for wanted in (0, 1, 99, here, here + 1):
        octets, count = taken.written(look, 0.0, records_max=wanted)
        assert count == len(octets.splitlines()) == min(wanted, here)
        assert whole.startswith(octets)


def test_what_is_answered_is_recorded_once_and_in_order(start: Callable[..., Play], image: Path) -> None:
    play = start(make_core(image, query_records="all"))
    play.ask_upstream()
    for number in range(200):
        play.ask(query(f"n{number}.ads.example"))
    play.client.send(query("fresh.example"))
    message, sender = play.upstream.recvfrom(4096)
    assert lines_from(play.core)[199].count("qname=n199.ads.example")
    play.upstream.sendto(reply(message), sender)
    play.client.recv(4096)
    play.client.send(b"short")
    play.core.answer(query("printer.example"), CLIENT, Transport.TCP, 1.0)
    play.ask(query("fresh.example"))
    found = lines_from(play.core)
    words = [line.split("query transport=")[1] for line in found]
    assert sorted(words) == [
        "tcp qname=printer.example qtype=A rcode=NOERROR source=local",
        "udp malformed=short dropped=short",
        "udp qname=fresh.example qtype=A rcode=NOERROR source=cache",
        "udp qname=fresh.example qtype=A rcode=NOERROR source=upstream",
    ]
    assert play.core.records_lost(only_blocked=False) == 0


def test_only_what_is_blocked_is_recorded_where_nothing_else_is_wanted(image: Path) -> None:
    core = make_core(image, query_records="blocked")
    core.answer(query("printer.example"), CLIENT, Transport.TCP, 1.0)
    core.answer(query("a.ads.example"), CLIENT, Transport.TCP, 1.0)
    [line] = lines_from(core, clients="full")
    assert "client=" + socket.inet_ntoa(CLIENT) in line
    assert "list=ads action=nxdomain" in line


def test_without_a_reader_nothing_is_recorded(image: Path) -> None:
    core = make_core(image)
    core.answer(query("a.ads.example"), CLIENT, Transport.TCP, 1.0)
    assert (len(core.take_records()), core.records_lost(only_blocked=False)) == (0, 0)


def test_a_full_buffer_loses_records_and_no_answer(start: Callable[..., Play], image: Path) -> None:
    play = start(make_core(image, query_records="all"), record_octets=4096)
    for number in range(200):
        assert play.ask(query("a.ads.example", number))[:2] == number.to_bytes(2, "big")
    lost = play.core.records_lost(only_blocked=False)
    assert 0 < lost < 200
    assert len(lines_from(play.core)) == 200 - lost
    play.ask(query("a.ads.example"))
    assert len(lines_from(play.core)) == 1
    assert play.core.records_lost(only_blocked=False) == lost


def test_records_outlast_the_thread_and_the_plane_that_made_them(
    start: Callable[..., Play], image: Path
) -> None:
    play = start(make_core(image, query_records="all"))
    play.ask(query("a.ads.example"))
    testing.panic_worker(play.plane, 0)
    play.client.send(query("b.ads.example"))
    assert play.event("down") == ("down", 0)
    play.ask(query("c.ads.example"))
    play.plane.close()
    assert [line.split("qname=")[1][0] for line in lines_from(play.core)] == ["a", "c"]


def test_words_that_it_does_not_know_are_refused(image: Path) -> None:
    with pytest.raises(ValueError):
        make_core(image, query_records="some")
    for words in (("yaml", "hidden"), ("text", "anybody"), ("text", "encrypted")):
        with pytest.raises(ValueError):
            native.RecordLook(*words)


# Without sockets.


def test_the_core_answers_drops_asks_and_punts(image: Path) -> None:
    core = make_core(image)
    word, octets = core.answer(query("a.ads.example"), CLIENT, Transport.TCP, 1.0)
    assert (word, rcode(octets)) == (0, 3)
    assert core.answer(b"", CLIENT, Transport.TCP, 1.0) == (2, b"")
    assert core.answer(query("unknown.example"), CLIENT, Transport.TCP, 1.0) == (3, b"")
    assert [row[0] for row in core.tallies()] == ["tcp", "tcp"]
    assert set(core.late()) == {"policy", "cache", "stale", "upstream", "local"}
    assert all(len(buckets) == 14 for buckets in core.late().values())
    with pytest.raises(ValueError):
        core.answer(query("a.ads.example"), b"\1\2\3", Transport.UDP, 1.0)


def test_the_core_asks_and_hears_like_a_thread(image: Path) -> None:
    core = make_core(image)
    steps = testing.Steps(core, seed=bytes(32))
    core.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, False, 0.5, FAR, 2, None)])
    octets = query("fresh.example", 5)
    word, attempt, upstream, message = steps.ask(octets, CLIENT, 1.0, 11)
    assert (word, upstream) == ("send", 0)
    assert steps.ask(query("fresh.example", 6), CLIENT, 1.1, 12) == ("joined",)
    word, told, punts = steps.on_response(attempt, reply(message), 1.2)
    assert (word, punts) == ("done", [])
    assert [(token, answer[:2]) for token, answer in told] == [(11, b"\0\5"), (12, b"\0\6")]
    assert core.answer(query("fresh.example", 7), CLIENT, Transport.UDP, 1.3)[0] == 0
    with pytest.raises(KeyError):
        steps.on_response(attempt, reply(message), 1.2)
    twin = make_core(image)
    twin.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, False, 0.5, FAR, 2, None)])
    assert testing.Steps(twin, seed=bytes(32)).ask(octets, CLIENT, 1.0, 11)[3] == message, "the seed decides"
    with pytest.raises(ValueError):
        testing.Steps(core, seed=bytes(31))


def test_the_core_hands_over_what_is_overdue_or_odd(image: Path) -> None:
    core = make_core(image)
    steps = testing.Steps(core)
    core.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, False, 0.5, FAR, 2, None)])
    octets = query("fresh.example", 5)
    _, attempt, _, message = steps.ask(octets, CLIENT, 1.0, 11)
    with pytest.raises(ValueError):
        steps.overdue(attempt, 1.4)
    handover = steps.overdue(attempt, 1.5)
    assert handover[8:11] == (attempt, None, "timeout")
    assert handover[12] == [(octets, CLIENT, 11, 1.0, Transport.UDP, "")]
    assert steps.ask(octets, CLIENT, 1.6, 12) == ("punt",)
    steps.close_ticket(attempt)
    _, attempt, _, message = steps.ask(octets, CLIENT, 1.6, 12)
    word, handover = steps.on_response(attempt, reply(message, flags=0x8380), 1.7)
    assert (word, handover[9], handover[10]) == ("handover", reply(message, flags=0x8380), "reply")
    # A probe is due: Python must ask.
    core.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, False, 0.5, 2.0, 2, None)])
    assert steps.ask(query("other.example"), CLIENT, 1.9, 13)[0] == "send"
    assert steps.ask(query("third.example"), CLIENT, 2.0, 14) == ("punt",)


def test_a_verdict_is_told_in_plain_values(image: Path) -> None:
    table = testing.PolicyTable(image, 1, 1.7e9, 1.0)
    fields = table.judge_name(name_from_text("www.ads.example"), 1.0)
    action, rule, form, owner_offset, shadow, exemption, denied, nxdomain_ok, *_ = fields
    assert (action, form, shadow, exemption, nxdomain_ok) == ("nxdomain", "subtree", None, 0, True)
    assert (rule is None, owner_offset, denied) == (False, 4, None)
    assert table.judge_name(name_from_text("example"), 1.0)[:2] == ("passthru", None)


def test_fields_that_contradict_each_other_are_refused() -> None:
    cache = native.Cache(1 << 20)
    qname = name_from_text("www.example")
    body = reply(query("www.example"))[-16:]
    good = (0, False, body, 1, 0, (6,), (300,), 0, 300, (), (), (ADDRESS,), None)
    assert cache.store((qname, A, False, False), good, 1.0) is not None
    for place, value in [(2, b"short"), (5, (13,)), (6, ()), (7, 3), (9, ((b"", 0, 0),)), (11, (b"12",))]:
        spoilt = (*good[:place], value, *good[place + 1 :])
        with pytest.raises(ValueError):
            cache.store((qname, A, False, False), spoilt, 1.0)
    with pytest.raises(ValueError):
        cache.store((bytes(256), A, False, False), good, 1.0)
    with pytest.raises(ValueError):
        cache.store((qname, A, False, False), good[:-1], 1.0)


@pytest.mark.parametrize("edns", [False, True])
@pytest.mark.parametrize(
    ("body", "ancount", "nscount"),
    [
        (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1" * 4094, 4094, 0),
        (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1" * 4094, 4000, 94),
        (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1" * 5000, 10, 4990),
        (b"\0\0\x10\0\1\0\0\0\0\xff\xff", 1, 0),
        (b"x" * 70_000, 9, 9),
    ],
)
def test_what_does_not_fit_a_stream_is_cut_as_python_cuts_it(
    edns: bool, body: bytes, ancount: int, nscount: int
) -> None:
    asked = query("www.example", edns=edns)
    parsed = parse_query(asked)
    assert isinstance(parsed, Query)
    here = encode_response(parsed, 0, body=body, ancount=ancount, nscount=nscount, limit=65535)
    there, _ = testing.encode_response(asked, 0, body=body, ancount=ancount, nscount=nscount, limit=65535)
    assert there == here and len(here) <= 65535


def test_octets_are_read_and_written_as_python_does() -> None:
    octets = query("www.example")
    fields = testing.parse_query(octets)
    assert fields == (0x0100, name_from_text("www.example"), A, 1, 29, True, 0, 1232, False, ())
    assert testing.parse_query(b"") == ("short", None)
    answer = testing.accept_response(
        reply(octets), 0x1234, name_from_text("www.example"), A, edns=True, dnssec_ok=False
    )
    assert answer[0] == "response"
    assert answer[1][:5] == (0, False, reply(octets)[29:], 1, 0)
    whole, body_octets = testing.encode_response(octets, 0, body=reply(octets)[29:], ancount=1, limit=1232)
    assert body_octets == 16
    assert whole[29:45] == reply(octets)[29:]
    assert testing.encode_malformed(octets, 1)[:4] == b"\x12\x34\x81\x01"
    assert testing.encode_question(0x1234, octets[12:29], False, False, True) == octets
