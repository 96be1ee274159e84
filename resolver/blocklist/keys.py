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

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    field_validator,
)

from resolver.blocklist.measures import Measure, measure_from
from resolver.blocklist.registers import FORMAT_SCHEMA, format_from
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

ASKS_MAX = 10_000
"""Most that one order may name: lists of more come as `lists`."""

ASK_CHARS_MAX = 2_000
"""Longest entry of `asks`: a URL."""

ALIASES_MAX = 100
"""Most other names of one platform."""

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


def limited_texts(texts: tuple[str, ...], *, most: int, longest: int) -> tuple[str, ...]:
    """Refuse too many, too long and empty texts."""
    if len(texts) > most:
        raise ValueError(f"{len(texts):,} entries are too many; allowed: {most:,}")
    for text in texts:
        if not 1 <= len(text) <= longest:
            raise ValueError(f"{show(text)} has {len(text):,} characters; allowed: 1 to {longest:,}")
    return texts


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
_NAME_SCHEMA: dict[str, Any] = {"type": "string", "minLength": 1}
NameEntries = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "array",
            "items": _NAME_SCHEMA,
            "examples": [["x.example", "=login.example", "*.cdn.example"]],
        }
    ),
]
Texts = Annotated[tuple[OneLine, ...], Field(strict=False)]
MeasureValue = Annotated[
    Measure | None,
    PlainValidator(measure_from),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "nxdomain"},
                {
                    "type": "object",
                    "properties": {
                        "ipv4": {"type": "string", "format": "ipv4"},
                        "ipv6": {"type": "string", "format": "ipv6"},
                    },
                    "minProperties": 1,
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {"cname": _NAME_SCHEMA},
                    "required": ["cname"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ]
        }
    ),
]
NetworkEntries = Annotated[
    Any, WithJsonSchema({"type": "array", "items": {"type": "string"}, "examples": [["203.0.113.0/28"]]})
]

ActionWord = Literal["nxdomain", "nodata", "sinkhole", "refused", "drop"]
EdeWord = Literal["auto", "blocked", "censored", "filtered"]
ModeWord = Literal["enforce", "shadow", "disabled"]
FormatValue = Annotated[Any, PlainValidator(format_from), WithJsonSchema(FORMAT_SCHEMA)]
ListKind = Literal["block", "allow", "check"]
Category = Literal["exchange", "ico", "otc", "payment", "media", "other"]


class Sinkhole(Section):
    """Where blocked clients are sent."""

    ipv4: IPv4Text = setting(IPv4Address("0.0.0.0"), "The answer to A.", allowed="an IPv4 address")
    ipv6: IPv6Text = setting(IPv6Address("::"), "The answer to AAAA.", allowed="an IPv6 address")


_ACTION = "What a blocked client gets."
_TTL = "TTL of blocked answers."
_EDE = "Extended DNS Error (RFC 8914): auto, blocked (15), censored (16) or filtered (17)."
_ZONE = "IANA name of the time zone in which from and until are read."
_FROM = "First day, or moment, at which it is in force."
_UNTIL = "First day, or moment, at which it is not in force any more: that day is not included."
_THROUGH = "Last day on which it is in force, instead of until: that day is included."
_MODE = "enforce; shadow: count, do not block; disabled: keep the record only."
_CHANGE = "A list that loses more, and at least 10 names, or has over 1,000 and grows by more, needs force."
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
    starts: Moment = setting(None, _FROM, alias="from")
    until: Moment = setting(None, _UNTIL)
    through: Moment = setting(None, _THROUGH, allowed="a day such as 2026-01-31")
    mode: ModeWord | None = setting(None, _MODE)
    received: Moment = setting(None, "When it came, e.g. 2026-11-26T09:30:00+01:00.")
    due: Moment = setting(None, "By when it must be in force, e.g. 2026-12-05T00:00:00+01:00.")
    measure: MeasureValue = setting(
        None,
        "What it prescribes, so the default action of what cites it: nxdomain, addresses or a CNAME.",
        allowed="nxdomain, {ipv4: address, ipv6: address} or {cname: name}",
    )
    confidential: bool = setting(
        False, "true: its names and texts are in no answer, metric, log or shared export."
    )
    asks: Texts = setting(
        (), "What it names, as written there: hosts, URLs, addresses.", allowed="a list of texts"
    )

    @field_validator("asks")
    @classmethod
    def _check_asks(cls, asks: tuple[str, ...]) -> tuple[str, ...]:
        return limited_texts(asks, most=ASKS_MAX, longest=ASK_CHARS_MAX)


