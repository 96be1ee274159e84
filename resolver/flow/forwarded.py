"""Who asks over HTTP through proxies: what `Forwarded` and `X-Forwarded-For` say, and who is believed.

Knows: both headers' form, which networks are trusted.  Does not know: HTTP's framing, what is asked.
Source: RFC 7239; X-Forwarded-For is a list of addresses without a standard.
Theory: each proxy writes at the right end whom it heard.  So the walk begins with who is connected, and goes
to the left for as long as he who speaks is trusted: the first who is not is the client, and whatever stands
further left is his own tale.  Two headers that disagree tell nothing: one of them may come from the client,
through a proxy that knows only the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from resolver.flow.clients import Networks

HOPS_MAX = 32
"""Proxies that a request may have come through; more is refused."""

HEADER_OCTETS_MAX = 8_192
"""Octets of one of the two headers, all its lines together; more is refused."""

_UNKNOWN = b""
"""A hop that its proxy does not tell: `unknown`, or a name of its own (RFC 7239 §6.2, §6.3)."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rb"[ \t]*(" + _TOKEN + rb")=(?:(" + _TOKEN + rb')|"((?:[^"\\]|\\.)*)")[ \t]*', re.DOTALL)
"""`token=value`, the value a token or quoted (RFC 7239 §4)."""
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_PORT = re.compile(rb"[0-9]{1,5}|_[0-9A-Za-z._-]+")
_OBFUSCATED = re.compile(rb"_[0-9A-Za-z._-]+")
_PRINTABLE_OR_SPACE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class BadForwarded(ValueError):
    """What a trusted proxy says of its client cannot be read, or contradicts itself."""


def client_behind(
    peer: bytes, forwarded: Sequence[bytes], x_forwarded_for: Sequence[bytes], trusted: Networks
) -> bytes:
    """The client's packed address (4 or 16 octets).  `peer`: who is connected.

    `forwarded`, `x_forwarded_for`: the values of the headers' lines, in order.  Raises BadForwarded: answer
    status 400.
    """
    if peer not in trusted:
        return peer
    said = [
        _rightmost_stranger(peer, read(_joined(lines)), trusted)
        for lines, read in ((forwarded, _forwarded_hops), (x_forwarded_for, _listed_hops))
        if lines
    ]
    if len(said) == 2 and said[0] != said[1]:
        raise BadForwarded("Forwarded and X-Forwarded-For disagree")
    return said[0] if said else peer


def _joined(lines: Sequence[bytes]) -> bytes:
    # RFC 9110 §5.3: several lines are one list.
    value = b",".join(lines)
    if len(value) > HEADER_OCTETS_MAX:
        raise BadForwarded("too long")
    if not _PRINTABLE_OR_SPACE.fullmatch(value):
        raise BadForwarded("control characters")
    return value


def _rightmost_stranger(peer: bytes, hops: Sequence[bytes], trusted: Networks) -> bytes:
    """Go to the left while he who speaks is trusted; `peer` speaks of the last hop."""
    if len(hops) > HOPS_MAX:
        raise BadForwarded("too many hops")
    client = peer
    for hop in reversed(hops):
        if client not in trusted:
            break
        address = _address(hop)
        if address == _UNKNOWN:
            break  # Whoever it is: the proxy that does not say stands for him.
        client = address
    return client


def _listed_hops(value: bytes) -> list[bytes]:
    """The elements of X-Forwarded-For; empty ones do not count (RFC 9110 §5.6.1.2)."""
    return [hop for element in value.split(b",") if (hop := element.strip(b" \t"))]


def _forwarded_hops(value: bytes) -> list[bytes]:
    """The `for` of each element of Forwarded; an element without one tells nothing of its hop."""
    hops: list[bytes] = []
    hop: bytes | None = None
    is_begun = False
    at = 0
    while True:
        pair = _PAIR.match(value, at)
        if pair is not None:
            is_begun = True
            at = pair.end()
            if pair[1].lower() == b"for":
                if hop is not None:
                    raise BadForwarded("for twice")
                hop = pair[2] if pair[3] is None else _ESCAPE.sub(rb"\1", pair[3])
        else:
            while value[at : at + 1] in (b" ", b"\t"):
                at += 1
        separator = value[at : at + 1]
        at += 1
        if separator == b";":
            continue
        if separator not in (b",", b""):
            raise BadForwarded("not of the form token=value")
        if is_begun:
            hops.append(b"unknown" if hop is None else hop)
        hop, is_begun = None, False
        if not separator:
            return hops


def _address(hop: bytes) -> bytes:
    """The packed address of a hop, its port left out; `_UNKNOWN`: it is not told."""
    if hop.lower() == b"unknown" or _OBFUSCATED.fullmatch(hop):
        return _UNKNOWN
    host, port = hop, b""
    if hop.startswith(b"["):
        host, bracket, port = hop[1:].partition(b"]")
        if not bracket or (port and not port.startswith(b":")):
            raise BadForwarded("no address")
        port, is_ported = port[1:], bool(port)
        return _checked(host, port, is_ported, only_ipv6=True)
    if hop.count(b":") == 1:
        host, _, port = hop.partition(b":")
        return _checked(host, port, True)
    return _checked(host, port, False)


def _checked(host: bytes, port: bytes, is_ported: bool, *, only_ipv6: bool = False) -> bytes:
    if is_ported and not _PORT.fullmatch(port):
        raise BadForwarded("no port")
    try:
        text = host.decode("ascii")
        if b":" in host:
            address = IPv6Address(text)
            if address.scope_id is None:
                return (address.ipv4_mapped or address).packed
        elif not only_ipv6:
            return IPv4Address(text).packed
    except ValueError:
        pass
    raise BadForwarded("no address")
