"""`lists` and `lists update`, against a web server on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from resolver.blocklist.downloads import downloaded_lists
from resolver.blocklist.reader import read_blocklist
from resolver.cli.app import app
from resolver.cli.lists import show_age
from resolver.fetching.outcome import Result
from resolver.fetching.store import ListStore, Notes
from tests.support.list_server import WebServer, ca_pem, ok, web_server

pytestmark = pytest.mark.loopback

LIST = b"ads.example\ntracker.example\n"


class Site:
    """Settings, a blocklist with one list, a state folder."""

    def __init__(self, folder: Path, url: str = "https://127.0.0.1:9/list") -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        (folder / "resolver.yaml").write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
        self.write(f"{{name: ads, url: '{url}', allow_private: true}}")

    def write(self, *lists: str) -> None:
        entries = "".join(f"  - {entry}\n" for entry in lists)
        text = "version: 1\nexchanges: {one: {name: One, domains: [one.example]}}\nlists:\n" + entries
        (self.folder / "blocklist.yaml").write_text(text)

    def run(self, *words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["lists", *words, "--config", str(self.folder / "resolver.yaml")])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    def state_of(self) -> dict[str, Any]:
        _, output = self.run("--json")
        [state] = json.loads(output)["lists"]
        assert isinstance(state, dict)
        return state

    def note(self, **more: Any) -> None:
        blocklist, _ = read_blocklist(self.folder / "blocklist.yaml")
        assert blocklist is not None
        [wanted] = downloaded_lists(blocklist.lists)
        store = ListStore(self.state, "ads")
        with store.locked():
            store.path.write_bytes(LIST)
            known = {"url": wanted.download.url, "proof": wanted.download.proof, "octets": 28, "names": 2}
            store.note(Notes(**{**known, "succeeded_at": time.time(), **more}))


def serving(folder: Path, act: Callable[[WebServer], None]) -> None:
    """Run commands (in a thread: they have event loops of their own) beside a web server."""

    async def whole() -> None:
        async with web_server(folder) as web:
            await asyncio.to_thread(act, web)

    asyncio.run(whole())


@pytest.fixture(autouse=True)
def trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(ca_pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


def test_update_fetches_and_lists_shows_it(tmp_path: Path) -> None:
    def act(web: WebServer) -> None:
        web.pages["/list"] = ok(LIST)
        site = Site(tmp_path, web.url("/list"))
        code, output = site.run("update")
        assert (code, "ads: updated, 2 names" in output) == (0, True), output
        code, output = site.run()
        assert code == 0 and "0 min" in output and web.url("/list") in output.replace("\n", "")
        state = site.state_of()
        assert (state["names"], state["octets"], state["problem"]) == (2, len(LIST), "")
        assert site.run("update", "ads")[1].startswith("ads: unchanged")

    serving(tmp_path, act)


def test_a_failed_update_says_why_and_exits_1(tmp_path: Path) -> None:
    def act(web: WebServer) -> None:
        site = Site(tmp_path, web.url("/none"))
        code, output = site.run("update")
        assert code == 1 and "ads: http_status: status 404" in output
        assert "never downloaded, so empty: status 404" in site.state_of()["problem"]
        assert site.run()[0] == 1

    serving(tmp_path, act)


def test_update_of_a_list_that_is_none_names_those_that_are(tmp_path: Path) -> None:
    code, output = Site(tmp_path).run("update", "adds")
    assert code == 2 and "'adds'" in output and "ads" in output


def test_outcomes_are_given_as_json(tmp_path: Path) -> None:
    def act(web: WebServer) -> None:
        web.pages["/list"] = ok(LIST)
        [outcome] = json.loads(Site(tmp_path, web.url("/list")).run("update", "--json")[1])["lists"]
        assert (outcome["name"], outcome["result"], outcome["names"]) == ("ads", "updated", 2)
        assert datetime.fromisoformat(outcome["succeeded_at"]).tzinfo is not None

    serving(tmp_path, act)


def test_a_copy_that_grows_old_is_overdue(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.note(succeeded_at=time.time() - 10 * 86_400)
    assert "overdue" in site.state_of()["problem"]


def test_a_zone_that_has_expired_is_said_to_serve_on(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.note(
        succeeded_at=time.time() - 7_200, soa_expire_s=3_600, result=Result.CONNECT, problem="no answer"
    )
    assert site.state_of()["problem"].startswith("connect: no answer; older than its authority wants it")
    site.note(
        succeeded_at=time.time() - 7_200, soa_expire_s=86_400, result=Result.CONNECT, problem="no answer"
    )
    assert site.state_of()["problem"] == "connect: no answer"


def test_a_copy_from_another_source_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.note(url="https://other.example/")
    assert "older" in site.state_of()["problem"]


def test_hostile_words_of_a_server_stay_words(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.note(failures=1, result="http_status", problem="status 500 [red]x[/red] [bold")
    code, output = site.run()
    assert code == 1 and "[red]x[/red] [bold" in output


def test_a_local_list_shows_its_file(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write("{name: own, path: own.txt}")
    assert site.state_of()["problem"] == "No such file or directory"
    (tmp_path / "own.txt").write_bytes(LIST)
    os.utime(tmp_path / "own.txt", (1.0, 1.0))
    state = site.state_of()
    assert (state["source"], state["octets"], state["last_success"]) == (
        str(tmp_path / "own.txt"),
        28,
        "1970-01-01T00:00:01Z",
    )


def test_a_bad_blocklist_is_bad_input(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write("{name: ads, url: 'file:///etc/passwd'}")
    assert site.run()[0] == site.run("update")[0] == 2


@pytest.mark.parametrize(
    ("age_s", "text"), [(None, "never"), (60, "1 min"), (7200, "2.0 h"), (86_400 * 12, "12 days")]
)
def test_ages_are_said_as_people_do(age_s: float | None, text: str) -> None:
    assert show_age(age_s) == text
