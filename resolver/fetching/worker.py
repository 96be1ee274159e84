"""The child process of one download: strangers' octets never meet the process that answers.

Knows: how a job comes in and an outcome goes out.  Does not know: the steps of a download.

    python -m resolver.fetching.worker < JOB

takes one JSON object (`job_as_json`) and prints one (`Outcome.as_json`); exits 0 when the list is what the
server has, else 1.  Killed at any moment, it leaves the old list or the new one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from resolver.blocklist.downloads import downloaded_list_from
from resolver.fetching.download import Job, fetch_list
from resolver.fetching.outcome import Outcome, Result


def job_from(fields: dict[str, Any]) -> Job:
    """`job_as_json` back again.  Raises KeyError or TypeError for anything else."""
    return Job(
        downloaded_list_from(fields["list"]),
        Path(fields["state_dir"]),
        tuple((str(address), int(port)) for address, port in fields["bootstrap"]),
        bool(fields["force"]),
    )


def main() -> int:
    """See the head of this file."""
    job = job_from(json.load(sys.stdin))
    try:
        outcome = asyncio.run(fetch_list(job))
    except Exception as error:
        # Counted and named by the parent, as a defect; the copy is what it was.
        outcome = Outcome(job.wanted.name, Result.DEFECT, f"{type(error).__name__}: {error}"[:500])
    sys.stdout.write(json.dumps(outcome.as_json()) + "\n")
    return 0 if outcome.is_success else 1


if __name__ == "__main__":
    sys.exit(main())
