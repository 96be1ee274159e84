"""Packages of another Debian release beside the installed ones: fetched, unpacked, run in their own folder.

    python -m benchmarks.packages FOLDER [--suite trixie]

Knows: apt, dpkg-deb, how a program runs with the libraries it came with.  Does not know: any settings of it.
Theory: apt is given lists, a cache and a state of its own, so nothing is installed on this machine.  Its
sources are those of this machine with the name of the release replaced.  As that state knows no package,
apt fetches all that a program needs, the C library too.  The program is then run with FOLDER as its root
(`run_inside.sh`), so it finds no library or module of this machine's release.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.peers import DEBIAN

PACKAGES = {
    "unbound": "unbound",
    "dnsdist": "dnsdist",
    "pdns_recursor": "pdns-recursor",
    "kresd": "knot-resolver",
    "named": "bind9",
    "dnsmasq": "dnsmasq-base",
}
"""Program -> the package that has it."""
SUITE = "trixie"
"""Debian 13."""
RUN_INSIDE = Path(__file__).parent / "run_inside.sh"
PROGRAM_FOLDERS = ("usr/sbin", "usr/bin")
MERGED_FOLDERS = ("bin", "sbin", "lib", "lib64")
"""Links to those of the same name under /usr, in every release since Debian 12."""


def commands_inside(root: Path) -> dict[str, tuple[str, ...]]:
    """Peer -> words that run it inside `root`, for those of Debian's peers that are unpacked there."""
    found: dict[str, tuple[str, ...]] = {}
    for name, contestant in DEBIAN.items():
        for folder in PROGRAM_FOLDERS:
            program = Path(folder) / contestant.program
            if os.access(root / program, os.X_OK):
                found[name] = (str(RUN_INSIDE), str(root.resolve()), f"/{program}")
                break
    return found


def with_suite(sources: str, codename: str, suite: str) -> str:
    """The text of a file of apt sources, of another release: suites such as `bookworm-updates` included.

    Only where the name stands alone or before a hyphen, as suites do, and not in an address.
    """
    return re.sub(rf"(?<![\w./-]){re.escape(codename)}(?![\w./])", suite, sources)


def apt_values() -> dict[str, Path]:
    """Where this machine's apt keeps its sources."""
    done = subprocess.run(
        ["apt-config", "shell", "list", "Dir::Etc::sourcelist/f", "parts", "Dir::Etc::sourceparts/d"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {key: Path(value) for key, value in re.findall(r"(\w+)='([^']*)'", done.stdout)}


def write_sources(folder: Path, suite: str) -> None:
    """This machine's apt sources, of the release `suite`, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    own = apt_values()
    files = [own["list"], *sorted(own["parts"].glob("*.list")), *sorted(own["parts"].glob("*.sources"))]
    for file in files:
        if file.is_file():
            (folder / file.name).write_text(with_suite(file.read_text(), codename, suite))


def apt_get(place: Path, *words: str) -> None:
    """Run apt-get with everything it keeps in `place`."""
    for folder in ("lists/partial", "archives/partial"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    (place / "status").touch()  # Empty: no package is there yet.
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": place / "sources",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": place / "lists",
        "Dir::State::status": place / "status",
        "Dir::State::extended_states": place / "extended_states",
        "Dir::Cache": place,
        "Dir::Cache::archives": place / "archives",
        "APT::Sandbox::User": "root",  # The usual one may not write in a folder of somebody else.
    }
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    subprocess.run(["apt-get", "-qq", *flags, *words], check=True)


def unpack(archives: Iterable[Path], root: Path) -> None:
    """What these package files hold, under `root`; none of their scripts is run."""
    for name in MERGED_FOLDERS:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    # The scripts that would write these are not run; a server that stays root looks itself up.
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--suite", default=SUITE, help="the release, by its name")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    with tempfile.TemporaryDirectory(prefix="benchmarks-apt-") as temporary:
        place = Path(temporary)
        write_sources(place / "sources", arguments.suite)
        apt_get(place, "update")
        wanted = PACKAGES.values()
        apt_get(place, "install", "--yes", "--download-only", "--no-install-recommends", *wanted)
        unpack(sorted((place / "archives").glob("*.deb")), folder)
    print(f"{folder}: {', '.join(commands_inside(folder))}")


if __name__ == "__main__":
    main()
