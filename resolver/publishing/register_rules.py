"""A register's file -> rules in an image, and its records beside it.

Knows: which list wants which register, how much is said of what is no rule.  Does not know: formats of
registers, how records are kept.
Theory: the file is read twice, by the piece: once for its hash, which names the image, and once for its
records; a file that changed between the two is read again later.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resolver.blocklist.conflicts import built_in_name_rules, entry_text
from resolver.blocklist.properties import passing_rule
from resolver.blocklist.rules import Blocklist, ListSpec, NameRule
from resolver.durable import Replacement
from resolver.lists.reading import Said
from resolver.policy.verdict import RuleForm
from resolver.portions import read_portion
from resolver.problems import Problem, show
from resolver.publishing.compiled import RECORDS_SUFFIX
from resolver.publishing.image_writer import ImageWriter
from resolver.publishing.list_files import open_list
from resolver.publishing.list_rules import AddedList, Classes
from resolver.publishing.register_store import Entry, RegisterStore, new_store
from resolver.registers.judging import Judge, Reason
from resolver.registers.reading import RegisterLimits, read_register
from resolver.registers.record import Record, RegisterRefused
from resolver.wire.names import name_to_text, parent, suffix_offsets

SHOWN_MAX = 20
"""Entries of each sort that are told one by one; `import` tells more."""
OVERLAPS_KEPT_MAX = 1_000
BATCH_NAMES = 4_096


@dataclass(frozen=True, slots=True)
class RegisterFile:
    """A register's file as it was when it was hashed."""

    spec: ListSpec
    sha256: str
    octets: int

    @classmethod
    def of(cls, spec: ListSpec) -> RegisterFile:
        """Hash a file, as far as one octet more than it may have.  Raises OSError."""
        digest = hashlib.sha256()
        octets = 0
        with open_list(spec) as file:
            while octets <= spec.size_octets_max and (portion := read_portion(file)):
                digest.update(portion)
                octets += len(portion)
        return cls(spec, digest.hexdigest(), octets)

    def pieces(self) -> Iterator[bytes]:
        """Its content, a portion at a time.  Raises OSError, and `FileChanged` at the end."""
        digest = hashlib.sha256()
        with open_list(self.spec) as file:
            while portion := read_portion(file):
                digest.update(portion)
                yield portion
        if digest.hexdigest() != self.sha256:
            raise FileChanged

    def records(self) -> Iterator[Record]:
        """Raises `RegisterRefused`, OSError, `FileChanged`."""
        spec = self.spec
        assert spec.register is not None
        limits = RegisterLimits(spec.size_octets_max, spec.entries_max, spec.error_budget_percent)
        return read_register(self.pieces(), spec.register, limits)


class FileChanged(Exception):
    """A file is not what it was a moment ago."""


class RegisterRules:
    """Adds the registers of one policy; `keep` puts their records beside the image, `close` ends it."""

    def __init__(self, blocklist: Blocklist, image: Path) -> None:
        self._blocklist = blocklist
        self._path = image.with_suffix(RECORDS_SUFFIX)
        self._new: Replacement | None = None
        self._stack = contextlib.ExitStack()
        self._store: RegisterStore | None = None
        self.counts: dict[str, dict[str, Any]] = {}
        """List -> `RegisterStore.counts`."""

    def add(
        self, writer: ImageWriter, spec: ListSpec, file: RegisterFile, problems: list[Problem]
    ) -> AddedList:
        """Add what a register asks for; `problems` gets what there is to say of it, an error for a refusal.

        Raises OSError, sqlite3.Error and `FileChanged`.
        """
        added = AddedList(spec.format)
        classes = Classes(writer, spec)

        def add_names(form: RuleForm, names: list[bytes], lines: list[int]) -> None:
            class_id = classes.of(Said(form))[0]
            writer.add_names(class_id, names, lines, is_deep=True)
            added.class_ids.add(class_id)
            added.rule_count += len(names)

        store = self._open()
        taking = RegisterTaking(store, spec, self._blocklist, add_names)
        try:
            taking.take_all(file.records())
        except RegisterRefused as refused:
            message = f"list {spec.name!r}: {refused}; the whole register is refused"
            problems.append(Problem(str(spec.path), refused.line, message))
            return added
        self.counts[spec.name] = store.counts(spec.name)
        problems += _remarks(spec, store, self.counts[spec.name], taking)
        return added

    def _open(self) -> RegisterStore:
        if self._store is None:
            self._new = Replacement(self._path)
            self._store = self._stack.enter_context(new_store(self._new.path))
        return self._store

    def keep(self) -> None:
        """Put the records into their place.  Raises OSError and sqlite3.Error."""
        self._stack.close()
        if self._new is not None:
            self._new.commit()

    def close(self) -> None:
        """Remove what was not kept."""
        with contextlib.suppress(sqlite3.Error):
            self._stack.close()
        if self._new is not None:
            self._new.discard()


