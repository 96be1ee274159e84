"""What a campaign is told of its connections."""

from __future__ import annotations

import asyncio

import pytest

from resolver.audit.asking import _TcpLane
from resolver.audit.campaign import Send
from resolver.audit.results import Kind
from resolver.audit.targets import own_server


class Ears:
    def __init__(self) -> None:
        self.failures: list[tuple[int, Kind, bool]] = []

    def on_message(self, octets: bytes, now: float, lonely_id: int | None = None) -> None: ...

    def on_failure(self, query_id: int, kind: Kind, now: float, *, was_open: bool = True) -> None:
        self.failures.append((query_id, kind, was_open))


class Ended:
    """A connection that the other side ends at once."""

    def is_closing(self) -> bool:
        return False

    def write(self, octets: bytes) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_connection_that_nobody_took_is_told_from_one_that_was_ended(is_taken: bool) -> None:
    ears = Ears()

    class Lane(_TcpLane):
        async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            if not is_taken:
                raise ConnectionRefusedError
            reader = asyncio.StreamReader()
            reader.feed_eof()
            return reader, Ended()  # type: ignore[return-value]

    async def act() -> None:
        target = next(
            one for one in own_server({"dns": [("127.0.0.1", 53)]}).targets if one.transport == "tcp"
        )
        lane = Lane(target, ears, asyncio.Event(), asyncio.get_running_loop())
        lane.send(Send(7, bytes(12), True, 1e9))
        await lane._lonely[7]._task
        lane.close()

    asyncio.run(act())
    assert ears.failures == [(7, Kind.CLOSED, is_taken)]
