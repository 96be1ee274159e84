"""A real server against its own description: whatever schemathesis makes of it, nothing is answered otherwise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from resolver.api.tokens import Role, line_of, new_token
from tests.loopback.server import Server

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

IS_LONG = os.environ.get("FUZZ_PROFILE", "short") == "long"
IN_THE_SERVER = r"/(status|problems|whoami|upstreams|certificates|openapi|hits|series|audits$|exchanges|orders|lists|explain|query-records|nothing)"
"""Pages that the server makes itself; the others have a process read, which takes most of a second."""
LENGTH_IN_THE_SERVER = (
    ("--max-examples", "200", "--max-time", "1800")
    if IS_LONG
    else ("--phases", "fuzzing", "--max-examples", "6")
)
"""How much is made.  The short form has a number and no time: within a time a busy machine makes too little."""
LENGTH_THAT_IS_READ = ("--max-examples", "50" if IS_LONG else "2", "--max-time", "3600" if IS_LONG else "6")
"""As many as fit: each is a process."""
HOSTILE = """\
version: 1
defaults: {contact: "mailto:noc@example.net"}
orders:
  o-1: {authority: "<script>alert(1)</script>", title: "'; DROP TABLE x;--", date: 2024-01-02, imposed_by: external, asks: ["<b>.example", "alpha.example"]}
  silent: {authority: A, title: "TOP SECRET", confidential: true}
exchanges:
  alpha: {name: "<img src=x onerror=alert(1)>", aliases: ["{{7*7}}"], order: o-1, domains: [alpha.example, "=xn--bcher-kva.example"]}
  mute: {name: "TOP SECRET", order: silent, domains: [mute.example]}
"""


def schemathesis(url: str, token: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file",
        str(Path(__file__).with_name("schemathesis.toml")),
        "run",
        f"{url}/api/v1/openapi.json",
        *("-H", f"Authorization: Bearer {token}"),
        *(
            "--no-color",
            "--warnings",
            "off",
            "--request-timeout",
            "120",
            "--generation-deterministic",
            "--mode",
            "all",
            *options,
        ),
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=7_000)


class Served(NamedTuple):
    url: str
    tokens: dict[Role, str]
    folder: Path


def generated(said: str) -> int:
    """Requests that were made."""
    found = re.search(r"(\d+) generated", said)
    return 0 if found is None else int(found[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("api")
    changes = {
        "http": {"tokens_file": "tokens"},
        "log": {"queries": "all", "clients": "network"},
        "engine": "python",
    }
    server = Server(folder, blocklist=HOSTILE, changes=changes)
    tokens = {role: new_token() for role in (Role.READ, Role.APPROVE)}
    file = server.settings_path.parent / "tokens"
    file.write_text("".join(f"{line_of(role.word, role, token)}\n" for role, token in tokens.items()))
    file.chmod(0o600)
    with server:
        server.wait_until_ready()
        yield Served(f"http://127.0.0.1:{server.http_port}", tokens, folder)


def test_pages_of_the_server_answer_as_described(served: Served) -> None:
    url, token, folder = served.url, served.tokens[Role.READ], served.folder
    done = schemathesis(url, token, folder, "--include-path-regex", IN_THE_SERVER, *LENGTH_IN_THE_SERVER)
    assert done.returncode == 0, done.stdout[-6_000:]
    assert generated(done.stdout) > (1_000 if IS_LONG else 50)


@pytest.mark.skipif(IS_LONG, reason="the long form has them all")
def test_bounds_of_what_pages_take_are_answered_as_described(served: Served) -> None:
    url, token, folder = served.url, served.tokens[Role.READ], served.folder
    # As many of some 300 as fit: on a busy machine few.
    done = schemathesis(
        url,
        token,
        folder,
        *("--include-path-regex", IN_THE_SERVER, "--phases", "examples,coverage", "--max-time", "6"),
    )
    assert done.returncode == 0, done.stdout[-6_000:]
    assert generated(done.stdout) > 0


def test_pages_that_are_read_answer_as_described(served: Served) -> None:
    url, token, folder = served.url, served.tokens[Role.READ], served.folder
    done = schemathesis(url, token, folder, "--exclude-path-regex", IN_THE_SERVER, *LENGTH_THAT_IS_READ)
    assert done.returncode == 0, done.stdout[-6_000:]
    assert generated(done.stdout) > (200 if IS_LONG else 0)


def test_pages_that_change_something_answer_as_described(served: Served) -> None:
    """By whoever may do everything; behind the others, for what it pauses and edits."""
    count, most_s = ("60", "1800") if IS_LONG else ("1", "6")
    done = schemathesis(
        served.url,
        served.tokens[Role.APPROVE],
        served.folder,
        "--include-method",
        "POST",
        "--max-examples",
        count,
        "--max-time",
        most_s,
    )
    assert done.returncode == 0, done.stdout[-6_000:]
    assert generated(done.stdout) > (200 if IS_LONG else 0)
