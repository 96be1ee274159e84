"""`audit`: proves by questions that what is in force is blocked, here or on any other resolver.

Knows: which policy and which servers are meant, exit codes, where the result goes.
Does not know: how it is asked and judged; `resolver.audit` does that.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from resolver.audit.asks import asks_of
from resolver.audit.auditor import QPS, Basis, Manner, audit
from resolver.audit.lags import lags_of, policy_lag
from resolver.audit.results import AuditResult, Lag, forget_orders, save_last
from resolver.audit.secret import read_secret
from resolver.audit.subjects import Wanted
from resolver.audit.targets import ServerToAsk, own_server, server_from
from resolver.blocklist.downloads import at_their_places
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.cli.audit_text import print_result, progress_of
from resolver.cli.files import EXIT_FINDINGS, EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.process import scratch_folder
from resolver.clock import boot_moment
from resolver.config.settings import Settings
from resolver.identity import as_owner_of
from resolver.policy.image import ImageUnusable
from resolver.policy.table import PolicyTable, open_table
from resolver.problems import Problem, has_errors, show, suggest
from resolver.publishing.believed import BelievedClock, believed_time
from resolver.publishing.compiler import compile_in_process
from resolver.publishing.paused_image import CannotPause
from resolver.publishing.paused_serving import Paused, kept_orders, paused_at, paused_form
from resolver.server.list_lags import changed_since_served, list_facts
from resolver.server.parts import make_local_names, make_plan


@dataclass(frozen=True, slots=True)
class Choices:
    """The command's options."""

    servers: Sequence[str] = ()
    order: str = ""
    exchange: str = ""
    register: str = ""
    qps: float | None = None
    sample: int | None = None
    is_strict: bool = False
    as_json: bool = False
    as_junit: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the report may tell of it: all of this server, or all of one order."""
        return not (self.servers or self.exchange or self.register or self.sample)


def audit_policy(config: Path | None, blocklist: Path | None, choices: Choices) -> int:
    """Audit and print the result; 1 when something in force is not proved to be blocked, or too much is."""
    try:
        path, settings = policy_path(config, blocklist)
        servers = _servers(choices, settings)
        policy = _read(path, choices)
        with scratch_folder() as directory:
            result = _audit(path, settings, policy, servers, choices, directory)
    except BadInput as error:
        return bad_input(error.problems, as_json=choices.as_json)
    # Another blocklist than the server's is nothing of the server's report.
    if choices.is_kept and blocklist is None:
        _keep(settings, result, choices.order, policy.orders)
    print_result(result, as_json=choices.as_json, as_junit=choices.as_junit)
    return EXIT_FINDINGS if result.has_findings else EXIT_FINE


def _audit(
    path: Path,
    settings: Settings,
    policy: Blocklist,
    servers: Sequence[ServerToAsk],
    choices: Choices,
    directory: Path,
) -> AuditResult:
    clock = BelievedClock(time.time, time.monotonic, believed_time(settings.state_dir, time.time()))
    wall = clock()
    # A pause is this server's; others filter on.
    paused = None if choices.servers else paused_at(settings.state_dir, time.time(), boot_moment())
    table, key = _table(path, settings, directory, wall, paused)
    seed = secrets.randbits(31)
    wanted = Wanted(choices.order, choices.exchange, choices.register, choices.sample, seed)
    local = make_local_names(settings)
    covers = make_plan(settings).covers
    basis = Basis(
        table,
        tuple(ask for ask in asks_of(policy, wall) if ask.order in kept_orders(policy.orders, paused)),
        {key: order.measure for key, order in policy.orders.items() if order.measure is not None},
        lambda query: local.find(query, covers, table.is_filtering) is not None,
        policy=key,
        blocklist=str(path),
        lags=_lags(policy, settings, table, choices, wall),
        paused_until=0.0 if paused is None else paused.until,
    )
    with progress_of(len(servers)) as tell:
        manner = Manner(
            qps=_qps(choices, settings),
            is_strict=choices.is_strict,
            secret=None if choices.servers else _secret(settings),
            seed=seed,
            on_progress=tell,
        )
        return asyncio.run(audit(basis, wanted, servers, manner, clock))


def _lags(
    policy: Blocklist, settings: Settings, table: PolicyTable, choices: Choices, wall: float
) -> tuple[Lag, ...]:
    """What is behind its register; of a part of the policy only the lists in it."""
    is_own = not choices.servers
    specs = [
        spec
        for spec in at_their_places(policy.lists, settings.state_dir)
        if (not choices.register or spec.name == choices.register)
        and (not choices.order or choices.order in spec.rule.orders)
        and not choices.exchange
    ]
    compiled = {str(name): int(count) for name, count in table.counts["per_list"].items()}
    try:
        with as_owner_of(settings.state_dir) as folder:
            lags = lags_of(list_facts(specs, folder, compiled, is_own=is_own), wall)
            return (*policy_lag(changed_since_served(folder)), *lags) if is_own else lags
    except OSError as error:
        raise BadInput([Problem(str(settings.state_dir), 0, str(error.strerror))]) from None


def _qps(choices: Choices, settings: Settings) -> float:
    """The rate asked for; our own server's limit for one client is not to be run into."""
    limit = settings.clients.rate_limit_qps
    if choices.qps is None and not choices.servers and limit:
        return min(QPS, max(1.0, 0.8 * limit))
    return choices.qps or QPS


