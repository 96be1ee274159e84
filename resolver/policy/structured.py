"""Structured DNS errors: what a client that understands them is told of a blocked name, as JSON.

Knows: the members of the text, which rule may say which, what gives way first.  Does not know: how a rule's
members came to be (`blocklist/told`), how a message is laid out.
Source: draft-ietf-dnsop-structured-dns-error (text of June 2026), which updates RFC 8914.  A client asks for
it with the EDNS option SDE, whose code is not assigned yet; then EXTRA-TEXT is one minified I-JSON object.
Theory: members come here as JSON, escaped once where the policy and the settings were read; so both engines
only put them together, and say the same octets.
"""

from __future__ import annotations

from dataclasses import dataclass

from resolver.policy.verdict import PolicyRule
from resolver.wire.encode import OPT_OCTETS, Options
from resolver.wire.numbers import EdnsOption, ExtendedError
from resolver.wire.query import Query

ERROR_OCTETS = 6
"""An Extended DNS Error option without its text: option code, length and INFO-CODE (RFC 8914 §2)."""


@dataclass(slots=True, frozen=True)
class StructuredErrors:
    """The settings' part: how clients ask for it, and what holds for every rule."""

    option_code: int
    """EDNS option code of SDE."""
    sub_error: int
    """`s` of Blocked answers: 5, the network's policy, or 6, the policy of the DNS service."""
    organization: str = ""
    """The member `o`, as JSON; empty: it is not told."""
    language: str = ""
    """The member `l`, as JSON, which goes with `j` and `o`."""

    @property
    def fields(self) -> tuple[int, int, str, str]:
        """As the native plane takes them."""
        return self.option_code, self.sub_error, self.organization, self.language

    def is_asked_by(self, query: Query) -> bool:
        """Whether the client sent SDE.  One that is longer than 0 octets counts as one of 0."""
        return any(code == self.option_code for code, _ in query.options)

    def options(self, rule: PolicyRule, room: int) -> Options:
        """The Extended DNS Error of a rule in at most `room` octets of OPT; none where it does not fit.

        `j` and `o` give way first, then the rest of the text, then the error.  "Forged Answer" is never told
        beside it.
        """
        room -= OPT_OCTETS + ERROR_OCTETS
        if room < 0:
            return ()
        text = next((text for text in self.texts(rule) if len(text) <= room), b"")
        return ((int(EdnsOption.EXTENDED_ERROR), rule.ede.to_bytes(2, "big") + text),)

    def texts(self, rule: PolicyRule) -> tuple[bytes, bytes]:
        """The whole text, and the one without `j` and `o`; empty where nothing may be told of the rule."""
        if not rule.contacts_json and not rule.reason_json:
            return b"", b""  # Its orders are confidential.
        # Sub-errors 5 and 6 go with Blocked alone; Censored has none at all.
        sub_error = f'"s":{self.sub_error}' if rule.ede == ExtendedError.BLOCKED else ""
        language = self.language if rule.reason_json or self.organization else ""
        whole = (rule.contacts_json, rule.reason_json, sub_error, self.organization, language)
        return _object(*whole), _object(rule.contacts_json, sub_error)


def _object(*members: str) -> bytes:
    """A JSON object of the members that are there; nothing where none is."""
    there = [member for member in members if member]
    return ("{" + ",".join(there) + "}").encode() if there else b""
