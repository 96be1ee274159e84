"""What a list with a `url` asks for: from where, how often, and what proves that it is genuine.

Knows: which URLs and keys may be written, where a downloaded list is kept.  Does not know: how
anything is fetched or verified (`fetching`), the time.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, urlsplit

from resolver.blocklist.access import (
    Access,
    Discovery,
    access_from_json,
    access_of,
    discovery_from_json,
    discovery_of,
)
from resolver.blocklist.registers import RegisterFormat, register_from_json
from resolver.blocklist.transfers import TRANSFER_FORMATS, Transfer, is_transfer, transfer_from, transfer_of
from resolver.policy.verdict import CONFIDENTIAL
from resolver.problems import show
from resolver.wire.names import name_from_text

if TYPE_CHECKING:
    from resolver.blocklist.keys import ListEntry, SignatureEntry
    from resolver.blocklist.rules import ListSpec

SignatureScheme = Literal["ed25519", "minisign"]

URL_CHARS_MAX = 4_096
_DOWNLOAD_KEYS = frozenset(
    {
        "refresh_s",
        "timeout_s",
        "sha256",
        "signature",
        "allow_http",
        "allow_private",
        "access",
        "discover",
        "tsig",
        "tls_ca",
    }
)
_HTTP_KEYS = frozenset({"sha256", "signature", "allow_http", "allow_private", "access", "discover"})
_TRANSFER_KEYS = frozenset({"tsig", "tls_ca"})
KEY_OCTETS = 32
"""An Ed25519 public key (RFC 8032 §5.1.5)."""
_FIELD = 2**255 - 19
"""Coordinates of Ed25519's points are numbers modulo this."""
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})
"""The y coordinates of points of order 1, 2, 4 and 8: with one as a key, anybody can sign anything."""
MINISIGN_KEY_OCTETS = 2 + 8 + KEY_OCTETS
"""Algorithm, key id, key."""
SIGNATURE_SUFFIXES: Mapping[SignatureScheme, str] = {"ed25519": ".sig", "minisign": ".minisig"}
"""Where a signature is looked for when nobody says: beside the list."""


@dataclass(frozen=True, slots=True)
class SignatureSpec:
    """Who must have signed a list, and where the signature is."""

    scheme: SignatureScheme
    key: str
    """The public key, 32 octets in base64."""
    key_id: str
    """minisign: the key's id in hex; else empty."""
    location: str
    """A URL, or the path of a file."""

    @property
    def is_url(self) -> bool:
        """Whether it has to be fetched."""
        return "://" in self.location


@dataclass(frozen=True, slots=True)
class Download:
    """How one list is fetched and what it must fulfil before it is used."""

    url: str
    refresh_s: int
    timeout_s: float
    """For one attempt, redirects, signature and all."""
    octets_max: int
    """Both of what comes over the wire and of what it unpacks to."""
    sha256: str | None = None
    """Lower-case hex of the file as it is published."""
    signature: SignatureSpec | None = None
    allow_http: bool = False
    allow_private: bool = False
    access: Access | None = None
    discover: Discovery | None = None
    """`url` is then a page that names the list's link."""
    transfer: Transfer | None = None
    """For a zone that is transferred; None: it is fetched over HTTP."""

    @property
    def secret_files(self) -> tuple[str, ...]:
        """Files that nobody else may read."""
        tsig = None if self.transfer is None else self.transfer.tsig
        own = () if tsig is None else (tsig.secret_file,)
        return own if self.access is None else (*self.access.secret_files, *own)

    @property
    def may_use_http(self) -> bool:
        """Whether an unencrypted way is acceptable: the content proves itself, or the operator says so."""
        return self.allow_http or self.sha256 is not None or self.signature is not None

    @property
    def proof(self) -> str:
        """What a stored copy was held against; another proof needs another download."""
        key = "" if self.signature is None else f"{self.signature.scheme}:{self.signature.key}"
        if self.transfer is not None and self.transfer.tsig is not None:
            key = f"tsig:{self.transfer.tsig.algorithm}:{self.transfer.tsig.name}"
        return f"{self.sha256 or ''}|{key}"


