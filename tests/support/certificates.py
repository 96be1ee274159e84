"""Makes certificates of every kind, good and bad, as PEM.

Knows: X.509.  Does not know: what is under test.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
"""About when these certificates are looked at."""
NOW_S = NOW.timestamp()


@dataclass(frozen=True)
class Made:
    """A certificate, its key, and who signed it."""

    certificate: x509.Certificate
    private: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        octets: bytes = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return octets


@cache
def key_of(kind: str, which: int = 0) -> Any:
    """A key of a kind; made once, as RSA keys take long."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:] or 2048))
    curves: dict[str, ec.EllipticCurve] = {
        "p256": ec.SECP256R1(),
        "p384": ec.SECP384R1(),
        "p521": ec.SECP521R1(),
        "k256": ec.SECP256K1(),
    }
    return ec.generate_private_key(curves[kind])


def make(
    *names: str,
    addresses: tuple[str, ...] = (),
    kind: str = "p256",
    which: int = 0,
    by: Made | None = None,
    common_name: str = "",
    is_ca: bool = False,
    days: tuple[float, float] = (-100, 100),
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> Made:
    """A certificate for these names, of a key of `kind` (the one numbered `which`), signed `by` another or itself.

    `days`: from when to when it is valid, from `NOW` on.
    """
    private = key_of(kind, which)
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, common_name or (names[0] if names else "nobody"))]
    )
    signer = private if by is None else by.private
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=days[0]))
        .not_valid_after(NOW + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    general: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    general += [x509.IPAddress(ip_address(address)) for address in addresses]
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signer, algorithm), private)
