"""Finds a list's link on a page that names it.

Knows: links of HTML, which of several is meant.  Does not know: HTTP.
"""

from __future__ import annotations

import html
import re
from urllib.parse import urldefrag, urljoin

from resolver.blocklist.access import Choice
from resolver.blocklist.downloads import split_url
from resolver.fetching.outcome import FetchFailed, Result
from resolver.problems import show

PAGE_OCTETS_MAX = 4 << 20
"""Larger pages are not looked at."""
LINKS_MAX = 10_000
LINK_CHARS_MAX = 4_096

_LINK = re.compile(r"""(?:href|src)\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'|([^\s"'<>]+))""", re.IGNORECASE)
_NUMBER = re.compile(r"([0-9]+)")
_SHA256 = re.compile(rb"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])")


def find_link(page: bytes, page_url: str, pattern: str, choose: Choice) -> str:
    """The absolute link on a page that has `pattern`.  Raises FetchFailed."""
    text = page.decode("utf-8", "replace")
    found: list[str] = []
    for count, match in enumerate(_LINK.finditer(text)):
        if count >= LINKS_MAX:
            break
        written = html.unescape(match[1] or match[2] or match[3] or "").strip()
        if len(written) <= LINK_CHARS_MAX and (link := _absolute(page_url, written)):
            if re.search(pattern, link):
                found.append(link)
    links = list(dict.fromkeys(found))
    if not links:
        raise FetchFailed(Result.NOT_A_LIST, f"no link on the page has {show(pattern)} (discover)")
    if choose == "only" and len(links) > 1:
        some = ", ".join(map(show, links[:3]))
        message = (
            f"{len(links)} links on the page have {show(pattern)}: {some}; write choose: last or highest"
        )
        raise FetchFailed(Result.NOT_A_LIST, message)
    if choose == "highest":
        return sorted(links, key=_by_numbers)[-1]
    return links[-1] if choose == "last" else links[0]


def _absolute(page_url: str, written: str) -> str:
    """A link as it is followed; empty for one that is not."""
    try:
        link: str = urldefrag(urljoin(page_url, written)).url
        split_url(link)
    except ValueError:
        return ""
    return link


def _by_numbers(link: str) -> list[tuple[int, int, str]]:
    parts = _NUMBER.split(link)
    return [(1, int(part[:18]), "") if part.isascii() and part.isdigit() else (0, 0, part) for part in parts]


def sha256_in(octets: bytes) -> str:
    """The hash that a file beside a list gives.  Raises FetchFailed."""
    found = {match.lower() for match in _SHA256.findall(octets)}
    if len(found) != 1:
        raise FetchFailed(Result.HASH, f"the checksum file has {len(found)} SHA-256 hashes, not one")
    return str(found.pop(), "ascii")
