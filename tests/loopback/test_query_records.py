"""Sinks of query records of a running server: each query once in each, and never at the cost of an answer."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import jsonschema
import pytest

from resolver.sinks.schema import records_schema
from tests.loopback.process import patience_s, poll
from tests.loopback.server import BLOCKLIST, ROOT, Server
from tests.loopback.slow_upstream import SlowUpstream
from tests.loopback.test_flood import encoded
from tests.support.dnstap_reader import messages_in
from tests.support.list_server import HOST, ca_pem, serving
from tests.support.sink_receivers import CONTENT_TYPE, StreamReceiver, control, dnstap_receiver

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("serving_engine")]

KEY = "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301"
SECRET = """\
  hush:
    name: Hush Exchange
    order: order-2
    domains: [hush.example]
"""
BURST = 100


@pytest.fixture
def upstream() -> Iterator[SlowUpstream]:
    with SlowUpstream() as upstream:
        yield upstream


def sink(kind: str, to: object, name: str = "one", **changes: object) -> dict[str, object]:
    return {"name": name, "type": kind, "to": str(to), "queries": "all", "clients": "full", **changes}


def recording_server(
    folder: Path, upstream: SlowUpstream, *sinks: dict[str, object], **options: Any
) -> Server:
    changes = {"log": {"level": "warning"}, "query_records": list(sinks)}
    return Server(folder, upstream_ports=(upstream.port,), changes=changes, **options)


def stop(server: Server) -> None:
    server.send(signal.SIGTERM)
    assert server.wait_for_end() == 0


Told = tuple[str, str, str, str, str]


def ask_some(server: Server) -> Counter[Told]:
    """One query of each kind, and two of some; what each sink must say of them."""
    for _ in range(2):
        server.ask("www.blocked.example.net")
        server.ask("www.example.org")
        server.ask("www.alpha.example", "AAAA", tcp=True)
    server.ask("www.Blocked.example.net", "TYPE4660")
    return Counter(
        {
            ("udp", "www.blocked.example.net", "A", "NXDOMAIN", "policy"): 2,
            ("udp", "www.example.org", "A", "NOERROR", "upstream"): 1,
            ("udp", "www.example.org", "A", "NOERROR", "cache"): 1,
            ("tcp", "www.alpha.example", "AAAA", "NXDOMAIN", "policy"): 2,
            ("udp", "www.blocked.example.net", "TYPE4660", "NXDOMAIN", "policy"): 1,
        }
    )


def lines_in(octets: bytes) -> list[dict[str, Any]]:
    """Lines of JSON, each whole and as the schema has it."""
    lines = [json.loads(line) for line in octets.splitlines()]
    validator = jsonschema.Draft202012Validator(records_schema())
    for line in lines:
        validator.validate(line)
    return lines


def told_by_lines(octets: bytes) -> Counter[Told]:
    return Counter(
        (line["transport"], line["qname"], line["qtype"], line["rcode"], line["source"])
        for line in lines_in(octets)
    )


def told_by_dnstap(messages: list[dict[str, Any]]) -> Counter[Told]:
    told: Counter[Told] = Counter()
    for each in messages:
        message, extra = each["message"], json.loads(each["extra"])
        assert message["type"] == 6
        response = dns.message.from_wire(message["response_message"])
        query = dns.message.from_wire(message["query_message"])
        assert response.id == query.id and response.question == query.question
        question = query.question[0]
        assert dns.rcode.to_text(response.rcode()) == extra["rcode"]
        name = question.name.to_text(omit_final_dot=True).lower()
        told[
            (
                {1: "udp", 2: "tcp"}[message["socket_protocol"]],
                name,
                dns.rdatatype.to_text(question.rdtype),
                extra["rcode"],
                extra["source"],
            )
        ] += 1
    return told


def told_by_syslog(octets: bytes) -> Counter[Told]:
    told: Counter[Told] = Counter()
    for message in re.findall(rb"<30>1 [^<]*", octets):
        fields = dict(re.findall(r' ([a-z_]+)="([^"]*)"', message.decode()))
        told[(fields["transport"], fields["qname"], fields["qtype"], fields["rcode"], fields["source"])] += 1
    return told


def test_every_sink_says_every_query_once_to_the_last(upstream: SlowUpstream, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(ca_pem())
    with (
        dnstap_receiver(tmp_path / "tap") as tap,
        StreamReceiver() as tcp,
        StreamReceiver(tls=serving(tmp_path)) as tls,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(5.0)
        tls_to = f"tls://127.0.0.1:{tls.port}#{HOST}"
        with recording_server(
            tmp_path,
            upstream,
            sink("jsonl", "lines.jsonl", "lines"),
            sink("dnstap", "frames.dnstap", "frames"),
            sink("dnstap", f"unix:{tmp_path / 'tap'}", "tap"),
            sink("syslog", f"tcp://127.0.0.1:{tcp.port}", "tcp"),
            sink("syslog", tls_to, "tls", tls_ca="ca.pem"),
            sink("syslog", f"udp://127.0.0.1:{udp.getsockname()[1]}", "udp"),
        ) as server:
            wanted = ask_some(server)
            datagrams = b"".join(udp.recv(10_000) for _ in range(wanted.total()))
            # At once: what waits is passed on before the end.
            server.ask("last.blocked.example.net")
            wanted[("udp", "last.blocked.example.net", "A", "NXDOMAIN", "policy")] = 1
            stop(server)
            datagrams += udp.recv(10_000)
        frames = tap.wait_for(control(3)).removeprefix(control(4, CONTENT_TYPE))
        assert told_by_lines((tmp_path / "lines.jsonl").read_bytes()) == wanted
        in_file = (tmp_path / "frames.dnstap").read_bytes()
        assert told_by_dnstap(messages_in(in_file, is_file=True)) == wanted
        assert told_by_dnstap(messages_in(frames, is_file=True)) == wanted
        assert told_by_syslog(tcp.wait_for(b"last.")) == wanted
        assert told_by_syslog(tls.wait_for(b"last.")) == wanted
        assert told_by_syslog(datagrams) == wanted


def test_each_sink_has_its_own_queries_and_clients_and_the_log_its_own(
    upstream: SlowUpstream, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    sinks = [
        sink("jsonl", "all.jsonl", "all", clients="encrypted", key_file="key"),
        sink("jsonl", "blocked.jsonl", "blocked", queries="blocked", clients="network"),
        sink("jsonl", "hidden.jsonl", "hidden", clients="hidden"),
        sink("jsonl", "none.jsonl", "none", queries="none"),
    ]
    changes = {
        "log": {
            "level": "warning",
            "format": "json",
            "queries": "blocked",
            "clients": "encrypted",
            "key_file": "key",
        },
        "query_records": sinks,
    }
    with Server(tmp_path, upstream_ports=(upstream.port,), changes=changes) as server:
        wanted = ask_some(server)
        blocked = Counter({told: count for told, count in wanted.items() if told[-1] == "policy"})
        stop(server)
        log = server.stderr().encode()
    contents = {name: (tmp_path / f"{name}.jsonl").read_bytes() for name in ("all", "blocked", "hidden")}
    assert told_by_lines(contents["all"]) == told_by_lines(contents["hidden"]) == wanted
    assert told_by_lines(contents["blocked"]) == blocked
    assert not (tmp_path / "none.jsonl").exists()
    logged = [json.loads(line) for line in log.splitlines()]
    assert len(logged) == blocked.total()
    # 127.0.0.1 by this key.
    encrypted = {line["client"] for line in lines_in(contents["all"])}
    assert encrypted == {line["client"] for line in logged} == {"237.243.206.205"}
    assert {line["client"] for line in lines_in(contents["blocked"])} == {"127.0.0.0/24"}
    assert b"127.0.0" not in contents["all"] + contents["hidden"] + log


def test_nothing_is_recorded_of_what_is_confidential(upstream: SlowUpstream, tmp_path: Path) -> None:
    order = '  order-2: {authority: "Nobody", title: "No", reference: "Secret 1", date: 2024-01-02, imposed_by: external, confidential: true}\n'
    blocklist = BLOCKLIST.replace("exchanges:\n", order + "exchanges:\n" + SECRET)
    with recording_server(
        tmp_path,
        upstream,
        sink("jsonl", "lines.jsonl", "lines"),
        sink("dnstap", "frames.dnstap", "frames"),
        blocklist=blocklist,
    ) as server:
        assert server.ask("www.hush.example").rcode() == dns.rcode.NXDOMAIN
        server.ask("www.example.org")
        stop(server)
    written = (tmp_path / "lines.jsonl").read_bytes() + (tmp_path / "frames.dnstap").read_bytes()
    assert b"hush" not in written and b"Secret" not in written
    assert [line["qname"] for line in lines_in((tmp_path / "lines.jsonl").read_bytes())] == [
        "www.example.org"
    ]


def ask_bursts(server: Server, bursts: int) -> None:
    """Blocked names, every one of which is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        client.connect(("127.0.0.1", server.port))
        client.settimeout(patience_s(5.0))
        for burst in range(bursts):
            for number in range(BURST):
                client.send(encoded(f"n{burst}-{number}.blocked.example.net"))
            for _ in range(BURST):
                assert client.recv(4096)[3] & 15 == dns.rcode.NXDOMAIN


