"""Each check of a configuration finds what is wrong, and says nothing where nothing is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolver.doctor.configuration_checks import (
    check_engine,
    check_lists,
    check_secrets,
    check_server,
    check_state_dir,
    check_upstreams,
    check_written,
)
from resolver.problems import Problem


@pytest.mark.parametrize(("mode", "is_wrong"), [(0o600, False), (0o640, False), (0o644, True), (0o660, True)])
def test_a_secret_is_for_its_owner_and_who_may_read_it_by_group(
    tmp_path: Path, mode: int, is_wrong: bool
) -> None:
    path = tmp_path / "key"
    path.write_text("secret")
    path.chmod(mode)
    [found] = check_secrets([path])
    assert found.is_wrong is is_wrong
    assert not is_wrong or found.remedy == f"chmod 600 {path}"


def test_a_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    [found] = check_secrets([tmp_path / "gone"])
    assert found.level == "error"


def test_a_state_that_everybody_may_write_to_is_an_error(tmp_path: Path) -> None:
    euid = tmp_path.stat().st_uid
    tmp_path.chmod(0o777)
    [found] = check_state_dir(tmp_path, euid)
    assert found.level == "error" and "chmod o-w" in found.remedy
    tmp_path.chmod(0o755)
    assert not check_state_dir(tmp_path, euid)[0].is_wrong
    assert not check_state_dir(tmp_path / "gone", euid)[0].is_wrong
    (tmp_path / "file").write_text("")
    assert check_state_dir(tmp_path / "file", euid)[0].level == "error"


def test_stale_lists_are_told_with_the_command() -> None:
    [found] = check_lists([("ads", "overdue"), ("fine", "")])
    assert found.remedy == "exchange-resolver lists update ads"
    assert not check_lists([])[0].is_wrong


@pytest.mark.parametrize(
    ("wanted", "engine", "is_wrong"),
    [("auto", "native", False), ("auto", "python", True), ("python", "python", False)],
)
def test_the_slow_engine_is_told_unless_it_was_chosen(wanted: str, engine: str, is_wrong: bool) -> None:
    assert check_engine(wanted, engine, "it is not installed")[0].is_wrong is is_wrong


def test_an_upstream_that_fails_is_a_warning_and_all_of_them_an_error() -> None:
    [one] = check_upstreams([("a", "timeout", None), ("b", "", 0.01)])
    assert one.level == "warning" and "a: timeout" in one.what
    assert {found.level for found in check_upstreams([("a", "timeout", None), ("b", "timeout", None)])} == {
        "error"
    }
    assert not check_upstreams([("b", "", 0.01)])[0].is_wrong


@pytest.mark.parametrize(
    ("status", "body", "level"),
    [
        (None, "", "unknown"),
        (200, json.dumps({"status": "ready"}), "fine"),
        (200, json.dumps({"status": "ready", "remarks": {"lists": "ads is stale"}}), "warning"),
        (503, json.dumps({"status": "not ready", "reasons": {"policy": "not yet"}}), "error"),
        (500, "<html>", "error"),
        (401, "", "unknown"),
    ],
)
def test_what_a_running_server_says_is_passed_on(status: int | None, body: str, level: str) -> None:
    [found] = check_server(status, body, "http://127.0.0.1:8053/readyz")
    assert found.level == level


@pytest.mark.parametrize(
    ("remark", "remedy"),
    [
        ("audit", "exchange-resolver audit"),
        ("filtering", "exchange-resolver resume"),
        ("hits", "curl -s http://127.0.0.1:8053/readyz"),
    ],
)
def test_what_a_running_server_says_comes_with_the_command_that_mends_it(remark: str, remedy: str) -> None:
    body = json.dumps({"status": "ready", "remarks": {remark: "something"}})
    [found] = check_server(200, body, "http://127.0.0.1:8053/readyz")
    assert found.remedy == remedy and found.what.endswith(f"{remark}: something")


def test_many_problems_are_cut_and_counted() -> None:
    problems = [Problem("f", number, "x") for number in range(20)]
    found = check_written("policy", problems, "command")
    assert len(found) == 6 and "15 more" in found[-1].what
    assert not check_written("policy", [], "command")[0].is_wrong
