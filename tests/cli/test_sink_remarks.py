"""What `check` says of the files that sinks of query records need."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.cli.sink_remarks import sink_problems
from resolver.config.settings import load_settings
from tests.support.certificates import make

SINK = "query_records:\n  - name: far\n    type: jsonl\n    to: tls://192.0.2.1:6514#logs.example.net\n"
PAIR = "    tls_certificate: shown.pem\n    tls_key: shown.key\n"


def remarks(folder: Path, sinks: str) -> list[str]:
    path = folder / "resolver.yaml"
    path.write_text(f"listen: {{dns: ['192.0.2.53:53']}}\n{sinks}")
    settings, found = load_settings(path)
    assert settings is not None, found
    return [str(problem).removeprefix(f"{path}:") for problem in sink_problems(path, settings)]


def test_a_pair_that_fits_is_fine(tmp_path: Path) -> None:
    made = make("client.example.net")
    (tmp_path / "shown.pem").write_bytes(made.pem)
    (tmp_path / "shown.key").write_bytes(made.key)
    (tmp_path / "shown.key").chmod(0o600)
    assert remarks(tmp_path, SINK + PAIR) == []
    assert remarks(tmp_path, SINK) == []
    assert remarks(tmp_path, SINK.replace("tls://192.0.2.1:6514#logs.example.net", "lines.jsonl")) == []


@pytest.mark.parametrize(
    ("octets", "mode", "extra", "why"),
    [
        (None, 0o600, PAIR, "tls_certificate"),
        (b"no PEM", 0o600, PAIR, "no PEM"),
        (b"no PEM", 0o644, PAIR, "tls_key"),
        (None, 0o600, "    tls_ca: absent.pem\n", "tls_ca"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_at_its_sink(
    tmp_path: Path, octets: bytes | None, mode: int, extra: str, why: str
) -> None:
    if octets is not None:
        (tmp_path / "shown.pem").write_bytes(octets)
        (tmp_path / "shown.key").write_bytes(octets)
        (tmp_path / "shown.key").chmod(mode)
    [text] = remarks(tmp_path, SINK + extra)
    assert text.startswith("3: warning: query_records far: TLS: ") and why in text
    assert text.endswith("until that is mended its records are lost")
