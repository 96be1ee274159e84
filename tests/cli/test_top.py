"""`top`: figures from the server and the history, on screens of any size, and for programs."""

from __future__ import annotations

import http.client
import io
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from resolver.cli import top as top_module
from resolver.cli.app import app
from resolver.cli.top import lines_that_fit, picture
from resolver.cli.top_figures import Figures, Moment, end_of, metrics_url
from resolver.config.settings import Settings, load_settings
from resolver.hits.ranking import Row
from tests.hits.support import ADS, ALPHA, NOON, Driver
from tests.support.for_each import for_each

PAGE = """\
# TYPE resolver_queries counter
resolver_queries_total{{transport="udp",qtype="A"}} {queries}
# TYPE resolver_exchange_hits counter
resolver_exchange_hits_total{{exchange="alpha",action="nxdomain",mode="enforce"}} {alpha}
resolver_exchange_hits_total{{exchange="confidential",action="nxdomain",mode="enforce"}} 7
# TYPE resolver_list_hits counter
resolver_list_hits_total{{list="ads",action="nxdomain",mode="shadow"}} 3
process_start_time_seconds {started}
"""


def page(queries: int, alpha: int, started: float = NOON - 1000) -> str:
    return PAGE.format(queries=queries, alpha=alpha, started=started)


