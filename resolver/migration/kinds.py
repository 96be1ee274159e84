"""The products whose configurations can be taken over: how each is recognised and read.

Knows: who reads what.  Does not know: any product's keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from resolver.migration import adguard, blocky, dnsmasq, named, pihole, rpz, unbound
from resolver.migration.finishing import finish
from resolver.migration.gathered import Gathered, Place, error
from resolver.migration.texts import Texts
from resolver.migration.tree import read_tree
from resolver.portions import open_regular, read_up_to

AUTO: Final = "auto"
_HEAD_OCTETS: Final = 65_536


def _adguard(path: Path, texts: Texts) -> Gathered:
    return adguard.read(read_tree(texts.octets(path), path))


def _blocky(path: Path, texts: Texts) -> Gathered:
    return blocky.read(read_tree(texts.octets(path), path))


def _rpz(path: Path, texts: Texts) -> Gathered:
    is_named = re.search(rb"(?m)^\s*(options|zone|view|acl|include)\b[^;]*[{\"]", _head(path)) is not None
    return named.read(path, texts) if is_named else rpz.read(path, texts)


KINDS: Final[dict[str, Callable[[Path, Texts], Gathered]]] = {
    "pihole": pihole.read,
    "adguardhome": _adguard,
    "blocky": _blocky,
    "dnsmasq": dnsmasq.read,
    "unbound": unbound.read,
    "rpz": _rpz,
}
"""`rpz`: a zone's file, or BIND's configuration with `response-policy`."""

_SIGNS: Final = (
    ("pihole", rb"(?m)\A(?:SQLite format 3\0|PK\x03\x04|\x1f\x8b)|^(PIHOLE_DNS_\d+|BLOCKINGMODE)\s*="),
    ("adguardhome", rb"(?m)^(schema_version|upstream_dns|user_rules|whitelist_filters)\s*:"),
    ("unbound", rb"(?m)^\s*(server|forward-zone|stub-zone|remote-control|rpz|local-zone|local-data)\s*:"),
    ("blocky", rb"(?m)^(upstreams?|blocking|customDNS|conditional|bootstrapDns|clientLookup)\s*:"),
    ("rpz", rb"(?m)^\s*(options|zone\s+\"[^\"]*\".*)\s*\{|\bSOA\b|CNAME\s+(\.|rpz-)"),
    (
        "dnsmasq",
        rb"(?m)^\s*(--)?(address|server|local|conf-dir|conf-file|addn-hosts|dhcp-range|listen-address|cache-size"
        rb"|host-record|cname|interface)\s*=|^\s*(no-resolv|domain-needed|bogus-priv|bind-interfaces)\s*$",
    ),
)
"""What each looks like, the surest signs first."""


def read_config(path: Path, kind: str) -> Gathered:
    """All that a product's configuration says; `kind`: of `KINDS`, or `auto`.  Raises BadConfig."""
    place = Place(str(path))
    if not path.exists():
        raise error(place, "is not there")
    found = recognised(path) if kind == AUTO else kind
    if not found:
        raise error(place, f"is not recognised; name its kind with --from: {', '.join(KINDS)}")
    if path.is_dir() and found != "pihole":
        raise error(place, "is a folder; name the main file in it")
    folder = path if path.is_dir() else path.parent
    gathered = KINDS[found](path, Texts(folder))
    finish(gathered, place, folder)
    return gathered


def recognised(path: Path) -> str:
    """The kind of a configuration by its name and its first lines; empty: none is recognised."""
    if path.is_dir() or path.name in ("pihole.toml", "setupVars.conf", "gravity.db"):
        return "pihole"
    if path.name in ("adlists.list", "custom.list"):
        return "pihole"
    head = _head(path)
    return next((kind for kind, sign in _SIGNS if re.search(sign, head)), "")


def _head(path: Path) -> bytes:
    try:
        with open_regular(path) as opened:
            return read_up_to(opened, _HEAD_OCTETS)
    except OSError as failed:
        raise error(Place(str(path)), f"cannot be read: {failed.strerror or failed}") from None
