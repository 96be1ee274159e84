"""Numbers nobody can guess."""

from __future__ import annotations

import os

from resolver.forwarding.entropy import BLOCK_OCTETS, COINED_OCTETS_MAX, Entropy
from tests.support.wirebuild import wire_name

NAME = wire_name("www-1.some_thing.example.org")


def test_source_is_the_operating_system() -> None:
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    entropy = Entropy(source)
    ids = {entropy.query_id() for _ in range(BLOCK_OCTETS // 2)}
    assert asked == [BLOCK_OCTETS]
    # 4,096 draws of 65,536: some 3,970 are distinct.
    assert len(ids) > 3800
    entropy.query_id()
    assert asked == [BLOCK_OCTETS] * 2


def test_case_changes_and_nothing_else() -> None:
    entropy = Entropy()
    mixed = [entropy.mix_case(NAME) for _ in range(300)]
    assert {name.lower() for name in mixed} == {NAME}
    assert len(set(mixed)) > 290


def test_every_letter_goes_both_ways_and_no_other_octet_does() -> None:
    entropy = Entropy()
    columns = zip(*(entropy.mix_case(NAME) for _ in range(200)), strict=True)
    for octet, seen in zip(NAME, columns, strict=True):
        assert len(set(seen)) == (2 if chr(octet).isalpha() else 1)


def test_coins_of_the_longest_quick_name_are_all_different() -> None:
    entropy = Entropy()
    name = bytes((COINED_OCTETS_MAX - 2,)) + b"a" * (COINED_OCTETS_MAX - 2) + b"\0"
    columns = list(zip(*(entropy.mix_case(name)[1:-1] for _ in range(200)), strict=True))
    assert all(set(column) == {*b"aA"} for column in columns)
    assert len(set(columns)) == len(columns)


def test_octets_that_look_like_letters_by_their_bits_stay() -> None:
    entropy = Entropy()
    name = b"\x0b`{|}~\x7f\xe3\xffa_b\0"
    mixed = {entropy.mix_case(name) for _ in range(100)}
    assert {one.lower() for one in mixed} == {name} and len(mixed) == 4


def test_name_without_letters_is_left_alone() -> None:
    entropy = Entropy()
    name = b"\x03123\x02\xc3\xa4\0"
    assert entropy.mix_case(name) == name
    assert entropy.mix_case(b"\0") == b"\0"


def test_longest_names_fit_any_place_in_a_block() -> None:
    entropy = Entropy()
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(name) == 255
    assert {entropy.mix_case(name).lower() for _ in range(100)} == {name}


def test_below_stays_below_and_reaches_everything() -> None:
    entropy = Entropy()
    assert {entropy.below(16) for _ in range(1000)} == set(range(16))
