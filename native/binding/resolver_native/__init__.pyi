"""The native data plane of exchange-resolver.

Times are monotonic seconds (`time.monotonic`) unless they say otherwise; names are in wire form, lower case,
with the root's zero octet; addresses are packed, 4 or 16 octets.  Nothing here raises for octets from the
network.  Every method may be called from any thread.  What only tests call is in `resolver_native.testing`.

A defect in what a query, an answer or a policy goes through is caught and counted (`Plane.counters`, panics),
and the call returns what does no harm: the query is Python's, nothing is known, nothing was kept.  It raises
RuntimeError where there is no such thing.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Literal, TypeAlias, final, overload

from typing_extensions import Buffer

__all__ = [
    "INTERFACE",
    "VERSION",
    "Cache",
    "Core",
    "ImageTable",
    "ListNames",
    "Octets",
    "Plane",
    "RecordLook",
    "Records",
    "SharedNames",
    "read_list_lines",
    "read_zone_pairs",
]

VERSION: str
"""That of the package this belongs to."""

INTERFACE: int
"""Number of what stands here: one more with every change.  A program takes no module with another one."""

_Hit: TypeAlias = tuple[str, str, str, str]
"""Kind, label, action and mode of a rule that spoke."""

_Tally: TypeAlias = tuple[
    Literal["udp", "tcp", "tls", "https", "quic", "h3"],
    str,
    str | None,
    str | None,
    str | None,
    _Hit | None,
    _Hit | None,
    int,
    float,
]
"""Transport, qtype, rcode, source, reason, the enforced and the shadow hit, count, sum of seconds."""

_Question: TypeAlias = tuple[bytes, int, bool, bool]
"""Name, type, DO and CD.  ValueError is raised for a name of no octets or of more than 255."""

_Link: TypeAlias = tuple[bytes, int, int]
"""One step of a chain: target, end in the body, answer records up to there."""

_Response: TypeAlias = tuple[
    int,
    bool,
    bytes,
    int,
    int,
    Sequence[int],
    Sequence[int],
    int,
    int,
    Sequence[_Link],
    Sequence[bytes],
    Sequence[bytes],
    bytes | None,
]
"""rcode, AD, body, ANCOUNT, NSCOUNT, the offsets of the TTLs in the body, the TTLs, negative (0: no,
1: NXDOMAIN, 2: NODATA), seconds it may be kept, links, service targets, addresses, name at the end (None:
qname)."""

_Entry: TypeAlias = tuple[_Response | None, float, float, float, float, tuple[int, str] | None]
"""Response, stored_at, expires_at, stale_until, failed_until, failure (its Extended DNS Error)."""

_Waiter: TypeAlias = tuple[bytes, bytes, bytes, float, int, str]
"""A client that waits: its query, its address, the route to it, when it asked, its transport's number, the
name that it gave itself."""

_Unreached: TypeAlias = Literal[
    "network",
    "no_socket",
    "stream",
    "malformed",
    "tls",
    "certificate_expired",
    "certificate_name",
    "certificate_untrusted",
    "certificate_pin",
]
"""Why an upstream was not reached, or its connection broke: no way there, no descriptor here, closed by the
other side, what came is no DNS, no handshake; a certificate out of date, of another name, of nobody who is
trusted; a key that is none of those pinned."""

_Handover: TypeAlias = tuple[
    _Question,
    int,
    int,
    int,
    bytes,
    bool,
    float,
    float,
    int,
    bytes | None,
    Literal["reply", "timeout", "abandoned", "held_back", "recalled"] | _Unreached,
    int | None,
    list[_Waiter],
]
"""An attempt that Python goes on with: question, number of the upstream set, number of the
upstream, ID, qname as sent, EDNS, sent_at, due_at, ticket, what came in (with the reason `reply`), reason,
how often it left (None: as often as it may), who waits.  `abandoned`: its thread ended, or met a defect;
nothing will come, and the upstream may be well.
`held_back`: nothing was sent, for connections came to nothing just now.  `recalled`: it is still out, by
`hand_over_all`."""

_Event: TypeAlias = (
    tuple[Literal["query"], bytes, bytes, bytes, int, str]
    | tuple[Literal["handover"], _Handover]
    | tuple[Literal["late"], int, bytes]
    | tuple[Literal["broken"], int, Literal["abandoned"] | _Unreached, int | None]
    | tuple[Literal["down"], int]
    | tuple[Literal["up"], int]
    | tuple[Literal["stream_down"], int]
    | tuple[Literal["stream_up"], int]
)
"""A query to answer (octets, address, route, number of the transport, the client's name); an attempt to go on
with; a datagram for an attempt handed over (ticket, octets); the socket of one broke, or its thread ended:
nothing will come, but its ticket is still to be closed; nobody reads a worker's sockets for now;
somebody does again; the same of a thread with streams."""

_Tls: TypeAlias = tuple[str, Sequence[bytes], bytes, bool]
"""What an upstream over TLS must show: a certificate of this name (empty: of its address; with pins: any), a
public key (SPKI) with one of these SHA-256 hashes (none: any); who vouches for it, certificates in PEM, and
whether these are trusted by themselves, too."""

_UpstreamServer: TypeAlias = tuple[str, int] | tuple[str, int, _Tls | None]
"""Numeric address and port: asked over UDP; with a third field over TLS; None: over TCP."""

_UpstreamReport: TypeAlias = tuple[int, int, int, float, list[int], float, tuple[int, int, int], bytes | None]
"""Number of the upstream; then queries sent (attempts handed over included), answers of use, the sum of their
seconds, their counts by bucket (12, bounds as in `forwarding.upstream`), the mean of their seconds (0.0:
none); of TLS the handshakes in full and the sessions resumed, and the connections there are now; the
certificate that it showed last (DER), told once."""

@final
class Cache:
    """The cache of both planes: `ResponseCache`'s rules, bounded in octets, for all threads."""

    def __new__(
        cls,
        octets_max: int,
        *,
        ttl_min_s: int = 0,
        ttl_max_s: int = 86_400,
        negative_ttl_max_s: int = 3600,
        stale_max_s: int = 86_400,
    ) -> Cache:
        """Empty; `octets_max` under 8 KiB: off.  Times in seconds."""

    def lookup(self, question: _Question, now: float) -> _Entry | None:
        """A copy of what is known: a fresh answer, a stale one, or a failure.  Counted as a hit or a miss."""

    def store(self, question: _Question, response: _Response, now: float) -> _Entry | None:
        """Keep an accepted answer; a copy of its entry, TTLs within bounds; None: it may not be kept.

        Raises ValueError for fields that contradict each other.
        """

    def store_failure(self, question: _Question, ede: tuple[int, str], now: float) -> _Entry:
        """Note that upstreams failed (RFC 9520); a copy of the entry it was noted on."""

    def snapshot(self, place: int, octets_max: int, now: float) -> tuple[int | None, bytes]:
        """Records of what is kept, from `place` on (0: the beginning), `octets_max` of them or a little more.

        And where to go on; None: that was all.  Their format is `resolver.cache.snapshot`'s.  It holds the
        lock of a part of the cache for some 20 µs at a time.
        """

    def load(self, octets: bytes, away_s: float, now: float) -> tuple[int, int]:
        """Keep what whole records say that were written `away_s` seconds ago; how many are kept, how many
        refused."""

    def flush(self, name: bytes, *, subtree: bool) -> int:
        """Forget all answers and failures of a name (wire form, lower case); how many.  Without the GIL.

        `subtree`: of all names under it, too.
        """

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

@final
class Core:
    """The request flow without sockets."""

    def __new__(
        cls,
        cache: Cache,
        *,
        allow: Sequence[tuple[bytes, int]],
        rate_limit_qps: int,
        records: Sequence[tuple[bytes, Sequence[bytes]]],
        tcp_idle_s: float,
        in_flight_max: int,
        waiters_max: int,
        waiting_max: int,
        query_records: Literal["none", "blocked", "all"] = "none",
        record_details: bool = False,
        record_octets: int = 1_048_576,
        rotate_addresses: bool = True,
        audit_secret: bytes | None = None,
        structured_errors: tuple[int, int, str, str] | None = None,
        resinfo: bytes = ...,
        nsid: bytes = ...,
        blocks_relay: bool = False,
        proxies: Sequence[tuple[bytes, int]] = ...,
        trusted_proxies: Sequence[tuple[bytes, int]] = ...,
        names_in_path: bool = False,
        names_below: str = "",
    ) -> Core:
        """A flow without policy or upstreams: until they are published it punts, or has nobody to ask.

        `allow`: networks, (address, prefix length).  `rate_limit_qps` 0: no limit.  `records`: names of this
        site and their addresses.  `in_flight_max`, `waiters_max`, `waiting_max`: questions in flight,
        clients per question, clients altogether.  `query_records`: which queries are recorded for
        `take_records`: those that a rule blocks, or would by a shadow rule; or every one.  `record_details`:
        with their answers, and why a name was blocked.  `record_octets`: room for the records of what
        `answer` answers.  `rotate_addresses`: whether the addresses of a kept
        answer take turns at its front.  `audit_secret`: what marks the queries of an audit, None: nothing.
        `structured_errors`: how clients that ask for it are told why a name
        is blocked: option code, sub-error, members `o` and `l` as JSON.  `resinfo`: RDATA of the RESINFO
        record at resolver.arpa; empty: there is none.  `nsid`: the name of this server, for clients that ask
        for it, at most 64 octets; empty: it is not told.  Raises ValueError for an address of another
        length, for a secret of under 16 octets, and for a longer `nsid`.  `blocks_relay`: the names by which
        browsers find a relay do not exist.  `proxies`: networks whose datagrams and connections must begin
        with a head of the PROXY protocol, version 2.  `trusted_proxies`: those whose `Forwarded` and
        `X-Forwarded-For` are believed over HTTPS.  `names_in_path`, `names_below`: where clients
        over HTTPS and TLS may name themselves: in the path, before this suffix of the server name.
        """

    def publish(
        self,
        path: str | PathLike[str],
        generation: int,
        wall: float,
        monotonic: float,
        nat64_prefixes: Sequence[tuple[bytes, int]] = ...,
    ) -> None:
        """Judge by the image in `path` from now on; `wall` (Unix seconds) is now, as `monotonic` is.

        `nat64_prefixes`: those of the network, (16 octets, bits), under which IPv6 addresses carry IPv4 ones.

        Maps the file and reads it whole, without the GIL; a file published last time is used as it is.
        Raises ValueError where it is unusable, or a prefix is none; the policy before it goes on.
        """

    def withdraw(self) -> None:
        """Judge by nothing from now on, until the next `publish`: every query is Python's."""

    def designate(self, name: bytes, rdatas: Sequence[bytes]) -> None:
        """Tell clients of these encrypted listeners from now on (RFC 9462): RDATA of SVCB, best first.

        `name`: this server's; below one of the site's own names they stand, too.
        """

    def publish_notifiers(self, addresses: Sequence[bytes]) -> None:
        """Leave the NOTIFY (RFC 1996) of these packed addresses to Python from now on.

        All others get NOTIMP.  Raises ValueError for what is no address.
        """

    def publish_upstreams(
        self,
        servers: Sequence[_UpstreamServer],
        sets: Sequence[tuple[bytes, int, bool, bool, float, float, int, tuple[int, str] | None]],
    ) -> None:
        """Whom to ask from now on.

        `servers`: every upstream that may be asked natively; the place is its number, and a number keeps its
        meaning for the life of the core.  `sets`: suffix (empty: the default), number
        of the upstream to ask first (-1: Python must ask), EDNS, whether its AD bit is believed, seconds to
        wait for it, when Python must ask from (another upstream is due to be measured), the letter case of
        names (0: lower; 1: mixed, and every reply is Python's; 2: mixed), and why all of the set are down, as
        an Extended DNS Error (None: they are not).  Raises ValueError for an address that is not numeric, a
        name, pin or authorities that are none, a letter case that is none of these, or a number that changed
        its meaning.
        """

    def answer(
        self, octets: bytes, address: bytes, transport: int, now: float, name: str = ""
    ) -> tuple[Literal[0, 1, 2, 3, 4], bytes]:
        """What becomes of one query; `transport`: 0 UDP, 1 TCP, 2 TLS, 3 HTTPS, 4 QUIC, 5 HTTP/3.

        `name`: the one that the client gave itself.

        0: send this message; 1: send nothing; 2: send nothing and close the connection; these are counted.
        3: nothing known answers it; 4: Python must answer it; these are not.
        """

    def tallies(self) -> list[_Tally]:
        """What was counted on all threads, in this core and in every plane over it."""

    def take_records(self) -> Records:
        """The records that wait, in this core and in every plane over it: a bounded part of each thread's.

        There may be more until nothing is taken.  Everything that is answered or dropped is recorded once,
        where the flow was made so; what is Python's is not.
        """

    def records_lost(self, *, only_blocked: bool) -> int:
        """Records that found no room in their thread's buffer.

        `only_blocked`: those that a rule blocked, or would have.
        """

    def late(self) -> dict[str, list[int]]:
        """By source: how many answers took how long, as buckets; index 0 is never used (`observe.tally`)."""

    def audited(self) -> int:
        """Queries of an audit: counted here, and in nothing else."""

    def enter(self, address: bytes, mark: int) -> int:
        """Give a query that Python asks a place to wait: 0; 1: it waits already; 2: its client has all.

        `mark`: of 64 bits, the same for the same query.  Raises ValueError for what is no address.
        """

    def leave(self, address: bytes, mark: int) -> None:
        """It waits no more."""

    @property
    def in_flight(self) -> int: ...
    @property
    def waiting(self) -> int: ...

@final
class Records:
    """Query records: of each thread in their order, thread by thread."""

    def __len__(self) -> int: ...
    def count(self, *, only_blocked: bool) -> int:
        """How many there are; `only_blocked`: that a rule blocked, or would have."""

    def written(
        self, look: RecordLook, offset_s: float, *, records_max: int | None = None
    ) -> tuple[bytes, int]:
        """What a reader gets, and of how many records; made without the GIL.

        `offset_s`: wall time less monotonic time.  `records_max`: no more than the first so many; None: all.
        """

@final
class RecordLook:
    """How one reader wants records: `observe.query_log` and `sinks.look` give the same octets."""

    def __new__(
        cls,
        record_format: Literal["text", "json", "jsonl", "dnstap", "syslog"],
        clients: Literal["hidden", "network", "full", "encrypted"],
        *,
        only_blocked: bool = False,
        key: bytes | None = None,
        head: bytes = ...,
    ) -> RecordLook:
        """`key`: of 32 octets, for `encrypted`.  `head`: what every record has in front, by its format.

        Raises ValueError for another word, or for a key that would hide nothing.
        """

@final
class Plane:
    """Threads and sockets over a core."""

    def __new__(
        cls,
        core: Core,
        sockets: Sequence[Sequence[tuple[int, bool, bool]]],
        *,
        sockets_per_upstream: int = 1024,
        sockets_max: int = 16_384,
        usable_ports: Sequence[int] = ...,
        events_max: int = 8192,
        memo_octets: int = 8_388_608,
        record_octets: int = 16_777_216,
        streams: Sequence[Sequence[tuple[int, int]]] = ...,
        stream_memo_octets: int = 4_194_304,
        connections_max: int = 1000,
        connections_per_client_max: int = 100,
        held_octets_max: int = 33_554_432,
        idle_s: float = 10.0,
        handshakes_per_s_max: int = 1000,
        handshakes_per_client_max: int = 100,
        https_streams_max: int = 100,
        https_header_octets_max: int = 16_384,
    ) -> Plane:
        """Nothing is read before `start`.

        `sockets`: worker by worker, the bound UDP sockets it serves: descriptor, whether it is IPv6, whether
        to carry the address asked from query to answer (for a wildcard address).  The descriptors stay the
        caller's; the sockets behind them become blocking, so whoever shares them must use MSG_DONTWAIT.
        Each socket gets a thread.  `sockets_per_upstream`: sockets that each thread picks from, for each
        upstream.  `sockets_max`: sockets towards upstreams that all threads may have open.  `usable_ports`:
        what they are bound to, at random; none: the kernel chooses.  `events_max`: events that may wait for
        `drain`; more are dropped and counted.
        `memo_octets`: of all the threads' memos of whole answers together, at most.  `record_octets`: of
        all the threads' records that wait together, where records are kept.

        `streams`: thread by thread, the bound and listening sockets whose connections it serves: number of
        the transport (1 TCP, 2 TLS, 3 HTTPS), descriptor.  They stay the caller's, and must not block.  Each
        of these threads has its own, of one address with SO_REUSEPORT; one for HTTPS has no others.
        `stream_memo_octets`: of their memos together.
        The rest bounds what all connections have: how many there are, those of one client (IPv6: of one
        /64), the octets they hold, seconds for which one may be quiet in an empty house, TLS sessions that
        begin in a second, those of one client, open requests of one HTTP/2 connection, octets of one
        request's headers.
        Raises OSError for a descriptor that is none, ValueError for over 256 sockets or another transport.
        """

    def start(self) -> None:
        """Begin to read.  Raises OSError when there is no room for a thread, RuntimeError the second time."""

    def stop_reading(self) -> None:
        """Take no more queries; who waits is still answered."""

    def pulse(self) -> int:
        """How many threads have done nothing since the last call; each looks at least every 0.1 seconds."""

    def set_certificates(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Serve these pairs of PEM chain and PEM key from now on; the first is the default, the others are
        found by the names in them.  Sessions that are there go on.

        All are taken, or none: then ValueError says why, and of which.  Before the first call every
        handshake fails.  Raises RuntimeError when closed.
        """

    def connections(self) -> tuple[list[tuple[str, int]], int]:
        """Open connections over each stream transport, by its label, and the octets that all hold."""

    def handshakes(self) -> tuple[list[tuple[str, str, str, bool, int]], list[tuple[str, int]]]:
        """What handshakes came to: transport, version, group, whether the session went on from an earlier
        one, how many; and how many failed for each reason.
        """

    def https_responses(self) -> list[tuple[int, int]]:
        """Every status that a request over HTTPS can get, and how many got it."""

    def hand_over_all(self) -> None:
        """Python goes on with every attempt in flight, soon, for the reason `recalled`."""

    def close(self) -> None:
        """End the threads and close every descriptor of the plane's own; what is in flight is lost."""

    def fileno(self) -> int:
        """A descriptor that is readable while events wait.  Raises RuntimeError when closed."""

    def drain(self, max: int = 256) -> list[_Event]:  # noqa: A002 -- short, and given by name
        """What happened, oldest first, at most `max` of it; news of workers come first and beside it."""

    def send(self, route: bytes, octets: bytes) -> bool:
        """Send an answer; whether the kernel took it.  Never waits.  Raises ValueError for no such route.

        An answer over a stream is always taken: it goes to the connection's own thread, if that is there.
        """

    def drop(self, route: bytes, *, close: bool = True) -> None:
        """There is no answer for this client.  Over a stream its query waits no more; `close`: a connection
        over TCP or TLS is closed, a request over HTTP reset.  Raises ValueError for no such route.
        """

    def claim(self, question: _Question) -> list[_Waiter] | None:
        """Python asks a question by itself: until `release` nobody is asked it natively.

        Whoever waited for it, if it was out: they are Python's now, and its attempt will be handed over,
        whatever becomes of it.  None: it was not.
        """

    def release(self, question: _Question) -> None:
        """Python is done with a question that it asked by itself."""

    def close_ticket(self, ticket: int) -> None:
        """Python is done with an attempt and its question: late replies are dropped, the next who asks the
        same is asked for natively again."""

    def upstream_reports(self) -> list[_UpstreamReport]:
        """What became of queries to upstreams since the last call."""

    def counters(self) -> dict[str, int]:
        """Running totals of what is rare, by name; they outlive `close`.

        ring_full, late_full (events dropped), proxy_head (datagrams refused for it), send_failed,
        receive_nobufs, receive_nomem, receive_refused, receive_error, punts, handovers, panics, restarts,
        opened, open_failures, late, unexpected, send_drops, streams_opened, streams_reused, streams_broken,
        streams_retried, streams_held_back, streams_unexpected, streams_late (towards upstreams),
        tickets_expired; of the core asked, coalesced, overloads; of streams the reasons why connections were
        refused or closed (`tcp_...`, `tls_...`, `https_...`, as `listeners.limits` and `observe.tally` have
        them).
        """

# Help for compiling policy; see `policy.native_lists` and `policy.name_table`.

@final
class ListNames(Sequence[bytes]):
    """Names in wire form, in little room."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: int, /) -> bytes: ...
    @overload
    def __getitem__(self, key: slice, /) -> Sequence[bytes]: ...
    def merged(self, lines: bytes, others: Sequence[tuple[int, bytes]]) -> tuple[ListNames, bytes]:
        """These names with others among them, by line; `lines` and the others' are in order."""

@final
class SharedNames:
    """Finds the names under which strangers have theirs."""

    def __new__(cls, known: Sequence[bytes], above: Sequence[bytes]) -> SharedNames:
        """`known`: names; `above`: top-level domains, every name directly under which counts."""

    def find_in(self, names: ListNames) -> list[bytes]:
        """Those of `names` that are known, or of two labels with the last one of `above`."""

@final
class Octets:
    """Octets that others may look at where they are."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class ImageTable:
    """The names of an image: gathers them, then is laid."""

    def __new__(cls, seed: int) -> ImageTable:
        """An empty table."""

    def add_names(
        self,
        class_id: int,
        names: Sequence[bytes],
        lines: Buffer,
        *,
        is_exception: bool,
        is_deep: bool,
    ) -> None:
        """Add names of one class, each with its line (32 bits).  Raises OverflowError when a limit is met."""

    def lay(self, ranks: Sequence[tuple[int, int, int, int]], marker_of: Callable[[int], int]) -> None:
        """Lay the table; nothing can be added afterwards.  Raises OverflowError when a limit is met."""

    @property
    def flags(self) -> int: ...
    @property
    def homes(self) -> int: ...
    @property
    def duplicates(self) -> dict[int, int]: ...
    @property
    def tags(self) -> Octets | None: ...
    @property
    def places(self) -> Octets | None: ...
    @property
    def blob(self) -> Octets | None: ...

def read_list_lines(
    list_format: str, chunk: bytes, first_line: int
) -> tuple[ListNames, bytes, list[tuple[int, bytes]]]:
    """Names of plain lines, their lines (32 bits each), and every other line with its number.

    Raises ValueError for a format that is not read here.
    """

def read_zone_pairs(text: bytes, suffix: bytes) -> ListNames | None:
    """The names of a stretch of a zone that is `x CNAME .` and `*.x CNAME .` from end to end, else None."""
