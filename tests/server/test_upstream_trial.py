"""Trying upstreams: good ones are timed, bad ones say why, and their certificates are seen either way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from resolver.config.settings import Settings, load_settings
from resolver.server.upstream_trial import Tried, try_upstreams
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LONG_AGO, LOOPBACK, certified

Play = Callable[["Stage"], Coroutine[Any, Any, None]]


class Stage:
    """Servers on loopback, and settings that name them."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack

    async def server(
        self, play: fake.Play = fake.answering, own: fake.Certified | None = None, *alpn: str
    ) -> int:
        context = fake.server_context(self.folder, own or certified(HOST), *alpn)
        return (await self.stack.enter_async_context(fake.upstream(context, play))).port

    async def try_(self, *urls: str) -> list[Tried]:
        return await try_upstreams(self.settings(*urls))

    def settings(self, *urls: str) -> Settings:
        text = f"upstreams: {{servers: {list(urls)}, tls_ca: {fake.authorities_file(self.folder)}, timeout_s: 1.0}}"
        settings, problems = load_settings(Path("f"), octets=text.encode())
        assert settings is not None, problems
        return settings


@pytest.fixture
def perform(tmp_path: Path) -> Callable[[Play], None]:
    async def run(play: Play) -> None:
        async with AsyncExitStack() as stack:
            await asyncio.wait_for(play(Stage(tmp_path, stack)), 20.0)

    return lambda play: asyncio.run(run(play))


Perform = Callable[[Play], None]


def test_each_step_of_a_good_upstream_is_timed(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        tls = await stage.server()
        https = await stage.server(fake.answering_http, None, "h2")
        tried = await stage.try_(
            f"tls://{LOOPBACK}:{tls}#{HOST}", f"https://{LOOPBACK}:{https}/dns-query#{HOST}"
        )
        for one in tried:
            assert one.is_fine and one.address == LOOPBACK and one.tls == "TLSv1.3"
            assert one.certificate is not None and one.certificate.names == (HOST,)
            assert one.certificate.until == fake.FOR_EVER.timestamp()
            times = one.connect_s, one.handshake_s, one.first_s, one.warm_s
            assert all(time_s is not None and time_s > 0 for time_s in times)

    perform(play)


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (certified("other.example"), "certificate_name"),
        (certified(HOST, until=LONG_AGO), "certificate_expired"),
        (certified(HOST, self_signed=True), "certificate_untrusted"),
    ],
)
def test_a_bad_certificate_is_named_and_shown(perform: Perform, own: fake.Certified, reason: str) -> None:
    async def play(stage: Stage) -> None:
        port = await stage.server(own=own)
        [tried] = await stage.try_(f"tls://{LOOPBACK}:{port}#{HOST}")
        assert (tried.reason, bool(tried.words)) == (reason, True)
        assert tried.certificate is not None
        assert tried.certificate.until == own.certificate.not_valid_after_utc.timestamp()
        assert tried.first_s is None

    perform(play)


@pytest.mark.slow
def test_one_that_is_not_there_or_silent_says_so(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        silent = await stage.server(fake.silent)
        gone = await stage.stack.enter_async_context(fake.upstream(None))
        await stage.stack.aclose()
        tried = await stage.try_(f"tcp://{LOOPBACK}:{gone.port}", f"udp://{LOOPBACK}:{gone.port}")
        assert [one.reason for one in tried] == ["network", "network"]
        del silent

    perform(play)


@pytest.mark.slow
def test_one_that_never_answers_is_given_up_in_time(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        port = await stage.server(fake.silent)
        [tried] = await stage.try_(f"tls://{LOOPBACK}:{port}#{HOST}")
        assert tried.reason == "timeout" and tried.handshake_s is not None

    perform(play)
