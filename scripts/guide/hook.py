"""What MkDocs calls while it builds the guide: it adds the pages that are made rather than written.

Knows: MkDocs' events.  Does not know: what the pages say.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# MkDocs loads this file by its path.
sys.path.insert(0, str(Path(__file__).parents[2]))

from mkdocs.structure.files import File

from scripts.guide.pages import made_pages
from scripts.guide.places import ROOT


def on_files(files: Any, config: Any) -> Any:
    """Add every made page to those that stand in `docs/guide`."""
    for place, text in made_pages().items():
        files.append(File.generated(config, place, content=text))
    picture = (ROOT / "docs" / "benchmarks.svg").read_bytes()
    files.append(File.generated(config, "project/benchmarks.svg", content=picture))
    return files
