"""One thing that is wrong with a server: its id from a closed set, in words, and what to do.

Knows: every id there is, its level, title and remedy.  Does not know: when one is there (`problems`), who
shows it.
Theory: an id is a promise: it has an alert of its own and a part of the guide, whose address it gives.  What
can be there more than once (an upstream, an order) has a subject, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Level = Literal["error", "warning"]
"""`error`: queries fail, or what must be blocked may not be; `warning`: it will come to that, or a proof is
missing."""


class Kind(NamedTuple):
    """What all problems of one id have in common."""

    level: Level
    title: str
    remedy: str


GUIDE_PAGE: Final = "reference/alerts.html"
"""Of the guide: each id is an anchor there."""

KINDS: Final[dict[str, Kind]] = {
    # What must be blocked.
    "policy_not_in_force": Kind(
        "error",
        "The blocklist as it stands is not in force",
        "Run `exchange-resolver check`: it names file and line. Mended, it is loaded within seconds.",
    ),
    "policy_empty": Kind(
        "error",
        "Nothing is blocked",
        "Look in the history for the change that opened it all; `exchange-resolver rollback N` undoes it.",
    ),
    "audit_uncovered": Kind(
        "error",
        "Domains that must be blocked are not",
        "Run `exchange-resolver audit`: it names them, the listener and the answer.",
    ),
    "order_overdue": Kind(
        "error",
        "An order is not in force in time",
        "Run `exchange-resolver order show ORDER`: it says what of it is not enforced, and why.",
    ),
    "clock_doubted": Kind(
        "error",
        "The clock cannot be believed",
        "Set the clock, or have a time service set it: dates of orders are not followed meanwhile.",
    ),
    # Whether queries are answered.
    "not_ready": Kind(
        "error",
        "The server is not ready",
        "Wait for its start; if it lasts, the log says what it waits for.",
    ),
    "upstreams_lost": Kind(
        "error",
        "No upstream answers",
        "Check the network and `exchange-resolver upstreams test`; stale answers stand in meanwhile.",
    ),
    "answers_fail": Kind(
        "error",
        "Many answers are failures",
        "Look at the upstreams' failures by reason: SERVFAIL comes from there nearly always.",
    ),
    "certificate_expired": Kind(
        "error",
        "A certificate has expired",
        "Put new files where the settings point; they are served within seconds.",
    ),
    "native_restarts": Kind(
        "error",
        "Threads of the native engine begin anew again and again",
        "Set `engine: python` and restart until the defect is mended; the log has the panics.",
    ),
    "listener_missing": Kind(
        "error",
        "An address is not served",
        "Give the address to this machine, or free the port; it is tried again by itself.",
    ),
    "upstream_down": Kind(
        "warning",
        "An upstream does not answer",
        "Check the way to it with `exchange-resolver upstreams test`; the others carry the load meanwhile.",
    ),
    "upstream_fails": Kind(
        "warning",
        "Many queries to an upstream fail",
        "Check the way there; its failures stand by reason among the metrics.",
    ),
    "serves_stale": Kind(
        "warning",
        "Old answers stand in for upstreams",
        "Check the upstreams: they do not answer for some names.",
    ),
    "drops_queries": Kind(
        "warning",
        "Queries or connections are dropped",
        "The guide lists the reasons: a limit was met, or somebody sends rubbish.",
    ),
    # What will end, or is late.
    "order_due": Kind(
        "error",
        "An order is due within a day",
        "Put it into the blocklist: `exchange-resolver order import`.",
    ),
    "order_incomplete": Kind(
        "warning",
        "A part of an order is not enforced",
        "Run `exchange-resolver order show ORDER`: it says what, and why.",
    ),
    "filtering_paused": Kind(
        "warning",
        "Somebody has paused filtering",
        "It goes on by itself; `exchange-resolver resume` ends the pause before.",
    ),
    "edit_waits": Kind(
        "warning",
        "An edit of the blocklist waits for a second person",
        "Approve it, or take it back in the file; `exchange-resolver proposals` shows it.",
    ),
    "exchanges_expire": Kind(
        "warning",
        "Exchanges in force end within 30 days",
        "Ask for the renewal of their orders, or let them end.",
    ),
    "list_missing": Kind(
        "warning",
        "A list was never downloaded",
        "Run `exchange-resolver lists update NAME`: it says why not.",
    ),
    "list_old": Kind(
        "warning",
        "A list is older than it should be",
        "Run `exchange-resolver lists update NAME`: it says why.",
    ),
    "list_behind": Kind(
        "warning",
        "A list is behind its authority",
        "Run `exchange-resolver lists update NAME`: it says why.",
    ),
    "certificate_expires": Kind(
        "warning",
        "A certificate expires soon",
        "Renew it: put the new files where the settings point; they are served within seconds.",
    ),
    "certificate_not_served": Kind(
        "warning",
        "The files of certificates are not what is served",
        "Run `exchange-resolver check`: it names the file and the reason.",
    ),
    "upstream_certificate_expires": Kind(
        "warning",
        "An upstream's certificate expires soon",
        "Tell who runs it; once it is over, this upstream is not asked.",
    ),
    # What is proved and written down.
    "audit_overblocked": Kind(
        "warning",
        "More is blocked than is meant",
        "Run `exchange-resolver audit`: it names the domains and the rules.",
    ),
    "audit_unproved": Kind(
        "warning",
        "Of some domains nothing is proved",
        "Run `exchange-resolver audit`: it names them and the listener that did not answer.",
    ),
    "audit_overdue": Kind(
        "warning",
        "The last whole audit is too old",
        "The log says why audits fail; `exchange-resolver audit` makes one by hand.",
    ),
    "acknowledgement_waits": Kind(
        "warning",
        "A batch of records is not acknowledged",
        "The log has the command's last words; it runs again by itself.",
    ),
    "acknowledgement_unproved": Kind(
        "warning",
        "New records of a list are not proved in force",
        "Run `exchange-resolver audit --register NAME`.",
    ),
    "history_not_written": Kind(
        "warning",
        "A change was not recorded in the history",
        "Make room in state_dir, and see that the server's user may write there.",
    ),
    "hits_not_written": Kind(
        "warning",
        "The history of hits is not written",
        "Make room in state_dir, and see that the server's user may write there; hits wait meanwhile.",
    ),
    "hits_damaged": Kind(
        "warning",
        "The history of hits was damaged and begun anew",
        "The damaged file stands beside it; check the disk.",
    ),
    "hits_lost": Kind(
        "warning",
        "Hits are lost",
        "The history of hits was not written for too long: the log says why. Reports say less.",
    ),
    "records_nowhere": Kind(
        "warning",
        "Query records do not reach their reader",
        "The detail says why; what does not fit into memory is lost and counted.",
    ),
    "records_lost": Kind(
        "warning",
        "Query records are lost",
        "Their reader is too slow, a disk is full, or the machine has no time left.",
    ),
    # The program.
    "defect": Kind(
        "warning",
        "A defect of the program cost a query",
        "The log has the query and a traceback; please report them.",
    ),
    "defect_beside": Kind(
        "warning",
        "Something that runs beside the answers met a defect",
        "The log has a traceback; please report it. Queries are answered.",
    ),
    "engine_fallen_back": Kind(
        "warning",
        "The native engine cannot be used, and Python answers alone",
        "Restart the server in a quiet moment; the log says why, please report it.",
    ),
    "block_page_down": Kind(
        "warning",
        "The page that blocked people see is not served",
        "The log says why its process ended; it is started again by itself.",
    ),
    "block_page_stale": Kind(
        "warning",
        "The page that blocked people see shows an older policy",
        "Make room in state_dir; it is tried again every minute.",
    ),
    "http_refuses_guesses": Kind(
        "warning",
        "Somebody tries tokens",
        "Wrong tokens are refused and slowed down; the log has the address.",
    ),
    "tokens_unusable": Kind(
        "warning",
        "The file of tokens cannot be used",
        "Mend the line that the detail names; the tokens before count meanwhile.",
    ),
    "http_missing": Kind(
        "warning",
        "HTTP is not served as it should be",
        "The detail says why; it is tried again by itself.",
    ),
}
"""Every id, the gravest first within a level."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong now."""

    id: str
    """One of `KINDS`."""
    detail: str
    """What exactly: one sentence, made printable by who shows it."""
    subject: str = ""
    """Which one, where there may be several: an upstream, an order, a list."""

    @property
    def kind(self) -> Kind:
        """Its level, title and remedy."""
        return KINDS[self.id]

    @property
    def link(self) -> str:
        """Where the guide speaks of it, from the guide's first page."""
        return f"{GUIDE_PAGE}#{self.id}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A problem, and since when it has been seen."""

    wrong: Wrong
    since: float
    """Unix seconds."""
