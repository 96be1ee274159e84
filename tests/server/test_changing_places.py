"""The door of a server, and who comes in by it."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from resolver.listeners.address import SocketAddress, bind_udp
from resolver.server import handing
from resolver.server.changeover import Arrival, Changeover
from resolver.server.handing import DOOR, HandingFailed, door_in, new_socket
from resolver.server.predecessor import Predecessor, TakeoverFailed, _take_sockets, find_predecessor
from resolver.server.refusal import CannotStart
from resolver.server.successor import Door
from resolver.supervision import Supervisor


def played(test: Callable[..., Coroutine[object, object, None]]) -> Callable[..., None]:
    """Run it in a loop of its own."""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        asyncio.run(test(**fixtures))

    return run


class House:
    """A server's side: a socket, and what happened at its door."""

    def __init__(self, folder: Path, sockets: int = 1, ends_with: str = "") -> None:
        self.socks = [bind_udp(SocketAddress("127.0.0.1", 0)) for _ in range(sockets)]
        self.shared: list[bool] = []
        self.successors: list[int] = []
        self.door = Door(
            folder,
            asyncio.get_running_loop(),
            sockets=lambda: [("dns", sock) for sock in self.socks],
            share=self.shared.append,
            write_snapshot=self.write_snapshot,
            on_serving=self.successors.append,
            ends_with=ends_with,
        )

    async def write_snapshot(self) -> str:
        return "the disk is full"


@asynccontextmanager
async def house(folder: Path, sockets: int = 1) -> AsyncIterator[House]:
    one = House(folder, sockets)
    one.door.open()
    try:
        yield one
    finally:
        one.door.close()
        for sock in one.socks:
            sock.close()


async def come(folder: Path) -> Predecessor:
    found = await asyncio.to_thread(find_predecessor, folder)
    assert found is not None
    return found


def leave(guest: Predecessor) -> None:
    guest.close()
    for one in guest.sockets:
        one.sock.close()


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError(what)


@played
async def test_a_successor_gets_the_same_sockets_with_all_that_waits_in_them(tmp_path: Path) -> None:
    async with house(tmp_path, sockets=150) as here:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"waits", here.socks[149].getsockname())
        guest = await come(tmp_path)
        assert [one.key for one in guest.sockets] == ["dns"] * 150
        ours = [sock.getsockname() for sock in here.socks]
        assert [one.sock.getsockname() for one in guest.sockets] == ours
        assert guest.sockets[149].sock.recv(64) == b"waits"
        assert guest.pid == os.getpid()
        assert here.shared == [True] and here.successors == []
        leave(guest)


@played
async def test_one_that_goes_without_serving_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        leave(await come(tmp_path))
        await until(lambda: here.shared == [True, False], "it is noticed")
        assert here.successors == [] and not here.door.has_handed_over
        # And another may come.
        leave(await come(tmp_path))


