"""What strangers left where root stands, or wrote into what root reads, does root no harm."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resolver.blocklist.downloads import stored_path
from resolver.cli.app import app
from resolver.cli.files import NOT_ROOTS, BadInput, policy_path, settings_path
from resolver.fetching.store import ListStore, Notes
from resolver.publishing.history import Generation, history_path, open_history

STEERING = "\x1b]0;x\x07\x1b[2J\u202e\x9b2J"
STRANGER = 54_321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def offered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings where one looks for them first, and one stands in it."""
    (folder / "config").mkdir(mode=0o755)
    config = folder / "config" / "resolver.yaml"
    config.write_text("blocklist: b.yaml\n")
    config.chmod(0o644)
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    return config


@needs_root
def test_roots_own_settings_here_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered(tmp_path, monkeypatch)
    assert settings_path(None) == Path("config/resolver.yaml")


@needs_root
@pytest.mark.parametrize("owned", [".", "config", "config/resolver.yaml"])
def test_settings_of_a_stranger_do_not_count_for_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owned: str
) -> None:
    offered(tmp_path, monkeypatch)
    os.chown(owned, STRANGER, STRANGER)
    with pytest.raises(BadInput, match=NOT_ROOTS):
        settings_path(None)
    assert policy_path(None, Path("b.yaml"))[1].blocklist != tmp_path / "config" / "b.yaml"


@needs_root
@pytest.mark.parametrize("writable", [".", "config", "config/resolver.yaml"])
@pytest.mark.parametrize("mode", [0o757, 0o1777])
def test_settings_that_others_can_write_do_not_count_for_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: str, mode: int
) -> None:
    offered(tmp_path, monkeypatch)
    Path(writable).chmod(mode)
    with pytest.raises(BadInput, match=NOT_ROOTS):
        settings_path(None)