class Site:
    """Settings and a history of hits, without a server."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.path = folder / "resolver.yaml"
        self.path.write_text(json.dumps({"state_dir": "state", "blocklist": "blocklist.yaml", **changes}))
        self.state_dir = folder / "state"
        self.state_dir.mkdir()
        self.now = 0.0
        self.records: Path | None = None
        self.pages: list[str | Exception] = []

    def settings(self) -> Settings:
        settings, problems = load_settings(self.path)
        assert settings is not None, problems
        return settings

    def figures(self) -> Figures:
        return Figures(
            self.settings(),
            self.records,
            fetch=self.fetch,
            wall=lambda: NOON + self.now,
            now=lambda: self.now,
        )

    def fetch(self, url: str) -> str:
        given = self.pages.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    def write_history(self) -> None:
        driver = Driver(self.state_dir, at=NOON - 7200)
        driver.orders = {("exchange", "alpha"): ("order-1",)}
        driver.count_and_write({ALPHA: 1000}, after_s=7080.0)
        driver.count_and_write({ALPHA: 60, ADS: 2}, after_s=60.0)
        driver.count_and_write({ALPHA: 6}, after_s=60.0)
        driver.recorder.close()


def line_of(moment: Moment, label: str) -> Row:
    [row] = [row for row in moment.rows if row.label == label]
    return row


def test_rates_are_live_and_the_rest_is_the_historys(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write_history()
    site.pages = [page(100, 40), page(300, 60)]
    figures = site.figures()
    first = figures.look()
    site.now = 4.0
    second = figures.look()
    assert (first.queries_per_s, first.hits_per_s) == (None, None)
    assert (second.queries_per_s, second.hits_per_s) == (50.0, 5.0)
    row = line_of(second, "alpha")
    assert (row.per_s, row.last_minute, row.last_hour, row.last_day, row.total) == (5.0, 6, 66, 1066, 1066)
    assert row.since_start == 60
    assert line_of(second, "order-1").total == 1066
    assert line_of(second, "confidential").since_start == 7
    assert "no names" in second.remarks[-1] and len(second.remarks) == 1


def test_a_server_that_began_anew_has_rates_of_what_it_counted_itself(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.pages = [page(1000, 500), page(20, 10, started=NOON)]
    figures = site.figures()
    figures.look()
    site.now = 2.0
    moment = figures.look()
    assert moment.queries_per_s == 10.0
    assert line_of(moment, "alpha").per_s == 5.0


def test_without_a_server_the_history_is_shown_and_what_is_missing_is_said(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write_history()
    site.pages = [OSError("Connection refused")]
    moment = site.figures().look()
    assert moment.has_source and moment.started_at is None
    assert line_of(moment, "alpha").per_s == pytest.approx(0.1)
    assert "Connection refused; rates are those of the last minute written" in moment.remarks[0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (http.client.BadStatusLine("SSH-2.0"), "SSH-2.0"),
        (http.client.IncompleteRead(b"half"), "IncompleteRead"),
        (http.client.HTTPException(), "HTTPException"),
    ],
)
def test_an_answer_that_is_no_http_is_a_remark(
    error: http.client.HTTPException, said: str, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.write_history()
    site.pages = [error]
    moment = site.figures().look()
    assert moment.has_source and said in moment.remarks[0]


def test_another_program_at_that_address_is_no_source(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.pages = ["<html>hello</html>"]
    moment = site.figures().look()
    assert not moment.has_source
    assert "not a page of metrics" in moment.remarks[0]


def test_without_a_history_live_figures_are_shown(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.pages = [page(1, 1)]
    moment = site.figures().look()
    assert moment.has_source
    assert line_of(moment, "alpha").since_start == 1
    assert "no history of hits yet" in moment.remarks[0]


def test_a_damaged_history_is_said_and_live_figures_are_shown(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (site.state_dir / "hits.sqlite3").write_bytes(b"nonsense\n" * 1000)
    site.pages = [page(1, 1)]
    moment = site.figures().look()
    assert moment.has_source and "not a database" in moment.remarks[0]


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8053", "http://127.0.0.1:8053/metrics"),
        ("0.0.0.0:80", "http://127.0.0.1:80/metrics"),
        ("[::]:80", "http://[::1]:80/metrics"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]:80/metrics"),
        (None, None),
    ],
)
def test_it_asks_where_the_settings_have_the_pages(
    tmp_path: Path, listen: str | None, url: str | None
) -> None:
    assert metrics_url(Site(tmp_path, listen={"http": listen}).settings()) == url


def test_where_queries_are_logged_it_says_where_their_names_are(tmp_path: Path) -> None:
    site = Site(tmp_path, log={"queries": "blocked"})
    site.pages = [page(1, 1)]
    assert "--records FILE" in site.figures().look().remarks[-1]


def test_names_come_from_the_file_of_query_records_that_the_settings_name(tmp_path: Path) -> None:
    records = tmp_path / "blocked.jsonl"
    sinks = [
        {"name": "tap", "type": "dnstap", "to": str(tmp_path / "tap")},
        {"name": "blocked", "type": "jsonl", "to": str(records)},
    ]
    site = Site(tmp_path, query_records=sinks)
    site.pages = [page(1, 1)]
    records.write_bytes(
        record("www.alpha.example", "2023-11-14T21:59:58.000Z", exchange="alpha", action="nodata")
    )
    [name] = site.figures().look().names or ()
    assert name.qname == "www.alpha.example"


# Names.


def record(qname: str, at: str, **fields: str) -> bytes:
    words = {"time": at, "transport": "udp", "qname": qname, "qtype": "A", "rcode": "NXDOMAIN", **fields}
    return json.dumps(words).encode() + b"\n"


def test_names_are_those_of_the_records_and_no_client_is_among_them(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.pages = [page(1, 1)] * 2
    site.records = tmp_path / "queries.jsonl"
    now, before = "2023-11-14T21:59:58.000Z", "2023-11-14T21:50:00Z"
    site.records.write_bytes(
        record("www.alpha.example", before, exchange="alpha", action="nxdomain", client="192.0.2.1")
        + record("www.alpha.example", now, exchange="alpha", action="nxdomain", client="192.0.2.1") * 30
        + record("ads.example", now, shadow_list="ads", shadow_action="nodata") * 2
        + record("www.example.org", now)
    )
    moment = site.figures().look()
    assert moment.as_json()["names"] == [
        {
            "name": "www.alpha.example",
            "exchange": "alpha",
            "mode": "enforce",
            "actions": ["nxdomain"],
            "per_s": 0.5,
            "last_minute": 30,
        },
        {
            "name": "ads.example",
            "list": "ads",
            "mode": "shadow",
            "actions": ["nodata"],
            "per_s": 0.03,
            "last_minute": 2,
        },
    ]
    assert not any("no names" in remark for remark in moment.remarks)
    text = drawn(moment)
    assert "www.alpha.example" in text and "nodata (shadow)" in text and "192.0.2" not in text


@pytest.mark.parametrize("thing", ["missing", "folder", "pipe"])
def test_records_that_cannot_be_read_are_said(tmp_path: Path, thing: str) -> None:
    site = Site(tmp_path)
    site.pages = [page(1, 1)]
    site.records = tmp_path / "queries.jsonl"
    if thing == "folder":
        site.records.mkdir()
    if thing == "pipe":
        os.mkfifo(site.records)
    moment = site.figures().look()
    assert moment.names is None and moment.has_source
    assert moment.remarks[-1].startswith("no names: ") and "queries.jsonl" in moment.remarks[-1]


def test_of_a_long_file_whole_lines_of_its_end_are_read(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(b"first line\nsecond\nthird\nhalf a li")
    assert end_of(path, 24) == (b"second\nthird\n", True)
    assert end_of(path, 1000) == (b"first line\nsecond\nthird\n", False)
    assert end_of(path, 5) == (b"", True)


# On a screen.


def row(label: str, per_s: float = 0.0, **changes: Any) -> Row:
    fields = {"last_minute": 1, "last_hour": 2, "last_day": 3, "total": 4, "since_start": 5, **changes}
    return Row("exchange", label, "enforce", ("nxdomain",), per_s, **fields)


MOMENT = Moment(
    NOON, "http://127.0.0.1:1/metrics", 1234.5, 6.7, NOON, (), None, ("a remark",), has_source=True
)


def drawn(moment: Moment, *, width: int = 80, lines: int = 20, column: str = "/S") -> str:
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    console.print(picture(moment, column, lines))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_line_fits_eighty_columns() -> None:
    rows = (
        row("a-rather-long-name-of-an-exchange-that-goes-on", 12_345.6, last_day=123_456_789, total=10**12),
        replace(row("list"), kind="list", mode="shadow", actions=("nxdomain", "sinkhole", "local-data")),
        replace(row("order"), kind="order"),
    )
    text = drawn(replace(MOMENT, rows=rows))
    assert max(map(len, text.splitlines())) <= 80
    assert (
        "12,345.6" in text and "123.5M" in text and "1,000.0G" in text and "1,234.5 queries a second" in text
    )
    assert "(shadow)" in text and "a remark" in text
    assert [title in text for title in ("EXCHANGE", "LIST", "ORDER")] == [True] * 3


def test_hostile_names_neither_steer_the_terminal_nor_are_they_markup() -> None:
    text = drawn(
        replace(MOMENT, rows=(row("[red]x[/red]"), row("a\x1b[2Jb\nc"), row("\u202eevil"))), width=120
    )
    assert "[red]x[/red]" in text
    assert "\x1b" not in text and "\u202e" not in text
    assert "a\\x1b[2Jb\\nc" in text


def test_lines_beyond_the_screen_are_counted() -> None:
    text = drawn(replace(MOMENT, rows=tuple(row(f"x-{number}", -number) for number in range(30))), lines=10)
    assert "x-9 " in text and "x-10 " not in text
    assert "and 20 more" in text


def test_lines_are_sorted_by_the_column_chosen() -> None:
    rows = (row("fast", 9.0, total=1), row("much", 1.0, total=99))
    assert drawn(replace(MOMENT, rows=rows)).index("fast") < drawn(replace(MOMENT, rows=rows)).index("much")
    by_total = drawn(replace(MOMENT, rows=rows), column="ALL")
    assert by_total.index("much") < by_total.index("fast")


@for_each(("width", "height"), [(80, 1), (80, 5), (80, 24), (60, 30), (80, 50), (200, 200)])
@for_each("kinds", [("exchange",), ("exchange", "list", "order")])
def test_what_fits_a_screen_fits_it(width: int, height: int, kinds: tuple[str, ...]) -> None:
    rows = tuple(replace(row(f"x-{number}"), kind=kind) for kind in kinds for number in range(100))
    moment = replace(MOMENT, rows=rows, remarks=("a remark", "a long remark " * 10))
    lines = lines_that_fit(width, height, moment)
    assert lines >= 2
    if height >= 24:
        assert len(drawn(moment, width=width, lines=lines).splitlines()) + 1 <= height


# The command.


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_module, "FIRST_LOOK_S", 0.0)


def run(site: Site, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["top", *words, "--config", str(site.path)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def quiet(tmp_path: Path) -> Site:
    """No server: its address refuses, or is off."""
    return Site(tmp_path, listen={"http": None})


def test_a_pipe_gets_one_snapshot(quiet: Site, at_once: None) -> None:
    quiet.write_history()
    code, output = run(quiet)
    assert code == 0
    assert "alpha" in output and "1,066" in output and "order-1" in output
    assert "no listen.http" in output and "\x1b" not in output


def test_json_has_every_line_and_every_figure(quiet: Site, at_once: None) -> None:
    quiet.write_history()
    code, output = run(quiet, "--json")
    shown = json.loads(output)
    assert code == 0
    assert shown["server"] == {
        "metrics": None,
        "answers": False,
        "started": None,
        "queries_per_s": None,
        "hits_per_s": None,
    }
    [alpha] = shown["exchanges"]
    assert alpha.keys() == {
        "id", "mode", "actions", "per_s", "last_minute", "last_hour", "last_day", "total", "since_start",
    }  # fmt: skip
    assert (alpha["id"], alpha["mode"], alpha["actions"], alpha["total"]) == (
        "alpha",
        "enforce",
        ["nxdomain"],
        1066,
    )
    assert [entry["id"] for entry in shown["lists"]] == ["ads"]
    assert [entry["id"] for entry in shown["orders"]] == ["order-1"]
    assert shown["names"] is None


@pytest.mark.parametrize("words", [(), ("--json",), ("--once",)])
def test_with_nothing_to_show_it_says_why(quiet: Site, at_once: None, words: tuple[str, ...]) -> None:
    code, output = run(quiet, *words)
    assert code == 2
    assert "listen.http" in output and "no history of hits" in output


def test_the_limit_is_kept(quiet: Site, at_once: None) -> None:
    driver = Driver(quiet.state_dir, at=NOON)
    driver.count_and_write({ALPHA._replace(label=f"x-{number}"): 1 for number in range(9)})
    assert "and 6 more" in run(quiet, "--limit", "3")[1]


def until(descriptor: int, is_there: Callable[[bytes], bool]) -> bytes:
    """What a terminal was sent, up to where `is_there` holds."""
    seen, deadline = b"", time.monotonic() + 30.0
    while not is_there(seen):
        assert time.monotonic() < deadline, seen
        if select.select([descriptor], [], [], 1.0)[0]:
            seen += os.read(descriptor, 65536)
    return seen


@pytest.mark.slow
@pytest.mark.timed
def test_on_a_terminal_it_goes_on_until_q_and_leaves_the_terminal_as_it_was(quiet: Site) -> None:
    quiet.write_history()
    ours, its = pty.openpty()
    before = termios.tcgetattr(its)
    command = [sys.executable, "-m", "resolver", "top", "--config", str(quiet.path), "--interval", "0.5"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    program = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment)
    try:
        until(ours, lambda seen: b"1,066" in seen and b"q ends" in seen)
        os.write(ours, b"s")
        until(ours, lambda seen: b"1,066" in seen)
        os.write(ours, b"q")
        until(ours, lambda seen: b"\x1b[?1049l" in seen)
        assert program.wait(10.0) == 0
        assert termios.tcgetattr(its) == before
    finally:
        program.kill()
        program.wait()
        os.close(ours)
        os.close(its)
