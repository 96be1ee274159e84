"""What a server says when it is ready: addresses, exchanges, domains, engine.

Knows: the words.  Does not know: when it is ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from resolver.api.desk import Listening
from resolver.listeners.address import SocketAddress
from resolver.plurals import counted
from resolver.server.endpoints import show_address


def listening_of(
    dns: Sequence[SocketAddress], encrypted: Iterable[tuple[str, SocketAddress]], http: SocketAddress | None
) -> Listening:
    """Where a server is reached; `encrypted`: over what (`tls` or `https`), and where."""
    known = list(encrypted)
    addresses = {
        key: [show_address(where) for name, where in known if name == key] for key in ("tls", "https")
    }
    return Listening(
        list(map(show_address, dns)), **addresses, http=None if http is None else show_address(http)
    )


def ready_line(listening: Listening, counts: Mapping[str, Any], engine: str) -> str:
    """One line; `counts`: those of the policy in force."""
    parts = ["dns " + " ".join(listening.dns)]
    parts += [f"{key} {address}" for key in ("tls", "https") for address in getattr(listening, key)]
    if listening.http is not None:
        parts.append("http " + listening.http)
    parts.append(counted(counts["exchanges"], "exchange"))
    parts.append(counted(counts["domains"], "domain"))
    if counts["list_names"]:
        parts.append(counted(counts["list_names"], "list name"))
    parts.append(f"engine {engine}")
    return "ready: " + ", ".join(parts)


def ready_fields(listening: Listening, counts: Mapping[str, Any], engine: str) -> dict[str, object]:
    """The same for programs."""
    names = ("exchanges", "domains", "list_names")
    return {**asdict(listening), **{name: counts[name] for name in names}, "engine": engine}
