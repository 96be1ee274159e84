"""What happens to a whole server whose blocklist is cut off or emptied, while it runs and while it does not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import dns.rcode
import pytest

from tests.loopback.server import ROOT, Server
from tests.publishing.test_falling import EDITS, EMPTY, REAL

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.usefixtures("serving_engine")]

LAST = "zb.com"
"""A domain of the last exchanges of the file: gone when it is cut in half."""
RECORDED_S = 60.0


def resolver(server: Server, *words: str) -> str:
    """The output of a command over the same files."""
    command = [sys.executable, "-m", "resolver", *words, "--config", str(server.settings_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def is_blocked(server: Server) -> bool:
    return server.ask(LAST).rcode() == dns.rcode.NXDOMAIN


def wait_for_record(server: Server, number: int) -> None:
    said = f"the policy in force is generation {number} of the history"
    server.wait_for(lambda: said in server.stderr(), said, RECORDED_S)


def test_a_blocklist_that_is_cut_off_changes_nothing_until_somebody_says_why(tmp_path: Path) -> None:
    assert LAST in REAL and LAST not in EDITS["cut off"]
    with Server(tmp_path, blocklist=REAL) as server:
        wait_for_record(server, 1)
        before = server.metrics()
        state = 'resolver_blocklist_exchanges{state="enforced"}'
        assert before[state] > 300
        server.replace_blocklist(EDITS["cut off"])
        server.wait_for_reload(before, "failure")
        assert is_blocked(server) and server.metrics()[state] == before[state]
        assert "generation 1 stays in force" in server.stderr()
        assert "exchanges in force would no longer be enforced" in server.stderr()

        before = server.metrics()
        resolver(server, "apply", "--force", "--reason", "half of the orders ended")
        server.wait_for_reload(before)
        assert not is_blocked(server)
        assert server.metrics()[state] < before[state]
        assert LAST in "".join(line for line in server.stderr().splitlines() if "no longer blocked" in line)
        wait_for_record(server, 2)

        before = server.metrics()
        resolver(server, "rollback", "--previous")
        server.wait_for_reload(before)
        assert is_blocked(server)
        wait_for_record(server, 3)
        generations = json.loads(resolver(server, "history", "--json"))["generations"]
        assert [entry["number"] for entry in generations] == [3, 2, 1]
        assert [entry["forced"] for entry in generations] == [False, True, False]
        assert generations[0]["changes"]["rollback"]["to"] == 1
        assert set(re.findall(r"generation (\d+)", server.stderr())) == {"1", "2", "3"}
        assert server.metrics()["resolver_history_generation"] == 3


def test_a_blocklist_emptied_while_the_server_was_down_does_not_serve(tmp_path: Path) -> None:
    with Server(tmp_path, blocklist=REAL) as server:
        wait_for_record(server, 1)
    with Server(tmp_path, blocklist=EMPTY) as server:
        assert is_blocked(server)
        assert server.metrics()["resolver_blocklist_is_stale"] == 1
        assert "nothing is blocked any more" in server.stderr()


def test_an_empty_policy_starts_where_nothing_served_before_and_everybody_is_told(tmp_path: Path) -> None:
    with Server(tmp_path, blocklist=EMPTY) as server:
        assert "THE POLICY IN FORCE BLOCKS NOTHING" in server.stderr()
        status, body = server.page("/readyz")
        assert status == 200 and "nothing is blocked" in json.loads(body)["remarks"]["filtering"]
        assert server.metrics()["resolver_blocklist_is_empty"] == 1
        before = server.metrics()
        server.replace_blocklist(REAL)
        server.wait_for_reload(before)
        assert is_blocked(server)
        assert "filtering" not in json.loads(server.page("/readyz")[1]).get("remarks", {})
        assert server.metrics()["resolver_blocklist_is_empty"] == 0
