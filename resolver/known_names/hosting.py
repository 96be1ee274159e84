"""Hosts of many sites on which each customer has a label of its own: `acme.github.io` is acme's alone.

Knows: the private part of the bundled Public Suffix List, and which names in it are not customers'.
Does not know: who blocks what.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from resolver.known_names.public_suffixes import SHARED_PLATFORMS, private_suffixes
from resolver.wire.names import name_from_text, name_to_text, parent, suffix_offsets

NOT_CUSTOMERS = ("googleapis.com", "t.me", "telegram.me", "translate.goog")
"""Suffixes of the list whose labels are services of the platform, or users of a messenger."""

SERVICE_LABELS = frozenset(
    """
        www www1 www2 api app apps login accounts account auth signin sso mail smtp static assets cdn img
        images media help support status docs blog m mobile admin ns ns1 ns2 dns update updates
    """.split()  # noqa: SIM905 - a list of words is read more easily than one of quotes.
)
"""Labels that a platform keeps for itself."""

REGISTRIES = """
        ae.org africa.com ar.com br.com cn.com co.com co.nl co.no com.de com.se de.com eu.com gb.com gb.net
        gr.com hu.com hu.net in.net jp.net jpn.com kr.com mex.com no.com qc.com ru.com sa.com se.com se.net
        uk.com uk.net us.com us.org uy.com za.bz za.com
    """.split()  # noqa: SIM905
"""Suffixes of companies that sell whole domains there, as a top-level registry does."""


@cache
def _customer_suffixes() -> frozenset[bytes]:
    shared = {name_from_text(name) for name in SHARED_PLATFORMS}
    apart = {name_from_text(name) for name in (*NOT_CUSTOMERS, *REGISTRIES)}
    return frozenset((private_suffixes().names | shared) - apart)


def is_customers_own(name: bytes) -> bool | None:
    """Whether a name (wire form) is, or is under, the label of one customer on a host of many sites.

    False: the label is the host's own.  None: the name is on no such host.
    """
    names = [name[at:] for at in suffix_offsets(name)]
    known, wildcards = _customer_suffixes(), private_suffixes().wildcards
    for label, suffix in pairwise(names):
        if suffix in known or parent(suffix) in wildcards:
            return label not in known and name_to_text(label).partition(".")[0] not in SERVICE_LABELS
    return None
