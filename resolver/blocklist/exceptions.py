"""The entries of `allow` -> name rules, each with its dates.

Knows: that an exception is a name, or a mapping with a name, dates and a reason.
Does not know: what is blocked.
Theory: exceptions of the same dates and reason share a rule, so a thousand of them cost one rule class.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo

from resolver.blocklist.dates import ALWAYS, Window, window_from
from resolver.blocklist.entries import name_entry
from resolver.blocklist.keys import AllowEntry
from resolver.blocklist.properties import passing_rule
from resolver.blocklist.rules import NameRule
from resolver.config.yamlmodel import build_section, line_of
from resolver.config.yamlsource import Value, YamlMapping, YamlSequence
from resolver.policy.verdict import PolicyRule
from resolver.problems import Findings

_Reason = tuple[Window, str | None, str | None]
"""Dates, reason and ticket of an exception."""


class ExceptionRules:
    """One reading of `allow`."""

    def __init__(self, file: str, zone: tzinfo, findings: Findings) -> None:
        self._file = file
        self._zone = zone
        self._findings = findings
        self._rules: dict[_Reason, PolicyRule] = {}

    def read(self, content: YamlSequence) -> list[NameRule]:
        """Its names, as far as they can be read; what cannot is noted with its line."""
        names = []
        for value, line in zip(content.items, content.lines, strict=True):
            reason: _Reason | None = (ALWAYS, None, None)
            text: Value = value
            if isinstance(value, YamlMapping):
                text = value.items.get("name")
                reason = self._reason(value, line)
            if reason is None:
                continue
            try:
                owner, form = name_entry(text)
            except ValueError as error:
                self._findings.error(line_of(value, ("name",), line), f"allow: {error}")
                if self._findings.is_full:
                    break
            else:
                names.append(NameRule(owner, form, "allow", self._rule(reason), self._file, line))
        return names

    def _reason(self, value: YamlMapping, line: int) -> _Reason | None:
        entry = build_section(
            AllowEntry, value, self._findings, line=line, where="allow", opaque=frozenset({"name"})
        )
        if entry is None:
            return None

        def error(key: str, message: str) -> None:
            self._findings.error(line_of(value, (key,), line), f"allow.{key}: {message}")

        return window_from(entry, self._zone, error), entry.reason, entry.ticket

    def _rule(self, reason: _Reason) -> PolicyRule:
        if (rule := self._rules.get(reason)) is None:
            window, why, ticket = reason
            rule = replace(passing_rule("allow", "exceptions", window), reason=why or "", ticket=ticket or "")
            self._rules[reason] = rule
        return rule
