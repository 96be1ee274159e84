"""The whole server over a stand-in for the native module."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from resolver.config.settings import load_settings
from resolver.observe.log import LogWriter
from resolver.observe.metrics import render
from resolver.plane import NativeModule
from resolver.server.server import Server
from tests.support import fake_native

BLOCKLIST = """\
version: 1
exchanges:
  acme: {name: Acme, domains: [acme.example]}
"""


def make_server(
    folder: Path, module: object = fake_native, stream: io.BytesIO | None = None, **changes: Any
) -> Server:
    settings: dict[str, Any] = {
        "listen": {"dns": ["127.0.0.1:0"], "http": None},
        "clients": {"allow": ["127.0.0.0/8", "2001:db8::/32"]},
        "upstreams": {"servers": ["udp://127.0.0.1:9"], "forward": {"corp.example": ["tcp://127.0.0.1:9"]}},
        "records": {"Router.home.arpa": ["192.168.1.1", "2001:db8::1"]},
        "cache": {"size_mb": 8},
        "blocklist": "blocklist.yaml",
        "state_dir": "state",
        "threads": 2,
        **changes,
    }
    (folder / "blocklist.yaml").write_text(BLOCKLIST)
    path = folder / "resolver.yaml"
    path.write_text(json.dumps(settings))
    checked, problems = load_settings(path)
    assert checked is not None, problems
    return Server(
        checked,
        engine="native",
        native=cast(NativeModule, module),
        log_writer=LogWriter(stream or io.BytesIO()),
    )


def core_of(server: Server) -> fake_native.Core:
    assert server._native is not None
    return cast(fake_native.Core, server._native._core)


def plane_of(server: Server) -> fake_native.Plane:
    assert server._native is not None and server._native._plane is not None
    return cast(fake_native.Plane, server._native._plane)


def play(
    folder: Path,
    act: Callable[[Server], Awaitable[None]],
    stream: io.BytesIO | None = None,
    **changes: Any,
) -> Server:
    """Start a server, `act`, stop it."""

    async def whole() -> Server:
        server = make_server(folder, stream=stream, **changes)
        await server.start()
        try:
            await act(server)
        finally:
            await server.stop()
        return server

    return asyncio.run(whole())


def page(server: Server) -> str:
    return render(server.facts()).decode()


async def settled(server: Server) -> None:
    """Wait until what was published is in force."""
    assert server._native is not None and server._native._publishing is not None
    await server._native._publishing