def wait_for_written(server: Server, name: str, count: int) -> None:
    """Until so many records went out; a stopping server has a quarter of a second for what waits."""
    poll(
        lambda: server.metric("resolver_query_records_total", sink=name) == count,
        timeout_s=20.0,
        what=f"{count} records are written by {name}",
    )


def remark_of(server: Server) -> str:
    _, body = server.page("/readyz")
    remark = json.loads(body).get("remarks", {}).get("query_records", "")
    assert isinstance(remark, str)
    return remark


@pytest.mark.slow
def test_a_reader_that_stands_still_costs_records_and_no_answer(
    upstream: SlowUpstream, tmp_path: Path
) -> None:
    with (
        dnstap_receiver(tmp_path / "tap", reads=False),
        recording_server(
            tmp_path,
            upstream,
            sink("dnstap", f"unix:{tmp_path / 'tap'}", "tap"),
            sink("jsonl", "q.jsonl", "lines"),
        ) as server,
    ):
        asked = 0

        def lost() -> float:
            return server.metric("resolver_query_records_lost_total", sink="tap")

        # No sooner than the other sink has them: on a busy machine it would lose some, too, as it must.
        while not lost():
            ask_bursts(server, 50)
            asked += 50 * BURST
            wait_for_written(server, "lines", asked)
            assert asked < 200_000
        assert server.metric("resolver_dropped_total", reason="ring_full") == 0
        poll(
            lambda: remark_of(server) == "tap: its reader takes nothing",
            timeout_s=15.0,
            what="the readiness page says so",
        )
        assert server.metric("resolver_query_records_sink_up", sink="tap") == 0
        assert server.metric("resolver_query_records_sink_up", sink="lines") == 1
        assert server.metric("resolver_query_records_lost_total", sink="lines") == 0
        stop(server)
    assert len((tmp_path / "q.jsonl").read_bytes().splitlines()) == asked


