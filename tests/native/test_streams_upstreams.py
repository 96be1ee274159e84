"""Upstreams over TCP and TLS as the native plane asks them: who is believed.

Knows: fake upstreams on loopback, the stub file.  Does not know: what Python does with a handover.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.native.upstreams_rig import Perform, Stage, image, is_good, perform
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LONG_AGO, LOOPBACK, Accepted, authority, certified

__all__ = ["image", "perform"]
pytestmark = pytest.mark.loopback


# Who is believed.


@pytest.mark.parametrize(
    ("names", "more", "reason"),
    [
        (("other.example",), {}, "certificate_name"),
        ((LOOPBACK,), {}, "certificate_name"),
        ((HOST,), {"until": LONG_AGO}, "certificate_expired"),
        ((HOST,), {"self_signed": True}, "certificate_untrusted"),
        ((HOST,), {"by": certified("Other CA", self_signed=True)}, "certificate_untrusted"),
    ],
)
def test_a_wrong_certificate_is_refused_and_named(
    perform: Perform, names: tuple[str, ...], more: dict[str, Any], reason: str
) -> None:
    async def play(stage: Stage) -> None:
        heard: list[bytes] = []

        async def keeping(accepted: Accepted) -> None:
            heard.append(await accepted.read())

        stage.use_tls(await stage.server(keeping, certified(*names, **more)))
        assert await stage.ask("one") == reason
        assert heard == []
        assert stage.report() == [1, 0, 0, 0, 0]

    perform(play)


def test_a_certificate_for_the_address_is_enough_where_no_name_was_given(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.use_tls(await stage.server(own=certified(LOOPBACK)), host="")
        assert is_good(await stage.ask("one"))
        stage.use_tls(await stage.server(own=certified(HOST)), host="")
        assert await stage.ask("two") == "certificate_name"

    perform(play)


def test_a_pin_alone_decides_whatever_the_certificate_says(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own = certified("x.example", until=LONG_AGO, self_signed=True)
        server = await stage.server(own=own)
        stage.use_tls(server, "", (bytes(32), own.pin))
        assert is_good(await stage.ask("one"))
        stage.use_tls(server, "", (bytes(32),))
        assert await stage.ask("two") == "certificate_pin"

    perform(play)


def test_with_a_name_and_a_pin_both_must_hold(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own, stranger = certified(HOST), certified("other.example")
        good, bad = await stage.server(own=own), await stage.server(own=stranger)
        ends: list[bytes | str] = []
        for server, pin in ((good, own.pin), (good, stranger.pin), (bad, stranger.pin)):
            stage.use_tls(server, HOST, (pin,))
            ends.append(await stage.ask(f"name{len(ends)}"))
        assert is_good(ends[0])
        assert ends[1:] == ["certificate_pin", "certificate_name"]

    perform(play)


def test_a_certificate_that_the_operator_named_is_trusted_by_itself(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        own = certified(HOST, self_signed=True)
        stage.use_tls(await stage.server(own=own), authorities=own.pem)
        assert is_good(await stage.ask("one"))
        expired = certified(HOST, until=LONG_AGO, self_signed=True)
        stage.use_tls(await stage.server(own=expired), authorities=expired.pem)
        assert await stage.ask("two") == "certificate_expired"
        other = certified("other.example", self_signed=True)
        stage.use_tls(await stage.server(own=other), authorities=other.pem)
        assert await stage.ask("three") == "certificate_name"

    perform(play)


def test_an_old_version_of_tls_is_refused(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def downgrading(accepted: Accepted) -> None:
            await accepted.reader.read(65_536)
            hello = b"\x03\x02" + bytes(32) + b"\0\xc0\x13\0"  # TLS 1.1 (RFC 4346 §7.4.1.3)
            handshake = b"\x02" + len(hello).to_bytes(3, "big") + hello
            accepted.writer.write(b"\x16\x03\x02" + fake.framed(handshake))
            await fake.silent(accepted)

        stage.use_tls(await stage.plain_server(downgrading))
        assert await stage.ask("one") == "tls"

    perform(play)


def test_a_server_that_speaks_no_tls_gets_no_question(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard = bytearray()

        async def plain(accepted: Accepted) -> None:
            heard.extend(await accepted.reader.read(65_536))
            accepted.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await accepted.writer.drain()
            heard.extend(await accepted.reader.read(65_536))

        stage.use_tls(await stage.plain_server(plain))
        assert await stage.ask("secret") == "tls"
        assert b"secret" not in heard and heard[:1] == b"\x16"

    perform(play)


def test_nothing_of_a_question_can_be_read_on_the_way(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server()
        path = await stage.stack.enter_async_context(fake.eavesdropper(server.port))
        stage.use_tls(path)
        assert is_good(await stage.ask("secret"))
        assert path.seen and b"secret" not in path.seen.lower()

    perform(play)


@pytest.mark.parametrize(
    "fields",
    [
        (LOOPBACK, 853, ("not a name", (), authority().pem, True)),
        (LOOPBACK, 853, (HOST, (b"short",), authority().pem, True)),
        (LOOPBACK, 853, (HOST, (), b"", False)),
        (LOOPBACK, 853, (HOST, (), b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", False)),
        ("dns.example", 853, (HOST, (), authority().pem, True)),
    ],
)
def test_what_tls_can_do_nothing_with_is_refused(perform: Perform, fields: Any) -> None:
    async def play(stage: Stage) -> None:
        with pytest.raises(ValueError):
            stage.core.publish_upstreams([fields], [])

    perform(play)


def test_a_number_keeps_name_pins_and_authorities(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        first = (LOOPBACK, 853, (HOST, (bytes(32),), authority().pem, True))
        stage.core.publish_upstreams([first], [])
        stage.core.publish_upstreams([first], [])
        for other in (
            (LOOPBACK, 853),
            (LOOPBACK, 853, None),
            (LOOPBACK, 853, ("other.example", (bytes(32),), authority().pem, True)),
            (LOOPBACK, 853, (HOST, (), authority().pem, True)),
            (LOOPBACK, 853, (HOST, (bytes(32),), authority().pem * 2, True)),
            (LOOPBACK, 853, (HOST, (bytes(32),), authority().pem, False)),
        ):
            with pytest.raises(ValueError, match="must keep its meaning"):
                stage.core.publish_upstreams([other], [])

    perform(play)