@played
async def test_one_that_serves_is_heard_and_hears_of_our_end(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        guest = await come(tmp_path)
        assert await guest.write_snapshot() == "the disk is full"
        guest.retire()
        await until(lambda: here.successors == [os.getpid()], "it is heard")
        assert here.door.has_handed_over
        ended = asyncio.create_task(guest.ended())
        await asyncio.sleep(0)
        assert not ended.done()
        here.door.close()
        assert await ended is True
        leave(guest)
        assert here.shared == [True]


@pytest.mark.parametrize("is_told", [True, False])
@played
async def test_a_snapshot_that_comes_late_is_no_end_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    monkeypatch.setattr("resolver.server.predecessor.SNAPSHOT_S", 0.01)
    may_write = asyncio.Event()

    async def write_late(self: House) -> str:
        await may_write.wait()
        return ""

    monkeypatch.setattr(House, "write_snapshot", write_late)
    async with house(tmp_path) as here:
        guest = await come(tmp_path)
        assert "timed out" in await guest.write_snapshot()
        guest.retire()
        ended = asyncio.create_task(guest.ended())
        await until(lambda: here.successors, "it is heard")
        (tmp_path / "cache.snapshot").write_bytes(b"late")
        if is_told:
            may_write.set()
            await until(lambda: not (tmp_path / "cache.snapshot").exists(), "it is removed")
            assert not ended.done()
        here.door.close()
        assert await ended is True
        assert not (tmp_path / "cache.snapshot").exists()
        leave(guest)


@played
async def test_one_at_a_time(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        first = await come(tmp_path)
        with pytest.raises(TakeoverFailed, match="is taking over already"):
            await come(tmp_path)
        assert here.shared == [True]
        leave(first)


@played
async def test_one_that_hangs_is_in_the_way_for_a_while_only_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as here:
        slow = await come(tmp_path)
        monkeypatch.setattr("resolver.server.successor.SILENCE_S_MAX", 0.0)
        next_one = await come(tmp_path)
        assert here.shared == [True, False, True]
        # Else it would take our place beside the other one.
        with pytest.raises(CannotStart, match="took too long"):
            await slow.write_snapshot()
        next_one.retire()
        await until(lambda: here.successors, "it is heard")
        leave(slow)
        leave(next_one)


@played
async def test_under_a_supervisor_only_processes_of_the_service_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as here:
        here.door._is_supervised = True
        leave(await come(tmp_path))
        await until(lambda: here.shared == [True, False], "it is noticed")
        other = tmp_path / "cgroup"
        other.write_text("0::/user.slice\n")
        monkeypatch.setattr(handing, "_OWN_CGROUP", other)
        with pytest.raises(TakeoverFailed, match="does not belong to this service"):
            await come(tmp_path)
        monkeypatch.setattr(handing, "_PROCESSES", tmp_path / "none")
        with pytest.raises(TakeoverFailed, match="cannot be found out"):
            await come(tmp_path)
        assert here.shared == [True, False]


@played
async def test_a_door_that_is_another_ones_by_now_is_left(tmp_path: Path) -> None:
    async with house(tmp_path) as old, house(tmp_path) as new:
        # The old one has not heard of it.
        assert not old.door.has_handed_over
        old.door.close()
        leave(await come(tmp_path))
        assert new.shared


@played
async def test_another_protocol_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path) as here:
        monkeypatch.setattr("resolver.server.predecessor.HANDING_PROTOCOL", 2)
        with pytest.raises(TakeoverFailed, match="speaks protocol 1, and the new one 2"):
            await come(tmp_path)
        await until(lambda: here.shared == [False], "it is noticed")


@played
async def test_another_user_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(sock: socket.socket) -> int:
        raise HandingFailed("process 7 belongs to another user (uid 8)")

    async with house(tmp_path) as here:
        monkeypatch.setattr("resolver.server.successor.peer_of", refuse)
        with pytest.raises(TakeoverFailed):
            await come(tmp_path)
        assert here.shared == []


def test_who_is_at_the_other_end_is_known_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        assert handing.peer_of(one) == os.getpid()
        mine = os.geteuid()
        monkeypatch.setattr(handing, "ROOT", mine + 1)
        monkeypatch.setattr(os, "geteuid", lambda: mine + 2)
        with pytest.raises(HandingFailed, match=rf"another user \(uid {mine}\)"):
            handing.peer_of(one)


@pytest.mark.parametrize(
    "octets",
    [b"no json", b"[]", b"{}", b'{"want": "everything"}', b'{"serving": 1}', b'{"protocol": 9}'],
)
@played
async def test_what_no_one_of_us_says_ends_the_talk_and_nothing_else(tmp_path: Path, octets: bytes) -> None:
    async with house(tmp_path) as here:
        with new_socket() as guest, door_in(tmp_path) as path:
            guest.connect(path)
            guest.send(octets)
            await until(lambda: here.shared == [False], "it is turned away")
        assert here.successors == []


def test_nobody_is_found_where_nobody_is(tmp_path: Path) -> None:
    assert find_predecessor(tmp_path) is None
    assert find_predecessor(tmp_path / "none") is None
    with new_socket() as gone, door_in(tmp_path) as path:
        gone.bind(path)
    assert (tmp_path / DOOR).exists()
    assert find_predecessor(tmp_path) is None


@pytest.mark.parametrize(
    "said",
    [
        {"protocol": 1, "version": "1", "sockets": "many"},
        {"protocol": 1, "version": "1", "sockets": -1},
        {"protocol": 1, "version": "1", "sockets": 1 << 40},
        {"protocol": 2, "version": "1", "sockets": 0},
        {},
    ],
    ids=str,
)
def test_a_predecessor_that_says_what_it_should_not_is_left_alone(tmp_path: Path, said: object) -> None:
    with new_socket() as door, door_in(tmp_path) as path:
        door.bind(path)
        door.listen()
        with new_socket() as guest:
            guest.connect(path)
            server, _ = door.accept()
            server.send(json.dumps(said).encode())
            with pytest.raises(HandingFailed, match="not understood"):
                _take_sockets(guest)
            server.close()


@played
async def test_the_door_fits_however_deep_the_folder_is(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a" * 60] * 4)
    deep.mkdir(parents=True)
    async with house(deep) as here:
        assert (deep / DOOR).stat().st_mode & 0o777 == 0o600
        leave(await come(deep))
        del here
    assert not (deep / DOOR).exists()


@played
async def test_a_retired_server_leaves_the_door_of_the_one_in_its_place(tmp_path: Path) -> None:
    async with house(tmp_path) as old:
        guest = await come(tmp_path)
        guest.retire()
        await until(lambda: old.successors, "it is heard")
        async with house(tmp_path) as new:
            old.door.close()
            assert (tmp_path / DOOR).exists()
            leave(await come(tmp_path))
            assert new.shared
        leave(guest)


@played
async def test_what_must_not_run_twice_waits_for_the_end_of_the_one_before(tmp_path: Path) -> None:
    async with house(tmp_path) as old:
        guest = await come(tmp_path)
        changeover = Changeover(Arrival(predecessor=guest), tmp_path, asyncio.get_running_loop())
        assert changeover.has_shared_sockets and changeover.inheritance
        moved: list[str] = []

        async def move_in() -> None:
            moved.append("in")

        changeover.take_over(move_in)
        await until(lambda: old.successors, "it is heard")
        assert moved == []
        old.door.close()
        await until(lambda: moved, "it moves in")
        await changeover.close()
        leave(guest)


@played
async def test_who_would_end_with_this_server_may_not_take_its_place(tmp_path: Path) -> None:
    here = House(tmp_path, ends_with="this is process 1 of its container")
    here.door.open()
    with pytest.raises(TakeoverFailed, match=r"process 1 of its container.*start a new container"):
        await come(tmp_path)
    assert here.shared == [] and here.successors == []
    here.door.close()
    here.socks[0].close()


@played
async def test_one_of_another_container_may_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.server.successor.peer_of", lambda _: 0)
    here = House(tmp_path, ends_with="this is process 1 of its container")
    here.door.open()
    leave(await come(tmp_path))
    await until(lambda: here.shared == [True, False], "it came and went")
    here.door.close()
    here.socks[0].close()


class Deaf(Supervisor):
    """One that hears who serves at the third time."""

    def __init__(self) -> None:
        super().__init__({})
        self.told: list[int] = []

    def main_is(self, pid: int, patience_s: float = 0.0) -> bool:
        self.told.append(pid)
        return len(self.told) == 3


@played
async def test_a_server_ends_when_its_supervisor_knows_who_serves(tmp_path: Path) -> None:
    deaf = Deaf()
    changeover = Changeover(Arrival(supervisor=deaf), tmp_path, asyncio.get_running_loop())
    retired: list[bool] = []
    changeover.on_retired = lambda: retired.append(True)

    async def nothing() -> str:
        return ""

    changeover.open_door(nothing)
    guest = await come(tmp_path)
    guest.retire()
    await until(lambda: retired, "it reads no more at once")
    await changeover.close()
    assert deaf.told == [os.getpid()] * 3
    leave(guest)
