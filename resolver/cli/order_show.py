"""`order list` and `order show`: what each asks for, since when, what is not enforced and why.

Knows: the blocklist as it stands, the history, a table and a page.  Does not know: how a state is found.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.files import EXIT_FINDINGS, EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.moments import day_or_moment, iso_moment, term_text, zone_of
from resolver.cli.process import scratch_folder
from resolver.cli.wrapping import print_rows, terminal_columns, wrapped
from resolver.orders.listed import ListsOf, lists_of, no_lists
from resolver.orders.standing import AskState, Standing, State, standings_of
from resolver.plurals import counted
from resolver.policy.image import Image
from resolver.policy.verdict import Mode
from resolver.problems import Problem, has_errors, printable, show, suggest
from resolver.publishing.compiler import compile_in_process
from resolver.publishing.history import Generation, HistoryUnusable, open_history


@dataclass(frozen=True, slots=True)
class _Orders:
    """What was read."""

    standings: list[Standing]
    first: dict[str, Generation]
    """Order id -> the generation of the history that has it first."""
    since: dict[str, float]
    """Order id -> when something was first blocked because of it (Unix seconds)."""
    now: float
    zone: tzinfo
    path: Path
    modes: dict[str, str]
    """List name -> its mode, where that is not to enforce."""


def list_orders(config: Path | None, blocklist: Path | None, *, as_json: bool) -> int:
    """Print all orders; 1 when what one asks for is overdue."""
    try:
        orders = _read(config, blocklist)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    if as_json:
        entries = [_order_json(standing, orders, with_asks=False) for standing in orders.standings]
        print(json.dumps({"orders": entries}, indent=2, ensure_ascii=False))
    elif not orders.standings:
        print("The blocklist has no orders.")
    else:
        print_rows(_HEADERS, [_row(standing, orders) for standing in orders.standings])
    return EXIT_FINDINGS if any(_is_overdue(one, orders.now) for one in orders.standings) else EXIT_FINE


def show_order(order_id: str, config: Path | None, blocklist: Path | None, *, as_json: bool) -> int:
    """Print one order; 1 when something that it asks for is not enforced."""
    try:
        orders = _read(config, blocklist)
        standing = next((one for one in orders.standings if one.order.id == order_id), None)
        if standing is None:
            hint = suggest(order_id, [one.order.id for one in orders.standings])
            raise BadInput([Problem(str(orders.path), 0, f"there is no order {show(order_id)}{hint}")])
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    if as_json:
        print(json.dumps(_order_json(standing, orders, with_asks=True), indent=2, ensure_ascii=False))
    else:
        _print_page(standing, orders)
    return EXIT_FINDINGS if standing.count(State.UNENFORCED) else EXIT_FINE


def _read(config: Path | None, blocklist: Path | None) -> _Orders:
    path, settings = policy_path(config, blocklist)
    found, problems = read_blocklist(path, force=True)
    if found is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    now = time.time()
    first, since = ({}, {}) if blocklist is not None else _first_served(settings.state_dir, set(found.orders))
    standings = standings_of(found, now, lists_of=_lists_of(path, found, settings.state_dir))
    modes = {spec.name: spec.rule.at(now).mode for spec in found.lists}
    told = {name: mode.value for name, mode in modes.items() if mode is not Mode.ENFORCE}
    return _Orders(standings, first, since, now, zone_of(path), path, told)


def _lists_of(path: Path, found: Blocklist, state_dir: Path) -> ListsOf:
    """What lists do; read only where some list cites an order.  Raises BadInput."""
    if not any(spec.rule.orders for spec in found.lists):
        return no_lists
    with scratch_folder() as folder:
        image, problems = compile_in_process(path, folder, force=True, state_dir=state_dir)
        if image is None:
            raise BadInput([problem for problem in problems if has_errors([problem])])
        return lists_of(Image(image))


def _first_served(state_dir: Path, ids: set[str]) -> tuple[dict[str, Generation], dict[str, float]]:
    """The generation that brought each order, and since when it is in force; none where nobody knows."""
    first: dict[str, Generation] = {}
    try:
        with open_history(state_dir) as history:
            # Newest first, so the last one to say it is the oldest.
            for generation in history.newest(sys.maxsize):
                for change in generation.changes.get("orders", ()):
                    if change.get("change") == "gained" and change.get("id") in ids:
                        first[change["id"]] = generation
            return first, history.in_force_since()
    except HistoryUnusable:
        return {}, {}


def _is_overdue(standing: Standing, now: float) -> bool:
    due = standing.order.due_at
    return due is not None and due <= now and not standing.is_in_force and standing.when != "ended"


def _order_json(standing: Standing, orders: _Orders, *, with_asks: bool) -> dict[str, Any]:
    order, first = standing.order, orders.first.get(standing.order.id)
    entry: dict[str, Any] = {
        "id": order.id,
        "authority": order.authority,
        "title": order.title,
        "reference": order.reference,
        "date": order.date,
        "url": order.url,
        "imposed_by": order.imposed_by,
        "confidential": order.is_confidential,
        "state": standing.when,
        "mode": order.mode.value if order.mode else None,
        "measure": str(order.measure) if order.measure else None,
        "from": iso_moment(order.starts_at),
        "until": iso_moment(order.ends_at),
        "received": iso_moment(order.received_at),
        "due": iso_moment(order.due_at),
        "overdue": _is_overdue(standing, orders.now),
        "first_served": None if first is None else {"generation": first.number, "at": iso_moment(first.at)},
        "in_force_since": iso_moment(orders.since.get(order.id)),
        "exchanges": list(standing.exchanges),
        "lists": list(standing.lists),
        "asks": {"total": len(order.asks), **{state.value: standing.count(state) for state in State}},
        "unenforced": {reason.value: count for reason, count in standing.unenforced().items()},
    }
    if with_asks:
        entry["names"] = [_ask_json(ask) for ask in standing.asks]
    return entry


def _ask_json(ask: AskState) -> dict[str, Any]:
    return {
        "ask": ask.ask,
        "state": ask.state.value,
        "exchange": ask.exchange or None,
        "reason": ask.reason.value if ask.reason else None,
        "why": ask.why or None,
    }


_HEADERS = ("ORDER", "AUTHORITY", "STATE", "DATES", "DUE", "CITED BY", "ASKS", "NOT ENFORCED")


def _row(standing: Standing, orders: _Orders) -> list[str]:
    order = standing.order
    cited = counted(len(standing.exchanges), "exchange")
    cited += f", {counted(len(standing.lists), 'list')}" if standing.lists else ""
    cells = (
        f"{order.id}{' (confidential)' if order.is_confidential else ''}",
        order.authority,
        standing.when,
        term_text(order.starts_at, order.ends_at, orders.zone),
        _due_text(standing, orders),
        cited,
        f"{len(order.asks):,}",
        _reasons_text(standing) or "-",
    )
    return [printable(cell) for cell in cells]


def _due_text(standing: Standing, orders: _Orders) -> str:
    due = standing.order.due_at
    if due is None:
        return "-"
    text = day_or_moment(due, orders.zone)[0]
    return f"{text}: OVERDUE" if _is_overdue(standing, orders.now) else text


def _reasons_text(standing: Standing) -> str:
    counts = sorted(standing.unenforced().items(), key=lambda pair: -pair[1])
    return ", ".join(f"{count:,} {reason.value.replace('_', ' ')}" for reason, count in counts)


def _with_mode(name: str, orders: _Orders) -> str:
    return f"{name} (in {orders.modes[name]})" if name in orders.modes else name


def _print_page(standing: Standing, orders: _Orders) -> None:
    order, first = standing.order, orders.first.get(standing.order.id)
    facts = [
        ("Order", f"{order.id}{' (CONFIDENTIAL)' if order.is_confidential else ''}, {order.imposed_by}"),
        ("Authority", order.authority),
        ("Title", order.title),
        ("Reference", order.reference or ""),
        ("Issued", order.date or ""),
        ("Published", order.url or ""),
        ("State", standing.when),
        ("Dates", term_text(order.starts_at, order.ends_at, orders.zone)),
        ("Mode", order.mode.value if order.mode else ""),
        ("Measure", str(order.measure) if order.measure else ""),
        (
            "Received",
            day_or_moment(order.received_at, orders.zone)[0] if order.received_at is not None else "",
        ),
        ("Due", "" if order.due_at is None else _due_text(standing, orders)),
        ("First served", f"{iso_moment(first.at)}, generation {first.number}" if first else ""),
        ("In force since", iso_moment(orders.since.get(order.id)) or ""),
        ("Exchanges", ", ".join(standing.exchanges) or "none"),
        ("Lists", ", ".join(_with_mode(name, orders) for name in standing.lists)),
        (
            "Asks for",
            f"{counted(len(order.asks), 'entry', 'entries')}: {standing.count(State.ENFORCED):,} enforced, "
            f"{standing.count(State.PENDING):,} when it begins, {standing.count(State.UNENFORCED):,} not",
        ),
    ]
    columns = terminal_columns()
    for heading, text in facts:
        if text:
            print("\n".join(wrapped(printable(f"{heading:<15}{text}"), columns, 15)))
    for state, heading in (
        (State.UNENFORCED, "Not enforced:"),
        (State.PENDING, "When it begins:"),
        (State.ENFORCED, "Enforced:"),
    ):
        asks = [ask for ask in standing.asks if ask.state is state]
        if asks:
            print(f"\n{heading}")
        for ask in asks:
            by = f" ({ask.exchange})" if ask.exchange and state is not State.UNENFORCED else ""
            reason = f"  {ask.reason.value}: {ask.why}" if ask.reason else ""
            print("\n".join(wrapped(printable(f"  {ask.ask}{by}{reason}"), columns, 6)))
