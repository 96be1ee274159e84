"""The native data plane as the rest of the package sees it: what it is called with, what it says.

Knows: the words of the compiled module `resolver_native`, whose stub file is the manual.  Does not know:
whether it is installed, nor anything that Python decides.
Theory: octets and integers cross the line, objects do not.  Who uses the plane is written against these
protocols, so that it can be tested, and type-checked, where nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

INTERFACE: Final = 17
"""Number of what the stub file says: one more with each change, here and in `native/binding/src/lib.rs`."""

THREADS: Final = "dns-"
"""What the names of the plane's threads begin with, for the kernel and who looks at it."""

RESPOND, DROP, DROP_AND_CLOSE, ASK, PUNT = range(5)
"""What `Core.answer` says of a query; the first three are counted there, the others are Python's."""

UNSEEN = 5
"""What a `NativeGates` says where it leaves a query to Python without a look at it."""

HitFields = tuple[str, str, str, str]
"""Kind, label, action and mode of a rule that spoke."""

TallyFields = tuple[
    str, str, str | None, str | None, str | None, HitFields | None, HitFields | None, int, float
]
"""Transport, qtype, rcode, source, reason, the enforced and the shadow hit, count, sum of seconds."""

QuestionFields = tuple[bytes, int, bool, bool]
"""The fields of a `wire.question.Question`."""

ResponseFields = tuple[Any, ...]
"""A response: see `cache.native_cache`, which makes and reads them."""

EntryFields = tuple[ResponseFields | None, float, float, float, float, tuple[int, str] | None]
"""A cache entry: response, stored_at, expires_at, stale_until, failed_until, failure."""

UpstreamReport = tuple[int, int, int, float, list[int], float, tuple[int, int, int], bytes | None]
"""Number of the upstream; then, since the last report: queries, answers, the sum of their seconds, their
buckets, the mean round-trip time; handshakes of TLS in full, sessions resumed, and the connections there are
now; the certificate it showed last (DER; None: none since)."""

TlsFields = tuple[str, Sequence[bytes], bytes, bool]
"""How an upstream is known over TLS: the name in its certificate (empty: none), SHA-256 of the keys of which
it must have one (none: any), the certificates of authorities in PEM, whether these are the operator's own."""

UpstreamServerFields = tuple[str, int] | tuple[str, int, TlsFields | None]
"""Numeric address and port of an upstream: asked over UDP; with a third field over TLS, or, if that is None,
over TCP."""

UpstreamSetFields = tuple[bytes, int, bool, bool, float, float, int, tuple[int, str] | None]
"""Suffix (empty: default), first upstream's number (-1: Python must ask), EDNS, trust_ad, attempt timeout in
seconds, monotonic seconds from which Python must ask (a probe is due), letter case of names (0: lower; 1:
mixed, and Python judges what comes; 2: mixed), why all of the set are down (None: they are not)."""


class Waiting(NamedTuple):
    """One client that waits for a question that was handed over."""

    octets: bytes
    """Its query, whole."""
    address: bytes
    """Packed: 4 or 16 octets."""
    route: bytes
    """Where its answer is to go, for `Plane.send`."""
    asked_at: float
    transport: int
    """Its number, see `flow.peer`."""
    name: str
    """The one that it gave itself; empty: none."""


WaitingFields = tuple[bytes, bytes, bytes, float, int, str]
"""The fields of `Waiting`."""


class Handover(NamedTuple):
    """An attempt whose outcome Python must judge, and all who wait for it."""

    question: QuestionFields
    set_index: int
    upstream: int
    id: int
    qname_as_sent: bytes
    edns: bool
    sent_at: float
    due_at: float
    ticket: int
    octets: bytes | None
    """What came in; None: nothing did."""
    reason: str
    """`reply`, `timeout`, or a word of `upstream.FAILURE_REASONS`: nothing got there, the connection broke or
    brought no DNS; `abandoned`: the plane gave the attempt up, for no fault of the upstream's; `held_back`:
    nothing was sent, for connections came to nothing just now; `recalled`: Python called for all of them."""
    sends: int | None
    """How often the query left, where nothing more will come; None: as often as it may."""
    waiters: list[WaitingFields]


class NativeCacheCore(Protocol):
    """`resolver_native.Cache`: the cache of both planes."""

    @property
    def entries(self) -> int: ...
    @property
    def octets(self) -> int: ...
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def evictions(self) -> int: ...

    def lookup(self, question: QuestionFields, now: float) -> EntryFields | None: ...

    def store(self, question: QuestionFields, response: ResponseFields, now: float) -> EntryFields | None: ...

    def store_failure(self, question: QuestionFields, ede: tuple[int, str], now: float) -> EntryFields: ...

    def snapshot(self, place: int, octets_max: int, now: float) -> tuple[int | None, bytes]:
        """Records from `place` on (0: the beginning), as `cache.snapshot` has them; where to go on (None:
        that was all)."""

    def load(self, octets: bytes, away_s: float, now: float) -> tuple[int, int]:
        """Keep what whole records say that were written `away_s` ago; how many are kept, how many refused."""

    def flush(self, name: bytes, *, subtree: bool) -> int: ...


