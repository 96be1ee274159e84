"""What `check` and `apply` say of a policy at this moment: it blocks nothing, or something ends soon.

Knows: which remarks there are, the time.  Does not know: the blocklist's text, how dates are put in words.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from resolver.policy.table import open_table
from resolver.problems import Problem
from resolver.publishing.believed import believed_time
from resolver.publishing.timetable import ends_to_come

BLOCKS_NOTHING = "blocks nothing now: whatever it has is in shadow, disabled or out of its dates"


def remarks_now(
    blocklist: Path, image: Path | None, problems: Sequence[Problem], state_dir: Path | None
) -> tuple[list[Problem], list[str]]:
    """Warnings, and what ends within 30 days, in words.

    `state_dir`: of the server by whose time it goes; None: there is none.  `image`: None where it was
    refused, so that there is nothing to say; `problems`: what is said already.
    Raises ImageUnusable.
    """
    if image is None:
        return [], []
    now = believed_time(state_dir, time.time())
    is_said = any(problem.message.startswith("blocks nothing") for problem in problems)
    warnings = []
    if not is_said and not open_table(image, now, now, 1).is_filtering:
        warnings.append(Problem(str(blocklist), 0, BLOCKS_NOTHING, "warning"))
    return warnings, ends_to_come(image, now)
