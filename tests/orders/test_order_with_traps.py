"""One order with 41 rows, each with a trap of its own, becomes a policy in one command.

The table says what a careful compliance officer wants of each row: which exchange blocks what it names, which
rules are written, and what is not taken and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.app import app
from resolver.policy.verdict import RuleForm
from resolver.wire.names import name_to_text
from tests.support.for_each import for_each

ORDER = Path(__file__).parent / "cases" / "order-with-traps.txt"
SHIPPED = Path(__file__).parents[2] / "blocklist.yaml"
ID = "nafm-2026-117"
FIRST_LINE = 12
"""Row n stands on line 12 + n."""


class Want(NamedTuple):
    """What is wanted of one row."""

    exchange: str
    """Id of the exchange that cites the order for it; empty: none."""
    asks: tuple[str, ...]
    """What the order names there, as written."""
    fresh: tuple[str, ...] = ()
    """Names that are written for it."""
    not_taken: tuple[tuple[str, str], ...] = ()
    """(as written, reason)"""


# fmt: off
ROWS: dict[int, Want] = {
    # Known by their addresses; the domain in the catalogue covers hosts under it, with or without a path.
    1: Want("binance", ("https://www.binance.com/en", "binance.com", "BINANCE.US")),
    2: Want("okx", ("okx.com.", "https://my.okx.com/join")),
    3: Want("bybit", ("bybit.com", "www.bybit.com", "bybitglobal.com")),
    4: Want("mexc", ("mexc.com",)),
    5: Want("kucoin", ("kucoin.com", "www.kucoin.com/register?r=1")),
    6: Want("bitget", ("bitget.com",)),
    7: Want("phemex", ("phemex.com",)),
    8: Want("coinex", ("coinex.com",)),
    9: Want("bitmart", ("bitmart.com",)),
    10: Want("poloniex", ("poloniex.com",)),
    11: Want("kraken", ("kraken.com", "pro.kraken.com")),
    12: Want("htx", ("htx.com", "huobi.com")),
    # Names that look like addresses are names where addresses stand behind them.
    13: Want("gate-io", ("gate.io", "gate.com")),
    14: Want("crypto-com", ("crypto.com",)),
    15: Want("gemini", ("gemini.com",)),
    16: Want("etoro", ("etoro.com",), ("etoro.com",)),
    17: Want("plus-500", ("plus500.com",), ("plus500.com",)),
    18: Want("zoomex", ("zoomex.com",), ("zoomex.com",)),
    19: Want("pionex", ("pionex.com",)),
    # Not the catalogue's BTCChina: neither its address nor its name.
    20: Want("btcc", ("btcc.com",), ("btcc.com",)),
    21: Want("bitunix", ("bitunix.com",), ("bitunix.com",)),
    22: Want("coinw", ("coinw.com",), ("coinw.com",)),
    23: Want("deepcoin", ("deepcoin.com",)),
    24: Want("dobibo", ("dobibo.com", "dobibo1.com", "dobibo2.com"), ("dobibo.com", "dobibo1.com", "dobibo2.com")),
    25: Want("fameexn", ("fameexn.top", "fameexn.com"), ("fameexn.com", "fameexn.top")),
    # The A-label is not the other spelling of the name beside it: it reads 'münzbrāse'.
    26: Want("munzborse", ("münzbörse.example", "xn--mnzbrse-n2a3c.example"), ("xn--mnzbrse-d1a4c.example",),
             (("xn--mnzbrse-n2a3c.example", "doubtful"),)),
    27: Want("xn--80abpgbj3ahhfs", ("криптобиржа.example",), ("xn--80abpgbj3ahhfs.example",)),
    28: Want("xn--tlqx19b5xc", ("交易所.example",), ("xn--tlqx19b5xc.example",)),
    # A customer's own label on a host of many: exactly that name.
    29: Want("quicktrade", ("quicktrade-signals.blogspot.com", "quicktrade.example"),
             ("=quicktrade-signals.blogspot.com", "quicktrade.example")),
    30: Want("", ("https://t.me/telecoin_exchange",), (), (("https://t.me/telecoin_exchange", "shared_platform"),)),
    31: Want("gitswap", ("gitswap.github.io",), ("=gitswap.github.io",)),
    # Nothing in the query of a URL is a host.
    32: Want("", ("https://play.google.com/store/apps/details?id=x.y",), (),
             (("https://play.google.com/store/apps/details?id=x.y", "shared_platform"),)),
    33: Want("arabcoin", ("arabcoin.example:8443/login",), ("arabcoin.example",)),
    # The names below the first are covered by it.
    34: Want("nordfx", ("nordfx.example", "client.nordfx.example", "webtrader.nordfx.example"), ("nordfx.example",)),
    35: Want("", ("alphabits,example",), (), (("alphabits,example", "invalid"),)),
    36: Want("", ("betabits..example",), (), (("betabits..example", "invalid"),)),
    37: Want("", ("gammabits.exmaple",), (), (("gammabits.exmaple", "unknown_top_level"),)),
    # The end of `delta bits.example` is somebody else's name.
    38: Want("", ("delta_bits.example", "delta bits.example"), (),
             (("delta_bits.example", "doubtful"), ("delta bits.example", "doubtful"))),
    39: Want("", ("203.0.113.77", "http://198.51.100.9:8080/"), (),
             (("203.0.113.77", "address_only"), ("http://198.51.100.9:8080/", "address_only"))),
    40: Want("zetabits", ("mailto:support@zetabits.example", "zetabits.example"), ("zetabits.example",),
             (("mailto:support@zetabits.example", "mail_address"),)),
    41: Want("uniswap", ("app.uniswap.org",)),
}
# fmt: on


def run(
    blocklist: Path, *words: str, dates: tuple[str, ...] = ("--from", "2026-12-05", "--through", "2027-12-04")
) -> Result:
    command = ("order", "import", str(ORDER), "--id", ID, *dates, "--blocklist", str(blocklist), *words)
    return CliRunner().invoke(app, command)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the command said, and the blocklist that it wrote."""
    blocklist = tmp_path_factory.mktemp("policy") / "blocklist.yaml"
    blocklist.write_bytes(SHIPPED.read_bytes())
    result = run(blocklist, "--write", "--json")
    assert result.exit_code == 1, result.output  # Some of it is not taken.
    return json.loads(result.stdout), blocklist