class NativeGates(Protocol):
    """Answers what it can before Python is asked; a query it answers or drops is counted already."""

    def answer(
        self, octets: bytes, address: bytes, transport: int, now: float, name: str = ""
    ) -> tuple[int, bytes]:
        """One of the words above, and with RESPOND the whole message; `transport` by its number.

        `name`: the one that the client gave itself.
        """


class Records(Protocol):
    """`resolver_native.Records`: query records that the plane has kept."""

    def __len__(self) -> int: ...

    def count(self, *, only_blocked: bool) -> int:
        """How many there are; `only_blocked`: that a rule blocked, or would by a shadow rule."""

    def written(self, look: Any, offset_s: float, *, records_max: int | None = None) -> tuple[bytes, int]:
        """What a reader gets who wants them to look so, and of how many records that is; without the GIL.

        `records_max`: no more than the first so many; None: all.
        """


class Core(NativeGates, Protocol):
    """`resolver_native.Core`: the request flow without sockets."""

    @property
    def in_flight(self) -> int: ...
    @property
    def waiting(self) -> int: ...

    def publish(
        self,
        path: str,
        generation: int,
        wall: float,
        monotonic: float,
        nat64_prefixes: Sequence[tuple[bytes, int]] = (),
    ) -> None:
        """Judge by the image in `path` from now on.  Raises ValueError: unusable, the old one serves on.

        `nat64_prefixes`: those of the network, (16 octets, bits).
        """

    def enter(self, address: bytes, mark: int) -> int:
        """Give a query that Python asks a place to wait; see `flow.shares`."""

    def leave(self, address: bytes, mark: int) -> None:
        """It waits no more."""

    def withdraw(self) -> None:
        """Judge by nothing from now on, until the next `publish`: every query is Python's."""

    def publish_notifiers(self, addresses: list[bytes]) -> None:
        """Leave the NOTIFY of these packed addresses to Python from now on."""

    def designate(self, name: bytes, rdatas: list[bytes]) -> None:
        """Tell clients of these encrypted listeners from now on; see `LocalNames.designate`."""

    def publish_upstreams(
        self, servers: list[UpstreamServerFields], sets: list[UpstreamSetFields]
    ) -> None: ...

    def tallies(self) -> list[TallyFields]: ...

    def take_records(self) -> Records:
        """Records that wait, a bounded part of each thread's; none: there are none."""

    def records_lost(self, *, only_blocked: bool) -> int:
        """Records that found no room; `only_blocked`: that a rule blocked, or would by a shadow rule."""

    def late(self) -> dict[str, list[int]]: ...

    def audited(self) -> int:
        """Queries of an audit: nothing else counts them."""


class Plane(Protocol):
    """`resolver_native.Plane`: threads and sockets over a core."""

    def start(self) -> None: ...

    def stop_reading(self) -> None: ...

    def close(self) -> None: ...

    def fileno(self) -> int: ...

    def drain(self, max: int = ...) -> list[Any]:  # noqa: A002 -- the module's own word
        """What happened, oldest first, at most `max` of it: tuples whose first field is a word."""

    def send(self, route: bytes, octets: bytes) -> bool: ...

    def drop(self, route: bytes, *, close: bool = ...) -> None:
        """There is no answer for a client on a stream; `close`: its connection ends, its request is reset."""

    def claim(self, question: QuestionFields) -> list[WaitingFields] | None:
        """See `forwarder.NativeClaims`."""

    def release(self, question: QuestionFields) -> None: ...

    def close_ticket(self, ticket: int) -> None: ...

    def upstream_reports(self) -> list[UpstreamReport]: ...

    def counters(self) -> dict[str, int]: ...


class OwnPlane(Plane, Protocol):
    """What its owner can do besides: end it."""

    def hand_over_all(self) -> None:
        """Hand over every attempt in flight, soon, for the reason `recalled`."""

    def pulse(self) -> int:
        """How many threads have done nothing since the last call."""

    def set_certificates(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Serve these pairs of PEM chain and PEM key from now on; the first is the default.

        Sessions that are there go on.  Raises ValueError with the reason; then nothing has changed.
        """

    def connections(self) -> tuple[list[tuple[str, int]], int]:
        """Open connections over each stream transport, by its label, and the octets that all hold."""

    def handshakes(self) -> tuple[list[tuple[str, str, str, bool, int]], list[tuple[str, int]]]:
        """What handshakes came to: transport, version, group, whether resumed, count; failures by reason."""

    def https_responses(self) -> list[tuple[int, int]]:
        """Every status that a request over HTTPS can get, and how many got it."""


class NativeModule(Protocol):
    """The module itself."""

    VERSION: str
    INTERFACE: int
    Cache: Any
    Core: Any
    Plane: Any
    RecordLook: Any
