"""The units that ship, and what the program says to systemd, fit each other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from resolver.listeners.address import RECEIVE_BUFFER_OCTETS, TCP_BACKLOG
from resolver.server.draining import DRAIN_S, RETIRED_DRAIN_S
from resolver.server.supervised import BEATS
from resolver.supervision import EXTENSION_S

ROOT = Path(__file__).parents[2]
[UNIT] = ROOT.glob("*/systemd/exchange-resolver.service")
[SOCKETS] = ROOT.glob("*/systemd/exchange-resolver.socket")


def values(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE))


def seconds(text: str) -> float:
    return float(text)


def test_systemd_hears_the_main_process_and_waits_as_long_as_the_program_says() -> None:
    unit = values(UNIT)
    assert (unit["Type"], unit["NotifyAccess"]) == ("notify", "main")
    # A start that takes longer asks for more before the time is up.
    assert seconds(unit["TimeoutStartSec"]) > EXTENSION_S
    assert seconds(unit["TimeoutStopSec"]) >= max(RETIRED_DRAIN_S, DRAIN_S + 2)
    assert seconds(unit["WatchdogSec"]) / BEATS >= 5


def test_systemd_keeps_every_socket_that_there_can_be() -> None:
    # 256 for datagrams, and as many again for each kind of stream.
    assert int(values(UNIT)["FileDescriptorStoreMax"]) >= 1024


def test_a_reload_is_no_restart_and_the_unit_says_how_to_upgrade() -> None:
    assert values(UNIT)["ExecReload"].endswith("kill -HUP $MAINPID")
    assert "--signal=SIGUSR2" in UNIT.read_text()


def test_the_socket_unit_has_what_the_program_would_have_asked_for() -> None:
    sockets = values(SOCKETS)
    assert sockets["BindIPv6Only"] == "ipv6-only" and sockets["FreeBind"] == "yes"
    assert sockets["ReceiveBuffer"] == f"{RECEIVE_BUFFER_OCTETS >> 20}M"
    assert int(sockets["Backlog"]) == TCP_BACKLOG
    found = re.findall(r"^Listen(Datagram|Stream)=(.*)$", SOCKETS.read_text(), re.MULTILINE)
    assert {where for kind, where in found if kind == "Datagram"} == {
        where for kind, where in found if kind == "Stream"
    }


@pytest.mark.needs("systemd-analyze")
def test_systemd_understands_both(tmp_path: Path) -> None:
    for path in (UNIT, SOCKETS):
        # The program and its manual are where a package puts them.
        text = re.sub(r"^(ExecStart|Documentation)=.*$", r"\1=", path.read_text(), flags=re.MULTILINE)
        text = text.replace("ExecStart=", "ExecStart=/bin/true").replace("Documentation=\n", "")
        (tmp_path / path.name).write_text(text)
    words = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "exchange-resolver" not in done.stderr, done.stderr
