"""Finds exchanges, orders and lists by id, name, alias, domain or order reference.

Knows: what a person may type.  Does not know: files, tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.rules import Blocklist
from resolver.orders.platforms import Platform, Platforms, covers, name_key
from resolver.orders.words import plain_text, read_word
from resolver.wire.idn import unicode_name
from resolver.wire.names import name_from_text, suffix_offsets


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found."""

    kind: str
    """`exchange`, `order` or `list`."""
    id: str
    name: str
    matched: str
    """What of it matched: `id`, `name`, `alias 'OKEx'`, `domain okx.com`, `reference ...`."""
    is_exact: bool
    is_in_policy: bool = True
    """False: only the catalogue has it."""


def find(text: str, policy: Blocklist, catalogue: Blocklist | None = None) -> list[Hit]:
    """Everything that `text` may mean: exact matches first, each thing once."""
    wanted = plain_text(text).strip()
    if not wanted:
        return []
    hits = [
        *_exchanges(wanted, Platforms(policy, catalogue)),
        *_orders(wanted, policy),
        *_lists(wanted, policy),
    ]
    return sorted(hits, key=lambda hit: (not hit.is_exact, not hit.is_in_policy))


def _exchanges(wanted: str, platforms: Platforms) -> Iterator[Hit]:
    needle, key = wanted.casefold(), name_key(wanted)
    host = _host_of(wanted)
    owner = platforms.of_host(host) if host is not None else None
    # The catalogue may know more names of a platform than the blocklist.
    named = platforms.of_name(wanted)
    for platform in platforms.by_id.values():
        found = _match(platform, needle, key, host if owner is platform else None)
        if platform in named and (found is None or not found[1]):
            found = (f"alias {wanted!r}", True)
        if found is not None:
            matched, is_exact = found
            yield Hit("exchange", platform.id, platform.name, matched, is_exact, platform.is_in_policy)


def _match(platform: Platform, needle: str, key: str, host: bytes | None) -> tuple[str, bool] | None:
    """What of a platform matches, the best first, and whether exactly."""
    if needle == platform.id:
        return "id", True
    names = list(platform.all_names())
    for name in names:
        if key and name_key(name) == key:
            return ("name" if name == platform.name else f"alias {name!r}"), True
    if host is not None:
        for at in suffix_offsets(host):
            for rule in platform.names:
                if rule.owner == host[at:] and covers(rule, host):
                    return f"domain {entry_text(rule.owner, rule.form)}", True
        return "domain (catalogue)", True
    if needle in platform.id:
        return "id", False
    for name in names:
        if needle in name.casefold():
            return ("name" if name == platform.name else f"alias {name!r}"), False
    for rule in platform.names:
        entry = entry_text(rule.owner, rule.form)
        if needle in entry or needle in (unicode_name(entry) or "").casefold():
            return f"domain {entry}", False
    return None


def _orders(wanted: str, policy: Blocklist) -> Iterator[Hit]:
    needle = wanted.casefold()
    for order in policy.orders.values():
        for what, value in (
            ("id", order.id),
            ("reference", order.reference),
            ("title", order.title),
            ("authority", order.authority),
        ):
            if value and needle in value.casefold():
                yield Hit("order", order.id, order.title, what, needle == value.casefold())
                break
        else:
            ask = next((ask for ask in order.asks if needle in ask.casefold()), None)
            if ask is not None:
                yield Hit("order", order.id, order.title, f"asks {ask}", needle == ask.casefold())


def _lists(wanted: str, policy: Blocklist) -> Iterator[Hit]:
    needle = wanted.casefold()
    for spec in policy.lists:
        source = spec.download.url if spec.download is not None else str(spec.path)
        if needle in spec.name.casefold():
            yield Hit("list", spec.name, source, "name", needle == spec.name.casefold())
        elif needle in source.casefold():
            yield Hit("list", spec.name, source, "source", False)


def _host_of(text: str) -> bytes | None:
    """The host of what was typed, in whatever spelling; None where it is none."""
    if " " in text or "." not in text:
        return None
    address = read_word(text, 0, is_listed=True)
    if address is not None and address.owner:
        return address.owner
    try:
        return name_from_text(text)
    except ValueError:
        return None
