"""What is in force, held against the register's own state."""

from __future__ import annotations

import pytest

from resolver.audit.lags import ListFacts, lags_of, policy_lag

NOW = 1_700_000_000.0
DAY = 86_400


def facts(**changes: object) -> ListFacts:
    fields: dict[str, object] = {
        "name": "register",
        "is_downloaded": True,
        "succeeded_at": NOW - 3_600,
        "refresh_s": DAY,
        "enforced": 100,
        "compiled": 100,
    }
    return ListFacts(**{**fields, **changes})  # type: ignore[arg-type]


def kinds(**changes: object) -> list[str]:
    return [lag.kind for lag in lags_of([facts(**changes)], NOW)]


def test_what_is_current_has_no_lag() -> None:
    assert kinds() == []
    assert kinds(serial=7, authority_serial=7) == []


def test_a_newer_serial_of_the_register_is_a_lag_with_both_serials_and_since_when() -> None:
    (lag,) = lags_of([facts(serial=7, authority_serial=9, behind_since=NOW - DAY)], NOW)
    assert lag.kind == "serial" and "9" in lag.text and "7" in lag.text and "2023-11-13" in lag.text


def test_serials_go_round() -> None:
    assert kinds(serial=2**32 - 1, authority_serial=3) == ["serial"]
    assert kinds(serial=3, authority_serial=2**32 - 1) == []


@pytest.mark.parametrize(("age_s", "found"), [(DAY, []), (2 * DAY - 1, []), (2 * DAY + 1, ["update"])])
def test_a_register_that_was_not_seen_for_twice_its_interval_is_late(age_s: float, found: list[str]) -> None:
    assert kinds(succeeded_at=NOW - age_s) == found


def test_a_failed_attempt_is_a_lag_with_its_reason() -> None:
    (lag,) = lags_of([facts(problem="not-a-list: it is empty")], NOW)
    assert "it is empty" in lag.text


def test_a_list_that_was_never_downloaded_is_one() -> None:
    (lag,) = lags_of([facts(has_copy=False)], NOW)
    assert lag.kind == "update" and "never" in lag.text


def test_other_numbers_of_names_in_force_and_in_the_copy_are_one() -> None:
    (lag,) = lags_of([facts(enforced=90, compiled=100)], NOW)
    assert lag.kind == "records" and "90" in lag.text and "100" in lag.text
    assert kinds(enforced=None) == [] and kinds(compiled=None) == []


def test_a_list_of_the_disk_has_no_register_to_be_behind() -> None:
    assert kinds(is_downloaded=False, succeeded_at=0.0) == []


def test_a_policy_made_of_other_files_is_a_lag_that_names_them() -> None:
    (lag,) = policy_lag(["blocklist.yaml", "names.txt"])
    assert lag.kind == "policy" and "names.txt" in lag.text
    assert policy_lag([]) == ()
