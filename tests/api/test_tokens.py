"""Tokens: what a file may say, who is found by one, and which state counts while a file is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.api.token_file import LOOK_EVERY_S, TokenFile, read_file
from resolver.api.tokens import (
    ENVIRONMENT,
    TOKENS_MAX,
    Caller,
    Role,
    caller_with,
    digest_of,
    line_of,
    new_token,
    read_tokens,
)
from resolver.cli.token import make_token

ANN = line_of("ann", Role.APPROVE, "xr_ann")
BOB = line_of("bob", Role.READ, "xr_bob")


def who(caller: Caller | None) -> tuple[str, Role]:
    assert caller is not None
    return caller.name, caller.role


class Kept:
    """A file of tokens, looked at by a clock that is moved by hand."""

    def __init__(self, folder: Path, *lines: str, environment: dict[str, str] | None = None) -> None:
        self.path = folder / "tokens"
        self.at = 100.0
        self.write(*lines)
        self.file = TokenFile(self.path, environment or {}, lambda: self.at)

    def write(self, *lines: str) -> None:
        self.path.write_text("".join(f"{line}\n" for line in lines))

    def later(self) -> None:
        self.at += LOOK_EVERY_S


def test_a_line_has_a_name_a_role_and_a_hash_and_never_the_token() -> None:
    assert "xr_ann" not in ANN
    tokens, objections = read_tokens(f"# who may\n\n{ANN}   # on holiday\n{BOB}\n")
    assert objections == []
    assert list(map(who, (token.caller for token in tokens))) == [("ann", Role.APPROVE), ("bob", Role.READ)]
    assert who(caller_with("xr_ann", tokens)) == ("ann", Role.APPROVE)


@pytest.mark.parametrize(
    "token", ["", "xr_", "xr_anne", "XR_ANN", "x" * 10_000, "xr_\udc80", digest_of("xr_ann").hex()]
)
def test_any_other_token_is_nobodys(token: str) -> None:
    assert caller_with(token, read_tokens(ANN)[0]) is None


def test_tokens_are_long_and_differ() -> None:
    assert new_token() != new_token() and len(new_token()) >= 43


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ann", "1 words; write NAME ROLE HASH"),
        ("ann aprove sha256:" + "0" * 64, "'aprove' is no role (did you mean 'approve'?)"),
        ("a/b read sha256:" + "0" * 64, "is no name of a token"),
        ("ann read xr_secret", "the third word is no hash"),
        (f"{ANN}\n{ANN}", "the name 'ann' stands on line 1 already"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line_and_without_a_secret(line: str, says: str) -> None:
    [(number, objection)] = read_tokens(line)[1]
    assert says in objection and "xr_secret" not in objection
    assert number == line.count("\n") + 1


def test_there_are_so_many_and_no_more() -> None:
    text = "\n".join(line_of(f"n{number}", Role.READ, f"t{number}") for number in range(TOKENS_MAX + 1))
    tokens, objections = read_tokens(text)
    assert len(tokens) == TOKENS_MAX and objections == [
        (TOKENS_MAX + 1, f"there are over {TOKENS_MAX} tokens")
    ]


def test_a_token_that_is_taken_out_counts_no_longer(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ANN, BOB)
    bob = kept.file.caller_with("xr_bob")
    assert bob is not None and kept.file.has(bob)
    kept.write(ANN)
    kept.later()
    assert kept.file.caller_with("xr_bob") is None and not kept.file.has(bob)


def test_a_role_that_is_lowered_ends_what_the_higher_one_opened(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ANN)
    ann = kept.file.caller_with("xr_ann")
    kept.write(line_of("ann", Role.READ, "xr_ann"))
    kept.later()
    assert ann is not None and not kept.file.has(ann)


def test_another_token_under_the_same_name_is_another_caller(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ANN)
    before = kept.file.caller_with("xr_ann")
    kept.write(line_of("ann", Role.APPROVE, "xr_new"))
    kept.later()
    after = kept.file.caller_with("xr_new")
    assert before is not None and after is not None and who(before) == who(after)
    assert kept.file.has(after) and not kept.file.has(before)
    assert "digest" not in repr(after), "no log shows it"


def test_a_broken_file_changes_nobodys_rights_and_is_told(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ANN)
    assert kept.file.trouble == ""
    kept.write(BOB, "half a line")
    kept.later()
    assert kept.file.caller_with("xr_ann") is not None and kept.file.caller_with("xr_bob") is None
    assert "tokens:2: 3 words" in kept.file.trouble or "tokens:2" in kept.file.trouble
    kept.write(BOB)
    kept.later()
    assert kept.file.caller_with("xr_bob") is not None and kept.file.trouble == ""


def test_a_file_that_everybody_may_write_lets_nobody_in(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.write(ANN)
    kept.path.chmod(0o666)
    kept.later()
    assert kept.file.caller_with("xr_ann") is None and "every user" in kept.file.trouble


def test_a_missing_file_a_folder_and_a_huge_one_are_told(tmp_path: Path) -> None:
    (tmp_path / "huge").write_text("#" * 100_000)
    for name, says in (("none", "cannot be read"), ("huge", "octets"), (".", "cannot be read")):
        tokens, [problem] = read_file(tmp_path / name)
        assert tokens == [] and says in problem.message


def test_the_environment_has_tokens_too(tmp_path: Path) -> None:
    file = TokenFile(None, {ENVIRONMENT: f"{ANN};{BOB}"}, lambda: 0.0)
    assert file.has_any and who(file.caller_with("xr_bob")) == ("bob", Role.READ)
    broken = TokenFile(None, {ENVIRONMENT: "x"}, lambda: 0.0)
    assert not broken.has_any and ENVIRONMENT in broken.trouble


def test_the_command_prints_a_token_that_the_file_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "resolver.yaml").write_text("http: {tokens_file: tokens}\n")
    assert make_token("ann", "edit", tmp_path / "resolver.yaml", writes=True) == 0
    token = capsys.readouterr().out.strip()
    file = TokenFile(tmp_path / "tokens", {}, lambda: 0.0)
    assert who(file.caller_with(token)) == ("ann", Role.EDIT)
    assert token not in (tmp_path / "tokens").read_text()
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o640
    assert make_token("ann", "read", tmp_path / "resolver.yaml", writes=True) == 2
    assert "already" in capsys.readouterr().err
