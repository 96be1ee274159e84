"""Writes the two files of /etc/exchange-resolver that packages ship: those of `init --profile office`.

    python packaging/tools/default_files.py FOLDER

Knows: which profile, where the files will lie.  Does not know: what is in them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from resolver.cli.init_profiles import PROFILES, SYSTEM_DIRECTORY, Answers, files_for
from resolver.orders.platforms import SHIPPED


def main(folder: Path) -> None:
    """Write them as `init` would on the machine that the package is for."""
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = SHIPPED.read_text(encoding="utf-8")
    for name, text in files_for(Answers(PROFILES["office"]), SYSTEM_DIRECTORY, catalogue).items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
