"""Is this a list at all?  Asked of a download before it replaces the copy that serves.

Knows: that the reader of lists is the judge, so what passes here compiles later.  Does not know: where it
came from, what its names are for.
The commonest broken download is no damaged list but an error page with status 200.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import xxhash

from resolver.blocklist.downloads import DownloadedList
from resolver.blocklist.rails import changes_too_much
from resolver.blocklist.registers import RegisterFormat
from resolver.fetching.outcome import FetchFailed, Result
from resolver.known_names.protected import built_in_protected
from resolver.lists.reader import ListLimits, ListReader
from resolver.lists.reading import NetworkRule, Said
from resolver.lists.shared_names import shared_names
from resolver.policy.verdict import RuleForm
from resolver.portions import open_regular, read_portion, read_up_to
from resolver.registers.judging import Judge
from resolver.registers.reading import RegisterLimits, read_register
from resolver.registers.record import RegisterRefused

PARTS = 64
"""In which hashes are told apart, one after the other: a set of ten million takes a gigabyte."""


def count_entries(path: Path, wanted: DownloadedList) -> int:
    """How many names and networks of a list would serve.  Raises FetchFailed (NOT_A_LIST) and OSError.

    Each once, without what the compiler leaves out: else three thousand lines of `co.uk` would pass
    for a list and put nothing in the place of one.
    """
    octets_max = wanted.download.octets_max
    if wanted.register is not None:
        return _count_records(path, wanted, wanted.register)
    with open_regular(path) as file:
        octets = read_up_to(file, octets_max + 1)
    limits = ListLimits(octets_max, wanted.entries_max, wanted.error_budget_percent)
    reader = ListReader(octets, wanted.name, wanted.format, limits)
    names = _DistinctNames()
    for batch in reader.batches():
        said = _as_served(batch.said, wanted)
        is_wide = said.effect == "block" and said.form is not RuleForm.EXACT
        names.add(said, batch.names, shared_names(batch.names) if is_wide else set())
    for problem in reader.problems():
        if problem.severity == "error":
            raise FetchFailed(Result.NOT_A_LIST, problem.message)
    if not reader.entry_count:
        raise FetchFailed(Result.NOT_A_LIST, "it has no names" if octets.strip() else "it is empty")
    count = names.count() + _count_networks(reader.networks)
    if not count:
        raise FetchFailed(Result.NOT_A_LIST, "it has only public suffixes and shared platforms")
    return count


def check_change(wanted: DownloadedList, before: int, now: int, day_names: int = 0) -> None:
    """Refuse a list whose number of names changed by more than the list permits, at once or within a day.

    Raises FetchFailed (CHANGED_TOO_MUCH).  `before`: of the copy that is here; 0: there is none.
    `day_names`: of the copy when the day began.
    """
    percent = wanted.change_max_percent
    in_steps = ""
    if not changes_too_much(before, now, percent):
        goes_on = before < now if day_names < before else now < before
        if not goes_on or not changes_too_much(day_names, now, percent):
            return
        before, in_steps = day_names, "in small steps within a day "
    verb = "shrank" if now < before else "grew"
    raise FetchFailed(
        Result.CHANGED_TOO_MUCH,
        f"{in_steps}{verb} from {before:,} to {now:,} names; allowed: {percent} % (change_max_percent); "
        f"if you mean it, run: exchange-resolver lists update {wanted.name} --force",
    )


def _count_records(path: Path, wanted: DownloadedList, register: RegisterFormat) -> int:
    """The same of a register: names that would be rules; of one to check by, those that it has."""
    limits = RegisterLimits(wanted.download.octets_max, wanted.entries_max, wanted.error_budget_percent)
    built_in = ((owner, RuleForm.SUBTREE) for owner in built_in_protected())
    judge = Judge(built_in, None if wanted.match is None else RuleForm(wanted.match))
    names = _DistinctNames()
    entries = 0
    try:
        for record in read_register(_portions(path), register, limits):
            entries += len(record.asks)
            for asked in record.asks:
                verdict = judge.judge(record, asked)
                if isinstance(verdict, RuleForm):
                    names.add(Said(verdict), [asked.owner], set())
                elif wanted.kind == "check" and asked.owner:
                    names.add(Said(RuleForm.SUBTREE), [asked.owner], set())
    except RegisterRefused as refused:
        place = f"line {refused.line}: " if refused.line else ""
        raise FetchFailed(Result.NOT_A_LIST, f"{place}{refused}") from None
    count = names.count()
    if not count:
        what = "no record of it is a name to block" if entries else "it has no records"
        raise FetchFailed(Result.NOT_A_LIST, what)
    return count


def _portions(path: Path) -> Iterator[bytes]:
    with open_regular(path) as file:
        while portion := read_portion(file):
            yield portion


def _as_served(said: Said, wanted: DownloadedList) -> Said:
    """What a line says, once the list's own keys are heard."""
    form = said.form if said.form is None or wanted.match is None else RuleForm(wanted.match)
    if wanted.kind == "allow" or said.effect == "allow":
        return Said(form, "allow")
    return said._replace(form=form)


def _count_networks(networks: list[NetworkRule]) -> int:
    return len({(rule.network, rule.said) for rule in networks})


class _DistinctNames:
    """Counts names by their hashes; the seed is secret, so that nobody composes names that fall together."""

    def __init__(self) -> None:
        self._seed = int.from_bytes(os.urandom(6)) << 16  # Room for what one list may say.
        self._seeds: dict[Said, int] = {}
        self._parts = [array("Q") for _ in range(PARTS)]

    def add(self, said: Said, names: Sequence[bytes], left_out: set[bytes]) -> None:
        """Names of which the same is said, but for those `left_out`."""
        # What is said differently of one name is another rule.
        seed = self._seeds.setdefault(said, self._seed + len(self._seeds))
        parts = self._parts
        for name in names:
            if name not in left_out:
                hashed = xxhash.xxh3_64_intdigest(name, seed)
                parts[hashed % PARTS].append(hashed)

    def count(self) -> int:
        """How many there are."""
        return sum(len(set(part)) for part in self._parts)
