"""What a server starts when the one before it has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.server.endpoints import CannotListen
from tests.support.served import make_server, play


def test_what_cannot_start_keeps_nothing_else_from_starting_and_is_remarked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        server = make_server(tmp_path, hits={"days": 1})
        started: list[str] = []

        def refuse_page() -> None:
            raise CannotListen(["block_page.listen: no such address"])

        def refuse_audits() -> None:
            raise OSError("the disk is gone")

        beside = server._beside
        assert beside._hits is not None
        monkeypatch.setattr(beside, "start_without_policy", refuse_page)
        monkeypatch.setattr(beside.audits, "start", refuse_audits)
        monkeypatch.setattr(server.changeover, "sockets_are_bound", lambda: started.append("sockets"))
        monkeypatch.setattr(beside._hits, "start", lambda: started.append("hits"))
        monkeypatch.setattr(beside.acknowledgements, "start", lambda: started.append("acknowledge"))
        await server._move_in()
        assert started == ["sockets", "hits", "acknowledge"]
        remarks = server.facts().health.remarks
        assert "no such address" in remarks["block_page"]
        assert "the disk is gone" in remarks["audit"]
        assert "hits" not in remarks and "listen" not in remarks

    play(act)


def test_the_page_takes_its_socket_before_what_is_left_over_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        server = make_server(tmp_path)
        order: list[str] = []
        monkeypatch.setattr(server._beside, "start_without_policy", lambda: order.append("page"))
        monkeypatch.setattr(server.changeover, "sockets_are_bound", lambda: order.append("left over"))
        await server._move_in()
        assert order == ["page", "left over"]

    play(act)
