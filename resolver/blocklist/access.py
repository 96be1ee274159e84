"""How a download proves who asks, and how a list's link is found: by files and patterns, never by secrets.

Knows: what may be written, which secret goes with which URL.  Does not know: what is in the files, HTTP.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from resolver.problems import show

if TYPE_CHECKING:
    from resolver.blocklist.keys import AccessEntry, DiscoverEntry

Choice = Literal["only", "first", "last", "highest"]

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_OWN_HEADERS = frozenset(
    (
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "if-none-match",
        "transfer-encoding",
    )
)


@dataclass(frozen=True, slots=True)
class Login:
    """A token is asked for before the list is."""

    url: str
    body_file: str
    """JSON that is sent by POST: user and password."""
    token: str
    """Where in the answer's JSON the token is, keys with dots between."""


@dataclass(frozen=True, slots=True)
class Access:
    """What is shown to the server of a list, and to no other; each is the path of a file."""

    bearer_file: str = ""
    basic_file: str = ""
    """`user:password`."""
    api_key_file: str = ""
    api_key_header: str = ""
    login: Login | None = None
    certificate_file: str = ""
    """Of TLS, PEM, with the chain."""
    key_file: str = ""
    """Its private key."""

    @property
    def secret_files(self) -> tuple[str, ...]:
        """The files that nobody else may read."""
        login = self.login.body_file if self.login else ""
        files = (self.bearer_file, self.basic_file, self.api_key_file, login, self.key_file)
        return tuple(filter(None, files))


@dataclass(frozen=True, slots=True)
class Discovery:
    """The list's `url` is a page on which the list's link stands."""

    link: str
    """A regular expression that the absolute link has."""
    choose: Choice = "only"
    """Which of several links it is; `highest`: the last in order, numbers by their value."""
    sha256: str = ""
    """The same of the link of a file with the list's SHA-256; empty: there is none."""


def access_of(entry: AccessEntry, list_url: str, folder: Path) -> Access:
    """Read `access`; relative paths start in `folder`.  Raises ValueError with a sentence."""
    if urlsplit(list_url).scheme != "https":
        raise ValueError("secrets are sent over https only: write the url with https://")
    ways = [
        name
        for name in ("bearer_file", "basic_file", "api_key_file", "login")
        if getattr(entry, name) is not None
    ]
    if len(ways) > 1:
        raise ValueError(
            f"{ways[0]} and {ways[1]}: write one of bearer_file, basic_file, api_key_file, login"
        )
    if (entry.certificate_file is None) != (entry.key_file is None):
        raise ValueError("certificate_file and key_file go together")
    if not ways and entry.certificate_file is None:
        raise ValueError(
            "says nothing: write bearer_file, basic_file, api_key_file, login or certificate_file"
        )
    header = entry.api_key_header or ""
    if (entry.api_key_file is None) != (not header):
        raise ValueError("api_key_file and api_key_header go together")
    if header and (not _HEADER.fullmatch(header) or header.lower() in _OWN_HEADERS):
        raise ValueError(f"api_key_header: {show(header)} is not a header that can be chosen")

    def placed(path: str | None) -> str:
        return "" if path is None else str((folder / path).absolute())

    login = None
    if entry.login is not None:
        if origin_of(entry.login.url) != origin_of(list_url):
            raise ValueError(
                "login.url must have the host and port of the list's url: secrets go nowhere else"
            )
        login = Login(entry.login.url, placed(entry.login.body_file), entry.login.token)
    return Access(
        bearer_file=placed(entry.bearer_file),
        basic_file=placed(entry.basic_file),
        api_key_file=placed(entry.api_key_file),
        api_key_header=header,
        login=login,
        certificate_file=placed(entry.certificate_file),
        key_file=placed(entry.key_file),
    )


def discovery_of(entry: DiscoverEntry) -> Discovery:
    """Read `discover`.  Raises ValueError with a sentence."""
    for pattern in filter(None, (entry.link, entry.sha256)):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{show(pattern)} is not a regular expression: {error}") from None
    return Discovery(entry.link, entry.choose, entry.sha256 or "")


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: a secret of one goes to no other.  Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").lower(), port


def access_from_json(fields: Mapping[str, Any] | None) -> Access | None:
    """`asdict` back again.  Raises KeyError or TypeError for anything else."""
    if fields is None:
        return None
    login = None if fields["login"] is None else Login(**fields["login"])
    return Access(**{**fields, "login": login})


def discovery_from_json(fields: Mapping[str, Any] | None) -> Discovery | None:
    """`asdict` back again.  Raises TypeError for anything else."""
    return None if fields is None else Discovery(**fields)


def mode_objection(mode: int) -> str:
    """Why a file's mode is not that of a secret; empty: it is."""
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        return f"others may read or change it (mode {stat.S_IMODE(mode):o}); run: chmod 600"
    return ""
