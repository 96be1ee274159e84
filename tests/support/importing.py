"""Configurations of other products, taken over in a folder, and what is then decided about names.

Knows: files, the explainer.  Does not know: any product.
"""

from __future__ import annotations

import time
from datetime import UTC
from pathlib import Path

from resolver.cli.explain import Explainer
from resolver.config.settings import Settings, load_settings
from resolver.migration.gathered import Gathered
from resolver.migration.kinds import read_config
from resolver.migration.writing import BLOCKLIST_FILE, SETTINGS_FILE, write
from resolver.policy.verdict import PolicyAction

FORWARD = "forward"
"""The decision on a name that upstreams are asked for."""


class Taken:
    """A configuration that was taken over."""

    def __init__(self, folder: Path, kind: str, text: str | bytes, name: str = "config.txt") -> None:
        self.source = folder / name
        self.source.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.open(folder, kind)

    def open(self, folder: Path, kind: str) -> None:
        """Read the source and write what comes of it."""
        self.gathered: Gathered = read_config(self.source, kind)
        self.folder = folder / "imported"
        self.folder.mkdir(exist_ok=True)
        for file, content in write(self.gathered).files.items():
            (self.folder / file).write_text(content)
        settings, problems = load_settings(self.folder / SETTINGS_FILE)
        assert settings is not None, problems
        self.settings: Settings = settings

    @classmethod
    def of(cls, folder: Path, source: Path, kind: str) -> Taken:
        """One whose files are there already."""
        self = cls.__new__(cls)
        self.source = source
        self.open(folder, kind)
        return self

    @property
    def written(self) -> str:
        """The text of all files."""
        names = write(self.gathered).files
        return "".join((self.folder / name).read_text() for name in names)

    def decisions(self, names: list[str], qtype: str = "A", *, as_seen: bool = False) -> dict[str, str]:
        """What each name is answered: `forward`, an address, a CNAME, or a response code.

        `as_seen`: NODATA is shown also where the rule says NXDOMAIN, and a name below exists (RFC 8020).
        """
        client = str(self.settings.clients.allow[0].network_address)
        explainer = Explainer(
            qtype, client, time.time(), UTC, self.folder / BLOCKLIST_FILE, self.settings, self.folder
        )
        return {name: _decision(explainer, name, as_seen=as_seen) for name in names}

    def decision(self, name: str, qtype: str = "A") -> str:
        """The same of one name."""
        return self.decisions([name], qtype)[name]

    def lost(self, word: str) -> list[str]:
        """`line: why` of the losses whose key or reason has a word in it."""
        return [
            f"{loss.place.line}: {loss.why}"
            for loss in self.gathered.losses
            if word in loss.key or word in loss.why
        ]


def _decision(explainer: Explainer, name: str, *, as_seen: bool) -> str:
    found = explainer.explain(name)
    if found.reply is None:
        return FORWARD if found.source == "upstream" else found.source
    decider = found.decider if found.source == "policy" and not as_seen else None
    if decider is not None and decider.action is PolicyAction.NXDOMAIN:
        return "nxdomain"
    answers = [record.rdata for record in found.reply.answers if record.rtype in ("A", "AAAA", "CNAME")]
    if answers:
        return " ".join(sorted(answers))
    return "nodata" if found.reply.rcode == "NOERROR" else found.reply.rcode.lower()
