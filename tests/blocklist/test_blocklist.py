"""The blocklist: what it means when it is right, and every way in which it can be wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.blocklist.reader import Blocklist, read_blocklist
from resolver.blocklist.rules import BUILT_IN
from resolver.known_names.protected import built_in_protected
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm
from resolver.wire.names import name_from_text, name_to_text
from tests.support.for_each import for_each

SHIPPED = Path(__file__).parents[2] / "blocklist.yaml"


def read(text: str, *, force: bool = False) -> tuple[Blocklist | None, list[str]]:
    blocklist, problems = read_blocklist(Path("dir/b.yaml"), octets=text.encode(), force=force)
    return blocklist, [str(problem).removeprefix("dir/") for problem in problems]


def good(text: str) -> Blocklist:
    blocklist, problems = read(text)
    assert problems == []
    assert blocklist is not None
    return blocklist


def bad(text: str) -> list[str]:
    blocklist, problems = read(text)
    assert blocklist is None
    return problems


def one(extra: str = "", head: str = "", domains: str = "[one.example]") -> str:
    """A blocklist of one exchange; `extra` are more keys of it (from line 5 on), `head` more of the file."""
    return f"version: 1\nexchanges:\n  one:\n    name: One\n{indent(extra)}    domains: {domains}\n{head}"


def indent(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def rule_of(text: str) -> PolicyRule:
    return good(text).exchanges[0]


ORDERS = """orders:
  ext: {authority: A court, title: A title, reference: 12-3/4, date: 2018-08-23, imposed_by: external}
  own: {authority: Us, title: Rules, imposed_by: house}
  default: {authority: A, title: T}
"""


def test_the_smallest_blocklist_blocks_one_name_with_all_defaults() -> None:
    blocklist = good(one())
    rule = blocklist.exchanges[0]
    assert (rule.kind, rule.label, rule.name, rule.category) == ("exchange", "one", "One", "exchange")
    assert (rule.action, rule.mode, rule.ttl_s, rule.ede) == (PolicyAction.NXDOMAIN, Mode.ENFORCE, 300, 15)
    assert (rule.sinkhole_ipv4, rule.sinkhole_ipv6) == (bytes(4), bytes(16))
    assert (rule.starts_at, rule.ends_at, rule.orders) == (None, None, ())
    first = blocklist.name_rules[0]
    assert (first.owner, first.form, first.effect) == (
        name_from_text("one.example"),
        RuleForm.SUBTREE,
        "block",
    )
    assert (first.file, first.line) == ("dir/b.yaml", 5)
    assert first.rule is rule


def test_names_come_in_file_order_with_their_lines_then_exceptions_then_protection() -> None:
    blocklist = good(
        """version: 1
protected: [safe.example]
allow:
  - x.one.example
exchanges:
  b:
    name: B
    domains:
      - two.example
      - "=three.example"
  a:
    name: A
    domains: ["*.one.example"]
