"""What an explanation for readers outside says while something is confidential: that it is, and no more."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from resolver.config.settings import load_settings
from resolver.explain.deciding import Decider
from resolver.explain.explanation import Explanation
from resolver.flow.clients import Clients
from resolver.policy.table import open_table
from resolver.publishing.compiler import compile_policy
from resolver.server.parts import make_local_names, make_plan
from resolver.wire.names import name_from_text as n
from tests.support.for_each import for_each

NOW = 1.7e9  # 2023-11-14
SECRETS = (
    "hush-order", "Hush title", "S-99", "Hidden", "hidden", "2023-02-03", "2024-05-06",
    "2023-07-08", "2024-09-10", "2031-01-02", "2021-01-02",
)  # fmt: skip
"""Of what is confidential: ids, titles, labels, lists, and days on which it begins, ends or changes."""
ORDERS = """\
version: 1
orders:
  hush-order: {authority: Court, title: Hush title, reference: S-99, confidential: true}
  hush-order-dated: {authority: Court, title: Hush title, reference: S-99, confidential: true, from: 2023-02-03, until: 2024-05-06}
  hush-order-later: {authority: Court, title: Hush title, confidential: true, from: 2031-01-02}
  hush-order-over: {authority: Court, title: Hush title, confidential: true, until: 2021-01-02}
  hush-order-off: {authority: Court, title: Hush title, confidential: true, mode: disabled}
  hush-order-seen: {authority: Court, title: Hush title, confidential: true, mode: shadow}
  hidden-later: {authority: Court, title: Hidden Coin named, from: 2024-09-10}
  public: {authority: Court, title: Known title, reference: P-1}
exchanges:
"""
PLAIN = "  plain: {name: Plain, order: public, domains: [wide.example]}\n"


def hidden(order: str, domains: str = "a.wide.example", more: str = "") -> str:
    return f"  hidden: {{name: Hidden Coin, order: {order}, domains: [{domains}]{more}}}\n"


def explained(folder: Path, exchanges: str, name: str = "x.a.wide.example") -> Explanation:
    (folder / "hidden.txt").write_text("||a.wide.example^\n@@||ok.x.a.wide.example^\n")
    (folder / "blocklist.yaml").write_text(ORDERS + exchanges)
    made = compile_policy(folder / "blocklist.yaml", folder / "images", now=NOW)
    assert made.image is not None, made.problems
    settings, problems = load_settings(folder / "resolver.yaml", octets=b"")
    assert settings is not None, problems
    decider = Decider(
        open_table(made.image, NOW, NOW, 1),
        NOW,
        make_plan(settings),
        make_local_names(settings),
        Clients(settings.clients.allow),
        "blocklist.yaml",
        UTC,
    )
    return decider.of_name(name, n(name), 1, "127.0.0.1")


def document(folder: Path, exchanges: str) -> dict[str, Any]:
    fields = explained(folder, exchanges).for_others().as_json()
    lines = (ORDERS + exchanges).splitlines()
    places = [f"blocklist.yaml:{number} " for number, line in enumerate(lines, 1) if "  hidden: " in line]
    found = [secret for secret in (*SECRETS, *places) if secret in json.dumps(fields)]
    assert not found, json.dumps(fields, indent=1)
    return fields


MIXES = {
    "it beats a public rule": PLAIN + hidden("hush-order"),
    "it has dates": PLAIN + hidden("hush-order-dated"),
    "its own dates": PLAIN + hidden("hush-order", more=", from: 2023-07-08, until: 2024-09-10"),
    "it begins later": PLAIN + hidden("hush-order-later"),
    "it is over": PLAIN + hidden("hush-order-over"),
    "it is disabled": PLAIN + hidden("hush-order-off"),
    "it is in shadow": PLAIN + hidden("hush-order-seen"),
    "a public order comes later": hidden("[hush-order, hidden-later]"),
    "it is beaten": "  plain: {name: Plain, order: public, domains: [x.a.wide.example]}\n" + hidden("hush-order-dated"),
    "beside a public order of one exchange": "  plain: {name: Plain, order: [public, hush-order-dated], domains: [wide.example]}\n",
    "an exception from it": PLAIN + hidden("hush-order") + "allow: [{name: x.a.wide.example, reason: Hidden Coin asked}]\n",
    "a list": PLAIN.replace("domains: [wide", "domains: [b.wide")
    + "lists:\n- {name: hidden-list, path: hidden.txt, format: adblock, order: hush-order-dated}\n",
}  # fmt: skip


@for_each("mix", MIXES)
def test_no_word_place_or_day_of_what_is_confidential_is_told(mix: str, tmp_path: Path) -> None:
    fields = document(tmp_path, MIXES[mix])
    assert fields["trace"], "there is something to tell"


@pytest.mark.parametrize("mix", ["it begins later", "it is over", "it is disabled"])
def test_what_is_confidential_and_not_in_force_is_not_announced(mix: str, tmp_path: Path) -> None:
    fields = document(tmp_path, MIXES[mix])
    assert "confidential" not in {one["label"] for one in fields["trace"]}
    assert fields["decision"]["label"] == "plain"
    assert set(fields["decision"]["orders"]) == {"public"}


def test_a_rule_that_a_confidential_one_beats_is_told_without_its_place(tmp_path: Path) -> None:
    trace = document(tmp_path, MIXES["it beats a public rule"])["trace"]
    assert [(one["label"], one["fate"], one["why"]) for one in trace] == [
        ("confidential", "decides", "confidential"),
        ("plain", "outranked", "confidential"),
    ]


def test_only_the_orders_of_traced_rules_are_gathered(tmp_path: Path) -> None:
    explanation = explained(tmp_path, PLAIN + hidden("[hush-order, hidden-later]", "other.example"))
    assert set(explanation.orders) == {"public"}
