"""suggestions, suggestions accept and suggestions dismiss, as people call them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from resolver.cli.app import app
from resolver.publishing.approvals import read_approvals
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import hash_file
from resolver.publishing.recorder import Applied, record
from resolver.suggestions.decisions import decisions_path, read_decisions
from resolver.suggestions.seen import Seen, SeenNames, seen_path, write_seen
from resolver.wire.names import name_from_text

POLICY = """\
version: 1
orders:
  house: {authority: Us, title: Rules, imposed_by: house}
  court: {authority: A court, title: An order, imposed_by: external}
  secret: {authority: A, title: B, reference: C, date: 2026-01-01, imposed_by: external, confidential: true}
exchanges:
  # The largest.
  binance:
    name: Binance  # of many names
    order: house
    domains: [binance.com]   # more to come
  kraken:
    name: Kraken
    order: court
    mode: shadow
    domains:
      - kraken.com  # apex

  hush: {name: Bittrex, order: secret, domains: [bittrex.com]}
allow: [binance-academy.example]
"""
NAMES = {
    "binance-login.example": 12,
    "kraken-login.example": 3,
    "gemini-binance.co.uk": 2,
    "bittrex-login.example": 5,
    "openbinanceq.example": 4,
    "binance-academy.example": 9,
    "weather.example": 99,
}
DAY = date(2026, 1, 31)


class Desk:
    """A folder with settings, a blocklist and names that were seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        (folder / "resolver.yaml").write_text(
            "blocklist: blocklist.yaml\nstate_dir: state\nsuggestions: {enabled: true}\n"
        )
        self.blocklist.write_text(POLICY)
        self.see(NAMES)

    def see(self, names: dict[str, int]) -> None:
        kept = {name_from_text(name): Seen({DAY: count}) for name, count in names.items()}
        write_seen(self.state, SeenNames(1, kept).as_json())

    def run(self, *words: object) -> Result:
        command = ["suggestions", *map(str, words), "--config", str(self.folder / "resolver.yaml")]
        return CliRunner().invoke(app, command)

    def json(self, *words: object) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def names(self, *words: object) -> list[str]:
        return [one["name"] for one in self.json(*words)["suggestions"]]


def record_as_served(desk: Desk) -> None:
    record(desk.state, Applied(1.0, [hash_file(desk.blocklist)]))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_looks_alike_is_listed_with_score_and_reasons(desk: Desk) -> None:
    result = desk.run()
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("binance-login.example"))
    assert "binance" in line and "0.95" in line and "12" in line and "beside login" in line
    assert "weather" not in result.stdout and "academy" not in result.stdout


def test_json_says_the_same_for_programs(desk: Desk) -> None:
    found = desk.json()
    assert found["enabled"] is True
    assert found["suggestions"][0] == {
        "name": "binance-login.example",
        "exchange": "binance",
        "exchange_name": "Binance",
        "score": 0.95,
        "reasons": ["has binance beside login"],
        "official": False,
        "confidential": False,
        "state": "open",
        "queries": 12,
        "days": {"2026-01-31": 12},
        "first": "2026-01-31",
        "last": "2026-01-31",
        "decision": None,
    }


def test_what_looks_like_a_confidential_exchange_is_only_counted(desk: Desk) -> None:
    for words in ((), ("--json",), ("--all",), ("--all", "--json")):
        assert "bittrex" not in desk.run(*words).output.lower()
    assert desk.json()["confidential"] == 1
    assert "1 more name" in desk.run().stdout
    assert "bittrex-login.example" in desk.names("--with-confidential")


def test_names_that_score_less_are_listed_when_asked_for(desk: Desk) -> None:
    assert set(desk.names("--all")) >= set(desk.names("--score-min", "0.9"))
    assert desk.names("--score-min", "0.99") == []


def test_an_accepted_name_is_written_and_comments_stay(desk: Desk) -> None:
    accepted = desk.json("accept", "binance-login.example")
    assert accepted["exchange"] == "binance" and accepted["what"] == "accepted" and accepted["who"]
    wanted = POLICY.replace("[binance.com]   # more", "[binance-login.example, binance.com]   # more")
    assert desk.blocklist.read_text() == wanted
    assert "binance-login.example" not in desk.names("--all")


def test_where_two_people_are_needed_an_accepted_name_waits(desk: Desk) -> None:
    config = desk.folder / "resolver.yaml"
    config.write_text(config.read_text() + "http: {changes: two-person}\n")
    record_as_served(desk)
    assert desk.json("accept", "binance-login.example")["waits"]["proposal"].startswith("file-")
    desk.blocklist.write_text(POLICY)
    result = desk.run("accept", "kraken-login.example")
    assert result.exit_code == 0 and "waits for a second person" in result.stdout
    assert "within seconds" not in result.stdout


def test_who_accepted_is_in_the_approvals_that_the_history_reads(desk: Desk) -> None:
    desk.json("accept", "binance-login.example", "--reason", "seen in a mail")
    (approval,) = read_approvals(desk.state)
    assert approval.who and not approval.is_forced and approval.remark == "seen in a mail"
    decision = read_decisions(desk.state)[name_from_text("binance-login.example")]
    assert (decision.what, decision.who, decision.exchange) == ("accepted", approval.who, "binance")
    assert decision.at == approval.at


def test_accepting_tells_of_an_order_that_does_not_name_it(desk: Desk) -> None:
    remarks = desk.json("accept", "kraken-login.example")["remarks"]
    assert any("court of an authority" in remark for remark in remarks)
    assert any("not in force now" in remark for remark in remarks)
    assert "      - kraken-login.example\n      - kraken.com  # apex\n\n" in desk.blocklist.read_text()


