"""The result of an audit as JUnit's XML, for systems that show test results.

Knows: the elements, what XML cannot hold.  Does not know: how it was found.
One suite for each server, one case for each name; a case fails where the name is a finding, and is skipped where
it was not asked.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from resolver.audit.results import FINDINGS, AuditResult, NameResult, Proof, Status, is_finding
from resolver.cli.moments import iso_moment

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, escaped or not."""
_SIGNS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\t\n\r]")
"""Marks that turn the direction of text, and what would break an attribute."""


def junit_text(result: AuditResult) -> str:
    """The whole document."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: AuditResult) -> list[str]:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites name="exchange-resolver audit">']
    at = (iso_moment(result.started_at) or "").removesuffix("Z")
    for place, server in enumerate(result.servers):
        cases = [(name, name.proofs[place]) for name in result.names]
        failures = sum(_fails(name, proof) for name, proof in cases)
        skipped = sum(proof.status in _NOT_ASKED for _, proof in cases)
        lags = [
            f'<testcase classname="lag" name={_attribute(lag.list)}>{_failure(lag.kind, lag.text)}</testcase>'
            for lag in result.lags
        ]
        lines.append(
            f'<testsuite name={_attribute(server.name)} tests="{len(cases) + len(lags)}"'
            f' failures="{failures + len(lags)}" errors="0" skipped="{skipped}"'
            f' timestamp="{at}" time="{max(0.0, result.ended_at - result.started_at):.3f}">'
        )
        lines += lags
        lines += [_case(name, proof) for name, proof in cases]
        lines.append("</testsuite>")
    lines.append("</testsuites>")
    return lines


_NOT_ASKED = (Status.SHADOWED, Status.PENDING, Status.EXPIRED, Status.DISABLED)


def _fails(name: NameResult, proof: Proof) -> bool:
    return proof.status in FINDINGS and is_finding(name)


def _case(name: NameResult, proof: Proof) -> str:
    head = f"<testcase classname={_attribute(f'{name.kind}.{name.source}')} name={_attribute(name.written)}"
    if proof.status in _NOT_ASKED:
        return f"{head}><skipped message={_attribute(f'{proof.status.value}: {proof.reason}')}/></testcase>"
    if not _fails(name, proof):
        return f"{head}/>"
    told = "\n".join(f"{fault.question} at {fault.listener}: {fault.reason}" for fault in proof.faults)
    return f"{head}>{_failure(proof.status.value, proof.reason, told)}</testcase>"


def _failure(kind: str, message: str, told: str = "") -> str:
    return f"<failure type={_attribute(kind)} message={_attribute(message)}>{escape(_plain(told, keep=True))}</failure>"


def _attribute(text: str) -> str:
    return quoteattr(_plain(text))


def _plain(text: str, *, keep: bool = False) -> str:
    """The text with what XML or a reader's eye cannot take spelt as an escape."""
    text = _NO_XML.sub(_spelt, text)
    return _SIGNS.sub(lambda found: found[0] if keep and found[0] == "\n" else _spelt(found), text)


def _spelt(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()
