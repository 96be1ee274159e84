"""What a server says of itself when it is ready.

Knows: addresses, exchanges, domains, the engine.  Does not know: how it started.
"""

from __future__ import annotations

from resolver.listeners.address import SocketAddress
from resolver.plurals import counted
from resolver.policy.policy import Policy
from resolver.server.endpoints import Endpoints, show_address


def describe(policy: Policy, endpoints: Endpoints, http: SocketAddress | None, engine: str) -> str:
    """One line: addresses, exchanges, domains, engine."""
    counts = policy.everybody.counts
    parts = ["dns " + " ".join(map(show_address, endpoints.addresses))]
    parts += [f"{key} {show_address(address)}" for key, address in endpoints.encrypted]
    if http is not None:
        parts.append("http " + show_address(http))
    parts.append(counted(counts["exchanges"], "exchange"))
    parts.append(counted(counts["domains"], "domain"))
    if counts["list_names"]:
        parts.append(counted(counts["list_names"], "list name"))
    parts.append(f"engine {engine}")
    return "ready: " + ", ".join(parts)


def description(
    policy: Policy, endpoints: Endpoints, http: SocketAddress | None, engine: str
) -> dict[str, object]:
    """What `describe` says, for programs."""
    counts = policy.everybody.counts
    return {
        "dns": [show_address(address) for address in endpoints.addresses],
        **{
            key: [show_address(address) for name, address in endpoints.encrypted if name == key]
            for key in ("tls", "https")
        },
        "http": None if http is None else show_address(http),
        **{name: counts[name] for name in ("exchanges", "domains", "list_names")},
        "engine": engine,
    }
