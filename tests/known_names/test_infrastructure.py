"""What other people's CNAMEs lead to is blocked by nobody unless somebody insists."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.blocklist.reader import read_blocklist
from resolver.known_names.infrastructure import (
    AKAMAI_MAPS,
    AWS_SERVICES,
    INFRASTRUCTURE_BY_KIND,
    WITHIN_BY_KIND,
    infrastructure,
)
from resolver.known_names.protected import built_in_protected
from resolver.lists.shared_names import shared_names
from resolver.orders.reach import reach_of
from resolver.policy.verdict import RuleForm
from resolver.problems import Problem
from resolver.publishing.compiler import compile_policy
from resolver.wire.names import is_at_or_below, name_from_text, suffix_offsets
from tests.support.for_each import for_each

SHARED_CDN = "trafficmanager.net\nakamaiedge.net\nakadns.net\nakamai.net\n"


def problems_of(entry: str, *, force: bool = False) -> list[Problem]:
    text = f"version: 1\nexchanges:\n  acme: {{name: Acme, domains: ['{entry}']}}\n"
    return read_blocklist(Path("b.yaml"), octets=text.encode(), force=force)[1]


@for_each("form", ["", "*.", "="])
@for_each(
    "name",
    [
        "trafficmanager.net",
        "akamaiedge.net",
        "azurefd.net",
        "cloudfront.net",
        "fastly.net",
        "incapdns.net",
        "vercel-dns.com",
        "sendgrid.net",
        "auth0.com",
        "azure-dns.net",
        "awsdns-07.co.uk",
        # Those under them that are of many themselves.
        "cdn.cloudflare.net",
        "dscb.akamaiedge.net",
        "elb.eu-west-1.amazonaws.com",
        "eu-west-1.amazonaws.com",
        "blob.core.windows.net",
        "ghs.googlehosted.com",
        "cname.vercel-dns.com",
        "mail.protection.outlook.com",
    ],
)
def test_exchange_that_blocks_what_cnames_of_many_lead_to_needs_force(name: str, form: str) -> None:
    [problem] = problems_of(form + name)
    assert problem.severity == "error" and problem.forcible and problem.line == 3
    assert "CNAMEs of many sites lead there" in problem.message
    assert {one.severity for one in problems_of(form + name, force=True)} == {"warning"}


@pytest.mark.parametrize("name", ["acme.trafficmanager.net", "e1.akamaiedge.net", "d111.cloudfront.net"])
def test_one_site_s_name_under_it_is_fine(name: str) -> None:
    assert problems_of(name) == []


def test_a_name_above_it_covers_it() -> None:
    [problem] = problems_of("icloud.com")
    assert "covers 'mail.icloud.com', a shared platform (a mail platform)" in problem.message


BETWEEN = (
    "elb.amazonaws.com",
    "compute.amazonaws.com",
    "ssl.fastly.net",
    "cloudapp.azure.com",
)
"""Under infrastructure, and above names of many."""


@pytest.mark.parametrize(
    "name", [*BETWEEN, "*.elb.amazonaws.com", "kawasaki.jp", "uberspace.de", "render.com"]
)
def test_exchange_that_blocks_what_stands_above_a_public_suffix_needs_force(name: str) -> None:
    [problem] = problems_of(name)
    assert problem.severity == "error" and problem.forcible
    assert f"{name!r} covers '" in problem.message and "names of their own" in problem.message
    assert {one.severity for one in problems_of(name, force=True)} == {"warning"}


@pytest.mark.parametrize(
    "name", ["=elb.amazonaws.com", "acme-1.eu-west-1.elb.amazonaws.com", "city.kawasaki.jp"]
)
def test_one_name_there_is_fine(name: str) -> None:
    assert problems_of(name) == []


def test_an_exception_above_a_public_suffix_needs_force() -> None:
    text = b"version: 1\nexchanges: {a: {name: A, domains: [a.example]}}\nallow: [elb.amazonaws.com]\n"
    found = [one for one in read_blocklist(Path("b.yaml"), octets=text)[1] if one.severity == "error"]
    assert [one.forcible for one in found] == [True] and "covers a public suffix" in found[0].message


@pytest.mark.parametrize("name", BETWEEN)
def test_no_order_and_no_register_puts_it_into_force(name: str) -> None:
    owner = name_from_text(name)
    assert reach_of(owner, RuleForm.SUBTREE, has_path=False)[1] is not None
    assert shared_names([owner, name_from_text("a.example")]) == {owner}


def test_list_lines_of_it_are_left_out_and_reported_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(SHARED_CDN + "a.example\n", encoding="utf-8")
    text = b"version: 1\nexchanges: {}\nlists: [{name: l, path: l.txt, format: domains}]\n"
    compiled = compile_policy(tmp_path / "b.yaml", tmp_path / "out", text=text)
    assert compiled.counts["per_list"] == {"l": 1}
    left_out = [problem for problem in compiled.problems if "is left out" in problem.message]
    assert [problem.line for problem in left_out] == [1, 2, 3, 4]


def test_each_name_stands_there_once_in_lower_case_and_none_under_another() -> None:
    names = [name for names in INFRASTRUCTURE_BY_KIND.values() for name in names.split()]
    assert len(names) == len(set(names)) and all(name == name.lower() for name in names)
    wires = [name_from_text(name) for name in names]
    known = set(wires)
    assert [name for name in wires for other in known if name != other and is_at_or_below(name, other)] == []


def test_each_name_within_stands_under_one_of_them() -> None:
    above = {name_from_text(name) for names in INFRASTRUCTURE_BY_KIND.values() for name in names.split()}
    within = [name for names in WITHIN_BY_KIND.values() for name in names.split()]
    within += [*AKAMAI_MAPS, *AWS_SERVICES]
    assert len(within) == len(set(within))
    wires = map(name_from_text, within)
    assert [name for name in wires if not any(name[at:] in above for at in suffix_offsets(name)[1:])] == []


def test_no_protected_name_is_infrastructure_itself() -> None:
    assert built_in_protected().keys() & infrastructure().keys() == set()


def test_the_shipped_blocklist_blocks_none() -> None:
    blocklist, _ = read_blocklist(Path(__file__).parents[2] / "blocklist.yaml")
    assert blocklist is not None
    blocked = {rule.owner for rule in blocklist.name_rules if rule.effect == "block"}
    assert blocked & infrastructure().keys() == set()
