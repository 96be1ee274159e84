"""The catalogue that ships: enough of it, every name fit to be listed, every name with a source."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.known_names.public_suffixes import is_public_suffix
from resolver.policy.verdict import RuleForm
from resolver.wire.names import name_from_text, name_to_text
from scripts.catalogue.merge import merge
from scripts.catalogue.names import ancestors, covering, registrable_domain, shared_platforms
from scripts.catalogue.packages import release_key
from scripts.catalogue.proposal import (
    CURATED_FILE,
    FACTS_FILE,
    ID_PATTERN,
    Proposal,
    propose,
    read_yaml,
)
from tests.support.for_each import for_each

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "blocklist.yaml"
OFFERED = ROOT / "scripts" / "catalogue" / "offered.yaml"


@pytest.fixture(scope="module")
def shipped() -> Blocklist:
    blocklist, problems = read_blocklist(SHIPPED)
    assert problems == []
    assert blocklist is not None
    return blocklist


@pytest.fixture(scope="module")
def domains(shipped: Blocklist) -> dict[str, str]:
    """Name -> exchange."""
    return {
        name_to_text(rule.owner): rule.rule.label for rule in shipped.name_rules if rule.effect == "block"
    }


@pytest.fixture(scope="module")
def proposed() -> Proposal:
    return propose(read_yaml(FACTS_FILE), read_yaml(CURATED_FILE))


def test_there_are_150_exchanges_and_350_registrable_domains(
    shipped: Blocklist, domains: dict[str, str]
) -> None:
    assert len(shipped.exchanges) >= 150
    assert len({registrable_domain(domain) for domain in domains}) >= 350


def test_every_kind_of_platform_is_there(shipped: Blocklist) -> None:
    assert {rule.category for rule in shipped.exchanges} == {
        "exchange", "ico", "otc", "payment", "media", "other",
    }  # fmt: skip


def test_ids_are_labels_and_stand_in_order(shipped: Blocklist) -> None:
    labels = [rule.label for rule in shipped.exchanges]
    assert all(ID_PATTERN.fullmatch(label) for label in labels)
    assert labels == sorted(labels)


def test_domains_stand_in_order() -> None:
    for label, entry in yaml.safe_load(SHIPPED.read_text())["exchanges"].items():
        assert entry["domains"] == sorted(entry["domains"]), label


def test_no_entry_is_a_public_suffix(domains: dict[str, str]) -> None:
    assert [domain for domain in domains if is_public_suffix(name_from_text(domain))] == []


def test_a_public_suffix_would_be_found() -> None:
    assert registrable_domain("co.uk") is None
    assert registrable_domain("github.io") is None
    assert registrable_domain("www.huobi.br.com") == "huobi.br.com"
    assert registrable_domain("api.bit2c.co.il") == "bit2c.co.il"


def test_no_entry_is_a_shared_platform_or_under_one_or_above_one(domains: dict[str, str]) -> None:
    shared = shared_platforms()
    assert [domain for domain in domains if covering(domain, shared)] == []
    assert [name for name in shared if covering(name, domains)] == []


@for_each(
    "host",
    [
        "acme.github.io", "github.com", "acme.gitbook.io", "acme.readme.io", "acme.zendesk.com", "acme.docs.apiary.io",
        "medium.com", "t.me", "d111.cloudfront.net", "acme.s3.amazonaws.com", "storage.googleapis.com", "apps.apple.com",
        "play.google.com", "docs.google.com", "twitter.com", "acme.intercom.help", "acme.herokuapp.com",
    ],
)  # fmt: skip
def test_shared_platforms_are_known_with_a_reason(host: str) -> None:
    shared = shared_platforms()
    name = covering(host, shared)
    assert name is not None and shared[name]


def test_a_platform_of_its_own_is_not_taken_for_a_shared_one() -> None:
    assert covering("api.acme.example", shared_platforms()) is None
    assert covering("notgithub.com", shared_platforms()) is None


def test_nothing_is_listed_twice(shipped: Blocklist, domains: dict[str, str]) -> None:
    blocks = [rule for rule in shipped.name_rules if rule.effect == "block"]
    assert len(blocks) == len(domains)
    assert {rule.form for rule in blocks} == {RuleForm.SUBTREE}
    assert [domain for domain in domains if covering(domain.partition(".")[2], domains)] == []


def test_every_domain_has_a_source(domains: dict[str, str], proposed: Proposal) -> None:
    backed = {name: label for label, entry in proposed.exchanges.items() for name in entry.domains}
    assert {domain: label for domain, label in domains.items() if backed.get(domain) != label} == {}
    assert all(sources for entry in proposed.exchanges.values() for sources in entry.domains.values())


def test_every_exclusion_says_why(proposed: Proposal) -> None:
    excluded = read_yaml(CURATED_FILE)["excluded"]
    assert all(isinstance(why, str) and len(why) > 10 for why in excluded.values())
    listed = {name for entry in proposed.exchanges.values() for name in entry.domains}
    assert not listed & {name for domain in excluded for name in ancestors(domain)}


def test_a_bank_and_a_slip_of_the_pen_are_not_blocked(domains: dict[str, str]) -> None:
    assert domains["exchange.revolut.com"] == "revolut-x"
    for stranger in (
        "revolut.com",
        "www.revolut.com",
        "pro.com",
        "stripe.com",
        "alpaca.markets",
        "github.com",
    ):
        assert covering(stranger, domains) is None


def test_successors_and_mirrors_stand_together(domains: dict[str, str]) -> None:
    assert {domains[name] for name in ("okx.com", "okex.com")} == {"okx"}
    assert {domains[name] for name in ("htx.com", "huobi.com", "huobi.pro", "hadax.com")} == {"htx"}
    assert {domains[name] for name in ("bitbay.net", "zondaglobal.com")} == {"zonda"}
    assert {domains[name] for name in ("binance.com", "binance.us", "bnbstatic.com")} == {"binance"}


def test_no_order_of_a_real_authority_is_claimed(shipped: Blocklist) -> None:
    assert {order.imposed_by for order in shipped.orders.values()} == {"house"}
    assert all(rule.orders for rule in shipped.exchanges)


def test_the_facts_say_from_which_releases_they_are() -> None:
    facts = read_yaml(FACTS_FILE)
    assert "1.17.1" in facts["releases"]
    assert max(map(release_key, facts["releases"])) >= (4, 5, 90)
    assert all(len(digest) == 64 for digest in facts["releases"].values())
    assert all(set(fact["releases"]) <= set(facts["releases"]) for fact in facts["exchanges"].values())


def test_the_shipped_file_is_what_the_script_would_write(proposed: Proposal) -> None:
    text = SHIPPED.read_text()
    merged = merge(text, proposed, read_yaml(OFFERED))
    assert (merged.text, merged.added, merged.not_backed) == (text, [], [])


def test_the_catalogue_can_be_built_from_nothing(proposed: Proposal) -> None:
    empty = (
        "version: 1\norders:\n  house-policy: {authority: A, title: T, imposed_by: house}\nexchanges: {}\n"
    )
    merged = merge(empty, proposed, {})
    blocklist, problems = read_blocklist(Path("b.yaml"), octets=merged.text.encode())
    assert problems == []
    assert blocklist is not None
    blocks = [rule for rule in blocklist.name_rules if rule.effect == "block"]
    assert len(blocks) == proposed.domain_count
    assert merge(merged.text, proposed, merged.offered).text == merged.text
