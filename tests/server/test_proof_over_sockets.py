"""A server over real sockets proves itself, and acknowledges what it proved: both engines."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resolver.audit.campaign import PAUSES_S
from resolver.audit.marking import marked
from resolver.audit.results import Status, load_last
from resolver.audit.secret import read_secret
from resolver.config.settings import load_settings
from resolver.observe.log import LogWriter
from resolver.observe.metrics import render
from resolver.server.acknowledge_child import NotKept, _rows_of
from resolver.server.acknowledge_child import run as prove
from resolver.server.acknowledge_job import ProofJob
from resolver.server.acknowledgements import prove_in_child
from resolver.server.audit_child import CannotAudit, served_now
from resolver.server.audit_child import run as audit
from resolver.server.audit_job import Moment
from resolver.server.audits import run_in_child
from resolver.server.server import Server
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.support.engines import engine_called

pytestmark = pytest.mark.loopback

BLOCKLIST = """\
version: 1
exchanges:
  acme: {name: Acme, domains: [acme.example, "=login.example", "*.cdn.example"]}
  ghost: {name: Ghost, domains: [ghost.example], mode: shadow}
lists:
  - {name: authority, path: authority.txt, format: domains}
"""
REGISTER = """\
version: 1
lists:
  - name: authority
    path: authority.csv
    format: {type: csv, columns: {id: id, name: name}}
"""


Maker = Callable[[], Server]
"""Makes a server inside a running loop."""
Serve = Callable[..., Maker]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever refuses is asked again after a tenth of the time: nobody here bounds a rate."""
    monkeypatch.setattr("resolver.audit.campaign.PAUSES_S", tuple(pause_s / 10 for pause_s in PAUSES_S))


