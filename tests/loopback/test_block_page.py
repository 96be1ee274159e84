"""The block page as visitors, operators and accidents meet it: a server, its page, real connections."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.process import free_port, poll
from tests.loopback.server import Server, running_server

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

ADDRESS = "127.0.0.80"
"""The sinkhole of this policy; a loopback address, as every test's."""
BLOCKLIST = f"""\
version: 1
defaults: {{action: sinkhole, sinkhole: {{ipv4: {ADDRESS}, ipv6: "::1"}}, contact: "mailto:noc@example.net"}}
orders:
  fma: {{authority: Markets Authority, title: Platforms, reference: F-1, date: 2026-01-15, imposed_by: external}}
  silent: {{authority: Court, title: Hush, reference: S-99, confidential: true}}
exchanges:
  alpha: {{name: Alpha Exchange, order: fma, domains: [alpha.example]}}
  beta: {{name: Beta Exchange, domains: [beta.example]}}
  hidden: {{name: Hidden Exchange, order: silent, domains: [hidden.example]}}
allow: [academy.alpha.example]
"""
PAGE = "resolver_block_page"


class PageServer(Server):
    """A server with a block page."""

    page_port: int

    def _take_ports(self) -> None:
        self.page_port = free_port(ADDRESS)
        self._changes = {
            **self._changes,
            "block_page": {"listen": [f"{ADDRESS}:{self.page_port}"], "operator": "Example Networks"},
        }
        super()._take_ports()

    def __enter__(self) -> PageServer:
        super().__enter__()
        return self

    def visit(self, host: str, *more: str) -> str:
        """What curl says of a visit: status, headers and body."""
        url = f"http://{host}:{self.page_port}/some/path"
        words = ["curl", "-sS", "-i", "--max-time", "10", "--resolve", f"{host}:{self.page_port}:{ADDRESS}"]
        done = subprocess.run([*words, *more, url], capture_output=True, text=True, check=True)
        return done.stdout

    def status_of(self, host: str) -> int:
        return int(self.visit(host).split()[1])

    def page_pid(self) -> int | None:
        """The page's process; None: there is none now."""
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            for child in children.read_text().split():
                if b"block_page.program" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        return None

    def wait_for_page(self, status: int = 451, host: str = "www.alpha.example") -> None:
        self.wait_for(lambda: self.status_of(host) == status, f"{host} gets {status}")


