"""Pages of the guide that are files of the source tree: how to report a hole, how to contribute, decisions.

Knows: which files, and how links between them are written in the guide.  Does not know: what they say.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from scripts.guide.places import ROOT

_LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_ABSOLUTE = re.compile(r"[a-z]+:|/")


def repository_pages() -> dict[str, str]:
    """Page of the guide -> file of the source tree that it shows."""
    pages = {
        "project/security.md": "SECURITY.md",
        "project/contributing.md": "CONTRIBUTING.md",
        "project/architecture.md": "ARCHITECTURE.md",
        "project/changes.md": "CHANGELOG.md",
        "project/benchmarks.md": "docs/benchmarks.md",
    }
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    return pages | {f"project/decisions/{path.name}": f"docs/decisions/{path.name}" for path in decisions}


def page_text(page: str, pages: Mapping[str, str]) -> str:
    """A file of the source tree with links to pages of the guide; of other links the text stays."""
    source = pages[page]
    shown = {file: name for name, file in pages.items()}

    def turned(match: re.Match[str]) -> str:
        text, target, place = match[1], match[2], match[3] or ""
        if _ABSOLUTE.match(target):
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if file.startswith("docs/guide/"):
            goal = file.removeprefix("docs/guide/")
        elif file in shown:
            goal = shown[file]
        elif file == "docs/benchmarks.svg":
            goal = "project/benchmarks.svg"
        else:
            return text
        return f"[{text}]({posixpath.relpath(goal, posixpath.dirname(page))}{place})"

    return _LINK.sub(turned, (ROOT / source).read_text())


def decisions_page(pages: Mapping[str, str]) -> str:
    """A list of all decisions, newest last."""
    lines = ["# Decisions\n", "Why things are as they are.\n"]
    for page, source in pages.items():
        if source.startswith("docs/decisions/"):
            title = (ROOT / source).read_text().partition("\n")[0].removeprefix("# ")
            lines.append(f"- [{title}]({posixpath.basename(page)})")
    return "\n".join(lines) + "\n"
