"""What `check` says of the block page: whether who is sent to a sinkhole address finds it there.

Knows: `block_page` of the settings, the sinkhole addresses of a compiled policy.  Does not know: the page.
Theory: without `block_page.listen` nothing is said, as the page may be on another machine.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from resolver.config.settings import Settings, key_line
from resolver.config.settingvalues import Address, Endpoint
from resolver.policy.image import Image, ImageUnusable
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule
from resolver.problems import Problem

HTTP_PORT = 80
"""Where browsers come to."""
NOT_ALLOWED = (errno.EACCES, errno.EPERM)


def page_problems(config: Path, settings: Settings, image: Path | None) -> list[Problem]:
    """Warnings on the block page of the settings file `config`; `image`: the policy, if there is one."""
    page = settings.block_page
    if not page.listen:
        return []
    policy = _opened(image)
    found = [*_port_remarks(page.listen)]
    if policy is not None:
        found += _sinkhole_remarks(page.listen, policy)
        if page.contact is None and page.operator is None and not policy.meta["contact"]:
            found.append("names nobody to ask: set block_page.contact, or defaults.contact of the blocklist")
    line = key_line(config, "block_page", "listen")
    return [Problem(str(config), line, f"block_page: {message}", "warning") for message in found]


def _opened(path: Path | None) -> Image | None:
    try:
        return None if path is None else Image(path)
    except ImageUnusable:
        return None


def _port_remarks(listen: tuple[Endpoint, ...]) -> Iterator[str]:
    if not any(endpoint.port == HTTP_PORT for endpoint in listen):
        yield f"browsers come to port {HTTP_PORT}, and no address here has it"
    for endpoint in listen:
        if not _may_bind(endpoint):
            yield (
                f"{endpoint} cannot be bound by this user; the user that the server runs as needs "
                "CAP_NET_BIND_SERVICE (the systemd unit grants it)"
            )


def _may_bind(endpoint: Endpoint) -> bool:
    """Whether this user may; that the port is taken, or the address not here, is another matter."""
    with socket.socket(socket.AF_INET6 if endpoint.is_ipv6 else socket.AF_INET) as sock:
        try:
            sock.bind((endpoint.address, endpoint.port))
        except OSError as error:
            return error.errno not in NOT_ALLOWED
    return True


def _sinkhole_remarks(listen: tuple[Endpoint, ...], policy: Image) -> Iterator[str]:
    served = {ip_address(endpoint.address) for endpoint in listen}
    every = {address.version for address in served if address.is_unspecified}
    found = sinkholes_of(policy)
    for address in sorted(found, key=lambda one: (one.version, int(one))):
        labels = found[address]
        if address in served or address.version in every:
            continue
        more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
        yield (
            f"the sinkhole address {address} (of {', '.join(labels[:3])}{more}) is none of "
            "block_page.listen: who is sent there finds no page"
        )


def sinkholes_of(policy: Image) -> dict[Address, list[str]]:
    """The addresses that blocked names get, now or some day, and the labels of whose they are."""
    found: dict[Address, list[str]] = {}
    for source in policy.sources.values():
        for rule in source.phases or (source,):
            for address in _addresses_of(rule):
                labels = found.setdefault(address, [])
                if source.label not in labels:
                    labels.append(source.label)
    return found


def _addresses_of(rule: PolicyRule) -> list[Address]:
    if rule.mode is Mode.DISABLED or rule.kind not in ("exchange", "list"):
        return []
    packed: tuple[bytes, ...] = ()
    if rule.action is PolicyAction.SINKHOLE:
        packed = (rule.sinkhole_ipv4, rule.sinkhole_ipv6)
    elif rule.action is PolicyAction.LOCAL_DATA and rule.local_data is not None:
        packed = rule.local_data.addresses
    addresses = [ip_address(octets) for octets in packed if octets]
    # 0.0.0.0 and :: lead nowhere, on purpose.
    return [address for address in addresses if not address.is_unspecified]
