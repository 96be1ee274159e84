"""Does a name look like a listed exchange?  A score from 0 to 1, and the reasons in words.

Knows: spellings of listed exchanges, what people do to them: other endings, words around them, look-alike
signs, slips.  Does not know: who asked, how often, what is blocked, files.
Theory: an index of all spellings is made once; then a name costs some dictionary look-ups, however many are
listed.  How much a likeness says depends on the spelling that is imitated (`spellings.weigh`): a long one
that is no word is nobody's by chance, a short one or a word of the language is many people's.  What stands
around it adds or takes away: words of money and of doors are what imitators write.  The factors were measured
on names that people reported as imitations, and on popular names (`benchmarks/suggestions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

from resolver.known_names.infrastructure import infrastructure
from resolver.known_names.shared_platforms import above_shared_platforms, shared_platforms
from resolver.suggestions.confusables import flat, plain_letters, skeleton
from resolver.suggestions.names import label_text, registrable
from resolver.suggestions.slips import SLIP_CHARS_MIN, shortened, slip
from resolver.suggestions.spellings import (
    SPELLING_CHARS_MAX,
    SPELLING_CHARS_MIN,
    SPELLINGS_MAX,
    Listed,
    Spelling,
    labelled,
    named,
    official_names,
    weigh,
)
from resolver.suggestions.words import DOOR_WORDS, MONEY_WORDS, WORD_CHARS_MAX, WORDS, says_much, words_in
from resolver.wire.names import suffix_offsets

DEFAULT_SCORE_MIN: Final = 0.7
"""From here on a name is suggested."""
REASONS_MAX: Final = 3

CONTAINED_CHARS_MIN: Final = 5
"""Shorter spellings stand inside of too many words."""
SHORT_CHARS: Final = 4
"""A spelling as short as this counts at an end only."""
START_CHARS: Final = 4
"""Of a spelling, by which it is found inside of a label."""
CORE_CHARS_MIN: Final = SLIP_CHARS_MIN - 1
INSIDE_MAX: Final = 4
"""Spellings found inside of one label, from its front."""
TOKENS_MAX: Final = 6
"""Looked at of one label, from its front; of no registered name more are of use, and each costs 10 µs."""

OFFICIAL_SCORE: Final = 0.99


class Likeness(NamedTuple):
    """What a name looks like."""

    name: bytes
    """The name to act on, wire form: the registrable one, or what imitates right under a stranger's."""
    exchange: Listed
    score: float
    reasons: tuple[str, ...]
    """In words, what says most first."""
    is_official: bool = False
    """The exchange itself goes by this name, as far as the catalogue knows."""


class _Found(NamedTuple):
    spelling: Spelling
    score: float
    reason: str


class _Label(NamedTuple):
    """One registrable label, in the forms in which it is looked at."""

    shown: str
    """As people read it."""
    tokens: tuple[str, ...]
    """In plain letters, what stands between hyphens."""
    joined: str
    """The same without hyphens."""
    flat: str
    """The same in look-alike letters, place by place."""

    @property
    def is_foreign(self) -> bool:
        """Whether it has signs that merely look like Latin letters."""
        return not self.shown.isascii()


