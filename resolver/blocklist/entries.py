"""One entry of the blocklist as people write it -> a name and its form, or a network.

Knows: the three forms, and what people paste instead (URLs, ports, addresses, other tools' syntax).
Does not know: which exchange it belongs to.
Every reader takes whatever YAML gave and raises ValueError with a whole sentence.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from resolver.config.yamlsource import Value, YamlMapping, YamlSequence
from resolver.policy.verdict import RuleForm
from resolver.problems import show
from resolver.wire.names import name_from_text

Network = IPv4Network | IPv6Network

_PLAIN_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{0,62}[a-z]\Z", re.ASCII)
"""What nearly every entry looks like: lower case, no sign in front, no digit at the end."""

_PLAIN_CHARS_MAX = 253
"""Longest plain text of a name: 255 octets less the first length octet and the root."""

_LENGTH_OCTETS = tuple(bytes((length,)) for length in range(64))

_SPACE = re.compile(r"[\s,;|]+")
_PORT = re.compile(r"(.+):([0-9]+)", re.ASCII)
_DEFANGED = re.compile(r"\[\.\]|\(\.\)|\[dot\]", re.IGNORECASE)

ROOT = b"\0"


def name_entry(value: Value) -> tuple[bytes, RuleForm]:
    """Read `x.example`, `=x.example` or `*.x.example`.

    Upper case, a trailing dot, spaces around and internationalised names are normalised; anything
    else that is no name is refused, with the entry that was probably meant.
    """
    if type(value) is str and len(value) <= _PLAIN_CHARS_MAX and _PLAIN_NAME.match(value):
        # What `name_from_text` would give, at a quarter of its cost: a file may hold a million.
        labels = [_LENGTH_OCTETS[len(label)] + label for label in value.encode().split(b".")]
        return b"".join(labels) + ROOT, RuleForm.SUBTREE
    if not isinstance(value, str):
        raise ValueError(_not_text(value))
    text = value.strip()
    form, sign = RuleForm.SUBTREE, ""
    if text.startswith("="):
        form, sign, text = RuleForm.EXACT, "=", text[1:].strip()
    elif text.startswith("*."):
        form, sign, text = RuleForm.BELOW, "*.", text[2:]
    if not text:
        raise ValueError(f"{show(value)} has no domain name in it")
    _refuse_what_is_no_name(value, text, sign)
    owner = name_from_text(text)
    if owner == ROOT:
        raise ValueError(f"{show(value)} is the root: it means every name")
    return owner, form


def asked_name(text: str) -> bytes:
    """Read a name that somebody asks about, to wire form, lower case.

    Raises ValueError for what is none, with the name inside it where there is one (a URL, a host and port).
    """
    try:
        return name_from_text(text)
    except ValueError:
        _refuse_what_is_no_name(text, text.strip(), "")
        raise


def _not_text(value: Value) -> str:
    if value is None:
        return "an empty entry; write a domain or delete the line"
    if isinstance(value, YamlMapping):
        return "here is a mapping (key: value); allowed: a domain such as 'x.example'"
    if isinstance(value, YamlSequence):
        return "here is a list; allowed: a domain such as 'x.example'"
    if isinstance(value, bool):
        return f"{show(value)} is a truth value to YAML, not a domain; if a name is meant, put it in quotes"
    return f"{show(value)} is a number, not a domain"


def _refuse_what_is_no_name(value: str, text: str, sign: str) -> None:
    """Recognise what people paste, commonest first; say what they probably meant."""
    shown = show(value)
    lower = text.lower()
    if "://" in lower or lower.startswith("//"):
        raise ValueError(f"{shown} is a URL; {_meant(_host_of(text), sign)}")
    if text.startswith("||"):
        raise ValueError(f"{shown} is an ad blocker's rule; {_meant(text[2:].split('^')[0], sign)}")
    if _DEFANGED.search(text):
        raise ValueError(
            f"{shown} has its dots written in another way; {_meant(_DEFANGED.sub('.', text), sign)}"
        )
    _refuse_addresses(shown, text)
    if "/" in text:
        raise ValueError(f"{shown} has a path; {_meant(text.split('/')[0], sign)}")
    if "@" in text:
        raise ValueError(f"{shown} is a mail address; {_meant(text.rpartition('@')[2], sign)}")
    if port := _PORT.fullmatch(text):
        raise ValueError(f"{shown} has a port, but DNS has no ports; {_meant(port[1], sign)}")
    if text.startswith("."):
        raise ValueError(
            f"{shown} begins with a dot; {_meant(text.lstrip('.'), '')}, or '*.' for names below it"
        )
    if "*" in text:
        raise ValueError(f"{shown}: * is allowed only at the start, as in '*.x.example'")
    if len(_SPACE.split(text)) > 1:
        raise ValueError(f"{shown} is more than one name; write one to a line")
    if sign and text[0] in "=*":
        raise ValueError(
            f"{shown} has two signs at the start; allowed: 'x.example', '=x.example', '*.x.example'"
        )


def _refuse_addresses(shown: str, text: str) -> None:
    bare = text.strip("[]")
    try:
        network = ip_network(bare, strict=False)
    except ValueError:
        last = text.rstrip(".").rpartition(".")[2]
        if last.isascii() and last.isdigit():
            raise ValueError(f"{shown} ends in a number; no domain does") from None
        return
    noun = "a network" if "/" in bare else "an address"
    raise ValueError(f"{shown} is {noun}, not a domain; networks belong under 'addresses' ({network})")


def _host_of(text: str) -> str:
    try:
        return urlsplit(text).hostname or ""
    except ValueError:
        return ""


def _meant(text: str, sign: str) -> str:
    """Offer the domain inside what was written, if there is one."""
    try:
        name_from_text(text)
        ip_address(text)
    except ValueError as error:
        if "does not appear to be an IPv4" in str(error) and text:
            return f"write the domain: {sign + text.lower()!r}"
    return "write the domain alone"


def address_entry(value: Value) -> Network:
    """Read a network such as `203.0.113.0/24`, or one address."""
    form = "write a network such as '203.0.113.0/28' or one address"
    if not isinstance(value, str):
        noun = (
            "a mapping"
            if isinstance(value, YamlMapping)
            else "a list"
            if isinstance(value, YamlSequence)
            else show(value)
        )
        raise ValueError(f"{noun} is not an address; {form}, in quotes")
    text = value.strip()
    if "%" in text:
        raise ValueError(f"{show(value)}: addresses with a zone (%) mean nothing in a DNS answer")
    try:
        network = ip_network(text)
    except ValueError:
        try:
            wider = ip_network(text, strict=False)
        except ValueError:
            hint = "; domains belong under 'domains'" if re.search(r"[a-z]\.?$", text, re.IGNORECASE) else ""
            raise ValueError(f"{show(value)} is not an address; {form}{hint}") from None
        raise ValueError(
            f"{show(value)} has bits set after its prefix; did you mean {str(wider)!r}?"
        ) from None
    if network.version == 6 and network.subnet_of(_MAPPED):
        raise ValueError(f"{show(value)} is an IPv4 address written as IPv6; write the IPv4 address")
    return network


_MAPPED = IPv6Network("::ffff:0:0/96")

WIDEST_IPV4_PREFIX = 24
WIDEST_IPV6_PREFIX = 48
"""Wider networks hold many sites that have nothing to do with an exchange: they need force."""

_PRIVATE: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # "this network", RFC 1122
        "10.0.0.0/8",  # RFC 1918
        "100.64.0.0/10",  # carrier NAT, RFC 6598
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, RFC 3927
        "172.16.0.0/12",  # RFC 1918
        "192.168.0.0/16",  # RFC 1918
        "224.0.0.0/3",  # multicast, reserved and broadcast
        "::/127",  # unspecified and loopback
        "fc00::/7",  # unique local, RFC 4193
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
    )
)


def address_objection(network: Network) -> str | None:
    """Say why a network is too dangerous to block without force; None when it is not."""
    widest = WIDEST_IPV4_PREFIX if network.version == 4 else WIDEST_IPV6_PREFIX
    if network.prefixlen < widest:
        return f"'{network}' is wider than /{widest}: it holds sites that do not belong to an exchange"
    for private in _PRIVATE:
        if network.version == private.version and network.overlaps(private):
            return f"'{network}' is in private or reserved space ({private}): it would hit your own network"
    return None
