"""What clients could not verify of the listeners that this server designates (RFC 9462).

Knows: which address and name a client looks for in which certificate.  Does not know: whether a certificate
can be served (whoever starts says that).
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from resolver.certificates.files import read_pairs
from resolver.certificates.names import NameTable
from resolver.config.settings import Settings, key_line
from resolver.problems import Problem
from resolver.server.designating import designated_name
from resolver.server.encryption import sources_of
from resolver.wire.names import name_to_text


def designation_problems(config: Path, settings: Settings) -> list[Problem]:
    """Warnings, each at the line of the settings that it is about."""
    sources = sources_of(settings)
    pairs, objections = read_pairs(sources)
    if not settings.ddr.enabled or not pairs or objections:
        return []
    name = designated_name(settings, pairs)
    certificate = key_line(config, "tls", "certificate")
    if not name:
        text = (
            "tls.certificate: names no server, so clients that ask for encrypted listeners (RFC 9462) are "
            "told of none; use a certificate with a name, ddr.name, or ddr.enabled: false"
        )
        return [Problem(str(config), certificate, text, "warning")]
    places = NameTable([pair.names for pair in pairs]).places_of(name_to_text(name))
    problems = []
    if not places:
        text = f"ddr.name: {name_to_text(name)} stands in no certificate, so no client goes there"
        problems.append(Problem(str(config), key_line(config, "ddr", "name"), text, "warning"))
    # Who asked an address in clear text goes on only where the certificate has that address, too.
    shown = pairs[places[0] if places else 0]
    for index, endpoint in enumerate(settings.listen.dns):
        address = ip_address(endpoint.address)
        if address.is_unspecified:
            # Which one a client knows is not to be seen from here; without any it is none of them.
            is_shown = any(other.version == address.version for other in shown.addresses)
            what = f"no address that {endpoint.address} may stand for stands"
        else:
            is_shown = address in shown.addresses
            what = f"{endpoint.address} does not stand"
        if not is_shown:
            text = (
                f"listen.dns: {what} in the certificate of {name_to_text(name)} (subjectAltName, IP), so "
                "clients that find it by RFC 9462 §4.2 cannot verify it and stay in clear text"
            )
            line = key_line(config, "listen", "dns", index) or certificate
            problems.append(Problem(str(config), line, text, "warning"))
    return problems
