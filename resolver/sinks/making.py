"""What one sink is told -> the sink: its look and its way out.

Knows: which way needs what.  Does not know: settings, when a sink runs.
"""

from __future__ import annotations

import errno
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resolver.blocklist.access import mode_objection
from resolver.observe.clients import ShownClients
from resolver.sinks import dnstap, syslog
from resolver.sinks.datagram_outlet import DatagramOutlet
from resolver.sinks.file_outlet import FileOutlet
from resolver.sinks.ipcrypt import PrefixCipher, read_key
from resolver.sinks.look import Look
from resolver.sinks.outlet import Outlet
from resolver.sinks.sink import RecordSink
from resolver.sinks.stream_outlet import Receiver, StreamOutlet


@dataclass(frozen=True, slots=True)
class Way:
    """Where the records of one sink go."""

    kind: str
    """`file`, `unix`, `udp`, `tcp` or `tls`."""
    path: Path | None = None
    address: tuple[str, int] = ("", 0)
    name: str = ""
    """That the certificate must have; empty: the address."""
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    """That is shown to the receiver; None: none is."""
    tls_key: Path | None = None
    octets_max: int = 0
    """At which a file turns; 0: never."""
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Maker:
    """What all sinks of one server have in common."""

    host: str
    version: str
    record_look: Any = None
    """`RecordLook` of the native plane; None: there is no plane."""

    def native_look(
        self, record_format: str, clients: str, key: bytes | None, *, only_blocked: bool, head: bytes = b""
    ) -> Any:
        """The same look for the native plane's records."""
        if self.record_look is None:
            return None
        return self.record_look(record_format, clients, only_blocked=only_blocked, key=key, head=head)

    def sink(
        self,
        name: str,
        record_format: str,
        way: Way,
        *,
        only_blocked: bool,
        clients: str,
        key_file: Path | None,
    ) -> RecordSink:
        """One sink.  Raises `BadKey`."""
        key = None if key_file is None else read_key(key_file)
        head = b""
        if record_format == "syslog":
            head = syslog.head_of(self.host, os.getpid())
        elif record_format == "dnstap":
            head = dnstap.head_of(self.host, f"exchange-resolver {self.version}")
        native = self.native_look(record_format, clients, key, only_blocked=only_blocked, head=head)
        look = Look(record_format, shown_clients(clients, key), only_blocked, head, native)
        return RecordSink(name, look, outlet_of(way, look))


def shown_clients(clients: str, key: bytes | None) -> ShownClients:
    """How clients are shown, by the word of the settings."""
    return ShownClients(clients, None if key is None else PrefixCipher(key).encrypt)


def outlet_of(way: Way, look: Look) -> Outlet:
    """The way out of one sink."""
    content_type = dnstap.CONTENT_TYPE if look.format == "dnstap" else None
    if way.kind == "file":
        assert way.path is not None
        return FileOutlet(
            way.path, look.ends, octets_max=way.octets_max, kept=way.kept, content_type=content_type
        )
    if way.kind == "udp":
        return DatagramOutlet(way.address, syslog.message_spans)
    if way.kind == "unix":
        return StreamOutlet(Receiver(str(way.path)), content_type=content_type)
    if way.kind == "tcp":
        return StreamOutlet(Receiver(way.address), content_type=content_type)
    receiver = Receiver(way.address, lambda: tls_of(way), way.name or way.address[0])
    return StreamOutlet(receiver, content_type=content_type)


def tls_of(way: Way) -> ssl.SSLContext:
    """For one connection, with the files as they are now: certificates are renewed.  Raises OSError."""
    context = tls_context(way.tls_ca)
    if way.tls_certificate is not None and way.tls_key is not None:
        _show(context, way.tls_certificate, way.tls_key)
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Have a certificate shown to whoever asks for one.  Raises OSError, which says what is wrong."""
    for name, path in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise OSError(errno.EPROTO, f"TLS: {name} {path}: {error.strerror}") from None
        if path is key and (objection := mode_objection(mode)):
            raise OSError(errno.EPROTO, f"TLS: {name} {path}: {objection}")
    try:
        # A key behind a passphrase would ask for it at a terminal that is not there.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        why = "is not the key of the certificate" if error.reason == "KEY_VALUES_MISMATCH" else "no PEM"
        message = f"TLS: tls_key {key} of tls_certificate {certificate}: {why}"
        raise OSError(errno.EPROTO, message) from None
    except OSError as error:
        raise OSError(errno.EPROTO, f"TLS: tls_certificate {certificate}: {error.strerror}") from None


def tls_context(authorities: Path | None) -> ssl.SSLContext:
    """For a connection whose other end shows who it is (RFC 5425 §5.2).  Raises OSError."""
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        # Without the file nobody can be believed; its name helps, what stands in it does not matter.
        why = error.strerror if error.errno is not None and not isinstance(error, ssl.SSLError) else "no PEM"
        raise OSError(errno.EPROTO, f"TLS: tls_ca {authorities}: {why}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
