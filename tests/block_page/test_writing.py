"""From a policy to the page's file: it says of every name what policy says, and no more than may be told."""

from __future__ import annotations

import gc
import random
from pathlib import Path

import pytest

from resolver.block_page.page_file import PageFile
from resolver.block_page.subject import TEXT_CHARS_MAX, Subject
from resolver.block_page.writing import LEADS_HERE, blocked_since, main, write_page
from resolver.policy.table import PolicyTable, open_table
from resolver.policy.verdict import Mode
from resolver.publishing.compiler import compile_policy
from resolver.wire.names import name_from_text as n
from tests.support.for_each import for_each
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = 1_770_000_000.0
"""2026-02-02T02:40:00Z."""
SECRETS = (b"Hush", b"S-99", b"Hidden Coin", b"cloak", b"silent", b"hidden")
POLICY = """\
version: 1
defaults: {action: sinkhole, sinkhole: {ipv4: 192.0.2.80, ipv6: "2001:db8::80"}, time_zone: Europe/Berlin, contact: "mailto:noc@example.net"}
orders:
  fma: {authority: Markets Authority, title: Platforms, reference: F-1, date: 2026-01-15, url: "https://fma.example/1", from: 2026-02-01}
  old: {authority: Court, title: Before, reference: O-1, until: 2026-02-01}
  later: {authority: Court, title: After, reference: L-1, from: 2027-01-01}
  house: {authority: Us, title: Rules, imposed_by: house}
  silent: {authority: Court, title: Hush now, reference: S-99, confidential: true}
exchanges:
  one: {name: One, order: [old, fma], domains: [one.example, "=login.two.example", "*.cdn.example"], from: 2026-01-01}
  house: {name: House Coin, order: house, domains: [house.example], action: nxdomain}
  both: {name: Both, order: [silent, fma], domains: [both.example]}
  hidden: {name: Hidden Coin, order: silent, domains: [hidden.example, cloak.example]}
  shadow: {name: Shadow, domains: [shadow.example], mode: shadow}
  late: {name: Late, order: later, domains: [late.example]}
allow: [ok.one.example, "=just.house.example"]
lists:
  - {name: nx, path: nx.txt, format: domains, action: nxdomain}
  - {name: sink, path: sink.txt, format: domains}
  - {name: fine, path: fine.txt, format: domains, kind: allow}
"""
LISTS = {
    "nx": "ads.example\nx.sunk.example\none.example\n",
    "sink": "sunk.example\nother.example\ndeep.house.example\n",
    "fine": "fine.sunk.example\n",
}
OWNERS = (
    *("one", "login.two", "two", "cdn", "house", "both", "hidden", "cloak", "shadow", "late", "ads", "sunk"),
    *("x.sunk", "fine.sunk", "other", "ok.one", "just.house", "deep.house", "unheard"),
)


def made(folder: Path, text: str = POLICY, at: float = NOW) -> tuple[PolicyTable, PageFile, bytes]:
    for name, names in LISTS.items():
        (folder / f"{name}.txt").write_text(names)
    (folder / "blocklist.yaml").write_text(text)
    compiled = compile_policy(folder / "blocklist.yaml", folder / "images", now=at)
    assert compiled.image is not None, compiled.problems
    path = folder / "page"
    write_page(compiled.image, path, at)
    with path.open("rb") as file:
        return open_table(compiled.image, at, 0.0, 1), PageFile(file.fileno()), path.read_bytes()


def expected(table: PolicyTable, name: str) -> str | None:
    """The name of what policy says, where that leads to the page."""
    verdict = table.judge_name(n(name), 0.0)
    if not verdict.is_blocked or verdict.match is None:
        return None
    rule = verdict.match.rule
    if rule.kind == "list" and rule.action not in LEADS_HERE:
        return None
    return "" if rule.is_confidential else rule.name


def said(page: PageFile, name: str) -> str | None:
    subject = page.subject_of(n(name))
    return None if subject is None else subject.name


def test_it_says_of_a_name_what_policy_says(tmp_path: Path) -> None:
    table, page, _ = made(tmp_path)
    prefixes = ("", "www.", "a.b.", "ok.", "x.")
    names = [f"{prefix}{owner}.example" for owner in OWNERS for prefix in prefixes]
    wanted = {name: expected(table, name) for name in names}
    assert {name: said(page, name) for name in names} == wanted
    assert len(set(wanted.values())) > 4


