"""What a product's rules come to here: the tiers put right, gaps filled, and all of it said.

Knows: which rule would win here and which won there, what settings cannot do without.  Does not know: any
product, files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from resolver.blocklist.downloads import split_url
from resolver.config.upstream_values import upstream_from
from resolver.migration.gathered import Answer, Gathered, Place, Rule, shown_name
from resolver.policy.verdict import RuleForm
from resolver.wire.names import name_from_text, parent

BOOTSTRAP: Final = "9.9.9.9:53"
"""Who resolves the names of upstreams where the product left that to the system."""


def finish(gathered: Gathered, place: Place, folder: Path) -> None:
    """Put right what no reader of a product can know alone.

    `place`: of the whole configuration; `folder`: where relative paths in it start.
    """
    _look_at_lists(gathered, folder)
    _weigh_exceptions(gathered)
    _drop_idle_exceptions(gathered)
    _keep_ways_to_records(gathered, place)
    _open_answers(gathered)
    _fill_gaps(gathered, place)


def _look_at_lists(gathered: Gathered, folder: Path) -> None:
    """Leave out lists that could not be read here: a policy with one of them would be refused as a whole."""
    kept = []
    for one in gathered.lists:
        why = ""
        if "path" in one.keys:
            path = folder / str(one.keys["path"])
            one.keys["path"] = str(path.absolute())
            why = "" if path.is_file() else f"the file {path} is not here"
        elif isinstance(one.keys["url"], str) and one.keys["url"].startswith("http"):
            try:
                split_url(one.keys["url"])
            except ValueError as error:
                why = str(error)
        if why:
            gathered.lose(one.place, f"list {one.name}", why, "name it under `lists:`, where it can be read")
        else:
            kept.append(one)
    gathered.lists[:] = kept


def _weigh_exceptions(gathered: Gathered) -> None:
    """Leave out what could never have won there, and would win here.

    Both tiers stand in one here, where the longest name wins; there the kind of a rule decided.
    """
    firmly, let_through = _Cover(gathered.firmly), gathered.let_through_firmly
    strongest = _Cover(let_through)
    for rule in [rule for rule in gathered.firmly if strongest.covers(rule)]:
        del gathered.firmly[rule]
    for rule in [rule for rule in gathered.let_through if firmly.covers(rule)]:
        gathered.lose(
            gathered.let_through.pop(rule),
            rule.text,
            "the exception never had an effect: a stronger rule blocks the name",
            changes_answers=False,
        )
    gathered.let_through.update(let_through)


def _drop_idle_exceptions(gathered: Gathered) -> None:
    """Leave out exceptions from nothing: a server for a name is one where something above it is blocked."""
    spoken: dict[Rule, Place] = {**gathered.blocked, **gathered.refused}
    spoken.update((rule, place) for rule, (_, place) in gathered.answers.items())
    above = _Cover(spoken)
    for rule in [rule for rule in gathered.excepted if not above.covers(rule)]:
        del gathered.excepted[rule]


def _keep_ways_to_records(gathered: Gathered, place: Place) -> None:
    """A denied name above one of `records:` exists, and is answered as empty.

    NXDOMAIN there would say that nothing is below it (RFC 8020), and who believes that loses the record.
    """
    for text in gathered.records:
        name = parent(name_from_text(text))
        while name != b"\0" and _is_denied(gathered, name):
            rule = Rule(RuleForm.EXACT, name)
            if shown_name(name) not in gathered.records:
                gathered.answers[rule] = ([Answer("CNAME *.")], place)
            name = parent(name)


def _is_denied(gathered: Gathered, name: bytes) -> bool:
    """Whether the rule that decides says that a name does not exist."""
    at = name
    while at != b"\0":
        forms = (RuleForm.EXACT, RuleForm.SUBTREE) if at == name else (RuleForm.SUBTREE, RuleForm.BELOW)
        for rule in (Rule(form, at) for form in forms):
            if rule in gathered.excepted or rule in gathered.refused:
                return False
            if rule in gathered.answers:
                return gathered.answers[rule][0] == [Answer("CNAME .")]
            if rule in gathered.blocked:
                return gathered.defaults.get("action") == "nxdomain"
        at = parent(at)
    return False


def _open_answers(gathered: Gathered) -> None:
    """Exceptions come before all lists here, and answers of their own stand in one."""
    let_through = _Cover(gathered.let_through)
    for rule, (_, place) in gathered.answers.items():
        if let_through.covers(rule):
            gathered.lose(
                place,
                rule.text,
                "an exception for this name, or one above it, comes before the answer it is given here",
                "make the exception's name longer or `=NAME`, or add the name under `records:`",
            )


def _fill_gaps(gathered: Gathered, place: Place) -> None:
    gathered.remark(
        "special names (local, test, invalid, onion, private reverse zones) never leave this server, unless "
        "upstreams.forward names their zone"
    )
    if not gathered.servers:
        gathered.lose(
            place,
            "upstreams",
            "it names no server that can be asked for all names, so the default servers are asked "
            "(Quad9 and Cloudflare)",
            "name yours under upstreams.servers",
        )
    if gathered.answers:
        gathered.remark(
            "answers of its own are given by a list of format rpz: they carry an Extended DNS Error, and "
            "count as hits of the list own-answers"
        )
    named = [url for urls in (gathered.servers, *gathered.forward.values()) for url in urls]
    if not gathered.bootstrap and any(not upstream_from(url).address for url in named):
        gathered.bootstrap.append(BOOTSTRAP)
        gathered.remark(
            f"the names of the servers are resolved by {BOOTSTRAP} (upstreams.bootstrap); "
            "there the system did"
        )
    if gathered.lists and not gathered.bootstrap and not _has_plain(gathered.servers):
        gathered.bootstrap.append(BOOTSTRAP)
        gathered.remark(f"the hosts of lists are resolved by {BOOTSTRAP} (upstreams.bootstrap)")


def _has_plain(urls: Iterable[str]) -> bool:
    return not urls or any(url.startswith(("udp://", "tcp://")) for url in urls)


class _Cover:
    """Which names rules speak of, asked by name."""

    def __init__(self, rules: Mapping[Rule, Place]) -> None:
        self._rules = {(rule.name, rule.form) for rule in rules}

    def covers(self, rule: Rule) -> bool:
        """Whether every name that `rule` speaks of is spoken of."""
        name, form = rule.name, rule.form
        own = {(name, RuleForm.SUBTREE), (name, form)}
        if own & self._rules:
            return True
        while name != b"\0":
            name = parent(name)
            if {(name, RuleForm.SUBTREE), (name, RuleForm.BELOW)} & self._rules:
                return True
        return False
