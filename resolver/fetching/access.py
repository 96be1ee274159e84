"""The secrets of one download: read from their files, and shown to one server.

Knows: who may read a secret's file, which headers carry it.  Does not know: HTTP, redirects.
A secret is in no message, no note and no outcome; `hide` takes it out of what strangers say.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from dataclasses import dataclass, field

from resolver.blocklist.access import Access, mode_objection, origin_of
from resolver.fetching.outcome import FetchFailed, Result
from resolver.portions import open_regular, read_up_to

SECRET_OCTETS_MAX = 8_192
"""Of one file: tokens have some hundred."""


@dataclass(slots=True)
class Secrets:
    """What is shown to the server of one list."""

    origin: tuple[str, str, int] = ("", "", 0)
    """Of the list's own URL; nobody else is shown anything."""
    headers: dict[str, str] = field(default_factory=dict)
    certificate: tuple[str, str] | None = None
    """Files of certificate and key."""
    hidden: list[str] = field(default_factory=list, repr=False)

    def headers_for(self, url: str, *, is_first: bool) -> dict[str, str]:
        """What a request carries; `is_first`: no redirect led to it."""
        return dict(self.headers) if is_first and self.is_for(url) else {}

    def is_for(self, url: str) -> bool:
        """Whether this is the list's own server, over TLS."""
        return self.origin[0] == "https" and origin_of(url) == self.origin

    def hide(self, text: str) -> str:
        """A message without what must not be in it."""
        for secret in self.hidden:
            text = text.replace(secret, "(hidden)")
        return text

    def hide_json(self, body: bytes) -> None:
        """Take all texts of a login's JSON for secrets.  Raises FetchFailed for what is no JSON object."""
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise FetchFailed(Result.STORAGE, "the login's body_file is not a JSON object")
        self.hidden += [value for value in fields.values() if isinstance(value, str) and value]

    def take_token(self, answer: bytes, path: str) -> None:
        """Find the token in a login's answer and show it from now on.  Raises FetchFailed."""
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            found = None
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if not isinstance(found, str) or not (found.isascii() and found.isprintable() and found.strip()):
            raise FetchFailed(Result.HTTP_STATUS, f"login: the answer has no token at {path}")
        self.headers["Authorization"] = f"Bearer {found}"
        self.hidden.append(found)

    def present(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """The same context, with the client's certificate.  Raises FetchFailed."""
        if self.certificate is not None:
            try:
                context.load_cert_chain(*self.certificate, password=_no_password)
            except (OSError, ssl.SSLError, ValueError):
                message = f"certificate {self.certificate[0]} and its key cannot be used together"
                raise FetchFailed(Result.STORAGE, message) from None
        return context


def _no_password() -> str:
    raise ValueError("the key has a password")


def read_secrets(access: Access, list_url: str) -> Secrets:
    """Read what stands in files.  Raises FetchFailed; a login is another step."""
    secrets = Secrets(origin_of(list_url))
    if access.bearer_file:
        token = _text(access.bearer_file)
        secrets.headers["Authorization"] = f"Bearer {token}"
        secrets.hidden.append(token)
    elif access.basic_file:
        pair = _text(access.basic_file)
        if ":" not in pair:
            raise FetchFailed(Result.STORAGE, f"{access.basic_file}: write user:password")
        packed = base64.b64encode(pair.encode()).decode()
        secrets.headers["Authorization"] = f"Basic {packed}"
        secrets.hidden += [pair, packed, pair.partition(":")[2]]
    elif access.api_key_file:
        secrets.headers[access.api_key_header] = _text(access.api_key_file)
        secrets.hidden.append(secrets.headers[access.api_key_header])
    if access.key_file:
        read_secret(access.key_file)  # For its mode; TLS reads it itself.
        secrets.certificate = (access.certificate_file, access.key_file)
    secrets.hidden = [text for text in secrets.hidden if text]
    return secrets


def read_secret(path: str) -> bytes:
    """The content of a file that nobody else may read.  Raises FetchFailed."""
    try:
        with open_regular(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = read_up_to(file, SECRET_OCTETS_MAX + 1)
    except OSError as error:
        raise FetchFailed(Result.STORAGE, f"secret file {path}: cannot be read: {error.strerror}") from None
    if objection := mode_objection(mode):
        raise FetchFailed(Result.STORAGE, f"secret file {path}: {objection}")
    if not octets.strip() or len(octets) > SECRET_OCTETS_MAX:
        raise FetchFailed(
            Result.STORAGE, f"secret file {path}: is empty, or has over {SECRET_OCTETS_MAX:,} bytes"
        )
    return octets


def _text(path: str) -> str:
    octets = read_secret(path).strip()
    if not octets.isascii() or not octets.decode("ascii").isprintable():
        raise FetchFailed(Result.STORAGE, f"secret file {path}: must have one line of printable ASCII")
    return octets.decode("ascii")