@pytest.fixture(params=["python", "native"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    """Makes servers of one engine."""
    engine = engine_called(request.param)
    upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    upstream.bind(("127.0.0.1", 0))

    def make(blocklist: str = BLOCKLIST, **more: Any) -> Maker:
        settings = {
            "listen": {"dns": ["127.0.0.1:0", "127.0.0.2:0"], "http": None},
            "upstreams": {"servers": [f"udp://127.0.0.1:{upstream.getsockname()[1]}"]},
            "blocklist": "blocklist.yaml",
            "state_dir": "state",
            "threads": 1,
            **more,
        }
        (tmp_path / "blocklist.yaml").write_text(blocklist)
        if not (tmp_path / "authority.txt").exists():
            (tmp_path / "authority.txt").write_text("a.example\nb.example\n")
        (tmp_path / "resolver.yaml").write_text(json.dumps(settings))
        checked, problems = load_settings(tmp_path / "resolver.yaml")
        assert checked is not None, problems
        native = None if request.param == "python" else importlib.import_module("resolver_native")
        assert engine is not None
        writer = LogWriter(io.BytesIO())

        def made() -> Server:
            asyncio.get_running_loop().add_reader(upstream, answer_all, upstream)
            return Server(checked, engine=request.param, native=native, log_writer=writer)

        return made

    yield make
    upstream.close()


def answer_all(upstream: socket.socket) -> None:
    """Every name has one address, and no record of another type."""
    octets, client = upstream.recvfrom(4096)
    end = octets.index(0, 12) + 5
    is_address = octets[end - 4 : end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\x01\x2c\0\4\xc6\x33\x64\x01" if is_address else b""
    head = octets[:2] + b"\x81\x80\0\1" + bytes((0, is_address)) + bytes(4)
    upstream.sendto(head + octets[12:end] + answer, client)


def play(make: Maker, act: Callable[[Server], Awaitable[None]]) -> None:
    async def whole() -> None:
        server = make()
        await server.start()
        try:
            await act(server)
        finally:
            await server.stop()

    asyncio.run(whole())


def counts_of(server: Server) -> dict[str, float]:
    """Everything that queries are counted in, where it is not 0."""
    wanted = (
        "resolver_exchange_hits",
        "resolver_list_hits",
        "resolver_queries_total",
        "resolver_responses_total",
        "resolver_response_seconds_count",
        "resolver_cache_misses",
        "resolver_cache_hits",
        "resolver_dropped_total",
        "resolver_query_records_total",
    )
    lines = render(server.facts()).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(wanted))
    return {name: float(value) for name, value in pairs if float(value)}


async def ask(server: Server, name: str, secret: bytes | None, *, over_tcp: bool, edns: bool) -> bytes:
    host, port = server.dns_addresses[0]
    octets = encode_query(name_from_text(name), 1, id=7, dnssec_ok=False, checking_disabled=False, edns=edns)
    if secret is not None:
        octets = marked(octets, secret)
    if over_tcp:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(len(octets).to_bytes(2, "big") + octets)
        reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        writer.close()
        await writer.wait_closed()
        return reply
    loop = asyncio.get_running_loop()
    got: asyncio.Future[bytes] = loop.create_future()

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            got.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=(host, port))
    transport.sendto(octets)
    reply = await asyncio.wait_for(got, 10)
    transport.close()
    return reply


def test_the_secret_of_the_file_hides_queries_from_every_count_and_no_other_does(
    serve: Serve,
) -> None:
    make = serve(log={"queries": "all", "level": "error"})

    async def act(server: Server) -> None:
        secret = read_secret(server.settings.state_dir)
        assert secret is not None
        ways = [(over_tcp, edns) for over_tcp in (False, True) for edns in (False, True)]
        names = ["acme.example", "a.example", "miss.example"]
        # Until the server's own questions to its upstreams have ended.
        await ask(server, "warm.example", secret, over_tcp=False, edns=True)
        before = counts_of(server)
        answers = [
            await ask(server, name, secret, over_tcp=over_tcp, edns=edns)
            for name in names
            for over_tcp, edns in ways
        ]
        assert counts_of(server) == before
        assert server.facts().tallies.audited == len(answers) + 1
        wrong = secret[:-1] + bytes((secret[-1] ^ 1,))
        others = [
            await ask(server, name, wrong, over_tcp=over_tcp, edns=edns)
            for name in names[:2]
            for over_tcp, edns in ways
        ]
        assert others == answers[: len(others)]
        after = counts_of(server)
        assert after['resolver_exchange_hits_total{action="nxdomain",exchange="acme",mode="enforce"}'] == 4
        assert after['resolver_list_hits_total{action="nxdomain",list="authority",mode="enforce"}'] == 4
        assert server.facts().tallies.audited == len(answers) + 1

    play(make, act)


@pytest.mark.slow
def test_a_sound_server_is_clean_and_its_audit_is_counted_nowhere(serve: Serve, tmp_path: Path) -> None:
    make = serve()

    async def act(server: Server) -> None:
        before = counts_of(server)
        summary = await run_in_child(server._beside.audits.job())
        assert (summary.has_findings, summary.findings["uncovered"]) == (False, 0)
        assert (summary.counts["covered"], summary.counts["shadowed"]) == (5, 1)
        assert summary.questions > 100
        assert counts_of(server) == before
        assert server.facts().tallies.audited >= summary.questions
        last = load_last(tmp_path / "state")
        assert last is not None and {one.address for one in last.servers[0].listeners} == {
            f"{address.host}:{address.port}" for address in server.dns_addresses
        }

    play(make, act)


@pytest.mark.slow
def test_after_a_change_what_changed_is_asked_and_what_was_wrong(serve: Serve, tmp_path: Path) -> None:
    make = serve()

    async def act(server: Server) -> None:
        first = await audit(server._beside.audits.job())
        since = Moment(first.image, first.wall)
        nothing = await audit(server._beside.audits.job(since))
        assert (nothing.questions, nothing.has_findings) == (0, False)
        # An exception too wide: the exchange's own name is open.
        (tmp_path / "blocklist.yaml").write_text(f"{BLOCKLIST}allow: [acme.example]\n")
        await server._publisher.reload_if_changed(asked=True)
        await settled(server)
        wrong = await audit(server._beside.audits.job(since))
        assert wrong.findings["uncovered"] == 1
        assert "acme.example is uncovered" in wrong.told[0]
        last = load_last(tmp_path / "state", of_change=True)
        assert last is not None and {one.name for one in last.names} == {"acme.example"}
        # Another change elsewhere: what was wrong still is, and is not forgotten.
        (tmp_path / "authority.txt").write_text("a.example\nc.example\n")
        await server._publisher.reload_if_changed(asked=True)
        await settled(server)
        still = await audit(server._beside.audits.job(Moment(wrong.image, wrong.wall)))
        assert still.findings["uncovered"] == 1
        last = load_last(tmp_path / "state", of_change=True)
        assert last is not None
        assert {one.name: one.status for one in last.names if one.kind != "allow"} == {
            "acme.example": Status.UNCOVERED,
            "c.example": Status.COVERED,
        }

    play(make, act)


async def settled(server: Server) -> None:
    """Both planes judge by the policy that was published."""
    if server._native is not None and server._native._publishing is not None:
        await server._native._publishing


@pytest.mark.slow
def test_a_server_that_refuses_its_own_address_cannot_be_audited_and_says_so(
    serve: Serve,
) -> None:
    make = serve(clients={"allow": ["192.0.2.0/24"]})

    async def act(server: Server) -> None:
        with pytest.raises(CannotAudit, match="refuses everything"):
            await audit(server._beside.audits.job())
        assert load_last(server.settings.state_dir) is None

    play(make, act)


@pytest.mark.slow
def test_a_batch_is_proved_written_down_and_told(serve: Serve, tmp_path: Path) -> None:
    got = tmp_path / "got"
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ncat >> {got}\n")
    command.chmod(0o700)
    make = serve(acknowledge={"authority": {"command": [str(command)]}})

    async def act(server: Server) -> None:
        before = counts_of(server)
        job = ProofJob(["authority"], server._beside.audits.job())
        [proved] = await prove_in_child(job)
        assert (proved.has_batch, proved.unproved, proved.problem) == (True, 0, "")
        [one] = server._beside.acknowledgements._lists.values()
        server._beside.acknowledgements._deliver_soon(one)
        assert one.task is not None
        await one.task
        told = json.loads(got.read_text())
        assert told["added"] == [{"id": name, "rules": [name]} for name in ("a.example", "b.example")]
        assert (told["removed"], told["serial"], told["list"]) == ([], None, "authority")
        assert counts_of(server) == before
        [again] = await prove(job)
        assert (again.has_batch, again.problem) == (False, "")
        (tmp_path / "authority.txt").write_text("a.example\nc.example\n")
        await server._publisher.reload_if_changed(asked=True)
        await settled(server)
        await prove(job)
        server._beside.acknowledgements._deliver_soon(one)
        await one.task
        told = json.loads(got.read_text().splitlines()[1])
        assert [told["added"], told["removed"]] == [
            [{"id": "c.example", "rules": ["c.example"]}],
            [{"id": "b.example", "rules": ["b.example"]}],
        ]
        assert told["number"] == 2

    play(make, act)


@pytest.mark.slow
def test_what_an_exception_opens_is_never_acknowledged(serve: Serve) -> None:
    make = serve(f"{BLOCKLIST}allow: [a.example]\n")

    async def act(server: Server) -> None:
        [proved] = await prove(ProofJob(["authority"], server._beside.audits.job()))
        assert (proved.has_batch, proved.unproved) == (True, 1)
        assert "a.example is open: an exception opens it" in proved.problem

    play(make, act)


@pytest.mark.slow
def test_nothing_is_acknowledged_of_a_policy_that_another_server_should_serve(
    serve: Serve, tmp_path: Path
) -> None:
    make = serve()

    async def act(server: Server) -> None:
        # The note says more than what is served: a plane that did not take the new policy, say.
        served = server._publisher._on_publish
        server._publisher._on_publish = lambda policy: None
        (tmp_path / "authority.txt").write_text("a.example\nnew.example\n")
        await server._publisher.reload_if_changed(asked=True)
        [proved] = await prove(ProofJob(["authority"], server._beside.audits.job()))
        assert (proved.has_batch, proved.unproved) == (True, 1)
        assert "new.example is uncovered" in proved.problem
        server._publisher._on_publish = served

    play(make, act)


@pytest.mark.slow
def test_records_of_a_register_are_told_by_their_ids(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "authority.csv").write_text("id,name\nR-1,a.example\nR-1,b.example\nR-2,c.example\n")
    make = serve(REGISTER)

    async def act(server: Server) -> None:
        job = server._beside.audits.job()
        served = served_now(job, server._wall())
        rows = sorted(_rows_of("authority", served, tmp_path / "state"))
        assert {record for record, _ in rows} == {"R-1", "R-2"}
        for path in (tmp_path / "state" / "images").glob("*.records"):
            path.unlink()
        with pytest.raises(NotKept, match="cannot be read"):
            list(_rows_of("authority", served, tmp_path / "state"))
        [proved] = await prove(ProofJob(["authority"], job))
        assert not proved.has_batch and "cannot be read" in proved.problem

    play(make, act)
