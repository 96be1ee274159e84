"""A report in one format, whole: its form and the statement at its end, as octets.

Knows: which forms there are, and in which order a file is put together.  Does not know: files, keys.
"""

from __future__ import annotations

import json
from datetime import tzinfo
from typing import Literal

from resolver.report.catalogue import Texts
from resolver.report.csv_form import csv_body, lines_of
from resolver.report.facts import Report
from resolver.report.html import HtmlWriter
from resolver.report.json_form import as_json, canonical, hash_of
from resolver.report.layout import document_of
from resolver.report.markdown import markdown_body, markdown_section
from resolver.report.statement import (
    Signing,
    Statement,
    statement_json,
    statement_rows,
    statement_section,
)

Format = Literal["markdown", "html", "csv", "json"]


def rendered(report: Report, form: Format, texts: Texts, zone: tzinfo, signing: Signing | None) -> bytes:
    """The file's octets; what `signing` says stands in it."""
    content = as_json(report, zone)
    document = document_of(report, texts, zone)
    writer = HtmlWriter(is_right_to_left=texts.is_right_to_left)
    bodies = {
        "markdown": markdown_body(document),
        "html": writer.body(document),
        "csv": csv_body(report, zone),
    }
    forms = {name: hash_of(_octets(body)) for name, body in bodies.items()}
    statement = Statement(hash_of(canonical(content)), forms, signing)
    if form == "json":
        whole = {"report": content, "statement": statement_json(statement)}
        return _octets(_tame(json.dumps(whole, indent=2, ensure_ascii=False)) + "\n")
    if form == "csv":
        return _octets(bodies[form] + lines_of(statement_rows(statement)))
    section = statement_section(statement, texts)
    if form == "html":
        return _octets(bodies[form] + "\n".join(writer.section(section)) + "\n" + writer.end())
    return _octets(bodies[form] + "\n".join(markdown_section(section)).rstrip("\n") + "\n")


def _tame(text: str) -> str:
    """JSON with what nobody sees written as numbers: a direction mark would turn the lines of a viewer."""
    unseen = {sign for sign in set(text) if not sign.isprintable() and sign != "\n"}
    return text.translate({ord(sign): json.dumps(sign)[1:-1] for sign in unseen})


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")
