"""Ways out over real files and sockets: full disks, renamed files, receivers that refuse, stall, die or lie."""

from __future__ import annotations

import os
import resource
import socket
import ssl
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resolver.sinks.datagram_outlet import DatagramOutlet
from resolver.sinks.dnstap import CONTENT_TYPE
from resolver.sinks.file_outlet import FileOutlet
from resolver.sinks.frames import STOP, control_frame, frame_ends
from resolver.sinks.jsonl import line_ends
from resolver.sinks.making import tls_context
from resolver.sinks.outlet import Broken, Outlet
from resolver.sinks.stream_outlet import Receiver, StreamOutlet
from resolver.sinks.syslog import message_spans
from tests.support.dnstap_reader import payloads_in
from tests.support.list_server import HOST, ca_pem, serving
from tests.support.sink_receivers import StreamReceiver, control, dnstap_receiver


def put_all(outlet: Outlet, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        done = outlet.put(view)
        view = view[done:]
        if not done:
            outlet.wait(1.0)


def frames(*payloads: bytes) -> bytes:
    return b"".join(len(payload).to_bytes(4) + payload for payload in payloads)


# Files.


@contextmanager
def open_file(
    path: Path, *, octets_max: int = 0, kept: int = 0, of_frames: bool = False
) -> Iterator[FileOutlet]:
    ends = frame_ends if of_frames else line_ends
    outlet = FileOutlet(
        path, ends, octets_max=octets_max, kept=kept, content_type=CONTENT_TYPE if of_frames else None
    )
    outlet.open()
    yield outlet
    outlet.close(1.0)


def test_a_file_is_made_for_its_owner_and_group_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        with open_file(tmp_path / "q") as outlet:
            put_all(outlet, b"one\n")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "q").stat().st_mode) == 0o640
    with open_file(tmp_path / "q") as outlet:
        put_all(outlet, b"two\n")
    assert (tmp_path / "q").read_bytes() == b"one\ntwo\n"