def _secret(settings: Settings) -> bytes | None:
    """What our own server knows its audit by; without it the questions are counted like any others."""
    try:
        with as_owner_of(settings.state_dir) as folder:
            secret, why = read_secret(folder), "no server has made one yet"
    except OSError as error:
        secret, why = None, error.strerror or str(error)
    if secret is None:
        print(f"this audit counts in hits and queries: its secret cannot be read: {why}", file=sys.stderr)
    return secret


def _servers(choices: Choices, settings: Settings) -> list[ServerToAsk]:
    if not choices.servers:
        listening: dict[str, list[tuple[str, int]]] = {}
        for key, _, one in settings.listen.served():
            if one.port:
                listening.setdefault(key, []).append((one.address, one.port))
        own = own_server(listening)
        if not own.targets:
            message = "no address of 'listen: dns' has a port that could be asked; use --server ADDRESS"
            raise BadInput([Problem("settings", 0, message)])
        return [own]
    servers = []
    for text in dict.fromkeys(choices.servers):
        try:
            servers.append(server_from(text))
        except ValueError as error:
            raise BadInput([Problem("--server", 0, str(error))]) from None
    return servers


def _read(path: Path, choices: Choices) -> Blocklist:
    """The blocklist; what the options name must stand in it.  Raises BadInput."""
    policy, problems = read_blocklist(path, force=True)
    if policy is None:
        raise BadInput([problem for problem in problems if has_errors([problem])])
    known = {
        "--order": (choices.order, list(policy.orders), "order"),
        "--exchange": (choices.exchange, [rule.id for rule in policy.exchanges], "exchange"),
        "--register": (choices.register, [spec.name for spec in policy.lists], "list"),
    }
    for option, (wanted, names, noun) in known.items():
        if wanted and wanted not in names:
            message = f"there is no {noun} {show(wanted)}{suggest(wanted, names)}"
            raise BadInput([Problem(option, 0, message)])
    return policy


def _table(
    path: Path, settings: Settings, directory: Path, wall: float, paused: Paused | None
) -> tuple[PolicyTable, str]:
    """The policy as it is written now, and its hash; the verdicts' clock is wall time.  Raises BadInput."""
    image, problems = compile_in_process(path, directory, state_dir=settings.state_dir)
    if image is None:
        raise BadInput(problems)
    try:
        image = paused_form(image, paused, wall)
    except (CannotPause, ImageUnusable) as error:
        raise BadInput([Problem(str(directory), 0, str(error))]) from None
    return open_table(image, wall, wall, 1, settings.upstreams.nat64_prefixes or ()), image.stem


def _keep(settings: Settings, result: AuditResult, order: str, orders: Collection[str]) -> None:
    """Keep the result for the report and for who asks later; without it the audit is as good."""
    try:
        with as_owner_of(settings.state_dir) as folder:
            save_last(folder, result, order=order)
            forget_orders(folder, orders)
    except OSError as error:
        print(f"{settings.state_dir}: the result is not kept: {error.strerror}", file=sys.stderr)
