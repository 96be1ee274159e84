"""The Debian package: its scripts, and its life in Debian 12 and 13.

`FUZZ_PROFILE=long` installs the package of `dist/` (`make deb`) in fresh systems.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.config.settings import load_settings
from tests.fuzz.rig import IS_LONG
from tests.loopback.process import Program, free_port
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
    found = sorted((ROOT / "dist").glob("exchange-resolver_*_*.deb"))
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
        ["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True, stdout=subprocess.PIPE
    )
    return made


READY = "ready: dns "


def served(here: System, port: int, folder: Path) -> str:
    """What the unit's program answers for a blocked name; its `ready` line."""
    unit = (here.root / "usr/lib/systemd/system/exchange-resolver.service").read_text()
    [start] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    words = start.replace("$OPTIONS", "").split()
    with Program(here.words(*words), folder, name=f"served-{port}") as server:
        server.wait_for(lambda: READY in (server.stdout() + server.stderr()), "ready")
        told = here.run("dig", "@127.0.0.1", "-p", str(port), "+tries=1", "www.binance.com")
        assert "status: NXDOMAIN" in told.stdout and "EDE: 1" in told.stdout, told.stdout
        return next(line for line in (server.stdout() + server.stderr()).splitlines() if READY in line)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_is_installed_serves_is_upgraded_and_purged(fresh: System, tmp_path: Path) -> None:
    made = package()
    install(fresh, made)
    port = free_port()
    settings = fresh.root / "etc/exchange-resolver/resolver.yaml"
    edited = re.sub(r"^  dns: .*$", f'  dns: ["127.0.0.1:{port}"]', settings.read_text(), flags=re.MULTILINE)
    edited = re.sub(r"^  http: .*$", "  http: null", edited, flags=re.MULTILINE)
    settings.write_text(edited)
    assert fresh.run("exchange-resolver", "--version").stdout.startswith("exchange-resolver ")
    fresh.run("exchange-resolver", "check")
    fresh.run("man", "exchange-resolver")
    fresh.run("logrotate", "--debug", "/etc/logrotate.d/exchange-resolver")
    assert served(fresh, port, tmp_path).endswith("engine native")

    install(fresh, newer(made, tmp_path))
    assert settings.read_text() == edited, "an upgrade keeps the edits"
    offered = settings.with_name("resolver.yaml.dpkg-dist")
    assert "# of the later version" in offered.read_text()
    assert served(fresh, port, tmp_path).endswith("engine native")

    key = settings.with_name("own.key")
    key.write_text("an operator's")
    fresh.run("dpkg", "--purge", "exchange-resolver")
    # What man(1) formatted is man's own, and goes when it tidies up.
    others = ("-not", "-path", "/proc/*", "-not", "-path", "/var/cache/man/*")
    left = fresh.run("find", "/", "-xdev", "-name", "*exchange-resolver*", *others).stdout
    assert left.split() == ["/etc/exchange-resolver"] and key.read_text() == "an operator's"
    assert [path.name for path in key.parent.iterdir()] == ["own.key"]


@pytest.mark.slow
@pytest.mark.needs("lintian")
@pytest.mark.skipif(not IS_LONG, reason="takes a minute: make long")
def test_lintian_finds_no_error() -> None:
    told = subprocess.run(
        ["lintian", "--fail-on", "error", package()], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout
