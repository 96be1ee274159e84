"""The page's file: what is found in it, what cannot be read from it, and what is refused."""

from __future__ import annotations

import pytest

from resolver.block_page.page_file import HEADER_OCTETS, PageFileUnusable, hash_of, page_octets
from resolver.block_page.subject import Words
from resolver.wire.names import name_from_text as n
from tests.block_page.pages import NAMES, SEED, WORDS, file_of, mapped
from tests.support.for_each import for_each

OCTETS = b"".join(
    page_octets({hash_of(n(name), SEED): outcome for name, outcome in NAMES.items()}, WORDS, SEED)
)


@for_each(
    ("name", "subject"),
    [
        ("newcoin.example", "NewCoin"),
        ("a.b.newcoin.example", "NewCoin"),
        ("ok.newcoin.example", None),
        ("x.ok.newcoin.example", None),
        ("only.example", "ads"),
        ("x.only.example", None),
        ("below.example", None),
        ("x.below.example", "ads"),
        ("example", None),
        ("newcoin.example.org", None),
        ("xnewcoin.example", None),
        (".", None),
    ],
)
def test_the_longest_owner_at_or_above_a_name_decides(name: str, subject: str | None) -> None:
    found = file_of().subject_of(n(name))
    assert (found.name if found else None) == subject


def test_a_rule_for_the_root_reaches_every_name() -> None:
    page = file_of({".": (1, 1)})
    assert [page.subject_of(n(name)) is not None for name in (".", "example", "a.b.example")] == [True] * 3


def test_a_file_without_names_blocks_nothing() -> None:
    page = file_of({}, Words())
    assert len(page) == 0 and page.subject_of(n("newcoin.example")) is None


def test_no_name_can_be_read_from_it() -> None:
    assert b"hidden" not in OCTETS and b"beta" not in OCTETS.replace(b"Beta", b"")


def test_it_says_what_was_put_in() -> None:
    assert mapped(OCTETS).words == WORDS and len(mapped(OCTETS)) == len(NAMES)


@pytest.mark.parametrize("length", [0, 1, HEADER_OCTETS - 1, HEADER_OCTETS, len(OCTETS) - 1])
def test_a_file_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(PageFileUnusable):
        mapped(OCTETS[:length])


@for_each("place", range(0, len(OCTETS), 7))
def test_a_changed_octet_is_seen(place: int) -> None:
    octets = bytearray(OCTETS)
    octets[place] ^= 0x20
    with pytest.raises(PageFileUnusable):
        mapped(bytes(octets))
