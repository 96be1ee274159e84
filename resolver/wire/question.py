"""What is asked, in one value: the key of the cache and of the questions in flight.

Knows: the four facts that decide which answer serves.  Does not know: who asks, nor in which spelling.
"""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """A name and a type of the Internet class, and the two bits that ask for another answer.

    There is no class in it: the gates refuse every class but IN before a question is looked up or asked.
    """

    qname: bytes
    """Wire form, ASCII lower case, with the root's zero octet."""
    qtype: int
    dnssec_ok: bool = False
    """The DO bit: DNSSEC records are asked for as well (RFC 3225)."""
    checking_disabled: bool = False
    """The CD bit: answers that fail validation are asked for as well (RFC 4035 §3.2.2)."""