@pytest.fixture(scope="module")
def written(imported: tuple[dict[str, Any], Path]) -> Blocklist:
    blocklist, problems = read_blocklist(imported[1])
    assert blocklist is not None, problems
    assert problems == []
    return blocklist


def test_all_rows_are_read(imported: tuple[dict[str, Any], Path]) -> None:
    report, _ = imported
    assert report["rows"] == len(ROWS) == 41
    assert report["written"]


@for_each("row", ROWS, ids=[f"row{row}" for row in ROWS])
def test_a_row_becomes_what_an_officer_wants(
    row: int, imported: tuple[dict[str, Any], Path], written: Blocklist
) -> None:
    want, (report, _) = ROWS[row], imported
    line = FIRST_LINE + row
    taken = {
        entry["id"]: [address["written"] for address in entry["addresses"]]
        for entry in (*report["known"], *report["new"])
        if entry["line"] == line
    }
    refused = tuple((one["written"], one["reason"]) for one in report["not_taken"] if one["line"] == line)
    assert refused == want.not_taken
    assert list(taken) == ([want.exchange] if want.exchange else [])
    said = [address for addresses in taken.values() for address in addresses]
    assert sorted([*said, *(text for text, _ in refused)]) == sorted(want.asks)
    assert set(want.asks) <= set(written.orders[ID].asks)
    if want.exchange:
        rule = next(rule for rule in written.exchanges if rule.label == want.exchange)
        assert ID in rule.orders
    signs = {RuleForm.SUBTREE: "", RuleForm.EXACT: "=", RuleForm.BELOW: "*."}
    if want.fresh:
        names = [
            signs[rule.form] + name_to_text(rule.owner)
            for rule in written.name_rules
            if rule.effect == "block" and rule.rule.label == want.exchange
        ]
        assert sorted(names) == sorted(want.fresh)


def test_every_ask_is_of_some_row(written: Blocklist) -> None:
    assert sorted(written.orders[ID].asks) == sorted(ask for want in ROWS.values() for ask in want.asks)


def test_nothing_else_is_blocked(written: Blocklist) -> None:
    before, _ = read_blocklist(SHIPPED)
    assert before is not None

    def entries(blocklist: Blocklist) -> set[tuple[bytes, RuleForm]]:
        return {(rule.owner, rule.form) for rule in blocklist.name_rules if rule.effect == "block"}

    fresh = entries(written) - entries(before)
    wanted = {name for want in ROWS.values() for name in want.fresh}
    assert {("=" if form is RuleForm.EXACT else "") + name_to_text(owner) for owner, form in fresh} == wanted
    assert entries(before) <= entries(written)


