"""Pages about what was in force when, and what each change did, in words.

Knows: their members, how a page goes on.  Does not know: how the history is kept or read.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from resolver.api.desk import Desk
from resolver.api.endpoint import Call, Endpoint, PathPart, Shape
from resolver.api.policy_pages import READS
from resolver.api.refusal import Kind, Refusal
from resolver.api.values import Count, Moment, whole_number

NUMBER: Final = r"[1-9][0-9]{0,8}"

LanguageWord = Literal["ar", "de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "tr", "uk"]
"""Those of reports."""
Language = Annotated[LanguageWord, Field(description="Of words for people.")]


class HistoryQuery(Shape):
    """Which part of the history."""

    limit: whole_number(50, 1, 200, "How many at most.") = 50  # type: ignore[valid-type]
    before: whole_number(None, 1, 999_999_999, "Only generations under this number; `next`.") = None  # type: ignore[valid-type]
    language: Language = "en"


class LanguageQuery(Shape):
    """Words for whom."""

    language: Language = "en"


class ChangeItem(Shape):
    """Things of one kind that one change did the same to."""

    what: str = Field(description="Always in the same words: `domains_gained`.")
    title: str = Field(description="The same for people.")
    names: list[str] = Field(description="At most 200; `count` says how many. None that is confidential.")
    count: Count


class GenerationItem(Shape):
    """One policy that was put in force."""

    generation: Count
    at: Moment
    who: str | None = Field(description="Who changed it; null: nobody, or not known.")
    cause: Literal["edit", "date", "pause", "rollback"]
    forced: bool = Field(description="Safety rails were overruled.")
    reason: str | None = Field(description="Why they were.")
    known: bool = Field(description="Whether what it changed was recorded.")
    summary: str = Field(description="What it changed, in numbers.")
    changes: list[ChangeItem]
    sha256: str = Field(description="Of the blocklist's text.")
    has_text: bool = Field(description="Whether that text is kept, so that one can go back to it.")


class GenerationPage(Shape):
    """Generations, the newest first."""

    items: list[GenerationItem]
    next: str | None = Field(description="What `before` takes to go on.")


def history_endpoints(desk: Desk) -> list[Endpoint]:
    """The rows."""

    async def history(call: Call) -> dict[str, Any]:
        asked: HistoryQuery = call.query
        found = await desk.reads.read(
            "history", limit=asked.limit, before=asked.before, language=asked.language
        )
        return {"items": found["generations"], "next": found["next"]}

    async def generation(call: Call) -> dict[str, Any]:
        text = call.path["generation"]
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Refusal(Kind.NOT_FOUND, "a generation is a number")
        return await desk.reads.read("generation", number=int(text), language=call.query.language)

    return [
        Endpoint(
            "GET",
            "/history",
            "history",
            "What was put in force when, and what each change did",
            history,
            GenerationPage,
            query=HistoryQuery,
            refuses=READS,
        ),
        Endpoint(
            "GET",
            "/history/{generation}",
            "history",
            "One generation, and what it changed",
            generation,
            GenerationItem,
            query=LanguageQuery,
            parts={"generation": PathPart("Its number.", NUMBER)},
            refuses=READS,
        ),
    ]
