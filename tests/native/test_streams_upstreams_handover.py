"""Upstreams over TCP and TLS that misbehave: what the native plane hands over, and when.

Knows: fake upstreams on loopback, the stub file.  Does not know: what Python does with a handover.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import Any

import pytest

from tests.native.upstreams_rig import Perform, Stage, image, is_good, perform, query
from tests.support import encrypted_upstreams as fake
from tests.support.encrypted_upstreams import LOOPBACK, Accepted

__all__ = ["image", "perform"]
pytestmark = pytest.mark.loopback
testing: Any = pytest.importorskip("resolver_native.testing", reason="resolver_native is not built")


# What breaks.


async def closing_at_once(accepted: Accepted) -> None:
    await accepted.reader.read(10)


async def garbage_instead_of_tls(accepted: Accepted) -> None:
    accepted.writer.write(bytes(range(256)) * 8)
    await fake.silent(accepted)


async def no_dns(accepted: Accepted) -> None:
    await accepted.read()
    accepted.writer.write(b"\0\3abc")
    await fake.silent(accepted)


async def another_question(accepted: Accepted) -> None:
    octets = await accepted.read()
    accepted.reply(fake.answer_to(octets.replace(b"\x03one", b"\x03two")))
    await fake.silent(accepted)


async def half_closing(accepted: Accepted) -> None:
    await accepted.read()
    accepted.writer.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
    await fake.silent(accepted)


@pytest.mark.parametrize(
    ("play_of_server", "with_tls", "reason"),
    [
        (closing_at_once, False, "stream"),
        (garbage_instead_of_tls, False, "tls"),
        (fake.resetting, True, "stream"),
        (half_closing, True, "stream"),
        (no_dns, True, "malformed"),
        (another_question, True, "reply"),
    ],
)
def test_an_upstream_that_misbehaves_is_handed_over_with_the_reason_at_once(
    perform: Perform, play_of_server: fake.Play, with_tls: bool, reason: str
) -> None:
    async def play(stage: Stage) -> None:
        make = stage.server if with_tls else stage.plain_server
        stage.use_tls(await make(play_of_server))
        assert await stage.ask("one") == reason

    perform(play)


def test_an_upstream_that_cannot_be_reached_is_handed_over_at_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        nobody = socket.socket()
        nobody.bind((LOOPBACK, 0))
        stage.use_tls(fake.Upstream(nobody.getsockname()[1]))
        assert await stage.ask("one") == "network"
        nobody.close()

    perform(play)


@pytest.mark.parametrize("with_tls", [False, True])
def test_one_that_accepts_and_never_answers_is_handed_over_in_time_and_each_question_has_its_ticket(
    perform: Perform, with_tls: bool
) -> None:
    async def play(stage: Stage) -> None:
        make = stage.server if with_tls else stage.plain_server
        stage.use_tls(await make(fake.silent), timeout_s=0.2)
        stage.closes_tickets = False
        ends = [stage.asked(f"n{number}", number) for number in range(4)]
        assert [await end for end in ends] == ["timeout"] * 4
        for handover in stage.handovers:
            stage.plane.close_ticket(handover.ticket)
        await stage.until(lambda: stage.core.in_flight == 0)
        assert stage.plane.counters()["tickets_expired"] == 0

    perform(play)


def test_an_answer_that_comes_late_reaches_python(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        may_answer = asyncio.Event()

        async def late(accepted: Accepted) -> None:
            octets = await accepted.read()
            await may_answer.wait()
            accepted.reply(fake.answer_to(octets))
            await fake.silent(accepted)

        stage.use_tls(await stage.server(late), timeout_s=0.2)
        stage.closes_tickets = False
        assert await stage.ask("one") == "timeout"
        may_answer.set()
        await stage.until(lambda: bool(stage.late))
        [(word, ticket, octets)] = stage.late
        assert (word, ticket) == ("late", stage.handovers[0].ticket)
        assert octets[:2] == stage.handovers[0].id.to_bytes(2, "big") and fake.ADDRESS in octets

    perform(play)


def test_a_connection_with_an_overdue_question_is_not_chosen_again(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def falling_silent(accepted: Accepted) -> None:
            if len(server.accepted) == 1:
                await fake.silent(accepted)
            await fake.answering(accepted)

        server = await stage.server(falling_silent)
        stage.use_tls(server, timeout_s=0.6)
        assert await stage.ask("one") == "timeout"
        assert is_good(await stage.ask("two", 2), 2)
        assert len(server.accepted) == 2

    perform(play)


def test_a_connection_that_breaks_after_an_answer_is_replaced_once(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def breaking(accepted: Accepted) -> None:
            accepted.reply(fake.answer_to(await accepted.read()))
            await accepted.read()
            accepted.abort()

        stage.use_tls(await stage.server(breaking))
        assert is_good(await stage.ask("one"))
        assert is_good(await stage.ask("two", 2), 2)
        counters = stage.plane.counters()
        assert (counters["streams_retried"], counters["streams_broken"], counters["handovers"]) == (1, 1, 0)

    perform(play)


def test_a_broken_connection_with_many_questions_loses_none(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        async def breaking(accepted: Accepted) -> None:
            for _ in range(12):
                await accepted.read()
            accepted.abort()

        server = await stage.server(breaking)
        stage.use_tls(server)
        ends = [stage.asked(f"n{number}", number) for number in range(12)]
        # Over TLS anybody on the way can break a connection: that says nothing of how many it takes.
        assert Counter([await end for end in ends]) == {"stream": 12}
        assert stage.plane.counters()["streams_retried"] == 0
        assert [handover.sends for handover in stage.handovers] == [1] * 12

    perform(play)


def test_one_that_closes_after_each_answer_answers_all_or_hands_over(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        stage.use_tls(await stage.server(fake.closing_after_each))
        for round_ in range(3):
            ends = [stage.asked(f"r{round_}n{number}", number) for number in range(8)]
            found = [await end for end in ends]
            good = sum(is_good(end, number) for number, end in enumerate(found))
            assert good + found.count("abandoned") == 8
        # By now it is known that it gives one answer on a connection.
        assert good == 8

    perform(play)


def test_a_panic_hands_over_what_waits_on_streams_too_and_the_thread_asks_again(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.silent)
        stage.use_tls(server)
        ends = [stage.asked(f"n{number}", number) for number in range(3)]
        await stage.until(lambda: bool(server.accepted))
        testing.panic_worker(stage.plane, 0)
        stage.client.send(query("panic.example", 9))
        assert [await end for end in ends] == ["abandoned"] * 3
        stage.use_tls(await stage.server())
        await stage.until(lambda: any(word == "up" for word, *_ in stage.late))
        assert is_good(await stage.ask("again", 10), 10)

    perform(play)


def test_python_can_call_for_all_attempts(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        server = await stage.server(fake.silent)
        stage.use_tls(server)
        end = stage.asked("one", 1)
        await stage.until(lambda: bool(server.accepted))
        stage.plane.hand_over_all()
        assert await end == "recalled"

    perform(play)
