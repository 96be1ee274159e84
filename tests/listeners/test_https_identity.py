"""Who asks over HTTPS: by headers of trusted proxies, by a name in the path, by the server name."""

from __future__ import annotations

import ssl
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from resolver.flow.client_names import ClientNames
from resolver.flow.clients import Networks
from resolver.flow.identities import Identities
from resolver.flow.outcome import Outcome
from resolver.flow.peer import Peer
from resolver.listeners.http import FORWARDED, MEDIA_TYPE
from resolver.listeners.stream import StreamListener
from tests.listeners.stream_rig import ScriptedService, run
from tests.listeners.test_https import Http2Client, Sides, http1, http2, query
from tests.support.list_server import serving

OWN, CLIENT = ip_address("127.0.0.1").packed, ip_address("203.0.113.5").packed
TRUSTED = Networks([ip_network("127.0.0.0/8")])


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    made = serving(tmp_path_factory.mktemp("https"))
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


def request(path: bytes, *headers: bytes) -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"host: a", b"content-type: application/dns-message"]
    body = query(1, b"quick")
    return b"\r\n".join([*lines, *headers, b"content-length: %d" % len(body), b"", body])


def asked(
    context: ssl.SSLContext, identities: Identities, *requests: bytes
) -> tuple[list[Peer], dict[int, int]]:
    """Who the service was told that asked, over HTTP/1.1, and with which statuses requests were answered."""
    return asked_and_dropped(context, identities, *requests)[:2]


def asked_and_dropped(
    context: ssl.SSLContext, identities: Identities, *requests: bytes
) -> tuple[list[Peer], dict[int, int], dict[str, int]]:
    """The same, and what was counted."""
    peers: list[Peer] = []
    sides = Sides(context)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        taken = service.answer_now

        def answer_now(octets: bytes, peer: Peer, now: float) -> Outcome:
            peers.append(peer)
            return taken(octets, peer, now)

        service.answer_now = answer_now  # type: ignore[method-assign]
        client = await http1(listener)
        for number, one in enumerate(requests, 1):
            client.say(one)
            while sides.statuses.total() < number:
                await client.some()

    reporter = run(play, **sides.options, identities=identities)
    return peers, dict(sides.statuses), dict(reporter.drops)


def test_a_trusted_proxy_says_who_asks_request_by_request(context: ssl.SSLContext) -> None:
    peers, statuses = asked(
        context,
        Identities(trusted_proxies=TRUSTED),
        request(b"/dns-query", b"x-forwarded-for: 10.0.0.1, 203.0.113.5"),
        request(b"/dns-query", b"Forwarded: for=10.0.0.1", b"forwarded: for=203.0.113.5;proto=https"),
        request(b"/dns-query"),
    )
    assert [peer.address for peer in peers] == [CLIENT, CLIENT, OWN]
    assert statuses == {200: 3}


@pytest.mark.parametrize(
    "headers",
    [
        (b"x-forwarded-for: client.example",),
        (b"forwarded: for=10.0.0.1", b"x-forwarded-for: 203.0.113.5"),
    ],
)
def test_what_a_trusted_proxy_says_and_nobody_can_read_is_a_bad_request(
    context: ssl.SSLContext, headers: tuple[bytes, ...]
) -> None:
    identities = Identities(trusted_proxies=TRUSTED)
    found = asked_and_dropped(context, identities, request(b"/dns-query", *headers))
    assert found == ([], {400: 1}, {FORWARDED: 1})


def test_anybody_else_is_who_is_connected_whatever_he_says(context: ssl.SSLContext) -> None:
    others = Networks([ip_network("192.0.2.0/24")])
    for identities in (Identities(), Identities(trusted_proxies=others)):
        peers, statuses = asked(
            context, identities, request(b"/dns-query", b"x-forwarded-for: 203.0.113.5", b"forwarded: x")
        )
        assert [peer.address for peer in peers] == [OWN] and statuses == {200: 1}


def test_the_path_names_the_client_where_the_settings_let_it(context: ssl.SSLContext) -> None:
    named = [request(b"/dns-query/Phones"), request(b"/dns-query"), request(b"/dns-query/a/b")]
    peers, statuses = asked(context, Identities(names=ClientNames(in_path=True)), *named[:2])
    assert [peer.name for peer in peers] == ["phones", ""] and statuses == {200: 2}
    peers, statuses = asked(context, Identities(names=ClientNames(in_path=True)), named[2])
    assert peers == [] and statuses == {404: 1}
    peers, statuses = asked(context, Identities(), named[0])
    assert peers == [] and statuses == {404: 1}


def test_over_http_2_each_request_has_its_own_client_and_name(context: ssl.SSLContext) -> None:
    peers: list[Peer] = []
    sides = Sides(context)

    async def play(service: ScriptedService, listener: StreamListener) -> None:
        taken = service.answer_now

        def answer_now(octets: bytes, peer: Peer, now: float) -> Outcome:
            peers.append(peer)
            return taken(octets, peer, now)

        service.answer_now = answer_now  # type: ignore[method-assign]
        client = await http2(listener)
        for path, address in ((b"/dns-query/phones", b"203.0.113.5"), (b"/dns-query/tv", b"203.0.113.6")):
            number = ask_as(client, path, (b"x-forwarded-for", address))
            client.send()
            assert await client.answer(number)

    identities = Identities(names=ClientNames(in_path=True), trusted_proxies=TRUSTED)
    run(play, **sides.options, identities=identities)
    assert [(peer.address, peer.name) for peer in peers] == [
        (CLIENT, "phones"),
        (ip_address("203.0.113.6").packed, "tv"),
    ]
    assert sides.statuses == {200: 2}


def ask_as(client: Http2Client, path: bytes, *headers: tuple[bytes, bytes]) -> int:
    number = client.http.get_next_available_stream_id()
    own: list[Any] = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"dns.example"),
        (b":path", path),
        (b"content-type", MEDIA_TYPE),
        *headers,
    ]
    client.http.send_headers(number, own)
    client.http.send_data(number, query(1, b"quick"), end_stream=True)
    return number
