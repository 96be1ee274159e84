"""TCP connections with the native gates before the service."""

from __future__ import annotations

from resolver.flow.peer import Transport
from resolver.listeners.stream import StreamListener
from tests.listeners.stream_rig import (
    NativeGates,
    ScriptedService,
    connect,
    framed,
    is_closed,
    read_message,
    run,
)


def test_what_the_native_gates_answer_is_not_asked_or_counted_again() -> None:
    native_gates = NativeGates()

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"native") + framed(2, b"dropped") + framed(3, b"punted"))
        assert await read_message(reader) == b"\0\1plane"
        assert (await read_message(reader))[:8] == b"\0\3punted"
        assert native_gates.asked == [(b"\x7f\0\0\1", Transport.TCP)] * 3
        assert service.punted == 1

    reporter = run(play, native_gates=native_gates)
    assert sum(count for _, count, _ in reporter.tallies.snapshot().counts) == 1


def test_what_the_native_gates_did_not_look_at_is_asked_as_if_there_were_none() -> None:
    async def play(service: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"unseen"))
        assert (await read_message(reader))[:8] == b"\0\1unseen"
        assert (service.asked, service.punted) == (1, 0)

    run(play, native_gates=NativeGates())


def test_the_native_gates_may_close_a_connection() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"close"))
        assert await is_closed(reader)

    run(play, native_gates=NativeGates())


def test_a_defect_of_the_native_gates_costs_one_query() -> None:
    async def play(_: ScriptedService, listener: StreamListener) -> None:
        reader, writer = await connect(listener)
        writer.write(framed(1, b"x") + framed(2, b"native"))
        assert await read_message(reader) == b"\0\2plane"

    assert run(play, native_gates=NativeGates()).drops["defect"] == 1
