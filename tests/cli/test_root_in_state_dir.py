"""Root works in `state_dir` with its owner's rights: nothing the owner puts there leads root elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from resolver.cli.app import app
from resolver.fetching.store import ListStore, Notes
from resolver.publishing.approvals import Approval, add_approval
from resolver.publishing.history import history_path
from resolver.publishing.image_store import hash_file
from resolver.publishing.recorder import Applied, record
from resolver.suggestions.decisions import DISMISSED, Decision, decide
from resolver.suggestions.seen import Seen, SeenNames, write_seen
from resolver.wire.names import name_from_text

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led by others")

STRANGER = 54_321
SECRET = b'{"approvals": []}'
BLOCKLIST = (
    "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n"
    "lists: [{name: ads, url: 'https://127.0.0.1:1/ads'}]\n"
)
COMMANDS = [
    ("apply",),
    ("apply", "--force", "--reason", "why"),
    ("rollback", "1"),
    ("history",),
    ("history", "show", "1"),
    ("history", "show", "1", "--text"),
    ("lists",),
    ("lists", "update"),
    ("lists", "update", "--force"),
    ("check",),
    ("explain", "acme.example"),
    ("export", "--format", "domains"),
    ("diff", "1", "1"),
    ("fmt",),
    ("suggestions",),
    ("suggestions", "accept", "acme-login.example", "--reason", "why"),
    ("suggestions", "dismiss", "acme-login.example"),
    ("report",),
]


@dataclass
class House:
    """Settings of root, a `state_dir` of a stranger that was in use, and files of root that are no business of it."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def victims(self) -> Path:
        return self.folder / "victims"

    def run(self, *words: str) -> Result:
        result = CliRunner().invoke(app, [*words, "--config", str(self.folder / "r.yaml")])
        assert os.geteuid() == 0 and os.getgroups() == GROUPS
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def own(self) -> None:
        for path in (self.state, *self.state.rglob("*")):
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False)

    def seen(self) -> dict[str, tuple[object, ...]]:
        """All there is of what root owns: content, owner, mode, age."""
        found: dict[str, tuple[object, ...]] = {}
        for path in (self.victims, *sorted(self.victims.rglob("*"))):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[path.name] = (status.st_uid, status.st_gid, status.st_mode, status.st_mtime_ns, content)
        return found


GROUPS = os.getgroups()


@pytest.fixture(params=["reached", "behind a folder of root"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="root-in-state-"))
    folder.chmod(0o755 if request.param == "reached" else 0o700)
    house = House(folder)
    (folder / "r.yaml").write_text("blocklist: b.yaml\nstate_dir: state\n")
    (folder / "b.yaml").write_text(BLOCKLIST)
    house.state.mkdir(mode=0o755)
    record(house.state, Applied(1.0, [hash_file(folder / "b.yaml")]))
    add_approval(house.state, Approval("aa", "ann", 1.0))
    with ListStore(house.state, "ads").locked():
        ListStore(house.state, "ads").note(Notes())
    seen = {name_from_text("acme-login.example"): Seen({date(2026, 1, 31): 9})}
    write_seen(house.state, SeenNames(1, seen).as_json())
    decide(house.state, name_from_text("acme-shop.example"), Decision(DISMISSED, "ann", 1.0))
    house.own()
    house.victims.mkdir()
    for name in ("secret", "ads.list", "ads.json", ".ads.lock"):
        (house.victims / name).write_bytes(SECRET)
        (house.victims / name).chmod(0o600)
    shutil.copy(history_path(house.state), house.victims / "db")
    yield house
    shutil.rmtree(folder)


def test_what_root_leaves_in_the_folder_belongs_to_its_owner(house: House) -> None:
    shutil.rmtree(house.state / "lists")
    assert house.run("apply").exit_code == 0
    assert house.run("lists", "update").exit_code == 1
    assert (house.state / "lists" / "ads.json").exists() and (house.state / "approvals.json").exists()
    assert {path.stat().st_uid for path in house.state.rglob("*")} == {STRANGER}
    assert "ann" not in house.run("history").stdout
    assert house.run("history", "show", "1", "--text").stdout == BLOCKLIST


def test_a_folder_that_is_not_there_is_made_as_the_owner_of_the_one_above(house: House) -> None:
    (house.folder / "r.yaml").write_text("blocklist: b.yaml\nstate_dir: state/deep/er\n")
    assert house.run("apply").exit_code == 0
    assert (house.state / "deep" / "er" / "approvals.json").stat().st_uid == STRANGER
    assert (house.state / "deep").stat().st_uid == STRANGER


PLACES = [
    ".approvals.lock",
    "approvals.json",
    "history.sqlite",
    "history.sqlite-journal",
    "last-good.json",
    "lists",
    "lists/.ads.lock",
    "lists/ads.list",
    "lists/ads.json",
    "images",
    "suggestions",
    "suggestions/.decisions.lock",
    "suggestions/decisions.json",
    "suggestions/seen.json",
]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["symlink", "hard link"])
def test_no_command_of_root_touches_what_a_link_in_the_folder_leads_to(
    house: House, place: str, kind: str
) -> None:
    link = house.state / place
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    victim = house.victims / ("db" if place == "history.sqlite" else "secret")
    if place in ("lists", "images", "suggestions"):
        victim = house.victims
    if kind == "symlink":
        link.symlink_to(victim)
        os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    elif victim.is_dir():
        return
    else:
        os.link(victim, link)
    before = house.seen()
    for command in COMMANDS:
        house.run(*command)
        assert house.seen() == before, command


