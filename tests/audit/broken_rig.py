"""Policies and scripted servers for set-ups that are broken on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from resolver.audit.targets import Target
from resolver.policy.table import PolicyTable
from resolver.wire.encode import encode_response
from resolver.wire.names import name_to_text
from tests.support.audit_rig import (
    Replies,
    Script,
    compile_table,
    query_of,
    server_of,
    upstream_answer,
)

POLICY = """\
version: 1
defaults: {ttl_s: 300}
orders:
  page: {authority: A, title: T, date: 2024-01-02, imposed_by: external, measure: {ipv4: 192.0.2.9, ipv6: "2001:db8::9"}}
  link: {authority: A, title: T, date: 2024-01-02, imposed_by: external, measure: {cname: stop.example}}
exchanges:
  alpha: {name: Alpha, domains: [alpha.example, mirror.example, third.example, fourth.example, "=exact.example", "*.below.example"]}
  paged: {name: Paged, order: page, domains: [paged.example]}
  linked: {name: Linked, order: link, domains: [linked.example]}
  nodata: {name: Nodata, action: nodata, domains: [nodata.example]}
  refused: {name: Refused, action: refused, domains: [refused.example]}
  dropped: {name: Dropped, action: drop, domains: [dropped.example]}
  shadow: {name: Shadow, mode: shadow, domains: [shadow.example]}
  later: {name: Later, from: 2099-01-01, domains: [later.example]}
  over: {name: Over, until: 2020-01-01, domains: [over.example]}
allow: [ok.alpha.example, "=one.fourth.example"]
protected: [safe.example]
lists:
  - {name: names, path: names.txt, format: domains}
"""


LIST = "listed.example\nother.example\n"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PolicyTable:
    return compile_table(tmp_path_factory.mktemp("policy"), POLICY, names_txt=LIST)


@pytest.fixture(scope="module")
def right(table: PolicyTable) -> Script:
    return server_of(table)


Where = Callable[[Target, bytes], bool]


def but(right: Script, where: Where, instead: Script) -> Script:
    """A server that answers as `instead` where `where` holds."""

    def answer(target: Target, octets: bytes) -> Replies:
        return (instead if where(target, octets) else right)(target, octets)

    return answer


def leak(_: Target, octets: bytes) -> Replies:
    return [(0.01, upstream_answer(octets))]


def name_of(octets: bytes) -> str:
    return name_to_text(query_of(octets).qname)


def is_under(name: str) -> Where:
    return lambda _, octets: name_of(octets) == name or name_of(octets).endswith(f".{name}")


def says(rcode: int) -> Script:
    return lambda _, octets: [(0.01, encode_response(query_of(octets), rcode, limit=1232))]
