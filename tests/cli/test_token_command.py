"""`token --write`: where there is no file of tokens, which line is missing in which settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.cli.token import make_token


def test_settings_without_a_file_of_tokens_are_named_with_the_line_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "resolver.yaml"
    settings.write_text("upstreams: {servers: ['udp://192.0.2.1:53']}\n")
    assert make_token("ann", "approve", settings, writes=True) == 2
    out, said = capsys.readouterr()
    assert out == "", "a token that is kept nowhere is none"
    assert str(settings) in said and "`tokens_file: tokens` under `http:`" in said and "restart" in said
    settings.write_text(settings.read_text() + "http: {tokens_file: tokens}\n")
    assert make_token("ann", "approve", settings, writes=True) == 0
    assert (tmp_path / "tokens").read_text().startswith("ann approve sha256:")
