"""The octets of an order's file, and of a PDF the text that `pdftotext` finds in it.

Knows: files, standard input, the program's limits.  Does not know: what stands in an order.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from resolver.cli.files import BadInput
from resolver.config.yamlsource import read_octets
from resolver.orders.reading import ORDER_OCTETS_MAX, is_pdf, read_order
from resolver.orders.rows import Document, Unreadable
from resolver.problems import Problem

PDF_OCTETS_MAX = 64 * 1024 * 1024
"""Largest PDF: scans are large, and their text is not."""
PDF_SECONDS_MAX = 60
"""Time that the text of a PDF may take."""
PDF_MEMORY_OCTETS_MAX = 1024 * 1024 * 1024
"""Memory that it may take."""

_PROGRAM = "pdftotext"


def read_order_file(file: Path, kind: str, encoding: str | None) -> Document:
    """The rows of an order.  Raises BadInput with file, line and remedy."""
    shown = "standard input" if str(file) == "-" else str(file)
    octets = _octets(file, shown)
    try:
        if kind == "pdf" or (kind == "auto" and is_pdf(octets)):
            return read_order(_pdf_text(octets, shown), kind="pdf", encoding="utf-8")
        return read_order(octets, name=file.name, kind=kind, encoding=encoding)
    except Unreadable as error:
        raise BadInput([Problem(shown, error.line, str(error))]) from None


def _octets(file: Path, shown: str) -> bytes:
    if shown != str(file):
        octets = sys.stdin.buffer.read(PDF_OCTETS_MAX + 1)
        if len(octets) > PDF_OCTETS_MAX:
            raise BadInput([Problem(shown, 0, f"is too large; allowed: at most {PDF_OCTETS_MAX:,} bytes")])
        return octets
    found, problems = read_octets(file, octets_max=PDF_OCTETS_MAX)
    if found is None:
        raise BadInput(problems)
    return found


def _pdf_text(octets: bytes, shown: str) -> bytes:
    """What `pdftotext` says, columns kept.  Raises BadInput."""
    program = shutil.which(_PROGRAM)
    if program is None:
        message = (
            f"is a PDF, and {_PROGRAM} is not installed (package poppler-utils); "
            "install it, or save the order as text, CSV or HTML"
        )
        raise BadInput([Problem(shown, 0, message)])
    with tempfile.TemporaryFile() as source:
        source.write(octets)
        source.seek(0)
        child = subprocess.Popen(
            [program, "-layout", "-enc", "UTF-8", "-", "-"],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=_limit,
        )
    assert child.stdout is not None
    try:
        with child.stdout:
            # It ends by its limit of CPU time at the latest; more than an order may have is not read.
            text = child.stdout.read(ORDER_OCTETS_MAX + 1)
        code = child.wait(PDF_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        code = 1
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()
    if len(text) > ORDER_OCTETS_MAX:
        raise BadInput(
            [Problem(shown, 0, f"has more than {ORDER_OCTETS_MAX:,} bytes of text, the most allowed")]
        )
    if code:
        raise BadInput([Problem(shown, 0, f"is a PDF that {_PROGRAM} cannot read; save the order as text")])
    return text


def _limit() -> None:
    """In the child: whatever the PDF does, it takes so much time and memory and writes no file."""
    resource.setrlimit(resource.RLIMIT_CPU, (PDF_SECONDS_MAX, PDF_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (PDF_MEMORY_OCTETS_MAX, PDF_MEMORY_OCTETS_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
