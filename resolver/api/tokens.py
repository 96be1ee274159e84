"""Tokens of the API: who they belong to, what each may do, and how one is made.

Knows: the lines of a tokens file, hashes, roles.  Does not know: HTTP, when a file is read (`token_file`).
Theory: a token is 32 octets of chance, so nobody guesses one, and a plain hash of it cannot be turned back:
slow hashes are for passwords that people choose.  A file has hashes alone; whoever reads it can use none.
Which line a token meets is told by no time: all of them are compared, each in constant time.

A file, and the environment variable EXCHANGE_RESOLVER_TOKENS, has a line for each token:

    # NAME ROLE HASH
    ann approve sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from resolver.problems import show, suggest

ENVIRONMENT: Final = "EXCHANGE_RESOLVER_TOKENS"
PREFIX: Final = "xr_"
"""What a token begins with, so that people and scanners of secrets know one when they see it."""
SECRET_OCTETS: Final = 32
TOKEN_CHARS_MAX: Final = 128
"""A longer one is none of ours, and is not hashed."""
TOKENS_MAX: Final = 256
"""In one file: each request with a token is held against all."""

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,62}[A-Za-z0-9])?", re.ASCII)
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")


class Role(IntEnum):
    """What a token may do; each may do what those before it may."""

    READ = 1
    """Look at everything, query records too."""
    EDIT = 2
    """Propose or make changes of the blocklist, reload, flush, fetch lists, audit."""
    APPROVE = 3
    """Approve what others propose, pause, roll back."""

    @property
    def word(self) -> str:
        """As files and answers have it."""
        return self.name.lower()


ROLES: Final = {role.word: role for role in Role}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    """Of the token; empty: somebody on this machine, without one."""
    role: Role
    digest: bytes = field(default=b"", repr=False)
    """SHA-256 of the token: another one under the same name is another caller."""

    @property
    def has_token(self) -> bool:
        """Whether a token says who it is."""
        return bool(self.name)


SOMEBODY_HERE: Final = Caller("", Role.READ)
"""Whoever asks from this machine without a token."""


@dataclass(frozen=True, slots=True)
class Token:
    """One line."""

    caller: Caller


def new_token() -> str:
    """A token of chance."""
    return PREFIX + secrets.token_urlsafe(SECRET_OCTETS)


def digest_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def line_of(name: str, role: Role, token: str) -> str:
    """The line of a file."""
    return f"{name} {role.word} sha256:{digest_of(token).hex()}"


def name_from(text: str) -> str:
    """The name of a token.  Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{show(text)} is no name of a token: 1 to 64 of a-z, A-Z, 0-9, ., _, @ and -")
    return text


def role_from(text: str) -> Role:
    """A role.  Raises ValueError."""
    if text not in ROLES:
        raise ValueError(f"{show(text)} is no role{suggest(text, ROLES)}; allowed: {', '.join(ROLES)}")
    return ROLES[text]


def read_tokens(text: str) -> tuple[list[Token], list[tuple[int, str]]]:
    """All tokens of a text, and each line that cannot be used: its number, and why."""
    tokens: list[Token] = []
    objections: list[tuple[int, str]] = []
    names: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            token = _token_of(words)
            if first := names.get(token.caller.name):
                raise ValueError(f"the name {show(token.caller.name)} stands on line {first} already")
            if len(tokens) == TOKENS_MAX:
                raise ValueError(f"there are over {TOKENS_MAX} tokens")
        except ValueError as error:
            objections.append((number, str(error)))
            if len(objections) == TOKENS_MAX:
                break
            continue
        names[token.caller.name] = number
        tokens.append(token)
    return tokens, objections


def _token_of(words: list[str]) -> Token:
    form = "write NAME ROLE HASH, as `exchange-resolver token` does"
    if len(words) != 3:
        raise ValueError(f"{len(words)} words; {form}")
    name, role, kept = name_from(words[0]), role_from(words[1]), _HASH.fullmatch(words[2])
    if kept is None:
        # Never repeated: it may be the token itself.
        raise ValueError(f"the third word is no hash (sha256: and 64 hexadecimal digits); {form}")
    return Token(Caller(name, role, bytes.fromhex(kept[1])))


def caller_with(token: str, tokens: list[Token]) -> Caller | None:
    """Whose token this is; None: nobody's."""
    if not 0 < len(token) <= TOKEN_CHARS_MAX:
        return None
    digest, found = digest_of(token), None
    for one in tokens:
        # No end before the last: how long it takes says nothing of which.
        if hmac.compare_digest(one.caller.digest, digest):
            found = one.caller
    return found
