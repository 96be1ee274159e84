"""Which name a request is for: from its target or its `Host` header, whatever stands there.

Knows: RFC 9112 §3.2, RFC 9110 §7.2, names.  Does not know: what is blocked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from resolver.wire.idn import unicode_name
from resolver.wire.names import name_from_text

HOST_OCTETS_MAX: Final = 300
"""A name has 253 octets, a port six."""

_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.%]{2,64}\]|[A-Za-z0-9_.-]{1,254})(?::[0-9]{0,5})?")
"""A name, an IPv4 address, or an IPv6 address in brackets; perhaps a port."""
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Host:
    """What a request is for."""

    name: bytes | None
    """In wire form, lower case; None: an address, or nothing was said."""
    ascii_text: str = ""
    """A-labels, lower case, no dot at the end; or an address."""
    unicode_text: str = ""
    """The same with U-labels, where it has any; else empty."""


NOWHERE: Final = Host(None)


class BadHost(ValueError):
    """What stands there is neither a name nor an address."""


def host_of(target: bytes, header: bytes | None) -> Host:
    """For what a request is.  Raises BadHost."""
    # RFC 9112 §3.2.2: a target in absolute form goes before `Host`.
    absolute = _ABSOLUTE.match(target)
    said = absolute[1] if absolute is not None else header
    if not said:
        return NOWHERE
    # Userinfo is not part of `Host` and only misleads: it does not match.
    match = _HOST.fullmatch(said) if len(said) <= HOST_OCTETS_MAX else None
    if match is None:
        raise BadHost
    text = match[1].decode("ascii").lower()
    try:
        return Host(None, str(ip_address(text.strip("[]"))))
    except ValueError:
        if text.startswith("["):
            raise BadHost from None
    try:
        name = name_from_text(text)
    except ValueError:
        raise BadHost from None
    text = text.rstrip(".")
    if not text:
        raise BadHost
    return Host(name, text, unicode_name(text) or "")
