"""Who may ask what: this machine, tokens and roles, pages of other sites, wrong tokens.

Knows: what each request needs, and says of itself.  Does not know: the pages, where tokens come from.
Theory: reading is open to who asks from this machine, and to nobody else without a token.  A proxy on this
machine speaks for somebody else; a browser may speak for a page from anywhere, and its `Origin` and
`Sec-Fetch-Site` say so.  Nothing here goes by a cookie, so no page can use what another one has.  Wrong
tokens cost their sender: after some different ones, it is told to wait.  A right one is always heard: else
anybody behind the same address keeps others from ending a pause.  The same wrong token costs once: who
repeats it learns nothing, and is mostly a program or a page with an old one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from resolver.api.refusal import Kind, Refusal
from resolver.api.token_file import TokenFile
from resolver.api.tokens import SOMEBODY_HERE, TOKEN_CHARS_MAX, Caller, Role, digest_of

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""What a proxy adds."""
FROM_ELSEWHERE: Final = ("cross-site", "same-site")
"""Of `Sec-Fetch-Site`: another site, or another host or port of this one."""
GUESSES_MAX: Final = 10
"""Different wrong tokens of one client (IPv6: of one /64) before it is told to wait."""
GUESS_EVERY_S: Final = 6.0
"""After that, one more in so long."""
GUESSERS_MAX: Final = 4_096
"""Clients with wrong tokens that are remembered; then the longest unheard of goes."""
GUESSED_MAX: Final = 16
"""Wrong tokens of one client that are remembered; then the oldest goes."""

DIGEST_OCTETS: Final = 16
"""Of the hash of a wrong token, as it is remembered."""

_NOTHING: Final[tuple[float, float, tuple[bytes, ...]]] = (0.0, 0.0, ())
_BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/=-]+) *")
_log = logging.getLogger("resolver.api")


class Need(Enum):
    """What a request needs."""

    READ = Role.READ
    """A token; none on this machine."""
    TOKEN = "token"
    """A token of any role, on this machine too."""
    EDIT = Role.EDIT
    APPROVE = Role.APPROVE

    @property
    def role(self) -> Role:
        """The least role."""
        return self.value if isinstance(self.value, Role) else Role.READ

    @property
    def is_open_here(self) -> bool:
        """Whether this machine needs no token."""
        return self is Need.READ


class Guard:
    """Lets requests through, or says why not."""

    def __init__(
        self, tokens: TokenFile, now: Callable[[], float], on_refused: Callable[[str], None]
    ) -> None:
        """`now`: monotonic seconds.  `on_refused`: called with one of `facts.HTTP_REFUSALS`."""
        self.tokens = tokens
        self._guesses = Guesses(now)
        self._on_refused = on_refused

    def caller(self, request: Request, need: Need) -> Caller:
        """Who asks.  Raises Refusal: they may not."""
        try:
            return self._caller(request, need)
        except Refusal as refusal:
            self._on_refused(refusal.kind.word.replace("-", "_"))
            raise

    def may_read(self, request: Request) -> bool:
        """Whether they may read, of a page that others see less of; a wrong token is counted all the same."""
        if "authorization" in request.headers:
            try:
                self.caller(request, Need.READ)
            except Refusal:
                return False
            return True
        address = request.client.host if request.client else ""
        return not (why_from_elsewhere(request.headers) or why_not_here(address, request.headers))

    def _caller(self, request: Request, need: Need) -> Caller:
        if objection := why_from_elsewhere(request.headers):
            raise Refusal(Kind.ORIGIN, objection)
        shown = request.headers.get("authorization")
        address = request.client.host if request.client else ""
        if shown is not None:
            caller = self._shown(shown, address)
        elif need.is_open_here and not (reason := why_not_here(address, request.headers)):
            caller = SOMEBODY_HERE
        else:
            raise Refusal(
                Kind.TOKEN_MISSING,
                self._why_needed(need, reason if need.is_open_here else ""),
                remedy=self._remedy,
            )
        if caller.role < need.role:
            detail = f"{caller.name} has the role {caller.role.word}; this needs {need.role.word}"
            raise Refusal(Kind.ROLE, detail, remedy="Ask somebody with that role, or for another token.")
        return caller

    def _shown(self, authorization: str, address: str) -> Caller:
        key = client_of(address)
        found = _BEARER.fullmatch(authorization)
        caller = None if found is None else self.tokens.caller_with(found[1])
        if caller is None:
            if not self._guesses.may_try(key):
                raise Refusal(Kind.GUESSES, "too many wrong tokens came from this address; wait a while")
            # What is longer than any token differs in nothing that counts.
            if self._guesses.note(key, found[1][: TOKEN_CHARS_MAX + 1] if found else ""):
                _log.warning("somebody tries tokens", extra={"address": address})
            detail = "no token of this server is like that" if found else "Authorization has no bearer token"
            raise Refusal(Kind.TOKEN_WRONG, detail, remedy=self._remedy)
        return caller

    def _why_needed(self, need: Need, reason: str) -> str:
        if not need.is_open_here:
            return "this needs a token, on this machine too"
        return f"without a token only this machine may read: {reason}"

    @property
    def _remedy(self) -> str:
        if self.tokens.has_any:
            return "Send `Authorization: Bearer TOKEN`."
        return "Make one with `exchange-resolver token NAME`, and set http.tokens_file."


