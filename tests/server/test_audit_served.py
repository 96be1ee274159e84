"""What an audit of this server takes for what it serves."""

from __future__ import annotations

from ipaddress import IPv6Network
from pathlib import Path

from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood
from resolver.server.audit_child import served_now
from resolver.server.audit_job import Job
from resolver.wire.carried_addresses import nat64_prefix

WALL = 1.7e9
POLICY = "version: 1\nexchanges:\n  acme: {name: Acme, addresses: [203.0.113.7]}\n"


def test_addresses_are_judged_by_the_prefixes_of_the_network(tmp_path: Path) -> None:
    blocklist, store = tmp_path / "blocklist.yaml", ImageStore(tmp_path / "state")
    blocklist.write_text(POLICY)
    compiled = compile_policy(blocklist, store.images, now=WALL)
    assert compiled.image is not None
    store.remember(LastGood(compiled.key, tuple(compiled.inputs), ()))
    job = Job(str(tmp_path / "state"), str(blocklist), "00", {}, 1.0, 1, nat64_prefixes=["2001:db8:64::/96"])
    table = served_now(job, WALL).basis.table
    assert table.nat64_prefixes == (nat64_prefix(IPv6Network("2001:db8:64::/96")),)
