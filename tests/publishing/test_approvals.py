"""Approvals are kept whole, bounded, and for one content only."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resolver.publishing.approvals import (
    APPROVALS_KEPT_MAX,
    Approval,
    Served,
    add_approval,
    approvals_of,
    approvals_path,
    content_hash,
    current_user,
    decisive,
    read_approvals,
)
from resolver.publishing.compiled import InputFile

FILES = [InputFile("blocklist.yaml", "aa", 1), InputFile("ads.txt", "bb", 1)]
STEERING = "\x1b]0;x\x07\n\u202e\x9b2J"
ESCAPED = r"\x1b]0;x\x07\n\u202e\x9b2J"
OTHER_LIST = [FILES[0], InputFile("ads.txt", "cc", 1)]


def test_an_approval_is_found_by_its_content(tmp_path: Path) -> None:
    approval = Approval(content_hash(FILES), "ann", 1.0, "why")
    add_approval(tmp_path, approval)
    assert approvals_of(tmp_path, FILES, None)[0] == [approval]
    assert approvals_of(tmp_path, OTHER_LIST, None)[0] == []


def test_an_approval_of_what_the_blocklist_says_is_found_by_the_blocklist(tmp_path: Path) -> None:
    approval = Approval(content_hash(FILES), "ann", 1.0, "why", "aa")
    add_approval(tmp_path, approval)
    assert approvals_of(tmp_path, OTHER_LIST, None)[0] == [approval]
    assert approvals_of(tmp_path, [InputFile("blocklist.yaml", "zz", 1), FILES[1]], None)[0] == []


def test_an_approval_from_before_there_were_two_kinds_is_for_all_files(tmp_path: Path) -> None:
    old = {"content": content_hash(FILES), "who": "ann", "at": 1.0, "reason": "why"}
    approvals_path(tmp_path).write_text(json.dumps({"approvals": [old]}))
    assert (
        len(approvals_of(tmp_path, FILES, None)[0]) == 1 and approvals_of(tmp_path, OTHER_LIST, None)[0] == []
    )


def test_applying_again_without_force_takes_no_approval_back(tmp_path: Path) -> None:
    add_approval(tmp_path, Approval(content_hash(FILES), "ann", 1.0, "why"))
    add_approval(tmp_path, Approval(content_hash(FILES), "bob", 2.0))
    found = decisive(approvals_of(tmp_path, FILES, None)[0])
    assert found is not None and found.who == "ann" and found.is_forced


def test_the_oldest_go_first(tmp_path: Path) -> None:
    for number in range(APPROVALS_KEPT_MAX + 3):
        add_approval(tmp_path, Approval(str(number), "ann", 1.0))
    kept = read_approvals(tmp_path)
    assert len(kept) == APPROVALS_KEPT_MAX and kept[0].content == "3"


def test_of_many_approvals_at_once_none_is_lost(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: add_approval(tmp_path, Approval(str(number), "ann", 1.0)), range(40)))
    assert sorted(int(entry.content) for entry in read_approvals(tmp_path)) == list(range(40))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"approvals": 1}', '{"approvals": [{}]}', "\0\xff"])
def test_a_file_that_is_not_ours_approves_nothing(tmp_path: Path, text: str) -> None:
    approvals_path(tmp_path).write_text(text)
    assert read_approvals(tmp_path) == []


def test_the_content_is_the_octets_of_all_files_in_order_wherever_they_are() -> None:
    one, two = InputFile("a", "11", 1), InputFile("b", "22", 1)
    assert content_hash([one, two]) == content_hash([InputFile("z", "11", 1), two])
    assert len({content_hash(files) for files in ([one, two], [two, one], [one])}) == 3


def test_behind_sudo_the_person_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "ann")
    assert current_user() == "ann (as root)"
    monkeypatch.setenv("SUDO_USER", "root")
    assert current_user() == "root"
    monkeypatch.delenv("SUDO_USER")
    assert current_user() == "root"


def test_who_is_not_root_cannot_pass_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 54_321)
    for variable in ("SUDO_USER", "SUDO_UID", "DOAS_USER", "USER", "LOGNAME"):
        monkeypatch.setenv(variable, "ann")
    assert current_user() == "uid 54321"


def test_both_identities_are_noted_however_long_or_odd_the_first_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "\x1b[2J" + "a" * 500)
    who = current_user()
    assert who.isprintable() and len(who) < 100 and who.endswith(" (as root)")


def test_what_is_noted_steers_no_terminal(tmp_path: Path) -> None:
    add_approval(tmp_path, Approval("aa", f"ann{STEERING}", 1.0, f"why{STEERING}"))
    assert STEERING not in json.loads(approvals_path(tmp_path).read_text())["approvals"][0]["reason"]
    [approval] = read_approvals(tmp_path)
    assert approval.who == f"ann{ESCAPED}" and approval.reason == f"why{ESCAPED}"


def test_what_somebody_else_noted_steers_no_terminal(tmp_path: Path) -> None:
    entry = {"content": "aa", "who": f"ann{STEERING}", "at": 1, "reason": f"why{STEERING}"}
    approvals_path(tmp_path).write_text(json.dumps({"approvals": [entry]}))
    [approval] = read_approvals(tmp_path)
    assert (approval.who + approval.reason).isprintable()


# What was forced counts until something else serves.


def forced(serial: int, at: float = 1.0) -> Approval:
    return Approval(content_hash(FILES), "ann", at, "why", serial=serial)


def test_a_forced_approval_counts_against_what_served_when_it_was_given(tmp_path: Path) -> None:
    add_approval(tmp_path, forced(serial=5))
    assert approvals_of(tmp_path, FILES, Served(5)) == ([forced(serial=5)], [])
    assert approvals_of(tmp_path, FILES, Served(6)) == ([], [forced(serial=5)])


def test_a_forced_approval_counts_for_as_long_as_what_it_loaded_serves(tmp_path: Path) -> None:
    add_approval(tmp_path, forced(serial=5))
    assert approvals_of(tmp_path, FILES, Served(9, (forced(serial=5).id,)))[0]
    assert not approvals_of(tmp_path, FILES, Served(9, (forced(serial=5, at=2.0).id,)))[0]


def test_an_approval_of_an_older_program_counts_until_this_one_has_noted_what_serves(tmp_path: Path) -> None:
    add_approval(tmp_path, forced(serial=-1))
    assert approvals_of(tmp_path, FILES, Served(0))[0] and not approvals_of(tmp_path, FILES, Served(1))[0]


def test_who_applied_it_is_known_whatever_served_since(tmp_path: Path) -> None:
    add_approval(tmp_path, Approval(content_hash(FILES), "ann", 1.0))
    assert approvals_of(tmp_path, FILES, Served(7))[0]
