"""The language of plays: YAML -> frozen steps, anything unknown refused.

Knows: which words a play may use.  Does not know: how they are played (`scenario_engine`).
A typo in a play must never make a check vacuous, so every key is declared here, and what a play does not
mention is expected to be absent (no answer records, no EDE, no hits).

A play:

    title: what it shows, as a claim
    fails_without_cache: true        # it is also run with a cache of zero octets, and must fail
    cases: [{type: A}, {type: TXT}]  # played once for each, `$type` replaced in the whole text
    settings: {...}                  # see `PlaySettings`
    blocklist: |                     # the text of a blocklist.yaml; absent: one that blocks nothing
    files: {ads.txt: "..."}          # list files beside it
    steps:
      - query: {name: www.example.org, type: A}        # see `QueryStep`; `expect` for an answer at once
      - upstream: {asks: www.example.org A, reply: {answer: ["@ 300 A 192.0.2.1"]}}
      - expect: {rcode: NOERROR, source: upstream, answer: ["@ 300 A 192.0.2.1"]}
      - advance: 10                  # seconds; timers on the way fire
      - no_upstream: true            # nothing has been asked that is not handled above
      - silent: true                 # the last query has no answer yet (or its name: `silent: q1`)
      - reload: |                    # the text of a new blocklist
      - nat64: ["2001:db8:64::/96"]  # the network's NAT64 prefixes are these from now on
      - scan: 100                    # names scan1.example.net and on are asked once each and answered
      - flood: 100                   # names flood1.example.net and on are asked once each; nothing answers
      - counts: {upstream_queries: 1}

In records, `@` is the name asked.  Queries are named by `as`, or q1, q2, ... in order.
"""

from __future__ import annotations

from string import Template
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

