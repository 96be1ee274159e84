"""Another release's packages: which sources are asked, what is unpacked, what a program inside sees."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.packages import PACKAGES, RUN_INSIDE, commands_inside, unpack, with_suite
from benchmarks.peers import DEBIAN

DEB822 = """\
Types: deb
URIs: http://old.example/debian http://mirror.example/old/debian
Suites: old old-updates
Components: main
Signed-By: /usr/share/keyrings/old-keyring.gpg
"""


def test_sources_keep_everything_but_the_release() -> None:
    assert with_suite(DEB822, "old", "new") == DEB822.replace("old old-updates", "new new-updates")
    line = "deb http://mirror.example/debian old-security main older\n"
    assert with_suite(line, "old", "new") == "deb http://mirror.example/debian new-security main older\n"


def test_every_peer_of_debian_has_its_package() -> None:
    assert set(PACKAGES) == {contestant.program for contestant in DEBIAN.values()}


def test_program_is_found_where_its_package_puts_it(tmp_path: Path) -> None:
    for program in ("usr/sbin/unbound", "usr/bin/dnsdist"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).touch(0o755)
    (tmp_path / "usr" / "sbin" / "named").touch(0o644)
    assert {name: words[-1] for name, words in commands_inside(tmp_path).items()} == {
        "unbound": "/usr/sbin/unbound",
        "dnsdist": "/usr/bin/dnsdist",
    }


def test_unpacked_folder_can_be_a_root(tmp_path: Path) -> None:
    unpack([], tmp_path)
    assert (tmp_path / "lib64").resolve() == tmp_path / "usr" / "lib64"
    assert (tmp_path / "etc" / "passwd").read_text().startswith("root:x:0:0:")
    unpack([], tmp_path)  # A folder that is there already may be filled again.


def copy_with_libraries(program: str, root: Path) -> None:
    """A program and what it is linked with, under the same paths in `root`."""
    linked = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for file in [program, *re.findall(r"(/\S+) \(0x", linked)]:
        (root / file.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / file.lstrip("/"))


@pytest.mark.needs("unshare", "ldd")
def test_program_inside_sees_the_folder_as_its_root_and_our_files_where_they_are(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "--mount", "--map-root-user", "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    root, ours = tmp_path / "root", tmp_path / "ours"
    unpack([], root)
    copy_with_libraries("/bin/sh", root)
    ours.write_text("settings\n")
    shell = f"read -r text <{ours}; echo $text; test -r /proc/self/stat && echo proc; echo /etc/*"
    words = [str(RUN_INSIDE), str(root), "/bin/sh", "-c", shell]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["settings", "proc", "/etc/group /etc/passwd"]
    assert not list((root / "proc").iterdir()), "the mounts outlived the program"
