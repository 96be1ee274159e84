"""Starts: a port that somebody else has taken, a program that never comes up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.contestants import Contestant, Setting, on_a_free_port
from benchmarks.field import PORT_TAKEN, start
from benchmarks.workload import Workload
from tests.loopback.process import PORT_TRIES_MAX, PortTaken, Program, free_port

PROGRAM = """\
import socket, sys
here, taken, says, goes_on = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if here == taken:
    print(says, file=sys.stderr, flush=True)
    if goes_on == "no":
        sys.exit(1)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", here if here != taken else 0))
while True:
    query, client = server.recvfrom(512)
    end = query.index(b"\\0", 12) + 5
    server.sendto(query[:2] + b"\\x81\\x83\\0\\1" + bytes(6) + query[12:end], client)
"""
"""Says NXDOMAIN to everything, but not on the port that is taken."""


def contestant(taken: int, says: str, goes_on: str) -> Contestant:
    def build(setting: Setting) -> Program:
        words = [sys.executable, "-c", PROGRAM, str(setting.port), str(taken), says, goes_on]
        return Program(words, setting.directory, name="peer")

    return Contestant("peer", sys.executable, build, is_forwarder=False)


@pytest.mark.parametrize(
    ("says", "goes_on"),
    [("bind: address already in use", "no"), ("creating IPv4 interface lo failed; interface ignored", "yes")],
)
def test_start_whose_port_was_taken_is_tried_again_with_another(
    says: str, goes_on: str, tmp_path: Path
) -> None:
    port = free_port()
    setting = Setting(tmp_path / "peer", port, 9, Workload(tmp_path, 5))
    entrant = start(contestant(port, says, goes_on), setting, start_s_max=20.0)
    assert entrant is not None
    entrant.program.stop()
    assert entrant.port != port


def test_start_that_fails_for_another_reason_is_not_tried_again(tmp_path: Path) -> None:
    port, words = free_port(), list[str]()
    setting = Setting(tmp_path / "peer", port, 9, Workload(tmp_path, 5))
    peer = contestant(port, "unknown setting", "no")
    assert start(peer, setting, start_s_max=20.0, last_words=words) is None
    assert words == ["did not start: unknown setting"]


def test_ports_are_not_tried_for_ever() -> None:
    tried: list[int] = []

    def attempt(port: int) -> None:
        tried.append(port)
        raise PortTaken(str(port))

    with pytest.raises(PortTaken):
        on_a_free_port(attempt, first=1)
    assert len(tried) == PORT_TRIES_MAX
    assert tried[0] == 1
    assert 1 not in tried[1:]


@pytest.mark.parametrize("says", ["Address already in use", "bind: address already in use", "address in use"])
def test_words_of_a_taken_port_are_known(says: str) -> None:
    assert PORT_TAKEN.search(f"server: {says}\n")
    assert not PORT_TAKEN.search("address in useful range")
