"""Finds out the format of a list by its first lines (`format: auto`).

Knows: what a line of each format looks like.  Does not know: how it is read.
Theory: every line that says anything is a vote for the formats it looks like; comments vote too where
only one format writes them so.  The order of `_SIGNS` decides ties.
"""

from __future__ import annotations

import re
from collections import Counter

SAMPLE_OCTETS = 1 << 16
"""Looked at; lists begin with some kB of comments at most."""
VOTES_MAX = 500
"""Lines that vote."""

_SIGNS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    (
        "rpz",
        re.compile(
            rb"(?:\$(?:ttl|origin)\s|\S*\s+(?:\d\S*\s+)?(?:in\s+)?(?:\d\S*\s+)?(?:soa|ns|cname|a|aaaa|txt)\s+\S)",
            re.IGNORECASE,
        ),
    ),
    ("dnsmasq", re.compile(rb"(?:address|server|local)\s*=\s*/", re.IGNORECASE)),
    ("adblock", re.compile(rb"\||@@|!|\[adblock|[^\s#]*#@?[?$%]*#\S|[^\s#]*[\^$]|/\S", re.IGNORECASE)),
    ("hosts", re.compile(rb"(?:[0-9]+\.[0-9.]+|[0-9a-f]*:[0-9a-f:.]*(?:%\S+)?)\s+[^\s;#]", re.IGNORECASE)),
    ("wildcard", re.compile(rb"\*?\.[\w\x80-\xff.-]+\s*(?:#.*)?$")),
    ("domains", re.compile(rb"[^\s/|@=*#;:]+\.?\s*(?:#.*)?$")),
)
_COMMENT = re.compile(rb"[#;]")


def detect_format(octets: bytes) -> str:
    """The format most of the first lines look like; `domains` when there is nothing to go by."""
    votes: Counter[str] = Counter()
    sample = octets[:SAMPLE_OCTETS].removeprefix(b"\xef\xbb\xbf")
    for written in sample.splitlines():
        line = written.rstrip()[:300]
        for name, sign in _SIGNS:
            if sign.match(line):
                votes[name] += 1
                break
        else:
            if line and not _COMMENT.match(line):
                votes["other"] += 1
        if votes.total() >= VOTES_MAX:
            break
    if sample[:16].lower().startswith(b"[adblock"):
        return "adblock"
    # Some lists have both `x` and `*.x`; a stray `*.` changes nothing for a list of bare names.
    if votes["wildcard"] and votes["wildcard"] >= votes["domains"]:
        votes["wildcard"] += votes.pop("domains", 0)
    best = max(dict(_SIGNS), key=votes.__getitem__)
    return best if votes[best] else "domains"