@for_each("seed", range(40))
def test_it_says_what_policy_says_whatever_the_rules(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    labels = ("a", "b", "c")

    def some_name() -> str:
        return ".".join(source.choices(labels, k=source.randint(1, 4)))

    maker = PolicyMaker()
    leading, other = make_rule("list", "sink", action=LEADS_HERE[0]), make_rule("list", "nx")
    exchange = make_rule("exchange", "one", action=source.choice([LEADS_HERE[0], other.action]))
    for rule in source.sample([exchange, leading, other], source.randint(1, 3)):
        forms = [source.choice(("", "=", "*.")) + some_name() for _ in range(4)]
        maker.block(rule, *dict.fromkeys(forms))
    maker.allow(*dict.fromkeys(source.choice(("", "=", "*.")) + some_name() for _ in range(2)))
    image = maker.write(tmp_path / "image")
    write_page(image, tmp_path / "page", NOW)
    table = open_table(image, NOW, 0.0, 1)
    with (tmp_path / "page").open("rb") as file:
        page = PageFile(file.fileno())
    for _ in range(300):
        name = some_name()
        assert said(page, name) == expected(table, name), name


def test_nothing_confidential_is_in_the_file(tmp_path: Path) -> None:
    _, page, octets = made(tmp_path)
    assert page.subject_of(n("www.hidden.example")) == Subject("confidential")
    assert [word for word in SECRETS if word in octets] == []
    both = page.subject_of(n("both.example"))
    assert both is not None and [order.reference for order in page.words.orders_of(both)] == ["F-1"]


def test_names_to_which_nobody_is_led_take_no_room(tmp_path: Path) -> None:
    text = POLICY.replace(
        "{name: sink, path: sink.txt, format: domains}", "{name: sink, path: sink.txt, action: nodata}"
    )
    (tmp_path / "few").mkdir()
    _, page, _ = made(tmp_path / "few", text)
    assert len(page) < 12 and said(page, "sunk.example") is None and said(page, "one.example") == "One"


def test_orders_come_with_their_words_and_days_in_the_blocklists_time_zone(tmp_path: Path) -> None:
    _, page, _ = made(tmp_path)
    one = page.subject_of(n("one.example"))
    assert one is not None
    [order] = page.words.orders_of(one)
    assert (order.authority, order.title, order.reference) == ("Markets Authority", "Platforms", "F-1")
    assert (order.date, order.since, order.url) == ("2026-01-15", "2026-02-01", "https://fma.example/1")
    assert order.is_external and page.words.contact == "mailto:noc@example.net"


def test_it_is_blocked_since_its_first_order_though_another_took_over(tmp_path: Path) -> None:
    _, page, _ = made(tmp_path)
    one = page.subject_of(n("one.example"))
    assert one is not None and one.since == "2026-01-01"


def test_what_is_to_come_or_only_tried_is_not_there(tmp_path: Path) -> None:
    _, page, _ = made(tmp_path)
    assert said(page, "late.example") is None and said(page, "shadow.example") is None
    _, page, _ = made(tmp_path, at=NOW + 365 * 86_400)
    assert said(page, "late.example") == "Late"


def test_a_gap_ends_what_is_told_of_the_time_before() -> None:
    first = make_rule(starts_at=100.0, ends_at=200.0)
    later = make_rule(starts_at=300.0, ends_at=400.0)
    last = make_rule(starts_at=400.0, ends_at=None)
    source = make_rule(phases=(first, later, last))
    assert [blocked_since(source, at) for at in (150.0, 350.0, 450.0)] == [100.0, 300.0, 300.0]
    tried = make_rule(starts_at=300.0, ends_at=400.0, mode=Mode.SHADOW)
    assert blocked_since(make_rule(phases=(tried, last)), 450.0) == 400.0
    assert blocked_since(make_rule(), 450.0) is None


def test_of_the_time_in_which_it_was_confidential_not_even_the_day_is_told() -> None:
    hidden = make_rule(starts_at=100.0, ends_at=200.0, is_confidential=True)
    shown = make_rule(starts_at=200.0, ends_at=None)
    assert blocked_since(make_rule(phases=(hidden, shown)), 250.0) == 200.0


def test_hostile_texts_of_any_length_are_cut_and_cleaned(tmp_path: Path) -> None:
    long = "x" * 1_000
    text = POLICY.replace("title: Platforms", f'title: "{long}"')
    _, page, octets = made(tmp_path, text)
    assert len(octets) < 5_000 and "\u202e" not in octets.decode("utf-8", "ignore")
    assert all(len(order.title) <= TEXT_CHARS_MAX for order in page.words.orders)


def test_the_child_says_how_many_names_or_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The child has a process for itself.
    monkeypatch.setattr(gc, "disable", lambda: None)
    made(tmp_path)
    [image] = (tmp_path / "images").glob("*.policy")
    assert main([str(image), str(tmp_path / "page"), "--at", str(NOW)]) == 0
    assert int(capsys.readouterr().out) > 5
    assert main([str(tmp_path / "none"), str(tmp_path / "page"), "--at", str(NOW)]) == 1
    assert main([str(image), str(tmp_path / "no" / "page"), "--at", str(NOW)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