def test_no_journal_in_the_folder_makes_root_write_or_remove(house: House) -> None:
    """A hot journal is undone by whoever opens the history next, and names a file to be removed."""
    database = sqlite3.connect(history_path(house.state))
    database.execute("PRAGMA cache_size = 1")
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE generation SET who = 'x'")
    journal = house.state / "history.sqlite-journal"
    octets = journal.read_bytes()
    database.rollback()
    database.close()
    name = str(house.victims / "secret").encode()
    octets += b"".join(
        [
            (1 << 30 | 1).to_bytes(4),
            name,
            len(name).to_bytes(4),
            sum(name).to_bytes(4),
            bytes.fromhex("d9d505f920a163d7"),
        ]
    )
    journal.write_bytes(octets)
    house.own()
    before = house.seen()
    for command in COMMANDS:
        house.run(*command)
        assert house.seen() == before, command


@pytest.mark.parametrize("leads_to", ["secret", "new"])
def test_an_export_into_a_strangers_folder_follows_no_link_of_the_stranger(
    house: House, leads_to: str
) -> None:
    for name in ("out.txt", "victims-here"):
        link = house.state / name
        link.symlink_to(house.victims / leads_to if name == "out.txt" else house.victims)
        os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    before = house.seen()
    for output in (house.state / "out.txt", house.state / "victims-here" / leads_to):
        for words in (("export", "--format", "domains"), ("schema", "settings")):
            command = [*words, "--output", str(output)]
            if words[0] == "export":
                command += ["--config", str(house.folder / "r.yaml")]
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 2 and "link" in result.stderr
            assert house.seen() == before


def test_an_export_into_a_strangers_folder_is_theirs(house: House) -> None:
    output = house.state / "out.txt"
    assert house.run("export", "--format", "domains", "--output", str(output)).exit_code in (0, 1)
    assert output.stat().st_uid == STRANGER and "acme.example" in output.read_text()


def test_root_follows_links_of_root_and_of_the_owner_of_where_they_end(house: House) -> None:
    for owner in (0, STRANGER):
        link = house.folder / f"link{owner}"
        link.symlink_to(house.state / "out.txt")
        os.chown(link, owner, owner, follow_symlinks=False)
        house.run("export", "--format", "domains", "--output", str(link))
        assert link.is_symlink() and (house.state / "out.txt").stat().st_uid == STRANGER
        (house.state / "out.txt").unlink()


def test_the_bits_that_lend_rights_do_not_pass_on_to_new_content(house: House) -> None:
    output = house.folder / "out"
    output.write_bytes(b"")
    output.chmod(0o6755)
    house.run("export", "--format", "domains", "--output", str(output))
    assert output.stat().st_mode & 0o7777 == 0o755


@pytest.mark.slow
def test_a_server_started_by_root_runs_as_the_owner_and_keeps_only_the_right_to_low_ports(
    house: House,
) -> None:
    if not house.folder.stat().st_mode & 1:
        pytest.skip("the owner must reach it")
    (house.folder / "r.yaml").write_text(
        "blocklist: b.yaml\nstate_dir: state\nengine: python\nlisten: {dns: ['127.0.0.1:0'], http: null}\n"
    )
    (house.state / "images").symlink_to(house.victims)
    before = house.seen()
    words = [sys.executable, "-P", "-m", "resolver", "run", "--config", str(house.folder / "r.yaml")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stderr is not None
        try:
            # The link leads where its owner may not write: there is no first policy.
            assert server.stdout.readline() == ""
            assert "images" in server.stderr.read()
        finally:
            server.kill()
    assert house.seen() == before
    (house.state / "images").unlink()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline().startswith("ready")
            tasks = list(Path(f"/proc/{server.pid}/task").iterdir())
            assert tasks
            for task in tasks:
                status = (task / "status").read_text()
                assert re.findall(r"^[UG]id:\t(.*)$", status, re.MULTILINE) == ["\t".join(["54321"] * 4)] * 2
                assert re.findall(r"^Groups:\t(.*?) *$", status, re.MULTILINE) == ["54321"]
                effective, permitted = (
                    int(re.findall(rf"^{name}:\t(.*)$", status, re.MULTILINE)[0], 16)
                    for name in ("CapEff", "CapPrm")
                )
                assert effective == permitted and effective in (0, 1 << 10)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)
    owners = {path.name: path.stat().st_uid for path in house.state.rglob("*") if path.is_file()}
    assert set(owners.values()) == {STRANGER} and "last-good.json" in owners


def test_a_server_of_root_in_roots_own_folder_stays_root(tmp_path: Path) -> None:
    from resolver.identity import become_owner_of

    assert become_owner_of(tmp_path) is None and become_owner_of(tmp_path / "none" / "there") is None
    assert os.geteuid() == 0
