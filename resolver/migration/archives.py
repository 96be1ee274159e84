"""The files of a product as a folder, one of them, or an archive of them: found by their names.

Knows: ZIP files, compressed tar files, folders, limits on each.  Does not know: what stands in the files.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resolver.migration.gathered import Place, error
from resolver.migration.texts import FILES_MAX, TOTAL_OCTETS_MAX, Texts, check_text, in_folder

DATABASE_OCTETS_MAX: Final = TOTAL_OCTETS_MAX
_ZIP: Final = b"PK\x03\x04"
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class File:
    """One of the files."""

    name: str
    """Without folders."""
    folder: str
    """The name of the folder it stands in; empty: none is known."""
    octets: bytes
    shown: str
    """What it is called in messages."""
    has_log: bool = False
    """Whether a database has a write-ahead log beside it that is not empty."""

    @property
    def text(self) -> str:
        """Its text.  Raises BadConfig."""
        check_text(self.octets, self.shown)
        return self.octets.decode().removeprefix("\ufeff")

    @property
    def lines(self) -> list[str]:
        """The lines of its text, without their ends.  Raises BadConfig."""
        return [line.removesuffix("\r") for line in self.text.split("\n")]


@dataclass(slots=True)
class Files:
    """All of them."""

    found: list[File] = field(default_factory=list)

    def get(self, name: str) -> File | None:
        """The file of this name."""
        return next((file for file in self.found if file.name == name), None)

    def below(self, folder: str) -> list[File]:
        """The files in a folder of this name."""
        return [file for file in self.found if file.folder == folder]

    @property
    def names(self) -> set[str]:
        """Of all files."""
        return {file.name for file in self.found}


def files_of(path: Path, texts: Texts) -> Files:
    """The files in a folder, beside a file, or in an archive.  Raises BadConfig."""
    if path.is_dir():
        return _of_folder(path, texts)
    octets = texts.raw(path, octets_max=DATABASE_OCTETS_MAX)
    if octets.startswith(_ZIP):
        return _of_zip(octets, path)
    if octets.startswith(_GZIP):
        return _of_tar(octets, path)
    files = Files([File(path.name, path.parent.name, octets, str(path), _has_log(path))])
    beside = {
        "pihole.toml": ["gravity.db"],
        "setupVars.conf": ["pihole-FTL.conf", "gravity.db", "custom.list"],
    }
    for name in beside.get(path.name, []):
        other = path.with_name(name)
        if other.is_file():
            octets = texts.raw(other, octets_max=DATABASE_OCTETS_MAX)
            files.found.append(File(name, other.parent.name, octets, str(other), _has_log(other)))
    if path.name in beside and path.absolute().parent.name == "pihole":
        _add_options(files, path.absolute().parent.with_name("dnsmasq.d"), texts)
    return files


def _has_log(path: Path) -> bool:
    """Whether SQLite keeps changes of this file in a log beside it."""
    real = path.resolve()
    try:
        return real.with_name(f"{real.name}-wal").stat().st_size > 0
    except OSError:
        return False


_KNOWN: Final = frozenset(
    [
        "pihole.toml",
        "setupVars.conf",
        "pihole-FTL.conf",
        "gravity.db",
        "custom.list",
        "adlists.list",
        "whitelist.txt",
        "blacklist.txt",
        "regex.list",
        "adlist.json",
        "whitelist.exact.json",
        "whitelist.regex.json",
        "blacklist.exact.json",
        "blacklist.regex.json",
    ]
)


def _of_folder(path: Path, texts: Texts) -> Files:
    files = Files()
    for folder in (path, path / "pihole", path / "etc" / "pihole"):
        for file in in_folder(folder, Place(str(folder))):
            if file.name in _KNOWN and files.get(file.name) is None:
                octets = texts.raw(file, octets_max=DATABASE_OCTETS_MAX)
                files.found.append(File(file.name, folder.name, octets, str(file), _has_log(file)))
    options = [path / "dnsmasq.d", path / "etc" / "dnsmasq.d"]
    if path.absolute().name == "pihole":
        options.append(path.absolute().with_name("dnsmasq.d"))  # /etc/dnsmasq.d, beside /etc/pihole.
    for folder in options:
        _add_options(files, folder, texts)
    return files


def _add_options(files: Files, folder: Path, texts: Texts) -> None:
    """Add what dnsmasq reads in its folder."""
    for file in in_folder(folder, Place(str(folder))):
        if file.name.endswith(".conf"):
            files.found.append(File(file.name, "dnsmasq.d", texts.raw(file), str(file)))


def _wanted(name: str) -> tuple[str, str] | None:
    """Name and folder of a member that is read; None: it is not."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        return None
    folder = parts[-2] if len(parts) > 1 else ""
    is_option = folder == "dnsmasq.d" and parts[-1].endswith(".conf")
    return (parts[-1], folder) if parts[-1] in _KNOWN or is_option else None


def _of_zip(octets: bytes, path: Path) -> Files:
    files, left = Files(), DATABASE_OCTETS_MAX
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            members = archive.infolist()
            if len(members) > FILES_MAX:
                raise error(Place(str(path)), f"more than {FILES_MAX:,} files in the archive")
            for member in members:
                wanted = _wanted(member.filename)
                if wanted is None or member.is_dir():
                    continue
                with archive.open(member) as opened:
                    content = opened.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise error(Place(str(path)), f"unpacks to over {DATABASE_OCTETS_MAX:,} bytes")
                files.found.append(File(*wanted, content, f"{path}({member.filename})"))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as failed:
        raise error(Place(str(path)), f"is a ZIP file that cannot be read: {failed}") from None
    return files


def _of_tar(octets: bytes, path: Path) -> Files:
    files, count = Files(), 0
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = unpacker.decompress(octets, DATABASE_OCTETS_MAX + 1)
        if len(plain) > DATABASE_OCTETS_MAX:
            raise error(Place(str(path)), f"unpacks to over {DATABASE_OCTETS_MAX:,} bytes")
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            for member in archive:
                count += 1
                if count > FILES_MAX:
                    raise error(Place(str(path)), f"more than {FILES_MAX:,} files in the archive")
                wanted = _wanted(member.name)
                opened = archive.extractfile(member) if wanted is not None and member.isreg() else None
                if wanted is not None and opened is not None:
                    files.found.append(File(*wanted, opened.read(), f"{path}({member.name})"))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as failed:
        raise error(Place(str(path)), f"is a compressed tar file that cannot be read: {failed}") from None
    return files
