"""The running server audits itself: on a schedule, and what a change of the policy changed soon after it.

Knows: when an audit is due, what became of those before, the secret that their queries carry.  Does not know:
what is asked, how an answer is judged (`audit_child`, `resolver.audit`).
Theory: one audit at a time, in a child process that runs when nobody else wants the CPU.  A whole one proves
everything at one moment; one after a change asks what changed, what orders name, and whatever was wrong last
time, so its count is the whole policy's, too.  What they come to is kept, so that a restart forgets nothing.
Whatever fails here is counted, logged and told, and nothing else: serving does not wait for an audit.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from resolver.audit.results import FINDINGS, Status
from resolver.audit.secret import write_secret
from resolver.audit.targets import Listening
from resolver.children import run_child_when_idle
from resolver.clock import Clock, TimerHandle
from resolver.config.settings import Settings
from resolver.durable import replace_file
from resolver.observe.facts import AUDIT_CAUSES, AUDIT_RESULTS, AuditFacts
from resolver.plurals import counted
from resolver.portions import open_regular, read_up_to
from resolver.server.audit_job import Job, Moment, Summary
from resolver.server.audit_log import AuditLog, Run
from resolver.wire.carried_addresses import Nat64Prefix
from resolver.wire.names import name_to_text

HOUR_S: Final = 3_600.0
FIRST_AFTER_S: Final = 60.0
"""After the start: caches and upstreams have settled by then."""
CHANGE_AFTER_S: Final = 5.0
"""After a change of the policy: edits come in bursts."""
RETRY_S: Final = 600.0
"""After an audit that failed, doubled each time, up to the schedule."""
QPS: Final = 500.0
"""Questions a second: an audit is never urgent."""
RATE_PART: Final = 0.5
"""Of the limit for one client: whoever shares our address has the rest."""
NAMES_PER_QPS: Final = 40
"""Names of one audit for each question a second: 20,000 names in some two minutes.  A policy that has more is
proved by samples, another one each time."""
TIMEOUT_S: Final = 3_600.0
"""In idle time, then with its share: twice what the slowest audit takes."""
TOLERANCE_S: Final = 1.0
"""A timer may be early."""
STATE_OCTETS_MAX: Final = 1 << 20

_log = logging.getLogger("resolver.audit")

RunAudit = Callable[[Job], Awaitable[Summary]]
"""Audits once.  Raises AuditFailed."""


class AuditFailed(Exception):
    """Nothing was proved; the message says why."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept over restarts."""

    whole_at: float = 0.0
    """Unix seconds at which the last whole audit ended; 0: never."""
    counts: dict[str, int] | None = None
    """Status -> names, of the last whole audit; None: never."""
    findings: dict[str, int] | None = None
    """The same of what was wrong in the last audit; None: never."""
    lags: int = 0
    moment: Moment | None = None
    """The policy that the last audit proved."""


