"""Names that clients give themselves: in the path of DNS over HTTPS, or in the TLS server name.

Knows: where a name may stand, and what is one.  Does not know: HTTP, TLS, what a name is good for.
Theory: nobody proves that a name is his.  So it tells people which of a network's devices asked, and nothing
is allowed for it; limits go on counting by address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CLIENT_NAME_OCTETS_MAX = 63
"""As long as a label: the name may stand in a server name (RFC 1035 §2.3.4)."""

_LDH = re.compile(rb"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Letters, digits, hyphens within (RFC 5890 §2.3.1), in lower case."""


def client_name(octets: bytes) -> str:
    """The name that octets are, in lower case; empty: they are none."""
    lowered = octets.lower()
    return lowered.decode("ascii") if _LDH.fullmatch(lowered) else ""


@dataclass(frozen=True, slots=True)
class ClientNames:
    """Where clients may name themselves."""

    in_path: bool = False
    """Whether a path may end in a name."""
    below: str = ""
    """The suffix of server names that name a client by their first label, in lower case; empty: none does."""

    def split_path(self, path: bytes, served: bytes) -> tuple[bytes, str]:
        """The path that is asked and the name in it; what is no `served` path with a name stays as it is."""
        if self.in_path and path.startswith(served) and path[len(served) : len(served) + 1] == b"/":
            name = client_name(path[len(served) + 1 :])
            if name:
                return served, name
        return path, ""

    def split_target(self, target: bytes, served: bytes) -> tuple[bytes, str]:
        """The same of a request's target: path and query."""
        path, mark, query = target.partition(b"?")
        path, name = self.split_path(path, served)
        return path + mark + query, name

    def in_server_name(self, server_name: str | None) -> str:
        """The client's name in the server name that it asked for; empty: there is none."""
        if not self.below or not server_name:
            return ""
        name, _, rest = server_name.rstrip(".").partition(".")
        return client_name(name.encode("ascii", "replace")) if rest.lower() == self.below else ""


NO_NAMES = ClientNames()
"""Where clients have none."""
