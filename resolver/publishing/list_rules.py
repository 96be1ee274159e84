"""A list file's content -> rules in an image.

Knows: what a list's own keys change of what its lines say.  Does not know: formats, files on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from resolver.blocklist.properties import with_action
from resolver.blocklist.rules import ListSpec
from resolver.lists.reader import ListLimits, ListReader
from resolver.lists.reading import Said
from resolver.lists.shared_names import SUFFIXES_SHOWN_MAX, without_suffixes
from resolver.policy.image import Effect
from resolver.policy.verdict import PolicyRule, RuleForm
from resolver.problems import Problem
from resolver.publishing.image_writer import ImageWriter


@dataclass(slots=True)
class AddedList:
    """What became of one list."""

    format: str
    class_ids: set[int] = field(default_factory=set)
    rule_count: int = 0
    """Names and networks added, repeated ones included."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Lines that say nothing served here, by kind."""
    bad_line_count: int = 0

    def served(self, duplicates: Mapping[int, int]) -> int:
        """How many rules it has in the image, which dropped `duplicates` of each class."""
        return self.rule_count - sum(duplicates.get(class_id, 0) for class_id in self.class_ids)


def add_list(writer: ImageWriter, spec: ListSpec, octets: bytes, problems: list[Problem]) -> AddedList:
    """Add what a list says; `problems` gets what there is to say of it, an error when it is refused."""
    limits = ListLimits(spec.size_octets_max, spec.entries_max, spec.error_budget_percent)
    reader = ListReader(octets, str(spec.path), spec.format, limits)
    added = AddedList(reader.format)
    classes = Classes(writer, spec)
    shared_count = 0
    for batch in reader.batches():
        names, lines = batch.names, batch.lines
        class_id, form, effect = classes.of(batch.said)
        if form is not RuleForm.EXACT and effect is Effect.BLOCK:
            names, lines, count = without_suffixes(spec, names, lines, problems, shared_count)
            shared_count += count
        writer.add_names(class_id, names, lines, is_deep=True)
        added.class_ids.add(class_id)
        added.rule_count += len(names)
    if (more := shared_count - SUFFIXES_SHOWN_MAX) > 0:
        message = f"list {spec.name!r}: {more:,} more lines are left out: public suffixes or shared platforms"
        problems.append(Problem(str(spec.path), 0, message, "warning"))
    problems += reader.problems()
    for network, line, said in reader.networks:
        writer.add_address(classes.of(said)[0], network, line)
    added.rule_count += len(reader.networks)
    added.skipped = dict(Counter(reader.notes.skipped))
    added.bad_line_count = reader.notes.bad_line_count
    return added


class Classes:
    """The rule classes of one list, by what its lines say."""

    def __init__(self, writer: ImageWriter, spec: ListSpec) -> None:
        self._writer = writer
        self._spec = spec
        self._known: dict[Said, tuple[int, RuleForm | None, Effect]] = {}
        self._rules: dict[tuple[object, object], PolicyRule] = {}

    def of(self, said: Said) -> tuple[int, RuleForm | None, Effect]:
        """Class id, form and effect."""
        known = self._known.get(said)
        if known is None:
            spec = self._spec
            form = said.form if said.form is None or spec.match is None else spec.match
            # Every line of an allow list is an exception, whatever a blocker would make of it.
            is_allowed = spec.kind == "allow" or said.effect == "allow"
            effect = Effect.ALLOW if is_allowed else Effect.BLOCK
            rule = spec.rule if is_allowed else self._rule(said)
            class_id = self._writer.class_of(rule, form, effect, str(spec.path))
            known = self._known[said] = (class_id, form, effect)
        return known

    def _rule(self, said: Said) -> PolicyRule:
        rule = self._spec.rule
        if said.action in (None, rule.action) and said.local_data is None:
            return rule
        if self._spec.is_action_given or said.action is None:
            return rule  # What the operator says of the whole list beats what the list says of a line.
        key = (said.action, said.local_data)
        if key not in self._rules:
            self._rules[key] = with_action(rule, said.action, said.local_data)
        return self._rules[key]
