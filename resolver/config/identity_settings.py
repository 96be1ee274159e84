"""Who this server is and who its clients are: its own name, what it designates, relays, names of clients.

Knows: the keys of these sections, and what may stand in them.  Does not know: who asks, what is answered.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from resolver.config.settingvalues import DomainName
from resolver.config.yamlmodel import Section, setting, text_setting
from resolver.problems import Findings, show
from resolver.wire.encode import NSID_OCTETS_MAX
from resolver.wire.names import is_at_or_below, name_from_text

HOSTNAME = "hostname"
"""The word for the name that this machine calls itself by."""

RESOLVER_ARPA = name_from_text("resolver.arpa")


def _check_nsid(text: str | None) -> str | None:
    if text is not None and (not text.isprintable() or not text.strip()):
        raise ValueError("is not one line of readable text")
    if text is not None and len(text.encode()) > NSID_OCTETS_MAX:
        raise ValueError(f"{show(text)} has {len(text.encode())} octets; allowed: {NSID_OCTETS_MAX}")
    return text


NsidText = Annotated[str | None, AfterValidator(_check_nsid)]


def nsid_setting() -> NsidText:
    """The key `nsid`."""
    told: NsidText = text_setting(
        None,
        "The name by which clients that ask for it (RFC 5001) tell this server from its twin; hostname: that "
        "of this machine; null: it is not told.",
        longest=NSID_OCTETS_MAX,
    )
    return told


class SpecialNamesSection(Section):
    """Names that are special by agreement, where the operator has a say."""

    browser_relay: Literal["allow", "block"] = setting(
        "allow",
        "mask.icloud.com and mask-h2.icloud.com, by which Apple's devices find iCloud Private Relay: block "
        "says that they do not exist, so that a device tells its user that this network has no part in it.",
    )


class DdrSection(Section):
    """What `_dns.resolver.arpa` says of encrypted listeners (RFC 9462)."""

    enabled: bool = setting(True, "Whether clients that ask are told of listen.tls and listen.https.")
    name: DomainName | None = setting(
        None,
        "The name that clients find in the certificate; null: the first in tls.certificate, wildcards aside.",
    )


class ClientNamesSection(Section):
    """Names that clients over TLS and HTTPS give themselves; they stand in query records."""

    in_path: bool = setting(False, "Whether the path may name the client: /dns-query/NAME.")
    below: DomainName | None = setting(
        None,
        "Where the server name that a client asks for in TLS names it: the label before this, e.g. "
        "dns.example.net for phones.dns.example.net.",
    )


def check_identity(forward: list[tuple[int, bytes]], findings: Findings) -> None:
    """Check what no key can know alone.  `forward`: line and suffix of each key of `upstreams.forward`."""
    for at, suffix in forward:
        if is_at_or_below(suffix, RESOLVER_ARPA):
            message = (
                "upstreams.forward: resolver.arpa is never forwarded, for it means this resolver "
                "(RFC 9462 §6.1); this key has no effect"
            )
            findings.warning(at, message)
