"""The EDNS options of this server's own that a client gets because it asked: its name, keepalive, padding.

Knows: which option is answered on which transport.  Does not know: why an answer is what it is, how it is
encoded.
"""

from __future__ import annotations

from resolver.flow.peer import Peer
from resolver.policy.structured import StructuredErrors
from resolver.wire.encode import NOTHING_ASKED, AskedOptions
from resolver.wire.numbers import EdnsOption
from resolver.wire.query import Query

# Read once: members of an Enum are slow to reach through their class.
_NSID = int(EdnsOption.NSID)
_KEEPALIVE = int(EdnsOption.TCP_KEEPALIVE)
_PADDING = int(EdnsOption.PADDING)


class OwnOptions:
    """What this server has to say in options, and which of it one client gets."""

    def __init__(self, tcp_idle_s: float, nsid: bytes, structured: StructuredErrors | None) -> None:
        """`tcp_idle_s`: how long connections may rest (RFC 7828).  `nsid`: this server's name; empty: untold.

        `structured`: how clients that ask for it are told why a name is blocked.
        """
        # RFC 7828 §3.1: units of 100 milliseconds.
        self._keepalive = (_KEEPALIVE, int(tcp_idle_s * 10).to_bytes(2, "big"))
        self._nsid = (_NSID, nsid) if nsid else None
        self._structured = structured

    def asked_by(self, query: Query, peer: Peer) -> AskedOptions:
        """The options that the answer to `query` carries; `NOTHING_ASKED`, itself, where there are none."""
        if not query.options or not query.has_opt:
            return NOTHING_ASKED
        codes = {code for code, _ in query.options}
        transport = peer.transport
        values = []
        # RFC 5001 §2.1: whatever a client's own option holds is ignored.
        if self._nsid is not None and _NSID in codes:
            values.append(self._nsid)
        if transport.has_keepalive and _KEEPALIVE in codes:
            values.append(self._keepalive)
        # RFC 7830 §4: never unasked for, and only where it hides something.
        pads = transport.is_encrypted and _PADDING in codes
        return AskedOptions(tuple(values), pads) if values or pads else NOTHING_ASKED

    def structured_for(self, query: Query) -> StructuredErrors | None:
        """How the client is told why a name is blocked, if it asked for the structured form."""
        structured = self._structured
        return structured if structured is not None and structured.is_asked_by(query) else None

    def shape_denials(self, query: Query, peer: Peer) -> bool:
        """Whether a denial for this client looks unlike those for most."""
        return self.structured_for(query) is not None or self.asked_by(query, peer) is not NOTHING_ASKED
