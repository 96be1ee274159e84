"""Makes the report: what every source says, held together at one moment.

Knows: what an authority wants to know of an order, an exchange, a list, an exception; what must not be told.
Does not know: files, formats, languages, the clock (`now` is an argument).
Theory: an exchange is confidential here while all orders because of which it is blocked are, as in answers
and metrics: then it is a number.  An order that is confidential is one, too, whatever else cites it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta, tzinfo
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from resolver.blocklist.in_force import REACHES, InForce, suffixes
from resolver.blocklist.rules import ListSpec, NameRule
from resolver.blocklist.rules import Order as BlocklistOrder
from resolver.orders.standing import Standing, Standings
from resolver.orders.standing import State as AskState
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm
from resolver.publishing.history import Generation
from resolver.report import changes as history
from resolver.report.facts import (
    Audit,
    Change,
    Confidential,
    Exchange,
    Exemption,
    Hits,
    Lack,
    Name,
    NameList,
    NotEnforced,
    Order,
    Paused,
    Period,
    Policy,
    Report,
    State,
    added_up,
)
from resolver.report.sources import Sources
from resolver.wire.idn import unicode_name
from resolver.wire.names import name_to_text

PRODUCT = "exchange-resolver"

_STANDING = {
    "in force": State.IN_FORCE,
    "not yet": State.PENDING,
    "ended": State.ENDED,
    "shadow": State.SHADOW,
    "disabled": State.DISABLED,
}


def collect(sources: Sources, now: float) -> Report:
    """The report as of `now` (Unix seconds)."""
    return _Collection(sources, now).report()


class _Collection:
    """One report in the making."""

    def __init__(self, sources: Sources, now: float) -> None:
        self._sources = sources
        self._now = now
        blocklist = sources.blocklist
        self._blocklist = blocklist
        self._in_force = InForce(blocklist, now)
        self._standings = Standings(blocklist, sources.lists_of)
        self._secret_orders = {key for key, order in blocklist.orders.items() if order.is_confidential}
        self._secret = {rule.label for rule in blocklist.exchanges if self._is_secret(rule)}
        self._secret_lists = {spec.name for spec in blocklist.lists if self._is_secret(spec.rule)}
        self._since = history.exchanges_since(sources.history.generations)
        self._first_served = history.orders_first_served(sources.history.generations)
        self._latest = sources.history.generations[-1] if sources.history.generations else None
        only = sources.only_order
        self._shown_exchanges = [
            rule
            for rule in blocklist.exchanges
            if rule.label not in self._secret and (not only or only in rule.orders)
        ]
        self._shown_lists = [
            spec
            for spec in blocklist.lists
            if spec.name not in self._secret_lists and (not only or only in spec.rule.orders)
        ]

    def _is_secret(self, rule: PolicyRule) -> bool:
        if rule.at(self._now).is_confidential:
            return True
        return bool(rule.orders) and self._secret_orders.issuperset(rule.orders)

    def report(self) -> Report:
        sources = self._sources
        exchanges = tuple(map(self._exchange, self._names_by_exchange()))
        lists = tuple(map(self._list, self._shown_lists))
        orders = tuple(
            self._order(order)
            for key, order in self._orders_in_order()
            if key not in self._secret_orders and sources.only_order in ("", key)
        )
        first, end = moments_of(sources.first, sources.last, sources.zone)
        return Report(
            made_at=self._now,
            zone=sources.zone_name,
            period=Period(sources.first, sources.last),
            product=PRODUCT,
            version=sources.version,
            host=sources.host,
            policy=self._policy(),
            only_order=sources.only_order,
            orders=orders,
            exchanges=exchanges,
            lists=lists,
            exceptions=tuple(self._exceptions()),
            changes=tuple(self._changes(first, end)),
            audit=self._audit(),
            has_hits=not sources.hits.why,
            gaps=tuple(sources.hits.gaps),
            confidential=self._confidential(),
            missing=tuple(self._missing(first)),
            pauses=tuple(self._pauses(first, end)),
        )

    def _pauses(self, first: float, end: float) -> Iterator[Paused]:
        """Those of the period; of one order those in which it was not enforced."""
        order = self._blocklist.orders.get(self._sources.only_order)
        is_left = order is not None and order.imposed_by != "house"
        for pause in history.pauses_between(self._sources.history.generations, first, end):
            if pause.including_orders or not is_left:
                yield pause

    # Exchanges and lists.

    def _names_by_exchange(self) -> Iterator[tuple[PolicyRule, list[Name]]]:
        names: dict[str, list[Name]] = {rule.label: [] for rule in self._shown_exchanges}
        states = {rule.label: self._state(rule) for rule in self._shown_exchanges}
        for rule in self._blocklist.name_rules:
            label = rule.rule.label
            if rule.effect == "block" and label in names:
                names[label].append(self._name(rule, states[label]))
        for address in self._blocklist.address_rules:
            label = address.rule.label
            if label in names:
                file = Path(address.file).name
                names[label].append(Name(str(address.network), "network", states[label], file, address.line))
        for exchange in self._shown_exchanges:
            yield exchange, names[exchange.label]

    def _name(self, rule: NameRule, of_exchange: State) -> Name:
        text = name_to_text(rule.owner)
        state = of_exchange
        if state is State.IN_FORCE:
            parts = self._in_force.parts((rule.owner, rule.form))
            if parts != REACHES[rule.form]:
                state = State.PARTLY if parts else State.EXCEPTED
        return Name(text, rule.form.value, state, Path(rule.file).name, rule.line, unicode_name(text) or "")

    def _exchange(self, found: tuple[PolicyRule, list[Name]]) -> Exchange:
        rule, names = found
        phase = rule.at(self._now)
        state = self._state(rule)
        told = _told_dates(rule)
        since = self._since.get(rule.label)
        in_force_since = None
        if state is State.IN_FORCE and since is not None:
            in_force_since = max(since.enforced, _began(rule, self._now))
        return Exchange(
            id=rule.label,
            name=rule.name,
            aliases=self._blocklist.aliases.get(rule.label, ()),
            category=rule.category,
            orders=self._public(rule.orders),
            state=state,
            action=action_text(phase),
            ttl_s=phase.ttl_s,
            starts_at=told[0],
            ends_at=told[1],
            in_policy_since=None if since is None else since.in_policy,
            in_force_since=in_force_since,
            names=tuple(names),
            hits=self._sources.hits.exchanges.get(rule.label, Hits()),
        )

    def _list(self, spec: ListSpec) -> NameList:
        counts = {} if self._latest is None else self._latest.counts
        register = _mapping(_mapping(counts, "registers"), spec.name)
        return NameList(
            id=spec.name,
            source=spec.path.name if spec.download is None else _public_url(spec.download.url),
            format=spec.format,
            kind=spec.kind,
            orders=self._public(spec.rule.orders),
            state=self._state(spec.rule),
            action=action_text(spec.rule.at(self._now)) if spec.kind == "block" else "",
            starts_at=_told_dates(spec.rule)[0],
            ends_at=_told_dates(spec.rule)[1],
            file=Path(spec.file).name,
            line=spec.line,
            name_count=_count(_mapping(counts, "per_list"), spec.name),
            digest=_digest(_mapping(counts, "files"), spec.path),
            records=_count(register, "records"),
            enforced=_count(register, "enforced"),
            not_enforced=tuple(
                (str(reason), count)
                for reason in _mapping(register, "not_enforced")
                if (count := _count(_mapping(register, "not_enforced"), reason))
            ),
            hits=self._sources.hits.lists.get(spec.name, Hits()),
        )

    def _state(self, rule: PolicyRule) -> State:
        now = rule.at(self._now)
        if now.mode is Mode.DISABLED:
            return State.DISABLED
        if now.ends_at is not None and now.ends_at <= self._now:
            return State.ENDED
        if now.starts_at is not None and self._now < now.starts_at:
            return State.PENDING
        return State.SHADOW if now.mode is Mode.SHADOW else State.IN_FORCE

    def _public(self, orders: Iterable[str]) -> tuple[str, ...]:
        return tuple(order for order in orders if order not in self._secret_orders)

    # Orders.

    def _orders_in_order(self) -> list[tuple[str, BlocklistOrder]]:
        """Those of authorities first, else as in the file."""
        return sorted(self._blocklist.orders.items(), key=lambda pair: pair[1].imposed_by == "house")

    def _order(self, order: BlocklistOrder) -> Order:
        standing = self._standings.of(order, self._now)
        exchanges = tuple(label for label in standing.exchanges if label not in self._secret)
        lists = tuple(name for name in standing.lists if name not in self._secret_lists)
        blocking = self._in_force.orders.get(order.id, set())
        names = sum(label in blocking for label in self._in_force.domains.values())
        names += sum(label in blocking for label in self._in_force.networks.values())
        return Order(
            id=order.id,
            authority=order.authority,
            title=order.title,
            reference=order.reference or "",
            date=order.date or "",
            url=order.url or "",
            imposed_by=order.imposed_by,
            state=_STANDING[standing.when],
            mode=(order.mode or self._blocklist.default_mode).value,
            measure="" if order.measure is None else str(order.measure),
            starts_at=order.starts_at,
            ends_at=order.ends_at,
            received_at=order.received_at,
            due_at=order.due_at,
            first_served_at=self._first_served.get(order.id),
            in_force_since=self._sources.history.in_force_since.get(order.id),
            is_blocking=bool(blocking),
            exchanges=exchanges,
            lists=lists,
            asks=len(order.asks),
            asks_enforced=standing.count(AskState.ENFORCED),
            asks_pending=standing.count(AskState.PENDING),
            not_enforced=tuple(self._not_enforced(standing)),
            name_count=names,
            # Only those of its own: what cites it was met before it applied, and because of others.
            hits=self._sources.hits.orders.get(order.id, Hits()),
        )

    def _not_enforced(self, standing: Standing) -> Iterator[NotEnforced]:
        hidden_lists = {f"list {name}" for name in self._secret_lists}
        for ask in standing.asks:
            if ask.state is AskState.UNENFORCED and ask.reason is not None:
                is_secret = ask.exchange in self._secret or ask.exchange in hidden_lists
                is_told = not (is_secret or self._sources.hides_word(ask.why))
                yield NotEnforced(
                    ask.ask, ask.reason.value, ask.why if is_told else "", ask.exchange if is_told else ""
                )

    # The rest.

    def _exceptions(self) -> Iterator[Exemption]:
        above: dict[bytes, set[str]] = {}
        owners: dict[bytes, set[str]] = {}
        for rule in self._blocklist.name_rules:
            if rule.effect == "block":
                owners.setdefault(rule.owner, set()).add(rule.rule.label)
                for suffix in suffixes(rule.owner)[1:-1]:
                    above.setdefault(suffix, set()).add(rule.rule.label)
        shown = {rule.label for rule in self._shown_exchanges}
        for rule in self._blocklist.name_rules:
            # Line 0: the built-in ones, which come with the program.
            if rule.effect == "block" or not rule.line:
                continue
            touches = set(above.get(rule.owner, ())) if rule.form is not RuleForm.EXACT else set()
            for suffix in suffixes(rule.owner):
                touches |= owners.get(suffix, set())
            text = name_to_text(rule.owner)
            if touches & self._secret or self._sources.hides_word(text):
                continue
            if self._sources.only_order and not touches & shown:
                continue
            yield Exemption(
                text=text,
                form=rule.form.value,
                kind=rule.effect,
                state=self._state(rule.rule),
                starts_at=rule.rule.starts_at,
                ends_at=rule.rule.ends_at,
                reason=self._told(rule.rule.reason),
                ticket=self._told(rule.rule.ticket),
                file=Path(rule.file).name,
                line=rule.line,
                touches=tuple(sorted(touches & shown)),
            )

    def _told(self, text: str) -> str:
        return "" if self._sources.hides_word(text) else text

    def _changes(self, first: float, end: float) -> Iterator[Change]:
        sources = self._sources
        found = history.changes_between(sources.history.generations, first, end, sources.hides_of_change)
        for change in found:
            if sources.relevance is None:
                yield change
            elif (relevance := sources.relevance(change.number)) is None:
                # It may be about this order, and must not tell of others.
                yield replace(change, items=(), is_known=False)
            elif (part := relevance.part_of(change)) is not None:
                yield part

    def _audit(self) -> Audit | None:
        """The last audit; of a report on one order what is about that."""
        audit, only = self._sources.audit.audit, self._sources.only_order
        if audit is None or not only:
            return audit
        members = {rule.label for rule in self._shown_exchanges} | {spec.name for spec in self._shown_lists}
        findings = tuple(one for one in audit.findings if one.owner in (*members, only))
        found = audit.of_order(only)
        return replace(
            audit,
            counts=() if found is None else found.counts,
            findings=findings,
            finding_count=len({one.name for one in findings}),
            orders=() if found is None else ((only, found),),
        )

    def _confidential(self) -> Confidential:
        if self._sources.only_order:
            return Confidential()  # It is nothing to the authority of another order.
        hits = self._sources.hits
        return Confidential(
            orders=len(self._secret_orders),
            exchanges=len(self._secret),
            lists=len(self._secret_lists),
            names=sum(label in self._secret for label in self._in_force.domains.values())
            + sum(label in self._secret for label in self._in_force.networks.values()),
            # Some were counted by name before they were confidential.
            hits=added_up(
                (
                    hits.confidential,
                    *(hits.exchanges.get(label, Hits()) for label in self._secret),
                    *(hits.lists.get(name, Hits()) for name in self._secret_lists),
                )
            ),
        )

    def _policy(self) -> Policy:
        sources = self._sources
        latest = self._served()
        return Policy(
            file=sources.file,
            sha256=_sha256(sources.octets),
            content="" if latest is None else latest.content,
            generation=None if latest is None else latest.number,
            served_at=None if latest is None else latest.at,
            contact=self._blocklist.contact or "",
        )

    def _served(self) -> Generation | None:
        """The latest generation, if it is of this blocklist."""
        latest = self._latest
        return latest if latest is not None and latest.sha256 == _sha256(self._sources.octets) else None

    def _missing(self, first: float) -> Iterator[Lack]:
        sources = self._sources
        if not sources.is_served:
            yield Lack.NOT_SERVED
        if sources.is_edited:
            yield Lack.EDITED
        if sources.history.why:
            yield Lack.HISTORY
        elif sources.history.dropped and (
            not sources.history.generations or first < sources.history.generations[0].at
        ):
            yield Lack.CHANGES
        if sources.hits.why:
            yield Lack.HITS
        if sources.audit.audit is None:
            yield Lack.AUDIT


def moments_of(first: date, last: date, zone: tzinfo) -> tuple[float, float]:
    """Unix seconds of the beginning of the first day, and of the end of the last one."""
    begin = datetime.combine(first, time(), zone).timestamp()
    return begin, datetime.combine(last + timedelta(days=1), time(), zone).timestamp()


def action_text(rule: PolicyRule) -> str:
    """What a client gets, with its addresses: `sinkhole 192.0.2.80, 2001:db8::80`."""
    if rule.action is PolicyAction.SINKHOLE:
        return f"sinkhole {IPv4Address(rule.sinkhole_ipv4)}, {IPv6Address(rule.sinkhole_ipv6)}"
    if rule.local_data is not None:
        if rule.local_data.redirect:
            return f"CNAME {name_to_text(rule.local_data.redirect)}"
        return ", ".join(str(ip_address(address)) for address in rule.local_data.addresses)
    return rule.action.value


def _told_dates(rule: PolicyRule) -> tuple[float | None, float | None]:
    """From when until when it is in force, of the times in which it is not confidential."""
    told = [phase for phase in rule.phases or (rule,) if not phase.is_confidential]
    return (told[0].starts_at, told[-1].ends_at) if told else (None, None)


def _began(rule: PolicyRule, now: float) -> float:
    """When the run of phases that is enforced at `now` began (Unix seconds; 0: it always was)."""
    began: float | None = None
    end: float | None = None
    for phase in rule.phases or (rule,):
        starts_at = 0.0 if phase.starts_at is None else phase.starts_at
        # What was confidential stays so: of it not even the day is told.
        if phase.mode is not Mode.ENFORCE or phase.is_confidential:
            began = end = None
        elif began is None or end is None or end < starts_at:
            began = starts_at
        end = phase.ends_at
        if phase.mode is Mode.ENFORCE and (end is None or now < end):
            break
    return 0.0 if began is None else began


def _mapping(counts: object, key: str) -> dict[str, object]:
    found = counts.get(key) if isinstance(counts, dict) else None
    return found if isinstance(found, dict) else {}


def _count(counts: dict[str, object], key: str) -> int | None:
    found = counts.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _digest(files: dict[str, object], path: Path) -> str:
    found = files.get(str(path))
    if found is None:
        same = [value for key, value in files.items() if Path(key).name == path.name]
        found = same[0] if len(same) == 1 else None
    return found if isinstance(found, str) else ""


def _public_url(url: str) -> str:
    """Where a list comes from, without what may be a secret there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
