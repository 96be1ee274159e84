"""The native module as Python meets it: defects, threads, ends, publications, and what they leave behind.

Knows: its stub file.  Does not know: what the right answer to a question is, beyond a few plain ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resolver.flow.peer import Transport
from resolver.wire.names import name_from_text
from tests.native.plane_rig import (
    CLIENT,
    A,
    Play,
    image,
    make_core,
    native,
    query,
    rcode,
    reply,
    start,
    testing,
)

__all__ = ["image", "start"]
pytestmark = pytest.mark.loopback


# Threads.


def test_a_panic_costs_one_query_and_python_is_told(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    play.client.send(query("waiting.example"))
    play.upstream.recv(4096)
    testing.panic_worker(play.plane, 0)
    play.client.send(query("a.ads.example", 1))
    _, handover = play.event("handover")
    assert handover[10] == "abandoned"
    assert play.event("down") == ("down", 0)
    assert play.event("up") == ("up", 0)
    assert play.ask(query("a.ads.example", 2))[:2] == b"\0\2"
    counters = play.plane.counters()
    assert (counters["panics"], counters["restarts"]) == (1, 1)
    assert play.core.in_flight == 0


def test_a_defect_in_a_call_is_counted_and_told_as_what_does_no_harm(
    start: Callable[..., Play], image: Path
) -> None:
    cache = native.Cache(1 << 20)
    play = start(make_core(image, cache=cache))
    core, plane, steps = play.core, play.plane, testing.Steps(play.core)
    taken = core.take_records()
    question = (name_from_text("a.example"), A, False, False)
    response = (0, False, b"", 0, 0, (), (), 0, 300, (), (), (), None)
    failed = (None, 7.0, 7.0, 7.0, 7.0, (22, "why"))
    route = b"\0\0\0\x10\0" + bytes(16)
    safe: list[tuple[Callable[[], Any], Any]] = [
        (lambda: cache.lookup(question, 7.0), None),
        (lambda: cache.store(question, response, 7.0), None),
        (lambda: cache.store_failure(question, (22, "why"), 7.0), failed),
        (lambda: core.answer(query("www.ads.example"), CLIENT, Transport.TCP, 7.0), (4, b"")),
        (lambda: steps.claim(question), None),
        (lambda: steps.release(question), None),
        (lambda: plane.claim(question), None),
        (lambda: plane.release(question), None),
        (lambda: plane.send(route, b"octets"), False),
        (lambda: plane.close_ticket(1), None),
        (lambda: plane.upstream_reports(), []),
    ]
    for call, outcome in safe:
        testing.panic_next(cache)
        assert call() == outcome
    raising = [
        lambda: core.publish(str(image), 2, 1.7e9, 7.0),
        lambda: core.publish_upstreams([], []),
        lambda: core.tallies(),
        lambda: core.late(),
        lambda: plane.drain(),
        lambda: core.take_records(),
        lambda: taken.written(native.RecordLook("text", "hidden"), 0.0),
    ]
    for call in raising:
        testing.panic_next(cache)
        with pytest.raises(RuntimeError, match="a defect of the native plane"):
            call()
    assert plane.counters()["panics"] == len(safe) + len(raising)
    assert cache.entries == 0
    assert core.answer(query("www.ads.example"), CLIENT, Transport.TCP, 7.0)[0] == 0, (
        "the next one is answered"
    )


def test_while_a_thread_is_down_its_queries_wait(start: Callable[..., Play]) -> None:
    play = start()
    for number in range(3):
        testing.panic_worker(play.plane, 0)
        play.client.send(query("a.ads.example", number))
        assert play.event("down") == ("down", 0)
        assert play.ask(query("a.ads.example", 100 + number))[1] == 100 + number
    assert play.plane.counters()["panics"] == 3


def test_no_more_queries_are_read_but_who_waits_is_answered(start: Callable[..., Play]) -> None:
    play = start()
    play.ask_upstream()
    play.client.send(query("waiting.example", 9))
    asked, peer = play.upstream.recvfrom(4096)
    play.plane.stop_reading()
    play.upstream.sendto(reply(asked), peer)
    assert play.client.recv(4096)[:2] == b"\0\x09"
    play.client.send(query("a.ads.example", 1))
    assert play.door.recv(4096, 0) == query("a.ads.example", 1), "it is left for whoever has the socket too"


def own_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def descriptors() -> set[tuple[str, str]]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add((entry.name, str(entry.readlink())))
        except OSError:
            continue  # That of the listing itself.
    return found


def test_close_leaves_no_thread_and_no_descriptor(image: Path) -> None:
    before = own_threads(), descriptors()
    for _ in range(3):
        play = Play(make_core(image))
        play.plane.start()
        play.ask_upstream()
        assert own_threads() == before[0] + 1
        play.client.send(query("waiting.example"))
        play.upstream.recv(4096)
        play.plane.close()
        play.plane.close()
        assert play.plane.drain() == []
        assert not play.plane.send(b"\0\0\0\x10\0" + bytes(16), b"octets")
        assert play.plane.counters()["opened"] == 1
        with pytest.raises(RuntimeError):
            play.plane.fileno()
        with pytest.raises(RuntimeError):
            play.plane.start()
        play.close()
    assert (own_threads(), descriptors()) == before


def test_a_plane_forgotten_ends_its_threads(image: Path) -> None:
    before = own_threads()
    play = Play(make_core(image))
    play.plane.start()
    plane, play.plane = play.plane, native.Plane(play.core, [])
    del plane
    assert own_threads() == before
    play.close()


def test_it_cannot_be_started_twice(start: Callable[..., Play]) -> None:
    with pytest.raises(RuntimeError):
        start().plane.start()


def test_a_descriptor_that_is_none_is_refused(image: Path) -> None:
    core = make_core(image)
    for fd in (-1, 1 << 20):
        with pytest.raises(OSError):
            native.Plane(core, [[(fd, False, False)]])


def resident_octets() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def maps() -> int:
    return Path("/proc/self/maps").read_text().count("\n")


def test_a_thousand_publications_leak_nothing(
    image: Path, tmp_path: Path, start: Callable[..., Play]
) -> None:
    copies = [tmp_path / "one", tmp_path / "two"]
    for copy in copies:
        copy.write_bytes(image.read_bytes())
    play = start()
    play.ask(query("a.ads.example"))  # Its thread has all that it needs.
    for generation in range(100):
        play.core.publish(str(copies[generation % 2]), generation, 1.7e9, 0.0)
    before = descriptors(), maps(), resident_octets()
    for generation in range(100, 1100):
        play.core.publish(str(copies[generation % 2]), generation, 1.7e9, 0.0)
        if generation % 100 == 0:
            assert rcode(play.ask(query("a.ads.example"))) == 3
    assert descriptors() == before[0]
    assert maps() <= before[1] + 2
    assert resident_octets() < before[2] + (4 << 20)


def test_an_unusable_image_is_refused_and_the_old_one_serves(image: Path, tmp_path: Path) -> None:
    core = make_core(image)
    octets = image.read_bytes()
    broken = tmp_path / "broken"
    for spoilt in (b"", octets[:-1], octets[:100] + bytes((octets[100] ^ 1,)) + octets[101:], bytes(5000)):
        broken.write_bytes(spoilt)
        with pytest.raises(ValueError):
            core.publish(str(broken), 2, 1.7e9, 0.0)
    with pytest.raises(ValueError):
        core.publish(str(tmp_path / "nothing"), 2, 1.7e9, 0.0)
    assert core.answer(query("a.ads.example"), CLIENT, Transport.UDP, 1.0)[0] == 0
