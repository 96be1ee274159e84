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

RETIRED_DRAIN_S: Final = 10.0
"""The same where another process serves already: longer than any question may take by the defaults."""

LINGER_S: Final = 0.3
"""How long TCP clients that have all their answers get to take them and close."""

DRAIN_POLL_S: Final = 0.01


async def drain(
    clock: Clock, waiting: Callable[[], int], connections: Callable[[], int], *, is_retired: bool = False
) -> None:
    """Wait until everyone has an answer, and a little for TCP clients to take theirs.

    `is_retired`: another process serves, so that nobody waits for the end.
    """
    now = clock.now
    deadline = now() + (RETIRED_DRAIN_S if is_retired else DRAIN_S)
    # Looked at rather than signalled: it happens once, and spares two rooms a hook on every answer.
    while waiting() and now() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(DRAIN_POLL_S)
    deadline = min(deadline, now() + LINGER_S)
    while connections() and now() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(DRAIN_POLL_S)
