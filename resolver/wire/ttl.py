"""Patches the TTLs of an accepted response's body; everything else in it stays as it came.

Knows: where the TTLs stand.  Does not know: what time it is, when a response was stored.
"""

from __future__ import annotations

import struct

from resolver.wire.response import Response

_pack_ttl = struct.Struct("!I").pack


def age_body(response: Response, age_s: int, *, ttl_max: int | None = None) -> bytes:
    """The body with every TTL `age_s` seconds lower, never below 0, and at most `ttl_max`."""
    offsets = response.ttl_offsets
    ttls = response.ttls
    body = response.body
    if len(offsets) == 1:
        ttl_s = ttls[0] - age_s
        if ttl_max is not None and ttl_s > ttl_max:
            ttl_s = ttl_max
        offset = offsets[0]
        return body[:offset] + _pack_ttl(ttl_s if ttl_s > 0 else 0) + body[offset + 4 :]
    if not offsets:
        return body
    if age_s == 0 and ttl_max is None:
        return body
    patched = bytearray(body)
    before = -1
    octets = b""
    for offset, ttl_s in zip(offsets, ttls, strict=True):
        if ttl_s != before:
            before = ttl_s
            aged_s = ttl_s - age_s
            if ttl_max is not None and aged_s > ttl_max:
                aged_s = ttl_max
            octets = _pack_ttl(aged_s if aged_s > 0 else 0)
        patched[offset : offset + 4] = octets
    return bytes(patched)


def with_ttl(response: Response, ttl: int) -> bytes:
    """The body with every TTL set to `ttl` seconds (RFC 8767 §4: 30 for stale answers)."""
    octets = _pack_ttl(ttl)
    patched = bytearray(response.body)
    for offset in response.ttl_offsets:
        patched[offset : offset + 4] = octets
    return bytes(patched)
