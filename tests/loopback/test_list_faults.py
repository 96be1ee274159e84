"""kill -9 and a full disk at every step of replacing a list: the old list or the new one, whole."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import pytest

from resolver.blocklist.downloads import Download, DownloadedList
from resolver.fetching.store import ListStore
from tests.support.list_server import WebServer, ca_pem, ok, web_server

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

IS_LONG = os.environ.get("FUZZ_PROFILE", "short") == "long"
ROUNDS = 200 if IS_LONG else 8
ROOT = Path(__file__).parents[2]

OLD = b"".join(b"old%d.example\n" % number for number in range(4000))
NEW = b"".join(b"new%d.example\n" % number for number in range(4100))
NONE: bytes | None = None


async def download(folder: Path, web: WebServer, mode: str, at: int) -> tuple[int | None, bytes, bytes]:
    """One download that strikes at the Nth touch: exit code, outcome, touches."""
    wanted = Download(web.url("/list"), 3600, 30.0, 1 << 20, allow_private=True)
    job = {
        "list": DownloadedList("ads", "domains", 50, wanted).as_json(),
        "state_dir": str(folder / "state"),
        "bootstrap": [],
        "force": False,
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.list_fault", mode, str(at)),
        cwd=ROOT,
        env={**os.environ, "SSL_CERT_FILE": str(folder / "ca.pem")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await child.communicate(json.dumps(job).encode())
    return child.returncode, output, complaint


async def strike(folder: Path, mode: str) -> None:
    (folder / "ca.pem").write_bytes(ca_pem())
    store = ListStore(folder / "state", "ads")
    async with web_server(folder) as web:
        web.pages["/list"] = ok(NEW)
        code, _, touches = await download(folder, web, mode, 0)
        assert code == 0, touches
        total = int(touches)
        assert total > 15, total
        # Spread over all steps when there are fewer rounds than those.
        steps = [1 + at * total // ROUNDS for at in range(ROUNDS)] if total > ROUNDS else range(1, total + 1)
        rolled = random.Random(7)
        killed = 0
        for step in [*steps, *(rolled.randint(1, total) for _ in range(ROUNDS - len(steps)))]:
            before = rolled.choice((OLD, NONE))
            store.path.unlink(missing_ok=True)
            if before is not None:
                store.path.write_bytes(before)
            code, output, complaint = await download(folder, web, mode, step)
            copy = store.path.read_bytes() if store.has_copy() else None
            assert copy in (before, NEW), f"step {step}: {None if copy is None else len(copy)} octets"
            if mode == "kill":
                killed += code == -9
            else:
                assert code == 0, complaint
                result = json.loads(output)["result"]
                # Struck behind the rename, the new list stands and the trouble is told all the same.
                assert result == "storage" or (result == "updated" and copy == NEW), step
            # Nothing is wedged: the next one takes it from there.
            if step % 5 == 0:
                assert (await download(folder, web, "kill", 0))[0] == 0
                assert store.path.read_bytes() == NEW
                assert list(store.path.parent.glob(".*.new")) == []
        # The first download made folders besides, so the last steps are not there in all the others.
        assert mode != "kill" or killed >= ROUNDS * 3 // 4


def test_a_download_that_is_killed_leaves_the_old_list_or_the_new_one(tmp_path: Path) -> None:
    asyncio.run(strike(tmp_path, "kill"))


def test_a_disk_that_is_full_leaves_the_old_list_or_the_new_one_and_says_so(tmp_path: Path) -> None:
    asyncio.run(strike(tmp_path, "full"))
