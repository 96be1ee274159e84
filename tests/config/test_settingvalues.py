"""Addresses and networks as people write them."""

from __future__ import annotations

import pytest

from resolver.config.settingvalues import (
    COMMAND_WORDS_MAX,
    address_from,
    command_from,
    endpoint_from,
    list_name_from,
    network_from,
)
from tests.support.for_each import for_each


@for_each(
    ("value", "part"),
    [
        (5335, "'127.0.0.1:5335'"), (None, "not an address with a port"), (True, "not an address with a port"),
        ("127.0.0.1", "no port"), ("::1", "no port"), ("::1:53", "no port"), ("[::1]", "no port"),
        (":53", "has no address"), ("*:53", "has no address"), ("localhost:53", "not an IP address"),
        ("2001:db8::1:5335x", "in brackets"), ("[::1]:53x", "not a port; allowed: 0 to 65535"), ("127.0.0.1:65536", "0 to 65535"),
        ("127.0.0.1:-1", "not a port"), ("[fe80::1%lo]:53", "zone"), ("", "has no address"),
        ("127.0.0.1:٥٣", "not a port"),
    ],
)  # fmt: skip
def test_a_wrong_endpoint_says_how_to_write_it(value: object, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        endpoint_from(value)
    assert part in str(caught.value)


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:5335", "0.0.0.0:65535"])
def test_a_right_endpoint_is_written_back_as_read(text: str) -> None:
    assert str(endpoint_from(text)) == text


def test_a_network_with_host_bits_gets_the_network_suggested() -> None:
    with pytest.raises(ValueError, match=r"did you mean '192\.0\.2\.0/24'"):
        network_from("192.0.2.1/24")


@pytest.mark.parametrize("value", ["x", 10, None, "192.0.2.0/33", "1.2.3"])
def test_what_is_no_network_or_address_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        network_from(value)
    with pytest.raises(ValueError):
        address_from(value)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("/bin/true -x", "no shell takes a line apart"),
        ([], "is no command"),
        (None, "is no command"),
        (["/bin/true"] * (COMMAND_WORDS_MAX + 1), "is no command"),
        (["true"], "no absolute path"),
        (["./true"], "no absolute path"),
        (["/bin/true", 7], "put it in quotes"),
        (["/bin/true", "a\0b"], "is no text"),
    ],
)
def test_a_wrong_command_says_how_to_write_it(value: object, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        command_from(value)
    assert part in str(caught.value)


def test_a_right_command_keeps_its_words_as_they_are() -> None:
    assert command_from(["/bin/true", "", "$(id)", "a b"]) == ("/bin/true", "", "$(id)", "a b")


@pytest.mark.parametrize("name", ["../x", "", "A", "x/y", "-x", "x" * 64, 7, "x\n"])
def test_what_is_no_lists_name_never_becomes_a_path(name: object) -> None:
    with pytest.raises(ValueError, match="is no list's name"):
        list_name_from(name)
