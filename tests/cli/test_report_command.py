"""report, as people call it: without a running server."""

from __future__ import annotations

import json

import pytest

from resolver.audit.results import (
    AuditResult,
    Listener,
    NameResult,
    Proof,
    Selection,
    ServerResult,
    Status,
    save_last,
)
from resolver.hits.figures import EXCHANGE, HitKey
from resolver.hits.ledger import Look
from resolver.hits.recorder import HitRecorder
from resolver.hits.writing import Limits
from tests.cli.report_rig import NOW, POLICY, SUFFIXES, Desk, desk

__all__ = ["desk"]


# What it is made of.


def test_without_a_server_and_without_state_a_report_says_what_is_missing(desk: Desk) -> None:
    result = desk.report()
    assert result.exit_code == 0
    assert "No audit is recorded" in result.stdout
    assert "Hits are missing" in result.stdout
    assert "It is not recorded that a server has put this policy in force." in result.stdout
    assert str(desk.state) not in result.stdout


def test_a_report_is_of_the_policy_that_served_and_says_that_the_file_was_edited(desk: Desk) -> None:
    desk.serve()
    assert desk.json()["missing"] == ["no_hits", "no_audit"]
    desk.blocklist.write_text(POLICY.replace("acme.example", "other.example"))
    made = desk.json()
    assert made["missing"] == ["edited", "no_hits", "no_audit"]
    assert [name["name"] for one in made["exchanges"] for name in one["names"]] == ["acme.example"]


def test_a_broken_edit_is_no_obstacle(desk: Desk) -> None:
    desk.serve()
    desk.blocklist.write_text("version: [")
    assert desk.json()["missing"][0] == "edited"


def test_a_blocklist_that_is_named_has_no_history(desk: Desk) -> None:
    desk.serve()
    made = desk.json("--blocklist", desk.blocklist)
    assert "no_history" in made["missing"]
    assert made["orders"][0]["in_force_since"] is None


def test_an_order_is_in_force_since_the_history_says(desk: Desk) -> None:
    desk.serve(ago_s=3 * 86_400)
    (order,) = desk.json()["orders"]
    assert order["took_s"] > 0
    assert order["in_force_since"].endswith("+09:00")


def test_hits_come_from_the_history_of_hits(desk: Desk) -> None:
    desk.serve()
    now = NOW
    recorder = HitRecorder(desk.state, Limits(hours=100), at=now - 60, now=0.0)
    recorder.take(Look(now - 30, 30.0, {HitKey(EXCHANGE, "acme", "nxdomain", "enforce"): 41}, {}))
    recorder.write(now)
    recorder.close()
    made = desk.json()
    assert made["hits"]["blocked"] == made["exchanges"][0]["hits"]["blocked"] == 41
    assert made["days_not_counted_whole"] != []


def test_a_damaged_history_of_hits_is_missing_and_no_failure(desk: Desk) -> None:
    desk.serve()
    (desk.state / "hits.sqlite3").write_bytes(b"x" * 5000)
    result = desk.report()
    assert result.exit_code == 0
    assert "Hits are missing" in result.stdout
    assert "hits.sqlite3" in result.stderr


def test_the_last_audit_is_in_it(desk: Desk) -> None:
    desk.serve()
    names = tuple(
        NameResult(
            name,
            "subtree",
            "exchange",
            source,
            (order,),
            "b",
            1,
            secret,
            (Proof(Status.UNCOVERED, "it leaks"),),
        )
        for name, source, order, secret in (
            ("acme.example", "acme", "fma-17", False),
            ("ghost.example", "ghost", "hidden-5", True),
        )
    )
    server = ServerResult("this server", True, (Listener("127.0.0.1:53", "udp", asked=9),))
    save_last(desk.state, AuditResult(1.0, 2.0, "1", "h", "b", False, Selection(), (server,), names))
    audit = desk.json()["audit"]
    assert audit["finding_count"] == 2
    assert [one["name"] for one in audit["findings"]] == ["acme.example"]


def test_an_audit_of_one_order_is_in_the_report_on_that_order_alone(desk: Desk) -> None:
    desk.serve()
    proved = NameResult(
        "acme.example",
        "subtree",
        "exchange",
        "acme",
        ("fma-17",),
        "b",
        1,
        False,
        (Proof(Status.COVERED, ""),),
    )
    server = ServerResult("this server", True, (Listener("127.0.0.1:53", "udp", asked=9),))
    selection = Selection(order="fma-17")
    result = AuditResult(1.0, 2.0, "1", "h", "b", False, selection, (server,), (proved,))
    save_last(desk.state, result, order="fma-17")
    assert desk.json("--order", "fma-17")["orders"][0]["audit"] == {"covered": 1}
    assert desk.json()["audit"] is None


def test_what_is_missing_is_named_with_what_makes_it(desk: Desk) -> None:
    desk.serve()
    words = desk.report("--order", "fma-17").stderr
    assert f"no audit is kept in {desk.state}; 'exchange-resolver audit --order fma-17' makes one" in words
    assert "'exchange-resolver audit' makes one" in desk.report().stderr


