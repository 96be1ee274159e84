"""What an order prescribes that a client gets: `measure`, as written and as read.

Knows: the three kinds of measure.  Does not know: which exchange cites the order, dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from resolver.policy.verdict import LocalData, PolicyAction
from resolver.problems import show
from resolver.wire.names import name_from_text, name_to_text

_FORM = "write nxdomain, {ipv4: 192.0.2.1, ipv6: '2001:db8::1'} or {cname: notice.example}"


@dataclass(frozen=True, slots=True)
class Measure:
    """NXDOMAIN; or addresses, one of which may be missing; or a CNAME."""

    ipv4: bytes = b""
    """4 octets, or none."""
    ipv6: bytes = b""
    """16 octets, or none."""
    cname: bytes = b""
    """Wire form, lower case; empty: none."""

    @property
    def action(self) -> PolicyAction:
        """What a rule does to carry it out."""
        if self.ipv4 and self.ipv6:
            return PolicyAction.SINKHOLE
        return PolicyAction.LOCAL_DATA if self.ipv4 or self.ipv6 or self.cname else PolicyAction.NXDOMAIN

    @property
    def local_data(self) -> LocalData | None:
        """What belongs to the action LOCAL_DATA; None with the others."""
        if self.action is not PolicyAction.LOCAL_DATA:
            return None
        return LocalData(tuple(filter(None, (self.ipv4, self.ipv6))), self.cname)

    def __str__(self) -> str:
        """For people."""
        if self.cname:
            return f"CNAME {name_to_text(self.cname)}"
        addresses = [str(IPv4Address(self.ipv4))] if self.ipv4 else []
        addresses += [str(IPv6Address(self.ipv6))] if self.ipv6 else []
        return ", ".join(addresses) or "nxdomain"


def measure_from(value: object) -> Measure | None:
    """Read it; ValueError with a whole sentence for anything else."""
    if value is None:
        return None
    if value == "nxdomain":
        return Measure()
    if not isinstance(value, dict):
        raise ValueError(f"{'a list' if isinstance(value, list) else show(value)} is no measure; {_FORM}")
    unknown = value.keys() - {"ipv4", "ipv6", "cname"}
    if unknown or not value or ("cname" in value and len(value) > 1):
        said = f"{show(min(unknown, key=str))} is no key of a measure" if unknown else "is no one measure"
        raise ValueError(f"{said}; {_FORM}")
    measure = Measure(
        _address(value.get("ipv4"), IPv4Address, "an IPv4 address"),
        _address(value.get("ipv6"), IPv6Address, "an IPv6 address"),
        _target(value["cname"]) if "cname" in value else b"",
    )
    if measure == Measure():
        raise ValueError(f"has no address; {_FORM}")
    return measure


def _address(value: object, kind: type[IPv4Address] | type[IPv6Address], noun: str) -> bytes:
    if value is None:
        return b""
    try:
        address = kind(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{show(value)} is not {noun}; {_FORM}") from None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise ValueError(f"{show(value)}: addresses with a zone (%) mean nothing in a DNS answer")
    return address.packed


def _target(value: object) -> bytes:
    text = value.strip() if isinstance(value, str) else ""
    if not text or "*" in text:
        raise ValueError(f"{show(value)} is not a domain; {_FORM}")
    try:
        name = name_from_text(text)
    except ValueError as error:
        raise ValueError(f"cname: {error}; {_FORM}") from None
    if len(name) == 1:
        raise ValueError(f"{show(value)} is the root, where nothing is; {_FORM}")
    return name
