"""What passes between a server and the child process that proves batches of lists.

Knows: the words, and their JSON.  Does not know: how anything is proved; so a server need not load that.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from resolver.server.audit_job import Job, job_from


@dataclass(frozen=True, slots=True)
class ProofJob:
    """Which lists are looked at, and how the server is asked."""

    lists: list[str]
    audit: Job


@dataclass(frozen=True, slots=True)
class Proved:
    """What was found of one list."""

    list: str
    has_batch: bool = False
    """Whether a batch waits for its command."""
    unproved: int = 0
    """Records that are new and were not proved to be in force."""
    problem: str = ""
    """Why; empty: all were, or there are none."""


def proof_job_to_json(job: ProofJob) -> bytes:
    """For the child's standard input."""
    return json.dumps(asdict(job)).encode()


def proof_job_from(octets: bytes) -> ProofJob:
    """Read what the parent wrote.  Raises ValueError, KeyError or TypeError for anything else."""
    fields = json.loads(octets)
    return ProofJob(list(map(str, fields["lists"])), job_from(json.dumps(fields["audit"]).encode()))