class ExchangeEntry(Overrides):
    """One platform: its names, its addresses, and why and how it is blocked."""

    name: OneLine = text_setting(..., "The platform's name, for people.", longest=100)
    aliases: Texts = setting((), "Former and other names, to find it by.", allowed="a list of texts")
    category: Category = setting("exchange", "What kind of platform it is.")
    order: OrderIds = setting((), "Id of the order it is blocked by, or a list of ids.")
    domains: NameEntries = setting(None, "x: the name and all under it; =x: it alone; *.x: names under it.")
    addresses: NetworkEntries = setting(None, "Answers that point into these networks are blocked too.")
    starts: Moment = setting(None, "First day, or moment, at which it is blocked.", alias="from")
    until: Moment = setting(
        None, "First day, or moment, at which it is not blocked any more: that day is not included."
    )
    through: Moment = setting(
        None,
        "Last day on which it is blocked, instead of until: that day is included.",
        allowed="a day such as 2026-01-31",
    )

    @field_validator("aliases")
    @classmethod
    def _check_aliases(cls, aliases: tuple[str, ...]) -> tuple[str, ...]:
        return limited_texts(aliases, most=ALIASES_MAX, longest=100)


class AllowEntry(Section):
    """An exception with its dates and its reason."""

    name: Any = setting(..., "x: the name and all under it; =x: it alone; *.x: names under it.")
    starts: Moment = setting(None, "First day, or moment, at which it is let through.", alias="from")
    until: Moment = setting(
        None, "First day, or moment, at which it is not let through any more: that day is not included."
    )
    through: Moment = setting(
        None,
        "Last day on which it is let through, instead of until: that day is included.",
        allowed="a day such as 2026-01-31",
    )
    reason: OneLine | None = text_setting(None, "Why it is let through.", longest=1_000)
    ticket: OneLine | None = text_setting(None, "Where that was decided, e.g. NOC-1234.", longest=200)


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


class LoginEntry(Section):
    """A token that is asked for before the list is."""

    url: OneLine = text_setting(..., "Where; at the host of the list's url.", longest=4_096)
    body_file: OneLine = text_setting(..., "File of the JSON that is sent: user and password.", longest=4_096)
    token: OneLine = text_setting(
        "access_token", "Where the token is in the answer's JSON, keys with dots between.", longest=200
    )


class AccessEntry(Section):
    """How a download proves who asks: paths of files, for secrets do not belong here."""

    bearer_file: OneLine | None = text_setting(None, "File of a bearer token.", longest=4_096)
    basic_file: OneLine | None = text_setting(None, "File of user:password.", longest=4_096)
    api_key_file: OneLine | None = text_setting(None, "File of a key for api_key_header.", longest=4_096)
    api_key_header: OneLine | None = text_setting(None, "Header of the key, e.g. X-Api-Key.", longest=64)
    login: LoginEntry | None = setting(
        None, "Where a token is asked for.", allowed="a mapping with url, body_file and token"
    )
    certificate_file: OneLine | None = text_setting(None, "Client certificate (PEM) of TLS.", longest=4_096)
    key_file: OneLine | None = text_setting(None, "Its private key (PEM).", longest=4_096)


class DiscoverEntry(Section):
    """The url is a page that names the list's link, which changes."""

    link: OneLine = text_setting(..., "Regular expression that the link has.", longest=500)
    choose: Literal["only", "first", "last", "highest"] = setting(
        "only", "Which of several links: highest compares numbers in them, such as dates."
    )
    sha256: OneLine | None = text_setting(
        None, "The same for the link of a file with the list's SHA-256.", longest=500
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
    access: AccessEntry | None = setting(
        None,
        "How the download proves who asks; only over https, only to the url's own host.",
        allowed="a mapping with bearer_file, basic_file, api_key_file, login or certificate_file",
    )
    discover: DiscoverEntry | None = setting(
        None,
        "How the list's link is found on the page at url.",
        allowed="a mapping with link: a regular expression",
    )
    allow_http: bool = setting(False, "Fetch it over http:// although nothing proves its content.")
    allow_private: bool = setting(
        False, "Fetch it from loopback, private and link-local addresses, too; never needed on the Internet."
    )
    format: FormatValue = setting(
        "auto",
        "How it is written; auto: recognised by its first lines; register/KIND or a mapping: a register.",
    )
    match: Literal["exact", "subtree", "below"] | None = setting(
        None, "How far each name reaches; absent: as the format has it (hosts: exact, domains: subtree)."
    )
    kind: ListKind = setting(
        "block",
        "allow: exceptions, from other lists only; check: a register of who is authorised; blocks nothing.",
    )
    category: Category | None = setting(None, "What kind of names it holds.")
    order: OrderIds = setting((), "Id of the order it is blocked by, or a list of ids.")
    starts: Moment = setting(None, _FROM, alias="from")
    until: Moment = setting(None, _UNTIL)
    through: Moment = setting(None, _THROUGH, allowed="a day such as 2026-01-31")
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
    allow: Any = setting(None, "Exceptions: names that are not blocked.", allowed="a list of domains")
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
    allow: list[str | AllowEntry] = setting([], "Exceptions: names that are not blocked.")
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