@pytest.mark.parametrize(
    "name", ["bits.example", "blogspot.com", "github.io", "t.me", "play.google.com", "google.com", "x.y"]
)
def test_what_strangers_use_stays_open(name: str, imported: tuple[dict[str, Any], Path]) -> None:
    result = CliRunner().invoke(app, ["explain", name, "--blocklist", str(imported[1]), "--json"])
    assert json.loads(result.stdout)["decision"]["blocked"] is False


def test_dates_number_and_zone_of_the_text_are_shown_and_not_written(
    imported: tuple[dict[str, Any], Path], written: Blocklist
) -> None:
    report, _ = imported
    found = {(fact["kind"], fact["line"], fact["written"]) for fact in report["found"]}
    assert found == {
        ("number", 3, "NAFM-2026/117"),
        ("date", 4, "25 November 2026"),
        ("date", 7, "5 December 2026"),
        ("time zone", 7, "Europe/Berlin"),
        ("date", 8, "4 December 2027"),
        ("deadline", 8, "in 5 days"),
    }
    order = written.orders[ID]
    assert (order.reference, order.date) == (None, None)
    assert any("Europe/Berlin" in remark for remark in report["remarks"])


def test_the_names_that_come_under_the_order_unwritten_are_listed(
    imported: tuple[dict[str, Any], Path],
) -> None:
    known = {entry["id"]: entry for entry in imported[0]["known"]}
    assert known["uniswap"]["also_under_the_order"] == ["uniswap.org"]
    assert "binance.cc" in known["binance"]["also_under_the_order"]
    assert "binance.com" not in known["binance"]["also_under_the_order"]


def test_comments_of_people_stay_and_a_second_import_changes_nothing(
    imported: tuple[dict[str, Any], Path],
) -> None:
    _, blocklist = imported
    text = blocklist.read_text()
    for line in SHIPPED.read_text().splitlines():
        if "#" in line:
            assert line[line.index("#") :] in text
    result = run(blocklist, "--write", "--json")
    report = json.loads(result.stdout)
    assert (report["changed"], report["written"]) == (False, False)
    assert blocklist.read_text() == text


def test_suggestions_are_taken_when_a_person_says_so(tmp_path: Path) -> None:
    blocklist = tmp_path / "blocklist.yaml"
    blocklist.write_bytes(SHIPPED.read_bytes())
    takes = ["alphabits.example", "gammabits.example", "deltabits.example", "xn--mnzbrse-n2a3c.example"]
    options = [word for name in takes for word in ("--take", name)]
    result = run(blocklist, *options, "--write", "--json", dates=())
    report = json.loads(result.stdout)
    domains = {name for entry in report["new"] for name in entry["domains"]}
    assert set(takes) <= domains
    assert report["enforced"] == {"enforced": 53, "pending": 0, "unenforced": 7}
    after, _ = read_blocklist(blocklist)
    assert after is not None and "alphabits,example" in after.orders[ID].asks


def test_scope_named_puts_only_the_orders_own_names_under_it(tmp_path: Path) -> None:
    blocklist = tmp_path / "blocklist.yaml"
    blocklist.write_bytes(SHIPPED.read_bytes())
    result = run(blocklist, "--scope", "named", "--write", "--json")
    assert result.exit_code == 1, result.output
    after, problems = read_blocklist(blocklist)
    assert after is not None, problems
    under = {
        name_to_text(rule.owner): rule.rule
        for rule in after.name_rules
        if rule.effect == "block" and ID in rule.rule.orders
    }
    assert "binance.com" in under and "binance.cc" not in under
    assert "app.uniswap.org" in under and "uniswap.org" not in under
    # What the platform cites still holds for the names that moved.
    assert under["binance.com"].orders == ("house-policy", ID)
    assert under["app.uniswap.org"].orders == ("house-policy", ID)
    before, _ = read_blocklist(SHIPPED)
    assert before is not None
    blocked = {(rule.owner, rule.form) for rule in after.name_rules if rule.effect == "block"}
    assert {(rule.owner, rule.form) for rule in before.name_rules if rule.effect == "block"} <= blocked


def test_without_write_nothing_is_written(tmp_path: Path) -> None:
    blocklist = tmp_path / "blocklist.yaml"
    blocklist.write_bytes(SHIPPED.read_bytes())
    result = run(blocklist)
    assert result.exit_code == 1
    assert "KNOWN: 18 platforms" in result.stdout and "NEW: 16 platforms" in result.stdout
    assert "line 42: https://t.me/telecoin_exchange: cannot be enforced by DNS" in result.stdout
    assert blocklist.read_bytes() == SHIPPED.read_bytes()
