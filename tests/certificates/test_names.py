"""Which certificate serves a name."""

from __future__ import annotations

from resolver.certificates.names import NameTable
from tests.support.for_each import for_each

TABLE = NameTable(
    [
        ["dns.example", "*.dns.example"],
        ["phones.dns.example", "*.other.example"],
        ["dns.example", "deep.phones.dns.example"],
        ["*.dns.example", "*.dns.example"],
    ]
)


@for_each(
    ("name", "places"),
    [
        ("dns.example", (0, 2)),
        ("DNS.Example.", (0, 2)),
        ("phones.dns.example", (1, 0, 3)),
        ("tablets.dns.example", (0, 3)),
        ("deep.phones.dns.example", (2,)),
        ("other.phones.dns.example", ()),
        ("x.other.example", (1,)),
        ("other.example", ()),
        ("*.dns.example", (0, 3)),
        ("example", ()),
        ("", ()),
        (None, ()),
        (".", ()),
        (".dns.example", (0, 3)),
        ("192.0.2.1", ()),
    ],
)
def test_a_whole_name_wins_over_a_wildcard_of_one_label(name: str | None, places: tuple[int, ...]) -> None:
    assert TABLE.places_of(name) == places


def test_every_answer_is_known_beforehand() -> None:
    names = [
        "dns.example",
        "phones.dns.example",
        "x.dns.example",
        "deep.phones.dns.example",
        "a.other.example",
        "",
    ]
    assert {TABLE.places_of(name) for name in names} == TABLE.every_answer()
