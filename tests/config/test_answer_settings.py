"""The sections of structured errors and of resolver information: what is refused, and with which remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.config.answer_settings import INFOURL_OCTETS_MAX
from resolver.config.settings import Settings, load_settings
from resolver.server.parts import make_structured_errors


def load(text: str) -> Settings:
    settings, problems = load_settings(Path("dir/resolver.yaml"), octets=text.encode())
    assert settings is not None and problems == []
    return settings


def complaint(text: str) -> str:
    settings, problems = load_settings(Path("f"), octets=text.encode())
    assert settings is None and len(problems) == 1
    return str(problems[0])


def test_structured_errors_are_off_by_default() -> None:
    assert make_structured_errors(load("threads: 1")) is None
    assert make_structured_errors(load("structured_errors: {option_code: 65001}")) is None


def test_enabled_without_a_code_is_an_error_with_a_remedy() -> None:
    text = complaint("structured_errors:\n  organization: Example\n  enabled: true\n")
    assert text.startswith("f:3: structured_errors.enabled: needs structured_errors.option_code")
    assert "65001" in text


def test_a_code_and_texts_become_members_of_json() -> None:
    made = make_structured_errors(
        load(
            "structured_errors: {enabled: true, option_code: 65001, organization: 'Réseau \"A\"', "
            "language: fr-CA, operator: dns}"
        )
    )
    assert made is not None
    assert made.fields == (65001, 6, '"o":"Réseau \\"A\\""', '"l":"fr-CA"')


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("option_code: 15", "EXTENDED_ERROR"),
        ("option_code: 10", "COOKIE"),
        ("option_code: 0", "1"),
        ("option_code: 65535", "65534"),
        ("option_code: '65001'", "option_code"),
        ("organization: ''", "organization"),
        ('organization: "two\\nlines"', "one line"),
        ("language: english language", "no language tag"),
        ("language: ''", "language"),
        ("operator: isp", "operator"),
    ],
)
def test_what_cannot_be_meant_is_refused(section: str, says: str) -> None:
    assert says in complaint(f"structured_errors: {{{section}}}")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.net/",
        "example.net/guide",
        "https://",
        "https://exa mple.net/",
        "https://bücher.example/",
    ],
)
def test_a_page_about_the_resolver_must_be_safe_to_open(url: str) -> None:
    assert "https://" in complaint(f"resinfo: {{infourl: '{url}'}}")


def test_a_page_must_fit_one_string_of_the_record() -> None:
    fitting = "https://example.net/".ljust(INFOURL_OCTETS_MAX, "x")
    assert load(f"resinfo: {{infourl: '{fitting}'}}").resinfo.infourl == fitting
    assert "infourl" in complaint(f"resinfo: {{infourl: '{fitting}x'}}")