@dataclass(frozen=True, slots=True)
class DownloadedList:
    """A list with a download, as the one who fetches it needs to know it."""

    name: str
    format: str
    change_max_percent: int
    download: Download
    entries_max: int = 10_000_000
    error_budget_percent: int = 10
    match: str | None = None
    """A `RuleForm`; None: as the format has it."""
    kind: Literal["block", "allow", "check"] = "block"
    register: RegisterFormat | None = None
    is_confidential: bool = False
    """Nobody outside is told of it: it has no series, and no name in logs."""

    @property
    def shown(self) -> str:
        """What it is called outside."""
        return CONFIDENTIAL if self.is_confidential else self.name

    def as_json(self) -> dict[str, Any]:
        """For the image's notes and for a child process."""
        return asdict(self)


def download_of(
    entry: ListEntry, folder: Path, octets_max: int, error: Callable[[str, str], None]
) -> Download | None:
    """Read what a list's entry says of its download; None for a local file or after an `error(key, why)`.

    `folder`: where a relative path of a signature starts.
    """
    if not entry.url:
        if entry.path is None:
            error("path", "is missing; allowed: the path of a file, or a url to download it from")
        for key in sorted(_DOWNLOAD_KEYS & entry.model_fields_set):
            error(key, "is only for a list with a url")
        return None
    if entry.path is not None:
        error("url", "a list has either a path or a url; the downloaded copy is kept in state_dir")
        return None
    if is_transfer(entry.url[0]):
        return _transferred(entry, entry.url, folder, octets_max, error)
    for key in sorted(_TRANSFER_KEYS & entry.model_fields_set):
        error(key, "is only for zones that are transferred: a url of axfr:// or axfr+tls://")
    if len(entry.url) > 1:
        error("url", "only the primaries of a zone (axfr://, axfr+tls://) can be several")
        return None
    url = entry.url[0]
    try:
        key = "url"
        scheme = split_url(url).scheme
        key = "sha256"
        sha256 = None if entry.sha256 is None else sha256_from(entry.sha256)
        key = "signature"
        signature = None if entry.signature is None else _signature_of(entry.signature, url, folder)
        key = "access"
        access = None if entry.access is None else access_of(entry.access, url, folder)
        key = "discover"
        discover = None if entry.discover is None else discovery_of(entry.discover)
    except ValueError as objection:
        error(key, str(objection))
        return None
    download = Download(
        url=url,
        refresh_s=entry.refresh_s,
        timeout_s=entry.timeout_s,
        octets_max=octets_max,
        sha256=sha256,
        signature=signature,
        allow_http=entry.allow_http,
        allow_private=entry.allow_private,
        access=access,
        discover=discover,
    )
    if scheme == "http" and not download.may_use_http:
        error(
            "url",
            "http:// can be changed by anyone on the way; write https://, or give sha256 or signature, "
            "or accept it with allow_http: true",
        )
    return download


def _transferred(
    entry: ListEntry, urls: tuple[str, ...], folder: Path, octets_max: int, error: Callable[[str, str], None]
) -> Download | None:
    """What an entry with axfr:// says.  None after an `error(key, why)`."""
    for key in sorted(_HTTP_KEYS & entry.model_fields_set):
        error(key, "is not for zone transfers: TSIG and TLS prove where a zone comes from")
    if entry.format not in TRANSFER_FORMATS:
        error("format", f"a zone that is transferred is read as rpz, not as {entry.format}")
        return None
    try:
        transfer = transfer_of(urls, entry.tsig, entry.tls_ca, folder)
    except ValueError as objection:
        error("url", str(objection))
        return None
    return Download(
        url=" ".join(urls),
        refresh_s=entry.refresh_s,
        timeout_s=entry.timeout_s,
        octets_max=octets_max,
        allow_private=True,
        transfer=transfer,
    )


def _signature_of(entry: SignatureEntry, list_url: str, folder: Path) -> SignatureSpec:
    if (entry.ed25519 is None) == (entry.minisign is None):
        raise ValueError("give one public key, as ed25519 or as minisign")
    if entry.url is not None and entry.path is not None:
        raise ValueError("the signature is at a url or in a path, not both")
    scheme: SignatureScheme
    if entry.ed25519 is not None:
        scheme, key, key_id = "ed25519", ed25519_key_from(entry.ed25519), ""
    else:
        assert entry.minisign is not None
        scheme, (key, key_id) = "minisign", minisign_key_from(entry.minisign)
    if entry.path is not None:
        return SignatureSpec(scheme, key, key_id, str((folder / entry.path).absolute()))
    url = entry.url
    if url is None:
        parts = urlsplit(list_url)
        url = parts._replace(path=parts.path + SIGNATURE_SUFFIXES[scheme], fragment="").geturl()
    # What is signed may come over any way; so may its signature.
    split_url(url)
    return SignatureSpec(scheme, key, key_id, url)


