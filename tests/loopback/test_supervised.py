"""A server under a supervisor: what it says of itself, sockets that are there before it and after it."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import time
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from resolver.listeners.address import SocketAddress, bind_tcp, bind_udp
from tests.loopback.process import Program, free_port
from tests.loopback.restarts import CountingUpstream, Generation, Run, loaded
from tests.loopback.server import Server
from tests.loopback.supervisor import Activated, NotifySocket

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

BLOCKED = dns.message.make_query("www.blocked.example.net", "A")


def command(server: Server, *words: str) -> list[str]:
    return [sys.executable, "-m", "resolver", "run", "--config", str(server.settings_path), *words]


def blocked(port: int, *, tcp: bool = False) -> bool:
    ask = dns.query.tcp if tcp else dns.query.udp
    return ask(BLOCKED, "127.0.0.1", port=port, timeout=10).rcode() is dns.rcode.NXDOMAIN


def test_it_says_that_it_starts_serves_reloads_lives_and_ends(tmp_path: Path, serving_engine: str) -> None:
    with NotifySocket() as notify, Server(tmp_path) as first:
        first.stop()
        one = Generation(first, 1)
        one.start(env={**notify.environment, "WATCHDOG_USEC": "600000"})
        with one:
            notify.wait_for("READY=1", pid=one.pid)
            assert notify.count("EXTEND_TIMEOUT_USEC=30000000") >= 1
            states = [lines[0].partition("=")[0] for _, lines in notify.told]
            assert states.index("EXTEND_TIMEOUT_USEC") < states.index("READY")
            [ready] = [lines for _, lines in notify.told if "READY=1" in lines]
            assert ready[1].startswith("STATUS=ready: dns 127.0.0.1:")
            notify.wait_for("WATCHDOG=1", 4)
            one.send(signal.SIGHUP)
            notify.wait_for("RELOADING=1")
            notify.wait_for("READY=1", 2)
            one.send(signal.SIGTERM)
            assert one.wait_for_end() == 0
            assert notify.count("STOPPING=1") == 1
    kept = {name.rpartition("/")[0] for name in notify.kept}
    assert kept == {"dns/udp/127.0.0.1", "dns/tcp/127.0.0.1", "http/tcp/127.0.0.1"}


def test_who_takes_over_is_named_as_the_main_process(tmp_path: Path, serving_engine: str) -> None:
    with NotifySocket() as notify, Server(tmp_path) as first:
        first.stop()
        old, new = Generation(first, 1), Generation(first, 2, "--take-over")
        old.start(env=notify.environment)
        with old:
            notify.wait_for("READY=1", pid=old.pid)
            new.start(env=notify.environment)
            with new:
                notify.wait_for(f"MAINPID={new.pid}", pid=old.pid)
                assert old.wait_for_end() == 0
                # The service goes on: nobody says that it stops.
                assert notify.count("STOPPING=1") == 0
                assert blocked(first.port)


@pytest.mark.needs("systemd-socket-activate")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_systemd_starts_it_by_the_first_query_which_is_answered(
    tmp_path: Path, serving_engine: str, tcp: bool
) -> None:
    with Server(tmp_path) as files:
        files.stop()
    kind = [] if tcp else ["--datagram"]
    listen = ["--listen", f"127.0.0.1:{files.port}", "--fdname", "dns"]
    words = ["systemd-socket-activate", *kind, *listen, "-E", "PYTHONPATH", *command(files)]
    with Program(words, tmp_path, name="activated") as activated:
        activated.wait_for(lambda: "Listening on" in activated.stderr(), "the socket")
        assert blocked(files.port, tcp=tcp)
        assert blocked(files.port, tcp=not tcp)
        assert "sockets were handed over" in activated.stderr()
        activated.send(signal.SIGTERM)
        assert activated.wait_for_end() == 0


def test_a_restart_on_kept_sockets_loses_nothing(tmp_path: Path, serving_engine: str) -> None:
    with CountingUpstream() as upstream:
        files = Server(tmp_path, upstream_ports=(upstream.port,))
        udp = bind_udp(SocketAddress("127.0.0.1", files.port))
        tcp = bind_tcp(SocketAddress("127.0.0.1", files.port))
        named = {"dns": [udp.fileno()], "exchange-resolver.socket": [tcp.fileno()]}
        run = Run(upstream, 500)
        old = Activated(command(files), tmp_path, named, name="old")
        new = Activated(command(files), tmp_path, named, name="new")
        with udp, tcp, old, contextlib.ExitStack() as later:
            old.wait_for(lambda: "ready: " in old.stdout(), "the ready line")
            with loaded(files.port, tmp_path, 500.0, run) as warm:
                warm()
                old.wait_for(lambda: time.monotonic() > run.warm_at + 0.5, "the last answers")
                stopped = time.monotonic()
                old.send(signal.SIGTERM)
                assert old.wait_for_end() == 0
                # Who comes now waits in the kernel.
                waiting = socket.create_connection(("127.0.0.1", files.port), timeout=10)
                later.enter_context(new)
                new.wait_for(lambda: "ready: " in new.stdout(), "the ready line")
                served = time.monotonic()
                with waiting:
                    octets = BLOCKED.to_wire()
                    waiting.sendall(len(octets).to_bytes(2, "big") + octets)
                    assert waiting.recv(2)
                new.wait_for(lambda: time.monotonic() > served + 0.5, "half a second of answers")
        account = run.account
        assert account is not None
        assert account.lost_at(stopped) == []
        assert (account.failed, account.strays) == (0, 0)
        assert upstream.hot_asked(stopped, float("inf")) == 0


def test_sockets_that_fit_no_address_are_said_and_closed(tmp_path: Path, serving_engine: str) -> None:
    with bind_udp(SocketAddress("127.0.0.1", free_port())) as other:
        files = Server(tmp_path)
        one = Activated(command(files), tmp_path, {"dns": [other.fileno()]}, name="one")
        with one:
            one.wait_for(lambda: "ready: " in one.stdout(), "the ready line")
            assert "the settings have no such address" in one.stderr()
            assert blocked(files.port)
