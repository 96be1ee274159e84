"""The result of an audit: its file, its JSON, what may leave this machine."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from resolver.audit.results import (
    AuditResult,
    Fault,
    Kind,
    Lag,
    Listener,
    NameResult,
    Note,
    Proof,
    Selection,
    ServerResult,
    Status,
    as_json,
    forget_orders,
    load_last,
    load_last_of_order,
    path_of,
    result_from,
    save_last,
)


def name_result(name: str, status: Status, **changes: object) -> NameResult:
    fault = Fault(Kind.LEAK, "A 192.0.2.1 in place of NXDOMAIN", f"{name} A", "192.0.2.53:53 udp")
    faults = (fault,) if status is Status.UNCOVERED else ()
    proof = Proof(status, "why", 3, len(faults), faults)
    base = NameResult(name, "subtree", "exchange", "alpha", ("o1",), "blocklist.yaml", 4, False, (proof,))
    return replace(base, **changes)  # type: ignore[arg-type]


def result_of(*names: NameResult, lags: tuple[Lag, ...] = ()) -> AuditResult:
    listener = Listener("192.0.2.53:53", "udp", 9, 8, 1, 2, 0, 0, 0, 1.5, 20.0, 500.0, "limits the rate")
    note = Note(Kind.EDE, "Extended DNS Error 16 is missing", 3, ("a.example",))
    server = ServerResult("192.0.2.53:53", False, (listener,), (note,))
    return AuditResult(
        1_700_000_000.5,
        1_700_000_009.0,
        "1.0",
        "abc",
        "blocklist.yaml",
        True,
        Selection("o1", "", "", 5),
        (server,),
        names,
        lags,
        {"alpha": 4},
        2,
    )


RESULT = result_of(
    name_result("a.example", Status.COVERED),
    name_result("b.example", Status.UNCOVERED, form="exact"),
    name_result("c.example", Status.PENDING, form="below"),
    lags=(Lag("names", "serial", "the register has serial 9, in force is 8"),),
)


def test_a_result_goes_through_json_unchanged() -> None:
    assert result_from(json.loads(json.dumps(as_json(RESULT)))) == RESULT


def test_a_result_says_when_it_was_made_and_by_what_policy() -> None:
    fields = as_json(RESULT)
    assert fields["at"] == "2023-11-14T22:13:20Z" and fields["policy"] == "abc"


def test_a_kept_result_is_read_back_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = save_last(tmp_path / "state", RESULT)
    assert path == path_of(tmp_path / "state")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_last(tmp_path / "state") == RESULT
    save_last(tmp_path / "state", result_of())
    assert load_last(tmp_path / "state") == result_of()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"version": 1}',
        b'{"version": 99}',
        b'{"version": 1, "names": 3, "servers": [], "selection": {}, "lags": []}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_no_result_counts_as_none(octets: bytes, tmp_path: Path) -> None:
    path = path_of(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(octets)
    assert load_last(tmp_path) is None


def test_without_a_file_there_is_no_result(tmp_path: Path) -> None:
    assert load_last(tmp_path) is None


def test_of_an_order_the_newest_result_counts_that_has_names_of_it(tmp_path: Path) -> None:
    whole = result_of(name_result("a.example", Status.COVERED))
    later = replace(whole, ended_at=whole.ended_at + 60.0)
    elsewhere = replace(later, names=(name_result("b.example", Status.COVERED, orders=("o2",)),))
    assert load_last_of_order(tmp_path, "o1") is None
    save_last(tmp_path, whole)
    assert load_last_of_order(tmp_path, "o1") == whole
    save_last(tmp_path, later, order="o1")
    assert load_last_of_order(tmp_path, "o1") == later and load_last(tmp_path) == whole
    save_last(tmp_path, whole, order="o1")
    save_last(tmp_path, elsewhere)
    assert load_last_of_order(tmp_path, "o1") == whole
    assert load_last_of_order(tmp_path, "o2") == elsewhere


def test_results_of_orders_that_went_go_too(tmp_path: Path) -> None:
    for order in ("", "o1", "o2"):
        save_last(tmp_path, RESULT, order=order)
    forget_orders(tmp_path, ["o2"])
    assert {path.name for path in (tmp_path / "audit").iterdir()} == {"last.json", "order-o2.json"}


def test_a_pipe_in_the_place_of_a_result_keeps_nobody_waiting(tmp_path: Path) -> None:
    path_of(tmp_path).parent.mkdir()
    os.mkfifo(path_of(tmp_path))
    assert load_last(tmp_path) is None


def test_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    path = save_last(tmp_path, RESULT)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2', 1))
    assert load_last(tmp_path) is None


def test_all_statuses_are_counted_those_of_nothing_as_zero() -> None:
    counts = RESULT.counts()
    assert counts.keys() == {status.value for status in Status}
    assert (counts["covered"], counts["uncovered"], counts["pending"], counts["open"]) == (1, 1, 1, 0)


def test_written_shows_the_form() -> None:
    assert [name.written for name in RESULT.names] == ["a.example", "=b.example", "*.c.example"]


@pytest.mark.parametrize("status", [Status.UNCOVERED, Status.OVERBLOCKED, Status.UNKNOWN])
def test_these_are_findings(status: Status) -> None:
    assert result_of(name_result("a.example", status)).has_findings


@pytest.mark.parametrize(
    "status", [Status.COVERED, Status.OPEN, Status.SHADOWED, Status.PENDING, Status.EXPIRED, Status.DISABLED]
)
def test_these_are_none(status: Status) -> None:
    assert not result_of(name_result("a.example", status)).has_findings


def test_a_lag_is_a_finding() -> None:
    assert result_of(lags=(Lag("names", "update", "late"),)).has_findings


def test_an_exception_that_could_not_be_looked_up_is_none_and_one_that_is_blocked_is() -> None:
    unknown = name_result("ok.example", Status.UNKNOWN, kind="allow")
    assert not result_of(unknown).has_findings
    assert result_of(name_result("ok.example", Status.OVERBLOCKED, kind="allow")).has_findings


def test_the_gravest_of_several_servers_counts() -> None:
    proofs = (Proof(Status.COVERED, ""), Proof(Status.UNKNOWN, "x"), Proof(Status.UNCOVERED, "y"))
    name = name_result("a.example", Status.COVERED, proofs=proofs)
    assert name.status is Status.UNCOVERED and name.gravest.reason == "y"


def test_what_is_confidential_is_counted_and_not_told() -> None:
    hidden = name_result(
        "secret.example", Status.UNCOVERED, is_confidential=True, source="secretx", orders=("sealed",)
    )
    result = replace(
        result_of(name_result("a.example", Status.COVERED), hidden),
        selection=Selection(order="sealed"),
        lags=(Lag("secretx", "update", "late"),),
    )
    shared = result.shared()
    text = json.dumps(as_json(shared))
    assert "secret" not in text and "sealed" not in text
    assert shared.counts() == result.counts()
    assert shared.has_findings
    assert "secret.example" in json.dumps(as_json(result))
