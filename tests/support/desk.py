"""A folder with settings and a blocklist, for commands as people call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from resolver.cli.app import app
from resolver.publishing.image_store import hash_file
from resolver.publishing.recorder import Applied, record

FIRST = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n"
SECOND = FIRST + "  beta: {name: Beta, domains: [b.example, a.example]}\n"
FORCIBLE = FIRST + "  suffix: {name: Suffix, domains: [co.uk]}\n"
TENFOLD = FIRST + "".join(f"  x{n}: {{name: X{n}, domains: [x{n}.example]}}\n" for n in range(9))
BROKEN = "version: 1\nexchanges:\n  acme: {name: Acme, domains: ['not a name']}\n"


class Desk:
    """A folder with settings and a blocklist, and a server that applies what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        self.config = folder / "resolver.yaml"
        self.config.write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
        self.blocklist.write_text(FIRST)

    def serve(self, text: str) -> None:
        self.blocklist.write_text(text)
        self.record()

    def record(self, pause: dict[str, Any] | None = None) -> None:
        """What a server records of the file as it stands; `pause`: and of a pause."""
        counts = {"exchanges": 1, "domains": 1}
        record(self.state, Applied(1.7e9, [hash_file(self.blocklist)], counts, pause=pause or {}))

    def run(self, command: str, *words: object) -> Result:
        return CliRunner().invoke(app, [command, *map(str, words), "--config", str(self.config)])
