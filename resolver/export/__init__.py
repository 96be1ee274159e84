"""The enforced policy for other resolvers: one module per family of formats.

Knows: which format is written by which module, into how many files.  Does not know: the disk.
Everything streams: no export holds more than a few octets per name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath

from resolver import __version__
from resolver.export import bind, dnsmasq, rpz, textlists, unbound
from resolver.export.losses import Loss, Losses, LossKind, note_times
from resolver.export.tree import PolicyTree
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import PolicyAction

__all__ = ["FORMATS", "Export", "ExportFile", "Loss", "LossKind", "export_policy"]

Lines = Callable[[PolicyTree, Losses, list[str]], Iterator[str]]

_SINGLE: dict[str, tuple[Lines, tuple[str, ...]]] = {
    "unbound": (unbound.configuration_lines, unbound.LIMITS),
    "dnsmasq": (dnsmasq.configuration_lines, dnsmasq.LIMITS),
    "hosts": (textlists.hosts_lines, textlists.HOSTS_LIMITS),
    "domains": (textlists.domains_lines, textlists.DOMAINS_LIMITS),
    "adblock": (textlists.adblock_lines, textlists.ADBLOCK_LIMITS),
}
FORMATS = ("rpz", *_SINGLE, "bind")
"""In the order in which they are offered."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export; its lines can be read once."""

    path: PurePath | None
    """None: the format needs no file of its own, any stream will do."""
    lines: Iterator[str]


@dataclass(frozen=True, slots=True)
class Export:
    """An export to be written; `losses` are known once all files have been."""

    files: tuple[ExportFile, ...]
    limits: tuple[str, ...]
    """What the format never says, whatever the policy."""
    losses: Losses


def export_policy(table: PolicyTable, list_format: str, wall: float, output: PurePath | None) -> Export:
    """Prepare the export of `table`, which was made as of `wall` (Unix seconds).

    `output` is where it will be: BIND's files name each other.  Raises ValueError where a format
    needs it and it is None.
    """
    losses = Losses()
    is_zone = list_format in ("rpz", "bind")
    tree = PolicyTree(table, knows_tcp_only=is_zone)
    if not is_zone:
        for rule in tree.block_rules(enforced_only=True):
            if rule.action is PolicyAction.TCP_ONLY:
                losses.note(LossKind.TCP_ONLY, f"{rule.kind} {rule.label}")
    note_times(tree, wall, losses)
    losses.count(LossKind.CONFIDENTIAL, tree.concealed_rule_count())
    moment = datetime.fromtimestamp(int(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    header = [f"Written by exchange-resolver {__version__}: the policy in force at {moment}."]
    if list_format in _SINGLE:
        lines, limits = _SINGLE[list_format]
        header += ["Not said here: " + limit for limit in limits]
        return Export((ExportFile(output, lines(tree, losses, header)),), limits, losses)
    if list_format == "rpz":
        header += ["Not said here: " + limit for limit in rpz.LIMITS]
        return Export((ExportFile(output, rpz.zone_lines(tree, losses, header, wall)),), rpz.LIMITS, losses)
    if output is None:
        raise ValueError("bind takes three files: give --output FILE, the others are put beside it")
    zone_file, options_file = output.with_suffix(".zone"), output.with_suffix(".options.conf")
    if zone_file == output:
        raise ValueError(f"{output} is what the zone will be called: give --output another ending")
    files = (
        ExportFile(zone_file, rpz.zone_lines(tree, losses, header, wall)),
        ExportFile(options_file, bind.options_lines(tree, losses, header)),
        ExportFile(output, bind.clause_lines(header, str(zone_file), str(options_file))),
    )
    return Export(files, bind.LIMITS, losses)
