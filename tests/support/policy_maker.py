"""Small policies for tests, made without any file but the image.

Knows: how to spell rules shortly.  Does not know: YAML.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from resolver.policy.image import AUDIENCE_ALL, Effect, Image
from resolver.policy.policy import Policy
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm
from resolver.publishing.image_writer import ImageWriter
from resolver.wire.names import name_from_text

SEED = 20260101
NO_META: dict[str, Any] = {
    "blocklist": "blocklist.yaml",
    "contact": None,
    "exchanges": [],
    "lists": [],
    "orders": {},
    "counts": {"exchanges": 0, "domains": 0, "list_names": 0, "per_exchange": {}, "per_list": {}},
    "list_problems": [],
}


def make_rule(kind: str = "exchange", label: str = "example", **changes: Any) -> PolicyRule:
    """A rule with the defaults of a blocklist."""
    fields: dict[str, Any] = {
        "kind": kind,
        "label": label,
        "name": label.title(),
        "action": PolicyAction.NXDOMAIN if kind in ("exchange", "list") else PolicyAction.PASSTHRU,
        "mode": Mode.ENFORCE,
        "ttl_s": 300,
        "sinkhole_ipv4": bytes(4),
        "sinkhole_ipv6": bytes(16),
        "ede": 15,
        "ede_text": f"Blocked: {label}",
    }
    return PolicyRule(**{**fields, **changes})


def split_form(text: str) -> tuple[bytes, RuleForm]:
    """`=x`, `*.x` or `x` as a blocklist has it."""
    if text.startswith("="):
        return name_from_text(text[1:]), RuleForm.EXACT
    if text.startswith("*."):
        return name_from_text(text[2:]), RuleForm.BELOW
    return name_from_text(text), RuleForm.SUBTREE


class PolicyMaker:
    """Gathers rules; each call is one line of an imaginary file.

    `audience` is that of the rules added from now on.
    """

    def __init__(self) -> None:
        self.writer = ImageWriter(SEED)
        self.line = 0
        self.audience = AUDIENCE_ALL
        self.rules: list[PolicyRule] = []
        self.allow_rule = make_rule("allow", "allow")
        self.protected_rule = make_rule("protected", "protected")

    def block(self, rule: PolicyRule, *names: str, effect: Effect = Effect.BLOCK) -> PolicyMaker:
        """Names of an exchange or of a list."""
        if rule not in self.rules:
            self.rules.append(rule)
        file = f"{rule.label}.txt" if rule.kind == "list" else "blocklist.yaml"
        for name in names:
            self.line += 1
            owner, form = split_form(name)
            class_id = self.writer.class_of(rule, form, effect, file, self.audience)
            self.writer.add_names(class_id, [owner], [self.line])
        return self

    def list_allow(self, rule: PolicyRule, *names: str) -> PolicyMaker:
        """Names of an allow list."""
        return self.block(rule, *names, effect=Effect.ALLOW)

    def allow(self, *names: str) -> PolicyMaker:
        """Entries of `allow`."""
        return self.block(self.allow_rule, *names, effect=Effect.ALLOW)

    def protect(self, *names: str) -> PolicyMaker:
        """Entries of `protected`."""
        return self.block(self.protected_rule, *names, effect=Effect.PROTECT)

    def addresses(self, rule: PolicyRule, *networks: str) -> PolicyMaker:
        """Networks of an exchange."""
        if rule not in self.rules:
            self.rules.append(rule)
        for network in networks:
            self.line += 1
            class_id = self.writer.class_of(rule, None, Effect.BLOCK, "blocklist.yaml", self.audience)
            self.writer.add_address(class_id, ipaddress.ip_network(network), self.line)
        return self

    def write(self, path: Path) -> Path:
        """Write the image."""
        meta = {**NO_META}
        for kind, key in (("exchange", "exchanges"), ("list", "lists")):
            meta[key] = [self.writer.rule_id(rule) for rule in self.rules if rule.kind == kind]
        self.writer.write(path, meta)
        return path

    def meant_for(self, *groups: int) -> PolicyMaker:
        """The rules from now on are for these groups of clients; none: for everybody."""
        self.audience = sum(1 << group for group in groups) if groups else AUDIENCE_ALL
        return self

    def policy(self, folder: Path) -> Policy:
        """The policy of it."""
        return Policy(self.table(folder))

    def table(self, folder: Path, *, wall: float = 0.0, monotonic: float = 0.0) -> PolicyTable:
        """The table of it."""
        image = Image(self.write(folder / "test.policy"))
        image.verify()
        return PolicyTable(image, 1, wall, monotonic)
