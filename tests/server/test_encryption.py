"""Encrypted listeners of the whole server in this process: certificates, ports that are taken, what is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from resolver.certificates.making import make_pair
from resolver.certificates.pair import read_pair
from resolver.config.settings import load_settings
from resolver.listeners.address import SocketAddress
from resolver.observe.facts import Facts
from resolver.server.designating import Designation
from resolver.server.encryption import Encryption
from resolver.server.server import CannotStart, Server
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.support.served import make_server, play, taken, until

pytestmark = pytest.mark.loopback


PAIR = {"certificate": "dns.pem", "key": "dns.key"}


def write_pair(folder: Path, *names: str, days: int = 90) -> None:
    chain, key = make_pair(names or ["dns.example"], [], time.time(), days=days)
    (folder / "dns.pem").write_bytes(chain)
    (folder / "dns.key").write_bytes(key)
    (folder / "dns.key").chmod(0o600)


async def ask(address: SocketAddress, name: str, protocol: str = "dot") -> tuple[bytes, Any]:
    """The reply over TLS, and the certificate behind it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="dns.example")
    query = encode_query(name_from_text(name), 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True)
    writer.write(len(query).to_bytes(2, "big") + query)
    reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return reply, der


def encrypted(server: Server, key: str) -> SocketAddress:
    [address] = [address for name, address in server._endpoints.encrypted if name == key]
    return address


def test_encrypted_listeners_are_told_in_the_ready_line_and_asked(tmp_path: Path) -> None:
    write_pair(tmp_path)

    async def act() -> None:
        server = make_server(tmp_path, pair=PAIR, tls=["127.0.0.1:0"], https=["127.0.0.1:0"])
        await server.start()
        tls, https = encrypted(server, "tls"), encrypted(server, "https")
        assert f", tls 127.0.0.1:{tls.port}, https 127.0.0.1:{https.port}, http" in server.describe()
        assert server.description()["tls"] == [f"127.0.0.1:{tls.port}"]
        reply, _ = await ask(tls, "acme.example")
        assert reply[:2] == b"\0\7" and reply[3] & 15 == 3
        facts = server.facts()
        assert sum(facts.tls.sessions.values()) == 1 and not any(facts.tls.failures.values())
        assert facts.certificates.ends_at is not None
        assert set(facts.connections.by_transport) == {"tcp", "tls", "https"}
        assert set(facts.https_responses) >= {"200", "400", "404", "405", "413", "414", "415", "431"}
        await server.stop()

    play(act)


def test_a_taken_port_of_tls_keeps_nobody_from_plain_dns_and_is_served_when_it_is_free(
    tmp_path: Path, impatient: None
) -> None:
    write_pair(tmp_path)

    async def act() -> None:
        with taken(socket.SOCK_STREAM) as (sock, address):
            server = make_server(tmp_path, pair=PAIR, tls=[address])
            await server.start()
            assert server.health.is_ready and len(server.dns_addresses) == 1
            assert f"listen.tls: {address}: cannot listen" in server.facts().health.remarks["listen"]
            sock.close()
            await until(lambda: bool(server._endpoints.encrypted))
        assert "listen" not in server.facts().health.remarks
        assert (await ask(encrypted(server, "tls"), "acme.example"))[0][:2] == b"\0\7"
        await server.stop()

    play(act)


@pytest.mark.parametrize("spoil", ["missing", "mixed"])
def test_a_start_without_a_pair_that_can_be_used_is_refused(tmp_path: Path, spoil: str) -> None:
    write_pair(tmp_path)
    if spoil == "missing":
        (tmp_path / "dns.key").unlink()
    else:
        (tmp_path / "dns.key").write_bytes(make_pair(["x.example"], [], time.time())[1])

    async def act() -> None:
        server = make_server(tmp_path, pair=PAIR, tls=["127.0.0.1:0"])
        with pytest.raises(CannotStart) as caught:
            await server.start()
        assert "dns.key: " in caught.value.reasons[0] and not caught.value.may_pass

    play(act)


def test_an_expired_certificate_is_served_and_remarked_on(tmp_path: Path) -> None:
    chain, key = make_pair(["dns.example"], [], time.time() - 40 * 86_400, days=30)
    (tmp_path / "dns.pem").write_bytes(chain)
    (tmp_path / "dns.key").write_bytes(key)

    async def act() -> None:
        server = make_server(tmp_path, pair=PAIR, tls=["127.0.0.1:0"])
        await server.start()
        assert "dns.pem has expired on" in server.facts().health.remarks["certificates"]
        assert (await ask(encrypted(server, "tls"), "acme.example"))[0][:2] == b"\0\7"
        await server.stop()

    play(act)


# The other plane.


class Plane:
    """Takes certificates, or refuses them."""

    def __init__(self) -> None:
        self.taken: list[list[tuple[bytes, bytes]]] = []
        self.refusal = ""

    def set_certificates(self, pairs: list[tuple[bytes, bytes]]) -> None:
        if self.refusal:
            raise ValueError(self.refusal)
        self.taken.append(pairs)


