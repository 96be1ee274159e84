"""How long an attempt may take until it is thought too slow.

Knows: that over a stream a connection may have to be opened first.  Does not know: the clock, what is done
with one that is late.
"""

from __future__ import annotations

from resolver.forwarding.bounds import STREAM_COST, STREAM_TIMEOUT_S_MAX
from resolver.forwarding.upstream import Upstream


def attempt_patience_s(upstream: Upstream, is_stream: bool) -> float:
    """That of a first attempt."""
    timeout_s = upstream.attempt_timeout_s()
    if is_stream:
        timeout_s *= STREAM_COST
        if timeout_s > STREAM_TIMEOUT_S_MAX:
            return STREAM_TIMEOUT_S_MAX
    return timeout_s
