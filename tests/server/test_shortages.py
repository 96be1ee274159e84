"""What a machine is short of for a while is no reason to give up for good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resolver.server import endpoints
from resolver.server.endpoints import SHORTAGES
from resolver.server.refusal import CannotStart
from tests.support.served import make_server, play


@pytest.mark.slow
@pytest.mark.parametrize("number", SHORTAGES, ids=os.strerror)
def test_a_start_without_sockets_may_do_better_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(endpoints, "PATIENCE_S", 0.0)
    monkeypatch.setattr(endpoints, "bind_udp", refuse)

    async def act() -> None:
        server = make_server(tmp_path, dns=["127.0.0.1:0"])
        with pytest.raises(CannotStart, match=os.strerror(number)) as caught:
            await server.start()
        assert caught.value.may_pass

    play(act)