def downloaded_list_from(fields: Mapping[str, Any]) -> DownloadedList:
    """`as_json` back again.  Raises KeyError or TypeError for anything else."""
    download = dict(fields["download"])
    if download["signature"] is not None:
        download["signature"] = SignatureSpec(**download["signature"])
    download["access"] = access_from_json(download["access"])
    download["discover"] = discovery_from_json(download["discover"])
    if download.get("transfer") is not None:
        download["transfer"] = transfer_from(download["transfer"])
    register = register_from_json(fields["register"])
    return DownloadedList(**{**fields, "download": Download(**download), "register": register})


def downloaded_lists(specs: Iterable[ListSpec]) -> list[DownloadedList]:
    """Those lists of a blocklist that are downloaded."""
    return [
        DownloadedList(
            spec.name,
            spec.format,
            spec.change_max_percent,
            spec.download,
            spec.entries_max,
            spec.error_budget_percent,
            spec.match,
            spec.kind,
            spec.register,
            spec.rule.is_ever_confidential,
        )
        for spec in specs
        if spec.download is not None
    ]


UNPLACED = Path("(kept in state_dir)")
"""The `path` of a downloaded list as long as nobody has said where `state_dir` is; no file has this name."""


def stored_path(state_dir: Path, name: str) -> Path:
    """Where the last good copy of a list is kept; `name` is checked to be a harmless file name."""
    return state_dir / "lists" / f"{name}.list"


def at_their_places(specs: Iterable[ListSpec], state_dir: Path | None) -> tuple[ListSpec, ...]:
    """The lists, downloaded ones with the path of their last good copy."""
    if state_dir is None:
        return tuple(specs)
    return tuple(
        spec if spec.download is None else replace(spec, path=stored_path(state_dir, spec.name))
        for spec in specs
    )


def split_url(url: str) -> SplitResult:
    """Take a URL of a list apart.  Raises ValueError with a sentence for anything but http and https."""
    if len(url) > URL_CHARS_MAX:
        raise ValueError(f"a URL of over {URL_CHARS_MAX} characters")
    # urlsplit drops line ends and tabs silently: then the text checked is not the text used.
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\<>\"{}|^`]", url):
        raise ValueError(f"{show(url)} has characters that a URL may not have (write them as %XX)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{show(url)} is not a URL: {error}") from None
    if parts.scheme not in ("https", "http"):
        raise ValueError(f"{show(url)}: only https:// is fetched; for a file on this machine write 'path'")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{show(parts.hostname)}: no user names and passwords in URLs: they end up in logs")
    if not parts.hostname or port == 0:
        raise ValueError(f"{show(url)} has no host")
    if "[" not in parts.netloc:
        try:
            if name_from_text(parts.hostname) == b"\0":
                raise ValueError("the root is not a host")
        except ValueError as error:
            raise ValueError(f"{show(url)}: {error}") from None
    return parts


def sha256_from(text: str) -> str:
    """Read a pinned hash.  Raises ValueError."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError(
            f"{show(text)} is not a SHA-256 hash; write its 64 hex digits, as sha256sum prints them"
        )
    return text.lower()


def ed25519_key_from(text: str) -> str:
    """Read an Ed25519 public key in base64 or hex; gives base64.  Raises ValueError."""
    octets = bytes.fromhex(text) if re.fullmatch(r"[0-9a-fA-F]{64}", text) else _base64(text)
    if len(octets) != KEY_OCTETS:
        raise ValueError(f"{show(text)} is not an Ed25519 public key; write its 32 bytes in base64 or hex")
    _refuse_small_order(octets, text)
    return base64.b64encode(octets).decode()


def minisign_key_from(text: str) -> tuple[str, str]:
    """Read the second line of a minisign .pub file: the key in base64, and its id.  Raises ValueError."""
    octets = _base64(text)
    if len(octets) != MINISIGN_KEY_OCTETS or octets[:2] != b"Ed":
        raise ValueError(f"{show(text)} is not a minisign public key; write the line that starts with RW")
    _refuse_small_order(octets[10:], text)
    return base64.b64encode(octets[10:]).decode(), octets[2:10].hex()


def _refuse_small_order(key: bytes, text: str) -> None:
    # RFC 8032 §5.1.2: the top bit is the sign of x.  Other writings of the same number count, too.
    if int.from_bytes(key, "little") % 2**255 % _FIELD in _SMALL_ORDER:
        raise ValueError(f"{show(text)} is a key under which anybody can sign (a point of small order)")


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
