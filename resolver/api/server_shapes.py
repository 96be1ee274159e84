"""What the pages about the running server give.

Knows: their members.  Does not know: where the values come from.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from resolver.api.endpoint import Shape
from resolver.api.values import Count, Moment

Level = Literal["error", "warning"]
RoleWord = Literal["read", "edit", "approve"]


class CacheStatus(Shape):
    """Size and use of the cache; counts are since the start."""

    entries: Count
    octets: Count
    hits: Count
    misses: Count
    evictions: Count


class PolicyStatus(Shape):
    """What is in force, in numbers."""

    generation: Count = Field(description="Goes up with each policy put in force, from the start.")
    history: Count = Field(description="Its number in the history; 0: it is not recorded, or not yet.")
    content: str | None = Field(
        description="Hash of the blocklist and its lists; null: there is no policy yet."
    )
    loaded_at: Moment | None
    is_stale: bool = Field(description="The blocklist as it stands is not in force: it could not be loaded.")
    edit_waits: bool = Field(description="It is not in force because a second person has yet to approve it.")
    is_empty: bool = Field(description="Nothing is blocked.")
    exchanges: dict[str, Count] = Field(description="State -> exchanges, confidential ones included.")
    domains: dict[str, Count] = Field(description="State of their exchange -> domains.")
    confidential_exchanges: Count


class ListeningStatus(Shape):
    """Addresses on which the server is reached."""

    dns: list[str]
    tls: list[str]
    https: list[str]
    http: str | None


class Status(Shape):
    """What this server is and does."""

    version: str
    engine: Literal["native", "python", ""]
    at: Moment
    started_at: Moment
    ready: bool
    reasons: dict[str, str] = Field(description="Condition that does not hold -> why; empty: ready.")
    remarks: dict[str, str] = Field(description="Topic -> what a person should know although it is ready.")
    paused_until: Moment | None = Field(
        description="When filtering goes on; null: it is not paused. `remarks.filtering` says who paused it."
    )
    problems: dict[Level, Count] = Field(description="How much is wrong now; `/problems` says what.")
    listening: ListeningStatus
    policy: PolicyStatus
    queries: Count = Field(description="Since the start, as the next two.")
    blocked: Count
    cache: CacheStatus
    waiting: Count = Field(description="Queries that wait for an upstream now.")
    connections: dict[str, Count] = Field(
        description="Transport -> connections of clients that are open now."
    )
    changes: Literal["direct", "two-person"] = Field(description="How edits come into force.")
    has_tokens: bool = Field(description="Whether anybody has a token; without one nothing can be changed.")


class WhoAmI(Shape):
    """Who asks, and what that may do."""

    name: str | None = Field(description="Of the token; null: somebody on this machine, without one.")
    role: RoleWord
    has_token: bool
    may_read_records: bool
    may_edit: bool
    may_approve: bool
    changes: Literal["direct", "two-person"]


class ProblemItem(Shape):
    """One thing that is wrong now."""

    id: str = Field(description="From a closed set; each has an alert and a part of the guide.")
    subject: str | None = Field(description="Which one, where there may be several: an upstream, an order.")
    level: Level
    title: str
    detail: str
    since: Moment = Field(description="When it was first seen, since the start at the earliest.")
    remedy: str
    link: str = Field(description="Where the guide speaks of it, from its first page.")


class Problems(Shape):
    """Everything that is wrong, the worst first; empty: nothing."""

    items: list[ProblemItem]
    next: None


class UpstreamItem(Shape):
    """One server that is asked."""

    name: str
    up: bool
    is_encrypted: bool
    queries: Count
    failures: dict[str, Count] = Field(description="Reason -> count.")
    p50_s: float | None = Field(description="Of all its responses since the start, as the next one.")
    p99_s: float | None
    connections: Count
    handshakes: Count
    resumptions: Count
    certificate_until: Moment | None


class Upstreams(Shape):
    """All that are asked."""

    items: list[UpstreamItem]
    next: None


class CertificateItem(Shape):
    """One certificate that this server shows."""

    use: Literal["tls", "http.tls"] = Field(description="The settings that name it.")
    file: str
    names: list[str]
    valid_from: Moment
    valid_until: Moment
    remark: str | None = Field(description="What a person should know of it.")


class Certificates(Shape):
    """All that are served; and what is wrong with files that are not."""

    items: list[CertificateItem]
    next: None
    is_stale: bool = Field(description="Files as they stand cannot be used; those before are served.")
