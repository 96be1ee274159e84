"""Names under which strangers register: blocking one of them blocks all of its customers.

Knows: the Public Suffix List that `publicsuffix2` bundles (no network), top-level domains and shared
platforms that the list is too old or too strict to have.  Does not know: exchanges.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import publicsuffix2

from resolver.known_names.infrastructure import infrastructure
from resolver.wire.names import name_from_text, name_to_text, parent, suffix_offsets

SHARED_PLATFORMS = (
    "bitbucket.io",
    "framer.app",
    "gitbook.io",
    "medium.com",
    "notion.site",
    "sharepoint.com",
    "supabase.co",
    "surge.sh",
    "t.me",
    "telegram.me",
    "translate.goog",
    "weebly.com",
    "zendesk.com",
)
"""Platforms on whose names anybody can publish; an exchange's page there takes an exact rule."""

WILDCARDS_SINCE = ("cloudapp.azure.com",)
"""x of `*.x` that came to the list's private part after the bundled one (2019)."""

TOP_LEVEL_SINCE = ("hotel", "kids", "merck", "music", "web", "ευ", "ישראל", "البحرين", "ລາວ")
"""Top-level domains that came after the bundled list (2019)."""

TOP_LEVEL_SPECIAL = ("alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test")
"""Set aside for special use (RFC 6761 and later): nobody registers there, and names there are meant."""


class Suffixes(NamedTuple):
    """The list in wire form."""

    names: frozenset[bytes]
    wildcards: frozenset[bytes]
    """x for `*.x`: every name directly under x is a suffix."""
    exceptions: frozenset[bytes]


def _source() -> str:
    return (Path(publicsuffix2.__file__).parent / "public_suffix_list.dat").read_text(encoding="utf-8")


@cache
def suffixes() -> Suffixes:
    """Read the bundled list, once; some 10,000 names, 50 ms."""
    names, wildcards, exceptions = set[bytes](), set[bytes](), set[bytes]()
    for line in _source().splitlines():
        rule = line.partition(" ")[0].strip()
        if not rule or rule.startswith("//"):
            continue
        if rule.startswith("*."):
            wildcards.add(name_from_text(rule[2:]))
        elif rule.startswith("!"):
            exceptions.add(name_from_text(rule[1:]))
        else:
            names.add(name_from_text(rule))
    names.update(name_from_text(name) for name in SHARED_PLATFORMS)
    names.update(infrastructure())
    wildcards.update(map(name_from_text, WILDCARDS_SINCE))
    return Suffixes(frozenset(names), frozenset(wildcards), frozenset(exceptions))


@cache
def private_suffixes() -> Suffixes:
    """The part of the list that companies asked for: hosts of many sites, and sellers of names."""
    names, wildcards = set[bytes](), set[bytes]()
    for line in _source().partition("===BEGIN PRIVATE DOMAINS===")[2].splitlines():
        rule = line.partition(" ")[0].strip()
        if rule and not rule.startswith(("//", "!")):
            kind = wildcards if rule.startswith("*.") else names
            kind.add(name_from_text(rule.removeprefix("*.")))
    wildcards.update(map(name_from_text, WILDCARDS_SINCE))
    return Suffixes(frozenset(names), frozenset(wildcards), frozenset())


@cache
def top_level_labels() -> frozenset[str]:
    """Every top-level domain there is, as an A-label, and those of special use."""
    known = suffixes()
    # Of some, as `za`, only what stands under them is on the list.
    listed = {name_to_text(name).rpartition(".")[2] for name in known.names | known.wildcards}
    added = (name_from_text(label)[1:-1].decode("ascii") for label in TOP_LEVEL_SINCE)
    return frozenset((*listed, *added, *TOP_LEVEL_SPECIAL))


def is_public_suffix(name: bytes) -> bool:
    """Whether strangers register names directly under `name` (wire form, lower case).

    As the list's algorithm has it, every top-level name is one, known or not.
    """
    above = parent(name)
    if above == b"\0":
        return True
    known = suffixes()
    if name in known.names:
        return True
    return above in known.wildcards and name not in known.exceptions


@cache
def above_suffixes() -> dict[bytes, str]:
    """Give each name that is above a public suffix and none itself, and the text of one that it covers.

    `*.x` makes x such a name: `elb.amazonaws.com`, `kawasaki.jp`.
    """
    known = suffixes()
    covered = [(name, name_to_text(name)) for name in known.names]
    covered += [(b"\x01*" + name, f"*.{name_to_text(name)}") for name in known.wildcards]
    return {
        name[at:]: text
        for name, text in covered
        for at in suffix_offsets(name)[1:]
        if not is_public_suffix(name[at:])
    }


@cache
def within_infrastructure() -> frozenset[bytes]:
    """Names above a public suffix that stand under what CNAMEs of many lead to, so they are shared, too:
    `eu-west-1.amazonaws.com`, `ssl.fastly.net`."""
    behind = infrastructure()
    return frozenset(
        name for name in above_suffixes() if any(name[at:] in behind for at in suffix_offsets(name)[1:])
    )
