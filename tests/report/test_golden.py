"""A small report in each format, letter by letter: whoever changes one sees it here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resolver.report.catalogue import texts_of
from resolver.report.rendering import Format, rendered
from resolver.report.statement import Signing
from tests.report.support import ZONE, report

GOLDEN = Path(__file__).parents[1] / "golden" / "reports"
SUFFIXES: dict[Format, str] = {"markdown": "md", "html": "html", "csv": "csv", "json": "json"}


@pytest.mark.parametrize("form", SUFFIXES)
def test_the_report_is_as_it_was(form: Format) -> None:
    """To renew: RENEW_GOLDEN=1, then read the difference."""
    path = GOLDEN / f"report.{SUFFIXES[form]}"
    octets = rendered(report(), form, texts_of("en"), ZONE, Signing("ab" * 32, path.name, "operator.pub"))
    if os.environ.get("RENEW_GOLDEN"):
        path.write_bytes(octets)
    assert octets.decode() == path.read_bytes().decode()
