"""The command `audit` against a running server, over real sockets."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from resolver.audit.asking import run_campaign
from resolver.audit.campaign import Asked, Campaign, Outcome
from resolver.audit.results import Kind, Status, load_last
from resolver.audit.targets import Target, Transport
from resolver.wire.encode import encode_query, encode_response
from resolver.wire.names import name_from_text
from resolver.wire.query import Query, parse_query
from tests.loopback.export_peers import running_upstream
from tests.loopback.process import free_port
from tests.loopback.server import ROOT, Server, running_server

pytestmark = [pytest.mark.loopback]

POLICY = """\
version: 1
orders:
  page: {authority: A, title: T, date: 2024-01-02, imposed_by: external, measure: {ipv4: 192.0.2.9, ipv6: "2001:db8::9"}, asks: [paged.example]}
exchanges:
  alpha: {name: Alpha, domains: [alpha.example, "=exact.example", "*.below.example"]}
  paged: {name: Paged, order: page, domains: [paged.example]}
  refused: {name: Refused, action: refused, domains: [refused.example]}
  dropped: {name: Dropped, action: drop, domains: [dropped.example]}
  later: {name: Later, from: 2099-01-01, domains: [later.example]}
allow: [ok.alpha.example]
protected: [safe.example]
"""


def audit(*arguments: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "resolver", "audit", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_upstream(tmp_path_factory.mktemp("upstream")) as port:
        yield port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: int) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    # An upstream that stands still for a moment is no finding of any of these.
    changes = {"upstreams": {"timeout_s": 10.0}}
    hosts = ("127.0.0.1", "::1")
    with running_server(directory, upstream, blocklist=POLICY, hosts=hosts, changes=changes) as server:
        yield server


@pytest.mark.needs("nsd")
def test_a_server_that_does_what_it_is_told_passes_on_every_listener(server: Server) -> None:
    code, output, error = audit("--config", server.settings_path, "--exchange", "alpha", "--json")
    result = json.loads(output)
    assert code == 0, (output, error)
    assert result["counts"]["covered"] == 3 and result["counts"]["uncovered"] == 0
    listeners = {one["transport"] + one["address"] for one in result["servers"][0]["listeners"]}
    assert listeners == {
        f"{transport}{host}:{server.port}" for transport in ("udp", "tcp") for host in ("127.0.0.1", "[::1]")
    }
    assert all(one["answered"] for one in result["servers"][0]["listeners"])


@pytest.mark.needs("nsd")
def test_the_whole_policy_passes_and_its_result_is_kept(server: Server) -> None:
    code, output, error = audit("--config", server.settings_path, "--qps", "500")
    # The protected names that come with the program are nowhere here: that is no finding.
    assert code == 0, (output, error)
    assert "paged.example" not in output and "1 pending" in output
    kept = load_last(server.directory / "state")
    assert kept is not None
    # That of a part does not take its place.
    assert audit("--config", server.settings_path, "--exchange", "alpha")[0] == 0
    assert load_last(server.directory / "state") == kept
    assert audit("--config", server.settings_path, "--order", "page")[0] == 0
    of_order = load_last(server.directory / "state", order="page")
    assert of_order is not None and of_order.names and load_last(server.directory / "state") == kept
    assert all("page" in name.orders for name in of_order.names)
    statuses = {name.written: name.status for name in kept.names if name.kind in ("exchange", "allow", "ask")}
    assert statuses == {
        "alpha.example": Status.COVERED,
        "=exact.example": Status.COVERED,
        "*.below.example": Status.COVERED,
        "paged.example": Status.COVERED,
        "=paged.example": Status.COVERED,
        "refused.example": Status.COVERED,
        "dropped.example": Status.COVERED,
        "later.example": Status.PENDING,
        "ok.alpha.example": Status.OPEN,
    }


@pytest.mark.needs("nsd")
def test_what_another_policy_blocks_is_uncovered_by_name(server: Server, tmp_path: Path) -> None:
    wider = tmp_path / "wider.yaml"
    wider.write_text(POLICY.replace("[alpha.example,", "[alpha.example, mirror.example,"))
    address = f"127.0.0.1:{server.port}"
    code, output, error = audit("--blocklist", wider, "--exchange", "alpha", "--server", address)
    assert code == 1 and "mirror.example" in output and "192.0.2.10" in output, (output, error)
    code, output, error = audit("--blocklist", wider, "--exchange", "alpha", "--server", address, "--junit")
    root = ElementTree.fromstring(output)
    failed = [case.attrib["name"] for case in root.iter("testcase") if case.find("failure") is not None]
    assert code == 1 and failed == ["mirror.example"], (output, error)


@pytest.mark.needs("nsd")
def test_a_server_and_its_upstream_stand_side_by_side(server: Server, upstream: int) -> None:
    here, there = f"127.0.0.1:{server.port}", f"127.0.0.1:{upstream}"
    code, output, _ = audit(
        "--config", server.settings_path, "--exchange", "paged", "--json", "--server", here, there
    )
    result: dict[str, Any] = json.loads(output)
    assert code == 1 and [one["name"] for one in result["servers"]] == [here, there]
    (name,) = result["names"]
    assert [proof["status"] for proof in name["proofs"]] == ["covered", "uncovered"]


@pytest.mark.needs("nsd")
def test_a_stale_server_is_found_by_name_and_by_its_files(upstream: int, tmp_path: Path) -> None:
    with running_server(tmp_path, upstream, blocklist=POLICY) as server:
        wider = tmp_path / "wider.yaml"
        wider.write_text(POLICY.replace("[alpha.example,", "[alpha.example, mirror.example,"))
        config = {**json.loads(server.settings_path.read_text()), "blocklist": "wider.yaml"}
        other = tmp_path / "other.yaml"
        other.write_text(json.dumps(config))
        # What serves was made of a file that is now broken: the server keeps the last good policy.
        server.replace_blocklist("version: 1\nexchanges: nonsense\n")
        code, output, error = audit("--config", other, "--exchange", "alpha", "--json")
    assert code == 1, error
    result = json.loads(output)
    assert {name["name"] for name in result["names"] if name["proofs"][0]["status"] == "uncovered"} == {
        "mirror.example"
    }
    (lag,) = result["lags"]
    assert lag["kind"] == "policy" and "blocklist.yaml" in lag["text"]


def test_nobody_at_the_address_is_unknown_and_exit_code_1(tmp_path: Path) -> None:
    blocklist = tmp_path / "blocklist.yaml"
    blocklist.write_text("version: 1\nexchanges:\n  a: {name: A, domains: [a.example]}\n")
    code, output, _ = audit(
        "--blocklist", blocklist, "--exchange", "a", "--server", f"127.0.0.1:{free_port()}"
    )
    assert code == 1 and "unknown" in output and "does not answer" in output


# The sockets alone.


def asked(count: int) -> Iterator[Asked[int]]:
    for number in range(count):
        name = name_from_text(f"site{number}.example")
        octets = encode_query(name, 1, id=0, dnssec_ok=False, checking_disabled=False, edns=True)
        yield Asked(number, octets)


def answer(octets: bytes) -> bytes:
    query = parse_query(octets)
    assert isinstance(query, Query)
    return encode_response(query, 3, limit=1232)


@asynccontextmanager
async def stream_server(questions_max: int, *, spoil: bytes = b"") -> AsyncIterator[int]:
    """A TCP server that ends each connection after so many questions."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(questions_max):
                length = int.from_bytes(await reader.readexactly(2), "big")
                sent = answer(await reader.readexactly(length))
                writer.write(spoil or len(sent).to_bytes(2, "big") + sent)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def ask_stream(count: int, questions_max: int, spoil: bytes = b"") -> list[Outcome[int]]:
    outcomes: list[Outcome[int]] = []

    async def go() -> None:
        async with stream_server(questions_max, spoil=spoil) as port:
            campaign: Campaign[int] = Campaign(
                asked(count), qps=5_000, seed=1, patience_s=(0.5, 0.5, 0.5), pauses_s=(0.01,)
            )
            await run_campaign(Target("127.0.0.1", port, Transport.TCP), campaign, outcomes.append)

    asyncio.run(go())
    return outcomes


@pytest.mark.parametrize("questions_max", [1, 7, 10_000])
def test_connections_that_end_early_cost_no_answer(questions_max: int) -> None:
    outcomes = ask_stream(200, questions_max)
    assert sorted(one.tag for one in outcomes) == list(range(200))
    assert all(one.message is not None for one in outcomes)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [(b"\0\0", Kind.GARBAGE), (b"\0\5garba", Kind.GARBAGE), (b"\xff\xffshort", Kind.CLOSED)],
)
def test_garbage_on_a_stream_is_named(spoil: bytes, kind: Kind) -> None:
    outcomes = ask_stream(3, 1, spoil)
    assert {one.failure for one in outcomes} == {kind}
