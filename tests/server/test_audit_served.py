"""What an audit of this server takes for what it serves."""

from __future__ import annotations

from ipaddress import IPv6Network
from pathlib import Path

from resolver.changing.pausing import pause_filtering
from resolver.clock import boot_moment
from resolver.policy.image import Image
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood
from resolver.publishing.paused_image import paused_path, write_paused
from resolver.publishing.paused_serving import paused_at
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


PAUSED = """\
version: 1
orders:
  law: {authority: Court, title: Order, asks: [acme.example]}
  own: {authority: Us, title: Rule, imposed_by: house, asks: [beta.example]}
exchanges:
  acme: {name: Acme, order: law, domains: [acme.example]}
  beta: {name: Beta, order: own, domains: [beta.example]}
"""


def test_audit_asks_nothing_of_what_is_paused_and_says_so(tmp_path: Path) -> None:
    blocklist, store = tmp_path / "blocklist.yaml", ImageStore(tmp_path / "state")
    blocklist.write_text(PAUSED)
    compiled = compile_policy(blocklist, store.images, now=WALL)
    assert compiled.image is not None
    store.remember(LastGood(compiled.key, tuple(compiled.inputs), ()))
    boot = boot_moment()
    pause_filtering(tmp_path / "state", "ann", 600, "why", including_orders=False, wall=WALL, boot=boot)
    paused = paused_at(tmp_path / "state", WALL, boot)
    assert paused is not None
    image = Image(compiled.image)
    write_paused(image, paused_path(compiled.image), (WALL, paused.until), including_orders=False)
    served = served_now(Job(str(tmp_path / "state"), str(blocklist), "00", {}, 1.0, 1), WALL)
    assert [ask.order for ask in served.basis.asks] == ["law"], "what nobody has paused is asked all the same"
    in_force = {rule.id: rule.is_in_force(WALL) for rule in served.basis.table.exchanges}
    assert in_force == {"acme": True, "beta": False}
    assert WALL + 590 < served.basis.paused_until <= WALL + 600
