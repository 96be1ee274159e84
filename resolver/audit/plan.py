"""Which questions prove a policy: a covering design, not the full product.

Knows: subjects, types, spellings, listeners.  Does not know: answers, sockets, time.
Theory: what a name is asked as has five factors: its form (the name, `www` under it, a label by chance
under it), the type (ten), with EDNS or without, in lower or mixed case, and the listener.  A few names
are asked for every form and type; of many names each is asked at least `QUESTIONS_LEAST` questions, the ones
clients ask most, and the other combinations go round: the next name has the next ones, so each pair of
factors is asked of many names.  What then fails somewhere is asked of every name (`follow_up`), so that
it is found by name.
A rule that reaches only one name, or only names below one, is also asked about what stands beside: that must
not be covered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

from xxhash import xxh3_64_digest, xxh3_64_intdigest

from resolver.audit.subjects import Subject
from resolver.policy.verdict import RuleForm
from resolver.wire.message import type_text
from resolver.wire.names import NAME_OCTETS_MAX, name_to_text
from resolver.wire.numbers import Qtype

TYPES = tuple(
    map(
        int,
        (
            Qtype.A,
            Qtype.AAAA,
            Qtype.HTTPS,
            Qtype.TXT,
            Qtype.CNAME,
            Qtype.MX,
            Qtype.NS,
            Qtype.SOA,
            Qtype.SVCB,
            Qtype.ANY,
        ),
    )
)
"""The types asked, those that clients ask most first."""
QUESTIONS_MAX = 50_000
"""Of one server, unless the names alone need more: 50 s at 1,000 a second."""
QUESTIONS_LEAST = 3
"""Questions of each name, however many names there are: addresses and HTTPS are what browsers ask."""

_APEX, _WWW, _RANDOM = "name", "www", "below"
_FORMS = (_APEX, _WWW, _RANDOM)
_WWW_LABEL = b"\x03www"
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567"
_FIRST_ROWS = ((_APEX, 0), (_WWW, 1), (_RANDOM, 2))
_ALL_ROWS = tuple((form, place) for place in range(len(TYPES)) for form in _FORMS)
_EXCEPTION_TYPES = 2


_LABEL = re.compile(rb"(?:\\[0-9]{3}|\\.|[^.\\])+", re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-9]{3}|.)", re.DOTALL)


class Point(NamedTuple):
    """What is special about a question: one level of each factor."""

    form: str
    """`name`, `www` or `below`."""
    qtype: int
    has_edns: bool
    is_mixed: bool
    listener: int
    """Index of the listener that is asked."""


class Probe(NamedTuple):
    """One question to be asked about one subject."""

    subject: int
    """Its index."""
    qname: bytes
    """Wire form, lower case; `spelt` gives it as it is sent."""
    point: Point
    salt: int
    """Decides the spelling."""
    spelling: bytes = b""
    """The spelling itself, where it is known."""

    @property
    def spelt(self) -> bytes:
        """The name as it is sent."""
        if self.spelling:
            return self.spelling
        return mixed_case(self.qname, self.salt) if self.point.is_mixed else self.qname


def plan(
    subjects: Sequence[Subject],
    udp: Sequence[int],
    stream: Sequence[int],
    seed: int,
    most: int = QUESTIONS_MAX,
) -> Iterator[Probe]:
    """The questions about `subjects` to the listeners of one server, of which `udp` take datagrams.

    Of the same seed the same ones; another seed asks other labels and begins the round elsewhere.
    """
    asked = [(place, subject) for place, subject in enumerate(subjects) if subject.status is None]
    rows = min(len(_ALL_ROWS), max(QUESTIONS_LEAST, most // max(1, len(asked))))
    for turn, (place, subject) in enumerate(asked):
        yield from _of_subject(place, subject, turn + seed % 997, rows, udp, stream, seed)


def _of_subject(
    place: int, subject: Subject, turn: int, rows: int, udp: Sequence[int], stream: Sequence[int], seed: int
) -> Iterator[Probe]:
    listeners = [*udp, *stream]
    chosen = _rows_of(subject, turn, rows)
    for step, (form, which) in enumerate(chosen):
        number = turn * 7 + step
        column = _FORMS.index(form)
        # Two Latin squares that are orthogonal: whoever is asked for all forms and types is asked each of
        # them with EDNS and without, by datagram and by stream.
        square, other = (which + column + turn) % 3, (2 * which + column + turn) % 3
        is_streamed = other == 0 if rows >= len(_ALL_ROWS) else step % 4 == turn % 4
        over_stream = bool(stream) and (not udp or is_streamed)
        pool = stream if over_stream else (udp or listeners)
        point = Point(
            form,
            TYPES[which],
            has_edns=square != 2,
            is_mixed=(step + turn // 2) % 2 == 1,
            listener=pool[(turn + step // 2) % len(pool)],
        )
        probe = make_probe(place, subject, point, xxh3_64_intdigest(number.to_bytes(8, "big"), seed))
        if probe is not None:
            yield probe


def _rows_of(subject: Subject, turn: int, rows: int) -> list[tuple[str, int]]:
    """(form, place of the type) of each question about a subject."""
    if subject.is_exception:
        # Addresses alone: whether it resolves is the question.
        forms = [_WWW] if subject.form is RuleForm.BELOW else [_APEX]
        chosen = [(form, which) for form in forms for which in range(_EXCEPTION_TYPES)]
        return chosen + ([(_WWW, 0), (_RANDOM, 0)] if subject.form is RuleForm.EXACT else [])
    if subject.form is RuleForm.SUBTREE:
        if rows >= len(_ALL_ROWS):
            return list(_ALL_ROWS)
        chosen = list(_FIRST_ROWS[:rows])
        # The name itself for an address always; the other types and forms go round.
        rest = len(_ALL_ROWS)
        more = ((turn * (rows - QUESTIONS_LEAST) + step) % rest for step in range(rest))
        if rows == QUESTIONS_LEAST:
            # Which form has which of the three goes round, too, and every fourth name has one type more.
            shift = turn % 3
            chosen = [(form, (which + shift) % 3) for form, which in _FIRST_ROWS]
            if turn % 4 == 3:
                return [*chosen, (_FORMS[turn // 4 % 3], 3 + turn // 4 % (len(TYPES) - 3))]
            return chosen
        for index in more:
            if len(chosen) >= rows:
                break
            if _ALL_ROWS[index] not in chosen:
                chosen.append(_ALL_ROWS[index])
        return chosen
    if subject.form is RuleForm.EXACT:
        beside = [(_WWW, 0), (_RANDOM, 0)] if subject.kind != "ask" else []
        count = max(2, min(len(TYPES), rows - len(beside)))
        return [(_APEX, _type_at(turn, which)) for which in range(count)] + beside
    count = max(2, min(2 * len(TYPES), rows - 1))
    types = (_type_at(turn, (step // 2 + step) % len(TYPES)) for step in range(count))
    return [*zip(cycle((_WWW, _RANDOM)), types, strict=False), (_APEX, 0)]


def _type_at(turn: int, step: int) -> int:
    """Addresses first, then the others from where this turn begins; ten steps have each once."""
    return step if step < 2 else 2 + (turn * 3 + step - 2) % (len(TYPES) - 2)


def make_probe(place: int, subject: Subject, point: Point, salt: int) -> Probe | None:
    """The question at one point; None where the name would be too long."""
    qname = subject.name
    if point.form == _WWW:
        qname = _WWW_LABEL + qname
    elif point.form == _RANDOM:
        qname = random_label(salt) + qname
    return Probe(place, qname, point, salt) if len(qname) <= NAME_OCTETS_MAX else None


def follow_up(
    subjects: Sequence[Subject],
    asked: Sequence[frozenset[Point]],
    points: Sequence[Point],
    seed: int,
    most: int = QUESTIONS_MAX,
) -> Iterator[Probe]:
    """What failed at `points` for some names, asked of all that were not asked it, `most` questions in all.

    `asked` has for each subject the points at which it was.
    """
    left = most
    for number, point in enumerate(points):
        for place, subject in enumerate(subjects):
            if left <= 0:
                return
            if subject.status is not None or subject.is_exception or point in asked[place]:
                continue
            if not _reaches(subject.form, point.form):
                continue
            salt = xxh3_64_intdigest(b"%d %d" % (number, place), seed ^ 0x5EED)
            probe = make_probe(place, subject, point, salt)
            if probe is not None:
                left -= 1
                yield probe


def probe_again(place: int, subject: Subject, question: str, listener: int) -> Probe | None:
    """The question that a fault tells of, letter for letter; None: it tells of none."""
    words = question.split(" ", 2)
    if len(words) < 2 or words[1].rstrip(",") not in Qtype.__members__:
        return None
    try:
        spelling = spelt_from_text(words[0])
    except ValueError:
        return None
    qname = spelling.lower()
    form = {subject.name: _APEX, _WWW_LABEL + subject.name: _WWW}.get(qname, _RANDOM)
    point = Point(
        form,
        int(Qtype[words[1].rstrip(",")]),
        has_edns=len(words) == 2,
        is_mixed=spelling != qname,
        listener=listener,
    )
    return Probe(place, qname, point, 0, spelling)


def question_text(probe: Probe) -> str:
    """`wWw.eXample.org AAAA, no EDNS`; `probe_again` reads it."""
    point = probe.point
    without = "" if point.has_edns else ", no EDNS"
    return f"{name_to_text(probe.spelt)} {type_text(point.qtype)}{without}"


def spelt_from_text(text: str) -> bytes:
    """Wire form of a name as `name_to_text` writes it, in the case it has.  Raises ValueError."""
    labels = [
        _ESCAPE.sub(lambda found: bytes((int(found[1]),)) if len(found[1]) == 3 else found[1], label)
        for label in _LABEL.findall(text.encode("ascii"))
    ]
    if any(len(label) > 63 for label in labels):
        raise ValueError(f"no name: {text!r}")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _reaches(form: RuleForm, point_form: str) -> bool:
    return form is RuleForm.SUBTREE or (form is RuleForm.EXACT) is (point_form == _APEX)


def random_label(salt: int) -> bytes:
    """A label that nobody has, ten letters with its length octet."""
    digest = xxh3_64_digest(salt.to_bytes(8, "big", signed=False), 1)
    return b"\x0ax" + bytes([_LETTERS[octet & 31] for octet in digest]) + b"z"


def mixed_case(name: bytes, salt: int) -> bytes:
    """The name with some of its letters in upper case, at least one where it has any."""
    spelt = bytearray(name)
    letters = []
    at = 0
    while length := name[at]:
        letters += [spot for spot in range(at + 1, at + 1 + length) if 0x61 <= name[spot] <= 0x7A]
        at += length + 1
    for number, spot in enumerate(letters):
        if salt >> number % 61 & 1 or number == salt % len(letters):
            spelt[spot] -= 0x20
    return bytes(spelt)
