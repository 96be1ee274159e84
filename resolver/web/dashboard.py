"""The dashboard's files: the page at `/`, and what it is made of below `/assets/`.

Knows: built files, encodings, caching, what browsers may do with them.  Does not know: what they show.
Theory: everything is read once, at the start, into a table by name; a request is looked up in that table and
never becomes a path, so nothing else of this machine can be asked for.  Names of assets carry the hash of
their content: browsers keep them for good, and ask for the page alone again.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from resolver.web.app import FRONT_PAGE

PAGE: Final = "index.html"
ASSETS: Final = "/assets/"
KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
"""What may be among the files."""
ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
"""The better first; each with what its files' names end with."""
OCTETS_MAX: Final = 8 * 1024 * 1024
"""All files together, as they are held in memory: what is built has less than 1 MB."""
FILES_MAX: Final = 200
ACCEPT_CHARACTERS_MAX: Final = 500
"""Of `Accept-Encoding` and `If-None-Match`; browsers send less than 100."""

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing inline, nothing from elsewhere, and no text becomes markup or program."""
_HASHED = re.compile(r"[a-z]+(-[a-z]+)?-[0-9a-f]{12}\.[a-z]+")
"""What an asset is called, so that a changed one has another name."""
_CODING = re.compile(r"\s*([A-Za-z0-9*-]+)\s*(?:;\s*q\s*=\s*([0-9.]{1,5}))?\s*")
"""One of `Accept-Encoding` (RFC 9110 §12.5.3)."""
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
LEFT_OUT: Final = "the dashboard is left out: {why} (make web builds it; that needs Node.js)"
_log = logging.getLogger(__name__)


class NotBuilt(Exception):
    """There is no dashboard, or not a whole one; the text says why."""


@dataclass(slots=True, frozen=True)
class Asset:
    """One file, plain and compressed."""

    content_type: str
    plain: bytes
    encoded: Mapping[str, bytes]
    """Encoding -> octets, the better first."""
    tag: str
    """Of its plain content."""
    is_for_good: bool
    """Whether its name changes with its content."""


class Dashboard:
    """The built files, held in memory."""

    def __init__(self, folder: Path) -> None:
        """Read them.  Raises NotBuilt."""
        try:
            files = {path.name: path.read_bytes() for path in _listed(folder) if path.is_file()}
        except OSError as error:
            raise NotBuilt(f"{error.filename or folder}: {error.strerror or error}") from None
        total = sum(map(len, files.values()))
        if total > OCTETS_MAX:
            raise NotBuilt(f"{folder}: {total:,} octets, more than {OCTETS_MAX:,}")
        self._assets = {
            name: _asset(name, files)
            for name in files
            if (name == PAGE or _HASHED.fullmatch(name)) and name.rpartition(".")[2] in KINDS
        }
        if PAGE not in self._assets:
            raise NotBuilt(f"{folder / PAGE}: No such file or directory")
        wanted = re.findall(rf'"{ASSETS[1:]}([^"]*)"', files[PAGE].decode("utf-8", "replace"))
        if missing := [name for name in wanted if name not in self._assets]:
            raise NotBuilt(f"{folder / missing[0][:100]}: No such file or directory")

    def routes(self) -> list[BaseRoute]:
        """Where it is served."""
        return [Route("/", self._page), Route(ASSETS + "{name}", self._asset)]

    async def _page(self, request: Request) -> Response:
        return _respond(request, self._assets[PAGE])

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        asset = None if name == PAGE else self._assets.get(name)
        if asset is None:
            return PlainTextResponse("no such file\n", 404, {"cache-control": "no-store"})
        return _respond(request, asset)


def front_routes(folder: Path) -> list[BaseRoute]:
    """The dashboard built into `folder`; without one a plain page that says so, as a line of the log does."""
    try:
        return Dashboard(folder).routes()
    except NotBuilt as left_out:
        said = LEFT_OUT.format(why=left_out)
    _log.info("%s", said)

    async def front(request: Request) -> Response:
        return PlainTextResponse(f"{FRONT_PAGE}\n{said}\n")

    return [Route("/", front)]


def preferred_encoding(accepted: str, there: Mapping[str, bytes]) -> str:
    """The first of `there` that the client takes; empty: as it is."""
    if len(accepted) > ACCEPT_CHARACTERS_MAX:
        return ""
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        match = _CODING.fullmatch(part)
        if match is None:
            continue
        try:
            weights[match[1].lower()] = float(match[2] or 1)
        except ValueError:
            continue
    for encoding in there:
        if weights.get(encoding, weights.get("*", 0)) > 0:
            return encoding
    return ""


def _listed(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir())
    if len(paths) > FILES_MAX:
        raise NotBuilt(f"{folder}: {len(paths):,} files, more than {FILES_MAX}")
    return paths


def _asset(name: str, files: Mapping[str, bytes]) -> Asset:
    plain = files[name]
    encoded = {
        encoding: files[name + ending]
        for encoding, ending in ENCODINGS
        if len(files.get(name + ending, plain)) < len(plain)
    }
    tag = hashlib.sha256(plain).hexdigest()[:24]
    return Asset(KINDS[name.rpartition(".")[2]], plain, encoded, tag, name != PAGE)


def _respond(request: Request, asset: Asset) -> Response:
    encoding = preferred_encoding(request.headers.get("accept-encoding", ""), asset.encoded)
    # A strong tag is of the octets that are sent (RFC 9110 §8.8.3), so each encoding has its own.
    tag = f'"{asset.tag}{f"-{encoding}" if encoding else ""}"'
    headers = {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": _FOR_GOOD if asset.is_for_good else _ASK_AGAIN,
        "etag": tag,
        "vary": "accept-encoding",
    }
    if _is_known(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    if encoding:
        headers["content-encoding"] = encoding
    return Response(
        asset.encoded[encoding] if encoding else asset.plain,
        headers={**headers, "content-type": asset.content_type},
    )


def _is_known(asked: str, tag: str) -> bool:
    """Whether the client has it (RFC 9110 §13.1.2: compared weakly)."""
    if len(asked) > ACCEPT_CHARACTERS_MAX:
        return False
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in asked.split(","))
