"""What a change of the policy makes worth asking again.

Knows: two tables.  Does not know: files, when a policy changed, how anything is asked.
Theory: each name that a rule has, with all that decides an answer by it, becomes one number.  Names whose
numbers are not the same in both tables have changed.  Where a rule went, those above it speak now; where an
exception came or went, it may open or have opened what is below it.
"""

from __future__ import annotations

from collections.abc import Iterator

from xxhash import xxh3_64_intdigest

from resolver.audit.subjects import references
from resolver.policy.image import Effect
from resolver.policy.table import PolicyTable
from resolver.wire.names import suffix_offsets


def changed_names(before: PolicyTable, after: PolicyTable) -> frozenset[bytes]:
    """The names (wire form, lower case) whose rules are not what they were, and those above rules that went.

    And those below exceptions that came, went or changed.

    Each table is true for its own moment, so dates that came count, too.  Takes some 100 octets for each name
    of both while it works.
    """
    known = {number for _, number, _ in _numbered(before)}
    numbers = set()
    changed = set()
    openings = set()
    for name, number, is_exception in _numbered(after):
        numbers.add(number)
        if number not in known:
            changed.add(name)
            if is_exception:
                openings.add(name)
    for name, number, is_exception in _numbered(before):
        if number not in numbers:
            changed.update(name[at:] for at in suffix_offsets(name))
            if is_exception:
                openings.add(name)
    if openings:
        changed.update(
            name
            for name, _, _ in references(after)
            if any(name[at:] in openings for at in suffix_offsets(name))
        )
    return frozenset(changed)


def _numbered(table: PolicyTable) -> Iterator[tuple[bytes, int, bool]]:
    """Each name of the table, the number of what one rule says of it, and whether that is an exception."""
    classes = table.image.classes
    seeds = [_seed_of(table, class_id) for class_id in range(len(classes))]
    for name, class_id, _ in references(table):
        is_exception = classes[class_id].effect in (Effect.PROTECT, Effect.ALLOW)
        yield name, xxh3_64_intdigest(name, seeds[class_id]), is_exception


def _seed_of(table: PolicyTable, class_id: int) -> int:
    """All that a class of rules says beside the name."""
    state = table.class_state(class_id)
    origin, rule = state.origin, state.rule
    said = (
        rule.kind,
        rule.id,
        origin.form,
        origin.effect,
        state.is_enforced,
        rule.action,
        rule.sinkhole_ipv4,
        rule.sinkhole_ipv6,
        rule.local_data,
        rule.ttl_s,
        rule.ede,
        rule.ede_text,
    )
    return xxh3_64_intdigest(repr(said).encode())