def test_a_link_a_pipe_and_a_file_of_two_names_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "soft").symlink_to(tmp_path / "victim")
    (tmp_path / "hard").hardlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "pipe")
    for name in ("soft", "hard", "pipe", "absent/q"):
        with pytest.raises(OSError), open_file(tmp_path / name):
            pass
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_renamed_file_is_seen_and_a_new_one_is_made(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with open_file(path) as outlet:
        put_all(outlet, b"one\n")
        path.rename(tmp_path / "q.1")
        outlet.look_after()
        put_all(outlet, b"two\n")
        path.unlink()
        outlet.look_after()
        outlet.look_after()
        put_all(outlet, b"three\n")
    assert ((tmp_path / "q.1").read_bytes(), path.read_bytes()) == (b"one\n", b"three\n")


def test_a_renamed_file_of_frames_is_complete_and_so_is_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with open_file(path, of_frames=True) as outlet:
        put_all(outlet, frames(b"one"))
        path.rename(tmp_path / "q.1")
        outlet.look_after()
        put_all(outlet, frames(b"two"))
    for name, payload in (("q.1", b"one"), ("q", b"two")):
        assert payloads_in((tmp_path / name).read_bytes(), is_file=True) == [payload]


def test_a_file_turns_when_it_is_full_and_so_many_old_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with open_file(path, octets_max=10, kept=2) as outlet:
        for number in range(9):
            put_all(outlet, b"line%d\n" % number)
        assert sorted(each.name for each in tmp_path.iterdir()) == ["q", "q.1", "q.2"]
        assert [(tmp_path / name).read_bytes() for name in ("q.2", "q.1", "q")] == [
            b"line6\n",
            b"line7\n",
            b"line8\n",
        ]


def in_the_way(path: Path) -> Path:
    """A folder where the first old file should be, which no rename replaces."""
    path.mkdir()
    (path / "other").touch()
    return path / "other"


def put_until_broken(outlet: Outlet, records: Iterable[bytes]) -> int:
    """Put one after the other until the way breaks; how many went."""
    for number, record in enumerate(records):
        try:
            put_all(outlet, record)
        except Broken:
            return number
    raise AssertionError("nothing broke")


@pytest.mark.parametrize("of_frames", [False, True])
def test_a_file_that_cannot_be_turned_goes_on_up_to_twice_its_size_and_turns_when_it_can(
    tmp_path: Path, of_frames: bool
) -> None:
    path = tmp_path / "q"
    records = [b"%05d" % number for number in range(1_000)]

    def spell(record: bytes) -> bytes:
        return frames(record) if of_frames else record + b"\n"

    other = in_the_way(tmp_path / "q.1")
    with open_file(path, octets_max=1_000, kept=1, of_frames=of_frames) as outlet:
        written = put_until_broken(outlet, map(spell, records))
        assert outlet.remark.startswith("its file cannot be turned: ")
        # And a control frame that ends it.
        assert 1_900 < path.stat().st_size <= 2_000 + 12
        # Tried again it is as broken, and loses nothing that is there.
        outlet.open()
        with pytest.raises(Broken):
            put_all(outlet, spell(b"none"))
        other.unlink()
        other.parent.rmdir()
        outlet.open()
        put_all(outlet, spell(b"last"))
        assert outlet.remark == ""
    read = (tmp_path / "q.1").read_bytes()
    found = payloads_in(read, is_file=True) if of_frames else read.splitlines()
    assert found == records[:written]


def test_frames_that_were_there_before_a_turn_that_fails_stay_and_others_follow(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with open_file(path, kept=1, of_frames=True) as outlet:
        put_all(outlet, frames(b"one"))
    in_the_way(tmp_path / "q.1")
    with open_file(path, kept=1, of_frames=True) as outlet:
        put_all(outlet, frames(b"two"))
        assert outlet.remark
    assert payloads_in(path.read_bytes(), is_file=True) == [b"one", b"two"]


@pytest.mark.parametrize("left", [0, 3, 38])
def test_a_file_of_frames_that_somebody_cut_has_its_beginning_again(tmp_path: Path, left: int) -> None:
    path = tmp_path / "q"
    with open_file(path, kept=1, of_frames=True) as outlet:
        put_all(outlet, frames(b"one", b"two" * 9))
        copy = path.read_bytes()
        os.truncate(path, left)
        put_all(outlet, frames(b"three"))
        os.truncate(path, 0)
        outlet.look_after()
        put_all(outlet, frames(b"four"))
    assert payloads_in(copy + control_frame(STOP), is_file=True) == [b"one", b"two" * 9]
    assert payloads_in(path.read_bytes(), is_file=True) == [b"four"]


def test_a_cut_within_a_record_leaves_the_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with open_file(path, kept=1, of_frames=True) as outlet:
        put_all(outlet, frames(b"one", b"two"))
        os.truncate(path, path.stat().st_size - 2)
        put_all(outlet, frames(b"three"))
    assert payloads_in(path.read_bytes(), is_file=True) == [b"one", b"three"]


def test_a_file_of_frames_that_turns_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with open_file(path, octets_max=60, kept=1, of_frames=True) as outlet:
        put_all(outlet, frames(b"a" * 40))
        put_all(outlet, frames(b"b" * 40))
    assert payloads_in(path.read_bytes(), is_file=True) == [b"b" * 40]
    assert payloads_in((tmp_path / "q.1").read_bytes(), is_file=True) == [b"a" * 40]


def test_a_file_of_which_no_old_one_is_to_stay_begins_anew(tmp_path: Path) -> None:
    with open_file(tmp_path / "q", octets_max=6) as outlet:
        put_all(outlet, b"line1\n")
        put_all(outlet, b"line2\n")
    assert [each.name for each in tmp_path.iterdir()] == ["q"]
    assert (tmp_path / "q").read_bytes() == b"line2\n"


def test_frames_of_an_earlier_run_are_put_aside_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "q"
    for number in range(3):
        with open_file(path, kept=5, of_frames=True) as outlet:
            put_all(outlet, frames(b"run%d" % number))
    assert [payloads_in((tmp_path / name).read_bytes(), is_file=True) for name in ("q.2", "q.1", "q")] == [
        [b"run0"],
        [b"run1"],
        [b"run2"],
    ]


def test_attempts_that_write_no_record_push_out_none(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with open_file(path, kept=1, of_frames=True) as outlet:
        put_all(outlet, frames(b"first"))
    with open_file(path, kept=1, of_frames=True) as outlet:
        put_all(outlet, frames(b"last"))
    for _ in range(3):
        with open_file(path, kept=1, of_frames=True):
            pass
        room = disk_of(path.stat().st_size)
        with open_file(path, kept=1, of_frames=True) as outlet, room, pytest.raises(Broken):
            put_all(outlet, frames(b"none at all"))
        whole = path.read_bytes()
        # A crash while the beginning, or the first record, was being written.
        for cut in (whole[:5], whole + b"\0\0\0\x09abc"):
            path.write_bytes(cut)
            with open_file(path, kept=1, of_frames=True):
                pass
            assert payloads_in(path.read_bytes(), is_file=True) == []
    assert payloads_in((tmp_path / "q.1").read_bytes(), is_file=True) == [b"last"]


@pytest.mark.parametrize("crash", [b"", b"\0", b"\0\0\0\x09abc"])
def test_where_no_old_file_may_stay_records_of_an_earlier_run_stay_in_the_file(
    tmp_path: Path, crash: bytes
) -> None:
    path = tmp_path / "q"
    outlet = FileOutlet(path, frame_ends, content_type=CONTENT_TYPE)
    outlet.open()
    put_all(outlet, frames(b"one" * 500_000, b"two"))
    with path.open("ab") as file:
        file.write(crash)
    for payload in (b"three", b"four"):
        with open_file(path, of_frames=True) as outlet:
            put_all(outlet, frames(payload))
    assert payloads_in(path.read_bytes(), is_file=True) == [b"one" * 500_000, b"two", b"three", b"four"]
    assert [each.name for each in tmp_path.iterdir()] == ["q"]


def test_what_is_no_file_of_ours_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "q"
    for number, octets in enumerate((b"no frames at all", b"x")):
        path.write_bytes(octets)
        with open_file(path, kept=2, of_frames=True):
            pass
        assert (tmp_path / "q.1").read_bytes() == octets, number


@contextmanager
def disk_of(octets: int) -> Iterator[None]:
    """No file of this process may have more octets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_whole_records_and_says_how_many_octets_stay(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with open_file(path) as outlet:
        put_all(outlet, b"0123456\n")
        with disk_of(20), pytest.raises(Broken) as broken:
            put_all(outlet, b"a\nbcd\nefghijklmnop\nq\n")
        assert broken.value.passed == 6
        assert not outlet.is_open
        assert path.read_bytes() == b"0123456\na\nbcd\n"
        outlet.open()
        put_all(outlet, b"efghijklmnop\nq\n")
    assert path.read_bytes() == b"0123456\na\nbcd\nefghijklmnop\nq\n"


def test_a_full_disk_leaves_no_file_of_frames_without_a_beginning(tmp_path: Path) -> None:
    path = tmp_path / "q"
    with disk_of(10), pytest.raises(OSError), open_file(path, of_frames=True):
        pass
    assert path.read_bytes() == b""
    with open_file(path, kept=1, of_frames=True) as outlet:
        put_all(outlet, frames(b"one"))
        with disk_of(path.stat().st_size + 9), pytest.raises(Broken) as broken:
            put_all(outlet, frames(b"two", b"three"))
        assert broken.value.passed == 7
    assert payloads_in(path.read_bytes(), is_file=True, is_cut=True) == [b"one", b"two"]


def test_a_device_that_is_full_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"), open_file(Path("/dev/full")):
        pass


# Streams.


def stream(receiver: Receiver, *, of_frames: bool = False) -> StreamOutlet:
    return StreamOutlet(receiver, content_type=CONTENT_TYPE if of_frames else None)


def test_frames_go_over_a_socket_between_the_words_of_both(tmp_path: Path) -> None:
    with dnstap_receiver(tmp_path / "s") as receiver:
        outlet = stream(Receiver(str(tmp_path / "s")), of_frames=True)
        outlet.open()
        put_all(outlet, frames(b"one", b"two"))
        outlet.close(5.0)
        octets = receiver.wait_for(control(3))
    ready = control(4, CONTENT_TYPE)
    assert octets.startswith(ready)
    assert payloads_in(octets[len(ready) :], is_file=True) == [b"one", b"two"]


@pytest.mark.parametrize(
    "answer",
    [
        control(1, b"protobuf:other"),
        control(1),
        control(5),
        b"HTTP/1.1 400 no\r\n\r\n",
        bytes(4) + b"\xff" * 4,
    ],
)
def test_a_receiver_that_accepts_something_else_gets_nothing(tmp_path: Path, answer: bytes) -> None:
    with StreamReceiver(tmp_path / "s", answers=(answer,)) as receiver:
        outlet = stream(Receiver(str(tmp_path / "s")), of_frames=True)
        with pytest.raises(OSError, match="Frame Streams"):
            outlet.open()
        assert not outlet.is_open
        assert receiver.wait_for(control(4, CONTENT_TYPE)) == control(4, CONTENT_TYPE)


def test_nobody_at_a_socket_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        stream(Receiver(str(tmp_path / "s"))).open()


def test_a_receiver_that_stands_still_makes_nobody_wait(tmp_path: Path) -> None:
    with dnstap_receiver(tmp_path / "s", reads=False):
        outlet = stream(Receiver(str(tmp_path / "s")), of_frames=True)
        outlet.open()
        payload = frames(b"x" * 65_000) * 50
        passed = []
        while done := outlet.put(memoryview(payload)):
            passed.append(done)
        assert sum(passed) < 50 * len(payload)
        assert outlet.put(memoryview(payload)) == 0
        assert outlet.is_open
        outlet.close(0.05)


def test_a_receiver_that_goes_away_is_seen_before_more_is_sent(tmp_path: Path) -> None:
    with dnstap_receiver(tmp_path / "s") as receiver:
        outlet = stream(Receiver(str(tmp_path / "s")), of_frames=True)
        outlet.open()
        put_all(outlet, frames(b"one"))
        receiver.wait_for(b"one")
        receiver.hang_up()
        with pytest.raises(Broken) as broken:
            outlet.put(memoryview(frames(b"two")))
        assert (broken.value.passed, outlet.is_open) == (0, False)
        outlet.open()
        put_all(outlet, frames(b"two"))
        receiver.wait_for(b"two")
        outlet.close(5.0)


def tls_receiver(folder: Path) -> StreamReceiver:
    return StreamReceiver(tls=serving(folder))


def trusting(folder: Path) -> Callable[[], ssl.SSLContext]:
    (folder / "ca.pem").write_bytes(ca_pem())
    return lambda: tls_context(folder / "ca.pem")


@pytest.mark.parametrize("name", [HOST, "127.0.0.1"])
def test_octets_go_over_tls_to_whom_the_certificate_names(tmp_path: Path, name: str) -> None:
    with tls_receiver(tmp_path) as receiver:
        outlet = stream(Receiver(("127.0.0.1", receiver.port), trusting(tmp_path), name))
        outlet.open()
        put_all(outlet, b"x" * 300_000 + b"end")
        assert len(receiver.wait_for(b"end")) == 300_003
        outlet.close(1.0)


def test_a_certificate_for_another_name_or_of_a_stranger_gets_nothing(tmp_path: Path) -> None:
    with tls_receiver(tmp_path) as receiver:
        address = ("127.0.0.1", receiver.port)
        with pytest.raises(OSError, match=r"TLS: .*not valid for 'other.example'"):
            stream(Receiver(address, trusting(tmp_path), "other.example")).open()
        with pytest.raises(OSError, match=r"TLS: .*self-signed certificate"):
            stream(Receiver(address, lambda: tls_context(None), HOST)).open()
        assert not any(receiver.octets)


def test_authorities_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"tls_ca .*absent.pem: No such file"):
        tls_context(tmp_path / "absent.pem")
    (tmp_path / "odd.pem").write_bytes(b"odd")
    with pytest.raises(OSError, match=r"tls_ca .*odd.pem: no PEM"):
        tls_context(tmp_path / "odd.pem")


# Datagrams.


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5.0)
        yield sock


def datagrams(sock: socket.socket) -> DatagramOutlet:
    address = sock.getsockname()
    return DatagramOutlet((address[0], address[1]), message_spans)


def test_each_message_is_one_datagram_without_its_count(listener: socket.socket) -> None:
    outlet = datagrams(listener)
    outlet.open()
    put_all(outlet, b"3 one5 three")
    assert [listener.recv(100) for _ in range(2)] == [b"one", b"three"]
    outlet.close(0.0)


def test_many_messages_are_as_many_datagrams_in_their_order(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    outlet = datagrams(listener)
    outlet.open()
    messages = [b"message %d" % number for number in range(200)]
    put_all(outlet, b"".join(b"%d %b" % (len(message), message) for message in messages))
    assert [listener.recv(100) for _ in messages] == messages
    outlet.close(0.0)


def test_a_message_too_long_for_a_datagram_is_lost_and_the_next_one_goes(listener: socket.socket) -> None:
    outlet = datagrams(listener)
    outlet.open()
    put_all(outlet, b"70000 " + b"x" * 70_000 + b"3 one")
    assert (listener.recv(100), outlet.lost) == (b"one", 1)
    outlet.close(0.0)


def test_what_went_where_nobody_listens_is_seen_at_the_next_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        outlet = datagrams(sock)
    outlet.open()
    with pytest.raises(Broken, match="Connection refused") as broken:
        put_all(outlet, b"3 one3 two5 three")
    assert (broken.value.passed, outlet.lost, outlet.is_open) == (17, 1, False)


@pytest.mark.parametrize("name", [".foo", "x" * 64 + ".example", ""])
def test_a_name_that_ssl_does_not_take_is_a_way_that_does_not_open(name: str) -> None:
    with StreamReceiver() as receiver:
        context = ssl.create_default_context
        with pytest.raises(OSError, match="TLS to"):
            stream(Receiver(("127.0.0.1", receiver.port), tls=context, name=name)).open()