class Audits:
    """The audits of one server."""

    def __init__(
        self,
        settings: Settings,
        secret: bytes,
        clock: Clock,
        *,
        wall: Callable[[], float],
        endpoints: Callable[[], Listening],
        nat64_prefixes: Callable[[], Sequence[Nat64Prefix]] = tuple,
        run: RunAudit | None = None,
    ) -> None:
        """`wall`: Unix seconds, as far as they can be believed.  `endpoints`: where the server listens now.

        `nat64_prefixes`: by which it judges now.  `run`: instead of a child process.
        """
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._wall = wall
        self._endpoints = endpoints
        self._nat64_prefixes = nat64_prefixes
        self._run = run or run_in_child
        self._path = settings.state_dir / "audit" / "state.json"
        self.log = AuditLog(settings.state_dir / "audit" / "runs.jsonl")
        self._kept = _Kept()
        self._runs: Counter[tuple[str, str]] = Counter()
        self._failure = ""
        self._failures = 0
        self._told: list[str] = []
        self._whole_at = 0.0
        """Monotonic seconds at which the next whole audit is due."""
        self._has_changed = False
        self._is_requested = False
        self._timer: TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_started = False

    @property
    def every_s(self) -> float:
        """Between two whole audits; 0: there are none."""
        return self._settings.audit.every_h * HOUR_S

    def start(self) -> None:
        """The server answers: tell its owner the secret, and begin the schedule."""
        try:
            write_secret(self._settings.state_dir, self._secret)
        except OSError as error:
            _log.warning(
                "the secret of audits cannot be written: audits from outside count like other queries",
                extra={"reason": str(error)},
            )
        if not self.every_s:
            return
        self._kept = _read(self._path)
        age_s = self._wall() - self._kept.whole_at
        # A clock that went back must not put the next one off.
        rest_s = self.every_s - age_s if 0 <= age_s < self.every_s else 0.0
        self._whole_at = self._clock.now() + max(rest_s, FIRST_AFTER_S)
        self._is_started = True
        self._wait(FIRST_AFTER_S if self._has_changed else max(rest_s, FIRST_AFTER_S))

    def begin_now(self) -> bool:
        """Somebody wants a whole audit now; whether there are audits here at all."""
        if not self._is_started:
            return False
        self._is_requested = True
        self._wait(0.0)
        return True

    def on_policy(self) -> None:
        """Another policy is in force, or a date of it came."""
        self._has_changed = True
        if self._is_started:
            self._wait(CHANGE_AFTER_S)

    async def close(self) -> None:
        """End; an audit under way is killed."""
        self._is_started = False
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def facts(self) -> AuditFacts:
        """How they went."""
        counts, findings = self._kept.counts or {}, self._kept.findings or {}
        return AuditFacts(
            every_s=self.every_s,
            last_success=self._kept.whole_at,
            domains={status.value: counts.get(status.value, 0) for status in Status},
            findings={status.value: findings.get(status.value, 0) for status in FINDINGS},
            lags=self._kept.lags,
            runs={
                (cause, result): self._runs[cause, result]
                for cause in AUDIT_CAUSES
                for result in AUDIT_RESULTS
            },
        )

    def remark(self) -> str:
        """What a person should know of them; empty: nothing."""
        said = []
        findings = self._kept.findings or {}
        for status, text in (
            (Status.UNCOVERED, "not blocked as it must be"),
            (Status.OVERBLOCKED, "blocked that nobody meant"),
            (Status.UNKNOWN, "without a proof"),
        ):
            if number := findings.get(status.value, 0):
                said.append(f"{counted(number, 'domain')} {text}")
        if self._failure:
            said.append(f"the last audit failed: {self._failure}")
        return "; ".join(said)

    # The schedule.

    def _wait(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(delay_s, self._begin)

    def _begin(self) -> None:
        """It is time for one; where one runs already, its end looks again."""
        self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._audit(), name="audit")

    async def _audit(self) -> None:
        now = self._clock.now()
        is_whole = now >= self._whole_at - TOLERANCE_S or self._kept.moment is None
        is_requested, self._is_requested = self._is_requested, False
        cause = "request" if is_requested else "schedule" if is_whole else "change"
        is_whole = is_whole or is_requested
        self._has_changed = False
        try:
            summary = await self._run(self.job(None if is_whole else self._kept.moment))
            await self._take(cause, summary)
        except AuditFailed as error:
            self._fail(cause, str(error))
        except Exception as error:
            # Audits go on whatever befalls one.
            self._fail(cause, f"a defect: {error!r}")
            _log.exception("defect in audits")
        self._go_on()

    def _go_on(self) -> None:
        if not self._is_started:
            return
        delay_s = max(self._whole_at - self._clock.now(), 0.0)
        if self._failures:
            delay_s = min(RETRY_S * 2 ** min(self._failures - 1, 20), self.every_s)
        if self._has_changed:
            delay_s = min(delay_s, CHANGE_AFTER_S)
        if self._is_requested:
            delay_s = 0.0
        self._wait(delay_s)

    def job(self, since: Moment | None = None) -> Job:
        """How this server is asked now; `since`: only what is not what it was then."""
        settings = self._settings
        limit = settings.clients.rate_limit_qps
        qps = min(QPS, max(1.0, limit * RATE_PART)) if limit else QPS
        return Job(
            state_dir=str(settings.state_dir),
            blocklist=str(settings.blocklist),
            secret=self._secret.hex(),
            endpoints={key: list(pairs) for key, pairs in self._endpoints().items()},
            qps=qps,
            names_max=max(int(qps * NAMES_PER_QPS), 100),
            records={
                name_to_text(name): [str(address) for address in found]
                for name, found in settings.records.items()
            },
            forwarded=[name_to_text(suffix) for suffix in settings.upstreams.forward],
            nat64_prefixes=[str(prefix) for prefix in self._nat64_prefixes()],
            earliest=self._wall(),
            since=since,
        )

    def _fail(self, cause: str, reason: str) -> None:
        self._runs[cause, "failed"] += 1
        self._failures += 1
        self._failure = reason
        # What was to be proved still is.
        self._has_changed = self._has_changed or cause == "change"
        self.log.note(Run(self._wall(), cause, "failed", reason=reason))
        _log.error("the audit of this server failed", extra={"cause": cause, "reason": reason})

    async def _take(self, cause: str, summary: Summary) -> None:
        self._failures, self._failure = 0, ""
        result = "findings" if summary.has_findings else "clean"
        self._runs[cause, result] += 1
        wall = self._wall()
        is_whole = cause != "change"
        if is_whole:
            self._whole_at = self._clock.now() + self.every_s
        self._kept = _Kept(
            whole_at=wall if is_whole else self._kept.whole_at,
            counts=summary.counts if is_whole else self._kept.counts,
            # After a change all that was wrong is asked again: what is wrong now is all that is.
            findings=summary.findings,
            lags=summary.lags if is_whole else self._kept.lags,
            # Changed names that were in no sample are still to be asked: they stay changed.
            moment=Moment(summary.image, summary.wall)
            if is_whole or not summary.left_out
            else self._kept.moment,
        )
        try:
            self.log.note(Run(wall, cause, result, summary.questions, summary.counts))
            await asyncio.to_thread(_write, self._path, self._kept)
            await asyncio.to_thread(self.log.write)
        except OSError as error:
            _log.warning("what the audit came to is not kept", extra={"reason": str(error)})
        asked = f"{summary.questions:,} questions"
        if not summary.has_findings:
            _log.info("the audit of this server is clean: %s", asked, extra={"cause": cause})
            return
        _log.error(
            "the audit of this server found %s: %s",
            self.remark()
            or counted(summary.lags, "list behind its register", "lists behind their registers"),
            "; ".join(summary.told),
            extra={"cause": cause},
        )


