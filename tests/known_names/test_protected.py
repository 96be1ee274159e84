"""The built-in protected names are well formed and reach what they are meant to."""

from __future__ import annotations

from resolver.known_names.protected import BUILT_IN_PROTECTED, built_in_protected
from resolver.known_names.public_suffixes import is_public_suffix
from resolver.wire.names import is_at_or_below, name_from_text


def test_every_kind_of_name_is_there() -> None:
    protected = built_in_protected()
    for name in (
        "o.lencr.org",
        "captive.apple.com",
        "2.debian.pool.ntp.org",
        "a.root-servers.net",
        "security.debian.org",
    ):
        wire = name_from_text(name)
        assert any(is_at_or_below(wire, known) for known in protected), name


def test_no_name_stands_there_twice_or_under_another() -> None:
    names = [name_from_text(name) for names in BUILT_IN_PROTECTED.values() for name in names]
    assert len(names) == len(set(names))
    assert [one for one in names for other in names if one != other and is_at_or_below(one, other)] == []


def test_protection_never_covers_what_strangers_register() -> None:
    assert [name for name in built_in_protected() if is_public_suffix(name)] == []