class RegisterTaking:
    """One register on its way into a store, and its names to whoever wants them."""

    def __init__(
        self,
        store: RegisterStore,
        spec: ListSpec,
        blocklist: Blocklist | None,
        add_names: Callable[[RuleForm, list[bytes], list[int]], None] = lambda _form, _names, _lines: None,
    ) -> None:
        """`blocklist`: whose exchanges and protected names count; None: only the built-in ones."""
        self._store = store
        self._number = store.begin_list(spec.name)
        rules = (
            built_in_name_rules(passing_rule("protected", "")) if blocklist is None else blocklist.name_rules
        )
        self._judge = Judge(
            ((rule.owner, rule.form) for rule in rules if rule.effect == "protect"), spec.match
        )
        self._exchanges = exchange_names(rules)
        self._add_names = add_names
        self._waiting: dict[RuleForm, tuple[list[bytes], list[int]]] = {}
        self.overlap_count = 0
        self.overlaps: list[tuple[Record, str, NameRule]] = []
        """The first names that exchanges have, too."""

    def take_all(self, records: Iterable[Record]) -> None:
        """Take a whole register.  Raises what reading it raises, and sqlite3.Error."""
        for record in records:
            for asked in record.asks:
                verdict = self._judge.judge(record, asked)
                self._store.add(self._number, record, asked, verdict)
                if not isinstance(verdict, Reason):
                    self._take_name(record, asked.owner, verdict)
        for form, (names, lines) in self._waiting.items():
            self._add_names(form, names, lines)
        self._waiting.clear()
        self._store.end_list(self._number)

    def _take_name(self, record: Record, owner: bytes, form: RuleForm) -> None:
        if (rule := rule_over(self._exchanges, owner)) is not None:
            self.overlap_count += 1
            if len(self.overlaps) < OVERLAPS_KEPT_MAX:
                self.overlaps.append((record, name_to_text(owner), rule))
        names, lines = self._waiting.setdefault(form, ([], []))
        names.append(owner)
        lines.append(record.line)
        if len(names) >= BATCH_NAMES:
            self._add_names(form, names, lines)
            self._waiting[form] = ([], [])

    def is_exchange_name(self, owner: bytes) -> bool:
        """Whether an exchange of the blocklist has this name."""
        return rule_over(self._exchanges, owner) is not None


def rule_over(exchanges: dict[bytes, NameRule], owner: bytes) -> NameRule | None:
    """The exchange's rule that reaches a name."""
    for at in suffix_offsets(owner):
        rule = exchanges.get(owner[at:])
        if rule is not None and covers(rule.form, is_same=not at):
            return rule
    return None


def exchange_names(rules: Iterable[NameRule]) -> dict[bytes, NameRule]:
    """Owner name -> the exchange's rule for it; of several the first."""
    names: dict[bytes, NameRule] = {}
    for rule in rules:
        if rule.effect == "block":
            names.setdefault(rule.owner, rule)
    return names


def covers(form: RuleForm, *, is_same: bool) -> bool:
    """Whether a rule reaches its owner itself (`is_same`), or a name below it."""
    return form is RuleForm.SUBTREE or (form is RuleForm.EXACT) is is_same


def _remarks(
    spec: ListSpec, store: RegisterStore, counts: dict[str, Any], taking: RegisterTaking
) -> list[Problem]:
    """What there is to say of a register that was read."""

    def warn(line: int, message: str) -> Problem:
        return Problem(str(spec.path), line, f"list {spec.name!r}: {message}", "warning")

    problems = []
    if left := counts["entries"] - counts["enforced"]:
        reasons = ", ".join(
            f"{reason} {count:,}" for reason, count in counts["not_enforced"].items() if count
        )
        problems.append(warn(0, f"{left:,} of {counts['entries']:,} entries are no rules: {reasons}"))
    for entry in store.not_enforced(spec.name, SHOWN_MAX, but=(Reason.REMOVED, Reason.DUPLICATE)):
        problems.append(warn(entry.line, f"record {entry.id}: {show(entry.written)}: {entry.reason}"))
    count, lone = store.lone_www(spec.name, SHOWN_MAX)
    for entry in lone:
        if not taking.is_exchange_name(parent(entry.owner)):
            problems.append(warn(entry.line, lone_www_text(entry)))
    if count > len(lone):
        problems.append(warn(0, f"{count - len(lone):,} more names leave the name above them open"))
    for record, name, rule in taking.overlaps[:SHOWN_MAX]:
        problems.append(warn(record.line, overlap_text(record.id or name, name, rule)))
    if (more := taking.overlap_count - SHOWN_MAX) > 0:
        problems.append(warn(0, f"{more:,} more names belong to exchanges of the blocklist"))
    return problems


def lone_www_text(entry: Entry) -> str:
    """Say that `www.x` alone was asked for."""
    name = name_to_text(entry.owner)
    return f"record {entry.id}: {name} alone is asked for; {name.removeprefix('www.')} itself stays open"


def overlap_text(record_id: str, name: str, rule: NameRule) -> str:
    """Say that a register names what an exchange of the blocklist has."""
    own = entry_text(rule.owner, rule.form)
    return f"record {record_id}: {name} belongs to exchange {rule.rule.label} ({own}), whose rule decides"