RcodeName = Literal["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "BADVERS", "YXDOMAIN"]
Wrong = Literal[
    "id", "qname", "qtype", "qclass", "case", "lowered", "qr", "opcode", "qdcount0", "qdcount2", "broken",
    "garbage", "bare", "short", "other_port",
]  # fmt: skip
"""How a reply is spoilt; `lowered`: its question is in lower case; `broken`: behind the right question stands
nothing that can be read; `bare`: it is a header alone; `other_port`: it comes from where nobody was asked, so the
network drops it."""


class PlayError(Exception):
    """A play that cannot be read."""


class Word(BaseModel):
    """Base of all: frozen, unknown keys refused, no coercion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Edns(Word):
    """A client's OPT record."""

    version: int = 0
    size: int = 1232
    do: bool = False
    options: dict[int, str] = Field(default_factory=dict)
    """Code -> octets in hex."""


class Answer(Word):
    """What a client must have got.  Always checked besides: ID, question, RD, CD, OPT, size, AA=0."""

    of: str | None = None
    """Which query; absent: the last."""
    rcode: RcodeName
    source: Literal["policy", "cache", "stale", "upstream", "local"]
    answer: list[str] = Field(default_factory=list)
    """All answer records in order."""
    soa: str | None = None
    """`OWNER TTL MINIMUM` of the one SOA in the authority section."""
    authority: list[str] = Field(default_factory=list)
    """All other authority records in order."""
    ede: list[int] = Field(default_factory=list)
    ede_text: str | None = None
    """Part of the first EDE's text."""
    options: list[int] = Field(default_factory=list)
    """EDNS options besides EDE."""
    tc: bool = False
    ad: bool = False
    ra: bool = True
    octets_max: int = 65535
    hits: list[str] = Field(default_factory=list)
    """What it counts: `exchange ID ACTION MODE` or `list NAME ACTION MODE`."""
    question_kept: bool = True
    """False: a reply of header only."""


class Dropped(Word):
    """A client must have got nothing, for this reason."""

    of: str | None = None
    reason: str
    close: bool = True
    hits: list[str] = Field(default_factory=list)


class QueryStep(Word):
    """One query, or `times` of the same from as many clients."""

    as_: str | None = Field(default=None, alias="as")
    name: str = "www.example.org"
    type: str = "A"
    class_: str = Field(default="IN", alias="class")
    rd: bool = True
    cd: bool = False
    ad: bool = False
    z: bool = False
    opcode: int = 0
    edns: Edns | None = None
    transport: Literal["udp", "tcp", "tls", "https"] = "udp"
    client: str = "192.0.2.77"
    octets: str | None = None
    """The whole query in hex instead of the above."""
    times: int = 1
    expect: Answer | None = None
    dropped: Dropped | None = None


class Reply(Word):
    """What an upstream sends back."""

    rcode: RcodeName = "NOERROR"
    answer: list[str] = Field(default_factory=list)
    authority: list[str] = Field(default_factory=list)
    additional: list[str] = Field(default_factory=list)
    tc: bool = False
    ad: bool = False
    edns: bool = True
    """Put an OPT if the query had one."""
    wrong: Wrong | None = None
    after_s: float = 0.0


class Doing(Word):
    """What becomes of an upstream query; exactly one of these."""

    reply: Reply | None = None
    replies: list[Reply] | None = None
    error: (
        Literal["network", "stream", "tls", "http", "bootstrap", "certificate_name", "certificate_expired"]
        | None
    ) = None
    silence: bool = False
    keep: str | None = None
    """Left open under this name, for a later `late`."""

    @model_validator(mode="after")
    def _is_one(self) -> Doing:
        chosen = [self.reply, self.replies, self.error, self.silence or None, self.keep]
        if sum(choice is not None for choice in chosen) != 1:
            raise ValueError("exactly one of reply, replies, error, silence, keep")
        return self


class UpstreamStep(Doing):
    """The oldest upstream query not handled yet must be this one."""

    asks: str
    """`NAME TYPE`."""
    server: str | None = None
    """`udp://192.0.2.53:53`; absent: any."""
    do: bool = False
    cd: bool = False
    edns: bool = True
    stream: bool = False
    lower: bool | None = None
    """Whether the name must be, or must not be, in lower case altogether."""


class LateStep(Word):
    """A kept upstream query is replied to now."""

    of: str
    reply: Reply
    dropped: bool = False
    """True: nobody may be waiting for it any more."""


class Counts(Word):
    """Totals since the play began."""

    upstream_queries: int | None = None
    upstream_dropped: int | None = None
    """Replies that came when nobody waited, or from elsewhere."""
    cache_entries: int | None = None
    coalesced: int | None = None
    in_flight: int | None = None
    waiting: int | None = None
    defects: int | None = None
    hits: dict[str, int] | None = None
    """All of them: `exchange ID ACTION MODE` -> count."""


class Step(Word):
    """One step; exactly one key."""

    query: QueryStep | None = None
    expect: Answer | None = None
    dropped: Dropped | None = None
    upstream: UpstreamStep | None = None
    late: LateStep | None = None
    no_upstream: Literal[True] | None = None
    silent: Literal[True] | str | None = None
    advance: int | float | None = None
    scan: int | None = None
    flood: int | None = None
    reload: str | None = None
    nat64: list[str] | None = None
    counts: Counts | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Step:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a step is one thing, not {sorted(self.model_fields_set)}")
        return self


class PlaySettings(Word):
    """What differs from the server's defaults."""

    servers: list[str] = Field(default=["udp://192.0.2.53:53"])
    trusted: list[str] = Field(default_factory=list)
    """Servers whose AD bit is believed."""
    unreachable: list[str] = Field(default_factory=list)
    """Servers to which nothing can be sent."""
    strategy: Literal["ordered", "fastest", "parallel", "random"] = "ordered"
    parallel: int = 2
    hedge_percent: int = 0
    measured_s: dict[str, float] = Field(default_factory=dict)
    """Servers that gave 200 answers before the play, each in so many seconds."""
    forward: dict[str, list[str]] = Field(default_factory=dict)
    records: dict[str, list[str]] = Field(default_factory=dict)
    letter_case: dict[str, Literal["auto", "mixed", "lower"]] = Field(default_factory=dict)
    case_shown: bool = True
    """Whether the upstreams have found names in mixed case before."""
    nat64_prefixes: list[str] = Field(default_factory=list)
    timeout_s: float = 2.0
    in_flight_max: int = 4096
    waiters_max: int = 16_384
    allow: list[str] = Field(default=["192.0.2.0/24", "2001:db8::/32"])
    rate_limit_qps: int = 0
    cache_octets: int = 4 << 20
    ttl_min_s: int = 0
    ttl_max_s: int = 86400
    negative_ttl_max_s: int = 3600
    stale_max_s: int = 86400
    rotate_addresses: bool = False
    """Off, as most plays are not about the order of records."""
    wall: str = "2026-01-01T00:00:00+00:00"
    """Wall time at the start."""


class Play(Word):
    """One play, its templates filled in."""

    title: str
    fails_without_cache: bool = False
    settings: PlaySettings = Field(default_factory=PlaySettings)
    blocklist: str = "version: 1\nexchanges: {}\n"
    files: dict[str, str] = Field(default_factory=dict)
    steps: list[Step] = Field(min_length=1)


class _StrictLoader(yaml.CSafeLoader):
    """YAML in which a key given twice is an error."""


def _mapping(loader: yaml.CSafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    seen = [loader.construct_object(key, deep=True) for key in keys]
    doubled = {key for key in seen if seen.count(key) > 1}
    if doubled:
        raise PlayError(f"line {node.start_mark.line + 1}: given twice: {sorted(map(str, doubled))}")
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _load(text: str) -> dict[str, Any]:
    tree = yaml.load(text, Loader=_StrictLoader)
    if not isinstance(tree, dict):
        raise PlayError("a play is a mapping")
    return tree


def read_plays(text: str) -> list[tuple[str, Play]]:
    """The plays of one file by the name of their case ("" without cases); PlayError says what is wrong."""
    cases = _load(text).get("cases")
    if cases is None:
        return [("", _read_play(text, {}))]
    if not isinstance(cases, list) or not cases or not all(isinstance(case, dict) for case in cases):
        raise PlayError("cases is a list of mappings")
    return [("-".join(map(_label, case.values())), _read_play(text, case)) for case in cases]


def _label(value: object) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in str(value))[:30]


def _read_play(text: str, case: dict[str, Any]) -> Play:
    template = Template(text)
    unused = case.keys() - set(template.get_identifiers())
    if unused:
        raise PlayError(f"cases: never used: {sorted(unused)}")
    try:
        tree = _load(template.substitute(case) if case else text)
    except KeyError as missing:
        raise PlayError(f"cases: {missing} has no value") from None
    tree.pop("cases", None)
    try:
        return Play.model_validate(tree)
    except ValidationError as error:
        raise PlayError(str(error)) from None