async def run_in_child(job: Job) -> Summary:
    """Audit in a process of its own, in time that nobody else wants.  Raises AuditFailed."""
    try:
        ended = await run_child_when_idle(
            "resolver.server.audit_child",
            timeout_s=TIMEOUT_S,
            starved_s=None,
            job=json.dumps(asdict(job)).encode(),
        )
    except TimeoutError:
        raise AuditFailed(f"it took over {TIMEOUT_S:g} s twice") from None
    except OSError as error:
        raise AuditFailed(f"its process cannot be started: {error}") from None
    try:
        told: dict[str, Any] = json.loads(ended.output)
        if "error" in told:
            raise AuditFailed(str(told["error"]))
        return Summary(**told)
    except (ValueError, KeyError, TypeError):
        raise AuditFailed(f"code {ended.code}: {ended.last_words()!r}") from None


def _read(path: Path) -> _Kept:
    """What was kept; anything else is as good as nothing."""
    try:
        with open_regular(path) as file:
            fields = json.loads(read_up_to(file, STATE_OCTETS_MAX))
        moment = fields["moment"]
        return _Kept(
            float(fields["whole_at"]),
            _numbers(fields["counts"]),
            _numbers(fields["findings"]),
            int(fields["lags"]),
            None if moment is None else Moment(str(moment["image"]), float(moment["wall"])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _Kept()


def _numbers(fields: dict[str, Any]) -> dict[str, int]:
    return {str(status): int(count) for status, count in fields.items()}


def _write(path: Path, kept: _Kept) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, json.dumps(asdict(kept)).encode() + b"\n", mode=0o600)
