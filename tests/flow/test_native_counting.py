"""What both planes see is charged and counted once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.flow.clients import RateLimiter
from tests.listeners.native_rig import Rig
from tests.support.forwarding_rig import good


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    made.service._limiter = RateLimiter(1)
    yield made
    made.close()


def truncated(rig: Rig) -> list[bool]:
    return [octets[2] & 0x02 != 0 for _, octets in rig.plane.sent]


def test_a_query_that_the_plane_let_pass_is_not_charged_again(rig: Rig) -> None:
    for _ in range(3):
        rig.asks("router.home.arpa")
    assert truncated(rig) == [False, False, False]


def test_a_query_that_the_plane_left_to_us_unseen_is_charged_here(rig: Rig) -> None:
    rig.listener.serve_all_sockets()
    for _ in range(3):
        rig.asks("router.home.arpa")
    assert truncated(rig) == [False, True, True]


def test_what_the_plane_looked_up_is_not_counted_for_the_cache_again(rig: Rig) -> None:
    rig.asks("www.example.org")
    [sent] = rig.network.sent
    rig.network.deliver(sent, good(sent))
    rig.asks("www.example.org")
    assert rig.counts() == {"upstream": 1, "cache": 1}
    rig.asks("other.example.org", rd=False)
    assert (rig.cache.hits, rig.cache.misses) == (0, 0)


def test_what_the_plane_did_not_look_up_is_counted_here(rig: Rig) -> None:
    rig.listener.serve_all_sockets()
    rig.service._limiter = None
    rig.asks("www.example.org")
    [sent] = rig.network.sent
    rig.network.deliver(sent, good(sent))
    rig.asks("www.example.org")
    assert (rig.cache.hits, rig.cache.misses) == (1, 1)
