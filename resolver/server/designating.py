"""Tells clients that ask in clear text of this server's encrypted listeners (RFC 9462), and of no others.

Knows: where is listened, whose name the certificates have, who answers clients.  Does not know: how records
say it, files, sockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Literal, Protocol

from resolver.certificates.pair import Pair
from resolver.config.settings import Settings
from resolver.listeners.address import SocketAddress
from resolver.local.designation import EncryptedListener, designations
from resolver.wire.names import name_from_text


class AnswersClients(Protocol):
    """One plane's local names."""

    def designate(self, name: bytes, rdatas: list[bytes]) -> None:
        """See `LocalNames.designate`."""


class Designation:
    """What one server says of its encrypted listeners; it changes with them, and with its certificates."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._planes: list[AnswersClients] = []
        self._listeners: list[EncryptedListener] = []
        self._name = b""

    def tell(self, plane: AnswersClients) -> None:
        """Let this plane's clients know, from now on."""
        self._planes.append(plane)
        self._say()

    def on_listener(self, key: str, address: SocketAddress, is_here: bool) -> None:
        """Something listens here from now on, or this machine has the address no more; `key`: of `listen`."""
        kind: Literal["tls", "https"] = "tls" if key == "tls" else "https"
        listener = EncryptedListener(kind, ip_address(address.host), address.port)
        if is_here and listener not in self._listeners:
            self._listeners.append(listener)
        elif not is_here and listener in self._listeners:
            self._listeners.remove(listener)
        self._say()

    def on_certificates(self, pairs: Sequence[Pair]) -> None:
        """These are served from now on."""
        self._name = designated_name(self._settings, pairs)
        self._say()

    def _say(self) -> None:
        rdatas = []
        if self._name and self._settings.ddr.enabled:
            own = self._settings.records.get(self._name, ())
            rdatas = designations(self._name, self._listeners, list(own))
        for plane in self._planes:
            plane.designate(self._name, rdatas)


def designated_name(settings: Settings, pairs: Sequence[Pair]) -> bytes:
    """The name under which clients are sent to the encrypted listeners, wire form; empty: there is none."""
    if settings.ddr.name is not None:
        return settings.ddr.name
    for text in pairs[0].names if pairs else ():
        try:
            # A wildcard is no server's name.
            if not text.startswith("*."):
                return name_from_text(text)
        except ValueError:
            continue
    return b""
