"""Downloads by way of redirects and names: which addresses are connected to, and which never."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from resolver.fetching.outcome import Result
from tests.support.list_place import LIST, OLD, Place, play, refused
from tests.support.list_server import (
    HOST,
    addresses,
    dns_server,
    ok,
    redirect,
    web_server,
)

pytestmark = pytest.mark.loopback

# Redirects.


def test_a_redirect_is_followed(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages |= {"/list": redirect("/a/b"), "/a/b": redirect("../c"), "/c": ok(LIST)}
        assert (await place.fetch()).result is Result.UPDATED

    play(tmp_path, story)


def test_a_ring_of_redirects_is_left(tmp_path: Path) -> None:
    outcome = refused(tmp_path, redirect("/list"), Result.REDIRECT)
    assert "more than 5" in outcome.message


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://lists.example/x",
        "gopher://127.0.0.1/x",
        "javascript:alert(1)",
        "http://127.0.0.1/list",
        "https://user:secret@127.0.0.1/",
        "//[::1",
        "",
    ],
)
def test_a_redirect_leads_to_https_and_nowhere_else(tmp_path: Path, location: str) -> None:
    refused(tmp_path, redirect(location), Result.REDIRECT)


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "[::1]", "[fe80::1]", "[::ffff:127.0.0.1]"],
)
def test_a_redirect_into_private_space_is_refused_unless_allowed(tmp_path: Path, target: str) -> None:
    async def story(place: Place) -> None:
        place.have(OLD)
        asked = len(place.web.requests)
        outcome = await place.fetch(f"https://{target}:{place.web.port}/list", allow_private=False)
        assert outcome.result is Result.ADDRESS and "not on the Internet" in outcome.message
        assert place.copy() == OLD and len(place.web.requests) == asked

    play(tmp_path, story)


# Addresses.


def test_a_host_is_resolved_by_the_bootstrap_servers_and_keeps_its_name(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(LIST)
        async with dns_server(addresses("127.0.0.1")) as dns:
            place.bootstrap = (dns.server,)
            # The certificate is for the name, so TLS proves that SNI and Host are the name's.
            assert (await place.fetch(host=HOST)).result is Result.UPDATED
        assert place.web.requests[0][1]["host"] == f"{HOST}:{place.web.port}"

    play(tmp_path, story)


def test_a_name_that_leads_home_is_refused_and_never_connected_to(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.have(OLD)
        async with dns_server(addresses("127.0.0.1", "::1", "10.1.2.3")) as dns:
            place.bootstrap = (dns.server,)
            outcome = await place.fetch(host=HOST, allow_private=False)
        assert outcome.result is Result.ADDRESS and "127.0.0.1" in outcome.message
        assert place.web.requests == [] and place.copy() == OLD

    play(tmp_path, story)


def test_an_answer_that_changes_after_the_check_changes_nothing(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        async with dns_server(addresses("127.0.0.1")) as dns:
            place.bootstrap = (dns.server,)
            place.web.pages["/list"] = ok(LIST)
            await place.fetch(host=HOST)
            # One question for each family: nobody asked again between the check and the connection.
            assert dns.asked == 2

    play(tmp_path, story)


def test_a_resolver_that_does_not_answer_is_a_reason_of_its_own(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.have(OLD)
        async with dns_server(lambda query: []) as dns:
            place.bootstrap = (dns.server,)
            closed = dns.port
        outcome = await place.fetch(host=HOST)
        assert outcome.result is Result.DNS and f"127.0.0.1 port {closed}" in outcome.message
        assert place.copy() == OLD

    play(tmp_path, story)


def test_the_second_bootstrap_server_is_asked_when_the_first_is_dead(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(LIST)
        async with dns_server(lambda query: []) as dead:
            pass
        async with dns_server(addresses("127.0.0.1")) as dns:
            place.bootstrap = (dead.server, dns.server)
            assert (await place.fetch(host=HOST)).result is Result.UPDATED

    play(tmp_path, story)


@pytest.mark.parametrize("forgery", ["id", "question"])
def test_a_forged_answer_is_not_believed(tmp_path: Path, forgery: str) -> None:
    honest = addresses()

    def say(query: bytes) -> list[bytes]:
        octets = bytearray(addresses("127.0.0.1")(query)[0])
        octets[0 if forgery == "id" else 14] ^= 1
        return [bytes(octets), *honest(query)]

    async def story(place: Place) -> None:
        async with dns_server(say) as dns:
            place.bootstrap = (dns.server,)
            outcome = await place.fetch(host=HOST)
        # After a near miss TCP is asked, where nobody listens here; the forged address is never used.
        assert outcome.result is Result.DNS and place.web.requests == []

    play(tmp_path, story)


def test_a_dead_server_is_a_reason_and_changes_nothing(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.have(OLD)
        async with web_server(tmp_path) as gone:
            pass
        outcome = await place.fetch(gone.url("/list"))
        assert outcome.result is Result.CONNECT and place.copy() == OLD

    play(tmp_path, story)


def test_a_certificate_nobody_vouches_for_is_no_proof(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.have(OLD)
        place.tls = ssl.create_default_context
        place.web.pages["/list"] = ok(LIST)
        outcome = await place.fetch()
        assert outcome.result is Result.CONNECT and "certificate" in outcome.message.lower()
        assert place.copy() == OLD and place.web.requests == []

    play(tmp_path, story)


def test_plain_http_is_for_what_proves_itself(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(LIST)
        assert (await place.fetch()).result is Result.REDIRECT
        assert (await place.fetch(sha256=hashlib.sha256(LIST).hexdigest())).result is Result.UPDATED

    play(tmp_path, story, tls=False)
