"""What was gathered -> the files: settings, blocklist, and the lists that belong to it.

Knows: the forms of these files.  Does not know: products, where files go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from resolver.config.commented import commented_with, flow
from resolver.migration.gathered import Gathered, Place, Rule, shown_name
from resolver.migration.patterns import filter_line
from resolver.policy.verdict import RuleForm
from resolver.problems import printable

STATE_DIR: Final = "state"
SETTINGS_FILE: Final = "resolver.yaml"
BLOCKLIST_FILE: Final = "blocklist.yaml"
NAMES_FILE: Final = "own-names.txt"
REFUSED_FILE: Final = "own-refused.txt"
ANSWERS_FILE: Final = "own-answers.rpz"
ZONE: Final = "own-answers.invalid."
ORDER: Final = "house-policy"
_FIRMLY_INDENT: Final = "      "
_ALLOW_INDENT: Final = "  "


@dataclass(frozen=True, slots=True)
class Source:
    """What a line of the files says."""

    rule: Rule
    place: Place
    """In the product's configuration."""
    tier: dict[Rule, Any]
    """The tier of `Gathered` that the line stands for."""


Places = dict[tuple[str, int], Source]
"""(file, line) -> what it says."""


@dataclass(frozen=True, slots=True)
class Written:
    """The files, by their names, and where each line of the lists among them comes from."""

    files: dict[str, str]
    places: Places


def write(gathered: Gathered, *, state_dir: str = STATE_DIR, catalogue: str = "") -> Written:
    """All files; paths in them are relative to their folder.

    `catalogue`: the text of a blocklist, whose exchanges are put in besides; empty: none are.
    """
    places: Places = {}
    files = {SETTINGS_FILE: _settings(gathered, state_dir)}
    names = [*_sources(gathered.blocked), *_sources(gathered.excepted)]
    if names:
        title = f"Names that {gathered.product} blocks by hand"
        files[NAMES_FILE] = _filters(names, NAMES_FILE, places, title, exceptions=gathered.excepted)
    if gathered.refused:
        refused = _sources(gathered.refused)
        files[REFUSED_FILE] = _filters(refused, REFUSED_FILE, places, "Names that are answered with REFUSED")
    if gathered.answers:
        files[ANSWERS_FILE] = _zone(gathered, places)
    files[BLOCKLIST_FILE] = _blocklist(gathered, files, places, _exchanges_in(catalogue))
    return Written(files, places)


def _sources(tier: dict[Rule, Place]) -> list[Source]:
    return [Source(rule, place, tier) for rule, place in tier.items()]


def _settings(gathered: Gathered, state_dir: str) -> str:
    values = dict(gathered.settings)
    values["blocklist"], values["state_dir"] = BLOCKLIST_FILE, state_dir
    for key, found in (
        ("listen.dns", gathered.listen),
        ("upstreams.servers", gathered.servers),
        ("upstreams.bootstrap", gathered.bootstrap),
        ("upstreams.forward", gathered.forward),
        ("records", gathered.records),
    ):
        if found:
            values[key] = found
    head = f"# Taken over from {gathered.product} by `exchange-resolver import-config`.\n#\n"
    return commented_with(values, head=head)


def _exchanges_in(catalogue: str) -> list[str]:
    """The lines below `exchanges:`, comments kept.  Each exchange cites `ORDER`, which stands in the file."""
    found: list[str] = []
    is_inside = False
    for line in catalogue.split("\n"):
        if line[:1].strip():
            is_inside = line.startswith("exchanges:")
        elif is_inside and line:
            found.append(line)
    return found


def _blocklist(gathered: Gathered, files: Mapping[str, str], places: Places, catalogue: Sequence[str]) -> str:
    lines = list(_blocklist_lines(gathered, files, catalogue))
    rules = {
        f"{indent}- {flow(source.rule.text)}": source
        for tier, indent in ((gathered.firmly, _FIRMLY_INDENT), (gathered.let_through, _ALLOW_INDENT))
        for source in _sources(tier)
    }
    for number, line in enumerate(lines, 1):
        if (source := rules.get(line)) is not None:
            places[BLOCKLIST_FILE, number] = source
    return "\n".join(lines) + "\n"