def test_another_exchange_may_be_meant(desk: Desk) -> None:
    assert desk.json("accept", "binance-login.example", "--exchange", "kraken")["exchange"] == "kraken"
    result = desk.run("accept", "kraken-login.example", "--exchange", "nobody")
    assert result.exit_code == 2 and "no exchange of the blocklist" in result.output


def test_what_the_server_would_refuse_is_not_written(desk: Desk) -> None:
    text = POLICY + "lists: [{name: ads, path: not-there.txt}]\n"
    desk.blocklist.write_text(text)
    result = desk.run("accept", "binance-login.example")
    assert result.exit_code == 2 and "so nothing was written" in result.output
    assert desk.blocklist.read_text() == text and not read_approvals(desk.state)


def test_a_rail_that_objects_keeps_the_file_as_it_is(desk: Desk) -> None:
    record_as_served(desk)
    # Somebody took an exchange out, and has not applied it.
    text = POLICY.replace("  hush: {name: Bittrex, order: secret, domains: [bittrex.com]}\n", "")
    desk.blocklist.write_text(text)
    result = desk.run("accept", "binance-login.example")
    assert result.exit_code == 2 and "a safety rail objects" in result.output
    assert desk.blocklist.read_text() == text and not read_approvals(desk.state)


def test_a_file_that_was_changed_meanwhile_is_left_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = compile_policy

    def compile_slowly(*words: Any, **options: Any) -> Any:
        desk.blocklist.write_text(POLICY + "# somebody was here\n")
        return real(*words, **options)

    monkeypatch.setattr("resolver.cli.edit.compile_policy", compile_slowly)
    result = desk.run("accept", "binance-login.example")
    assert result.exit_code == 2 and "changed meanwhile" in result.output
    assert "binance-login" not in desk.blocklist.read_text() and not read_approvals(desk.state)


@pytest.mark.parametrize("command", ["accept", "dismiss"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("weather.example", "is no suggestion"),
        ("binance.com", "the blocklist has binance.com already"),
        ("www.binance-academy.example", "the blocklist has binance-academy.example already"),
        ("a b", "is more than one name"),
        ("<script>.example", "cannot stand in a name"),
    ],
)
def test_what_is_no_suggestion_is_refused(command: str, name: str, why: str, desk: Desk) -> None:
    result = desk.run(command, name)
    assert result.exit_code == 2 and why in result.output
    assert desk.blocklist.read_text() == POLICY and not decisions_path(desk.state).exists()


def test_a_dismissed_name_is_suggested_no_more_and_who_and_when_is_kept(desk: Desk) -> None:
    dismissed = desk.json("dismiss", "binance-login.example", "--reason", "a fan club")
    assert dismissed["what"] == "dismissed" and dismissed["reason"] == "a fan club"
    assert "binance-login.example" not in desk.names()
    assert "dismissed by" in desk.run("--all").stdout
    (shown,) = [one for one in desk.json("--all")["suggestions"] if one["name"] == "binance-login.example"]
    assert shown["state"] == "dismissed" and shown["decision"]["who"] and shown["decision"]["at"]
    assert desk.blocklist.read_text() == POLICY
    desk.json("dismiss", "binance-login.example", "--undo")
    assert "binance-login.example" in desk.names()


def test_what_was_not_dismissed_cannot_be_taken_back(desk: Desk) -> None:
    result = desk.run("dismiss", "binance-login.example", "--undo")
    assert result.exit_code == 2 and "was not dismissed" in result.output


def test_a_damaged_file_is_named_with_a_remedy(desk: Desk) -> None:
    desk.json("dismiss", "binance-login.example")
    decisions_path(desk.state).write_text("{")
    result = desk.run()
    assert result.exit_code == 2 and "decisions.json" in result.output and "delete it" in result.output
    decisions_path(desk.state).unlink()
    seen_path(desk.state).write_text("{")
    result = desk.run()
    assert result.exit_code == 2 and "seen.json" in result.output


def test_it_says_when_suggestions_are_off(desk: Desk) -> None:
    (desk.folder / "resolver.yaml").write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
    desk.see({})
    result = desk.run()
    assert result.exit_code == 0 and "suggestions are off" in result.stdout
    assert desk.json()["enabled"] is False


def test_an_idn_is_shown_as_people_read_it(desk: Desk) -> None:
    desk.see({"xn--bnance-3va.example": 5})
    result = desk.run()
    assert "bínance" in result.stdout, result.stdout


def test_hostile_reasons_are_refused(desk: Desk) -> None:
    for reason in ("a\nb", "x" * 501, "\u202e"):
        assert desk.run("dismiss", "binance-login.example", "--reason", reason).exit_code == 2


def test_accepting_a_name_that_stands_for_others_says_what_it_covers(desk: Desk) -> None:
    desk.see({"binance.weather.example": 5})
    [remark] = desk.json("accept", "binance.weather.example")["remarks"]
    assert "binance.SOMETHING.weather.example, binance.weather.example does not cover it" in remark


def test_accepting_a_domain_of_which_a_name_led_to_an_exchange_says_that_all_of_it_is_blocked(
    desk: Desk,
) -> None:
    seen = {name_from_text("weather.example"): Seen({DAY: 5}, {"binance"})}
    write_seen(desk.state, SeenNames(1, seen).as_json())
    [remark] = desk.json("accept", "weather.example")["remarks"]
    assert "all of it is blocked now" in remark and "do not lead to Binance" in remark


def test_accepting_a_domain_that_looks_alike_itself_says_nothing_of_that(desk: Desk) -> None:
    assert desk.json("accept", "binance-login.example")["remarks"] == []
