"""What an edit opens: judged by what serves, at one moment; how much is too much to be believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.blocklist.falls import LINE_CHARS_MAX, NAMES_SHOWN_MAX, Fall, find_fall
from resolver.blocklist.reader import read_blocklist, read_what_served
from resolver.blocklist.rules import Blocklist

NOW = 1.7e9
PATH = Path("blocklist.yaml")
LIST = "lists: [{name: ads, path: ads.txt}]\n"


def read(text: str) -> Blocklist:
    blocklist, problems = read_blocklist(PATH, octets=text.encode(), force=True)
    assert blocklist is not None, problems
    return blocklist


def exchange(label: str, domains: str = "", more: str = "") -> str:
    return f"  {label}: {{name: {label}, domains: [{domains or label + '.example'}]{more}}}\n"


def text(*entries: str, rest: str = "", head: str = "") -> str:
    exchanges = "exchanges:\n" + "".join(entries) if entries else "exchanges: {}\n"
    return f"version: 1\n{head}{exchanges}{rest}"


def many(count: int, more: str = "", first: int = 0) -> list[str]:
    return [exchange(f"x{number}", more=more) for number in range(first, count)]


def fall(before: str, after: str, now: float = NOW) -> Fall:
    return find_fall(read(before), read(after), now)


def said(found: Fall) -> str:
    return "\n".join(line for loss in found.losses for line in loss.lines())


@pytest.mark.parametrize(
    ("before", "after", "is_too_much"),
    [
        (24, 19, True),
        (25, 20, False),
        (25, 19, True),
        (5, 1, False),
        (5, 2, False),
        (6, 1, True),
        (100, 80, False),
        (100, 79, True),
    ],
)
def test_over_a_fifth_and_at_least_five_of_the_exchanges_is_too_much(
    before: int, after: int, is_too_much: bool
) -> None:
    found = fall(text(*many(before)), text(*many(after)))
    assert bool(found.objections) == is_too_much
    assert f"x{before - 1}" in said(found)


@pytest.mark.parametrize(
    ("before", "after", "is_too_much"), [(49, 39, True), (50, 40, False), (51, 40, True), (10, 1, False)]
)
def test_over_a_fifth_and_at_least_ten_of_the_domains_is_too_much(
    before: int, after: int, is_too_much: bool
) -> None:
    def of(count: int) -> str:
        return text(exchange("one", ", ".join(f"d{number}.example" for number in range(count))))

    found = fall(of(before), of(after))
    assert bool(found.objections) == is_too_much
    assert f"'d{before - 1}.example'" in said(found)


@pytest.mark.parametrize(
    "more",
    [
        ", mode: shadow",
        ", mode: disabled",
        ", from: 2027-01-01",
        ", until: 2020-01-01",
    ],
)
def test_whatever_takes_exchanges_out_of_force_counts_as_a_fall(more: str) -> None:
    found = fall(text(*many(10)), text(*many(2), *many(10, more, first=2)))
    assert "8 of 10 exchanges in force" in found.objections[0]
    assert len(found.objections) == (2 if "from" in more else 1)
    assert "x9" in said(found) and "x1," not in said(found)


def test_a_default_that_puts_all_into_shadow_is_a_fall() -> None:
    found = fall(text(*many(3)), text(*many(3), head="defaults: {mode: shadow}\n"))
    assert "nothing is blocked any more" in found.objections[0]


def test_exchanges_without_domains_are_not_in_force() -> None:
    emptied = [f"  x{number}: {{name: X, domains: []}}\n" for number in range(10)]
    found = fall(text(*many(20)), text(*emptied, *many(20, first=10)))
    assert "10 of 20 exchanges" in found.objections[0]


def test_what_served_is_taken_as_it_is_now_not_as_it_was() -> None:
    ended = text(*many(10, ", until: 2023-01-01"), exchange("y"))
    assert fall(ended, text(exchange("y"))) == Fall()
    assert fall(text(*many(10, ", mode: shadow"), exchange("y")), text(exchange("y"))) == Fall()


@pytest.mark.parametrize(
    "after",
    [
        text(exchange("one", "example")),
        text(exchange("one", "b.example, =a.example, '*.a.example'")),
        text(exchange("other", "a.example, b.example")),
    ],
    ids=["by a name above", "in two pieces", "by another exchange"],
)
def test_a_name_that_is_blocked_otherwise_is_not_lost(after: str) -> None:
    assert fall(text(exchange("one", "a.example, b.example")), after) == Fall()


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        ("=a.example, b.example", "a.example"),
        ("'*.a.example', b.example", "a.example"),
        ("b.example", "a.example"),
    ],
)
def test_a_name_that_reaches_less_far_is_lost(after: str, lost: str) -> None:
    found = fall(text(exchange("one", "a.example, b.example")), text(exchange("one", after)))
    assert not found.objections and said(found) == f"no longer blocked: 1 domain: '{lost}'"


def test_a_network_within_a_wider_one_is_not_lost() -> None:
    def of(*networks: str) -> str:
        return text(exchange("one", more=f", addresses: [{', '.join(networks)}]"))

    assert fall(of("198.51.100.0/28"), of("198.51.100.0/24")) == Fall()
    assert said(fall(of("198.51.100.0/24"), of("198.51.100.0/28"))) == (
        "no longer blocked: 1 network: 198.51.100.0/24"
    )


def test_a_name_under_allow_or_protected_is_no_longer_enforced() -> None:
    domains = ", ".join(f"d{number}.example" for number in range(20))
    before = text(exchange("one", domains))
    for key in ("allow", "protected"):
        found = fall(before, text(exchange("one", domains), rest=f"{key}: [{domains}]\n"))
        assert any("20 of 20 domains" in objection for objection in found.objections)


def test_an_exception_below_a_blocked_name_is_named() -> None:
    before = text(exchange("one"))
    found = fall(before, before + "allow: [help.one.example]\n")
    assert not found.objections and said(found) == "new under 'allow': 1 exception: 'help.one.example'"
    assert fall(before, before + "allow: [elsewhere.example]\n") == Fall()


@pytest.mark.parametrize(
    ("before", "after", "is_too_much"), [(0, 11, True), (0, 10, False), (11, 22, False), (11, 23, True)]
)
def test_allow_that_more_than_doubles_and_by_over_ten_is_too_much(
    before: int, after: int, is_too_much: bool
) -> None:
    def of(count: int) -> str:
        names = ", ".join(f"n{number}.one.example" for number in range(count))
        return text(exchange("one"), rest=f"allow: [{names}]\n")

    found = fall(of(before), of(after))
    assert bool(found.objections) == is_too_much
    assert not found.objections or "'allow' grows" in found.objections[0]


def test_all_lists_gone_is_too_much_and_one_of_two_too() -> None:
    two = text(exchange("one"), rest="lists: [{name: ads, path: a}, {name: bad, path: b}]\n")
    one = text(exchange("one"), rest="lists: [{name: ads, path: a}]\n")
    assert fall(two, text(exchange("one"))).objections[0].startswith("no list is enforced any more")
    found = fall(two, one)
    assert found.objections[0].startswith("1 of 2 lists in force") and said(found).endswith("1 list: bad")
    shadowed = one.replace("path: a", "path: a, mode: shadow")
    assert fall(one, shadowed).objections[0].startswith("no list is enforced any more")


@pytest.mark.parametrize("more", ["path: b.txt", "path: a.txt, match: exact", "path: a.txt, format: adblock"])
def test_a_list_that_is_read_from_elsewhere_or_otherwise_is_told(more: str) -> None:
    def of(how: str) -> str:
        return text(exchange("one"), rest=f"lists: [{{name: ads, {how}}}]\n")

    found = fall(of("path: a.txt"), of(more))
    assert not found.objections and said(found) == "read from elsewhere or otherwise: 1 list: ads"
    assert fall(of(more), of(more)) == Fall()


def test_a_list_of_exceptions_that_is_new_is_told_where_lists_block() -> None:
    ads, fine = "{name: ads, path: a.txt}", "{name: fine, path: b.txt, kind: allow}"

    def of(*lists: str) -> str:
        return text(exchange("one"), rest=f"lists: [{', '.join(lists)}]\n")

    assert said(fall(of(ads), of(ads, fine))) == "new exceptions from lists: 1 list: fine"
    assert "fine" in said(fall(of(ads, fine.replace("b.txt", "c.txt")), of(ads, fine)))
    assert fall(of(ads, fine), of(ads, fine)) == fall(of(ads, fine), of(ads)) == Fall()
    assert fall(text(exchange("one")), of(fine)) == Fall()


def test_protected_gone_is_too_much() -> None:
    before = text(exchange("one"), rest="protected: [bank.example]\n")
    assert "'protected' is gone" in fall(before, text(exchange("one"))).objections[0]
    assert fall(before, before.replace("bank", "other")).objections == ()


def test_nothing_left_is_too_much_however_little_there_was() -> None:
    assert "nothing is blocked any more" in fall(text(exchange("one")), text()).objections[0]
    assert fall(text(), text()) == Fall()
    assert fall(text(exchange("one")), text(exchange("two"))).objections == ()


def test_the_percentage_can_be_set() -> None:
    before = text(*many(10), head="defaults: {fall_max_percent: 60}\n")
    assert fall(before, text(*many(4), head="defaults: {fall_max_percent: 60}\n")).objections == ()
    found = fall(before, text(*many(3), head="defaults: {fall_max_percent: 60}\n"))
    assert "allowed: 60 %" in found.objections[0]
    assert fall(text(*many(10)), text(*many(5), head="defaults: {fall_max_percent: 0}\n")).objections


def test_a_remark_names_the_first_and_the_log_all() -> None:
    found = fall(text(*many(200)), text(exchange("x0")))
    [exchanges, domains] = found.losses
    assert exchanges.shown().endswith(f" and {199 - NAMES_SHOWN_MAX} more")
    lines = list(domains.lines())
    assert len(lines) > 1 and all(len(line) <= LINE_CHARS_MAX for line in lines)
    assert all(f"'x{number}.example'" in "".join(lines) for number in range(1, 200))


def test_what_served_is_read_although_this_version_objects() -> None:
    served = read_what_served(
        PATH, b"version: 1\nexchanges:\n  a: {name: A, domains: [a.example, 'no name']}\n"
    )
    assert served is not None and [rule.owner for rule in served.name_rules if rule.line]
    assert read_what_served(PATH, b"exchanges: [") is None


@pytest.mark.parametrize("rest", [LIST, f"orders: {{}}\n{LIST}"])
def test_a_file_of_lists_alone_is_legal(rest: str) -> None:
    blocklist, problems = read_blocklist(PATH, octets=f"version: 1\n{rest}".encode())
    assert blocklist is not None and problems == [] and len(blocklist.lists) == 1


@pytest.mark.parametrize("rest", ["", "lists: []\n", "lists:\n"])
def test_a_file_with_neither_exchanges_nor_lists_is_not(rest: str) -> None:
    blocklist, problems = read_blocklist(PATH, octets=f"version: 1\n{rest}".encode())
    assert blocklist is None and "exchanges is missing" in problems[0].message


# Lists.


def lists(*entries: str) -> str:
    return text(exchange("one"), rest="lists:\n" + "".join(f"- {{{entry}}}\n" for entry in entries))


FIVE = [f"name: l{number}, path: l{number}.txt" for number in range(5)]


@pytest.mark.parametrize(
    "after",
    [FIVE[1:4], [FIVE[0] + ", mode: shadow", *FIVE[1:4]], [FIVE[0] + ", until: 2020-01-01", *FIVE[1:4]]],
    ids=["gone", "in shadow", "ended by an edit"],
)
def test_one_of_four_lists_that_blocks_no_more_is_too_much_whichever_way(after: list[str]) -> None:
    found = fall(lists(*FIVE[:4]), lists(*after))
    [objection] = found.objections
    assert (
        objection.startswith("1 of 4 lists in force would no longer be enforced, 25 %") and "l0" in objection
    )


def test_one_of_five_lists_may_go_and_is_told() -> None:
    found = fall(lists(*FIVE), lists(*FIVE[1:]))
    assert found.objections == () and "no longer enforced: 1 list: l0" in said(found)


@pytest.mark.parametrize(("size", "is_too_much"), [(9, False), (1_000, True)])
def test_the_names_of_a_list_that_goes_count_whatever_part_of_the_lists_it_is(
    size: int, is_too_much: bool
) -> None:
    sizes = {f"l{number}": 100 for number in range(5)} | {"l0": size}
    found = find_fall(read(lists(*FIVE)), read(lists(*FIVE[1:])), NOW, sizes=sizes)
    assert bool(found.objections) == is_too_much
    if is_too_much:
        assert "1,000 of 1,401 names in force would no longer be enforced" in found.objections[0]


def test_a_list_that_turns_from_block_to_allow_is_too_much_however_many_there_are() -> None:
    found = fall(lists(*FIVE), lists(FIVE[0] + ", kind: allow", *FIVE[1:]))
    assert any("turns from 'block' to 'allow': l0" in objection for objection in found.objections)


def test_a_file_that_is_read_under_another_name_is_not_lost() -> None:
    assert fall(lists(*FIVE[:2]), lists("name: other, path: l0.txt", FIVE[1])) == Fall()


def test_a_download_under_another_name_is_lost_until_it_comes() -> None:
    one = "url: 'https://lists.example/a.txt'"
    assert fall(lists(f"name: a, {one}", FIVE[1]), lists(f"name: b, {one}", FIVE[1])).objections