def _blocklist_lines(gathered: Gathered, files: Mapping[str, str], catalogue: Sequence[str]) -> Iterator[str]:
    product = gathered.product
    title = "Example: replace with your own basis" if catalogue else f"Names blocked before in {product}"
    yield f"# The policy of this resolver, taken over from {product} by `exchange-resolver import-config`."
    yield "#"
    yield (
        "# Edited by people, reloaded when it changes; `exchange-resolver check` says what is wrong with it."
    )
    yield '# `x.example` is the name and everything under it, "=x.example" only that name, "*.x.example" only'
    yield "# names under it (quote a star)."
    yield "version: 1"
    yield ""
    yield "defaults:"
    for key, value in {"action": "nxdomain", **gathered.defaults}.items():
        yield f"  {key}: {flow(value)}"
    yield ""
    yield "# Why.  Replace this by your own basis, because the blocked person is told which it was."
    yield "orders:"
    yield f"  {ORDER}:"
    yield "    authority: The operator of this network"
    yield f"    title: {flow(title)}"
    yield "    imposed_by: house"
    yield ""
    yield "exchanges:" if gathered.firmly or catalogue else "exchanges: {}"
    if gathered.firmly:
        yield "  own-names:"
        yield "    name: Names blocked whatever lists allow"
        yield "    category: other"
        yield f"    order: {ORDER}"
        yield "    domains:"
        yield from _entries(gathered.firmly, _FIRMLY_INDENT)
    yield from catalogue
    yield ""
    yield "# Exceptions: they come before every list below."
    yield from _named("allow", gathered.let_through)
    yield ""
    yield "# Names that no rule may ever block, beside the built-in ones."
    yield "protected: []"
    yield ""
    yield from _lists(gathered, files)


def _named(key: str, rules: Mapping[Rule, Place]) -> Iterator[str]:
    if not rules:
        yield f"{key}: []"
        return
    yield f"{key}:"
    yield from _entries(rules, _ALLOW_INDENT)


def _entries(rules: Mapping[Rule, Place], indent: str) -> Iterator[str]:
    for rule in sorted(rules, key=_by_name):
        yield f"{indent}- {flow(rule.text)}"


def _lists(gathered: Gathered, files: Mapping[str, str]) -> Iterator[str]:
    own: list[tuple[str, dict[str, Any]]] = []
    if NAMES_FILE in files:
        own.append(("own-names", {"path": NAMES_FILE, "format": "adblock", "order": ORDER}))
    if REFUSED_FILE in files:
        own.append(
            ("own-refused", {"path": REFUSED_FILE, "format": "adblock", "action": "refused", "order": ORDER})
        )
    if ANSWERS_FILE in files:
        own.append(("own-answers", {"path": ANSWERS_FILE, "format": "rpz"}))
    taken = [(one.name, {**one.keys, "order": ORDER}) for one in gathered.lists]
    if not own and not taken:
        yield "lists: []"
        return
    yield "lists:"
    for name, keys in [*own, *taken]:
        if keys.get("kind") == "allow":
            keys = {key: value for key, value in keys.items() if key != "order"}
        yield f"  - name: {flow(name)}"
        for key, value in keys.items():
            yield f"    {key}: {flow(value)}"


def _filters(
    sources: Iterable[Source],
    file: str,
    places: Places,
    title: str,
    *,
    exceptions: dict[Rule, Place] | None = None,
) -> str:
    lines = [
        f"! {title}.",
        "! ||x^: x and all below it; |x^: x alone; ||*.x^: all below x; @@: an exception.",
    ]
    for source in sorted(sources, key=lambda one: _by_name(one.rule)):
        name, is_exception = shown_name(source.rule.name), source.tier is exceptions
        lines.append(filter_line(source.rule.form, name, is_exception=is_exception))
        places[file, len(lines)] = source
    return "\n".join(lines) + "\n"


def _zone(gathered: Gathered, places: Places) -> str:
    lines = [
        f"; Answers that {gathered.product} gives of its own, as a response policy zone.",
        f"$ORIGIN {ZONE}",
        "$TTL 300",
        "@ SOA localhost. root.localhost. 1 3600 600 86400 300",
        "@ NS localhost.",
    ]
    for rule, (answers, place) in sorted(gathered.answers.items(), key=lambda one: _by_name(one[0])):
        owners = {
            RuleForm.EXACT: ("",),
            RuleForm.BELOW: ("*.",),
            RuleForm.SUBTREE: ("", "*."),
        }[rule.form]
        for owner in owners:
            for answer in answers:
                lines.append(f"{owner}{shown_name(rule.name)} {answer.record}")
                places[ANSWERS_FILE, len(lines)] = Source(rule, place, gathered.answers)
    return "\n".join(lines) + "\n"


def _by_name(rule: Rule) -> tuple[list[str], str]:
    return shown_name(rule.name).split(".")[::-1], rule.form.value


def list_name(wanted: str, taken: Iterable[str]) -> str:
    """A name for a list that nothing else has: of a URL, a path or a title."""
    words = re.sub(r"[^a-z0-9]+", "-", printable(wanted).lower()).strip("-")[:50].strip("-") or "list"
    names, name, number = set(taken) | {"own-names", "own-refused", "own-answers"}, words, 1
    while name in names:
        number += 1
        name = f"{words}-{number}"
    return name
