"""What the demo plays: a zone, a policy, and a question of every kind with what must come back.

Knows: the story.  Does not know: how it is performed.
"""

from __future__ import annotations

from dataclasses import dataclass

ZONE = """
www.shop.example. 60 IN A 192.0.2.10
www.shop.example. 60 IN AAAA 2001:db8::10
shop.example. 60 IN MX 10 mail.shop.example.
alias.shop.example. 60 IN CNAME www.shop.example.
pay.shop.example. 60 IN CNAME checkout.acme.example.
checkout.acme.example. 60 IN A 192.0.2.66
cdn.shop.example. 60 IN A 203.0.113.7
www.acme.example. 60 IN A 192.0.2.66
academy.acme.example. 60 IN A 192.0.2.67
zenith.example. 60 IN A 192.0.2.68
www.lunar.example. 60 IN A 192.0.2.69
banner.ads.example. 60 IN A 192.0.2.70
""" + "".join(f'big.shop.example. 60 IN TXT "{number:03} {"x" * 200}"\n' for number in range(12))

BLOCKLIST = """
version: 1
defaults: {ttl_s: 300, contact: "mailto:noc@example.net"}
orders:
  demo-order:
    authority: Demo Financial Authority
    title: Order on unlicensed platforms
    reference: DFA 2024/17
    date: 2024-01-02
    imposed_by: external
exchanges:
  acme:
    name: Acme Exchange
    order: demo-order
    domains: [acme.example]
    addresses: [203.0.113.0/24]
  zenith:
    name: Zenith Trading
    domains: [zenith.example]
    action: sinkhole
    sinkhole: {ipv4: 192.0.2.200, ipv6: "2001:db8::200"}
  lunar:
    name: Lunar Coin
    domains: [lunar.example]
    mode: shadow
  quiet:
    name: Quiet OTC
    category: otc
    domains: [quiet.example]
allow: [academy.acme.example]
lists:
  - {name: ads, path: ads.hosts, format: hosts}
"""

ADS_LIST = "0.0.0.0 banner.ads.example\n"

RECORDS = {"router.home.arpa": ["192.0.2.1"]}


@dataclass(frozen=True, slots=True)
class Question:
    """One question and what must come back."""

    what: str
    """For people."""
    qname: str
    qtype: str
    rcode: str
    answers: tuple[str, ...] = ()
    """Texts that the answer section must hold, in this order, and no more records than these."""
    ede: tuple[int, ...] = ()
    """Codes of the Extended DNS Errors."""
    tcp: bool = False
    truncated: bool = False
    answers_min: int = 0
    """Instead of `answers`: at least as many records."""


QUESTIONS = (
    Question("an ordinary name", "www.shop.example", "A", "NOERROR", ("192.0.2.10",)),
    Question("the same again, from the cache", "www.shop.example", "A", "NOERROR", ("192.0.2.10",)),
    Question("over IPv6's record type", "www.shop.example", "AAAA", "NOERROR", ("2001:db8::10",)),
    Question("another type", "shop.example", "MX", "NOERROR", ("10 mail.shop.example.",)),
    Question("a chain", "alias.shop.example", "A", "NOERROR", ("www.shop.example.", "192.0.2.10")),
    Question("a type that is not there", "www.shop.example", "TXT", "NOERROR"),
    Question("a name that is not there", "nowhere.shop.example", "A", "NXDOMAIN"),
    Question("too big for UDP: come by TCP", "big.shop.example", "TXT", "NOERROR", truncated=True),
    Question("the same over TCP", "big.shop.example", "TXT", "NOERROR", tcp=True, answers_min=12),
    Question("a local record", "router.home.arpa", "A", "NOERROR", ("192.0.2.1",)),
    Question("a special name", "localhost", "A", "NOERROR", ("127.0.0.1",)),
    Question("an exchange under an order", "www.acme.example", "A", "NXDOMAIN", ede=(16,)),
    Question("its HTTPS record", "www.acme.example", "HTTPS", "NXDOMAIN", ede=(16,)),
    Question("above an exception: NODATA", "acme.example", "A", "NOERROR", ede=(16,)),
    Question("the exchange over TCP", "www.acme.example", "A", "NXDOMAIN", ede=(16,), tcp=True),
    Question(
        "an alias of the exchange", "pay.shop.example", "A", "NXDOMAIN", ("checkout.acme.example.",), (16,)
    ),
    Question("an address of the exchange", "cdn.shop.example", "A", "NOERROR", ede=(16,)),
    Question("its exception", "academy.acme.example", "A", "NOERROR", ("192.0.2.67",)),
    Question("a sinkholed exchange", "zenith.example", "A", "NOERROR", ("192.0.2.200",), (15, 4)),
    Question("its mail", "zenith.example", "MX", "NOERROR", ede=(15,)),
    Question("an exchange in shadow mode", "www.lunar.example", "A", "NOERROR", ("192.0.2.69",)),
    Question("a name of a list", "banner.ads.example", "A", "NOERROR", ede=(15,)),
)

HITS = {
    ("exchange", "acme", "nxdomain", "enforce"): 6,
    ("exchange", "lunar", "nxdomain", "shadow"): 1,
    ("exchange", "quiet", "nxdomain", "enforce"): 0,
    ("exchange", "zenith", "sinkhole", "enforce"): 2,
    ("list", "ads", "nxdomain", "enforce"): 1,
}
"""What /metrics must say afterwards: (kind, label, action, mode) -> count."""