class Guesses:
    """Wrong tokens by client: a bucket that runs over, and empties slowly."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._buckets: dict[str, tuple[float, float, tuple[bytes, ...]]] = {}
        """Client -> how full its bucket was, when, and hashes of what it showed."""

    def may_try(self, client: str) -> bool:
        """Whether this client is told that a token is wrong, and it is counted."""
        return self._fill(client) <= GUESSES_MAX - 1

    def note(self, client: str, token: str) -> bool:
        """It was wrong; whether that was one too many, for the first time in a while."""
        fill = self._fill(client)
        _, _, guessed = self._buckets.pop(client, _NOTHING)
        digest = digest_of(token)[:DIGEST_OCTETS]
        is_new = digest not in guessed
        if is_new:
            fill += 1
            guessed = (*guessed[1 - GUESSED_MAX :], digest)
        if len(self._buckets) >= GUESSERS_MAX:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[client] = fill, self._now(), guessed
        return is_new and GUESSES_MAX - 1 < fill <= GUESSES_MAX

    def _fill(self, client: str) -> float:
        fill, at, _ = self._buckets.get(client, _NOTHING)
        return max(0.0, fill - (self._now() - at) / GUESS_EVERY_S)


def client_of(address: str) -> str:
    """Whom wrong tokens are counted of: an IPv4 address, or the /64 that an IPv6 host has."""
    try:
        here = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(here, "ipv4_mapped", None)
    if mapped or here.version == 4:
        return str(mapped or here)
    return here.packed[:8].hex()


def why_not_here(address: str, headers: Mapping[str, str]) -> str:
    """Why this client is not on this machine, as far as anybody can tell; empty: it is."""
    try:
        here = ip_address(address)
    except ValueError:
        return "who asks is not known"
    mapped = getattr(here, "ipv4_mapped", None)
    if not (mapped or here).is_loopback:
        return "this comes from another one"
    if any(header in headers for header in FORWARDED):
        return "this comes through a proxy on it"
    return ""


def why_from_elsewhere(headers: Mapping[str, str]) -> str:
    """Why a browser asks for a page of another site; empty: it does not, or it is no browser."""
    if headers.get("sec-fetch-site", "") in FROM_ELSEWHERE:
        return "the browser says that a page of another site asks (Sec-Fetch-Site)"
    origin = headers.get("origin")
    if origin is not None and not _is_own(origin, headers.get("host", "")):
        return "the browser says that a page of another site asks (Origin)"
    return ""


def _is_own(origin: str, host: str) -> bool:
    """Whether a page from `origin` is one of this server, as the request calls it."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and parts.netloc.lower() == host.lower()
