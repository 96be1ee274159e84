"""Every reply that is not the policy's: the same flags, limits and options on every transport.

Knows: the client's transport and what its query lets a reply carry.  Does not know: why it is answered so.
"""

from __future__ import annotations

from resolver.flow.outcome import Respond, Source, answer_with
from resolver.flow.own_options import OwnOptions
from resolver.flow.peer import Peer
from resolver.policy.verdict import PASS, Verdict
from resolver.wire.encode import NOTHING_ASKED, encode_response, response_limit, usual_tail
from resolver.wire.numbers import Flag
from resolver.wire.query import Query
from resolver.wire.records import hinfo_body
from resolver.wire.response import Response

# Read once: members of an Enum are slow to reach through their class (see `service`).
_FROM_HERE = Source.LOCAL
_AD = int(Flag.AD)


ANY_TTL_S = 3600
"""TTL of the HINFO that answers ANY (RFC 8482 §4.2)."""


def any_body(capped_s: int | None) -> bytes:
    """The record that answers ANY, for at most `capped_s` seconds (None: no cap)."""
    return hinfo_body(ANY_TTL_S if capped_s is None else min(ANY_TTL_S, capped_s))


class ReplyEncoder:
    """Makes `Respond`s; `own` has the options that clients get who ask for them."""

    def __init__(self, own: OwnOptions) -> None:
        self._asked_by = own.asked_by

    def reply(
        self,
        query: Query,
        peer: Peer,
        rcode: int,
        *,
        body: bytes = b"",
        ancount: int = 0,
        nscount: int = 0,
        source: Source = _FROM_HERE,
        ede: tuple[tuple[int, str], ...] = (),
        ra: bool = True,
        aa: bool = False,
        truncated: bool = False,
        ad: bool = False,
        verdict: Verdict = PASS,
    ) -> Respond:
        """An answer of our own; `body` is its answer and authority sections."""
        options, pads = self._asked_by(query, peer) if query.options else NOTHING_ASKED
        message = encode_response(
            query,
            rcode,
            body=body,
            ancount=ancount,
            nscount=nscount,
            limit=response_limit(query, peer.is_stream),
            ede=ede,
            options=options,
            pads=pads,
            ra=ra,
            aa=aa,
            ad=ad,
            truncated=truncated,
        )
        return Respond(message[2:], rcode, query.qtype, source, verdict)

    def reply_from(
        self,
        query: Query,
        peer: Peer,
        response: Response,
        body: bytes,
        source: Source,
        verdict: Verdict,
        ede: tuple[tuple[int, str], ...] = (),
    ) -> Respond:
        """An upstream's response, its `body` as of now."""
        is_stream = peer.is_stream
        options, pads = self._asked_by(query, peer) if query.options else NOTHING_ASKED
        # RFC 6840 §5.8: AD only to those who show that they understand it.
        ad = response.authentic_data and (query.dnssec_ok or bool(query.flags & _AD))
        if not is_stream and not ede and not ad and not options:
            tail = usual_tail(query, response.rcode, body, response.ancount, response.nscount)
            if tail:
                return answer_with(tail, response.rcode, query.qtype, source, verdict)
        message = encode_response(
            query,
            response.rcode,
            body=body,
            ancount=response.ancount,
            nscount=response.nscount,
            limit=response_limit(query, is_stream),
            ede=ede,
            options=options,
            pads=pads,
            ad=ad,
        )
        return Respond(message[2:], response.rcode, query.qtype, source, verdict)
