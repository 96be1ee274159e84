"""What passes between a server and the child process that audits it.

Knows: the words, and their JSON.  Does not know: how anything is asked; so a server need not load that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Moment:
    """A policy at one time."""

    image: str
    """Path of the image."""
    wall: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Job:
    """One audit."""

    state_dir: str
    blocklist: str
    secret: str
    """In hexadecimal digits."""
    endpoints: dict[str, list[tuple[str, int]]]
    """Where the server listens: see `targets.Listening`."""
    qps: float
    names_max: int
    records: dict[str, list[str]] = field(default_factory=dict)
    """The site's own names and their addresses."""
    forwarded: list[str] = field(default_factory=list)
    """Suffixes with upstreams of their own."""
    nat64_prefixes: list[str] = field(default_factory=list)
    """Of the network, by which the server judges addresses."""
    earliest: float = 0.0
    """Unix seconds, as they could be believed when this was written: no clock that says less is right."""
    since: Moment | None = None
    """Ask only what is not what it was then, and the last findings; None: ask everything."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What an audit has shown, in numbers."""

    image: str
    """The image it began with: what came after that is not proved."""
    wall: float
    counts: dict[str, int]
    """Every status -> names."""
    findings: dict[str, int]
    """Every status that is a finding -> names; exceptions that could not be looked up are none."""
    questions: int
    lags: int
    left_out: int
    """Names that were to be asked and were not in the sample."""
    told: list[str]
    """The first findings in words; none of confidential orders."""
    has_findings: bool


def job_from(octets: bytes) -> Job:
    """Read what the parent wrote.  Raises ValueError, KeyError or TypeError for anything else."""
    fields = json.loads(octets)
    since = fields.pop("since")
    endpoints = {
        str(key): [(str(address), int(port)) for address, port in pairs]
        for key, pairs in fields.pop("endpoints").items()
    }
    return Job(**fields, endpoints=endpoints, since=None if since is None else Moment(**since))
