"""The page's process: what it loads, and what it may still do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FORBIDDEN = ("policy", "publishing", "blocklist", "config", "server", "flow", "forwarding", "observe", "cli")
"""Rooms of which the page's process knows nothing."""

TRIES = """\
import ctypes, json, os, socket, sys
from resolver.block_page.rights import lower_rights
kept = open(sys.argv[1], "rb")
listener = socket.create_server(("127.0.0.1", 0))
version = ctypes.CDLL(None).syscall(444, None, 0, 1)
given_up = lower_rights()
def fails(what):
    try:
        what()
    except OSError:
        return True
    return False
def fork():
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
def connect():
    with socket.create_connection(listener.getsockname(), 5):
        pass
def bind_low():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 7))
print(json.dumps({
    "given_up": given_up,
    "uid": os.getuid(),
    "read": fails(lambda: open(sys.argv[1], "rb")),
    "list": fails(lambda: os.listdir("/")),
    "write": fails(lambda: open(sys.argv[1] + ".new", "wb")),
    "run": fails(lambda: os.execv("/bin/true", ["true"])),
    "fork": fails(fork),
    "bind": fails(bind_low),
    "connect": fails(connect),
    "root": fails(lambda: os.setuid(0)) or os.getuid() != 0,
    "landlock": version,
    "kept": kept.read(3).decode(),
}))
"""


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_knows_nothing_of_the_policy_nor_of_settings() -> None:
    script = "import resolver.block_page.program, sys; print(*sys.modules)"
    loaded = [name for name in run("-c", script).split() if name.startswith("resolver.")]
    assert [name for name in loaded if name.split(".")[1] in FORBIDDEN] == []
    assert "resolver.block_page.serving" in loaded


@pytest.mark.slow
def test_of_its_rights_only_the_open_sockets_and_files_are_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("abc")
    told = json.loads(run("-c", TRIES, str(tmp_path / "file")))
    assert told["kept"] == "abc" and told["uid"] != 0
    assert {"new rights", "capabilities", "growth"} <= set(told["given_up"])
    assert told["fork"] and told["bind"] and told["root"] and told["write"]
    if "files" in told["given_up"]:  # This kernel has Landlock.
        assert told["read"] and told["list"] and told["run"]
        assert told["connect"] or told["landlock"] < 4


ANEW = """\
import os, sys
from pathlib import Path
from resolver.block_page.rights import begin_without_capabilities
before = Path("/proc/self/status").read_text()
begin_without_capabilities()
print(os.getpid(), *sys.argv[1:], *(line.split()[1] for line in before.splitlines() if line.startswith("CapPrm")))
"""


@pytest.mark.slow
@pytest.mark.needs("setpriv")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can grant a capability")
def test_capabilities_of_the_server_are_left_behind_where_they_cannot_be_dropped(tmp_path: Path) -> None:
    script = tmp_path / "anew.py"
    script.write_text(ANEW)
    grant = ["setpriv", "--reuid", "65534", "--inh-caps", "+net_bind_service"]
    words = [*grant, "--ambient-caps", "+net_bind_service", sys.executable, str(script), "--word", "7"]
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:3]:
        folder.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=60)
    _, *said, held = done.stdout.split()
    assert said == ["--word", "7"] and int(held, 16) == 0
