"""Names that belong to many are known without a network."""

from __future__ import annotations

import pytest

from resolver.known_names.public_suffixes import is_public_suffix
from resolver.wire.names import name_from_text


@pytest.mark.parametrize(
    "name",
    [
        "com",
        "co.uk",
        "github.io",
        "cloudfront.net",
        "anything.ck",
        "unknowntld",
        "рф",
        "公司.cn",
        "pages.dev",
        "t.me",
    ],
)
def test_names_under_which_strangers_register_are_public(name: str) -> None:
    assert is_public_suffix(name_from_text(name))


@pytest.mark.parametrize(
    "name", ["binance.com", "www.ck", "x.co.uk", "x.github.io", "gate.io", "coinone.co.kr", "a.b.example"]
)
def test_names_of_one_registrant_are_not(name: str) -> None:
    assert not is_public_suffix(name_from_text(name))
