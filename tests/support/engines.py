"""The two engines behind one face: what vectors, plays and fuzz corpora are held against.

Knows: the package's own functions, those of `resolver_native`, and which field of one is which of the other.
Does not know: what is right.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from resolver.cache.native_cache import fields_of, response_of
from resolver.policy.image import Image
from resolver.policy.table import PolicyTable
from resolver.wire import encode, query, response
from resolver.wire.names import is_at_or_below
from resolver.wire.numbers import Rcode
from resolver.wire.query import Malformed, Query
from resolver.wire.response import Refused, Response, SentQuery, Truncated, UpstreamFailure
from scripts.make_policy_vectors import (
    answer_fact,
    judgement_on,
    verdict_fact,
)
from scripts.make_policy_vectors import (
    response_of as response_of_fact,
)

Fact = dict[str, Any]
Accepted = Response | Refused | Truncated | UpstreamFailure

ENGINES = ("python", "native")
MODULE = "resolver_native"


class Table(Protocol):
    """One policy at one time for one group of clients, asked in the words of `tests/vectors/policy.yaml`."""

    is_filtering: bool

    def verdict(self, qname: bytes) -> Fact: ...

    def judgement(self, fact: Fact) -> Fact | None:
        """On the answer that `fact` tells of; None: the verdict on its name holds."""

    def answer(self, fact: Fact, response: Fact | None) -> str | None:
        """The message, in hex; None for none, `redirect` for one that leads elsewhere.

        Judged is the name in the query, or `response`.
        """

    def expected(self, fact: Fact, qname: bytes) -> Fact:
        """What `verdict` says where the vectors say `fact`."""


class Engine(Protocol):
    """What both engines can be asked."""

    name: str
    module: Any
    """`resolver_native`; None: there is none in it."""

    def parse_query(self, octets: bytes) -> Query | Malformed: ...

    def encode_malformed(self, octets: bytes, rcode: int) -> bytes: ...

    def encode_response(self, asked: Query, rcode: int, *, limit: int, **facts: Any) -> bytes: ...

    def accept_response(self, octets: bytes, sent: SentQuery) -> Accepted: ...

    def table(self, image: Path, wall: float, monotonic: float, group: int) -> Table: ...


class PythonEngine:
    """The package itself."""

    name = "python"
    module = None
    parse_query = staticmethod(query.parse_query)
    encode_malformed = staticmethod(encode.encode_malformed)
    accept_response = staticmethod(response.accept_response)

    def encode_response(self, asked: Query, rcode: int, *, limit: int, **facts: Any) -> bytes:
        return encode.encode_response(asked, rcode, limit=limit, **facts)

    def table(self, image: Path, wall: float, monotonic: float, group: int) -> PythonTable:
        return PythonTable(image, wall, monotonic, group)


class PythonTable:
    """See `Table`."""

    def __init__(self, path: Path, wall: float, monotonic: float, group: int) -> None:
        self._image = Image(path)
        self._image.verify()
        self._table = PolicyTable(self._image, 1, wall, monotonic, group)
        self._now = monotonic
        self.is_filtering = self._table.is_filtering

    def verdict(self, qname: bytes) -> Fact:
        return verdict_fact(self._image, self._table.judge_name(qname, self._now))

    def judgement(self, fact: Fact) -> Fact | None:
        verdict, judgement = judgement_on(self._table, fact, self._now)
        return None if judgement is verdict else verdict_fact(self._image, judgement)

    def answer(self, fact: Fact, response: Fact | None) -> str | None:
        asked = query.parse_query(bytes.fromhex(fact["query"]))
        assert isinstance(asked, Query)
        if response is None:
            verdict = self._table.judge_name(asked.qname, self._now)
        else:
            _, verdict = judgement_on(self._table, response, self._now)
        return answer_fact(self._table, asked, verdict, fact, self._now)

    def expected(self, fact: Fact, qname: bytes) -> Fact:
        return fact


class NativeEngine:
    """The native module."""

    name = "native"

    def __init__(self, module: Any) -> None:
        self.module = module
        self._testing: Any = testing_of(module)

    def parse_query(self, octets: bytes) -> Query | Malformed:
        fields = self._testing.parse_query(octets)
        if len(fields) == 2:
            reason, rcode = fields
            return Malformed(reason, None if rcode is None else Rcode(rcode))
        return Query(octets, *fields)

    def encode_malformed(self, octets: bytes, rcode: int) -> bytes:
        message: bytes = self._testing.encode_malformed(octets, rcode)
        return message

    def encode_response(
        self,
        asked: Query,
        rcode: int,
        *,
        limit: int,
        ede: Sequence[tuple[int, str]] = (),
        options: Sequence[tuple[int, bytes]] = (),
        **facts: Any,
    ) -> bytes:
        message: bytes
        message, _ = self._testing.encode_response(
            asked.octets, rcode, limit=limit, ede=list(ede), options=list(options), **facts
        )
        return message

    def accept_response(self, octets: bytes, sent: SentQuery) -> Accepted:
        assert sent.qclass == 1
        facts = {"edns": sent.edns, "dnssec_ok": sent.dnssec_ok, "is_stream": sent.is_stream}
        word, *fields = self._testing.accept_response(octets, sent.id, sent.qname, sent.qtype, **facts)
        match word:
            case "response":
                return response_of(sent.qname.lower(), fields[0])
            case "truncated":
                return Truncated()
            case "refused":
                return Refused(*fields)
            case _:
                return UpstreamFailure(*fields)

    def table(self, image: Path, wall: float, monotonic: float, group: int) -> NativeTable:
        return NativeTable(self._testing, image, wall, monotonic, group)


class NativeTable:
    """See `Table`."""

    def __init__(self, testing: Any, path: Path, wall: float, monotonic: float, group: int) -> None:
        self._table = testing.PolicyTable(path, 1, wall, monotonic, group)
        self._now = monotonic
        self.is_filtering: bool = self._table.is_filtering

    def verdict(self, qname: bytes) -> Fact:
        return _fact_of(self._table.judge_name(qname, self._now), qname)

    def judgement(self, fact: Fact) -> Fact | None:
        qname, over_stream = bytes.fromhex(fact["qname"]), fact.get("over_stream", False)
        sent = fields_of(response_of_fact(fact))
        verdict = self._table.judge_response(qname, sent, self._now, over_stream=over_stream)
        return None if verdict is None else _fact_of(verdict, qname)

    def answer(self, fact: Fact, response: Fact | None) -> str | None:
        heard = None
        if response is not None:
            heard = (fields_of(response_of_fact(response)), response.get("over_stream", False))
        word, message = self._table.answer(
            bytes.fromhex(fact["query"]),
            fact["limit"],
            self._now,
            self._now + fact["later_s"],
            response=heard,
            kept=(bytes.fromhex(fact["kept"][0]), fact["kept"][1]) if "kept" in fact else None,
            structured=tuple(fact["structured"]) if "structured" in fact else None,
        )
        answer: str | None = {"written": message.hex(), "redirect": "redirect", "drop": None}[word]
        return answer

    def expected(self, fact: Fact, qname: bytes) -> Fact:
        """The owner is told by where it stands in the denied name; where it does not, that is the whole name."""
        changed = dict(fact)
        base = bytes.fromhex(fact["denied"]) if "denied" in fact else qname
        if "owner" in fact and (
            fact["form"] is None or not is_at_or_below(base, bytes.fromhex(fact["owner"]))
        ):
            changed["owner"] = base.hex()
        if changed.get("denied") == qname.hex():
            del changed["denied"]  # the question's own name is denied by saying nothing
        if "over_stream" in fact:
            changed["over_stream"] = self.expected(fact["over_stream"], qname)
        return changed


def _fact_of(fields: tuple[Any, ...], qname: bytes) -> Fact:
    action, rule, form, owner_at, shadow, exemption, denied, nxdomain_ok, until, kept_links, stream = fields
    fact: Fact = {"action": action}
    if rule is not None:
        fact |= {"rule": rule, "form": form, "owner": (denied or qname)[owner_at:].hex()}
    facts = {
        "shadow": shadow,
        "exemption": exemption or None,
        "denied": denied.hex() if denied is not None and denied != qname else None,
        "nxdomain_ok": nxdomain_ok or None,
        "valid_until": None if until == float("inf") else until,
        "kept_links": kept_links or None,
        "over_stream": None if stream is None else _fact_of(stream, qname),
    }
    return fact | {key: value for key, value in facts.items() if value is not None}


def testing_of(module: Any) -> Any:
    """What only tests call of `resolver_native`."""
    return importlib.import_module(f"{module.__name__}.testing")


def engine_called(name: str) -> Engine:
    """The engine of this name; skips the test where it is not built."""
    if name == "python":
        return PythonEngine()
    try:
        return NativeEngine(importlib.import_module(MODULE))
    except ImportError:
        pytest.skip(f"{MODULE} is not built")
