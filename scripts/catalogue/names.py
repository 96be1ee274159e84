"""Host names reduced to the domain somebody registered, and the names that are nobody's alone.

Knows: the Public Suffix List and the shared platforms, through `resolver.known_names`.
Does not know: exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping

from resolver.known_names.infrastructure import infrastructure
from resolver.known_names.public_suffixes import SHARED_PLATFORMS, is_public_suffix
from resolver.known_names.shared_platforms import SHARED_PLATFORMS_BY_KIND
from resolver.wire.names import name_from_text, name_to_text, parent


def shared_platforms() -> dict[str, str]:
    """Name -> why it is shared, of all lists that the resolver warns of."""
    shared = {name_to_text(name): what for name, what in infrastructure().items()}
    shared |= dict.fromkeys(SHARED_PLATFORMS, "anybody can publish there")
    for kind, names in SHARED_PLATFORMS_BY_KIND.items():
        shared.update({name: f"{kind}: {why}" for name, why in names.items()})
    return shared


def registrable_domain(host: str) -> str | None:
    """Reduce a host to the name one registers: `api.x.co.uk` to `x.co.uk`; None for a public suffix.

    Raises ValueError for what is no name.
    """
    name = name_from_text(host)
    if is_public_suffix(name):
        return None
    while not is_public_suffix(above := parent(name)):
        name = above
    return name_to_text(name)


def ancestors(domain: str) -> list[str]:
    """Give the name itself and all above it: `a.b.example`, `b.example`, `example`."""
    labels = domain.split(".")
    return [".".join(labels[index:]) for index in range(len(labels))]


def covering(domain: str, names: Mapping[str, object]) -> str | None:
    """Find which of `names` is `domain` or above it."""
    return next((name for name in ancestors(domain) if name in names), None)
