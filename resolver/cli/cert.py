"""`cert`: a certificate that signs itself, for tests and small networks, as two files.

Knows: files, modes, words, which names and addresses `listen` stands for.  Does not know: X.509.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from resolver.certificates.making import DAYS_MAX, DAYS_USUAL, make_pair, pin_of
from resolver.cli.files import EXIT_FINE, BadInput, bad_input, read_settings, settings_path
from resolver.config.settings import Settings
from resolver.config.settingvalues import host_name_from
from resolver.durable import write_new_pair
from resolver.problems import Problem, printable, show

CERTIFICATE: str = "resolver.pem"
KEY: str = "resolver.key"
"""Names of the files where neither the command nor the settings say another."""


def make_certificate(
    given: Sequence[str],
    certificate: Path | None,
    key: Path | None,
    config: Path | None,
    *,
    days: int = DAYS_USUAL,
    wall: float | None = None,
) -> int:
    """Make the pair for these names and addresses, or for those of `listen`; the exit code."""
    try:
        settings, folder = _settings(config)
        names, addresses = _read_names(given) if given else _names_of(settings)
        if not 1 <= days <= DAYS_MAX:
            raise BadInput([Problem("--days", 0, f"{days} is not allowed; allowed: 1 to {DAYS_MAX}")])
    except BadInput as error:
        return bad_input(error.problems)
    certificate = certificate or settings.tls.certificate or folder / CERTIFICATE
    key = key or settings.tls.key or folder / KEY
    for taken in (certificate, key):
        if os.path.lexists(taken):
            message = (
                "is there already, and nothing is written over; name others with --certificate and --key"
            )
            return bad_input([Problem(str(taken), 0, message)])
    chain, private = make_pair(names, addresses, time.time() if wall is None else wall, days=days)
    try:
        write_new_pair(key, private, certificate, chain)
    except OSError as error:
        return bad_input([Problem(str(error.filename or key), 0, f"cannot be written: {error.strerror}")])
    print(f"certificate: {printable(str(certificate))} (give it to clients that are to trust it)")
    print(f"key:         {printable(str(key))} (keep it; the server's user must be able to read it)")
    print(f"for:         {printable(', '.join([*names, *map(str, addresses)]))}")
    print(f"pin:         {pin_of(chain)} (SHA-256 of its key, for clients that take pins)")
    if settings.tls.certificate is None:
        print(
            "settings:    tls: {certificate: "
            f"{printable(str(certificate.absolute()))}, key: {printable(str(key.absolute()))}}}"
        )
    return EXIT_FINE


def _settings(config: Path | None) -> tuple[Settings, Path]:
    """The settings, where there are any, and where files go that nobody names.  Raises BadInput."""
    if config is None:
        try:
            settings_path(None)
        except BadInput:
            return Settings(), Path()
    return read_settings(config)[0], Path()


def _read_names(given: Iterable[str]) -> tuple[list[str], list[IPv4Address | IPv6Address]]:
    """What somebody wants in the certificate.  Raises BadInput."""
    names, addresses, problems = [], [], []
    for text in given:
        try:
            addresses.append(ip_address(text.strip("[]")))
            continue
        except ValueError:
            pass
        try:
            is_wildcard = text.startswith("*.")
            name = host_name_from(text.removeprefix("*."))
            if not name:
                raise ValueError("the root is no name of a server")
            names.append(f"*.{name}" if is_wildcard else name)
        except ValueError as error:
            problems.append(Problem(show(text), 0, f"is no name and no address: {error}"))
    if problems:
        raise BadInput(problems)
    return list(dict.fromkeys(names)), list(dict.fromkeys(addresses))


def _names_of(settings: Settings) -> tuple[list[str], list[IPv4Address | IPv6Address]]:
    """This machine's name, and the addresses where encrypted DNS is served, or else plain DNS."""
    listen = settings.listen
    served = listen.tls + listen.https or listen.dns
    addresses = [ip_address(endpoint.address) for endpoint in served]
    told = [address for address in dict.fromkeys(addresses) if not address.is_unspecified]
    names = []
    try:
        names.append(host_name_from(socket.gethostname()))
    except ValueError:
        if not told:
            message = "name them: `listen` has no address of its own, and this machine's name cannot be used"
            raise BadInput([Problem("cert", 0, message)]) from None
    return names, told
