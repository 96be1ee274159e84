"""Makes one wheel of two: the program's pure one, and one that holds only the compiled module.

Knows: the format of wheels (PEP 427: WHEEL, RECORD, tags in the file's name; PEP 770: SBOMs).  Does not
know: how either was built.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import zipfile
from pathlib import Path, PurePosixPath

PACKAGE = "resolver_native"
"""The top-level package that the compiled module lives in."""


def graft(pure: Path, module: Path, about_module: dict[str, bytes]) -> Path:
    """Write the wheel that has everything of `pure` and the package of `module`, beside `pure`; its path.

    It has the name and version of `pure` and the tags of `module`.  `about_module`: further files of its
    `.dist-info`, path -> octets.
    """
    name, version, *_ = pure.stem.split("-")
    tags = module.stem.split("-")[-3:]
    made = pure.with_name("-".join([name, version, *tags]) + ".whl")
    about = f"{name}-{version}.dist-info"
    entries = _read(pure)
    with zipfile.ZipFile(module) as source:
        for entry in source.infolist():
            if PurePosixPath(entry.filename).parts[0] == PACKAGE and not entry.is_dir():
                entries[entry.filename] = (entry, source.read(entry))
    wheel, octets = entries[f"{about}/WHEEL"]
    entries[f"{about}/WHEEL"] = (wheel, _wheel_file(octets, tags))
    top, octets = entries[f"{about}/top_level.txt"]
    entries[f"{about}/top_level.txt"] = (top, octets + f"{PACKAGE}\n".encode())
    _write(made, entries, about, about_module)
    return made


def lay_in(wheel: Path, about_files: dict[str, bytes]) -> None:
    """Lay further files of `.dist-info` into a wheel: path there -> octets."""
    if not about_files:
        return
    name, version, *_ = wheel.stem.split("-")
    _write(wheel, _read(wheel), f"{name}-{version}.dist-info", about_files)


Entries = dict[str, tuple[zipfile.ZipInfo, bytes]]
"""Path -> what the archive says of it, and its octets."""


def _read(wheel: Path) -> Entries:
    with zipfile.ZipFile(wheel) as source:
        return {entry.filename: (entry, source.read(entry)) for entry in source.infolist()}


def _write(wheel: Path, entries: Entries, about: str, about_files: dict[str, bytes]) -> None:
    """Write a wheel of these entries and further files of `.dist-info`."""
    like, _ = entries[f"{about}/WHEEL"]
    for path, octets in about_files.items():
        entry = zipfile.ZipInfo(f"{about}/{path}", like.date_time)
        entry.external_attr = like.external_attr
        entries[entry.filename] = (entry, octets)
    record, _ = entries.pop(f"{about}/RECORD")
    # Last, as the format asks: who streams the file then knows all hashes.
    entries[record.filename] = (record, _record_file(entries, record.filename))
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as target:
        for entry, octets in entries.values():
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, octets)


def _wheel_file(pure: bytes, tags: list[str]) -> bytes:
    """The file WHEEL: what made it, and each tag that the three compressed ones stand for."""
    kept = [line for line in pure.decode().splitlines() if line and not line.startswith(("Root-Is", "Tag:"))]
    each = itertools.product(*(tag.split(".") for tag in tags))
    return "\n".join(
        [*kept, "Root-Is-Purelib: false", *(f"Tag: {'-'.join(one)}" for one in each), ""]
    ).encode()


def _record_file(entries: Entries, own: str) -> bytes:
    """The file RECORD: path, hash and length of each file but itself."""
    lines = []
    for path, (_, octets) in entries.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).rstrip(b"=").decode()
        quoted = f'"{path}"' if "," in path else path
        lines.append(f"{quoted},sha256={digest},{len(octets)}")
    return "\n".join([*lines, f"{own},,", ""]).encode()
