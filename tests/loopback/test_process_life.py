"""How the process starts, stops, and holds its port."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from resolver.children import NICE, NICE_MAX
from resolver.cli.files import EXIT_MAY_PASS
from resolver.cli.starter import THREAD as STARTER
from resolver.plane import THREADS
from tests.loopback.process import poll
from tests.loopback.server import ROOT, Server, running_server
from tests.loopback.slow_upstream import SlowUpstream

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

SHUTDOWN_S_MAX = 2.0


def test_the_ready_line_says_where_and_what(tmp_path: Path) -> None:
    with Server(tmp_path, upstream_ports=(9,), hosts=("127.0.0.1", "::1")) as server:
        line = server.wait_until_ready()
        assert f"127.0.0.1:{server.port}" in line
        assert f"[::1]:{server.port}" in line
        assert "4 exchanges" in line
        assert line.endswith(("engine native", "engine python"))
        assert len(server.stdout().splitlines()) == 1


def test_with_json_logs_all_that_it_prints_is_json(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "first", changes={"log": {"format": "json"}}) as server,
        SlowUpstream() as upstream,
        Server(
            tmp_path / "other", upstream_ports=(upstream.port,), changes={"log": {"format": "json"}}
        ) as other,
    ):
        ready = json.loads(server.wait_until_ready())
        assert ready["event"] == "ready" and ready["level"] == "info" and "time" in ready
        assert ready["dns"] == f"127.0.0.1:{server.port}" and ready["http"] == f"127.0.0.1:{server.http_port}"
        assert (ready["exchanges"], ready["engine"] in ("native", "python")) == (4, True)
        third = Server(tmp_path / "third", port=server.port, changes={"log": {"format": "json"}})
        third.start()
        try:
            third.wait_for_end(20.0)
        finally:
            third.stop()
        lines = [json.loads(line) for line in third.stderr().splitlines()]
        assert any("another program" in line["event"] for line in lines if line["level"] == "error")
        # Each upstream was asked, too, and the log says what came of it.
        other.wait_for(lambda: "answers, in " in other.stderr(), "the time of the first question")
        server.wait_for(lambda: "no upstream is left" in server.stderr(), "the word on the upstreams")
        status, body = server.page("/readyz")
        assert status == 200 and "no upstream is left" in json.loads(body)["remarks"]["upstreams"]
        assert server.metric("resolver_upstream_up") == 0.0 and other.metric("resolver_upstream_up") == 1.0


@pytest.mark.parametrize(("engine", "queries"), [("python", "none"), ("native", "none"), ("native", "all")])
def test_threads_that_answer_go_before_all_others(tmp_path: Path, engine: str, queries: str) -> None:
    if engine == "native":
        pytest.importorskip("resolver_native", reason="the native plane is not built")
    with Server(tmp_path, changes={"engine": engine, "log": {"queries": queries}}) as server:
        server.wait_until_ready()
        # The threads stand back just before the ready line, new ones come after it.
        server.metrics()
        niceness = {"plane": set[int](), "others": set[int]()}
        slices = set()
        for task in Path(f"/proc/{server.pid}/task").iterdir():
            # One may end meanwhile.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name = (task / "comm").read_text().strip()
                if name == STARTER:
                    # What it starts is a server, and must not stand back as our children do.
                    assert os.getpriority(os.PRIO_PROCESS, int(task.name)) == os.getpriority(
                        os.PRIO_PROCESS, 0
                    )
                    continue
                is_plane = name.startswith(THREADS)
                whose = niceness["plane" if is_plane else "others"]
                whose.add(os.getpriority(os.PRIO_PROCESS, int(task.name)))
                if is_plane:
                    slices.add((name.rpartition("-")[0], _slice_ns(int(task.name))))
    here = os.getpriority(os.PRIO_PROCESS, 0)
    if engine == "python":
        assert niceness == {"plane": set(), "others": {here}}
    else:
        assert niceness == {"plane": {here}, "others": {min(here + NICE, NICE_MAX)}}
        release = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])
        assert slices == {("dns-udp", 100_000), ("dns-stream", 3_000_000)} or release < (6, 12)


@pytest.mark.parametrize("strategy", ["fastest", "random"])
def test_where_python_asks_the_upstreams_its_threads_do_not_stand_back(tmp_path: Path, strategy: str) -> None:
    pytest.importorskip("resolver_native", reason="the native plane is not built")
    scheme = "https" if strategy == "fastest" else "udp"
    upstreams = {"servers": [f"{scheme}://127.0.0.1:{'1/dns-query' if scheme == 'https' else 1}"]}
    changes = {"engine": "native", "upstreams": {**upstreams, "strategy": strategy}}
    with Server(tmp_path, changes=changes) as server:
        server.wait_until_ready()
        here = os.getpriority(os.PRIO_PROCESS, 0)
        tasks = [int(task.name) for task in Path(f"/proc/{server.pid}/task").iterdir()]
        assert {os.getpriority(os.PRIO_PROCESS, task) for task in tasks} == {here}


def _slice_ns(thread: int) -> int:
    """How long the thread asks to run at a time, from sched_getattr(2); 0 before Linux 6.12."""
    sched_getattr = 315 if os.uname().machine == "x86_64" else 275
    attributes = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(sched_getattr, thread, attributes, len(attributes), 0) == 0
    (runtime_ns,) = struct.unpack_from("=Q", attributes, 24)
    return int(runtime_ns)


def test_sigterm_settles_what_is_in_flight_and_ends_well(tmp_path: Path) -> None:
    with (
        SlowUpstream() as upstream,
        running_server(tmp_path, upstream.port) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        socket.create_connection(("127.0.0.1", server.port), timeout=5.0) as stream,
    ):
        client.settimeout(5.0)
        client.connect(("127.0.0.1", server.port))
        query = dns.message.make_query("held.example.org", "A").to_wire()
        client.send(query)
        stream.sendall(len(query).to_bytes(2, "big") + query)
        poll(lambda: upstream.held_count, timeout_s=5.0, what="the question reaches the upstream")
        began = time.monotonic()
        server.send(signal.SIGTERM)
        assert dns.message.from_wire(client.recv(4096)).rcode() == dns.rcode.SERVFAIL
        assert dns.message.from_wire(stream.recv(4096)[2:]).rcode() == dns.rcode.SERVFAIL
        assert server.wait_for_end(10.0) == 0
        assert time.monotonic() - began < SHUTDOWN_S_MAX + 1.0
        assert "Traceback" not in server.stderr()


def test_an_answer_that_comes_during_shutdown_is_still_delivered(tmp_path: Path) -> None:
    with (
        SlowUpstream() as upstream,
        running_server(tmp_path, upstream.port) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(5.0)
        client.connect(("127.0.0.1", server.port))
        client.send(dns.message.make_query("held.example.org", "A").to_wire())
        poll(lambda: upstream.held_count, timeout_s=5.0, what="the question reaches the upstream")
        server.send(signal.SIGTERM)
        # Its listeners are closed for new connections, but it has not ended yet.
        upstream.release()
        reply = dns.message.from_wire(client.recv(4096))
        assert reply.rcode() == dns.rcode.NOERROR
        assert server.wait_for_end(10.0) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with Server(tmp_path) as server:
        began = time.monotonic()
        server.send(number)
        assert server.wait_for_end(10.0) == 0
        assert time.monotonic() - began < SHUTDOWN_S_MAX
        assert "Traceback" not in server.stderr()


def test_a_port_that_is_taken_is_a_plain_message(tmp_path: Path) -> None:
    with Server(tmp_path / "first") as first:
        second = Server(tmp_path / "second", port=first.port)
        second.start()
        try:
            assert second.wait_for_end(20.0) == EXIT_MAY_PASS
        finally:
            second.stop()
        assert f"{first.port}" in second.stderr()
        assert "Traceback" not in second.stderr()


def test_a_killed_server_starts_again_on_the_same_port(tmp_path: Path) -> None:
    with Server(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5.0):
        server.send(signal.SIGKILL)
        server.wait_for_end()
    with Server(tmp_path, port=server.port) as again:
        assert again.ask("blocked.example.net").rcode() == dns.rcode.NXDOMAIN


def test_an_upstream_that_comes_back_is_used_again(tmp_path: Path) -> None:
    with SlowUpstream() as upstream:
        port = upstream.port
    with running_server(tmp_path, port) as server:
        assert server.ask("first.example.org").rcode() == dns.rcode.SERVFAIL
        with SlowUpstream(port) as upstream:
            names = iter(range(1_000_000))

            def is_back() -> bool:
                return server.ask(f"name{next(names)}.example.org").rcode() == dns.rcode.NOERROR

            poll(is_back, timeout_s=10.0, what="questions are answered again")


# Port 53 and glibc need a network of their own: `resolv.conf` cannot name a port.


def in_namespace(scenario: str, directory: Path, *words: str) -> dict[str, Any]:
    """Run a scenario of `tests.loopback.namespace` in new namespaces; what it reports."""
    flags = ["--net", "--mount"] if os.geteuid() == 0 else ["--net", "--mount", "--map-root-user"]
    if subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare: this machine lets us make no namespaces")
    command = [
        "unshare",
        *flags,
        sys.executable,
        "-m",
        "tests.loopback.namespace",
        scenario,
        str(directory),
        *words,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120.0, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


@pytest.mark.needs("unshare", "nsd", "ip", "mount")
def test_glibc_resolves_through_us_and_is_denied(tmp_path: Path) -> None:
    report = in_namespace("getaddrinfo", tmp_path)
    assert report["www.example.org"] == ["192.0.2.80", "2001:db8::80"]
    assert report["cname-abroad.example.org"] == ["198.51.100.80", "2001:db8:2::80"]
    assert report["huge.example.org"] == "no data"
    assert report["sixty.example.org"] == 60
    assert report["www.blocked.example.net"] == "no such name"
    assert report["www.beta.example"] == ["192.0.2.250", "2001:db8::250"]
    assert report["no-such-name.example.org"] == "no such name"


@pytest.mark.needs("unshare", "ip", "mount")
@pytest.mark.parametrize("engine", ["python", "native"])
def test_addresses_that_come_after_the_start_or_come_back_are_served_from_then_on(
    tmp_path: Path, engine: str
) -> None:
    if engine == "native":
        pytest.importorskip("resolver_native", reason="the native plane is not built")
    report = in_namespace("late", tmp_path, engine)
    assert "192.0.2.7" in report["remark before"] and "2001:db8::7" in report["remark before"]
    for address in ("192.0.2.7", "2001:db8::7"):
        assert report[f"{address} udp"] == report[f"{address} tcp"] == "NXDOMAIN"
    assert report["remark after"] == ""
    # One that goes is remarked on, and served again when it is back.
    assert "192.0.2.7" in report["remark of a loss"] and "2001:db8::7" not in report["remark of a loss"]
    assert report["192.0.2.7 again"] == "NXDOMAIN"


@pytest.mark.needs("unshare", "ip", "mount")
def test_a_machine_without_ipv6_is_no_matter_of_remark_and_late_ipv6_is_served(tmp_path: Path) -> None:
    report = in_namespace("no-ipv6", tmp_path)
    assert report["127.0.0.1"] == "NXDOMAIN" and report["remark before"] == ""
    assert "no IPv6 here" in report["said"]
    assert report["::1"] == "NXDOMAIN"


@pytest.fixture
def open_directory() -> Path:
    """A directory that any user may enter, which `tmp_path` is not."""
    directory = Path(tempfile.mkdtemp(prefix="exchange-resolver-test-"))
    directory.chmod(0o755)
    return directory


@pytest.mark.needs("unshare", "setpriv", "ip", "mount")
def test_an_ordinary_user_with_the_one_capability_binds_port_53(open_directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("setpriv: only root can become another user")
    try:
        report = in_namespace("port53", open_directory)
    finally:
        shutil.rmtree(open_directory)
    assert report["with"] == "NXDOMAIN"
    assert report["uid"] != 0
    assert report["capabilities"] == ["net_bind_service"]
    assert report["without"] not in (0, None)
    assert ":53" in str(report["without said"])
    assert "Traceback" not in str(report["without said"])
