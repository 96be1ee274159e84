"""The policies of `tests/vectors/policy.yaml`: one of every kind, and some that nobody would write.

Knows: blocklists, lists, and which names are worth a question.  Does not know: what an engine says of them.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

from resolver.policy.image import AUDIENCE_ALL, Effect
from resolver.policy.verdict import LocalData, Mode, PolicyAction, PolicyRule, RuleForm, joined_phases
from resolver.publishing.image_writer import ImageWriter
from resolver.wire.names import name_from_text

NO_META: dict[str, Any] = {
    "blocklist": "blocklist.yaml",
    "contact": None,
    "exchanges": [],
    "lists": [],
    "orders": {},
    "counts": {},
    "list_problems": [],
}
NEW_YEAR = 1893456000.0
"""2030-01-01 00:00 UTC, when something of the blocklist begins and something ends."""
RANDOM_POLICIES = 10
AUDIENCES = (AUDIENCE_ALL, AUDIENCE_ALL, AUDIENCE_ALL, 1 << 5, AUDIENCE_ALL ^ 1 << 5)
"""Everybody, one group, all but that one."""

BLOCKLIST = """\
version: 1
defaults: {ttl_s: 300, contact: "mailto:noc@example.net"}
orders:
  house: {authority: Example, title: House rules, imposed_by: house}
  order: {authority: Example Authority, title: An order, reference: EX-1, imposed_by: external}
  until: {authority: A, title: It ends, reference: E2, until: 2030-01-01, measure: {cname: notice.example}}
  from: {authority: Example, title: It begins, reference: EX-3, from: 2030-02-01, measure: {ipv4: 192.0.2.99}}
  silent: {authority: Example, title: Nobody is told, reference: EX-4, confidential: true}
  quiet: {authority: Example, title: It is tried, mode: shadow, imposed_by: house, from: 2030-01-01}
exchanges:
  plain: {name: Plain, order: order, domains: [plain.example, "=exact.example", "*.below.example"]}
  nodata: {name: Nodata, action: nodata, ttl_s: 60, domains: [nodata.example], addresses: [192.0.2.0/24]}
  sinkhole:
    name: Sinkhole
    action: sinkhole
    sinkhole: {ipv4: 192.0.2.53, ipv6: "2001:db8::53"}
    domains: [sinkhole.example, "=exact.sinkhole.nodata.example"]
    addresses: [198.51.100.64/26, "2001:db8:64::/48"]
  refused: {name: Refused, action: refused, domains: [refused.example], addresses: [198.51.100.96/28]}
  drop: {name: Drop, action: drop, domains: [drop.example]}
  shadow: {name: Shadow, mode: shadow, domains: [shadow.example, deep.plain.example]}
  shadowed: {name: Shadowed, action: sinkhole, mode: shadow, addresses: [203.0.113.0/24]}
  disabled: {name: Disabled, mode: disabled, domains: [disabled.example]}
  coming: {name: Coming, from: 2030-01-01, domains: [coming.example, soon.plain.example]}
  going: {name: Going, until: 2030-01-01, domains: [going.example], addresses: [203.0.113.64/26]}
  season:
    name: A season whose long name is cut somewhere near the end of a short message
    action: sinkhole
    from: 2030-01-01
    until: 2030-02-01
    domains: [season.example]
  listed: {name: Listed, domains: [allowed.hosts.example]}
  turning: {name: Turning, order: [until, from, quiet], domains: [turning.example], addresses: [203.0.113.32]}
  concealed: {name: Concealed, order: silent, action: sinkhole, domains: [concealed.example]}
  half: {name: Half, order: [silent, until], domains: [half.example]}
  later: {name: Later, domains: [later.example, below.later.example]}
