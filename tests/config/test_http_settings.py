"""The section `http`: what is open by default, what is refused, and what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.config.settings import Settings, load_settings


def read(text: str) -> tuple[Settings | None, list[str]]:
    settings, problems = load_settings(Path("dir/f"), octets=text.encode())
    return settings, [str(problem) for problem in problems]


def test_by_default_there_are_no_tokens_no_tls_and_edits_are_direct() -> None:
    http = Settings().http
    assert http.tokens_file is None and http.tls is None and http.client_ca is None
    assert http.changes == "direct" and not http.metrics_token


def test_files_stand_beside_the_settings() -> None:
    settings, problems = read(
        "http: {tokens_file: tokens, tls: {certificate: a.pem, key: /b.key}, client_ca: ca.pem, changes: two-person}"
    )
    assert settings is not None and problems == []
    http = settings.http
    assert http.tokens_file == Path("dir/tokens") and http.client_ca == Path("dir/ca.pem")
    assert http.tls is not None and http.tls.certificate == Path("dir/a.pem")
    assert http.tls.key == Path("/b.key") and http.changes == "two-person"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http: {changes: none}", "http.changes: 'none' is not allowed; allowed: direct, two-person"),
        (
            "http: {tls: true}",
            "http.tls: true is not allowed; allowed: {certificate: a path, key: a path} or null",
        ),
        ("http: {tls: {certificate: a.pem}}", "http.tls.key is missing; allowed: a path"),
        ("http: {tls: {certificate: a.pem, keys: b}}", "did you mean 'key'?"),
        ("http: {client_ca: ca.pem}", "http.client_ca: needs http.tls"),
        ("http: {metrics_token: yes}", "http.metrics_token: 'yes' is not allowed; allowed: true or false"),
        ("limits: {http_event_streams_max: 0}", "a whole number from 1 to 1000; default 16"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_is_allowed(text: str, says: str) -> None:
    settings, problems = read(text)
    assert settings is None
    assert any(problem.startswith("dir/f:1: ") and says in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "listen: {http: '192.0.2.1:8053'}\nhttp: {tokens_file: t}",
            "tokens cross the network in clear text",
        ),
        ("listen: {http: null}\nhttp: {tokens_file: t}", "http.tokens_file: nothing uses it"),
        ("listen: {http: null}\nhttp: {tls: {certificate: a, key: b}}", "http.tls: nothing uses it"),
        ("http:\n  trusted_proxies: ['0.0.0.0/0']", "lets everybody say who they are"),
    ],
)
def test_what_is_unwise_is_warned_of(text: str, says: str) -> None:
    settings, problems = read(text)
    assert settings is not None and len(problems) == 1
    assert problems[0].startswith("dir/f:2: warning: ") and says in problems[0]


def test_tokens_on_this_machine_or_over_tls_are_no_matter() -> None:
    assert read("http: {tokens_file: t}")[1] == []
    tls = "listen: {http: '192.0.2.1:8053'}\nhttp: {tokens_file: t, tls: {certificate: a, key: b}}"
    assert read(tls)[1] == []