"""
    )
    rules = [
        (name_to_text(rule.owner), rule.form.value, rule.effect, rule.line) for rule in blocklist.name_rules
    ]
    assert rules[:5] == [
        ("two.example", "subtree", "block", 9),
        ("three.example", "exact", "block", 10),
        ("one.example", "below", "block", 13),
        ("x.one.example", "subtree", "allow", 4),
        ("safe.example", "subtree", "protect", 2),
    ]
    assert {rule.owner for rule in blocklist.name_rules[5:]} == set(built_in_protected())
    assert {(rule.effect, rule.file) for rule in blocklist.name_rules[5:]} == {("protect", BUILT_IN)}
    assert [rule.rule.kind for rule in blocklist.name_rules[3:5]] == ["allow", "protected"]
    assert [rule.label for rule in blocklist.exchanges] == ["b", "a"]


def test_defaults_hold_where_an_exchange_is_silent() -> None:
    head = "defaults: {action: sinkhole, sinkhole: {ipv4: 192.0.2.1, ipv6: '2001:db8::1'}, ttl_s: 60, ede: filtered, mode: enforce, contact: 'mailto:noc@example.net'}\n"
    rule = rule_of(one(head=head))
    assert (rule.action, rule.ttl_s, rule.ede) == (PolicyAction.SINKHOLE, 60, 17)
    assert (rule.sinkhole_ipv4[0], rule.sinkhole_ipv6[:2]) == (192, b"\x20\x01")
    assert rule.ede_text == "One is blocked; contact mailto:noc@example.net"


def test_an_exchange_overrides_every_default() -> None:
    head = "defaults: {action: sinkhole, sinkhole: {ipv4: 192.0.2.1, ipv6: '2001:db8::1'}, contact: x}\n"
    extra = "action: nodata\nttl_s: 0\nede: censored\nmode: shadow\ncontact: y\nsinkhole: {ipv4: 192.0.2.9}"
    rule = rule_of(one(extra, head))
    assert (rule.action, rule.ttl_s, rule.ede, rule.mode) == (PolicyAction.NODATA, 0, 16, Mode.SHADOW)
    assert rule.ede_text == "One is blocked; contact y"
    # Half a sinkhole keeps the other half of the defaults.
    assert (rule.sinkhole_ipv4[3], rule.sinkhole_ipv6[:2]) == (9, b"\x20\x01")


@pytest.mark.parametrize(
    ("order", "code"),
    [("ext", 16), ("own", 15), ("default", 16), ("[own, ext]", 16), ("[own]", 15), ("[]", 15)],
)
def test_ede_auto_is_censored_only_where_an_external_order_is_cited(order: str, code: int) -> None:
    # That it cites none is a remark.
    blocklist, problems = read(one(f"order: {order}", ORDERS))
    assert blocklist is not None and len(problems) == (order == "[]")
    assert blocklist.exchanges[0].ede == code


def test_a_written_ede_beats_the_order() -> None:
    assert rule_of(one("order: ext\nede: blocked", ORDERS)).ede == 15


def test_the_text_cites_the_reference_else_the_id() -> None:
    assert rule_of(one("order: [ext, own]", ORDERS)).ede_text == "One is blocked (order 12-3/4, own)"


def test_orders_are_kept_whole() -> None:
    order = good(one("order: ext", ORDERS)).orders["ext"]
    assert (order.authority, order.reference, order.date, order.url) == (
        "A court",
        "12-3/4",
        "2018-08-23",
        None,
    )


def test_dates_are_read_in_the_nearest_time_zone() -> None:
    head = "defaults: {time_zone: Europe/Berlin}\n"
    dates = "from: 2026-01-01\nuntil: 2026-07-01"
    rule = rule_of(one(dates, head))
    assert rule.starts_at == datetime(2025, 12, 31, 23, tzinfo=UTC).timestamp()
    assert rule.ends_at == datetime(2026, 6, 30, 22, tzinfo=UTC).timestamp()
    assert (
        rule_of(one(dates + "\ntime_zone: UTC", head)).starts_at
        == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    )


def test_addresses_become_rules_of_their_exchange() -> None:
    blocklist = good(one("addresses:\n  - 203.0.113.0/28\n  - '2001:db8::7'", domains="[]"))
    assert [(str(rule.network), rule.line) for rule in blocklist.address_rules] == [
        ("203.0.113.0/28", 6),
        ("2001:db8::7/128", 7),
    ]
    assert blocklist.address_rules[0].rule is blocklist.exchanges[0]


def test_lists_are_described_and_not_opened() -> None:
    blocklist = good(
        "version: 1\nexchanges: {}\nlists:\n"
        "  - {name: ads, path: lists/ads.txt, action: refused, match: exact, size_mb_max: 2, mode: shadow}\n"
        "  - {name: fine, path: /srv/fine.txt, format: hosts, kind: allow}\n".replace("refused", "nodata")
    )
    ads, fine = blocklist.lists
    assert (ads.path, ads.match, ads.kind, ads.size_octets_max) == (
        Path("dir/lists/ads.txt"),
        RuleForm.EXACT,
        "block",
        2 << 20,
    )
    assert (ads.rule.kind, ads.rule.label, ads.rule.action, ads.rule.mode) == (
        "list",
        "ads",
        PolicyAction.NODATA,
        Mode.SHADOW,
    )
    assert (ads.format, ads.line) == ("auto", 4)
    assert (fine.path, fine.match, fine.rule.action) == (Path("/srv/fine.txt"), None, PolicyAction.PASSTHRU)
    assert fine.size_octets_max == 256 << 20


def test_a_byte_order_of_keys_does_not_matter() -> None:
    assert good("exchanges: {}\nlists: [{name: a, path: b}]\nversion: 1\n").lists


@for_each(
    ("text", "complaint"),
    [
        ("", "b.yaml: is empty; write at least 'version: 1' and 'exchanges: {}'"),
        ("- a", "b.yaml:1: the file: a list is not allowed; allowed: a mapping (key: value)"),
        ("version: 1", "b.yaml:1: exchanges is missing; allowed: a mapping (id: exchange); {} for none"),
        ("exchanges: {}", "b.yaml:1: version is missing; allowed: 1"),
        ("version: 2\nexchanges: {}", "b.yaml:1: version: 2 is not allowed; allowed: 1"),
        ("version: '1'\nexchanges: {}", "b.yaml:1: version: '1' is not allowed; allowed: 1"),
        ("version: 1\nexchanges:", "b.yaml:2: exchanges: null is not allowed; allowed: a mapping (id: entry); {} for none"),
        ("version: 1\nexchanges: [a]", "b.yaml:2: exchanges: a list is not allowed; allowed: a mapping (id: entry); {} for none"),
        ("version: 1\nexchange: {}", "b.yaml:2: unknown key 'exchange' (did you mean 'exchanges'?)"),
        ("version: 1\nexchanges: {one: null}", "b.yaml:2: exchanges.one: null is not allowed; allowed: a mapping (key: value)"),
        ("version: 1\nexchanges: {One: {name: One}}", "b.yaml:2: exchanges: 'One' is not allowed as an id; allowed: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit (did you mean 'one'?)"),
        ("version: 1\nexchanges: {one: {domains: [a.example]}}", "b.yaml:2: exchanges.one.name is missing; allowed: text of 1 to 100 characters (numbers in quotes)"),
        (one("actoin: drop"), "b.yaml:5: unknown key 'exchanges.one.actoin' (did you mean 'action'?)"),
        (one("action: block"), "b.yaml:5: exchanges.one.action: 'block' is not allowed; allowed: nxdomain, nodata, sinkhole, refused, drop or null"),
        (one("category: exchnge"), "b.yaml:5: exchanges.one.category: 'exchnge' is not allowed; allowed: exchange, ico, otc, payment, media, other; default exchange (did you mean 'exchange'?)"),
        (one("ttl_s: 86401"), "b.yaml:5: exchanges.one.ttl_s: 86401 is not allowed; allowed: a whole number from 0 to 86400 or null (seconds)"),
        (one("order: ex", ORDERS), "b.yaml:5: exchanges.one.order: there is no order 'ex' (did you mean 'ext'?)"),
        (one("from: 2026-01-01\nuntil: 2026-01-01"), "b.yaml:6: exchanges.one.until: '2026-01-01' is not after 'from' ('2026-01-01'); 'until' is the first day on which it is not blocked any more"),
        (one("from: 2026-13-01"), "b.yaml:5: exchanges.one.from: '2026-13-01' is not a date (month must be in 1..12); write 2026-01-31, or 2026-01-31T12:00:00+01:00"),
        (one("until: 2026-01-01T00:00:00"), "b.yaml:5: exchanges.one.until: '2026-01-01T00:00:00' has no offset, so it could mean any of 24 hours; write 2026-01-31, or 2026-01-31T12:00:00+01:00"),
        (one("from: 2026"), "b.yaml:5: exchanges.one.from: 2026 is not a date; write 2026-01-31, or 2026-01-31T12:00:00+01:00"),
        (one("time_zone: Europe/Berln"), "b.yaml:5: exchanges.one.time_zone: 'Europe/Berln' is not a time zone; write an IANA name such as Europe/Berlin (did you mean 'Europe/Berlin'?)"),
        (one("contact: \"a\\nb\""), r"b.yaml:5: exchanges.one.contact: 'a\\nb' holds characters that cannot be printed".replace("\\\\", "\\")),
        (one("sinkhole: {ipv4: '::1'}"), "b.yaml:5: exchanges.one.sinkhole.ipv4: '::1' is not an IPv4 address; write it as '192.0.2.1'"),
        (one(domains="one.example"), "b.yaml:5: exchanges.one.domains: 'one.example' is not allowed; allowed: a list; write [one.example]"),
        (one(domains="['https://one.example/']"), "b.yaml:5: exchanges.one.domains: 'https://one.example/' is a URL; write the domain: 'one.example'"),
        (one("addresses: [203.0.113.7/24]"), "b.yaml:5: exchanges.one.addresses: '203.0.113.7/24' has bits set after its prefix; did you mean '203.0.113.0/24'?"),
        (one(head="defaults: {ttl_s: -1}\n"), "b.yaml:6: defaults.ttl_s: -1 is not allowed; allowed: a whole number from 0 to 86400 (seconds); default 300"),
        (one(head="orders: {o: {title: T}}\n"), "b.yaml:6: orders.o.authority is missing; allowed: text of 1 to 500 characters (numbers in quotes)"),
        (one(head="orders: {o: {authority: A, title: T, date: soon}}\n"), "b.yaml:6: orders.o.date: 'soon' is not a date; write 2026-01-31, or 2026-01-31T12:00:00+01:00"),
        (one(head="allow: [x y]\n"), "b.yaml:6: allow: 'x y' is more than one name; write one to a line"),
        (one(head="protected: {a: 1}\n"), "b.yaml:6: protected: a mapping is not allowed; allowed: a list"),
        (one(head="lists: [{path: a}]\n"), "b.yaml:6: lists.name is missing; allowed: text of 1 to 63 characters (numbers in quotes)"),
        (one(head="lists: [{name: a}]\n"), "b.yaml:6: lists.a.path: is missing; allowed: the path of a file, or a url to download it from"),
        (one(head="lists: [{name: a, path: b}, {name: a, path: c}]\n"), "b.yaml:6: lists: there is a list 'a' already, on line 6"),
        (one(head="lists: [{name: A b, path: b}]\n"), "b.yaml:6: lists.A b.name: 'A b' is not allowed; allowed: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"),
        (one(head="lists: [{name: a, url: 'file:///etc/hosts'}]\n"), "b.yaml:6: lists.a.url: 'file:///etc/hosts': only https:// is fetched; for a file on this machine write 'path'"),
        (one(head="lists: [{name: a, path: b, entries_max: 0}]\n"), "b.yaml:6: lists.entries_max: 0 is not allowed; allowed: a whole number from 1 to 100000000 (names); default 10000000"),
        (one(head="lists: [{name: a, path: b, kind: allow, action: drop}]\n"), "b.yaml:6: lists.a.action: a list of kind 'allow' cannot have an action"),
        (one(head="groups: [{a: 1}]\n"), "b.yaml:6: groups: per-client policy is not served by this version"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_value_and_what_is_allowed(text: str, complaint: str) -> None:
    assert complaint in bad(text)


def two(first: str, second: str) -> str:
    return f"version: 1\nexchanges:\n  one: {{name: One, {first}}}\n  two: {{name: Two, {second}}}\n"


@for_each(
    ("first", "second", "is_clash"),
    [
        ("domains: [a.example]", "domains: [a.example]", True),
        ("domains: [a.example]", "domains: [A.Example.]", True),
        ("domains: ['=a.example']", "domains: ['=a.example']", True),
        ("domains: [a.example]", "domains: ['=a.example']", False),
        ("domains: [a.example]", "domains: ['*.a.example']", False),
        ("domains: [a.example]", "domains: [b.a.example]", False),
        ("domains: [a.example], until: 2026-01-01", "domains: [a.example], from: 2026-01-01", False),
        ("domains: [a.example], until: 2026-01-02", "domains: [a.example], from: 2026-01-01", True),
        ("domains: [a.example], from: 2026-01-01", "domains: [a.example], until: 2025-01-01", False),
        ("domains: [a.example], from: 2026-01-01", "domains: [a.example]", True),
        ("addresses: [203.0.113.7]", "addresses: [203.0.113.7]", True),
        ("addresses: [203.0.113.7]", "addresses: [203.0.113.8]", False),
        ("addresses: [203.0.113.7], until: 2026-01-01", "addresses: [203.0.113.7], from: 2026-01-01", False),
    ],
)
def test_one_name_and_form_in_two_exchanges_at_one_time_is_an_error(
    first: str, second: str, is_clash: bool
) -> None:
    if is_clash:
        assert "also belongs to one (line 3) at the same time" in bad(two(first, second))[0]
    else:
        good(two(first, second))


def test_the_third_exchange_is_compared_with_both_before_it() -> None:
    text = two("domains: [a.example], until: 2025-01-01", "domains: [a.example], from: 2026-01-01")
    assert "two (line 4)" in bad(text + "  three: {name: Three, domains: [a.example], from: 2027-01-01}\n")[0]
    good(text + "  three: {name: Three, domains: [a.example], from: 2025-06-01, until: 2025-07-01}\n")


def test_a_name_twice_in_one_exchange_is_a_warning() -> None:
    blocklist, problems = read(one(domains="[a.example, A.example]"))
    assert blocklist is not None
    assert problems == ["b.yaml:5: warning: one: 'a.example' is already on line 5"]


@pytest.mark.parametrize(
    ("domain", "part"),
    [
        ("com", "top-level domain"), ("co.uk", "public suffix"), ("github.io", "public suffix"), ("'*.github.io'", "public suffix"),
        ("ocsp.digicert.com", "is protected (certificate status"), ("x.pool.ntp.org", "is protected (time)"),
        ("'=captive.apple.com'", "is protected (captive portal"), ("apple.com", "covers"), ("'*.ntp.org'", "covers"),
        ("safe.example", "is protected on line 6"), ("x.safe.example", "is protected on line 6"),
    ],
)  # fmt: skip
def test_a_name_too_dear_to_block_is_an_error_that_can_be_forced(domain: str, part: str) -> None:
    text = one(domains=f"[{domain}]", head="protected: [safe.example]\n")
    assert any(part in problem for problem in bad(text))
    blocklist, problems = read(text, force=True)
    assert blocklist is not None
    assert any("warning: " in problem and part in problem for problem in problems)


@pytest.mark.parametrize("domain", ["x.github.io", "'=github.io'", "'=ubuntu.com'", "above.example"])
def test_names_beside_the_dear_ones_are_blocked_without_force(domain: str) -> None:
    good(one(domains=f"[{domain}]", head="protected: [safe.above.example]\n"))


@pytest.mark.parametrize(
    ("network", "part"), [("10.0.0.0/24", "private"), ("203.0.112.0/23", "wider than /24")]
)
def test_a_dangerous_network_is_an_error_that_can_be_forced(network: str, part: str) -> None:
    text = one(f"addresses: [{network}]")
    assert part in bad(text)[0]
    blocklist, _ = read(text, force=True)
    assert blocklist is not None and len(blocklist.address_rules) == 1


def test_force_does_not_excuse_mistakes() -> None:
    assert read(one(domains="['x y']"), force=True)[0] is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (one("action: refused"), "b.yaml:5: warning: exchanges.one.action: clients take 'refused'"),
        (one("action: drop"), "b.yaml:5: warning: exchanges.one.action: with 'drop' the server looks dead"),
        (one(head="defaults: {action: drop}\n"), "b.yaml:6: warning: defaults.action: with 'drop'"),
        (one(head="defaults: {mode: shadow}\n"), "b.yaml:6: warning: defaults.mode: 'shadow'"),
        (one(domains="[]"), "b.yaml:3: warning: exchanges.one: has no domains and no addresses"),
        (one(domains="[www.one.example]"), "'www.one.example' leaves 'one.example' itself unblocked"),
        (one(head="allow: [one.example]\n"), "allow: 'one.example' undoes the same entry of one on line 5"),
        (one(head="allow: [two.example]\n"), "allow: 'two.example' has no effect"),
        (one(head="allow: [a.one.example, a.one.example]\n"), "allow: 'a.one.example' is already on line 6"),
        ("version: 1\nexchanges: {}\n", "b.yaml: warning: blocks nothing"),
    ],
)  # fmt: skip
def test_what_is_allowed_but_unwise_is_a_warning(text: str, part: str) -> None:
    blocklist, problems = read(text)
    assert blocklist is not None
    assert any(part in problem for problem in problems)
    assert len(blocklist.warnings) == len(problems)


@pytest.mark.parametrize(
    ("domains", "narrow", "wide"),
    [
        ("[one.example, sub.one.example]", "sub.one.example", "one.example"),
        ("[one.example, a.b.one.example]", "a.b.one.example", "one.example"),
        ("[www.one.example, one.example]", "www.one.example", "one.example"),
        ("['*.one.example', sub.one.example]", "sub.one.example", "*.one.example"),
        ("[one.example, '=one.example']", "=one.example", "one.example"),
        ("[one.example, '*.one.example']", "*.one.example", "one.example"),
    ],
)
def test_a_name_that_its_exchange_blocks_already_is_a_warning(domains: str, narrow: str, wide: str) -> None:
    _, problems = read(one(domains=domains))
    assert problems == [f"b.yaml:5: warning: one: {narrow!r} is already covered by {wide!r} on line 5"]


def test_a_name_under_another_exchanges_is_no_shadow_because_the_hit_is_told_apart() -> None:
    good(two("domains: [a.example]", "domains: [b.a.example]"))
    good(two("domains: [a.example, c.b.a.example]", "domains: [b.a.example]"))


@pytest.mark.parametrize(
    "text",
    [
        one(head="allow: [x.one.example]\n"),
        one(head="allow: [two.example]\nlists: [{name: a, path: b}]\n"),
        one(domains="[one.example, a.b.one.example]", head="allow: [b.one.example]\n"),
        one(domains="[one.example, two.example]"),
        one("action: sinkhole"),
    ],
)
def test_what_is_wise_is_none(text: str) -> None:
    good(text)


def test_all_problems_are_told_at_once_in_order_of_lines() -> None:
    problems = bad(
        "version: 3\ndefaults: {ttl_s: x, action: y}\nexchanges:\n  one:\n    nmae: One\n    domains: [a b, ok.example]\n"
        "    order: none\n  two: {name: Two, domains: [ok.example]}\nallow: 5\nzzz: 1\n"
    )
    assert [int(problem.split(":")[1]) for problem in problems] == [1, 2, 2, 4, 5, 6, 8, 9, 10]


def test_a_file_of_mistakes_gives_a_bounded_list() -> None:
    names = "".join(f"      - bad {n}\n" for n in range(5_000))
    problems = bad(f"version: 1\nexchanges:\n  one:\n    name: One\n    domains:\n{names}")
    assert 1_000 <= len(problems) <= 1_001


def test_hostile_ids_do_not_reach_a_terminal() -> None:
    problems = bad('version: 1\nexchanges: {"a\\e[2J\\n": {name: 5, domains: [a b]}}\n')
    assert all(problem.isprintable() for problem in problems)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    blocklist, problems = read_blocklist(tmp_path / "none.yaml")
    assert blocklist is None
    assert "No such file" in str(problems[0])


def test_a_large_blocklist_is_read_whole() -> None:
    names = "".join(f"      - name{n}.example\n" for n in range(20_000))
    blocklist = good(f"version: 1\nexchanges:\n  one:\n    name: One\n    domains:\n{names}")
    assert sum(rule.effect == "block" for rule in blocklist.name_rules) == 20_000
    assert blocklist.name_rules[19_999].line == 20_005


def test_the_shipped_catalogue_is_without_a_single_problem() -> None:
    blocklist, problems = read_blocklist(SHIPPED)
    assert problems == []
    assert blocklist is not None
    assert len(blocklist.exchanges) >= 30
    assert all(rule.orders and rule.category for rule in blocklist.exchanges)
    blocked = {
        name_to_text(rule.owner): rule.rule.label for rule in blocklist.name_rules if rule.effect == "block"
    }
    assert blocked["binance.com"] == "binance"
    assert blocked["okex.com"] == blocked["okx.com"] == "okx"
    assert blocked["huobi.com"] == "htx"
    assert {"bitfinex.com", "bybit.com", "kucoin.com", "gate.io"} <= set(blocked)
    assert set(blocked.values()) == {rule.label for rule in blocklist.exchanges}


def test_the_shipped_catalogue_stands_in_order() -> None:
    blocklist, _ = read_blocklist(SHIPPED)
    assert blocklist is not None
    labels = [rule.label for rule in blocklist.exchanges]
    assert labels == sorted(labels)


@given(
    st.binary(max_size=200)
    | st.text(alphabet="version: 1exchangsab-[]{}'\"\n *&!|>#,.", max_size=120).map(str.encode)
)
def test_no_octets_raise(octets: bytes) -> None:
    blocklist, problems = read_blocklist(Path("f"), octets=octets)
    assert blocklist is not None or problems


PIECES: st.SearchStrategy[str] = st.recursive(
    st.sampled_from(["1", "a", "a.example", "null", "'='", "2026-01-01", "[]", "{}", "true", ".nan", "203.0.113.7"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    | st.dictionaries(
        st.sampled_from(["name", "domains", "order", "addresses", "from", "until", "sinkhole", "ipv4", "path", "a", "date", "title", "time_zone", "ede"]),
        inner, max_size=3,
    ).map(lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"),
    max_leaves=8,
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(
            ["version", "defaults", "orders", "exchanges", "allow", "protected", "lists", "groups"]
        ),
        PIECES,
    )
)
def test_no_shape_raises(keys: dict[str, str]) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in keys.items())
    blocklist, problems = read_blocklist(Path("f"), octets=text.encode())
    assert blocklist is not None or problems
