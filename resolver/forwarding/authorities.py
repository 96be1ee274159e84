"""The certificates of authorities that vouch for upstreams, as octets for whoever reads PEM itself.

Knows: where OpenSSL looks for the system's.  Does not know: what they vouch for (`tls_terms`).
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path

AUTHORITIES_OCTETS_MAX = 16 << 20
"""A system's bundle has some 220 kB."""

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""What OpenSSL calls a certificate in its folder of them."""


def authorities_pem(path: Path | None = None) -> bytes:
    """Those in the file, or the system's; empty: there are none.  Raises OSError: it cannot be read."""
    if path is not None:
        return _content(path)
    places = ssl.get_default_verify_paths()
    if places.cafile:  # typeshed does not know that it may be None
        return _content(Path(places.cafile))
    if not places.capath:
        return b""
    named = (entry for entry in Path(places.capath).iterdir() if _HASHED.fullmatch(entry.name))
    found = {entry.resolve() for entry in named}
    return b"\n".join(_content(path) for path in sorted(found) if path.is_file())


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(AUTHORITIES_OCTETS_MAX)
