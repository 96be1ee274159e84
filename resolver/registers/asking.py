"""What a field of a register asks for: a host, a mask, a page or an address.

Knows: how hosts, URLs and addresses are written, and the commonest ways to write them wrong.  Does not
know: registers, what may be blocked.
Theory: never wider than what is written.  A host stands for itself and what is below it; `www.x` is not x; a
URL that names a page or a port asks for less than its host, so it asks for nothing that DNS can do.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from resolver.problems import show
from resolver.registers.record import Asked, Scope, cut
from resolver.wire.names import name_from_text

WRITTEN_CHARS_MAX = 4096
"""Longest text that is looked at: URLs of registers have some hundred characters."""
ASKS_MAX = 1_000
"""Most names, URLs and addresses of one field."""

_PLAIN = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62}", re.ASCII)
_LENGTH = [bytes((length,)) for length in range(64)]
_SCHEME = re.compile(
    r"(?:h{0,2}x{0,2}t{0,3}p{1,2}s{0,2}|ftps?)[.:;]{0,2}[/\\]{1,3}", re.IGNORECASE | re.ASCII
)
"""A web address's beginning, also as people mistype it: `ttps://`, `https.//`, `http:/`, `https//`."""
_BARE_SCHEME = re.compile(r"//")
_PORT = re.compile(r"(.*):([0-9]{1,5})", re.ASCII)
_OWN_PORTS = frozenset({"80", "443"})
_PARTS = re.compile(r"[\s|]+")
_ROUGH_PARTS = re.compile(r"[\n\r\t|]+")
_BLANKS = frozenset({"n/a", "na", "none", "null", "-", "--"})
"""What people write where they have nothing to write."""
_FRINGE = " \t\r\n,;|\u00a0\u200b\ufeff\"'<>()"


def asked_of(text: str) -> Asked:
    """What one name, URL or address asks for."""
    if len(text) <= 253 and _PLAIN.fullmatch(text):
        # What nearly every record has, at a quarter of the cost of `name_from_text`.
        labels = [_LENGTH[len(label)] + label for label in text.encode().split(b".")]
        return Asked(Scope.NAME, b"".join(labels) + b"\0", text)
    written = cut(text)
    if len(text) > WRITTEN_CHARS_MAX:
        return Asked(Scope.NOTHING, b"", written, f"{len(text):,} characters are no name")
    try:
        return _read(text.strip(_FRINGE), written)
    except ValueError as error:
        return Asked(Scope.NOTHING, b"", written, str(error))


def _read(text: str, written: str) -> Asked:
    if not text:
        return Asked(Scope.NOTHING, b"", written, "nothing is written")
    scheme = _SCHEME.match(text) or _BARE_SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    if scheme is None and _is_address(text):
        return Asked(Scope.ADDRESS, b"", written)
    if "://" in text and scheme is None:
        raise ValueError(f"{show(text)} is not a web address")
    host, page = _split(rest)
    if "@" in host:
        raise ValueError(f"{show(text)} is a mail address or has a user name")
    if _is_address(host):
        return Asked(Scope.ADDRESS, b"", written)
    port = _PORT.fullmatch(host)
    if port is not None:
        host = port[1]
        if _is_address(host):
            return Asked(Scope.ADDRESS, b"", written)
    scope = Scope.NAME
    if host.startswith("*."):
        host, scope = host[2:], Scope.MASK
    owner = _owner(host, text)
    if page not in ("", "/") or (port is not None and port[2] not in _OWN_PORTS):
        scope = Scope.URL
    return Asked(scope, owner, written)


def _split(rest: str) -> tuple[str, str]:
    """Host with port, and what follows it."""
    for at, sign in enumerate(rest):
        if sign in "/?#\\":
            return rest[:at], rest[at:]
    return rest, ""


def _owner(host: str, text: str) -> bytes:
    if not host:
        raise ValueError(f"{show(text)} has no host")
    if "*" in host:
        raise ValueError(f"{show(text)}: * is allowed only at the start, as in '*.x.example'")
    owner = name_from_text(host)
    last = host.rstrip(".").rpartition(".")[2]
    if last.isascii() and last.isdigit():
        raise ValueError(f"{show(text)} ends in a number; no domain does")
    return owner


def _is_address(text: str) -> bool:
    bare = text.strip("[]")
    if not (bare[:1].isdigit() or ":" in bare):
        return False
    try:
        if "/" in bare:
            ip_network(bare, strict=False)
        else:
            ip_address(bare)
    except ValueError:
        return False
    return True


def parts_of(field: str, separator: str = "") -> list[str]:
    """The names, URLs and addresses of one field, which bars, line ends, blanks and `separator` part.

    Words of a sentence are no names: a part of which some word cannot be a host stays whole.
    """
    for sign in separator:
        field = field.replace(sign, "\n")
    parts: list[str] = []
    for rough in _ROUGH_PARTS.split(field):
        words = [word for word in (part.strip(_FRINGE) for part in _PARTS.split(rough)) if word]
        if len(words) == 1 and words[0].lower() in _BLANKS:
            continue
        if all("." in word or ":" in word for word in words):
            parts += words
        else:
            parts.append(rough.strip())
        if len(parts) > ASKS_MAX:
            break
    return parts[: ASKS_MAX + 1]
