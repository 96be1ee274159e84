"""The container image: what its recipe promises, and its file system run by nobody in particular.

`FUZZ_PROFILE=long` makes the file system out of the wheel in `dist/` (`make rootfs`) and serves from it, read-only,
as an ordinary user in a user namespace.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from resolver.config.settings import load_settings
from tests.fuzz.rig import IS_LONG
from tests.loopback.process import Program, free_port, process_tree
from tests.packaging.tools import ROOT

FILES = ROOT / "packaging" / "container"
NOBODY = 65534
COMPRESSED_OCTETS_MAX = 120_000_000


def test_the_recipe_makes_an_image_for_an_ordinary_user_with_a_health_check() -> None:
    recipe = (FILES / "Containerfile").read_text()
    last = recipe.rpartition("FROM ")[2]
    assert last.startswith("scratch\n") and recipe.count("FROM ") == 2
    assert re.search(r"^USER 65532:65532$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last and "/healthz" in last
    settings, problems = load_settings(FILES / "resolver.yaml")
    assert settings is not None and problems == [] and settings.listen.http is not None
    ports = {str(endpoint.port) for endpoint in settings.listen.dns}
    exposed = {f"{port}/{way}" for port in ports for way in ("udp", "tcp")} | {
        f"{settings.listen.http.port}/tcp"
    }
    [line] = re.findall(r"^EXPOSE (.*)$", last, re.MULTILINE)
    assert set(line.split()) == exposed
    assert all(endpoint.port > 1023 for endpoint in settings.listen.dns), "needs no capability"


@pytest.mark.parametrize("name", ["make-rootfs.sh", "pack-rootfs.sh", "../lay-program.sh", "../dist.sh"])
def test_a_script_is_one_that_sh_reads_and_stops_at_the_first_fault(name: str) -> None:
    subprocess.run(["sh", "-n", FILES / name], check=True)
    assert re.search(r"^set -eu$", (FILES / name).read_text(), re.MULTILINE)


READY = '"event": "ready"'

RUN = """set -e
mount --bind "$1" "$1"
mount -t tmpfs tmpfs "$1/tmp"
mount -t tmpfs tmpfs "$1/var/lib/exchange-resolver"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -o remount,bind,ro "$1"
exec unshare --user --map-user=65532 --map-group=65532 --root="$1" --wd=/ \\
    /usr/bin/exchange-resolver run --config /etc/exchange-resolver/resolver.yaml
"""
"""The first namespace may mount, the second is the image's user, who may nothing."""


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    if not IS_LONG:
        pytest.skip("unpacks the file system of the image: make long")
    archive = ROOT / "dist" / "rootfs.tar.gz"
    if not archive.exists():
        pytest.skip("no dist/rootfs.tar.gz: make rootfs")
    assert archive.stat().st_size < COMPRESSED_OCTETS_MAX
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xzf", archive], check=True)
    return root


@pytest.mark.slow
@pytest.mark.needs("unshare", "setpriv", "dig")
@pytest.mark.timeout(600)
def test_its_file_system_serves_read_only_as_an_ordinary_user(rootfs: Path, tmp_path: Path) -> None:
    dns, http = free_port(), free_port()
    settings = rootfs / "etc/exchange-resolver/resolver.yaml"
    text = settings.read_text()
    text = re.sub(r"^  dns: .*$", f'  dns: ["127.0.0.1:{dns}"]', text, flags=re.MULTILINE)
    settings.write_text(re.sub(r"^  http: .*$", f'  http: "127.0.0.1:{http}"', text, flags=re.MULTILINE))
    words = (
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    )
    words += ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
    words += ["sh", "-c", RUN, "sh", str(rootfs)]
    with Program(words, tmp_path, name="image") as server:
        server.wait_for(lambda: READY in (server.stdout() + server.stderr()), "ready")
        [ready] = [
            json.loads(line) for line in (server.stdout() + server.stderr()).splitlines() if READY in line
        ]
        assert ready["engine"] == "native"
        ask = ["dig", "@127.0.0.1", "-p", str(dns), "+tries=1", "www.binance.com"]
        assert "status: NXDOMAIN" in subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        [serving] = [
            pid
            for pid in process_tree(server.pid)
            if Path(f"/proc/{pid}/comm").read_text().startswith("exchange-resolv")
        ]
        status = Path(f"/proc/{serving}/status").read_text()
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE), "it may nothing"
        assert re.search(rf"^Uid:\t{NOBODY}\t{NOBODY}\t", status, re.MULTILINE) or os.geteuid() != 0
        with pytest.raises(OSError, match="Read-only file system"):
            Path(f"/proc/{serving}/root/usr/bin/new").write_text("")
        # The check of the image's health, by the image's own Python.
        [check] = re.findall(r'"(import urllib.*?)"\]', (FILES / "Containerfile").read_text())
        probe = check.replace(":8053", f":{http}")
        python = ["chroot", str(rootfs), "/usr/bin/python3", "-I", "-c", probe]
        if os.geteuid() != 0:
            python = ["unshare", "--user", "--map-root-user", *python]
        subprocess.run(python, check=True)
        assert (
            subprocess.run([*python[:-1], probe.replace("healthz", "nothing")], check=False).returncode != 0
        )


@pytest.mark.slow
def test_it_has_no_shell_no_setuid_program_and_lists_what_it_has(rootfs: Path) -> None:
    programs = {path.name for path in (rootfs / "usr/bin").iterdir()}
    assert programs == {
        "exchange-resolver",
        "python3",
        *(name for name in programs if name.startswith("python3.")),
    }
    assert [path for path in rootfs.rglob("*") if path.is_file() and path.lstat().st_mode & 0o6000] == []
    bill = json.loads((rootfs / "usr/share/doc/exchange-resolver/sbom.cdx.json").read_text())
    kinds = {part["purl"].split("/")[0] for part in bill["components"]}
    assert kinds >= {"pkg:pypi", "pkg:cargo", "pkg:deb"}
    names = {part["name"] for part in bill["components"]}
    assert {"rustls", "hypercorn", "libc6"} <= names
    assert shutil.which("dpkg-deb") is None or "pip" not in names
