"""A TLS client that asks for new keys, or for a new handshake within a session, which Python's own cannot.

Knows: the few calls of OpenSSL that it takes.  Does not know: sockets, certificates (it believes any).
The library is the one that Python's `ssl` is linked with.
"""

from __future__ import annotations

import ctypes
import ssl

_WRITE_AND_READ = 1
"""SSL_KEY_UPDATE_REQUESTED: new keys in both directions."""
_SET_MAX_VERSION, _TLS12 = 124, 0x0303
"""SSL_CTRL_SET_MAX_PROTO_VERSION and TLS1_2_VERSION."""
_PIECE = 1 << 16

_CALLS: dict[str, tuple[object, ...]] = {
    "TLS_client_method": (ctypes.c_void_p,),
    "SSL_CTX_new": (ctypes.c_void_p, ctypes.c_void_p),
    "SSL_CTX_free": (None, ctypes.c_void_p),
    "SSL_new": (ctypes.c_void_p, ctypes.c_void_p),
    "SSL_free": (None, ctypes.c_void_p),
    "SSL_set_bio": (None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
    "SSL_set_connect_state": (None, ctypes.c_void_p),
    "SSL_do_handshake": (ctypes.c_int, ctypes.c_void_p),
    "SSL_write": (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
    "SSL_key_update": (ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
    "SSL_renegotiate": (ctypes.c_int, ctypes.c_void_p),
    "SSL_ctrl": (ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p),
    "BIO_s_mem": (ctypes.c_void_p,),
    "BIO_new": (ctypes.c_void_p, ctypes.c_void_p),
    "BIO_write": (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
    "BIO_read": (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
}
"""Each with what it returns and what it takes."""


def openssl() -> ctypes.CDLL:
    """The library.  Raises AttributeError where Python does not let it be called."""
    library = ctypes.CDLL(ssl._ssl.__file__)  # type: ignore[attr-defined]
    for name, (result, *taken) in _CALLS.items():
        call = getattr(library, name)
        call.restype, call.argtypes = result, taken
    return library


class KeyClient:
    """Octets in, octets out."""

    def __init__(self, *, tls12: bool = False) -> None:
        """`tls12`: no later version, which knows no new handshake within a session."""
        self._lib = openssl()
        self._context = self._lib.SSL_CTX_new(self._lib.TLS_client_method())
        self._ssl = self._lib.SSL_new(self._context)
        self._incoming = self._lib.BIO_new(self._lib.BIO_s_mem())
        self._outgoing = self._lib.BIO_new(self._lib.BIO_s_mem())
        self._lib.SSL_set_bio(self._ssl, self._incoming, self._outgoing)
        self._lib.SSL_set_connect_state(self._ssl)
        if tls12:
            self._lib.SSL_ctrl(self._ssl, _SET_MAX_VERSION, _TLS12, None)

    def close(self) -> None:
        """Free all of it."""
        self._lib.SSL_free(self._ssl)
        self._lib.SSL_CTX_free(self._context)

    def shake_hands(self, received: bytes = b"") -> tuple[bool, bytes]:
        """Go on with what the server said: whether that was the handshake, and what to send."""
        self._lib.BIO_write(self._incoming, received, len(received))
        is_done = self._lib.SSL_do_handshake(self._ssl) == 1
        return is_done, self._sent()

    def say(self, octets: bytes) -> bytes:
        """`octets` as a record."""
        assert self._lib.SSL_write(self._ssl, octets, len(octets)) == len(octets)
        return self._sent()

    def new_keys(self, count: int) -> bytes:
        """So many requests for a new key."""
        requests = []
        for _ in range(count):
            assert self._lib.SSL_key_update(self._ssl, _WRITE_AND_READ) == 1
            assert self._lib.SSL_do_handshake(self._ssl) == 1
            requests.append(self._sent())
        return b"".join(requests)

    def renegotiate(self) -> bytes:
        """A ClientHello within the session."""
        assert self._lib.SSL_renegotiate(self._ssl) == 1
        self._lib.SSL_do_handshake(self._ssl)
        return self._sent()

    def _sent(self) -> bytes:
        room = ctypes.create_string_buffer(_PIECE)
        length = self._lib.BIO_read(self._outgoing, room, _PIECE)
        return room.raw[: max(length, 0)]
