"""A desk with a blocklist, a state folder and the commands of reports."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from resolver.cli.app import app
from resolver.publishing.image_store import hash_file
from resolver.publishing.recorder import Applied, orders_of, record

POLICY = """\
version: 1
defaults: {time_zone: Asia/Tokyo}
orders:
  fma-17: {authority: Markets Authority, title: On platforms, reference: FMA/17, imposed_by: external, received: "2020-01-01T00:00:00+00:00"}
  hidden-5: {authority: Hidden Office, title: Hidden title, imposed_by: external, confidential: true}
exchanges:
  acme: {name: Acme, order: fma-17, domains: [acme.example]}
  ghost: {name: Ghost Platform, order: hidden-5, domains: [ghost.example]}
"""


NOW = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
SUFFIXES = {"markdown": "md", "html": "html", "csv": "csv", "json": "json"}


class Desk:
    """A folder with settings, a blocklist, a state folder and a key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        self.key = folder / "op"
        (folder / "resolver.yaml").write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
        self.blocklist.write_text(POLICY)

    def run(self, *words: object) -> Result:
        return CliRunner().invoke(app, [*map(str, words)])

    def report(self, *words: object) -> Result:
        return self.run("report", "--config", self.folder / "resolver.yaml", *words)

    def json(self, *words: object) -> dict[str, Any]:
        result = self.report("--format", "json", *words)
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout)["report"])

    def serve(self, ago_s: float = 0.0) -> None:
        """Put the blocklist in force, as the server does."""
        applied = Applied(NOW - ago_s, [hash_file(self.blocklist)], {"exchanges": 2, "per_list": {}})
        record(self.state, applied)
        orders_of(self.state, applied)

    def signed(self, form: str = "html") -> Path:
        """A report that is signed."""
        if not self.key.exists():
            assert self.run("report", "keygen", self.key).exit_code == 0
        output = self.folder / f"report.{SUFFIXES[form]}"
        result = self.report("--format", form, "--output", output, "--sign", self.key)
        assert result.exit_code == 0, result.output
        return output

    def verify(self, file: Path) -> Result:
        return self.run("verify-report", file, f"{self.key}.pub")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr("resolver.cli.report.time", SimpleNamespace(time=lambda: NOW))
    return Desk(tmp_path)
