"""How a stopping server waits for those who still wait for it.

Knows: for how long.  Does not know: who they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from resolver.clock import Clock

DRAIN_S: Final = 1.5
"""How long a stopping server waits for answers in flight; what is left then is answered SERVFAIL.
With closing it stays within the 2 seconds that the contract gives."""

LINGER_S: Final = 0.3
"""How long TCP clients that have all their answers get to take them and close."""

DRAIN_POLL_S: Final = 0.01


async def drain(clock: Clock, waiting: Callable[[], int], connections: Callable[[], int]) -> None:
    """Wait until everyone has an answer, and a little for TCP clients to take theirs."""
    now = clock.now
    deadline = now() + DRAIN_S
    # Looked at rather than signalled: it happens once, and spares two rooms a hook on every answer.
    while waiting() and now() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(DRAIN_POLL_S)
    deadline = min(deadline, now() + LINGER_S)
    while connections() and now() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(DRAIN_POLL_S)
