"""What the pages about the policy take and give: exchanges, orders, lists, what is called so.

Knows: their members.  Does not know: where the values come from.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from resolver.api.endpoint import Shape
from resolver.api.values import Count, Day, Moment, Text

State = Literal["in_force", "partly", "excepted", "pending", "ended", "shadow", "disabled"]
Category = Literal["exchange", "ico", "otc", "payment", "media", "other"]
Proved = Literal[
    "uncovered", "overblocked", "unknown", "covered", "open", "shadowed", "pending", "expired", "disabled"
]


class DayHits(Shape):
    """The hits of one day."""

    day: Day
    blocked: Count
    shadow: Count


class HitsOfMonth(Shape):
    """Hits of the last 30 days; days without any are left out."""

    blocked: Count
    shadow: Count = Field(description="What would have been blocked.")
    days: list[DayHits]


class NameItem(Shape):
    """One name or network of an exchange."""

    name: str
    unicode: str | None = Field(description="How people read it, where it has other letters than ASCII.")
    form: Literal["subtree", "exact", "below", "network"]
    state: State
    file: str
    line: Count


class ExchangeItem(Shape):
    """One exchange, without its names."""

    id: str
    name: str
    aliases: list[str]
    category: str | None
    orders: list[str]
    state: State
    action: str = Field(description="What a client gets: `nxdomain`, `sinkhole 192.0.2.80`.")
    ttl_s: Count
    from_: Moment | None = Field(alias="from")
    until: Moment | None
    in_policy_since: Moment | None
    in_force_since: Moment | None
    name_count: Count = Field(description="Its domains and networks.")
    hits: HitsOfMonth | None = Field(description="null: no hits are kept.")
    audit: dict[Proved, Count] | None = Field(description="Status -> names, as last proved; null: never.")


class ExchangePage(Shape):
    """Exchanges, in the order of the blocklist."""

    items: list[ExchangeItem]
    next: str | None
    confidential: Count = Field(description="Exchanges that are not named.")
    audited_at: Moment | None


class Exchange(ExchangeItem):
    """One exchange with its names."""

    names: list[NameItem] = Field(description="At most 1,000; `name_count` says how many there are.")


class Asks(Shape):
    """What an order names, by what became of it."""

    total: Count
    enforced: Count
    pending: Count
    not_enforced: Count


class OrderItem(Shape):
    """One order."""

    id: str
    authority: str
    title: str
    reference: str | None
    date: str | None
    url: str | None
    imposed_by: Literal["external", "house"]
    state: State
    mode: Literal["enforce", "shadow", "disabled"]
    measure: str | None
    from_: Moment | None = Field(alias="from")
    until: Moment | None
    received: Moment | None
    due: Moment | None
    first_served: Moment | None
    in_force_since: Moment | None
    took_s: int | None = Field(description="From its receipt until it was in force.")
    ahead_s: int | None = Field(description="How long before its deadline it was in force; negative: late.")
    blocks_now: bool
    exchanges: list[str]
    lists: list[str]
    names_blocked: Count
    asks: Asks
    hits: HitsOfMonth | None


class OrderPage(Shape):
    """Orders, those of authorities first."""

    items: list[OrderItem]
    next: str | None
    confidential: Count = Field(description="Orders that are not named.")


class NotEnforcedItem(Shape):
    """One thing that an order asks for and that is not enforced."""

    ask: str
    reason: str
    why: str | None
    exchange: str | None


class Order(OrderItem):
    """One order, with what of it is not enforced."""

    not_enforced: list[NotEnforcedItem] = Field(description="At most 1,000; `asks` says how many.")


class DownloadStatus(Shape):
    """How a list is fetched."""

    last_success: Moment | None = Field(description="null: it was never downloaded.")
    refresh_s: float
    results: dict[str, Count] = Field(description="Result -> attempts since the start.")
    serial: int | None = Field(description="Of a transferred zone: of the copy.")
    authority_serial: int | None
    lag_s: float | None


class ListItem(Shape):
    """One list of names, or a register."""

    name: str
    source: str
    format: str
    kind: Literal["block", "allow", "check"]
    orders: list[str]
    state: State
    action: str | None
    from_: Moment | None = Field(alias="from")
    until: Moment | None
    file: str
    line: Count
    names: int | None = Field(description="null: not recorded.")
    records: int | None = Field(description="Of a register: decisions read.")
    entries_enforced: int | None
    entries_not_enforced: dict[str, Count] = Field(description="Of a register: reason -> entries.")
    hits: HitsOfMonth | None
    audit: dict[Proved, Count] | None
    download: DownloadStatus | None = Field(description="null: it is a file of this machine.")


class Lists(Shape):
    """All lists, in the order of the blocklist."""

    items: list[ListItem]
    next: None
    confidential: Count = Field(description="Lists that are not named.")


class ExceptionItem(Shape):
    """One exception (`allow`): a name that is let through."""

    name: str = Field(description="As the blocklist has it: `=` before a name alone, `*.` before all below.")
    unicode: str | None = Field(description="How people read it, where it has other letters than ASCII.")
    state: Literal["in_force", "pending", "ended"]
    from_: Moment | None = Field(alias="from")
    until: Moment | None
    reason: str | None
    ticket: str | None
    file: str
    line: Count


class ExceptionPage(Shape):
    """The exceptions of the blocklist as it stands, in its order."""

    items: list[ExceptionItem]
    next: str | None
    confidential: Count = Field(description="Exceptions from what is confidential, which are not named.")


class FoundItem(Shape):
    """Something that is called so."""

    kind: Literal["exchange", "order", "list"]
    id: str
    name: str
    matched: str = Field(description="What of it matched: `id`, `name`, `domain okx.com`.")
    exact: bool
    in_blocklist: bool = Field(description="false: only the catalogue has it.")
    state: str
    orders: list[str]
    from_: Moment | None = Field(alias="from")
    until: Moment | None


class FoundPage(Shape):
    """All that is called so, exact matches first."""

    items: list[FoundItem]
    next: None
    more: Count = Field(description="How many are left out.")


class FindQuery(Shape):
    """What is looked for."""

    q: Annotated[
        Text,
        Field(
            min_length=1, max_length=200, description="An id, name, alias, domain or reference, or a part."
        ),
    ]


class ExplainQuery(Shape):
    """What is asked about."""

    name: Annotated[Text, Field(min_length=1, max_length=2_048, description="A name or an address.")]
    type: Annotated[Text, Field(min_length=1, max_length=16, description="The type of the question.")] = "A"
    client: Annotated[
        Text | None, Field(max_length=64, description="Whose question it is; absent: this machine's.")
    ] = None
    ask: Annotated[Literal["0", "1"], Field(description="Whether upstreams are asked, too.")] = "1"


class Explanation(Shape):
    """What is decided about a name and why: the document of `exchange-resolver explain --json`, and what this
    server has of the name in its cache and hears from upstreams."""

    model_config = ConfigDict(extra="allow")

    server: dict[str, Any]
