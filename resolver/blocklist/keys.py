"""The keys of `blocklist.yaml`, as written: what each means, takes and defaults to.

Knows: the shape of the file.  Does not know: what the values amount to together (`properties`,
`blocklist`).  Names and addresses are opaque here: a file may hold a million, and `entries` reads
them one by one.
Everything takes effect as soon as the file is reloaded.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from resolver.config.yamlmodel import Section
from resolver.config.yamlmodel import setting as _setting
from resolver.config.yamlmodel import text_setting as _text_setting
from resolver.problems import show

ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
"""Ids of exchanges, orders and lists: they are metric labels and file names."""

ID_FORM = "1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"

TTL_S_MAX = 86_400
"""Longest TTL of a blocked answer: a mistaken block must not outlive a day in caches."""

CHANGE_PERCENT_MAX = 1_000_000
"""Most that a list may be allowed to change: it may grow ten thousandfold, so nothing is refused."""

CONTACT_CHARS_MAX = 100
"""Half of the 200 octets that an answer's text may have."""

_RELOAD = "on reload"


def setting(default: Any, doc: str, **keywords: Any) -> Any:
    """Declare a key that takes effect on reload."""
    return _setting(default, doc, applies=_RELOAD, **keywords)


def text_setting(default: Any, doc: str, *, longest: int) -> Any:
    """Declare a text that takes effect on reload."""
    return _text_setting(default, doc, longest=longest, applies=_RELOAD)


def _ipv4_from(value: object) -> IPv4Address:
    try:
        return IPv4Address(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{show(value)} is not an IPv4 address; write it as '192.0.2.1'") from None


def _ipv6_from(value: object) -> IPv6Address:
    try:
        address = IPv6Address(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(
            f"{show(value)} is not an IPv6 address; write it in quotes, as '2001:db8::1'"
        ) from None
    if address.scope_id:
        raise ValueError(f"{show(value)}: addresses with a zone (%) mean nothing in a DNS answer")
    return address


def _one_line(value: object) -> object:
    """Refuse control characters: the texts end up in DNS answers, logs and metrics."""
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{show(value)} holds characters that cannot be printed")
    return value


def _is_moment(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{show(value)} is not a date; write 2026-01-31, or 2026-01-31T12:00:00+01:00")
    return value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


OneLine = Annotated[str, BeforeValidator(_one_line)]
Moment = Annotated[
    str | None,
    PlainValidator(_is_moment),
    WithJsonSchema({"type": ["string", "null"], "examples": ["2026-01-31", "2026-01-31T12:00:00+01:00"]}),
]
IPv4Text = Annotated[
    IPv4Address,
    PlainValidator(_ipv4_from),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "ipv4"}),
]
IPv6Text = Annotated[
    IPv6Address,
    PlainValidator(_ipv6_from),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "ipv6"}),
]
OrderIds = Annotated[
    tuple[str, ...],
    Field(strict=False),
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Urls = Annotated[
    tuple[OneLine, ...] | None,
    Field(strict=False),
    BeforeValidator(_as_list),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
    ),
]
NameEntries = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "examples": [["x.example", "=login.example", "*.cdn.example"]],
        }
    ),
]
NetworkEntries = Annotated[
    Any, WithJsonSchema({"type": "array", "items": {"type": "string"}, "examples": [["203.0.113.0/28"]]})
]

ActionWord = Literal["nxdomain", "nodata", "sinkhole", "refused", "drop"]
EdeWord = Literal["auto", "blocked", "censored", "filtered"]
ModeWord = Literal["enforce", "shadow", "disabled"]
FormatWord = Literal["auto", "hosts", "domains", "wildcard", "adblock", "dnsmasq", "rpz"]
Category = Literal["exchange", "ico", "otc", "payment", "media", "other"]


class Sinkhole(Section):
    """Where blocked clients are sent."""

    ipv4: IPv4Text = setting(IPv4Address("0.0.0.0"), "The answer to A.", allowed="an IPv4 address")
    ipv6: IPv6Text = setting(IPv6Address("::"), "The answer to AAAA.", allowed="an IPv6 address")


_ACTION = "What a blocked client gets."
_TTL = "TTL of blocked answers."
_EDE = "Extended DNS Error (RFC 8914): auto, blocked (15), censored (16) or filtered (17)."
_ZONE = "IANA name of the time zone in which from and until are read."
_MODE = "enforce; shadow: count, do not block; disabled: keep the record only."
_CHANGE = "A list of over 1,000 names that shrinks or grows by more than this needs `apply --force`."
_FALL = "An edit that opens more of the exchanges or of the domains in force needs `apply --force`."
_CONTACT = "Shown to the blocked person, e.g. mailto:noc@example.net."