def make_encryption(folder: Path) -> Encryption:
    path = folder / "resolver.yaml"
    path.write_text(
        "listen: {tls: ['127.0.0.1:853']}\n"
        "tls: {certificate: dns.pem, key: dns.key, more: [{certificate: more/dns.pem, key: more/dns.key}]}\n"
    )
    settings, _ = load_settings(path)
    assert settings is not None
    return Encryption(settings, time.time, lambda pairs: None)


def test_the_other_plane_gets_the_set_at_its_start_and_at_each_swap(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    write_pair(tmp_path)
    write_pair(tmp_path / "more", "other.example")

    async def act() -> None:
        encryption, plane = make_encryption(tmp_path), Plane()
        await encryption.start()
        encryption.serve_by(plane)
        assert [len(pairs) for pairs in plane.taken] == [2]
        write_pair(tmp_path)
        await encryption._keeper.look()
        assert plane.taken[1][0] == ((tmp_path / "dns.pem").read_bytes(), (tmp_path / "dns.key").read_bytes())
        assert plane.taken[1][1] == plane.taken[0][1]
        await encryption.close()

    asyncio.run(act())


def test_what_the_other_plane_refuses_is_served_by_neither(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    write_pair(tmp_path)
    write_pair(tmp_path / "more", "other.example")

    async def act() -> None:
        encryption, plane = make_encryption(tmp_path), Plane()
        await encryption.start()
        encryption.serve_by(plane)
        before = encryption._keeper.pairs
        plane.refusal = "certificate 2: cannot be used: odd"
        write_pair(tmp_path / "more", "other.example")
        await encryption._keeper.look()
        await encryption._keeper.look()
        assert encryption._keeper.pairs == before
        assert encryption.remark.endswith(
            "more/dns.pem: the native plane does not take it: certificate 2: cannot be used: odd"
        )
        facts = encryption.told_of(Facts(), None).certificates
        assert (facts.is_stale, facts.failures, facts.successes) == (True, 1, 0)
        plane.refusal = ""
        await encryption._keeper.look()
        assert encryption._keeper.pairs != before and encryption.remark == ""
        await encryption.close()

    asyncio.run(act())


def test_who_comes_while_files_are_read_gets_what_they_became(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    write_pair(tmp_path)
    write_pair(tmp_path / "more", "other.example")

    async def act() -> None:
        encryption, plane = make_encryption(tmp_path), Plane()
        await encryption.start()
        write_pair(tmp_path)
        pairs, commit = await encryption._keeper._read()
        encryption.serve_by(plane)
        encryption._keeper._serve(pairs, commit)
        served = [(pair.chain, pair.key) for pair in encryption._keeper.pairs]
        assert plane.taken[-1] == served != plane.taken[0]
        await encryption.close()

    asyncio.run(act())


# Who is told of listeners (RFC 9462).


def test_a_listener_whose_address_is_gone_is_told_of_no_more(tmp_path: Path) -> None:
    path = tmp_path / "resolver.yaml"
    path.write_text("ddr: {name: dns.example}\n")
    settings, _ = load_settings(path)
    assert settings is not None
    told: list[list[bytes]] = []

    class Clients:
        def designate(self, name: bytes, rdatas: list[bytes]) -> None:
            told.append(rdatas)

    designation = Designation(settings)
    designation.on_certificates([read_pair(*make_pair(["dns.example"], [], time.time()))])
    designation.tell(Clients())
    one, other = SocketAddress("192.0.2.1", 853), SocketAddress("192.0.2.2", 853)
    designation.on_listener("tls", one, True)
    designation.on_listener("tls", other, True)
    both = told[-1]
    designation.on_listener("tls", other, False)
    designation.on_listener("tls", other, False)
    [record] = told[-1]
    assert b"\xc0\0\x02\x01" in record and b"\xc0\0\x02\x02" not in record
    designation.on_listener("tls", other, True)
    assert told[-1] == both
    for address in (one, other):
        designation.on_listener("tls", address, False)
    assert told[-1] == []


def test_endpoints_say_when_an_address_goes_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(tmp_path)
    told: list[bool] = []

    async def act() -> None:
        server = make_server(tmp_path, pair=PAIR, tls=["127.0.0.1:0"])
        await server.start()
        endpoints = server._endpoints
        endpoints.on_encrypted = lambda key, address, is_here: told.append(is_here)
        [wanted] = [wanted for wanted in endpoints._bound if wanted.key == "tls"]
        for is_here in (False, False, True):
            monkeypatch.setattr("resolver.server.endpoints.is_here", lambda host, is_here=is_here: is_here)
            endpoints._look_at(wanted)
        await server.stop()

    play(act)
    assert told == [False, True]
