"""What a first configuration says for a home, an office or a provider: values, and what each choice means.

Knows: the keys of settings and blocklist that differ.  Does not know: files, the machine, who asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from resolver.config.commented import commented_with
from resolver.migration.writing import STATE_DIR

SETTINGS_FILE: Final = "resolver.yaml"
BLOCKLIST_FILE: Final = "blocklist.yaml"
SYSTEM_DIRECTORY: Final = Path("/etc/exchange-resolver")
SYSTEM_STATE: Final = "/var/lib/exchange-resolver"

ENCRYPTED_SERVERS: Final = ("tls://9.9.9.9:853#dns.quad9.net", "tls://1.1.1.1:853#cloudflare-dns.com")
PLAIN_SERVERS: Final = ("udp://9.9.9.9:53", "udp://1.1.1.1:53")
BOOTSTRAP: Final = ("9.9.9.9:53", "1.1.1.1:53")
"""Who resolves the hosts of lists where all servers are encrypted."""
EVERYWHERE: Final = ("0.0.0.0:53", "[::]:53")
_PRIVATE: Final = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
_CARRIER_NAT: Final = "100.64.0.0/10"
"""Addresses between a provider and its customers (RFC 6598)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One of the three."""

    name: str
    title: str
    meaning: tuple[str, ...]
    """Comments at the head of the settings: what was chosen, and why."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Of the blocklist."""


PROFILES: Final = {
    one.name: one
    for one in (
        Profile(
            "home",
            "a home: one router, a few people",
            (
                "Everybody at home asks this server; nobody from outside may (clients.allow).",
                "Nothing is written down of who asked what (log.queries).",
            ),
        ),
        Profile(
            "office",
            "an office: people who work, a company's own names",
            (
                "Everybody in the network asks this server; nobody from outside may (clients.allow).",
                "One device that runs wild is slowed down, the others are not (clients.rate_limit_qps).",
                "For the company's own names write its servers into upstreams.forward, for a "
                "few of them records.",
                "Nothing is written down of who asked what; read the guide before you change log.queries.",
            ),
            {"clients.rate_limit_qps": 200, "cache.size_mb": 256},
        ),
        Profile(
            "provider",
            "a provider: thousands of lines, orders of authorities",
            (
                "Only your customers may ask: write their networks into clients.allow before "
                "you start.  Until then",
                "private ones and those of carrier NAT may.",
                "Clients are limited each, so that one does not take the room of all "
                "(clients.rate_limit_qps, limits).",
                "Run two of them; nsid tells them apart.",
                "Nothing is written down of who asked what; for what an order must prove, "
                "see audit and report.",
            ),
            {
                "clients.allow": [*_PRIVATE, _CARRIER_NAT],
                "clients.rate_limit_qps": 100,
                "cache.size_mb": 1024,
                "limits.tcp_connections_max": 4000,
                "limits.tcp_connections_per_client_max": 20,
                "limits.stream_buffers_mb": 128,
                "limits.in_flight_max": 16384,
                "nsid": "hostname",
            },
        ),
    )
}


_WAYS: Final = {
    True: "Queries leave encrypted, so that nobody on the way reads them (upstreams).",
    False: "Queries leave in clear text, so everybody on the way reads them (upstreams; "
    "tls:// would hide them).",
}
"""Whether all upstreams are encrypted -> what that means."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What somebody chose."""

    profile: Profile
    listen: Sequence[str] = EVERYWHERE
    upstreams: Sequence[str] = ENCRYPTED_SERVERS
    networks: Sequence[str] = ()
    """Who may ask; none: as the profile has it."""
    contact: str = ""
    """For people who are blocked; empty: nobody."""


def state_dir_for(directory: Path) -> str:
    """`state_dir` for settings in a folder: the system's own folder has only what people write."""
    is_system = directory.resolve() == SYSTEM_DIRECTORY.resolve()
    return SYSTEM_STATE if is_system else STATE_DIR


def files_for(answers: Answers, directory: Path, catalogue: str) -> dict[str, str]:
    """The two files.  `catalogue`: the blocklist that ships, with its comments."""
    profile = answers.profile
    values = dict(profile.settings)
    values["listen.dns"] = list(answers.listen)
    values["upstreams.servers"] = list(answers.upstreams)
    is_encrypted = all(url.startswith(("tls://", "https://")) for url in answers.upstreams)
    if is_encrypted:
        values["upstreams.bootstrap"] = list(BOOTSTRAP)
    if answers.networks:
        values["clients.allow"] = list(answers.networks)
    values["blocklist"] = BLOCKLIST_FILE
    values["state_dir"] = state_dir_for(directory)
    head = [
        f"Made by `exchange-resolver init` for {profile.title}.",
        "",
        *profile.meaning,
        _WAYS[is_encrypted],
    ]
    defaults = {f"defaults.{key}": value for key, value in profile.defaults.items()}
    if answers.contact:
        defaults["defaults.contact"] = answers.contact
    return {
        SETTINGS_FILE: commented_with(values, head=_comments(head)),
        BLOCKLIST_FILE: commented_with(defaults, text=catalogue),
    }


def _comments(lines: Sequence[str]) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + "#\n"
