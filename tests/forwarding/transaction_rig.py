"""What upstreams say to a question on its way, and which of them were asked."""

from __future__ import annotations

from tests.support.forwarding_rig import Rig, reply_to
from tests.support.scenario_network import Sent

FORMERR, SERVFAIL, NOTIMP, REFUSED = 1, 2, 4, 5


def truncated(sent: Sent) -> bytes:
    return reply_to(sent.octets, flags=0x8380)


def addresses(rig: Rig) -> list[str]:
    return [sent.upstream.address for sent in rig.sent]
