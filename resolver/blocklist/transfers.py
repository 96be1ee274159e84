"""What a list says of a zone that is transferred: from which primaries, which zone, with which key.

Knows: `axfr://ADDR:PORT/zone` and `axfr+tls://ADDR:PORT/zone#NAME`, TSIG's keys in the blocklist.  Does not
know: how a zone is transferred (`fetching`), what stands in the file of the secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from resolver.problems import show
from resolver.wire.names import name_from_text, name_to_text

if TYPE_CHECKING:
    from resolver.blocklist.keys import TsigEntry

SCHEMES: Final = {"axfr": 53, "axfr+tls": 853}
"""By scheme, the port where none is written (RFC 1035, RFC 9103)."""
PRIMARIES_MAX: Final = 8
TSIG_ALGORITHMS: Final = ("hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1")
"""What RFC 8945 §6 has; hmac-md5 is not offered."""
TRANSFER_FORMATS: Final = frozenset(("auto", "rpz"))
"""What a zone can be read as; `auto` is `rpz`."""


@dataclass(frozen=True, slots=True)
class Primary:
    """One server of a zone."""

    address: str
    """An IP address, without brackets."""
    port: int
    tls_name: str | None = None
    """The name its certificate must have; None: plain TCP."""

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TsigSpec:
    """The key that signs requests and answers (RFC 8945); the secret itself stays in its file."""

    name: str
    algorithm: str
    secret_file: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """How one zone is transferred."""

    zone: str
    """Absolute, in lower case, with its last dot."""
    primaries: tuple[Primary, ...]
    """In the order in which they are asked."""
    tsig: TsigSpec | None = None
    tls_ca: str | None = None
    """A file of certificate authorities for axfr+tls; None: those of the system."""


def is_transfer(url: str) -> bool:
    """Whether a list's url is for a zone transfer."""
    return url.partition("://")[0] in SCHEMES


def transfer_of(urls: Sequence[str], tsig: TsigEntry | None, tls_ca: str | None, folder: Path) -> Transfer:
    """Read the urls of a list whose zone is transferred.  Raises ValueError with a sentence.

    `folder`: where relative paths of files start.
    """
    if len(urls) > PRIMARIES_MAX:
        raise ValueError(f"over {PRIMARIES_MAX} primaries")
    read = [_primary_from(url) for url in urls]
    zones = {zone for zone, _ in read}
    if len(zones) != 1:
        raise ValueError(f"the primaries of one list must have one zone; here are {', '.join(sorted(zones))}")
    primaries = tuple(dict.fromkeys(primary for _, primary in read))
    if tls_ca is not None and not any(primary.tls_name for primary in primaries):
        raise ValueError("tls_ca is only for axfr+tls://")
    return Transfer(
        zones.pop(),
        primaries,
        None if tsig is None else _tsig_from(tsig, folder),
        None if tls_ca is None else str((folder / tls_ca).absolute()),
    )


def _primary_from(url: str) -> tuple[str, Primary]:
    example = "write axfr://192.0.2.1:53/zone.example or axfr+tls://192.0.2.1:853/zone.example#ns.example"
    if "@" in url:
        # Before anything shows it.
        raise ValueError("no user names and passwords in URLs: they end up in logs; a key stands in tsig")
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\<>\"{}|^`?]", url):
        raise ValueError(f"{show(url)} has characters that it may not have; {example}")
    if not is_transfer(url):
        raise ValueError(f"{show(url)}: all primaries of a list are axfr:// or axfr+tls://; {example}")
    try:
        parts = urlsplit(url)
        port = parts.port
        address = str(ipaddress.ip_address(parts.hostname or ""))
    except ValueError:
        raise ValueError(f"{show(url)}: a primary is written by its address; {example}") from None
    if port == 0:
        raise ValueError(f"{show(url)}: port 0 is none")
    zone = parts.path.removeprefix("/")
    if not zone or "/" in zone:
        raise ValueError(f"{show(url)} does not say which zone; {example}")
    tls_name = parts.fragment or None
    if parts.scheme == "axfr" and tls_name is not None:
        raise ValueError(f"{show(url)}: a name behind # is for axfr+tls://; {example}")
    if parts.scheme == "axfr+tls":
        if tls_name is None:
            raise ValueError(
                f"{show(url)}: the name that the primary's certificate must have is missing; {example}"
            )
        tls_name = _absolute(tls_name).removesuffix(".")
    return _absolute(zone), Primary(address, port or SCHEMES[parts.scheme], tls_name)


def _absolute(name: str) -> str:
    wire = name_from_text(name)
    text = name_to_text(wire).lower()
    return text if text.endswith(".") else f"{text}."


def _tsig_from(entry: TsigEntry, folder: Path) -> TsigSpec:
    return TsigSpec(_absolute(entry.name), entry.algorithm, str((folder / entry.secret_file).absolute()))


def transfer_from(fields: dict[str, Any]) -> Transfer:
    """`asdict` back again.  Raises KeyError or TypeError for anything else."""
    tsig = fields["tsig"]
    return Transfer(
        str(fields["zone"]),
        tuple(Primary(**primary) for primary in fields["primaries"]),
        None if tsig is None else TsigSpec(**tsig),
        fields["tls_ca"],
    )
