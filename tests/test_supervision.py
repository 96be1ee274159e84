"""What a supervisor hands over and hears."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resolver.supervision import (
    DESCRIPTORS_MAX,
    FIRST_DESCRIPTOR,
    WAITING_MAX,
    Supervisor,
    handed_descriptors,
)


class Listening:
    """A supervisor's end."""

    def __init__(self, address: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.sock.settimeout(5.0)

    def heard(self) -> list[str]:
        return self.sock.recv(4096).decode().splitlines()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[Supervisor, Listening]]:
    folder = os.open(tmp_path, os.O_PATH)
    address = f"/proc/self/fd/{folder}/notify"
    other = Listening(address)
    yield Supervisor({"NOTIFY_SOCKET": address}), other
    other.sock.close()
    os.close(folder)


def test_each_state_is_told_in_the_words_of_the_protocol(listening: tuple[Supervisor, Listening]) -> None:
    supervisor, other = listening
    assert supervisor.is_there
    supervisor.ready("ready: dns\n127.0.0.1:53")
    assert other.heard() == ["READY=1", "STATUS=ready: dns 127.0.0.1:53"]
    supervisor.starting("reading")
    assert other.heard() == ["EXTEND_TIMEOUT_USEC=30000000", "STATUS=reading"]
    supervisor.alive()
    assert other.heard() == ["WATCHDOG=1"]
    supervisor.stopping()
    assert other.heard()[0] == "STOPPING=1"
    assert not supervisor.main_is(4711, 0.0), "nobody has said that it was heard"
    assert other.heard()[:2] == ["MAINPID=4711", "READY=1"]
    assert other.heard() == ["BARRIER=1"]
    supervisor.forget("dns/udp/192.0.2.1/53")
    assert other.heard() == ["FDSTOREREMOVE=1", "FDNAME=dns/udp/192.0.2.1/53"]


def test_a_reload_is_told_with_its_moment(listening: tuple[Supervisor, Listening]) -> None:
    supervisor, other = listening
    supervisor.reloading()
    word, moment, _ = other.heard()
    assert word == "RELOADING=1" and re.fullmatch(r"MONOTONIC_USEC=[1-9]\d{6,}", moment)


def test_descriptors_are_kept_under_a_name_and_not_looked_at(listening: tuple[Supervisor, Listening]) -> None:
    supervisor, other = listening
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kept:
        kept.bind(("127.0.0.1", 0))
        supervisor.keep("dns/udp", [kept.fileno()])
        octets, descriptors, _, _ = socket.recv_fds(other.sock, 4096, 4)
        assert octets.decode().splitlines() == ["FDSTORE=1", "FDPOLL=0", "FDNAME=dns/udp"]
        with socket.socket(fileno=descriptors[0]) as again:
            assert again.getsockname() == kept.getsockname()


def test_an_abstract_address_is_understood() -> None:
    name = f"supervision-test-{os.getpid()}"
    other = Listening(f"\0{name}")
    Supervisor({"NOTIFY_SOCKET": f"@{name}"}).alive()
    assert other.heard() == ["WATCHDOG=1"]
    other.sock.close()


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1", "/nowhere/at/all"])
def test_where_nobody_listens_nothing_happens(address: str | None) -> None:
    supervisor = Supervisor({} if address is None else {"NOTIFY_SOCKET": address})
    supervisor.ready("ready")
    supervisor.keep("dns", [0])
    assert supervisor.is_there == (address == "/nowhere/at/all")


def test_a_supervisor_that_does_not_read_holds_nobody_up(listening: tuple[Supervisor, Listening]) -> None:
    supervisor, _ = listening
    for _ in range(10_000):
        supervisor.alive()


def fill(supervisor: Supervisor) -> None:
    """As many messages as the kernel holds for one that does not read, and more."""
    for _ in range(1000):
        supervisor.alive()


def drained(other: Listening, last: str) -> list[list[str]]:
    """All that is told up to a message with this line, signs of life left out."""
    heard: list[list[str]] = [[]]
    other.sock.settimeout(60.0)
    while last not in heard[-1]:
        heard.append(other.heard())
    return [lines for lines in heard[1:] if lines != ["WATCHDOG=1"]]


def test_what_must_be_heard_waits_for_a_supervisor_that_does_not_read(
    listening: tuple[Supervisor, Listening],
) -> None:
    supervisor, other = listening
    fill(supervisor)
    supervisor.ready("ready")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kept:
        supervisor.keep("dns/udp", [kept.fileno()])
    supervisor.stopping()
    assert [lines[0] for lines in drained(other, "STOPPING=1")] == ["READY=1", "FDSTORE=1", "STOPPING=1"]


def test_of_what_waits_the_oldest_goes(listening: tuple[Supervisor, Listening]) -> None:
    supervisor, other = listening
    fill(supervisor)
    for number in range(3 * WAITING_MAX):
        supervisor.forget(str(number))
    heard = drained(other, f"FDNAME={3 * WAITING_MAX - 1}")
    assert len(heard) <= WAITING_MAX + 1


def test_that_another_process_serves_is_waited_for_until_it_is_heard(
    listening: tuple[Supervisor, Listening],
) -> None:
    supervisor, other = listening
    fill(supervisor)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(supervisor.main_is, 4711, 60.0)
        assert not told.done()
        # `recv` drops the descriptors that come along: that is how a supervisor says that it has heard.
        assert [lines[0] for lines in drained(other, "BARRIER=1")] == ["MAINPID=4711", "BARRIER=1"]
        assert told.result(60.0) is True


def test_a_supervisor_that_is_gone_is_not_waited_for(listening: tuple[Supervisor, Listening]) -> None:
    supervisor, other = listening
    other.sock.close()
    assert supervisor.main_is(4711, 60.0) is True


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdog_is_ours_or_not(environment: dict[str, str], seconds: float) -> None:
    left = dict(environment)
    assert Supervisor(left, pid=7).watchdog_s == seconds
    # No child of ours is watched; one that takes our place is.
    assert left == {}


def test_a_successor_is_watched_too() -> None:
    supervisor = Supervisor({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, pid=7)
    assert supervisor.for_successor == {"WATCHDOG_USEC": "30000000"}


def test_descriptors_are_taken_with_their_names_and_no_child_sees_them() -> None:
    environment = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "dns:", "OTHER": "x"}
    kept = [os.dup(0), os.dup(0)]
    before = {number: _copy(number) for number in (FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + 1)}
    try:
        for number, descriptor in zip(before, kept, strict=True):
            os.dup2(descriptor, number, inheritable=True)
        handed = handed_descriptors(environment, pid=7)
        assert [(one.name, one.descriptor) for one in handed] == [("dns", 3), ("", 4)]
        assert not any(os.get_inheritable(number) for number in before)
    finally:
        for number, copy in before.items():
            if copy is None:
                os.close(number)
            else:
                os.dup2(copy, number)
                os.close(copy)
        for descriptor in kept:
            os.close(descriptor)
    assert environment == {"OTHER": "x"}


def _copy(number: int) -> int | None:
    try:
        return os.dup(number)
    except OSError:
        return None


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "8", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "7"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "many"},
        {"LISTEN_PID": "7", "LISTEN_FDS": str(DESCRIPTORS_MAX + 1)},
    ],
)
def test_what_was_not_meant_for_us_is_not_taken(environment: dict[str, str]) -> None:
    left = dict(environment)
    assert handed_descriptors(left, pid=7) == []
    assert left == {}
