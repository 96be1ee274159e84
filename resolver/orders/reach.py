"""How far a host of an order may be blocked, and why some must not be.

Knows: shared platforms, public suffixes, protected names.  Does not know: how an order writes its hosts.
Theory: an order for one page, channel or app is never an order for the platform that carries it.  A
customer's own label on a host of many sites (`acme.github.io`) is taken as exactly that name.
"""

from __future__ import annotations

from enum import StrEnum

from resolver.known_names.hosting import is_customers_own
from resolver.known_names.infrastructure import infrastructure
from resolver.known_names.protected import built_in_protected
from resolver.known_names.public_suffixes import above_suffixes, is_public_suffix
from resolver.known_names.shared_platforms import above_shared_platforms, shared_platforms
from resolver.policy.verdict import RuleForm
from resolver.wire.names import name_to_text, suffix_offsets


class Reason(StrEnum):
    """Why something that an order names is not enforced: a closed set, for metrics and reports."""

    SHARED_PLATFORM = "shared_platform"
    """A page, channel or app on a platform of many."""
    PUBLIC_SUFFIX = "public_suffix"
    PROTECTED = "protected"
    ADDRESS_ONLY = "address_only"
    """A network address: a name is what DNS knows."""
    MAIL_ADDRESS = "mail_address"
    NOT_DNS = "not_dns"
    """An app's link, a name of Tor: nobody asks DNS for it."""
    UNKNOWN_TOP_LEVEL = "unknown_top_level"
    INVALID = "invalid"
    DOUBTFUL = "doubtful"
    """It may be meant; a person has to say so."""
    NO_ADDRESS = "no_address"
    """A platform's name alone, or words."""
    EXCEPTED = "excepted"
    """An exception of the blocklist (`allow`) is in the way."""
    NOT_CITED = "not_cited"
    """What blocks it does not cite the order."""
    NOT_BLOCKED = "not_blocked"
    """Nothing in the blocklist is about it."""
    NOT_IN_FORCE = "not_in_force"
    """What blocks it is in shadow, disabled, not yet or no longer in force."""


def reach_of(owner: bytes, form: RuleForm, *, has_path: bool) -> tuple[RuleForm, Reason | None, str]:
    """The form in which a host (wire form) may be blocked; or the reason why not, and a sentence."""
    protected = built_in_protected()
    names = [owner[at:] for at in suffix_offsets(owner)]
    for name in names:
        if name in protected:
            return form, Reason.PROTECTED, f"is protected ({protected[name]})"
    is_customers = is_customers_own(owner)
    if is_customers:
        return (RuleForm.EXACT if form is RuleForm.SUBTREE else form), None, ""
    shared, behind = shared_platforms(), infrastructure()
    for name in names:
        what = shared.get(name) or behind.get(name)
        if what is not None:
            text = name_to_text(name)
            asked = "one page there" if has_path else "one customer of it"
            platform = f"{text} is a shared platform ({what})"
            why = f"cannot be enforced by DNS: {platform}, and DNS does not know {asked}"
            return form, Reason.SHARED_PLATFORM, why
    if is_public_suffix(owner):
        return form, Reason.PUBLIC_SUFFIX, "is a public suffix: the names under it belong to many"
    if is_customers is False:
        why = "cannot be enforced by DNS: it belongs to a host of many sites, not to a customer of it"
        return form, Reason.SHARED_PLATFORM, why
    above = above_shared_platforms()
    if owner in above:
        why = f"covers {name_to_text(above[owner])!r}, a shared platform"
        return form, Reason.SHARED_PLATFORM, why
    if covered := above_suffixes().get(owner):
        return form, Reason.PUBLIC_SUFFIX, f"covers {covered!r}: the names under it belong to many"
    for name, reason in protected.items():
        if name.endswith(owner) and any(name[at:] == owner for at in suffix_offsets(name)):
            return form, Reason.PROTECTED, f"covers {name_to_text(name)!r}, which is protected ({reason})"
    return form, None, ""
