"""Makes a certificate that signs itself, for tests and small networks.

Knows: X.509, what clients ask of a server's certificate.  Does not know: files, settings.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS_MAX: Final = 825
"""Apple's systems trust no longer life, whoever signed."""

DAYS_USUAL: Final = 397
"""As long as authorities could sign for until 2026; the server warns before it ends."""

EARLIER_S: Final = 3600
"""It is valid from so long ago: clocks of clients are not all right."""


def make_pair(
    names: Sequence[str],
    addresses: Sequence[IPv4Address | IPv6Address],
    wall: float,
    *,
    days: int = DAYS_USUAL,
) -> tuple[bytes, bytes]:
    """A certificate for these (ECDSA, P-256) and its key, both PEM.  `names`: A-labels."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, (names[0] if names else str(addresses[0]))[:64])]
    )
    start = datetime.datetime.fromtimestamp(wall, datetime.UTC).replace(microsecond=0)
    others: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    others += [x509.IPAddress(address) for address in addresses]
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - datetime.timedelta(seconds=EARLIER_S))
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        # It vouches for itself and for nothing else.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_DIGITAL_SIGNATURE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def pin_of(chain: bytes) -> str:
    """The pin of a certificate's key, as clients of DNS over TLS write it (RFC 7858 §4.2): SHA-256,
    base64."""
    spki = (
        x509.load_pem_x509_certificate(chain)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


_DIGITAL_SIGNATURE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
