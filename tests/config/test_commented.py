"""The commented defaults with other values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resolver.config.commented import DEFAULTS, commented_defaults, commented_with, flow
from resolver.config.settings import Settings, load_settings
from resolver.config.yamlmodel import to_plain
from resolver.config.yamlsource import read_yaml
from tests.support.for_each import for_each


def loaded(text: str) -> Settings:
    settings, problems = load_settings(Path("resolver.yaml"), octets=text.encode())
    assert settings is not None, problems
    return settings


def test_the_defaults_are_the_file_that_ships() -> None:
    root = Path(__file__).parents[2]
    assert DEFAULTS.resolve() == root / "config" / "resolver.yaml"


def test_nothing_changed_is_the_same_text() -> None:
    assert commented_with({}) == commented_defaults()


@for_each(
    ("key", "value"),
    [
        ("listen.dns", ["192.0.2.1:53"]),
        ("clients.allow", [f"192.0.{number}.0/24" for number in range(20)]),
        ("upstreams.servers", ["tls://192.0.2.1:853#dns.example", "https://dns.example/dns-query"]),
        ("upstreams.forward", {"corp.example": ["udp://192.0.2.3:53"], ".": ["udp://192.0.2.4:53"]}),
        ("records", {"nas.example": ["192.0.2.7", "2001:db8::7"]}),
        ("cache.size_mb", 128),
        ("audit.every_h", 0),
        ("special_names.browser_relay", "block"),
        ("ddr.enabled", False),
        ("blocklist", "blocklist.yaml"),
        ("nsid", "hostname"),
        ("log.level", "debug"),
    ],
)
def test_one_value_changes_and_all_others_and_every_comment_stay(key: str, value: Any) -> None:
    text = commented_with({"upstreams.bootstrap": ["192.0.2.9"], key: value})
    before, after = (to_plain(read_yaml(one.encode())[0]) for one in (commented_defaults(), text))
    section, _, name = key.partition(".")
    changed = after[section][name] if name else after[section]
    assert changed == value
    if name:
        before[section][name] = value
    else:
        before[section] = value
    before["upstreams"]["bootstrap"] = ["192.0.2.9"]
    assert after == before
    loaded(text)
    comments = [line.partition("# ")[2] for line in commented_defaults().split("\n") if "# " in line]
    assert all(comment in text for comment in comments)


def test_a_key_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match=r"cache\.colour"):
        commented_with({"cache.colour": 1})


@for_each("text", ["true", "null", "1.5", "0x10", "a: b", "# x", "*.x", "=x", "x\ty", 'q"q', "é", "", "- a"])
def test_any_text_is_read_back_as_it_was(text: str) -> None:
    tree, problems = read_yaml(f"key: {flow(text)}\n".encode())
    assert not problems and to_plain(tree) == {"key": text}
