"""Every page of the guide that is made.

Knows: where each stands in the guide, and who makes it.  Does not know: what they say, MkDocs.
"""

from __future__ import annotations

from scripts.guide.alerts import alerts_page
from scripts.guide.commands import commands_page
from scripts.guide.interface import interface_page
from scripts.guide.keys import blocklist_page, settings_page
from scripts.guide.metrics import metrics_page
from scripts.guide.repository import decisions_page, page_text, repository_pages


def made_pages() -> dict[str, str]:
    """Place in the guide -> text."""
    shown = repository_pages()
    return {
        "reference/settings.md": settings_page(),
        "reference/blocklist.md": blocklist_page(),
        "reference/metrics.md": metrics_page(),
        "reference/alerts.md": alerts_page(),
        "reference/commands.md": commands_page(),
        "reference/api.md": interface_page(),
        "project/decisions/index.md": decisions_page(shown),
        **{page: page_text(page, shown) for page in shown},
    }
