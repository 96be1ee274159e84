"""Why a query was blocked: what of it or of its answer a rule spoke of, and which rule.

Knows: verdicts.  Does not know: what is made of it.  The mirror of `native/core/src/records/why.rs`.
"""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple

from resolver.observe.clients import address_text
from resolver.observe.tally import COUNTED_KINDS
from resolver.policy.verdict import RuleForm, Verdict
from resolver.wire.names import name_to_text

QNAME: Final = "qname"
"""The question's name."""
CHAIN: Final = "chain"
"""A later name of the chain that the answer makes."""
SERVICE: Final = "service"
"""The target of a service record in the answer."""
ADDRESS: Final = "address"
"""An address in the answer."""

_MARKS: Final = {RuleForm.EXACT: "=", RuleForm.BELOW: "*.", RuleForm.SUBTREE: ""}
"""What stands before a rule's name in blocklists."""


class Why(NamedTuple):
    """Why one query was blocked."""

    matched: str
    """One of the words above."""
    form: RuleForm | None
    """How far the rule reaches; None: it is for addresses."""
    owner: bytes
    """The rule's owner, wire form, lower case; of a rule for addresses its network, as text."""
    value: bytes
    """The name, wire form, lower case, or the packed address."""

    @property
    def rule(self) -> str:
        """The rule as blocklists have it."""
        if self.form is None:
            return self.owner.decode()
        return _MARKS[self.form] + name_to_text(self.owner)

    @property
    def value_text(self) -> str:
        """The name or address."""
        if self.form is None:
            return address_text(self.value)
        return name_to_text(self.value)


def why_of(verdict: Verdict, qname: bytes) -> Why | None:
    """Why `verdict` blocks `qname` or its answer; None: it does not."""
    match = verdict.match
    if match is None or not verdict.is_blocked or match.rule.kind not in COUNTED_KINDS:
        return None
    cause = verdict.cause
    if cause is not None:
        if match.form is None:
            network = ipaddress.ip_network((match.owner, cause.network_bits))
            return Why(ADDRESS, None, str(network).encode(), cause.value)
        return Why(SERVICE, match.form, match.owner, cause.value)
    if verdict.denied and verdict.denied != qname:
        return Why(CHAIN, match.form, match.owner, verdict.denied)
    return Why(QNAME, match.form, match.owner, qname)
