"""Configuration of dnsmasq used as a list (`dnsmasq`).

Knows: `address=/x/`, `server=/x/`, `local=/x/`, each of x and all below it.  Does not know: dnsmasq's
other directives, which are skipped and counted.

As dnsmasq has it the longest name decides, and `server=/x/#` (the usual servers) or `server=/x/ADDRESS`
carves x out of a wider rule: both are exceptions here.  Where the question then goes is not a list's
to say, so the server's address is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from resolver.lists.reading import (
    PLAIN,
    LineFormat,
    Said,
    Skipped,
    address_of,
    checked_name,
    text_of,
)
from resolver.policy.verdict import RuleForm
from resolver.problems import show
from resolver.wire.names import name_from_text

_BLOCK = Said(RuleForm.SUBTREE)
_ALLOW = Said(RuleForm.SUBTREE, "allow")
_DIRECTIVE = re.compile(r"(?:--)?([a-z0-9-]+)(?:\s*=\s*(.*))?\Z", re.ASCII)
_NAMED = frozenset(("address", "server", "local"))


class Dnsmasq(LineFormat):
    """One directive a line."""

    fast = re.compile(
        rb"^(?:address=|(?:server|local)=(?!/[^/\n]*/.))/("
        + PLAIN
        + rb")/(?:0\.0\.0\.0|127\.0\.0\.1|::1?|#)?$",
        re.MULTILINE,
    )
    plain = _BLOCK
    native = "dnsmasq"

    def read_line(self, octets: bytes) -> Iterable[tuple[bytes, Said]]:
        text = text_of(octets)
        if not text or text.startswith("#"):
            return []
        directive = _DIRECTIVE.match(text)
        if directive is None:
            raise ValueError(f"{show(text)} is not a dnsmasq directive")
        key, value = directive[1], directive[2] or ""
        if key not in _NAMED or not value.startswith("/"):
            raise Skipped("other directives")
        # A comment needs a space before it: `address=/x/#` is an address.
        *names, target = re.sub(r"\s#.*", "", value[1:]).strip().split("/")
        if not names:
            raise ValueError(f"{show(text)}: no / after the names")
        said = _said(key, target.strip())
        return [(_owner(name, text), said) for name in names]


def _said(key: str, target: str) -> Said:
    if key != "address":
        return _ALLOW if target else _BLOCK
    if target in ("", "#"):
        return _BLOCK
    address = address_of(target)
    if address is None:
        raise ValueError(f"{show(target)} is not an address")
    if not (address.is_unspecified or address.is_loopback):
        # As in a hosts file: such a line gives names their address, it does not block them.
        raise Skipped("real addresses")
    return _BLOCK


def _owner(name: str, text: str) -> bytes:
    if name in ("", "#"):
        raise ValueError(f"{show(text)} would match every name")
    name = name.removeprefix("*.").removeprefix(".")
    if "*" in name:
        raise Skipped("name patterns")
    if address_of(name) is not None:
        raise Skipped("addresses")
    return checked_name(name_from_text(name), text)