class Defaults(Section):
    """What holds for every exchange and list that does not say otherwise."""

    action: ActionWord = setting("nxdomain", _ACTION)
    sinkhole: Sinkhole = setting(Sinkhole(), "Addresses of the sinkhole action.")
    ttl_s: int = setting(300, _TTL, unit="seconds", least=0, most=TTL_S_MAX)
    ede: EdeWord = setting("auto", _EDE)
    time_zone: OneLine = text_setting("UTC", _ZONE, longest=64)
    mode: ModeWord = setting("enforce", _MODE)
    contact: OneLine | None = text_setting(None, _CONTACT, longest=CONTACT_CHARS_MAX)
    change_max_percent: int = setting(50, _CHANGE, unit="percent", least=1, most=CHANGE_PERCENT_MAX)
    fall_max_percent: int = setting(20, _FALL, unit="percent", least=0, most=100)


class Overrides(Section):
    """The defaults again, each optional."""

    action: ActionWord | None = setting(None, _ACTION)
    sinkhole: Sinkhole | None = setting(None, "Addresses of the sinkhole action.")
    ttl_s: int | None = setting(None, _TTL, unit="seconds", least=0, most=TTL_S_MAX)
    ede: EdeWord | None = setting(None, _EDE)
    time_zone: OneLine | None = text_setting(None, _ZONE, longest=64)
    mode: ModeWord | None = setting(None, _MODE)
    contact: OneLine | None = text_setting(None, _CONTACT, longest=CONTACT_CHARS_MAX)


class OrderEntry(Section):
    """Why an exchange is blocked."""

    authority: OneLine = text_setting(..., "Who ordered it.", longest=500)
    title: OneLine = text_setting(..., "What the order is called.", longest=1_000)
    reference: OneLine | None = text_setting(None, "Its number or file mark.", longest=200)
    date: Moment = setting(None, "When it was issued, e.g. 2018-08-23.", allowed="a date such as 2018-08-23")
    url: OneLine | None = text_setting(None, "Where it can be read.", longest=1_000)
    imposed_by: Literal["external", "house"] = setting(
        "external", "external: a law, court or authority; house: the network's own rules."
    )


class ExchangeEntry(Overrides):
    """One platform: its names, its addresses, and why and how it is blocked."""

    name: OneLine = text_setting(..., "The platform's name, for people.", longest=100)
    category: Category = setting("exchange", "What kind of platform it is.")
    order: OrderIds = setting((), "Id of the order it is blocked by, or a list of ids.")
    domains: NameEntries = setting(None, "x: the name and all under it; =x: it alone; *.x: names under it.")
    addresses: NetworkEntries = setting(None, "Answers that point into these networks are blocked too.")
    starts: Moment = setting(None, "First day, or moment, at which it is blocked.", alias="from")
    until: Moment = setting(
        None, "First day, or moment, at which it is not blocked any more: that day is not included."
    )


class SignatureEntry(Section):
    """A detached signature over a downloaded list."""

    url: OneLine | None = text_setting(
        None, "Where the signature is; absent: the list's url with .sig or .minisig added.", longest=4_096
    )
    path: OneLine | None = text_setting(None, "The signature in a file here instead.", longest=4_096)
    ed25519: OneLine | None = text_setting(None, "Public key, 32 bytes in base64 or hex.", longest=64)
    minisign: OneLine | None = text_setting(
        None, "Public key of minisign: the line that starts with RW.", longest=100
    )


class TsigEntry(Section):
    """The key of a zone transfer (RFC 8945)."""

    name: OneLine = text_setting(..., "The key's name, as the primary has it.", longest=255)
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1"] = setting(
        "hmac-sha256", "The key's algorithm."
    )
    secret_file: OneLine = text_setting(
        ..., "The file of the secret: base64, or what tsig-keygen writes.", longest=4_096
    )