class Index:
    """All listed exchanges, ready to be compared with."""

    def __init__(self, listed: Iterable[Listed], decided: Iterable[bytes] = ()) -> None:
        """At most `SPELLINGS_MAX` spellings are kept, the first ones.

        `decided`: names (wire form) that somebody has decided about already, besides those that are listed.
        """
        self._exact: dict[str, Spelling] = {}
        self._skeletons: dict[str, Spelling] = {}
        self._starts: dict[str, list[tuple[str, Spelling]]] = {}
        self._shortened: dict[str, list[Spelling]] = {}
        self._official: dict[bytes, Listed] = {}
        exchanges = list(listed)
        self._decided = frozenset(decided).union(*(exchange.owners for exchange in exchanges))
        # A name says more of whom it is than labels that somebody once had.
        for spellings in (named, labelled):
            for exchange in exchanges:
                for text in spellings(exchange):
                    self._add(text, exchange)
        for exchange in exchanges:
            for name in official_names(exchange):
                self._official.setdefault(name, exchange)

    def __len__(self) -> int:
        """How many spellings there are."""
        return len(self._exact)

    def _add(self, text: str, exchange: Listed) -> None:
        if text in self._exact or len(self._exact) >= SPELLINGS_MAX:
            return
        spelling = Spelling(text, exchange, *weigh(text))
        self._exact[text] = spelling
        self._skeletons.setdefault(skeleton(text), spelling)
        flattened = flat(text)
        if len(text) >= CONTAINED_CHARS_MIN:
            self._starts.setdefault(flattened[:START_CHARS], []).append((flattened, spelling))
        if len(text) >= SLIP_CHARS_MIN and not spelling.is_common:
            for key in shortened(flattened):
                self._shortened.setdefault(key, []).append(spelling)

    def look(self, name: bytes) -> Likeness | None:
        """What `name` (a wire name of any case, any octets) looks like; None: nothing that is listed.

        What is listed or decided, and what is under it, looks like nothing; neither do names that many share.
        """
        name = name.lower()
        owner = registrable(name)
        if owner is None or owner in _shared() or self.is_decided(name):
            return None
        official = self._official.get(owner)
        if official is not None:
            reason = f"is known as a name of {official.name} itself"
            return Likeness(owner, official, OFFICIAL_SCORE, (reason,), is_official=True)
        label = label_text(owner)
        found = [] if label is None else self._judge(label)
        below = self._judge_below(name, owner)
        if below is not None and (not found or below.score > found[0].score):
            # Labels between and below may be a person's own, and as many as somebody likes to make.
            text = below.spelling.text.encode("ascii")
            at = bytes((len(text),)) + text + owner
            if self.is_decided(at):
                return None
            return Likeness(at, below.spelling.exchange, round(below.score, 2), (below.reason,))
        if not found:
            return None
        best = found[0]
        exchange = best.spelling.exchange
        reasons = dict.fromkeys(one.reason for one in found if one.spelling.exchange is exchange)
        return Likeness(owner, exchange, round(best.score, 2), tuple(reasons)[:REASONS_MAX])

    def is_decided(self, name: bytes) -> bool:
        """Whether `name` (wire form, lower case), or what it is under, is listed or decided."""
        return any(name[at:] in self._decided for at in suffix_offsets(name))

    def _judge(self, text: str) -> list[_Found]:
        """What can be said of a registrable label (a U-label, lower case); what says most first."""
        plain = plain_letters(text)
        tokens = tuple(token for token in plain.split("-") if token)
        joined = "".join(tokens)
        if len(joined) < SPELLING_CHARS_MIN or not joined.isascii():
            return []
        label = _Label(text, tokens, joined, flat(joined))
        found = [one for one in self._all(label) if one.score > 0]
        if len(found) > 1:
            found.sort(key=lambda one: one.score, reverse=True)
        return found

    def _all(self, label: _Label) -> Iterator[_Found]:
        whole = self._exact.get(label.joined)
        if whole is not None:
            yield _same(whole, label)
        else:
            alike = self._skeletons.get(skeleton(label.joined))
            if alike is not None and len(alike.text) > SPELLING_CHARS_MIN:
                yield _Found(alike, alike.weight * 0.93, f"reads as {alike.text}")
        yield from self._inside(label)
        yield from self._short(label)
        if whole is None:
            yield from self._slips(label)

    def _inside(self, label: _Label) -> Iterator[_Found]:
        """Spellings that stand in a longer label."""
        starts, flattened = self._starts, label.flat
        left = INSIDE_MAX
        for at in range(len(flattened) - CONTAINED_CHARS_MIN + 1):
            for text, spelling in starts.get(flattened[at : at + START_CHARS], ()):
                if len(text) < len(flattened) and flattened.startswith(text, at):
                    yield _beside(spelling, label, at)
                    left -= 1
                    if not left:
                        return

    def _short(self, label: _Label) -> Iterator[_Found]:
        """Spellings too short to stand anywhere: at an end, beside words of money or doors only."""
        joined, size = label.joined, SHORT_CHARS
        for text, rest in ((joined[:size], joined[size:]), (joined[-size:], joined[:-size])):
            spelling = self._exact.get(text)
            if spelling is not None and not spelling.is_common and rest and says_much(words_in(rest)):
                yield _Found(spelling, 0.72, f"has {text} beside {rest}")
        for number, token in enumerate(label.tokens[:TOKENS_MAX] if len(label.tokens) > 1 else ()):
            spelling = self._exact.get(token) if len(token) == SPELLING_CHARS_MIN else None
            if spelling is not None and not spelling.is_common:
                rest = "".join([*label.tokens[:number], *label.tokens[number + 1 :]])
                if says_much(words_in(rest)):
                    yield _Found(spelling, 0.6, f"has {token} between hyphens beside {rest}")

    def _slips(self, label: _Label) -> Iterator[_Found]:
        """Spellings with a letter too many, too few, changed or moved."""
        for text, factor, written in _cores(label):
            flattened = flat(text)
            near: dict[str, Spelling] = {}
            for key in shortened(flattened):
                for spelling in self._shortened.get(key, ()):
                    near[spelling.text] = spelling
            for meant, spelling in near.items():
                worth = slip(flattened, flat(meant)) * factor * spelling.weight
                # Words as they should be are no slip of a name that is none.
                if worth and (words_in(label.joined) is None or words_in(meant) is not None):
                    is_near = slip(text, meant) > 0
                    yield _Found(
                        spelling, worth * (1.0 if is_near else 0.9), f"{written} {meant} with a slip"
                    )

    def _judge_below(self, name: bytes, owner: bytes) -> _Found | None:
        """Labels under somebody's registrable name: a spelling, perhaps between hyphens."""
        best = None
        for at in suffix_offsets(name[: len(name) - len(owner)] + b"\0"):
            octets = name[at + 1 : at + 1 + name[at]]
            for token in octets.decode("ascii", "replace").split("-"):
                spelling = self._exact.get(token)
                if spelling is None or spelling.is_common or len(token) < SLIP_CHARS_MIN:
                    continue
                if best is None or spelling.weight * 0.78 > best.score:
                    reason = f"has {token} under a name of somebody else"
                    best = _Found(spelling, spelling.weight * 0.78, reason)
        return best