@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.parametrize("word", ["hidden-5", "Hidden Office", "Hidden title", "ghost", "Ghost"])
def test_a_confidential_order_is_counted_in_every_format(desk: Desk, form: str, word: str) -> None:
    desk.serve()
    result = desk.report("--format", form)
    assert word not in result.stdout


def test_what_was_confidential_once_is_not_told_among_the_changes(desk: Desk) -> None:
    desk.serve(ago_s=3000)
    public = POLICY.replace(", confidential: true", "")
    desk.blocklist.write_text(
        public[: public.index("  ghost:")].replace("Hidden", "Other").replace("hidden-5", "other-5")
    )
    desk.serve()
    result = desk.report()
    assert result.exit_code == 0
    assert "ghost" not in result.stdout
    assert "hidden-5" not in result.stdout


def test_a_report_on_one_order_tells_the_changes_of_that_order(desk: Desk) -> None:
    second = POLICY.replace(
        "exchanges:",
        "  b-2: {authority: B, title: B, imposed_by: external}\nexchanges:\n  beta: {name: Beta, order: b-2, domains: [beta.example]}",
    )
    desk.serve(ago_s=3000)
    desk.blocklist.write_text(second)
    desk.serve(ago_s=2000)
    desk.blocklist.write_text(second[: second.index("  acme:")] + second[second.index("  ghost:") :])
    desk.serve()
    found = {
        order: [
            item["what"] for change in desk.json("--order", order)["changes"][-1:] for item in change["items"]
        ]
        for order in ("fma-17", "b-2")
    }
    assert "exchanges_lost" in found["fma-17"]
    assert found["b-2"] == ["orders_gained", "exchanges_gained", "domains_gained"]
    assert "acme" not in desk.report("--order", "b-2").stdout


def test_what_a_list_blocks_for_an_order_is_told_as_enforced(desk: Desk) -> None:
    (desk.folder / "names.txt").write_text("listed.example\n")
    text = POLICY.replace(
        "imposed_by: external, received",
        "imposed_by: external, asks: [listed.example, other.example], received",
        1,
    )
    desk.blocklist.write_text(text + "lists: [{name: theirs, path: names.txt, order: fma-17}]\n")
    (order,) = desk.json()["orders"]
    assert [one["ask"] for one in order["not_enforced"]] == ["other.example"]
    assert order["lists"] == ["theirs"]


def test_a_list_of_a_confidential_order_is_not_named(desk: Desk) -> None:
    (desk.folder / "hush-hush.txt").write_text("listed.example\n")
    text = POLICY.replace(
        "imposed_by: external, received", "imposed_by: external, asks: [listed.example], received", 1
    )
    desk.blocklist.write_text(text + "lists: [{name: hush-hush, path: hush-hush.txt, order: hidden-5}]\n")
    result = desk.report("--format", "json")
    assert result.exit_code == 0
    assert "hush" not in result.stdout
    assert json.loads(result.stdout)["report"]["confidential"]["lists"] == 1


# Options.


def test_the_period_is_thirty_days_and_whole_days_of_the_blocklists_zone(desk: Desk) -> None:
    period = desk.json()["period"]
    made = desk.json("--from", "2026-01-01", "--to", "2026-01-31")
    assert made["period"] == {"first": "2026-01-01", "last": "2026-01-31"}
    assert made["time_zone"] == "Asia/Tokyo"
    assert period == {"first": "2026-11-01", "last": "2026-11-30"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "yesterday"), "is not a day; write 2026-01-31"),
        (("--from", "20260101"), "is not a day"),
        (("--from", "2026-02-30"), "is not a day"),
        (("--to", "2026-12-01"), "is yet to come"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "is after the last day"),
        (("--from", "1990-01-01"), "days; allowed: 4,000"),
        (("--order", "fma-18"), "there is no order 'fma-18' (did you mean 'fma-17'?)"),
        (("--order", "hidden-5"), "is confidential"),
        (("--language", "klingon"), "is not a language of reports; there are ar, de, en"),
        (("--sign", "nokey"), "use --output FILE, too"),
    ],
)
def test_bad_options_are_refused_with_words(desk: Desk, words: tuple[str, ...], said: str) -> None:
    result = desk.report(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_one_order_alone(desk: Desk) -> None:
    made = desk.json("--order", "fma-17")
    assert [one["id"] for one in made["orders"]] == ["fma-17"]


@pytest.mark.parametrize(
    ("form", "begin"),
    [("md", "# "), ("html", "<!DOCTYPE html>"), ("csv", '\ufeff"kind"'), ("json", "{"), ("txt", "# ")],
)
def test_the_name_of_the_output_says_the_format(desk: Desk, form: str, begin: str) -> None:
    output = desk.folder / f"r.{form}"
    assert desk.report("--output", output).exit_code == 0
    assert output.read_text("utf-8").startswith(begin)


def test_an_output_that_cannot_be_written_is_said(desk: Desk) -> None:
    result = desk.report("--output", desk.folder / "no" / "r.html")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
