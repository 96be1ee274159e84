"""A set of certificates -> what Python's `ssl` serves them by: versions, suites, names, tickets.

Knows: OpenSSL's knobs as far as `ssl` has them.  Does not know: files, sockets, when a set changes.
Theory: each connection begins in the front, a context that lives as long as its ticket keys; when the client
has said which name it wants, it goes on in an inner context, which has the certificates.  A new set replaces
the inner ones: sessions that are open keep theirs, and tickets are taken as before, for OpenSSL keeps their
keys with the context that a connection began in.  Where several certificates suit a name, the inner context
has one of each kind of key, and OpenSSL takes one that the client can verify.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Sequence
from typing import Final

from resolver.certificates.names import NameTable
from resolver.certificates.pair import Pair

DOT_PROTOCOLS: Final = ("dot",)
"""ALPN of DNS over TLS (RFC 7858; registered as `dot`)."""

HTTPS_PROTOCOLS: Final = ("h2", "http/1.1")
"""Those of DNS over HTTPS, the better first."""

HTTP_PROTOCOLS: Final = ("http/1.1",)
"""Those of `listen.http`."""

SUITES_12: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Suites of TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 §4.2).  Those of TLS 1.3 are
all of that kind."""

TICKET_KEYS_S: Final = 12 * 3600.0
"""Then keys of tickets are made anew; a client that comes back with an older ticket shakes hands in full."""

ASKED_NAME: Final = "asked_name"
"""Attribute of a session that has the server name its client asked for; None: it named none."""

_HAS_HOOK = False


class CannotServe(Exception):
    """OpenSSL does not take a pair.  `place`: of the pair."""

    def __init__(self, place: int, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(reason)


class InnerContexts:
    """One set of certificates, for one list of protocols."""

    def __init__(self, pairs: Sequence[Pair], protocols: Sequence[str]) -> None:
        """`pairs`: the first is for clients that name no server.  Raises CannotServe."""
        self._table = NameTable([pair.names for pair in pairs])
        self._by_places: dict[tuple[int, ...], ssl.SSLContext] = {}
        by_members: dict[tuple[int, ...], ssl.SSLContext] = {}
        for places in self._table.every_answer():
            # A client that can verify none of the name's own gets another one, and says itself what it
            # thinks.
            members = _one_of_each_kind(pairs, [*places, *range(len(pairs))])
            if members not in by_members:
                by_members[members] = _context(protocols)
                for place in members:
                    _load(by_members[members], place, pairs[place])
            self._by_places[places] = by_members[members]

    def of(self, name: str | None) -> ssl.SSLContext:
        """The context for a name, or for none."""
        places = self._table.places_of(name)
        # A whole name and a wildcard may meet in a name that no certificate spells.
        return self._by_places.get(places) or self._by_places[()]


class FrontContexts:
    """What listeners of one list of protocols begin their connections in."""

    def __init__(self, protocols: Sequence[str]) -> None:
        """Without certificates: until they are set every handshake fails."""
        _quieten_bad_names()
        self._protocols = protocols
        self._inner: InnerContexts | None = None
        self._front: ssl.SSLContext | None = None
        self._made_at = 0.0

    def prepare(self, pairs: Sequence[Pair]) -> InnerContexts:
        """Make what these pairs are served by; nothing is served by it yet.  Raises CannotServe."""
        return InnerContexts(pairs, self._protocols)

    def use(self, inner: InnerContexts) -> None:
        """Serve new sessions by these from now on."""
        self._inner = inner

    def at(self, now: float) -> ssl.SSLContext:
        """What a connection that comes `now` begins in."""
        if self._front is None or now - self._made_at >= TICKET_KEYS_S:
            front = _context(self._protocols)
            front.sni_callback = self._choose
            self._front, self._made_at = front, now
        return self._front

    def _choose(self, session: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if self._inner is not None:
            session.context = self._inner.of(name)
        # `ssl` does not keep it for servers.
        setattr(session, ASKED_NAME, name)


def whole_context(pair: Pair, protocols: Sequence[str], authorities: str | None) -> ssl.SSLContext:
    """What one pair is served by, whatever name a client asks for.

    `authorities`: PEM: a client must show a certificate of one of them; None: it shows none.  Raises
    CannotServe.
    """
    _quieten_bad_names()
    context = _context(protocols)
    _load(context, 0, pair)
    if authorities is not None:
        try:
            context.load_verify_locations(cadata=authorities)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise CannotServe(0, f"its clients' authorities cannot be used: {reason}") from None
        context.verify_mode = ssl.CERT_REQUIRED
        # A ticket would let a client in whose authority is believed no longer.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


def _context(protocols: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES_12)
    # A client asks for another handshake at no cost to itself.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # Each costs a client's first answer a part of a packet; one is enough for one connection at a time.
    context.num_tickets = 1
    context.set_alpn_protocols(list(protocols))
    return context


def _one_of_each_kind(pairs: Sequence[Pair], places: Sequence[int]) -> tuple[int, ...]:
    chosen: dict[str, int] = {}
    for place in places:
        chosen.setdefault(pairs[place].kind, place)
    return tuple(chosen.values())


def _load(context: ssl.SSLContext, place: int, pair: Pair) -> None:
    """Give OpenSSL the octets that were checked.  `ssl` reads files only: these are in memory."""
    chain, key = _in_memory(pair.chain), _in_memory(pair.key)
    try:
        context.load_cert_chain(f"/proc/self/fd/{chain}", f"/proc/self/fd/{key}", password=lambda: b"")
    except ssl.SSLError as error:
        raise CannotServe(place, f"OpenSSL does not take it: {error.reason or error}") from None
    except OSError as error:
        raise CannotServe(place, f"cannot be handed to OpenSSL: {error}") from None
    finally:
        os.close(chain)
        os.close(key)


def _in_memory(octets: bytes) -> int:
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return descriptor


def _quieten_bad_names() -> None:
    """Keep a client's server name that is no ASCII from filling the log.

    `ssl` ends such a handshake with an alert, which is counted; but it also hands Python an exception that
    nobody can catch, and Python prints those, a traceback for each client that likes to see one.
    """
    global _HAS_HOOK
    if _HAS_HOOK:
        return
    _HAS_HOOK = True
    others = sys.unraisablehook

    def hook(said: sys.UnraisableHookArgs, /) -> None:
        if said.exc_type is not UnicodeDecodeError or not isinstance(said.object, bytes):
            others(said)

    sys.unraisablehook = hook
