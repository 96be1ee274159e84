"""What is blocked now and not afterwards, whatever the cause; and that it is what two compiled tables say."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resolver.blocklist.falls import Fall, find_fall
from resolver.blocklist.in_force import BELOW, ITSELF, InForce
from resolver.blocklist.openings import Comparison, find_opening
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.policy.table import PolicyTable, open_table
from resolver.publishing.compiler import compile_policy
from resolver.wire.names import name_from_text, name_to_text
from tests.support.for_each import for_each

NOW = datetime(2026, 11, 30, tzinfo=UTC).timestamp()
CASES = Path(__file__).parents[1] / "golden" / "blocklists"
PATH = Path("blocklist.yaml")


def read(text: str) -> Blocklist:
    blocklist, problems = read_blocklist(PATH, octets=text.encode(), force=True)
    assert blocklist is not None, problems
    return blocklist


def policy(orders: str = "", exchanges: str = "", rest: str = "") -> str:
    return f"version: 1\norders: {{{orders}}}\nexchanges: {{{exchanges}}}\n{rest}\n"


def order(label: str, keys: str = "") -> str:
    return f"{label}: {{authority: A, title: T{keys and ', '}{keys}}}, "


def exchange(label: str, keys: str = "", domains: str = "") -> str:
    return f"{label}: {{name: {label}, domains: [{domains or label + '.example'}]{keys and ', '}{keys}}}, "


def words(before: str, after: str, *, conceal: bool = False) -> str:
    return find_opening(InForce(read(before), NOW), InForce(read(after), NOW), conceal=conceal).words()


def fall(before: str, after: str, *, conceal: bool = False) -> Fall:
    return find_fall(read(before), read(after), NOW, conceal=conceal)


TWO = exchange("a") + exchange("b", domains="b.example, c.example")


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (policy(exchanges=exchange("b", domains="b.example, c.example")), "1 exchange, 1 domain blocked now are not blocked after this: a"),
        (policy(exchanges=exchange("a") + exchange("b")), "1 domain blocked now is not blocked after this: 'c.example'"),
        (policy(exchanges=exchange("a", "from: 2026-12-05") + exchange("b", domains="b.example, c.example")), "1 exchange, 1 domain blocked now are not blocked after this: a until 2026-12-05"),
        (policy(exchanges=exchange("a", "until: 2026-11-30") + exchange("b", domains="b.example, c.example")), "1 exchange, 1 domain blocked now are not blocked after this: a"),
        (policy(exchanges=exchange("a", "mode: shadow") + exchange("b", domains="b.example, c.example")), "1 exchange, 1 domain blocked now are not blocked after this: a"),
        (policy(order("o", "until: 2026-11-30"), exchange("a", "order: o") + exchange("b", domains="b.example, c.example")), "1 exchange, 1 domain blocked now are not blocked after this: a"),
        (policy(order("o", "from: 2027-01-01"), exchange("a", "order: o") + exchange("b", domains="b.example, c.example")), "1 exchange, 1 domain blocked now are not blocked after this: a until 2027-01-01"),
        (policy(order("o", "mode: disabled"), exchange("a", "order: o") + exchange("b", domains="b.example, c.example")), "1 exchange, 1 domain blocked now are not blocked after this: a"),
        (policy(exchanges=TWO, rest="allow: ['=x.a.example']"), "names under 1 exception blocked now are not blocked after this: '=x.a.example'"),
        (policy(exchanges=TWO, rest="allow: [{name: x.a.example, from: 2026-12-01}]"), ""),
        (policy(exchanges=TWO), ""),
    ],
)  # fmt: skip
def test_whatever_the_cause_it_is_said_what_opens(after: str, said: str) -> None:
    assert words(policy(exchanges=TWO), after) == said


def test_a_part_that_opens_under_an_exception_of_the_same_name_is_said() -> None:
    before = policy(exchanges=exchange("a"), rest="protected: ['=a.example']")
    after = policy(exchanges=exchange("b"), rest="protected: ['=a.example']")
    assert "no longer blocked: 1 domain: 'a.example'" in fall(before, after).lines()


def test_confidential_things_are_named_and_marked_here_and_counted_outside() -> None:
    before = policy(order("o", "confidential: true"), exchange("a", "order: o") + exchange("b"))
    after = policy(exchanges="")
    assert "a (confidential), b" in words(before, after)
    said = words(before, after, conceal=True)
    assert said == "2 exchanges, 2 domains blocked now are not blocked after this: b and 1 confidential"
    outside = fall(before, after, conceal=True)
    everything = str(outside.lines()) + str(outside.problems("f"))
    assert "a.example" not in everything and "1 confidential" in everything
    assert "'a.example'" in str(fall(before, after).lines())


# Rails.


def case(name: str) -> Blocklist:
    return read((CASES / name).read_text())


def test_the_new_orders_day_on_the_exchange_trips_the_rail_and_the_message_says_where_it_belongs() -> None:
    more = "".join(
        f"  x{number}: {{name: X{number}, domains: [x{number}.example]}}\n" for number in range(40)
    )
    before, after = ((CASES / f"order-trap-{side}.yaml").read_text() + more for side in ("before", "after"))
    found = find_fall(read(before), read(after), NOW)
    assert any("exchanges.binance until 2099-12-05" in text and "write 'from' on the order" in text for text in found.objections)  # fmt: skip


def test_the_same_day_on_the_order_opens_nothing() -> None:
    text = (CASES / "order-trap-after.yaml").read_text()
    moved = text.replace(" from: 2099-12-05,", "").replace("imposed_by: external}", "from: 2099-12-05}")
    assert moved.count("2099-12-05") == 1
    assert find_fall(case("order-trap-before.yaml"), read(moved), NOW) == Fall()


def test_an_exchange_that_only_cites_an_order_to_come_trips_the_rail() -> None:
    many = "".join(exchange(f"x{number}") for number in range(30))
    before = policy(exchanges=many + exchange("a"))
    found = fall(before, policy(order("o", "from: 2027-01-01"), many + exchange("a", "order: o")))
    [objection] = found.objections
    assert "exchanges.a until 2027-01-01" in objection and "cite one that is, too" in objection


def test_an_order_in_shadow_never_opens_what_another_enforces() -> None:
    before = policy(order("o"), exchange("a", "order: o"))
    for second in ("mode: shadow", "mode: disabled", "from: 2027-01-01", "until: 2020-01-01"):
        after = policy(order("o") + order("p", second), exchange("a", "order: [o, p]"))
        assert fall(before, after) == Fall()


@pytest.mark.parametrize(("orders", "is_too_much"), [(4, True), (5, False)])
def test_the_rail_counts_orders(orders: int, is_too_much: bool) -> None:
    cited = "".join(exchange(f"x{number}", f"order: o{number}") for number in range(orders))
    others = "".join(exchange(f"y{number}") for number in range(100))
    before = policy("".join(order(f"o{number}") for number in range(orders)), cited + others)
    after = before.replace("o0: {authority: A, title: T}", "o0: {authority: A, title: T, until: 2026-01-01}")
    found = fall(before, after)
    assert bool(found.objections) is is_too_much
    assert "no longer in force: 1 order: o0" in found.lines()
    assert not found.objections or f"1 of {orders} orders in force" in found.objections[0]


def test_an_order_whose_names_all_stay_blocked_is_no_loss() -> None:
    before = policy(order("o"), exchange("a", "order: o"))
    assert fall(before, policy(order("p"), exchange("a", "order: p"))) == Fall()


def test_an_end_that_was_planned_trips_nothing() -> None:
    before = policy(order("o", "until: 2026-11-29"), exchange("a", "order: o") + exchange("b"))
    assert fall(before, policy(exchanges=exchange("b"))) == Fall()


# The property.

LABELS = ("a", "b", "c")
NAMES = [*LABELS, *(f"{one}.{two}" for one in LABELS for two in LABELS), "a.b.c", "b.a.b", "c.c.a"]
DAYS = ("2026-10-01", "2026-11-29", "2026-12-02", "2027-01-01")
MODES = ("enforce", "shadow", "disabled")


def dates(chance: random.Random) -> list[str]:
    starts, ends = chance.choice((None, None, *DAYS[:3])), chance.choice((None, None, None, *DAYS[1:]))
    if starts is not None and ends is not None and ends <= starts:
        ends = None
    return [f"{key}: {day}" for key, day in (("from", starts), ("until", ends)) if day is not None]


def entries(chance: random.Random, most: int) -> list[str]:
    return [
        f"'{chance.choice(('', '', '=', '*.'))}{name}.example'"
        for name in chance.sample(NAMES, chance.randint(0, most))
    ]


def some_policy(chance: random.Random) -> dict[str, Any]:
    orders = {}
    for label in ("o", "p", "q"):
        keys = dates(chance) + [f"mode: {chance.choice(MODES)}"] * (chance.random() < 0.4)
        keys += ["measure: {cname: notice.example}"] * (chance.random() < 0.2)
        orders[label] = f"{{{', '.join(['authority: A', 'title: T', *keys])}}}"
    exchanges = {}
    for label in ("k", "l", "m"):
        cited = chance.sample(("o", "p", "q"), chance.randint(0, 2))
        keys = dates(chance) + [f"mode: {chance.choice(MODES)}"] * (chance.random() < 0.2)
        exchanges[label] = [f"name: {label}", f"order: [{', '.join(cited)}]", *keys], entries(chance, 4)
    allow = [f"{{{', '.join([f'name: {name}', *dates(chance)])}}}" for name in entries(chance, 3)]
    return {"orders": orders, "exchanges": exchanges, "allow": allow, "protected": entries(chance, 1)}


def edited(policy: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    other = some_policy(chance)
    section = chance.choice(("orders", "exchanges", "allow", "protected"))
    changed = {**policy, section: other[section]}
    if section in ("orders", "exchanges") and chance.random() < 0.7:
        label = chance.choice(list(policy[section]))
        changed[section] = {**policy[section], label: other[section][label]}
    return changed


def text_of(policy: dict[str, Any]) -> str:
    exchanges = "".join(
        f"  {label}: {{{', '.join([*keys, f'domains: [{chr(44).join(names)}]'])}}}\n"
        for label, (keys, names) in policy["exchanges"].items()
    )
    orders = "".join(f"  {label}: {keys}\n" for label, keys in policy["orders"].items())
    lists = f"allow: [{', '.join(policy['allow'])}]\nprotected: [{', '.join(policy['protected'])}]\n"
    return f"version: 1\norders:\n{orders}exchanges:\n{exchanges}{lists}"


def without_clashes(text: str) -> bool:
    """Two exchanges with one name at the same time are an error, forced or not."""
    return read_blocklist(PATH, octets=text.encode(), force=True)[0] is not None


def table(text: str, folder: Path, moment: float) -> PolicyTable:
    folder.mkdir(exist_ok=True)
    (folder / "blocklist.yaml").write_text(text)
    compiled = compile_policy(folder / "blocklist.yaml", folder / "images", force=True, now=moment)
    assert compiled.image is not None, compiled.problems
    return open_table(compiled.image, moment, moment, 1)


def names_of(blocklist: Blocklist) -> set[bytes]:
    return {rule.owner for rule in blocklist.name_rules}


PROBE = b"\x05probe"


@pytest.mark.slow
@for_each("seed", range(12))
def test_what_is_said_to_open_is_what_two_compiled_tables_say_over_all_their_names(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(f"openings {seed}")
    seen = 0
    while seen < 8:
        first = some_policy(chance)
        before, after = text_of(first), text_of(edited(first, chance))
        if not (without_clashes(before) and without_clashes(after)):
            continue
        seen += 1
        # The same policy at two times is an edit, too: something ends or begins.
        later = NOW + chance.choice((0, 0, 3 * 86_400, 40 * 86_400))
        old, new = read(before), read(after)
        compared = Comparison(InForce(old, NOW), InForce(new, later))
        was, becomes = table(before, tmp_path / "a", NOW), table(after, tmp_path / "b", later)
        opened = {
            (owner, part)
            for owner in names_of(old) | names_of(new)
            for part, name in ((ITSELF, owner), (BELOW, PROBE + owner))
            if was.judge_name(name, NOW).is_blocked and not becomes.judge_name(name, later).is_blocked
        }
        context = f"{before}\n---\n{after}\n{later}"
        assert compared.points() == opened, context
        # What is told in words covers every one of them, and nothing else.
        told = {owner for owner, _ in (*compared.domains, *compared.allowed, *compared.protected)}
        for owner, _ in opened:
            assert any(owner[at:] in told for at in range(len(owner))), (name_to_text(owner), context)
        for owner, _ in compared.domains:
            assert {(owner, ITSELF), (owner, BELOW)} & opened, (name_to_text(owner), context)
        assert bool(compared.opening(conceal=False)) >= bool(opened), context


def test_the_property_sees_something() -> None:
    """Were nothing ever opened, the test above could not fail."""
    chance = random.Random("openings 0")
    found = 0
    for _ in range(60):
        first = some_policy(chance)
        before, after = text_of(first), text_of(edited(first, chance))
        if without_clashes(before) and without_clashes(after):
            found += bool(Comparison(InForce(read(before), NOW), InForce(read(after), NOW)).points())
    assert found >= 5 and name_from_text("a.example")


def test_another_mapping_of_a_register_is_told_as_a_list_that_is_read_otherwise() -> None:
    lists = "lists: [{name: one, path: x.csv, format: {type: csv, columns: {name: %s}}}]"
    before, after = (read(policy(rest=lists % column)) for column in ("host", "authority"))
    opening = find_opening(InForce(before, NOW), InForce(after, NOW))
    assert opening.reread.texts == ("one",)
    assert not len(find_opening(InForce(before, NOW), InForce(before, NOW)).reread)
