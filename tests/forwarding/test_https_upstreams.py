"""Upstreams over HTTPS: what a request says, which replies are answers, how connections end."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from resolver.forwarding import https_connection
from resolver.forwarding.connection import IDLE_S
from resolver.forwarding.frame_bound import FRAMES_AT_FIRST, FRAMES_PER_QUERY
from resolver.forwarding.upstream import Upstream
from resolver.wire.query_options import QUERY_BLOCK_OCTETS
from tests.forwarding.tls_rig import Perform, Stage, perform, query
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import HOST, LOOPBACK, Accepted

__all__ = ["perform"]


async def open_(stage: Stage, play: fake.Play = fake.answering_http, *alpn: str) -> Upstream:
    server = await stage.server(play, None, *(alpn or ("h2",)))
    return Upstream(LOOPBACK, server.port, "https", host=HOST, path="/dns-query")


def test_a_question_over_https_is_answered_under_its_own_id(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = await open_(stage)
        assert await stage.ask(upstream, query(7)) == fake.answer_to(query(7))

    perform(play)


def test_a_request_says_what_the_rfc_asks_and_nothing_of_who_sends_it(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        heard: list[tuple[dict[str, str], bytes]] = []

        async def noting(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            stream, headers, body = await http.next_request()
            heard.append((headers, body))
            http.reply(stream, fake.answer_to(body))
            await fake.silent(accepted)

        upstream = await open_(stage, noting)
        assert await stage.ask(upstream, query(7)) == fake.answer_to(query(7))
        [(headers, body)] = heard
        del headers["done"]
        assert headers == {
            ":method": "POST",
            ":scheme": "https",
            ":authority": f"{HOST}:{upstream.port}",
            ":path": "/dns-query",
            "accept": "application/dns-message",
            "content-type": "application/dns-message",
            "content-length": str(QUERY_BLOCK_OCTETS),
        }
        assert body[:2] == b"\0\0" and len(body) == QUERY_BLOCK_OCTETS
        assert b"\0\x0b\0\0" not in body  # keepalive is TCP's and TLS's (RFC 7828)

    perform(play)


def test_many_questions_share_a_connection_and_are_answered_in_any_order(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def backwards(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            requests = [await http.next_request() for _ in range(10)]
            for number, (stream, _, body) in enumerate(reversed(requests)):
                http.reply(stream, fake.answer_to(body, bytes((192, 0, 2, number))))
            await fake.silent(accepted)

        upstream = await open_(stage, backwards)
        heard = [stage.asked(upstream, query(number)) for number in range(10)]
        for number in range(10):
            assert await heard[number] == fake.answer_to(query(number), bytes((192, 0, 2, 9 - number)))
        assert stage.streams.counts.opened == 1

    perform(play)


def test_an_answer_in_pieces_is_put_together(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def in_pieces(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            stream, _, body = await http.next_request()
            http.http.send_headers(
                stream, [(":status", "200"), ("content-type", "application/dns-message; x=y")]
            )
            for octet in fake.answer_to(body):
                http.http.send_data(stream, bytes((octet,)), pad_length=3)
                http.flush()
            http.http.send_data(stream, b"", end_stream=True)
            http.flush()
            await fake.silent(accepted)

        assert await stage.ask(await open_(stage, in_pieces), query(7)) == fake.answer_to(query(7))

    perform(play)


def test_long_answers_do_not_use_the_window_up(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        filling = bytes(60_000)

        async def long(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            while True:
                stream, _, body = await http.next_request()
                rest = fake.answer_to(body) + filling
                http.http.send_headers(
                    stream, [(":status", "200"), ("content-type", "application/dns-message")]
                )
                while rest:
                    room = min(http.http.local_flow_control_window(stream), http.http.max_outbound_frame_size)
                    if room:
                        http.http.send_data(stream, rest[:room])
                        rest = rest[room:]
                        http.flush()
                    else:
                        http.http.receive_data(await accepted.reader.read(65_536))
                http.http.end_stream(stream)
                http.flush()

        upstream = await open_(stage, long)
        for number in range(5):
            assert await stage.ask(upstream, query(number)) == fake.answer_to(query(number)) + filling
        assert stage.streams.counts.opened == 1

    perform(play)


# What is no answer.


@pytest.mark.parametrize(
    ("status", "media_type", "words"),
    [
        ("404", "application/dns-message", "HTTP status 404"),
        ("503", "text/html", "HTTP status 503"),
        ("302", "application/dns-message", "HTTP status 302"),
        ("200", "application/dns-json", "no DNS message"),
    ],
)
def test_what_is_no_dns_message_fails_and_is_named(
    perform: Perform, status: str, media_type: str, words: str
) -> None:
    async def play(stage: Stage) -> None:
        async def refusing(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            while True:
                stream, _, body = await http.next_request()
                http.reply(stream, fake.answer_to(body), status=status, media_type=media_type)

        upstream = await open_(stage, refusing)
        assert await stage.ask(upstream) == "http"
        assert words in upstream.details["http"]
        # It is there: the connection stays.
        assert stage.streams.open_connections == 1

    perform(play)


def test_an_answer_with_a_foreign_id_is_none(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def foreign(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            stream, _, body = await http.next_request()
            http.reply(stream, b"\x12\x34" + fake.answer_to(body)[2:])
            await fake.silent(accepted)

        assert await stage.ask(await open_(stage, foreign)) == "malformed"

    perform(play)


def test_an_endless_answer_is_cut_off(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def endless(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            stream, _, _ = await http.next_request()
            http.http.send_headers(stream, [(":status", "200"), ("content-type", "application/dns-message")])
            while True:
                room = min(http.http.local_flow_control_window(stream), http.http.max_outbound_frame_size)
                if room:
                    http.http.send_data(stream, bytes(room))
                    http.flush()
                else:
                    http.http.receive_data(await accepted.reader.read(65_536))

        upstream = await open_(stage, endless)
        assert await stage.ask(upstream) == "http"
        assert "longer" in upstream.details["http"]

    perform(play)


def test_headers_without_end_close_the_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def bomb(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            stream, _, _ = await http.next_request()
            many = [(f"x-{number}", "y" * 200) for number in range(200)]
            http.http.send_headers(stream, [(":status", "200"), *many])
            http.flush()
            await fake.silent(accepted)

        assert await stage.ask(await open_(stage, bomb)) == "stream"
        assert stage.streams.open_connections == 0

    perform(play)


@pytest.mark.parametrize(
    "octets",
    [b"\x01\0\0\xbb" + bytes(5), b"\0\0\0\xbb\0\0\0\0\0" * (FRAMES_AT_FIRST + FRAMES_PER_QUERY + 1)],
    ids=["the head of a frame of 64 kB", "frames that bring nothing"],
)
def test_frames_too_long_or_too_many_close_the_connection(perform: Perform, octets: bytes) -> None:
    async def play(stage: Stage) -> None:
        async def flooding(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            await http.next_request()
            accepted.writer.write(octets)
            await fake.silent(accepted)

        assert await stage.ask(await open_(stage, flooding)) == "stream"
        assert stage.streams.open_connections == 0

    perform(play)


def test_a_server_without_http2_is_named(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = await open_(stage, fake.silent, "http/1.1")
        assert await stage.ask(upstream) == "http"
        assert upstream.details["http"] == "it does not speak HTTP/2"

    perform(play)


def test_a_wrong_certificate_is_refused_over_https_too(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.answering_http, fake.certified("other.example"), "h2")
        upstream = Upstream(LOOPBACK, server.port, "https", host=HOST, path="/dns-query")
        assert await stage.ask(upstream) == "certificate_name"

    perform(play)


# How connections and streams end.


def test_a_reset_stream_fails_and_the_connection_goes_on(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def resetting(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            stream, _, _ = await http.next_request()
            http.http.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
            http.flush()
            stream, _, body = await http.next_request()
            http.reply(stream, fake.answer_to(body))
            await fake.silent(accepted)

        upstream = await open_(stage, resetting)
        assert await stage.ask(upstream, query(1)) == "stream"
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert stage.streams.counts.opened == 1

    perform(play)


def test_a_refused_stream_is_asked_once_more(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def refusing(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            for number in range(3):
                stream, _, body = await http.next_request()
                if number == 1 and server_of(stage) == 1:
                    http.http.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
                    http.flush()
                else:
                    http.reply(stream, fake.answer_to(body))
            await fake.silent(accepted)

        upstream = await open_(stage, refusing)
        assert isinstance(await stage.ask(upstream, query(1)), bytes)
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert stage.streams.counts.retried == 1

    perform(play)


def server_of(stage: Stage) -> int:
    """Connections opened so far."""
    return stage.streams.counts.opened


def test_goodbye_after_answers_moves_what_is_open_to_another_connection(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def leaving(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            stream, _, body = await http.next_request()
            http.reply(stream, fake.answer_to(body))
            await http.next_request()
            http.http.close_connection()
            http.flush()
            await fake.silent(accepted)

        upstream = await open_(stage, leaving)
        assert isinstance(await stage.ask(upstream, query(1)), bytes)
        assert await stage.ask(upstream, query(2)) == fake.answer_to(query(2))
        assert (stage.streams.counts.opened, stage.streams.counts.retried) == (2, 1)

    perform(play)


def test_goodbye_before_any_answer_is_a_failure_at_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def leaving(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            await http.next_request()
            http.http.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            http.flush()
            await fake.silent(accepted)

        upstream = await open_(stage, leaving)
        assert await stage.ask(upstream) == "stream"
        assert stage.streams.counts.opened == 1
        assert upstream.details["stream"] == "it broke off HTTP/2"

    perform(play)


def test_no_more_streams_are_opened_than_the_server_takes(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        most: list[int] = []

        async def narrow(accepted: Accepted) -> None:
            http = fake.Http(accepted)
            http.http.initiate_connection()
            http.http.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
            http.flush()
            stream, _, body = await http.next_request()
            http.reply(stream, fake.answer_to(body))
            requests = [await http.next_request() for _ in range(2)]
            most.append(len(requests) + len(http.requests))
            for stream, _, body in requests:
                http.reply(stream, fake.answer_to(body))
            await fake.silent(accepted)

        upstream = await open_(stage, narrow)
        await stage.ask(upstream, query(0))
        heard = [stage.asked(upstream, query(number)) for number in range(1, 3)]
        for number in range(1, 3):
            assert await heard[number - 1] == fake.answer_to(query(number))
        assert most == [2] and stage.streams.counts.opened == 1

    perform(play)


def test_an_idle_connection_is_closed(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = await open_(stage)
        await stage.ask(upstream)
        stage.clock.advance(IDLE_S + 0.1)
        assert stage.streams.open_connections == 0

    perform(play)


def test_nothing_of_a_question_can_be_read_on_the_way(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.answering_http, None, "h2")
        path = await stage.stack.enter_async_context(fake.eavesdropper(server.port))
        upstream = Upstream(LOOPBACK, path.port, "https", host=HOST, path="/dns-query")
        assert isinstance(await stage.ask(upstream), bytes)
        assert path.seen and b"secret" not in path.seen.lower()

    perform(play)


def test_unfinished_answers_of_an_upstream_are_bounded_together(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https_connection, "BODIES_OCTETS_MAX", 3_000)

    async def play(stage: Stage) -> None:
        async def endless(accepted: Accepted) -> None:
            http = await fake.start_http(accepted)
            while True:
                stream, _, _ = await http.next_request()
                head = [(":status", "200"), ("content-type", "application/dns-message")]
                http.http.send_headers(stream, head)
                http.http.send_data(stream, bytes(1_000))
                http.flush()

        upstream = await open_(stage, endless)
        heard = [stage.asked(upstream, query(number)) for number in range(4)]
        assert {await one for one in heard} == {"http"}
        assert upstream.details["http"] == "its unfinished answers are too long together"
        [pool] = stage.streams._pools.values()
        assert pool.bodies_octets == 0

    perform(play)


def test_what_finished_answers_held_is_given_back(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        upstream = await open_(stage)
        for number in range(3):
            await stage.ask(upstream, query(number))
        [pool] = stage.streams._pools.values()
        assert pool.bodies_octets == 0

    perform(play)