@cache
def _shared() -> frozenset[bytes]:
    """Names under which strangers live: to block one of them is never advised."""
    return frozenset((*shared_platforms(), *above_shared_platforms(), *infrastructure()))


def _same(spelling: Spelling, label: _Label) -> _Found:
    """The label is a spelling, letter by letter."""
    text = spelling.text
    if label.is_foreign:
        score = 0.6 + 0.4 * spelling.weight
        return _Found(spelling, score, f"shows {label.shown}, which reads as {text}")
    if len(label.tokens) > 1:
        return _Found(spelling, spelling.weight * 0.9, f"is {text} with hyphens")
    return _Found(spelling, spelling.weight * 0.95, f"is {text} under another ending")


def _beside(spelling: Spelling, label: _Label, at: int) -> _Found:
    """A spelling at `at` of a longer label."""
    text, joined = spelling.text, label.joined
    end = at + len(text)
    seen = joined[at:end]
    if seen != text and (joined[end - 1 : end + 1].isdigit() or joined[max(0, at - 1) : at + 1].isdigit()):
        # Part of a number, no letters.
        return _Found(spelling, 0.0, "")
    parts = [part for part in (joined[:at], joined[end:]) if part]
    read = [words_in(part) for part in parts]
    words = [word for known in read for word in known or ()]
    unknown = sum(len(part) for part, known in zip(parts, read, strict=True) if known is None)
    written = f"has {text}" if seen == text else f"has {seen}, which reads as {text},"
    reason = f"{written} beside {' and '.join(parts)}"
    if spelling.is_common:
        return _Found(spelling, 0.2 if unknown else 0.4 if text not in label.tokens else 0.6, reason)
    is_much = any(len(word) > 2 and (word in MONEY_WORDS or word in DOOR_WORDS) for word in words)
    if words_in(joined, 3) is not None and words_in(text, 3) is None:
        factor = 0.5  # `bitcoinexchange` is two words, not the `coinex` that stands across them.
    elif not unknown:
        factor = 0.95 if is_much else 0.88
    elif seen in label.tokens:
        factor = 0.85 if is_much else 0.8
    elif seen != text:
        factor = 0.5
    elif unknown <= 2:
        factor = 0.7 if joined[end:] == "s" else 0.8
    else:
        factor = (0.8 if is_much else 0.72) * (0.9 if len(text) <= SLIP_CHARS_MIN else 1.0)
    if len(text) < SLIP_CHARS_MIN and (unknown or seen != text):
        factor *= 0.6
    return _Found(
        spelling, spelling.weight * (min(1.0, factor + 0.03) if label.is_foreign else factor), reason
    )


def _cores(label: _Label) -> Iterator[tuple[str, float, str]]:
    """Texts that may be a slip: all of it, what stands between hyphens, what known words leave."""
    joined, tokens = label.joined, label.tokens
    if len(joined) <= SPELLING_CHARS_MAX:
        yield joined, 1.0, "is"
    if len(tokens) > 1:
        for number, token in enumerate(tokens[:TOKENS_MAX]):
            if CORE_CHARS_MIN <= len(token) <= SPELLING_CHARS_MAX:
                rest = "".join([*tokens[:number], *tokens[number + 1 :]])
                yield token, 0.95 if says_much(words_in(rest)) else 0.8, "has"
    core = _core(joined)
    if core != joined and CORE_CHARS_MIN <= len(core) <= SPELLING_CHARS_MAX:
        yield core, 0.9, "has"


def _core(text: str) -> str:
    """What is left when a known word is taken from each end, the longest that fits."""
    start, end = 0, len(text)
    for length in range(min(WORD_CHARS_MAX, end), 2, -1):
        if text[:length] in WORDS:
            start = length
            break
    for length in range(min(WORD_CHARS_MAX, end - start), 2, -1):
        if text[end - length : end] in WORDS:
            end -= length
            break
    return text[start:end]