allow:
- "=allowed.plain.example"
- good.plain.example
- "*.nodata.example"
- "=listed.hosts.example"
- {name: "=x.later.example", from: 2030-01-01, through: 2030-01-31, reason: a trial}
- {name: "*.below.later.example", from: 2030-02-01}
- {name: y.turning.example, until: 2030-01-01}
protected: [update.plain.example]
lists:
- {name: hosts, path: hosts.txt, format: hosts}
- {name: domains, path: domains.txt, format: domains, action: nodata, ttl_s: 30}
- {name: fine, path: fine.txt, format: domains, kind: allow}
- {name: zone, path: zone.rpz, format: rpz, ttl_s: 20}
- {name: cited, path: cited.txt, format: domains, order: [from, silent], until: 2030-02-02}
"""
LISTS = {
    "hosts.txt": """\
0.0.0.0 hosts.example
0.0.0.0 allowed.hosts.example
0.0.0.0 listed.hosts.example
0.0.0.0 plain.example
""",
    "domains.txt": "domains.example\nwww.hosts.example\nsub.zone.example\n",
    "cited.txt": "cited.example\nz.later.example\n",
    "fine.txt": "fine.domains.example\nfine.zone.example\nfine.plain.example\n",
    "zone.rpz": """\
nx.zone.example CNAME .
*.nx.zone.example CNAME .
nodata.zone.example CNAME *.
pass.nx.zone.example CNAME rpz-passthru.
drop.zone.example CNAME rpz-drop.
*.drop.zone.example CNAME rpz-drop.
tcp.zone.example CNAME rpz-tcp-only.
*.tcp.zone.example CNAME rpz-tcp-only.
*.wild.zone.example CNAME .
four.zone.example A 192.0.2.4
four.zone.example A 192.0.2.44
six.zone.example AAAA 2001:db8::6
both.zone.example A 192.0.2.10
both.zone.example AAAA 2001:db8::10
*.both.zone.example A 192.0.2.10
walled.zone.example CNAME garden.example.net.
*.walled.zone.example CNAME *.garden.example.net.
24.0.2.0.192.rpz-ip CNAME .
28.16.2.0.192.rpz-ip CNAME rpz-passthru.
32.1.100.51.198.rpz-ip CNAME rpz-tcp-only.
26.128.113.0.203.rpz-ip CNAME *.
28.240.113.0.203.rpz-ip A 192.0.2.99
48.zz.99.db8.2001.rpz-ip CNAME .
sub.zone.example CNAME .
""",
}
OWNERS = """\
plain exact below nodata sinkhole refused drop shadow disabled coming going season hosts domains zone nobody
turning concealed half later cited
"""
SPECIAL = """\
allowed.plain.example www.allowed.plain.example good.plain.example a.good.plain.example
update.plain.example a.update.plain.example soon.plain.example a.soon.plain.example deep.plain.example
a.deep.plain.example fine.plain.example exact.sinkhole.nodata.example x.nodata.example a.x.nodata.example
listed.hosts.example allowed.hosts.example www.hosts.example a.www.hosts.example fine.domains.example
fine.zone.example sub.zone.example a.sub.zone.example nx.zone.example a.nx.zone.example
pass.nx.zone.example nodata.zone.example drop.zone.example a.drop.zone.example tcp.zone.example
a.tcp.zone.example wild.zone.example
a.wild.zone.example four.zone.example six.zone.example both.zone.example a.both.zone.example
walled.zone.example a.walled.zone.example x.later.example a.x.later.example below.later.example
a.below.later.example z.later.example y.turning.example a.y.turning.example example net .
"""
LONG = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 30])
"""With `walled.zone.example` behind it, a name whose redirection is too long."""
ADDRESS_TEXTS = """\
192.0.2.1 192.0.2.17 192.0.2.255 192.0.3.0 198.51.100.1 198.51.100.63 198.51.100.64 198.51.100.100
203.0.113.1 203.0.113.70 203.0.113.129 203.0.113.250 2001:db8:64::1 2001:db8:99::1 2001:db8:65::1
0.0.0.0 255.255.255.255 :: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::ffff:192.0.2.1
"""
ADDRESSES = [ipaddress.ip_address(text).packed for text in ADDRESS_TEXTS.split()]


@dataclass(frozen=True, slots=True)
class Example:
    """One policy, and what to ask of it."""

    name: str
    times: list[tuple[float, float]]
    """Wall and monotonic seconds."""
    names: list[str]
    addresses: list[bytes] = field(default_factory=lambda: ADDRESSES)
    response_count: int = 60
    groups: tuple[int, ...] = (0,)
    """Of clients: whose verdicts are told."""


class Written(NamedTuple):
    """A blocklist on disk."""

    path: Path
    example: Example


def written_blocklist(folder: Path) -> Written:
    """Write the blocklist of every kind and its lists into `folder`."""
    path = folder / "blocklist.yaml"
    path.write_text(BLOCKLIST)
    for name, text in LISTS.items():
        (folder / name).write_text(text)
    names = [f"{front}{owner}.example" for owner in OWNERS.split() for front in ("", "www.")]
    names += [*SPECIAL.split(), f"{LONG}.walled.zone.example", f"{LONG}.plain.example"]
    times = [(NEW_YEAR - 100.25, 5000.5), (NEW_YEAR, 0.0), (NEW_YEAR + 31 * 86400, 7.75)]
    return Written(path, Example("a blocklist of every kind", times, names, response_count=120))


def direct(chance: random.Random) -> Iterator[tuple[Example, ImageWriter]]:
    """Policies that no blocklist may have, and some made by chance."""
    yield _root_and_top()
    yield _for_groups()
    for number in range(RANDOM_POLICIES):
        yield _by_chance(number, chance)
    yield Example("nothing", [(0.0, 0.0)], ["www.example.org", "."], response_count=5), ImageWriter(0)


def _rule(kind: str, label: str, **changes: Any) -> PolicyRule:
    fields: dict[str, Any] = {
        "kind": kind,
        "label": label,
        "name": label.title(),
        "action": PolicyAction.NXDOMAIN,
        "mode": Mode.ENFORCE,
        "ttl_s": 300,
        "sinkhole_ipv4": bytes(4),
        "sinkhole_ipv6": bytes(16),
        "ede": 15,
        "ede_text": f"Blocked: {label}",
    }
    return PolicyRule(**{**fields, **changes})


def _root_and_top() -> tuple[Example, ImageWriter]:
    writer = ImageWriter(7)
    told = {"contacts_json": '"c":["tel:+1"]', "reason_json": '"j":"' + "ü" * 100 + '"'}
    everything, top = (
        _rule("exchange", "all", ede_text="ü" * 100, **told),
        _rule("exchange", "top", ede_text=""),
    )
    writer.add_names(
        writer.class_of(everything, RuleForm.SUBTREE, Effect.BLOCK, "one"), [name_from_text(".")], [1]
    )
    writer.add_names(
        writer.class_of(top, RuleForm.BELOW, Effect.BLOCK, "one"), [name_from_text("example")], [2]
    )
    passing = _rule("allow", "allow", action=PolicyAction.PASSTHRU)
    writer.add_names(
        writer.class_of(passing, RuleForm.EXACT, Effect.ALLOW, "one"),
        [name_from_text("www.example.org"), name_from_text("net")],
        [3, 4],
    )
    names = [".", "example", "www.example", "example.org", "www.example.org", "a.www.example.org", "net"]
    names += ["org", "www.net"]
    return Example("rules of the root and of top-level domains", [(0.0, 1.0)], names), writer


FOR_GROUPS: tuple[tuple[str, Effect, str, tuple[int, ...]], ...] = (
    # Source, what its rules do, names as a blocklist has them, and for which groups; none: for everybody.
    ("exchange-all", Effect.BLOCK, "all.test holed.test nested.wide.test", ()),
    ("allow-one", Effect.ALLOW, "good.holed.test =good.listed.test", (1,)),
    ("exchange-all", Effect.BLOCK, "=gap.test *.mirror.test shared.test", ()),
    ("exchange-one", Effect.BLOCK, "*.gap.test =mirror.test one.test wide.test =shared.test", (1,)),
    ("exchange-last", Effect.BLOCK, "last.test one.test shared.test", (63,)),
    ("exchange-some", Effect.BLOCK, "some.test a.some.test", (0, 63)),
    ("exchange-nobody", Effect.BLOCK, "nobody.test", (64,)),
    ("shadow-one", Effect.BLOCK, "quiet.test all.test", (1,)),
    ("coming-one", Effect.BLOCK, "soon.test x.all.test", (1,)),
    ("protected-one", Effect.PROTECT, "kept.one.test", (1, 63)),
    ("list-all", Effect.BLOCK, "listed.test quiet.test one.test", ()),
    ("list-one", Effect.BLOCK, "more.listed.test gap.test", (1,)),
    ("list-one", Effect.ALLOW, "fine.listed.test", (1,)),
    ("list-last", Effect.ALLOW, "listed.test", (63,)),
)
FOR_GROUPS_ADDRESSES: tuple[tuple[str, Effect, str, tuple[int, ...]], ...] = (
    ("exchange-all", Effect.BLOCK, "192.0.2.0/24", ()),
    ("exchange-one", Effect.BLOCK, "192.0.2.16/28 198.51.100.0/24", (1,)),
    ("shadow-one", Effect.BLOCK, "198.51.100.96/28", (1,)),
    ("list-all", Effect.BLOCK, "203.0.113.0/24", ()),
    ("list-last", Effect.ALLOW, "203.0.113.64/26", (63,)),
)
_FORMS = {"=": RuleForm.EXACT, "*": RuleForm.BELOW}


def _for_groups() -> tuple[Example, ImageWriter]:
    """Rules, exceptions and gaps that some clients have and others have not."""
    writer = ImageWriter(8)
    rules: dict[str, PolicyRule] = {}

    def class_of(source: str, form: RuleForm | None, effect: Effect, groups: tuple[int, ...]) -> int:
        kind = source.partition("-")[0]
        if source not in rules:
            rules[source] = _rule(
                kind if kind in ("allow", "protected", "list") else "exchange",
                source,
                action=PolicyAction.PASSTHRU if kind in ("allow", "protected") else PolicyAction.NXDOMAIN,
                mode=Mode.SHADOW if kind == "shadow" else Mode.ENFORCE,
                starts_at=NEW_YEAR if kind == "coming" else None,
            )
        audience = sum(1 << group for group in groups) & AUDIENCE_ALL if groups else AUDIENCE_ALL
        return writer.class_of(rules[source], form, effect, "one", audience)

    names = ["test", "a.b.test", "."]
    for line, (source, effect, texts, groups) in enumerate(FOR_GROUPS, start=1):
        for text in texts.split():
            owner = text.lstrip("=*.")
            class_id = class_of(source, _FORMS.get(text[0], RuleForm.SUBTREE), effect, groups)
            writer.add_names(class_id, [name_from_text(owner)], [line])
            names += [owner, f"www.{owner}"]
    for line, (source, effect, texts, groups) in enumerate(FOR_GROUPS_ADDRESSES):
        for text in texts.split():
            writer.add_address(class_of(source, None, effect, groups), ipaddress.ip_network(text), line)
    asked = list(dict.fromkeys(names))
    times = [(NEW_YEAR - 1.5, 20.0)]
    example = Example("rules for some clients", times, asked, response_count=40, groups=(0, 1, 2, 63))
    return example, writer


def _by_chance(number: int, chance: random.Random) -> tuple[Example, ImageWriter]:
    """Many rules on few names, so that they meet."""
    writer = ImageWriter(chance.getrandbits(64))
    rules = [_rule_by_chance(place, chance) for place in range(10)]
    names = [
        ".".join(labels)
        for depth in (1, 2, 3)
        for labels in product("ab", repeat=depth)
        if depth > number % 2
    ]
    for line in range(1, 12 + 4 * number):
        rule = chance.choice(rules)
        effect = {"allow": Effect.ALLOW, "protected": Effect.PROTECT}.get(rule.kind, Effect.BLOCK)
        if rule.kind == "list" and chance.random() < 0.3:
            effect = Effect.ALLOW
        form, audience = chance.choice(list(RuleForm)), chance.choice(AUDIENCES)
        class_id = writer.class_of(rule, form, effect, f"file {line % 3}", audience)
        writer.add_names(class_id, [name_from_text(chance.choice(names))], [line])
    for line in range(8):
        rule = chance.choice([rule for rule in rules if rule.kind in ("exchange", "list")])
        is_allowed = rule.kind == "list" and chance.random() < 0.3
        effect = Effect.ALLOW if is_allowed else Effect.BLOCK
        class_id = writer.class_of(rule, None, effect, "file 0", chance.choice(AUDIENCES))
        length = chance.choice((0, 8, 24, 25, 26, 32))
        network = ipaddress.ip_network((chance.choice(("192.0.2.17", "203.0.113.70")), length), strict=False)
        if line == 7:
            network = ipaddress.ip_network("2001:db8::/32")
        writer.add_address(class_id, network, line)
    asked = [f"{front}{name}" for name in names for front in ("", "c.")] + ["c", "."]
    if number % 2 == 0:
        asked = [*chance.sample(asked, 24), "c", "a", "."]
    times = [(0.0, 0.0), (1000.0, 3.5)] if number % 2 else [(500.0, 123.25)]
    groups = (0,) if number % 2 else (0, 5)
    return Example(f"rules by chance {number}", times, asked, groups=groups), writer


def _rule_by_chance(place: int, chance: random.Random) -> PolicyRule:
    kind = ("exchange", "list", "exchange", "list", "allow", "list", "exchange", "list", "protected", "list")[
        place
    ]
    action = chance.choice(list(PolicyAction)[1:])
    local_data = None
    if action is PolicyAction.LOCAL_DATA:
        local_data = chance.choice(
            (
                LocalData((bytes(range(4)), bytes(range(16)), bytes(4))),
                LocalData((), name_from_text("garden.example")),
                LocalData((), b"\x01*" + name_from_text("garden.example")),
                None,
            )
        )
    if kind in ("allow", "protected"):
        action = PolicyAction.PASSTHRU
    moments = [None, None, None, 250.0, 750.0, 1000.0, 1500.5]
    rule = _rule(
        kind,
        f"{kind}-{place}",
        action=action,
        mode=chance.choice((Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW, Mode.DISABLED)),
        ttl_s=chance.choice((0, 60, 300, 86400)),
        ede=chance.choice((15, 16, 17)),
        ede_text=chance.choice(("", "a text", "a longer text that says who, why and where " * 4)),
        contacts_json=chance.choice(("", '"c":["mailto:noc@example.net","tel:+1-555-0100"]')),
        reason_json=chance.choice(
            ("", '"j":"Réseau: \\"12/3\\""', '"j":"' + "who, why and where " * 10 + '"')
        ),
        starts_at=chance.choice(moments),
        ends_at=chance.choice(moments),
        sinkhole_ipv4=b"\xc0\0\2\1",
        local_data=local_data,
    )
    if chance.random() < 0.6:
        return rule
    cuts = sorted(
        chance.sample([moment for moment in moments if moment is not None], chance.choice((2, 3, 4)))
    )
    phases = [
        replace(
            rule,
            starts_at=start,
            ends_at=end,
            mode=chance.choice((Mode.ENFORCE, Mode.SHADOW)),
            ede_text=f"phase {start}",
        )
        for start, end in pairwise([None, *cuts, None])
        if chance.random() < 0.7
    ]
    return joined_phases(phases, ()) if len(phases) > 1 else rule
