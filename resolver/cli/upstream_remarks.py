"""What `check` says of upstreams beside their settings: authorities of this machine, hosts of lists.

Knows: which lists a compiled policy downloads, whom the server would ask for their hosts.  Does not know:
whether anybody answers (`upstreams test`).
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from resolver.config.settings import Settings, key_line
from resolver.forwarding.tls_terms import TlsBook
from resolver.policy.image import Image, ImageUnusable
from resolver.problems import Problem
from resolver.server.lists import bootstrap_servers
from resolver.server.parts import make_plan


def upstream_problems(config: Path, settings: Settings, image: Path | None) -> list[Problem]:
    """Warnings on the upstreams of the settings file `config`; `image`: the policy, if there is one."""
    found = []
    if remark := TlsBook(settings.upstreams.tls_ca).prepare(make_plan(settings).upstreams):
        found.append(remark)
    if not bootstrap_servers(settings) and (names := _lists_by_host(image)):
        found.append(
            f"all are encrypted, so nobody resolves the hosts of downloaded lists ({', '.join(names)}); "
            "name DNS servers in upstreams.bootstrap"
        )
    line = key_line(config, "upstreams", "servers")
    return [Problem(str(config), line, f"upstreams.servers: {message}", "warning") for message in found]


def _lists_by_host(path: Path | None) -> list[str]:
    """The lists that are downloaded from a host with a name."""
    try:
        meta = {} if path is None else Image(path).meta
    except ImageUnusable:
        return []
    lists = meta.get("downloads", ())
    return [fields["name"] for fields in lists if _has_name(str(fields["download"]["url"]))]


def _has_name(url: str) -> bool:
    try:
        ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return True
    return False
