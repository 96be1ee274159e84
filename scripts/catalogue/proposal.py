"""What the catalogue should hold, from facts and what people know beside them.

Knows: `facts.yaml` and `curated.yaml`.  Does not know: what stands in a blocklist already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml

from resolver.blocklist.keys import Category
from scripts.catalogue.names import ancestors, covering, registrable_domain, shared_platforms
from scripts.catalogue.packages import release_key

FACTS_FILE = Path(__file__).with_name("facts.yaml")
CURATED_FILE = Path(__file__).with_name("curated.yaml")

ID_PATTERN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Stricter than what a blocklist takes, so that ids read well as metric labels."""


class CuratedError(ValueError):
    """The hand-written data contradicts itself or the facts."""


@dataclass
class Exchange:
    """One entry to be: what is known of a platform, each domain with its sources."""

    label: str
    name: str
    category: str = "exchange"
    releases: set[str] = field(default_factory=set)
    domains: dict[str, list[str]] = field(default_factory=dict)

    def provenance(self) -> str:
        """Say in a few words where the entry comes from; becomes its comment."""
        words = []
        if self.releases:
            first, *_, last = [*sorted(self.releases, key=release_key)] * 2
            words.append(f"ccxt {first}" if first == last else f"ccxt {first} to {last}")
        named = {source for sources in self.domains.values() for source in sources}
        return "; ".join([*words, *sorted(source for source in named if not source.startswith("ccxt"))])


@dataclass(frozen=True)
class Proposal:
    """Every entry, sorted by id, and what was left out with its reason."""

    exchanges: dict[str, Exchange]
    left_out: dict[str, str]

    @property
    def domain_count(self) -> int:
        """Names in all entries together."""
        return sum(len(exchange.domains) for exchange in self.exchanges.values())


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from one of our own data files."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return content


def propose(facts: Mapping[str, Any], curated: Mapping[str, Any]) -> Proposal:
    """Put facts and hand-written data together; raises `CuratedError` when they do not fit."""
    builder = _Builder(curated)
    for label, fact in facts["exchanges"].items():
        builder.add_facts(label, fact)
    builder.add_curated()
    return builder.finish()


class _Builder:
    def __init__(self, curated: Mapping[str, Any]) -> None:
        self._entries: Mapping[str, Any] = curated["exchanges"]
        self._sources: Mapping[str, Any] = curated["sources"]
        self._owners: Mapping[str, str] = curated.get("owners") or {}
        self._narrow: Mapping[str, list[str]] = curated.get("narrow") or {}
        self._excluded: Mapping[str, str] = curated.get("excluded") or {}
        self._shared = shared_platforms()
        self._exchanges: dict[str, Exchange] = {}
        self._left_out: dict[str, str] = {}
        self._label_of: dict[str, str] = {}
        for label, entry in self._entries.items():
            for package_id in entry.get("ccxt") or (label,):
                if self._label_of.setdefault(package_id, label) != label:
                    raise CuratedError(f"{package_id} stands in two entries, also in {label}")

    def add_facts(self, package_id: str, fact: Mapping[str, Any]) -> None:
        """Take what the package says of one id."""
        label = self._label_of.get(package_id, package_id)
        for host, roles in fact["hosts"].items():
            name = self._reduced(host)
            if name is None:
                continue
            owner = self._owners.get(name, label)
            exchange = self._exchange(owner, fact["name"])
            exchange.releases.update(fact["releases"])
            sources = exchange.domains.setdefault(name, [])
            sources.append(f"ccxt {package_id}: {host} ({', '.join(roles)})")

    def add_curated(self) -> None:
        """Take what people wrote; every domain of theirs must be fit to be listed."""
        for label, entry in self._entries.items():
            for source, domains in (entry.get("domains") or {}).items():
                if source not in self._sources:
                    raise CuratedError(f"{label}: no source is called {source}")
                for domain in domains:
                    if self._reduced(domain) != domain:
                        raise CuratedError(f"{label}: {domain} is not to be listed: {self._why_not(domain)}")
                    self._exchange(label, label).domains.setdefault(domain, []).append(source)

    def finish(self) -> Proposal:
        """Check that every name has one owner, and sort."""
        owner_of: dict[str, str] = {}
        for label, exchange in self._exchanges.items():
            if not ID_PATTERN.fullmatch(label):
                raise CuratedError(f"{label}: an id is made of a-z, 0-9 and single -")
            if exchange.category not in get_args(Category):
                raise CuratedError(f"{label}: {exchange.category} is no category")
            for domain in exchange.domains:
                other = owner_of.setdefault(domain, label)
                if other != label:
                    raise CuratedError(f"{domain} belongs to {other} and {label}; say whose in 'owners'")
        for domain, label in owner_of.items():
            for name in ancestors(domain)[1:]:
                if name in owner_of:
                    raise CuratedError(f"{label}: {domain} is below {name} of {owner_of[name]}")
        unused = sorted(set(self._entries) - set(self._exchanges))
        if unused:
            raise CuratedError(f"nothing is known of {', '.join(unused)}")
        for exchange in self._exchanges.values():
            exchange.domains = dict(sorted(exchange.domains.items()))
        return Proposal(dict(sorted(self._exchanges.items())), dict(sorted(self._left_out.items())))

    def _exchange(self, label: str, name: str) -> Exchange:
        if label not in self._exchanges:
            entry = self._entries.get(label) or {}
            self._exchanges[label] = Exchange(
                label, entry.get("name", name), entry.get("category", "exchange")
            )
        return self._exchanges[label]

    def _reduced(self, host: str) -> str | None:
        """Give the name under which `host` is listed; None (and the reason kept) when it is not."""
        if why := self._why_not(host):
            self._left_out[host] = why
            return None
        domain = registrable_domain(host)
        assert domain is not None
        if domain not in self._narrow:
            return domain
        return covering(host, dict.fromkeys(self._narrow[domain]))

    def _why_not(self, host: str) -> str:
        """Say why a host is not listed; empty when it is."""
        if shared := covering(host, self._shared):
            return f"{shared} is shared ({self._shared[shared]})"
        domain = registrable_domain(host)
        if domain is None:
            return "a public suffix"
        if domain in self._excluded:
            return self._excluded[domain]
        if domain in self._narrow and covering(host, dict.fromkeys(self._narrow[domain])) is None:
            return f"of {domain} only {', '.join(self._narrow[domain])} is listed"
        return ""
