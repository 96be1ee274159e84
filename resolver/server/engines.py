"""Which engine serves which listening address, and why Python serves streams where the native plane runs.

Knows: settings that the native plane does not read on streams, the words for people.  Does not know: sockets,
which engine was chosen (`engine`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from resolver.config.settings import Settings
from resolver.flow.peer import Transport

KEY_OF: Final = {Transport.TCP: "dns", Transport.TLS: "tls", Transport.HTTPS: "https"}
"""Under which key of `listen` the addresses of streams stand."""


def pythons_streams(settings: Settings) -> dict[Transport, Sequence[str]]:
    """Streams that are Python's whatever engine runs -> the settings that the native plane does not read.

    They are ways in which clients of these streams say who they are.
    """
    found: dict[Transport, list[str]] = {transport: [] for transport in KEY_OF}
    if settings.listen.proxy_protocol:
        found[Transport.HTTPS].append("listen.proxy_protocol")
    if settings.client_names.below is not None:
        found[Transport.TLS].append("client_names.below")
        found[Transport.HTTPS].append("client_names.below")
    if settings.client_names.in_path:
        found[Transport.HTTPS].append("client_names.in_path")
    if settings.http.trusted_proxies:
        found[Transport.HTTPS].append("http.trusted_proxies")
    return {transport: keys for transport, keys in found.items() if keys}


def listened_on(
    pythons: Mapping[Transport, Sequence[str]], listening: Iterable[str]
) -> dict[str, Sequence[str]]:
    """Those of them whose key of `listen` has an address, by their labels."""
    keys = set(listening)
    return {one.label: settings for one, settings in pythons.items() if KEY_OF[one] in keys}


def shown(pythons: Mapping[str, Sequence[str]]) -> str:
    """`tls (client_names.below), https (client_names.below)`; empty: there are none."""
    return ", ".join(f"{label} ({', '.join(settings)})" for label, settings in pythons.items())


def remark_on_streams(pythons: Mapping[str, Sequence[str]]) -> str:
    """What a person should know of streams that Python serves beside the native plane; empty: nothing."""
    if not pythons:
        return ""
    return (
        f"served by the Python engine, which takes several times the CPU: {shown(pythons)}; "
        "the native engine does not read these settings there"
    )
