"""What only tests call: the native engine step by step, and faults on demand.

The functions hold both engines side by side; `Steps` plays the plane without sockets.  Words and units are
those of `resolver_native`.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypeAlias, final

from resolver_native import Cache, Core, Plane, _Question, _Response, _Waiter

__all__ = [
    "PolicyTable",
    "Steps",
    "accept_response",
    "encode_malformed",
    "encode_question",
    "encode_response",
    "https_rests",
    "panic_next",
    "panic_stream_thread",
    "panic_worker",
    "parse_query",
]

@final
class Steps:
    """What a thread of the plane does with a core, step by step; only IDs and letter case are by chance."""

    def __new__(cls, core: Core, *, seed: bytes | None = None) -> Steps:
        """`seed`: 32 octets that decide IDs and letter case.  Raises ValueError for one of another length."""

    def answer_batch(
        self, queries: Sequence[tuple[bytes, bytes]], now: float, *, transport: int = 0
    ) -> list[tuple[Literal[0, 1, 2, 3, 4], bytes]]:
        """What becomes of queries that came together: as `Core.answer`, a memo in front."""

    def ask(
        self, octets: bytes, address: bytes, now: float, token: int, *, transport: int = 0
    ) -> (
        tuple[Literal["send"], int, int, bytes]
        | tuple[Literal["joined"]]
        | tuple[Literal["reply"], bytes]
        | tuple[Literal["drop"]]
        | tuple[Literal["punt"]]
    ):
        """Ask a query that `Core.answer` left to be asked; `token` names the client.

        Send this message: (attempt, number of the upstream, octets); or somebody asks it already; or a limit
        is met and this is the reply; or Python must ask.
        """

    def on_response(
        self, attempt: int, octets: bytes, now: float
    ) -> (
        tuple[Literal["done"], list[tuple[int, bytes | None]], list[int]]
        | tuple[Literal["handover"], tuple[object, ...]]
    ):
        """Take a datagram for an attempt.

        It was the answer: (token, reply; None: nothing is sent) of each client, and the tokens of those whom
        Python must answer; or Python goes on, with tokens as routes.  Raises KeyError for no attempt of
        `ask`'s, or one that is over.
        """

    def overdue(self, attempt: int, now: float) -> tuple[object, ...]:
        """Give up an attempt whose time is up.  Raises as on_response, and ValueError too soon."""

    def claim(self, question: _Question) -> list[_Waiter] | None:
        """See `Plane.claim`; the routes are tokens."""

    def release(self, question: _Question) -> None:
        """See `Plane.release`."""

    def close_ticket(self, ticket: int) -> None:
        """Python is done with a question handed over by on_response or `overdue`."""

def https_rests(plane: Plane) -> int:
    """How often a connection over HTTPS was taken from the library because it was quiet."""

def panic_next(cache: Cache) -> None:
    """The next call of `cache`, or of a core over it or a plane over that, panics."""

def panic_worker(plane: Plane, worker: int) -> None:
    """The next query of each of this worker's threads panics."""

def panic_stream_thread(plane: Plane, thread: int) -> None:
    """The next query of this thread with streams panics."""

def parse_query(
    octets: bytes,
) -> (
    tuple[int, bytes, int, int, int, bool, int, int, bool, tuple[tuple[int, bytes], ...]]
    | tuple[str, int | None]
):
    """The fields of `wire.query.Query` after its octets, or reason and rcode of `Malformed`."""

def accept_response(
    octets: bytes,
    query_id: int,
    qname: bytes,
    qtype: int,
    *,
    edns: bool,
    dnssec_ok: bool,
    is_stream: bool = False,
) -> (
    tuple[Literal["response"], _Response]
    | tuple[Literal["truncated"]]
    | tuple[Literal["refused"], str, bool]
    | tuple[Literal["failure"], int, bool]
):
    """What an upstream's octets are as an answer to what was sent; `qname` in the case sent, class IN.

    Refused: reason, near miss.  Failure: rcode, EDNS refused.
    """

def encode_response(
    octets: bytes,
    rcode: int,
    *,
    body: bytes = b"",
    ancount: int = 0,
    nscount: int = 0,
    limit: int,
    ede: Sequence[tuple[int, str]] = [],
    options: Sequence[tuple[int, bytes]] = [],
    pads: bool = False,
    ra: bool = True,
    aa: bool = False,
    ad: bool = False,
    truncated: bool = False,
) -> tuple[bytes, int]:
    """The whole reply to the query `octets`, and how many octets of `body` are in it.

    Raises ValueError: no query.
    """

def encode_malformed(octets: bytes, rcode: int) -> bytes:
    """See `wire.encode.encode_malformed`."""

def encode_question(
    query_id: int, question: bytes, dnssec_ok: bool, checking_disabled: bool, edns: bool
) -> bytes:
    """See `wire.encode.encode_question`."""

_JudgedBy: TypeAlias = tuple[_Response, bool]
"""An answer, and whether the verdict on its question is that of a stream."""

_Verdict: TypeAlias = tuple[
    str,
    int | None,
    str | None,
    int | None,
    int | None,
    int,
    bytes | None,
    bool,
    float,
    int,
    "_Verdict | None",
]
"""Action, number of the rule, form of the match, where in the denied name its owner starts, number of the
shadow rule, exemption, denied name (None: qname), whether NXDOMAIN is no lie, valid_until, links kept, the
verdict over a stream."""

@final
class PolicyTable:
    """One policy at one time for one group of clients."""

    def __new__(
        cls, path: str | PathLike[str], generation: int, wall: float, monotonic: float, group: int = 0
    ) -> PolicyTable:
        """`wall` (Unix seconds) is `monotonic`.  Raises ValueError for an unusable image or group."""

    @property
    def is_filtering(self) -> bool: ...
    def judge_name(self, qname: bytes, now: float) -> _Verdict: ...
    def judge_response(
        self, qname: bytes, response: _Response, now: float, *, over_stream: bool = False
    ) -> _Verdict | None:
        """The judgement on an answer; None: the verdict on qname holds."""

    def answer(
        self,
        query: bytes,
        limit: int,
        judged_at: float,
        now: float,
        *,
        response: _JudgedBy | None = None,
        kept: tuple[bytes, int] | None = None,
        structured: tuple[int, int, str, str] | None = None,
    ) -> tuple[Literal["written", "drop", "redirect"], bytes]:
        """The policy's answer to a query that is judged by its name, or by an answer to it.

        `structured`: as the `structured_errors` of `Core`.
        """
