"""Filter rules as AdGuard Home reads them -> what a resolver with a blocklist can do of each.

Knows: `||x^`, `|x^`, `@@`, `$important`, `$dnsrewrite`, hosts lines, bare names.  Does not know: where the
rules stand, what lists hold.
"""

from __future__ import annotations

import re
from typing import Final

from resolver.lists.hosts import OWN_NAMES
from resolver.lists.reading import address_of
from resolver.migration.gathered import Gathered, Place, Rule
from resolver.migration.patterns import REGEX_INSTEAD, REGEX_WHY, regex_rules
from resolver.policy.verdict import RuleForm
from resolver.problems import show
from resolver.wire.names import name_from_text

_COSMETIC: Final = re.compile(r"#@?(?:\?|\$\??|%)?#|\$@?\$")
_REWRITE: Final = re.compile(r"(?:NOERROR;)?(A|AAAA|CNAME);([^;]+)", re.IGNORECASE)
_HARMLESS: Final = frozenset({"all"})
_BADFILTER: Final = "badfilter"
_UNUSED: Final = {
    "client": "rules for some clients have no counterpart: there is one policy for all",
    "ctag": "rules for some clients have no counterpart: there is one policy for all",
    "dnstype": "rules for one query type have no counterpart",
    "denyallow": "a block with exceptions in one rule has no counterpart",
}
CHOICE: Final = "write the block, and each exception under `allow:`"


def cancelled(lines: list[str]) -> set[str]:
    """The rules that a `$badfilter` takes back, as they are written without it."""
    taken: set[str] = set()
    for line in lines:
        if _BADFILTER in line.lower():
            pattern, options = _split(line.strip())
            kept = [option for option in options if option.lower() != _BADFILTER]
            taken.add(_joined(pattern, kept))
    return taken


def take_rule(gathered: Gathered, line: str, place: Place, key: str, taken_back: set[str]) -> None:
    """Add what one line of rules says; what it cannot say here is a loss."""
    text = line.strip()
    if not text or text.startswith(("!", "# ")) or text == "#":
        return
    words = text.split("#")[0].split()
    if len(words) > 1 and address_of(words[0]) is not None:
        _take_hosts(gathered, words, place, key)
        return
    if _COSMETIC.search(text):
        gathered.lose(place, text, "rules on elements of pages are for browsers", changes_answers=False)
        return
    if text.startswith("#"):
        return
    pattern, options = _split(text)
    if _joined(pattern, options) in taken_back or _BADFILTER in [option.lower() for option in options]:
        return
    _take_filter(gathered, text, pattern, options, place)


def _take_hosts(gathered: Gathered, words: list[str], place: Place, key: str) -> None:
    """`0.0.0.0 x` blocks; another address is the answer."""
    address = address_of(words[0])
    assert address is not None
    for name in words[1:]:
        if name.lower() in OWN_NAMES:
            continue
        if address.is_loopback and gathered.hosts_lines_answer:
            rule = gathered.rule(name, RuleForm.EXACT, place, key)
            gathered.answer(rule, f"{'A' if address.version == 4 else 'AAAA'} {address}", place)
        elif address.is_unspecified or address.is_loopback:
            gathered.put(gathered.blocked, gathered.rule(name, RuleForm.EXACT, place, key), place)
        else:
            gathered.record(name, str(address), place, key)


def _take_filter(gathered: Gathered, text: str, pattern: str, options: list[str], place: Place) -> None:
    is_exception = pattern.startswith("@@")
    bare = pattern.removeprefix("@@")
    names = _names(gathered, text, bare, place)
    if not names:
        return
    is_firm, rewrite = False, None
    for option in options:
        word, _, value = option.partition("=")
        if word == "important":
            is_firm = True
        elif word == "dnsrewrite":
            rewrite = value
        elif word not in _HARMLESS:
            why = _UNUSED.get(word, f"the option {show(word)} has no counterpart for DNS here")
            gathered.lose(place, text, why, CHOICE if word == "denyallow" else "decide whether it is needed")
            return
    if rewrite is not None:
        if is_exception:
            gathered.lose(place, text, "an exception from rewrites has no counterpart", "remove the rewrite")
            return
        _take_rewrite(gathered, names, rewrite, text, place)
        return
    if is_exception:
        where = gathered.let_through_firmly if is_firm else gathered.let_through
    else:
        where = gathered.firmly if is_firm else gathered.blocked
    for rule in names:
        gathered.put(where, rule, place)


