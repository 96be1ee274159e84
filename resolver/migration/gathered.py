"""What was found in another product's configuration, on its way to settings and a blocklist.

Knows: the values that settings take, names, tiers and forms of rules, what could not be taken over.  Does not
know: any product, any file format, how the result is written.
Theory: readers of products say what they found in the words of this module, each with its place.  Whatever
this resolver cannot do becomes a `Loss`, never silence.

Which rule wins there is kept here by the tier that a rule is put in.  Names that are `let_through` stand
under `allow:`, before every list.  Names that are `blocked` and those `excepted` stand in lists, where the
longest name wins.  Names that are blocked `firmly` stand in an exchange, which `allow:` can only open by a
longer name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from resolver.config.settingvalues import endpoint_from, network_from
from resolver.config.upstream_values import UpstreamServer, bootstrap_from, upstream_from
from resolver.known_names.protected import built_in_protected
from resolver.lists.reading import Skipped, checked_name
from resolver.policy.verdict import RuleForm
from resolver.problems import Problem, printable, show
from resolver.wire.names import is_at_or_below, name_from_text, name_to_text, suffix_offsets

LOSSES_MAX: Final = 10_000
"""Most that are kept; more are counted."""
RULES_MAX: Final = 2_000_000
"""Most names of one configuration; larger sets belong into list files."""
LISTS_MAX: Final = 1_000


class BadConfig(Exception):
    """A configuration cannot be read; `problems` says why, with file and line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found."""

    file: str
    line: int = 0
    """From 1; 0: the whole file, or a row of a database."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that has no counterpart, or none that is quite the same."""

    place: Place
    key: str
    """As the product calls it."""
    why: str
    instead: str
    """What to do; empty: nothing need be done."""
    changes_answers: bool = True
    """Whether clients may get other answers than before; else it is about how the program runs."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A name and how far the rule reaches."""

    form: RuleForm
    name: bytes
    """Wire form, lower case."""

    @property
    def text(self) -> str:
        """As the blocklist writes it."""
        sign = {RuleForm.SUBTREE: "", RuleForm.EXACT: "=", RuleForm.BELOW: "*."}[self.form]
        return sign + shown_name(self.name)

    def covers(self, name: bytes) -> bool:
        """Whether it speaks of a name."""
        if self.form is RuleForm.EXACT:
            return name == self.name
        return is_at_or_below(name, self.name) and (self.form is RuleForm.SUBTREE or name != self.name)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name is answered with, in the words of a response policy zone."""

    record: str
    """Type and data, e.g. `CNAME .`, `A 192.0.2.1`."""


@dataclass(slots=True)
class TakenList:
    """A list of names from elsewhere."""

    name: str
    keys: dict[str, Any]
    """Those of an entry of `lists:`, but for its name."""
    place: Place


@dataclass(slots=True)
class Gathered:
    """All that one configuration says."""

    product: str
    settings: dict[str, Any] = field(default_factory=dict)
    """`section.key` -> value."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Of the blocklist."""
    blocked: dict[Rule, Place] = field(default_factory=dict)
    excepted: dict[Rule, Place] = field(default_factory=dict)
    firmly: dict[Rule, Place] = field(default_factory=dict)
    refused: dict[Rule, Place] = field(default_factory=dict)
    let_through: dict[Rule, Place] = field(default_factory=dict)
    let_through_firmly: dict[Rule, Place] = field(default_factory=dict)
    """Exceptions that win even where something is blocked firmly."""
    answers: dict[Rule, tuple[list[Answer], Place]] = field(default_factory=dict)
    records: dict[str, list[str]] = field(default_factory=dict)
    servers: list[str] = field(default_factory=list)
    forward: dict[str, list[str]] = field(default_factory=dict)
    bootstrap: list[str] = field(default_factory=list)
    listen: list[str] = field(default_factory=list)
    lists: list[TakenList] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What is the same in other words, for people."""
    hosts_lines_answer: bool = False
    """Whether a line `127.0.0.1 x` among rules is answered with its address, not as every block is."""
    lost_beyond: int = 0
    """Losses that are not kept."""
    _rule_count: int = 0

    def lose(
        self, place: Place, key: str, why: str, instead: str = "", *, changes_answers: bool = True
    ) -> None:
        """Note that something has no counterpart."""
        if len(self.losses) >= LOSSES_MAX:
            self.lost_beyond += 1
            return
        texts = (printable(key)[:200], printable(why)[:500], printable(instead)[:500])
        self.losses.append(Loss(place, *texts, changes_answers))

    def remark(self, text: str) -> None:
        """Note, once, what people should know although nothing is lost."""
        text = printable(text)
        if text not in self.remarks:
            self.remarks.append(text)

    def rule(self, text: str, form: RuleForm, place: Place, key: str) -> Rule | None:
        """A rule for a name as people write it; None, and a loss, where it is none."""
        try:
            name = name_from_text(text.strip())
            if name == b"\0":
                raise ValueError(f"{show(text)} stands for every name")
            return Rule(form, checked_name(name, text))
        except ValueError as error:
            self.lose(place, key, str(error), "leave it out, or write the name that was meant")
        except Skipped:
            why = f"{show(text)} is a whole top-level domain, which no list may speak of here"
            self.lose(place, key, why, "write it into an exchange, and accept that with `apply --force`")
        return None

    def put(self, where: dict[Rule, Place], rule: Rule | None, place: Place) -> None:
        """Add a rule to one of the tiers; the first of equal ones stays.  Raises BadConfig: there are too
        many."""
        if rule is None or rule in where:
            return
        self._count_rule(place)
        is_block = where is self.blocked or where is self.firmly or where is self.refused
        if not (is_block and self._is_protected(rule, place)):
            where[rule] = place

    def answer(self, rule: Rule | None, record: str, place: Place) -> None:
        """Have a name answered with a record (see `Answer`); several of one name stand together."""
        if rule is None:
            return
        self._count_rule(place)
        kept, _ = self.answers.setdefault(rule, ([], place))
        if Answer(record) not in kept:
            kept.append(Answer(record))

    def record(self, name: str, address: str, place: Place, key: str) -> None:
        """Give one name an address, as a site's own record."""
        try:
            shown = shown_name(name_from_text(name.strip()))
            found = str(ip_address(address.strip()))
            if not shown or "%" in found:
                raise ValueError(f"{show(f'{name} {address}')} is not a name with an address")
        except ValueError as error:
            self.lose(place, key, str(error), "add the record under `records:` by hand")
            return
        self._count_rule(place)
        kept = self.records.setdefault(shown, [])
        if found not in kept:
            kept.append(found)

    def server(self, url: str, place: Place, key: str) -> UpstreamServer | None:
        """An upstream by its URL here; None, and a loss, where it is none."""
        try:
            return upstream_from(url)
        except ValueError as error:
            self.lose(place, key, str(error), "name a server under upstreams.servers")
            return None

    def add_server(self, url: str, place: Place, key: str, suffixes: Iterable[str] = ()) -> None:
        """Add an upstream for all names, or for these suffixes."""
        server = self.server(url, place, key)
        if server is None:
            return
        suffixes = list(suffixes)
        targets = [self._suffix(suffix, place, key) for suffix in suffixes] if suffixes else [None]
        for target in targets:
            if target is None and suffixes:
                continue
            kept = self.servers if target is None else self.forward.setdefault(target, [])
            if str(server) not in kept:
                kept.append(str(server))

    def add_bootstrap(self, text: str, place: Place, key: str) -> None:
        """Add a server that resolves names of upstreams."""
        try:
            server = str(bootstrap_from(text))
        except ValueError as error:
            self.lose(place, key, str(error), "name a DNS server by its address in upstreams.bootstrap")
            return
        if server not in self.bootstrap:
            self.bootstrap.append(server)

    def add_listen(self, text: str, place: Place, key: str) -> None:
        """Add an address to listen on."""
        try:
            endpoint = str(endpoint_from(text))
        except ValueError as error:
            self.lose(place, key, str(error), "name addresses with ports in listen.dns")
            return
        if endpoint not in self.listen:
            self.listen.append(endpoint)

    def network(self, text: str, place: Place, key: str) -> str | None:
        """A network as settings have it; None, and a loss, where it is none."""
        try:
            return str(network_from(text))
        except ValueError as error:
            self.lose(place, key, str(error), "name networks in clients.allow")
            return None

    def limited(self, setting: str, value: float, least: float, most: float, place: Place, key: str) -> None:
        """Set a number; a loss where it is out of the range that is allowed here."""
        kept = min(max(value, least), most)
        self.settings[setting] = kept
        if kept != value:
            why = f"{value:g} is not in the range of {setting}: {least:g} to {most:g}; it is {kept:g} now"
            self.lose(place, key, why, "look whether that will do")

    def _suffix(self, text: str, place: Place, key: str) -> str | None:
        try:
            name = name_from_text(text.strip().strip(".") or ".")
        except ValueError as error:
            self.lose(place, key, str(error), "name the suffix under upstreams.forward")
            return None
        return shown_name(name)

    def _is_protected(self, rule: Rule, place: Place) -> bool:
        protected = built_in_protected()
        for offset in suffix_offsets(rule.name):
            reason = protected.get(rule.name[offset:])
            if reason is not None:
                why = f"it is protected here ({reason}), so no rule blocks it"
                self.lose(place, rule.text, why, "nothing, unless you rely on it")
                return True
        return False

    def _count_rule(self, place: Place) -> None:
        self._rule_count += 1
        if self._rule_count > RULES_MAX:
            message = f"more than {RULES_MAX:,} names; put them into a list file and name it under `lists:`"
            raise BadConfig([Problem(place.file, place.line, message)])


def shown_name(name: bytes) -> str:
    """A name as files write it, without its last dot; the root: `.`."""
    return name_to_text(name).rstrip(".") or "."


def error(place: Place, message: str) -> BadConfig:
    """What stops an import at once."""
    return BadConfig([Problem(place.file, place.line, message)])
