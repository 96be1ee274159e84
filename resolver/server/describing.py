"""What a server that is ready says of itself: one line, or the same for programs.

Knows: which facts, in which order.  Does not know: where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resolver.listeners.address import SocketAddress
from resolver.plurals import counted
from resolver.server.endpoints import show_address


@dataclass(frozen=True)
class Description:
    """Where it serves, and what."""

    dns: Sequence[SocketAddress]
    encrypted: Sequence[tuple[str, SocketAddress]]
    """Over what (`tls` or `https`), and where."""
    http: SocketAddress | None
    counts: Mapping[str, int]
    """Of the policy: exchanges, domains, names of lists."""
    engine: str

    def line(self) -> str:
        """One line: addresses, exchanges, domains, engine."""
        parts = ["dns " + " ".join(map(show_address, self.dns))]
        parts += [f"{key} {show_address(address)}" for key, address in self.encrypted]
        if self.http is not None:
            parts.append("http " + show_address(self.http))
        parts.append(counted(self.counts["exchanges"], "exchange"))
        parts.append(counted(self.counts["domains"], "domain"))
        if self.counts["list_names"]:
            parts.append(counted(self.counts["list_names"], "list name"))
        parts.append(f"engine {self.engine}")
        return "ready: " + ", ".join(parts)

    def fields(self) -> dict[str, object]:
        """What `line` says, for programs."""
        return {
            "dns": [show_address(address) for address in self.dns],
            **{
                key: [show_address(address) for name, address in self.encrypted if name == key]
                for key in ("tls", "https")
            },
            "http": None if self.http is None else show_address(self.http),
            **{name: self.counts[name] for name in ("exchanges", "domains", "list_names")},
            "engine": self.engine,
        }