def test_a_reader_that_dies_and_comes_back_gets_what_waited(upstream: SlowUpstream, tmp_path: Path) -> None:
    path = tmp_path / "tap"
    with recording_server(tmp_path, upstream, sink("dnstap", f"unix:{path}", "tap")) as server:
        assert remark_of(server) == "tap: No such file or directory"
        assert server.metric("resolver_query_records_sink_up", sink="tap") == 0
        server.ask("before.blocked.example.net")
        with dnstap_receiver(path) as receiver:
            receiver.wait_for(b"before")
            poll(lambda: not remark_of(server), timeout_s=5.0, what="the readiness page says no more")
        path.unlink()
        poll(lambda: remark_of(server), timeout_s=5.0, what="its end is seen though nothing is sent")
        server.ask("meanwhile.blocked.example.net")
        with dnstap_receiver(path) as receiver:
            receiver.wait_for(b"meanwhile")
            poll(
                lambda: server.metric("resolver_query_records_total", sink="tap") == 2,
                timeout_s=5.0,
                what="both are counted",
            )
            assert server.metric("resolver_query_records_lost_total", sink="tap") == 0
        assert "query records do not reach their reader" in server.stderr()


def test_a_full_disk_costs_records_and_no_answer_and_mends_itself(
    upstream: SlowUpstream, tmp_path: Path
) -> None:
    path = tmp_path / "q.jsonl"
    with recording_server(tmp_path, upstream, sink("jsonl", path, "lines")) as server:
        server.ask("first.blocked.example.net")
        poll(path.exists, timeout_s=5.0, what="the file is there")
        limits = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1000, limits[1]))
        ask_bursts(server, 1)
        poll(lambda: "File too large" in remark_of(server), timeout_s=5.0, what="the readiness page says so")
        assert server.metric("resolver_query_records_sink_up", sink="lines") == 0
        assert path.read_bytes().endswith(b"}\n")
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)
        poll(
            lambda: server.metric("resolver_query_records_total", sink="lines") == BURST + 1,
            timeout_s=40.0,
            what="what waited is written",
        )
        stop(server)
    assert len(lines_in(path.read_bytes())) == BURST + 1