def _names(gathered: Gathered, text: str, pattern: str, place: Place) -> list[Rule]:
    """The rules on names that a pattern means; none, and a loss, where it means something else."""
    if pattern.startswith("/") and pattern.endswith("/") and len(pattern) > 2:
        found = [(name, form) for name, form in regex_rules(pattern[1:-1])]
        if not found:
            gathered.lose(place, text, REGEX_WHY, REGEX_INSTEAD)
        rules = [gathered.rule(name, form, place, text) for name, form in found]
        return [rule for rule in rules if rule is not None]
    form = RuleForm.SUBTREE if pattern.startswith("||") else RuleForm.EXACT
    name = pattern.removeprefix("||").removeprefix("|")
    is_anchored, is_closed = name != pattern, name.endswith(("^", "|"))
    name = re.sub(r"\^?\|?$", "", name)
    if form is RuleForm.SUBTREE and name.startswith("*."):
        form, name = RuleForm.BELOW, name[2:]
    if not is_anchored and not is_closed and _is_name(name) and "." in name:
        is_anchored = is_closed = True  # A bare name: it alone.
    if not (is_anchored and is_closed) or not _is_name(name):
        why = "a pattern that matches parts of names has no counterpart: rules here are whole names"
        gathered.lose(place, text, why, REGEX_INSTEAD)
        return []
    rule = gathered.rule(name, form, place, text)
    return [] if rule is None else [rule]


def _is_name(text: str) -> bool:
    try:
        return bool(name_from_text(text))
    except ValueError:
        return False


def _take_rewrite(gathered: Gathered, rules: list[Rule], value: str, text: str, place: Place) -> None:
    """`$dnsrewrite=`: an address, a name, `NOERROR;A;192.0.2.1`, `NXDOMAIN`, `REFUSED`."""
    value = value.strip()
    address = address_of(value)
    found = _REWRITE.fullmatch(value)
    words = value.upper().strip(";")
    if address is not None:
        record = f"{'A' if address.version == 4 else 'AAAA'} {address}"
    elif found is not None and found[1].upper() != "CNAME":
        data = address_of(found[2].strip())
        if data is None or (data.version == 4) != (found[1].upper() == "A"):
            gathered.lose(place, text, f"{show(found[2])} is not an address", "name the address")
            return
        record = f"{found[1].upper()} {data}"
    elif words in ("NXDOMAIN", "NXDOMAIN;;"):
        record = "CNAME ."
    elif words in ("NOERROR", ""):
        record = "CNAME *."
    elif words == "REFUSED":
        for rule in rules:
            gathered.put(gathered.refused, rule, place)
        return
    else:
        target = found[2].strip() if found else value
        if not _is_name(target) or "." not in target:
            why = f"the answer {show(value)} has no counterpart; addresses, names and NXDOMAIN have"
            gathered.lose(
                place, text, why, "answer the name from your own name server, under upstreams.forward"
            )
            return
        record = f"CNAME {target.rstrip('.')}."
    for rule in rules:
        gathered.answer(rule, record, place)


def _split(text: str) -> tuple[str, list[str]]:
    """Pattern and options of a filter."""
    pattern, sign, options = text.rpartition("$")
    if not sign or not options or (pattern.startswith(("/", "@@/")) and options.endswith("/")):
        return text, []
    return pattern, [option.strip() for option in options.split(",")]


def _joined(pattern: str, options: list[str]) -> str:
    return f"{pattern}${','.join(sorted(options))}"
