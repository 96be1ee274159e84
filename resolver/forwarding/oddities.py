"""What an upstream cannot do: learnt from its answers, believed for a while, then tried again.

Knows: how much evidence each oddity needs, for how long it is believed.  Does not know: sockets,
messages, the clock (`now` is an argument).

Theory.  Some servers do not know EDNS; some compare the letters of a name by case, or write the question
back in lower case; some close a TCP connection after a few answers.  Each of them would cost a second query
for every question, so it is remembered.  What is given up for it protects us, and nobody else may take it
away:

* EDNS is given up at once where the refusal repeats ID and question, letter by letter.  A refusal of a
  header alone is as good as a guess of ID and port: it takes `EVIDENCE_MIN` of them, and no answer with EDNS
  between.
* Mixed case (0x20) is given up after `EVIDENCE_MIN` questions that were answered only over TCP or in lower
  case, and no answer in mixed case between.  A forger would have to hit ID and port as often, and keep the
  upstream from answering meanwhile.
* That a name does not exist is believed of an upstream only when a name in mixed case was found there
  lately: one that compares case denies them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from resolver.plurals import counted

LetterCase = Literal["auto", "mixed", "lower"]
"""How names are spelt for an upstream: mixed until it shows that it cannot take it; always mixed; never."""

Trial = Literal["", "edns", "bare", "compared", "lowered"]
"""What a query tries to find out: nothing; whether EDNS was the trouble (of a whole refusal, or of a header
alone); whether a name is there in lower case; whether a question that came back in lower case was forged."""

BELIEVED_S = 900.0
"""How long an oddity is believed."""

EVIDENCE_MIN = 3
"""Questions in a row that show it, where one could be forged."""

EVIDENCE_S = 60.0
"""Evidence further apart than this says nothing together."""

ANSWERS_UNLIMITED = 1 << 30

_NEVER, _ALWAYS = float("-inf"), float("inf")


class Oddities:
    """What was learnt of one upstream; times are monotonic seconds."""

    __slots__ = (
        "_case_seen",
        "_edns_seen",
        "_limit",
        "_limit_until",
        "_seen_at",
        "case_shown_until",
        "edns_refused_until",
        "has_evidence",
        "is_case_fixed",
        "lower_case_until",
        "on_change",
        "on_learnt",
    )

    def __init__(self, letter_case: LetterCase = "auto") -> None:
        self.is_case_fixed = letter_case != "auto"
        """The operator said how names are to be spelt."""
        self.edns_refused_until = _NEVER
        """It is asked without EDNS until then."""
        self.lower_case_until = _ALWAYS if letter_case == "lower" else _NEVER
        """It is asked in lower case until then."""
        self.case_shown_until = _ALWAYS if self.is_case_fixed else _NEVER
        """It found a name in mixed case, and until then is believed when it finds none."""
        self.has_evidence = False
        """Something counts that the next ordinary answer makes void."""
        self.on_change: list[Callable[[], None]] = []
        """Called when it is to be asked in another way."""
        self.on_learnt: list[Callable[[str], None]] = []
        """Called with what is given up now, for people."""
        self._edns_seen = self._case_seen = 0
        self._seen_at = _NEVER
        self._limit = ANSWERS_UNLIMITED
        self._limit_until = _NEVER

    def learn(self, trial: Trial, now: float) -> None:
        """A query with this `trial` brought an answer, where the query before it brought none."""
        if now - self._seen_at > EVIDENCE_S:
            self.on_ordinary_answer()
        self._seen_at = now
        if trial == "edns":
            self._edns_seen = EVIDENCE_MIN
        elif trial == "bare":
            self._edns_seen += 1
        elif not self.is_case_fixed:
            self._case_seen += 1
        self.has_evidence = True
        if self._edns_seen >= EVIDENCE_MIN:
            is_new, self._edns_seen = now >= self.edns_refused_until, 0
            self.edns_refused_until = now + BELIEVED_S
            self._tell("is asked without EDNS" if is_new else "")
        if self._case_seen >= EVIDENCE_MIN:
            is_new, self._case_seen = now >= self.lower_case_until, 0
            self.lower_case_until = now + BELIEVED_S
            self._tell("is asked in lower case" if is_new else "")

    def on_ordinary_answer(self, edns: bool = True, mixed: bool = True) -> None:
        """It answered a query with EDNS, or in mixed case, as it should: what spoke against that is void."""
        if edns:
            self._edns_seen = 0
        if mixed:
            self._case_seen = 0
        self.has_evidence = bool(self._edns_seen or self._case_seen)

    def show_case(self, now: float) -> None:
        """It found a name in mixed case."""
        self.case_shown_until = now + BELIEVED_S
        self._tell()

    def answers_per_connection(self, now: float) -> int:
        """How many queries one TCP connection may get."""
        return self._limit if now < self._limit_until else ANSWERS_UNLIMITED

    def limit_answers(self, answers: int, now: float) -> None:
        """It closed a TCP connection after so many answers, though more queries had come.

        After none at all: one at a time may do, or it was about to end; that is soon tried again.
        """
        before = self.answers_per_connection(now)
        self._limit = max(1, min(answers, before))
        if self._limit != before:
            self._say(f"gets {counted(self._limit, 'query', 'queries')} on a TCP connection")
        until = now + (BELIEVED_S if answers else EVIDENCE_S)
        self._limit_until = max(until, self._limit_until)

    def _tell(self, news: str = "") -> None:
        for notify in self.on_change:
            notify()
        if news:
            self._say(news)

    def _say(self, news: str) -> None:
        for say in self.on_learnt:
            say(news)