@needs_root
def test_a_strangers_link_to_a_file_of_root_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = offered(tmp_path, monkeypatch)
    config.rename(tmp_path / "other.yaml")
    config.symlink_to(tmp_path / "other.yaml")
    assert settings_path(None) == Path("config/resolver.yaml")
    os.chown(config, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(BadInput, match=NOT_ROOTS):
        settings_path(None)


@needs_root
def test_root_goes_on_to_the_settings_of_the_machine_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offered(tmp_path, monkeypatch)
    os.chown("config", STRANGER, STRANGER)
    machines = tmp_path / "etc.yaml"
    machines.write_text("")
    monkeypatch.setattr("resolver.cli.files.DEFAULT_PATHS", (Path("config/resolver.yaml"), machines))
    assert settings_path(None) == machines
    assert NOT_ROOTS in capsys.readouterr().err


def test_who_is_not_root_takes_the_settings_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered(tmp_path, monkeypatch)
    monkeypatch.setattr("os.geteuid", lambda: STRANGER)
    assert settings_path(None) == Path("config/resolver.yaml")


# Texts that somebody stored.


def settings_in(folder: Path) -> Path:
    config = folder / "r.yaml"
    config.write_text("blocklist: b.yaml\nstate_dir: state\n")
    (folder / "state").mkdir()
    return config


def generation() -> Generation:
    nasty = f"x{STEERING}"
    changes = {
        "summary": {"exchanges": {"gained": 1}},
        "properties": [{"name": nasty, "old": nasty, "new": nasty}],
        **{section: [] for section in ("exceptions", "lists", "orders")},
        "exchanges": [
            {
                "id": nasty,
                "name": f"n{nasty}",
                "change": "gained",
                "properties": [],
                "gained": [nasty],
                "lost": [],
            }
        ],
        "left_out": 0,
        "list_names": {nasty: [1, 2]},
        "files": [nasty],
    }
    return Generation(
        0, 1.0, "aa", "bb", nasty, "apply", nasty, {"exchanges": 1, "domains": 1}, changes, False
    )


def store_raw(state: Path) -> None:
    """As one would who does not use this program."""
    with open_history(state, create=True) as history:
        history.add(generation(), None)
    raw = generation()
    with sqlite3.connect(history_path(state)) as connection:
        connection.execute(
            "UPDATE generation SET who = ?, reason = ?, sha256 = ?, changes = ?",
            (raw.who, raw.reason, STEERING, json.dumps(raw.changes)),
        )


def shown(config: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert result.exit_code in (0, 1), result.output
    return result.output


def test_the_history_stores_no_text_that_steers_a_terminal(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.add(generation(), None)
    with sqlite3.connect(history_path(tmp_path)) as connection:
        [row] = connection.execute("SELECT who, reason, changes FROM generation").fetchall()
    texts = [row[0], row[1], *map(str, json.loads(row[2]).values())]
    assert all(text.isprintable() and "\\x1b" in text for text in texts[:2])
    assert "\\\\x1b" in row[2] and "\\u001b" not in row[2]


@pytest.mark.parametrize("words", [("history",), ("history", "show", "1")])
@pytest.mark.parametrize(
    "changes", ["{}", '{"summary": 3}', '{"summary": {"exchanges": []}, "list_names": {"a": 1}}']
)
def test_a_history_of_another_shape_is_said_to_be_none_of_ours(
    tmp_path: Path, words: tuple[str, ...], changes: str
) -> None:
    config = settings_in(tmp_path)
    store_raw(tmp_path / "state")
    with sqlite3.connect(history_path(tmp_path / "state")) as connection:
        connection.execute("UPDATE generation SET changes = ?", (changes,))
    connection.close()
    result = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert result.exit_code in (0, 2) and "not as this program writes" in result.output


@pytest.mark.parametrize("words", [("history",), ("history", "show", "1"), ("history", "--json")])
def test_the_history_shows_no_text_that_steers_a_terminal(tmp_path: Path, words: tuple[str, ...]) -> None:
    config = settings_in(tmp_path)
    store_raw(tmp_path / "state")
    output = shown(config, *words)
    assert "\\x1b" in output and all(line.isprintable() for line in output.split("\n"))


def test_a_stored_blocklist_is_escaped_for_a_terminal_and_whole_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from resolver.cli.history import show_generation
    from resolver.publishing.image_store import hash_file
    from resolver.publishing.recorder import Applied, record

    config = settings_in(tmp_path)
    text = f"version: 1 # {STEERING}\r\n\tx"
    (tmp_path / "b.yaml").write_bytes(text.encode())
    record(tmp_path / "state", Applied(1.0, [hash_file(tmp_path / "b.yaml")]))
    assert show_generation(1, config, text=True, as_json=False) == 0
    assert STEERING in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    show_generation(1, config, text=True, as_json=False)
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


def test_notes_of_a_list_show_no_text_that_steers_a_terminal(tmp_path: Path) -> None:
    config = settings_in(tmp_path)
    (tmp_path / "b.yaml").write_text(
        "version: 1\nexchanges:\n  a: {name: A, domains: [a.example]}\n"
        "lists: [{name: ads, url: 'https://lists.example/ads'}]\n"
    )
    path = stored_path(tmp_path / "state", "ads")
    path.parent.mkdir()
    path.write_text("ads.example\n")
    notes = Notes(url=f"https://{STEERING}", result=STEERING, problem=STEERING)
    path.with_suffix(".json").write_text(json.dumps(asdict(notes)))
    assert all(
        str(text).isprintable() for text in asdict(ListStore(tmp_path / "state", "ads").notes()).values()
    )
    for words in (("lists",), ("lists", "--json")):
        assert all(line.isprintable() for line in shown(config, *words).split("\n"))


def test_an_error_that_names_a_strangers_file_steers_no_terminal(tmp_path: Path) -> None:
    name = f"{STEERING}.yaml"
    result = CliRunner().invoke(app, ["check", str(tmp_path / name)])
    assert result.exit_code == 2
    assert all(line.isprintable() for line in result.output.split("\n"))
