"""The result of an audit as JUnit's XML, for systems that show test results.

Knows: the elements, what XML cannot hold.  Does not know: how it was found.
One suite for each server, one case for each name; a case fails where the name is a finding, and is skipped
where it was not asked.  Names of confidential orders are counted, not told: such files are passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from resolver.audit.results import FINDINGS, AuditResult, NameResult, Proof, Status, is_finding
from resolver.cli.moments import iso_moment

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, escaped or not."""
_STEERING = re.compile("[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What breaks lines, turns the direction of text or is not seen."""
TEXT_CHARS_MAX = 1_000
"""Longer texts are cut."""
_NOT_ASKED = (Status.SHADOWED, Status.PENDING, Status.EXPIRED, Status.DISABLED)


def junit_text(result: AuditResult) -> str:
    """The whole document."""
    return "\n".join(_lines(result.shared())) + "\n"


def _lines(result: AuditResult) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<testsuites name="exchange-resolver audit">'
    at = (iso_moment(result.started_at) or "").removesuffix("Z")
    seconds = max(0.0, result.ended_at - result.started_at)
    for place, server in enumerate(result.servers):
        cases = [(name, name.proofs[place]) for name in result.names]
        others = [*_lag_cases(result), *_concealed_cases(result)]
        failures = sum(_fails(name, proof) for name, proof in cases)
        failures += sum("<failure" in case for case in others)
        skipped = sum(proof.status in _NOT_ASKED for _, proof in cases)
        yield (
            f'<testsuite name={_attribute(server.name)} tests="{len(cases) + len(others)}"'
            f' failures="{failures}" errors="0" skipped="{skipped}" timestamp="{at}" time="{seconds:.3f}">'
        )
        yield from others
        for name, proof in cases:
            yield _case(name, proof)
        yield "</testsuite>"
    yield "</testsuites>"


def _lag_cases(result: AuditResult) -> Iterator[str]:
    for lag in result.lags:
        failure = _failure(lag.kind, lag.text)
        yield f'<testcase classname="lag" name={_attribute(lag.list or lag.kind)}>{failure}</testcase>'


def _concealed_cases(result: AuditResult) -> Iterator[str]:
    if not result.concealed:
        return
    counts = ", ".join(f"{count} {status}" for status, count in result.concealed.items())
    is_failure = any(result.concealed.get(status.value) for status in FINDINGS)
    inner = _failure("confidential", counts) if is_failure else ""
    yield f'<testcase classname="confidential" name={_attribute(counts)}>{inner}</testcase>'


def _fails(name: NameResult, proof: Proof) -> bool:
    return proof.status in FINDINGS and is_finding(name)


def _case(name: NameResult, proof: Proof) -> str:
    of = _attribute(f"{name.kind}.{name.source}")
    head = f"<testcase classname={of} name={_attribute(name.written)}"
    if proof.status in _NOT_ASKED:
        return f"{head}><skipped message={_attribute(f'{proof.status.value}: {proof.reason}')}/></testcase>"
    if not _fails(name, proof):
        return f"{head}/>"
    told = [f"{fault.question} at {fault.listener}: {fault.reason}" for fault in proof.faults]
    return f"{head}>{_failure(proof.status.value, proof.reason, told)}</testcase>"


def _failure(kind: str, message: str, told: list[str] | None = None) -> str:
    lines = "\n".join(escape(_plain(line)) for line in told or ())
    return f"<failure type={_attribute(kind)} message={_attribute(message)}>{lines}</failure>"


def _attribute(text: str) -> str:
    return quoteattr(_plain(text))


def _plain(text: str) -> str:
    """The text cut, with what XML or a reader's eye cannot take spelt as an escape."""
    cut = text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]}..."
    return _STEERING.sub(_spelt, _NO_XML.sub(_spelt, cut))


def _spelt(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()