def is_alive(pid: int | None) -> bool:
    """Whether the process is there, and no zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    with PageServer(tmp_path_factory.mktemp("page"), blocklist=BLOCKLIST) as running:
        running.wait_for_page()
        yield running


@pytest.mark.needs("curl")
def test_a_visitor_who_asks_dns_first_gets_the_page_of_the_name(server: PageServer) -> None:
    [answer] = server.ask("www.alpha.example").answer[0]
    assert str(answer) == ADDRESS
    page = server.visit("www.alpha.example")
    assert page.startswith("HTTP/1.1 451 ")
    assert '<mailto:noc@example.net>; rel="blocked-by"' in page
    for word in (
        "www.alpha.example",
        "Alpha Exchange",
        "Markets Authority",
        "F-1",
        "2026-01-15",
        "Example Networks",
    ):
        assert word in page


@pytest.mark.needs("curl")
@pytest.mark.parametrize(
    ("host", "status"),
    [("beta.example", 403), ("hidden.example", 403), ("academy.alpha.example", 404), ("other.example", 404)],
)
def test_other_names_get_what_is_true_of_them(server: PageServer, host: str, status: int) -> None:
    page = server.visit(host)
    assert page.startswith(f"HTTP/1.1 {status} ")
    assert not {"Hidden", "S-99", "Hush"} & set(page.split())


@pytest.mark.needs("curl")
def test_every_language_is_served_by_the_process_that_can_open_no_file(server: PageServer) -> None:
    for language, word in (("de", "gesperrt"), ("ar", "محجوب"), ("ja", "ブロック"), ("uk", "заблоковано")):
        page = server.visit(
            "xn--mnchen-3ya.alpha.example", "-H", f"Accept-Language: {language}", "-H", "Accept: text/html"
        )
        assert word in page and "münchen.alpha.example" in page


@pytest.mark.needs("curl")
def test_its_answers_are_counted_by_status(server: PageServer) -> None:
    # No other test here asks for nonsense.
    assert server.metric(f"{PAGE}_requests_total", status="400") == 0
    server.visit("beta.example", "-H", "Host: nobody@beta.example")
    server.wait_for(lambda: server.metric(f"{PAGE}_requests_total", status="400") == 1, "the count")
    assert server.metric(f"{PAGE}_up") == 1 and server.metric(f"{PAGE}_is_stale") == 0
    assert '"block_page"' not in server.page("/readyz")[1]


@pytest.mark.needs("curl")
def test_it_follows_the_policy(server: PageServer) -> None:
    server.replace_blocklist(BLOCKLIST.replace("domains: [beta.example]", "domains: [gamma.example]"))
    server.wait_for_page(403, "gamma.example")
    assert server.status_of("beta.example") == 404
    server.replace_blocklist(BLOCKLIST)
    server.wait_for_page(403, "beta.example")


@pytest.mark.needs("curl")
def test_a_page_that_is_killed_comes_back_and_dns_does_not_notice(server: PageServer) -> None:
    before = server.metric(f"{PAGE}_restarts_total")
    counted = server.metric(f"{PAGE}_requests_total")
    pid = server.page_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert server.ask("www.alpha.example").answer
    # Who comes meanwhile waits in the queue of a socket that stayed open.
    assert server.status_of("www.alpha.example") in (451, 503)
    server.wait_for_page()
    assert server.page_pid() not in (None, pid)
    assert server.metric(f"{PAGE}_restarts_total") == before + 1
    server.wait_for(lambda: server.metric(f"{PAGE}_requests_total") > counted, "counts that go on")


def test_the_page_runs_with_few_rights(server: PageServer) -> None:
    pid = server.page_pid()
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1" and status["Uid"].split()[0] != "0"
    assert os.sched_getscheduler(pid or 0) == os.SCHED_IDLE
    opened = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    files = [name for name in opened if name.startswith("/") and name != "/dev/null"]
    assert files == [str(server.directory / "state" / "block-page")]


@pytest.mark.needs("curl")
def test_visitors_who_hold_every_place_keep_nobody_out(server: PageServer) -> None:
    held = []
    for number in range(300):
        one = socket.create_connection(
            (ADDRESS, server.page_port), source_address=(f"127.0.3.{number // 30}", 0)
        )
        one.sendall(b"GET / HTTP/1.1\r\nX: ")
        held.append(one)
    try:
        server.wait_for_page()
    finally:
        for one in held:
            one.close()


@pytest.mark.needs("curl")
def test_a_full_disk_leaves_the_page_that_was_and_says_so(tmp_path: Path) -> None:
    with PageServer(tmp_path, blocklist=BLOCKLIST) as server:
        server.wait_for_page()
        file = tmp_path / "state" / "block-page"
        file.unlink()
        file.mkdir()
        (file / "in-the-way").touch()
        server.replace_blocklist(BLOCKLIST.replace("domains: [beta.example]", "domains: [gamma.example]"))
        server.wait_for(lambda: server.metric(f"{PAGE}_is_stale") == 1, "the complaint")
        assert "older policy" in server.page("/readyz")[1]
        assert server.status_of("beta.example") == 403


def test_a_stopped_server_leaves_no_page_behind(tmp_path: Path) -> None:
    with PageServer(tmp_path, blocklist=BLOCKLIST) as server:
        server.wait_for(lambda: server.metric(f"{PAGE}_up") == 1, "the page")
        pid = server.page_pid()
    # It is told to end, and on a busy machine waited for only so long.
    poll(lambda: not is_alive(pid), timeout_s=10, what="the page's end")


def test_a_killed_server_leaves_no_page_behind(tmp_path: Path) -> None:
    with PageServer(tmp_path, blocklist=BLOCKLIST) as server:
        server.wait_for(lambda: server.metric(f"{PAGE}_up") == 1, "the page")
        pid = server.page_pid()
        server.send(signal.SIGKILL)
        server.wait_for_end()
        poll(lambda: not is_alive(pid), timeout_s=10, what="the page's end")


def test_a_taken_port_is_tried_until_it_is_free(tmp_path: Path) -> None:
    server = PageServer(tmp_path, blocklist=BLOCKLIST)
    with socket.create_server((ADDRESS, server.page_port)):
        server.start()
        server.wait_until_ready()
        assert "block_page.listen" in server.page("/readyz")[1] and server.metric(f"{PAGE}_up") == 0
    try:
        server.wait_for(lambda: server.metric(f"{PAGE}_up") == 1, "the page")
        assert server.metric(f"{PAGE}_restarts_total") == 0
    finally:
        server.stop()


def test_without_an_address_there_is_no_page(tmp_path: Path) -> None:
    with running_server(tmp_path, 9, blocklist=BLOCKLIST) as server:
        assert not [name for name in server.metrics() if name.startswith(PAGE)]
        assert '"block_page"' not in server.page("/readyz")[1]