class ListEntry(Overrides):
    """One list of names from elsewhere: a file here, or one that is downloaded."""

    name: OneLine = text_setting(..., f"Metric label: {ID_FORM}.", longest=63)
    path: OneLine | None = text_setting(None, "The file; relative to the blocklist's folder.", longest=4_096)
    url: Urls = setting(
        None,
        "Where it comes from, instead of path: https://..., or the primaries of a zone, one or a list: "
        "axfr://192.0.2.1:53/zone.example, axfr+tls://192.0.2.1:853/zone.example#ns.example",
        allowed="a URL, or a list of URLs",
    )
    tsig: TsigEntry | None = setting(
        None,
        "The key that signs a zone transfer.",
        allowed="a mapping with name, algorithm and secret_file",
    )
    tls_ca: OneLine | None = text_setting(
        None, "File of the certificate authorities for axfr+tls://; absent: the system's.", longest=4_096
    )
    refresh_s: int = setting(86_400, "How often it is fetched.", unit="seconds", least=300, most=31_536_000)
    timeout_s: float = setting(
        120.0, "For one download, redirects and all.", unit="seconds", least=1.0, most=3_600.0
    )
    sha256: OneLine | None = text_setting(
        None, "Hash that the file must have; a file with another hash is never used.", longest=64
    )
    signature: SignatureEntry | None = setting(
        None,
        "The public key of the one who must have signed it.",
        allowed="a mapping with ed25519 or minisign: the public key, and url or path of the signature",
    )
    allow_http: bool = setting(False, "Fetch it over http:// although nothing proves its content.")
    allow_private: bool = setting(
        False, "Fetch it from loopback, private and link-local addresses, too; never needed on the Internet."
    )
    format: FormatWord = setting("auto", "How the file is written; auto: recognised by its first lines.")
    match: Literal["exact", "subtree", "below"] | None = setting(
        None, "How far each name reaches; absent: as the format has it (hosts: exact, domains: subtree)."
    )
    kind: Literal["block", "allow"] = setting("block", "allow: exceptions, from other lists only.")
    size_mb_max: int = setting(
        256, "A larger list is refused; gzip counts unpacked.", unit="MiB", least=1, most=4_096
    )
    entries_max: int = setting(
        10_000_000, "A list of more names is refused.", unit="names", least=1, most=100_000_000
    )
    error_budget_percent: int = setting(
        10, "A list with more bad lines than this is refused.", unit="percent", least=0, most=100
    )
    change_max_percent: int | None = setting(None, _CHANGE, unit="percent", least=1, most=CHANGE_PERCENT_MAX)


class Root(Section):
    """The whole policy file."""

    version: Literal[1] = setting(..., "Version of this format.", allowed="1")
    defaults: Defaults = setting(Defaults(), "What holds where an exchange or a list says nothing else.")
    orders: Any = setting(None, "Order id -> why.", allowed="a mapping (id: order)")
    exchanges: Any = setting(
        None,
        "Exchange id -> platform; only a file with lists may leave it out.",
        allowed="a mapping (id: exchange); {} for none",
    )
    allow: Any = setting(None, "Exceptions: names that are never blocked.", allowed="a list of domains")
    protected: Any = setting(
        None, "Names that no rule may block, beside the built-in ones.", allowed="a list of domains"
    )
    lists: Any = setting(None, "Files of names from elsewhere.", allowed="a list of mappings")
    groups: Any = setting(None, "Per-client policy; not served by this version.", allowed="an empty list")


OPAQUE_KEYS = frozenset({"orders", "exchanges", "allow", "protected", "lists", "groups"})
"""Keys of `Root` that are read piece by piece, so that every problem finds its line."""


class _Schema(Root):
    """`Root` with its pieces spelt out, for editors."""

    orders: dict[str, OrderEntry] = setting({}, "Order id -> why.")
    exchanges: dict[str, ExchangeEntry] = setting(
        {}, "Exchange id -> platform; only a file with lists may leave it out."
    )
    allow: NameEntries = setting((), "Exceptions: names that are never blocked.")
    protected: NameEntries = setting((), "Names that no rule may block, beside the built-in ones.")
    lists: list[ListEntry] = setting([], "Files of names from elsewhere.")
    groups: list[str] = setting([], "Per-client policy; not served by this version.")


def blocklist_schema() -> dict[str, Any]:
    """Give the JSON Schema of the file, for editors."""
    schema = _Schema.model_json_schema(by_alias=True)
    for section in ("orders", "exchanges"):
        schema["properties"][section]["propertyNames"] = {"pattern": f"^{ID_PATTERN.pattern}$"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "anyOf": [{"required": ["exchanges"]}, {"required": ["lists"]}],
        "title": "Blocklist of exchange-resolver",
        "description": "The policy: which exchanges are blocked, how, why and since when.",
    }
