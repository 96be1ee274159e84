"""Small Debian systems to install packages in, each made once and kept in a cache.

Needs root, debootstrap and the mirrors that apt is set up with; says what is missing.  Knows: debootstrap, chroot.
Does not know: what is installed there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "exchange-resolver/systems"
PACKAGES = (
    *("adduser", "bind9-dnsutils", "ca-certificates", "init-system-helpers", "logrotate", "man-db", "procps"),
    *("python3", "systemd"),
)
"""What a server has besides the smallest system, and what the tests ask with."""


def mirror() -> str:
    """Where this machine's apt gets Debian from."""
    words = [
        "apt-get",
        "indextargets",
        "--format",
        "$(SITE) $(REPO_URI)",
        "Created-By: Packages",
        "Origin: Debian",
    ]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    found = [line.split()[-1] for line in told.stdout.splitlines() if "security" not in line]
    if not found:
        pytest.skip("apt has no lists of Debian's packages here: apt-get update")
    return found[0]


def base(release: str) -> Path:
    """The archive of a fresh system of that release; made when it is not there yet."""
    wanted = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:8]
    archive = CACHE / f"{release}-{wanted}.tar"
    if not archive.exists():
        if os.geteuid() != 0:
            pytest.skip("root makes the systems")
        CACHE.mkdir(parents=True, exist_ok=True)
        folder = CACHE / f"{release}.new"
        shutil.rmtree(folder, ignore_errors=True)
        # In two steps: debootstrap does not know in which order packages want each other before they are set up.
        _make(release, ["debootstrap", "--variant=minbase", release, str(folder), mirror()])
        apt = ["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES]
        bare = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"]
        _make(release, ["chroot", str(folder), *bare, *apt])
        _make(release, ["chroot", str(folder), *bare, "apt-get", "clean"])
        subprocess.run(["tar", "-C", folder, "-cf", archive.with_suffix(".part"), "."], check=True)
        archive.with_suffix(".part").rename(archive)
        shutil.rmtree(folder)
    return archive


def _make(release: str, words: list[str]) -> None:
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{words[0]} cannot make {release}: {done.stdout[-300:]}")


THEIR_OWN = (
    "dev/",
    "proc/",
    "run/systemd",
    "sys/",
    "tmp/",
    "var/cache/man/",
    "var/lib/dpkg/",
    "var/log/dpkg.log",
)
"""What man(1) formatted is its own, and goes when it tidies up; dpkg keeps its lists, systemctl a mark."""


class System:
    """One system; commands run in it as root, with the network of this machine and processes of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def words(self, *command: str) -> list[str]:
        """How to run a command there; what it leaves running ends with it."""
        inside = [
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            f"--root={self.root}",
            "--mount-proc",
        ]
        return [*inside, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", *command]

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(self.words(*command), capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def files(self) -> set[str]:
        """Every path, but for what programs of the system keep for themselves."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))
        return {path for path in found if not path.startswith(THEIR_OWN)}


@contextmanager
def system(release: str, folder: Path) -> Iterator[System]:
    """A fresh system of a Debian release below `folder`."""
    archive = base(release)
    root = folder / release
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", archive], check=True)
    try:
        yield System(root)
    finally:
        shutil.rmtree(root)