def test_a_file_that_logrotate_renames_is_followed(upstream: SlowUpstream, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    with recording_server(tmp_path, upstream, sink("jsonl", path, "lines")) as server:
        server.ask("first.blocked.example.net")
        poll(lambda: path.exists() and path.stat().st_size, timeout_s=5.0, what="a line is written")
        path.rename(tmp_path / "q.jsonl.1")
        poll(path.exists, timeout_s=5.0, what="a new file is made")
        server.ask("second.blocked.example.net")
        stop(server)
    old, new = lines_in((tmp_path / "q.jsonl.1").read_bytes()), lines_in(path.read_bytes())
    assert [line["qname"] for line in (*old, *new)] == [
        "first.blocked.example.net",
        "second.blocked.example.net",
    ]


@pytest.mark.needs("logrotate")
def test_the_shipped_file_for_logrotate_turns_all_kinds_of_files(
    upstream: SlowUpstream, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o750)
    shipped = (ROOT / "packaging/logrotate/exchange-resolver").read_text()
    assert "/var/log/exchange-resolver" in shipped

    def have(name: bytes) -> bool:
        return all(name in (logs / each).read_bytes() for each in ("q.jsonl", "q.dnstap"))

    rules = tmp_path / "rules"
    rules.write_text(shipped.replace("/var/log/exchange-resolver", str(logs)))
    rules.chmod(0o644)
    with recording_server(
        tmp_path,
        upstream,
        sink("jsonl", logs / "q.jsonl", "lines"),
        sink("dnstap", logs / "q.dnstap", "frames"),
    ) as server:
        for name in ("first", "second"):
            server.ask(f"{name}.blocked.example.net")
            poll(
                partial(have, name.encode()),
                timeout_s=5.0,
                what="it is written",
            )
            if name == "first":
                command = ["logrotate", "--force", "--state", str(tmp_path / "logrotate.state"), str(rules)]
                assert subprocess.run(command, capture_output=True, check=True).stderr == b""
                poll(
                    lambda: (logs / "q.jsonl").exists() and (logs / "q.dnstap").exists(),
                    timeout_s=5.0,
                    what="new files are made",
                )
        stop(server)
    for path, wanted in ((logs / "q.dnstap.1", b"first"), (logs / "q.dnstap", b"second")):
        [message] = messages_in(path.read_bytes(), is_file=True)
        assert wanted in message["message"]["query_message"]


def test_a_file_turns_by_itself_and_no_record_is_lost(upstream: SlowUpstream, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    with recording_server(tmp_path, upstream, sink("jsonl", path, "lines", rotate_mb=1, keep=100)) as server:
        ask_bursts(server, 60)
        wait_for_written(server, "lines", 60 * BURST)
        stop(server)
    files = sorted(tmp_path.glob("q.jsonl*"))
    assert len(files) >= 2
    assert sum(len(each.read_bytes().splitlines()) for each in files) == 60 * BURST


@pytest.mark.parametrize(("mode", "content"), [(0o644, KEY), (0o600, "no key"), (None, "")])
def test_a_key_that_cannot_be_used_stops_the_start_with_file_line_and_remedy(
    upstream: SlowUpstream, tmp_path: Path, mode: int | None, content: str
) -> None:
    if mode is not None:
        (tmp_path / "key").write_text(content)
        (tmp_path / "key").chmod(mode)
    server = recording_server(
        tmp_path, upstream, sink("jsonl", "q.jsonl", clients="encrypted", key_file="key")
    )
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        assert server.wait_for_end() == 2
    said = server.stderr()
    line = 1 + server.settings_path.read_text().splitlines().index('   "key_file": "key"')
    assert re.search(
        rf"resolver\.yaml:{line}: .*query_records\.key_file: .*(chmod 600|openssl rand)", said
    ), said
    assert KEY not in said


# Readers that others wrote.


@pytest.mark.needs("dnstap-ldns", "dnstap", "fstrm_capture")
def test_readers_of_others_read_what_a_socket_and_a_file_were_given(
    upstream: SlowUpstream, tmp_path: Path
) -> None:
    captured = tmp_path / "captured.dnstap"
    capture = subprocess.Popen(
        ["fstrm_capture", "-t", CONTENT_TYPE.decode(), "-u", str(tmp_path / "tap"), "-w", str(captured)],
        stderr=subprocess.DEVNULL,
    )
    try:
        poll((tmp_path / "tap").exists, timeout_s=5.0, what="fstrm_capture listens")
        with recording_server(
            tmp_path,
            upstream,
            sink("dnstap", f"unix:{tmp_path / 'tap'}", "tap"),
            sink("dnstap", "q.dnstap", "file"),
        ) as server:
            wanted = ask_some(server)
            poll(
                lambda: server.metric("resolver_query_records_total", sink="tap") == wanted.total(),
                timeout_s=5.0,
                what="all are passed on",
            )
            stop(server)
    finally:
        capture.terminate()
        capture.wait()
    for path in (captured, tmp_path / "q.dnstap"):
        for reader in ("dnstap-ldns", "dnstap"):
            command = [shutil.which(reader) or reader, "-y", "-r", str(path)]
            read = subprocess.run(command, capture_output=True, check=True)
            text = read.stdout.decode()
            assert text.count("type: CLIENT_RESPONSE") == wanted.total()
            assert len(re.findall(r"(?:status|rcode): NXDOMAIN", text)) == 5
            assert len(re.findall(r'query_address: "?127\.0\.0\.1', text)) == wanted.total()
            assert "error" not in read.stderr.decode().lower()


def test_many_clients_at_once_lose_no_record_in_any_sink(upstream: SlowUpstream, tmp_path: Path) -> None:
    with recording_server(
        tmp_path, upstream, sink("jsonl", "q.jsonl", "lines"), sink("dnstap", "q.dnstap", "frames")
    ) as server:
        threads = [threading.Thread(target=ask_bursts, args=(server, 10)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in ("lines", "frames"):
            wait_for_written(server, name, 40 * BURST)
        stop(server)
    assert len(lines_in((tmp_path / "q.jsonl").read_bytes())) == 40 * BURST
    assert len(messages_in((tmp_path / "q.dnstap").read_bytes(), is_file=True)) == 40 * BURST
