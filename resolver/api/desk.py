"""What the API asks the server for.

Knows: the words between the API and a running server.  Does not know: how anything is counted, read or done.
Theory: pages read facts, which cost the event loop a few copies; whatever has to read the blocklist, a
history or a file of an audit runs in a child process, which `Reads` starts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from resolver.api.changing import Changing, NoChanging
from resolver.api.refusal import Refusal
from resolver.observe.facts import Facts
from resolver.observe.problem import Standing
from resolver.observe.traffic import Counted, Step
from resolver.web.explain import Explains


class Reads(Protocol):
    """Who reads what is in force, and what was, in a process of its own."""

    async def policy(self) -> dict[str, Any]:
        """The policy in force as a report has it, read at most a minute ago.  Raises Refusal."""

    async def read(self, what: str, **asked: Any) -> dict[str, Any]:
        """`what`: a word of `resolver.cli.api_child`.  Raises Refusal."""


class NoReads:
    """Nobody reads: for who describes the API alone."""

    async def policy(self) -> dict[str, Any]:
        """See `Reads`."""
        raise NotImplementedError

    async def read(self, what: str, **asked: Any) -> dict[str, Any]:
        """See `Reads`."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server is reached: `127.0.0.1:53`."""

    dns: Sequence[str] = ()
    tls: Sequence[str] = ()
    https: Sequence[str] = ()
    http: str | None = None


def _nobody_explains(*_: Any, **__: Any) -> Awaitable[dict[str, Any]]:
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that pages are made of."""

    facts: Callable[[], Facts] = Facts
    problems: Callable[[], Sequence[Standing]] = tuple
    """Everything that is wrong now, the worst first."""
    counted: Callable[[], Counted] = Counted
    """All outcomes of queries so far."""
    wall: Callable[[], float] = lambda: 0.0
    """Unix seconds, as far as they can be believed."""
    now: Callable[[], float] = lambda: 0.0
    """Monotonic seconds."""
    started_at: float = 0.0
    """Unix seconds."""
    listening: Callable[[], Listening] = Listening
    explains: Explains = _nobody_explains
    reads: Reads = field(default_factory=NoReads)
    changing: Changing = field(default_factory=NoChanging)
    state_dir: Path = Path()
    blocklist: Path = Path()
    changes: str = "direct"
    """Or `two-person`."""
    has_tokens: Callable[[], bool] = lambda: False
    certificates: Callable[[], Sequence[Certificate]] = tuple
    traffic: Callable[[str], Awaitable[Sequence[Step]]] | None = None
    """`hour`, `day` or `month` -> steps, oldest first; None: nothing is kept."""
    records: Callable[[int], Sequence[bytes]] | None = None
    """The last so many query records, each a JSON object, newest first; None: the operator wants none."""
    audits: Callable[[], Sequence[dict[str, Any]]] = tuple
    """The last audits, newest first."""
    has_suggestions: bool = False
    """Whether names are looked at for likenesses."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that is served, or one that is to be."""

    use: str
    """`tls`, or `http.tls`."""
    file: str
    names: Sequence[str]
    starts_at: float
    ends_at: float
    remark: str = ""


__all__ = ["Certificate", "Desk", "Listening", "Reads", "Refusal"]
