"""The Debian package: its scripts, and its life in Debian 12 and 13.

`FUZZ_PROFILE=long` installs the package of `dist/` (`make deb`) in fresh systems.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from resolver import __version__
from resolver.config.settings import load_settings
from tests.fuzz.rig import IS_LONG
from tests.loopback.process import Program, free_port, process_tree
from tests.loopback.restarts import CountingUpstream
from tests.packaging.systems import System, system
from tests.packaging.tools import ROOT, tool

FILES = ROOT / "packaging" / "deb"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "rtupdate", "build.sh")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_one_that_sh_reads_and_stops_at_the_first_fault(name: str) -> None:
    subprocess.run(["sh", "-n", FILES / name], check=True)
    assert re.search(r"^set -eu?$", (FILES / name).read_text(), re.MULTILINE)
    assert os.access(FILES / name, os.X_OK)


def test_what_the_package_serves_with_is_what_the_unit_expects(tmp_path: Path) -> None:
    tool("default_files").main(tmp_path)
    settings, problems = load_settings(tmp_path / "resolver.yaml")
    assert settings is not None and problems == []
    assert settings.state_dir == Path("/var/lib/exchange-resolver")
    assert settings.blocklist == tmp_path / "blocklist.yaml"
    assert {endpoint.port for endpoint in settings.listen.dns} == {53}
    build = (FILES / "build.sh").read_text()
    for each in ("resolver.yaml", "blocklist.yaml"):
        assert f"etc/exchange-resolver/{each}" in build
    script = (FILES / "postrm").read_text()
    assert "/var/lib /var/log /var/cache" in script and "private/exchange-resolver" in script


def test_what_prometheus_and_grafana_read_is_in_the_package_where_the_guide_says(tmp_path: Path) -> None:
    build = (FILES / "build.sh").read_text()
    laying = re.search(r"^find config/prometheus config/grafana.*?^done$", build, re.MULTILINE | re.DOTALL)
    assert laying is not None
    script = f'put() {{ install -D -m "$1" "$2" "{tmp_path}/$3"; }}\n{laying[0]}'
    subprocess.run(["sh", "-euc", script], cwd=ROOT, check=True)
    laid = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    folder = "usr/share/exchange-resolver"
    assert laid == {
        f"{folder}/prometheus/alerts.yaml",
        f"{folder}/grafana/dashboard.json",
        f"{folder}/grafana/provisioning/dashboards/exchange-resolver.yaml",
        f"{folder}/grafana/provisioning/datasources/exchange-resolver.yaml",
    }
    guide = (ROOT / "docs/guide/watching.md").read_text()
    assert f"rule_files: [/{folder}/prometheus/alerts.yaml]" in guide and f"cd /{folder}/grafana" in guide


class Played:
    """The package's scripts in a folder instead of a system, and what they tell systemd."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        (folder / "run/systemd/system").mkdir(parents=True)
        self.programs.mkdir()
        for name in (
            "deb-systemd-helper",
            "deb-systemd-invoke",
            "systemctl",
            "exchange-resolver",
            "py3clean",
            "py3compile",
        ):
            (self.programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{folder}/told\n')
            (self.programs / name).chmod(0o755)

    def run(self, script: str, *words: str) -> list[str]:
        text = (FILES / script).read_text().replace("/run/", f"{self.folder}/run/")
        told = self.folder / "told"
        told.write_text("")
        environment = {"PATH": f"{self.programs}:/usr/bin:/bin"}
        subprocess.run(["sh", "-c", text, script, *words], check=True, env=environment)
        return [line.removeprefix("deb-systemd-") for line in told.read_text().splitlines()]


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


START, AGAIN = (f"invoke {verb} exchange-resolver.service" for verb in ("start", "try-restart"))


def test_a_package_that_was_removed_serves_when_it_is_installed_again(played: Played) -> None:
    played.run("preinst", "install", "0.1.0-1")
    told = played.run("postinst", "configure", "0.1.0-1")
    assert START in told and AGAIN not in told
    # And the upgrade after it leaves alone what an operator has stopped.
    played.run("preinst", "upgrade", "0.1.0-1")
    told = played.run("postinst", "configure", "0.1.0-1")
    assert AGAIN in told and START not in told


def test_a_removal_that_fails_leaves_a_server_that_serves(played: Played) -> None:
    assert START in played.run("postinst", "abort-remove", "in-favour")


def test_a_removal_takes_the_socket_first_and_both_units(played: Played) -> None:
    stops = [line for line in played.run("prerm", "remove") if "stop" in line]
    assert stops == [f"invoke stop exchange-resolver.{kind}" for kind in ("socket", "service")]
    assert not [line for line in played.run("prerm", "upgrade", "0.2.0-1") if "stop" in line]
    masked = {line for line in played.run("postrm", "remove") if "mask" in line}
    assert masked == {f"helper mask exchange-resolver.{kind}" for kind in ("socket", "service")}
    told = played.run("postinst", "configure", "")
    assert {f"helper unmask exchange-resolver.{kind}" for kind in ("socket", "service")} <= set(told)


def test_a_purge_keeps_what_an_operator_laid_beside_the_settings() -> None:
    script = (FILES / "postrm").read_text()
    assert "rm -rf /etc" not in script and "rmdir --ignore-fail-on-non-empty /etc/exchange-resolver" in script


def package() -> Path:
    found = list((ROOT / "dist").glob(f"exchange-resolver_{__version__}-1_*.deb"))
    if not found:
        pytest.skip("no package in dist/: make deb")
    return found[-1]


@pytest.fixture(params=["bookworm", "trixie"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    if not IS_LONG:
        pytest.skip("installs in a system of its own: make long")
    for program in ("debootstrap", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with system(request.param, tmp_path) as made:
        yield made


def install(here: System, path: Path) -> None:
    shutil.copy(path, here.root / "tmp" / "package.deb")
    # dpkg and not apt: whatever it depends on must be in the base, so nothing comes from the network.
    here.run("dpkg", "--force-confold", "-i", "/tmp/package.deb")


def newer(path: Path, folder: Path) -> Path:
    """The same package as a later version, with another settings file."""
    tree = folder / "newer"
    subprocess.run(["dpkg-deb", "-R", path, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(
        re.sub(r"^Version: (.*)-1$", r"Version: \1-2", control.read_text(), flags=re.MULTILINE)
    )
    settings = tree / "etc" / "exchange-resolver" / "resolver.yaml"
    settings.write_text(settings.read_text() + "\n# of the later version\n")
    made = folder / "newer.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, made],
        check=True,
        stdout=subprocess.PIPE,
    )
    return made


READY = "ready: dns "
UNIT = "usr/lib/systemd/system/exchange-resolver.service"


def start_words(here: System, *more: str) -> list[str]:
    """How the unit starts the program."""
    [start] = re.findall(r"^ExecStart=(.*)$", (here.root / UNIT).read_text(), re.MULTILINE)
    return [*start.replace("$OPTIONS", "").split(), *more]


class Inside(Program):
    """A program in a system; ended as systemd ends one, and only over when it is."""

    def stop(self) -> int:
        if self.is_running():
            # The first is unshare(1), which waits for the other.
            for pid in process_tree(self.pid)[1:2]:
                os.kill(pid, signal.SIGTERM)
            try:
                return self.wait_for_end(60.0)
            except subprocess.TimeoutExpired:
                pass
        return super().stop()


def served(here: System, folder: Path, name: str, *more: str) -> Program:
    """The program as the unit starts it."""
    return Inside(here.words(*start_words(here, *more)), folder, name=name)


def await_ready(server: Program) -> None:
    server.wait_for(lambda: READY in (server.stdout() + server.stderr()), "ready", 120.0)
    [line] = [line for line in (server.stdout() + server.stderr()).splitlines() if READY in line]
    assert line.endswith("engine native"), line


def ask(here: System, port: int, name: str = "www.binance.com", *more: str) -> str:
    return here.run("dig", "@127.0.0.1", "-p", str(port), "+tries=1", "+time=10", *more, name).stdout


def assert_answers(here: System, port: int) -> None:
    """A blocked name is refused and says why; another one is asked of the upstream."""
    for way in ("+notcp", "+tcp"):
        told = ask(here, port, "www.binance.com", way)
        assert "status: NXDOMAIN" in told and "EDE: 1" in told, told
        told = ask(here, port, "hot.example.net", way)
        assert "status: NOERROR" in told and "192.0.2.80" in told, told


def set_up(here: System, port: int, upstream: int) -> Path:
    """Settings for a port of this machine that is free, and an upstream on it."""
    settings = here.root / "etc/exchange-resolver/resolver.yaml"
    edited = re.sub(r"^  dns: .*$", f'  dns: ["127.0.0.1:{port}"]', settings.read_text(), flags=re.MULTILINE)
    edited = re.sub(r"^  http: .*$", "  http: null", edited, flags=re.MULTILINE)
    edited = re.sub(
        r"^  servers: .*(\n    - .*)*$",
        f'  servers: ["udp://127.0.0.1:{upstream}"]',
        edited,
        flags=re.MULTILINE,
    )
    settings.write_text(edited)
    return settings


def exposure(here: System) -> float:
    """What systemd thinks of the unit: 0 is nothing exposed, 10 everything."""
    words = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "exchange-resolver.service"]
    [said] = re.findall(r"Overall exposure level for .*: ([0-9.]+)", here.run(*words).stdout)
    return float(said)


def activated(here: System, folder: Path, port: int, kind: str) -> None:
    """systemd's own program opens the socket, and starts the service at the first query, which is answered."""
    listen = [*filter(None, [kind]), "--listen", f"127.0.0.1:{port}", "--fdname", "dns"]
    words = here.words("systemd-socket-activate", *listen, *start_words(here))
    with Inside(words, folder, name=f"activated{kind}") as server:
        server.wait_for(lambda: "Listening on" in server.stderr(), "the socket")
        told = ask(here, port, "www.binance.com", "+notcp" if kind else "+tcp", "+time=60")
        assert "status: NXDOMAIN" in told, told + server.stderr()
        await_ready(server)
        assert "sockets were handed over" in server.stderr()
        assert_answers(here, port)


class Asking(threading.Thread):
    """Somebody who asks all the time, and counts who was not answered."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.asked = self.lost = 0
        self.is_over = False
        self._port = port

    def run(self) -> None:
        query = dns.message.make_query("www.binance.com", "A")
        while not self.is_over:
            self.asked += 1
            try:
                dns.query.udp(query, "127.0.0.1", port=self._port, timeout=10)
            except dns.exception.DNSException:
                self.lost += 1


def upgraded(here: System, folder: Path, port: int, later: Path) -> None:
    """Another version is installed under a server that serves, and then takes its place."""
    asking = Asking(port)
    with served(here, folder, "before") as old:
        await_ready(old)
        asking.start()
        install(here, later)
        assert old.is_running()
        assert_answers(here, port)
        with served(here, folder, "after", "--take-over") as new:
            await_ready(new)
            assert old.wait_for_end(60.0) == 0, old.stderr()
            assert_answers(here, port)
            seen = asking.asked
            new.wait_for(lambda: asking.asked > seen + 20, "the new one's answers")
            asking.is_over = True
            asking.join(30.0)
    assert asking.lost == 0 and asking.asked > 100, (asking.lost, asking.asked)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_is_installed_serves_is_upgraded_while_it_serves_and_purged(fresh: System, tmp_path: Path) -> None:
    before = fresh.files()
    made = package()
    install(fresh, made)
    told = fresh.run("systemd-analyze", "verify", "exchange-resolver.service", "exchange-resolver.socket")
    assert told.stdout + told.stderr == ""
    assert exposure(fresh) <= 1.5
    port = free_port()
    with CountingUpstream() as upstream:
        settings = set_up(fresh, port, upstream.port)
        edited = settings.read_text()
        assert fresh.run("exchange-resolver", "--version").stdout.startswith("exchange-resolver ")
        fresh.run("exchange-resolver", "check")
        fresh.run("man", "exchange-resolver")
        fresh.run("test", "-s", "/usr/share/exchange-resolver/prometheus/alerts.yaml")
        fresh.run("logrotate", "--debug", "/etc/logrotate.d/exchange-resolver")
        with served(fresh, tmp_path, "first") as server:
            await_ready(server)
            assert_answers(fresh, port)
        activated(fresh, tmp_path, port, "--datagram")
        activated(fresh, tmp_path, port, "")
        upgraded(fresh, tmp_path, port, newer(made, tmp_path))
    assert settings.read_text() == edited, "an upgrade keeps the edits"
    assert "# of the later version" in settings.with_name("resolver.yaml.dpkg-dist").read_text()
    assert fresh.run("dpkg-query", "-W", "-f", "${Version}", "exchange-resolver").stdout.endswith("-2")

    key = settings.with_name("own.key")
    key.write_text("an operator's")
    fresh.run("dpkg", "--purge", "exchange-resolver")
    kept = {"etc/exchange-resolver", "etc/exchange-resolver/own.key"}
    assert fresh.files() - before == kept and key.read_text() == "an operator's"
    assert before - fresh.files() == set()


@pytest.mark.slow
@pytest.mark.needs("lintian")
@pytest.mark.skipif(not IS_LONG, reason="takes a minute: make long")
def test_lintian_finds_no_error() -> None:
    told = subprocess.run(
        ["lintian", "--fail-on", "error", package()], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout
