"""Pages that prove and tell: audits, the report, suggestions, query records.

Knows: their members, which of them needs a token on this machine, too.  Does not know: how they are made.
"""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from starlette.responses import Response

from resolver.api.access import Need
from resolver.api.desk import Desk
from resolver.api.endpoint import Call, Endpoint, Shape
from resolver.api.history_pages import Language
from resolver.api.policy_pages import READS
from resolver.api.policy_shapes import Proved
from resolver.api.refusal import Kind, Refusal
from resolver.api.values import IDENTIFIER, Count, Day, Moment, whole_number

RECORDS_SHOWN_MAX: Final = 1_000
MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "markdown": "text/markdown; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
SUFFIXES: Final = {"html": "html", "json": "json", "markdown": "md", "csv": "csv"}
REPORT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; sandbox"
)
"""What a report in a browser may do: show its own style, and nothing else."""


class AuditRun(Shape):
    """One audit of this server by itself."""

    ended_at: Moment
    cause: Literal["schedule", "change", "request"]
    result: Literal["clean", "findings", "failed"]
    questions: Count
    counts: dict[Proved, Count] | None = Field(description="Status -> names; null: nothing was proved.")
    reason: str | None = Field(description="Why it failed.")


class AuditRuns(Shape):
    """The last audits, the newest first."""

    items: list[AuditRun]
    next: None
    every_h: float = Field(description="Between two whole ones; 0: there are none.")


class ListenerAsked(Shape):
    """One address and transport, and how it bore being asked."""

    address: str
    transport: str
    asked: Count
    answered: Count
    unanswered: Count
    median_ms: float
    slowest_ms: float
    remark: str | None


class ServerAsked(Shape):
    """One server that was asked."""

    name: str
    listeners: list[ListenerAsked]


class Finding(Shape):
    """One name that is not as it must be."""

    name: str
    form: str
    kind: Literal["exchange", "list", "allow", "protected", "ask"]
    source: str = Field(description="The exchange or list; of an `ask` the order.")
    orders: list[str]
    status: Proved
    detail: str
    question: str | None
    listener: str | None
    file: str
    line: Count


class ListBehind(Shape):
    """One list that is not what its register has."""

    list: str
    detail: str


class Audit(Shape):
    """What the last audit of everything proved; confidential names are counted, and not told."""

    started_at: Moment
    ended_at: Moment
    policy: str | None
    clean: bool
    counts: dict[Proved, Count]
    servers: list[ServerAsked]
    finding_count: Count
    findings: list[Finding] = Field(description="At most 1,000.")
    lists_behind: list[ListBehind]


FormatWord = Literal["html", "json", "markdown", "csv"]


class ReportQuery(Shape):
    """Which report."""

    format: Annotated[FormatWord, Field(description="How it is written.")] = "html"
    language: Language = "en"
    order: Annotated[
        str | None, Field(None, pattern=f"^{IDENTIFIER}$", description="About one order alone.")
    ] = None


class Decision(Shape):
    """What somebody decided about a name."""

    what: str
    who: str
    at: Moment | None
    reason: str
    exchange: str


class SuggestionItem(Shape):
    """A name that was asked for and looks like a listed exchange."""

    name: str
    exchange: str
    exchange_name: str
    score: float = Field(ge=0, le=1)
    reasons: list[str]
    official: bool
    state: Literal["open", "weak", "dismissed"]
    queries: Count
    days: dict[str, Count]
    first: Day
    last: Day
    decision: Decision | None


class Suggestions(Shape):
    """Advice: nothing of it is blocked."""

    items: list[SuggestionItem] = Field(description="What scores most first.")
    next: None
    enabled: bool = Field(description="Whether names are looked at for it.")
    more: Count
    confidential: Count = Field(description="Names that look like a confidential exchange.")
    remark: str | None


class RecordsQuery(Shape):
    """How many records."""

    limit: whole_number(100, 1, RECORDS_SHOWN_MAX, "How many at most.") = 100  # type: ignore[valid-type]


class Records(Shape):
    """The last query records, the newest first, as the operator has them given to somebody else."""

    items: list[dict[str, Any]] = Field(description="What stands in one: `exchange-resolver schema records`.")
    next: None


def proof_endpoints(desk: Desk) -> list[Endpoint]:
    """The rows."""

    async def audits(call: Call) -> dict[str, Any]:
        return {"items": list(desk.audits()), "next": None, "every_h": desk.facts().audit.every_s / 3_600}

    async def audit(call: Call) -> dict[str, Any]:
        return await desk.reads.read("audit")

    async def suggestions(call: Call) -> dict[str, Any]:
        found = await desk.reads.read("suggestions", enabled=desk.has_suggestions)
        return {**found, "next": None}

    return [
        Endpoint("GET", "/audits", "proof", "The last audits of this server by itself", audits, AuditRuns),
        Endpoint(
            "GET",
            "/audits/latest",
            "proof",
            "What the last audit of everything proved",
            audit,
            Audit,
            refuses=(*READS, Kind.NOT_FOUND),
        ),
        _report(desk),
        Endpoint(
            "GET",
            "/suggestions",
            "proof",
            "Names that look like a listed exchange, as advice",
            suggestions,
            Suggestions,
            refuses=READS,
        ),
        _records(desk),
    ]


def _report(desk: Desk) -> Endpoint:
    async def report(call: Call) -> Response:
        asked: ReportQuery = call.query
        found = await desk.reads.read(
            "report", format=asked.format, language=asked.language, order=asked.order or ""
        )
        headers = {
            "cache-control": "no-store",
            "content-security-policy": REPORT_POLICY,
            "content-disposition": f'inline; filename="report.{SUFFIXES[asked.format]}"',
        }
        return Response(
            base64.b64decode(found["content"]), headers=headers, media_type=MEDIA_TYPES[asked.format]
        )

    return Endpoint(
        "GET",
        "/report",
        "proof",
        "The report for an authority, of the last 30 days",
        report,
        query=ReportQuery,
        media=("text/html", "application/json", "text/markdown", "text/csv"),
        refuses=READS,
    )


def _records(desk: Desk) -> Endpoint:
    async def records(call: Call) -> dict[str, Any]:
        if desk.records is None:
            raise Refusal(
                Kind.CONFLICT,
                "no query records are kept: the operator wants none",
                remedy="Set query_records or log.queries, if your law lets you.",
            )
        return {"items": [json.loads(line) for line in desk.records(call.query.limit)], "next": None}

    return Endpoint(
        "GET",
        "/query-records",
        "proof",
        "The last query records, where the operator turned them on",
        records,
        Records,
        description=(
            "Personal data. Clients are shown as the first sink of `query_records` gets them, else the log."
        ),
        need=Need.TOKEN,
        query=RecordsQuery,
        refuses=(Kind.CONFLICT,),
    )
