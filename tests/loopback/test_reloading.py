"""A changed blocklist takes effect however it is put there, and a broken one changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import pytest

from tests.loopback.process import START_S_MAX
from tests.loopback.server import BLOCKLIST, Server, running_server

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.slow,
    pytest.mark.needs("nsd"),
    pytest.mark.usefixtures("serving_engine"),
]

NEW_NAME = "www.example.net"
WITH_NEW_NAME = BLOCKLIST.replace("domains: [quiet.example]", f"domains: [quiet.example, {NEW_NAME}]")
BROKEN = BLOCKLIST.replace("action: sinkhole", "action: sinkhoel")


@pytest.fixture
def reloaded(tmp_path: Path, authority: int) -> Iterator[Server]:
    """A server whose policy may be changed."""
    with running_server(tmp_path, authority) as server:
        assert server.ask(NEW_NAME).rcode() == dns.rcode.NOERROR
        yield server


def test_a_write_in_place_takes_effect(reloaded: Server) -> None:
    before = reloaded.metrics()
    reloaded.blocklist_path.write_text(WITH_NEW_NAME)
    reloaded.wait_for_reload(before)
    assert reloaded.ask(NEW_NAME).rcode() == dns.rcode.NXDOMAIN


def test_a_rename_over_takes_effect_even_on_what_is_cached(reloaded: Server) -> None:
    before = reloaded.metrics()
    reloaded.replace_blocklist(WITH_NEW_NAME)
    reloaded.wait_for_reload(before)
    assert reloaded.ask(NEW_NAME).rcode() == dns.rcode.NXDOMAIN
    assert reloaded.metric("resolver_blocklist_rules", exchange="quiet") == 2
    before = reloaded.metrics()
    reloaded.replace_blocklist(BLOCKLIST)
    reloaded.wait_for_reload(before)
    assert reloaded.ask(NEW_NAME).rcode() == dns.rcode.NOERROR


def test_sighup_reads_the_policy_again(reloaded: Server) -> None:
    before = reloaded.metrics()
    reloaded.reload()
    reloaded.wait_for_reload(before)
    assert reloaded.ask("blocked.example.net").rcode() == dns.rcode.NXDOMAIN


def test_a_broken_policy_keeps_the_old_one_and_says_why(reloaded: Server) -> None:
    before = reloaded.metrics()
    reloaded.replace_blocklist(BROKEN)
    reloaded.wait_for_reload(before, "failure")
    assert reloaded.ask("beta.example").answer[0][0].to_text() == "192.0.2.250"
    line = BROKEN.splitlines().index("    action: sinkhoel") + 1
    assert f"blocklist.yaml:{line}" in reloaded.stderr() + reloaded.stdout()
    assert "sinkhoel" in reloaded.stderr() + reloaded.stdout()
    success = "resolver_blocklist_last_success_timestamp_seconds"
    assert reloaded.metrics()[success] == before[success]
    attempt = "resolver_blocklist_last_attempt_timestamp_seconds"
    assert reloaded.metrics()[attempt] > before[attempt]
    before = reloaded.metrics()
    reloaded.replace_blocklist(WITH_NEW_NAME)
    reloaded.wait_for_reload(before)
    assert reloaded.ask(NEW_NAME).rcode() == dns.rcode.NXDOMAIN


def test_a_vanished_policy_keeps_the_old_one(reloaded: Server) -> None:
    before = reloaded.metrics()
    reloaded.blocklist_path.unlink()
    reloaded.reload()
    reloaded.wait_for_reload(before, "failure")
    assert reloaded.ask("blocked.example.net").rcode() == dns.rcode.NXDOMAIN


def test_counts_go_on_over_a_reload(reloaded: Server) -> None:
    hits = "resolver_exchange_hits_total"
    reloaded.ask("alpha.example")
    before = reloaded.metrics()
    reloaded.replace_blocklist(WITH_NEW_NAME)
    reloaded.wait_for_reload(before)
    reloaded.ask("alpha.example")
    reloaded.ask(NEW_NAME)
    assert reloaded.metric(hits, exchange="alpha") == 2
    assert reloaded.metric(hits, exchange="quiet") == 1


def config_map(directory: Path, version: str, text: str) -> None:
    """Lay out a version and swap to it the way Kubernetes does: `..data` is a symlink, renamed over."""
    versioned = directory / f"..{version}"
    versioned.mkdir()
    (versioned / "blocklist.yaml").write_text(text)
    swap = directory / "..data_tmp"
    swap.symlink_to(versioned.name)
    swap.replace(directory / "..data")


def test_a_config_map_swap_takes_effect(tmp_path: Path, authority: int) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    config_map(mounted, "v1", BLOCKLIST)
    (mounted / "blocklist.yaml").symlink_to("..data/blocklist.yaml")
    changes = {"blocklist": str(mounted / "blocklist.yaml")}
    with running_server(tmp_path, authority, blocklist="", changes=changes) as server:
        assert server.ask(NEW_NAME).rcode() == dns.rcode.NOERROR
        for version, text, rcode in (
            ("v2", WITH_NEW_NAME, dns.rcode.NXDOMAIN),
            ("v3", BLOCKLIST, dns.rcode.NOERROR),
        ):
            before = server.metrics()
            config_map(mounted, version, text)
            server.wait_for_reload(before)
            assert server.ask(NEW_NAME).rcode() == rcode


def test_a_changed_list_file_takes_effect(tmp_path: Path, authority: int) -> None:
    names = tmp_path / "names.txt"
    names.write_text("listed.example\n")
    policy = f"{BLOCKLIST}lists:\n  - {{name: names, path: {names}, format: domains}}\n"
    with running_server(tmp_path, authority, blocklist=policy) as server:
        assert server.ask("www.listed.example").rcode() == dns.rcode.NXDOMAIN
        assert server.ask(NEW_NAME).rcode() == dns.rcode.NOERROR
        before = server.metrics()
        names.write_text(f"listed.example\n{NEW_NAME}\n")
        server.wait_for_reload(before)
        assert server.ask(NEW_NAME).rcode() == dns.rcode.NXDOMAIN
        assert server.metric("resolver_list_hits_total", list="names", action="nxdomain") == 2


def test_an_invalid_policy_at_the_first_start_is_fatal_and_all_is_listed(tmp_path: Path) -> None:
    broken = BROKEN.replace("time_zone", "zone").replace("name: Alpha Exchange", "nmae: Alpha Exchange")
    server = Server(tmp_path, blocklist=broken)
    server.start()
    try:
        assert server.wait_for_end(START_S_MAX) == 2
    finally:
        server.stop()
    said = server.stdout() + server.stderr()
    assert "sinkhoel" in said
    assert "nmae" in said
    assert "name" in said
    assert said.count("blocklist.yaml:") >= 2
    assert "Traceback" not in said


def test_an_invalid_policy_at_a_later_start_leaves_the_last_good_one_serving_loudly(
    tmp_path: Path, authority: int
) -> None:
    with running_server(tmp_path, authority) as server:
        assert server.ask("blocked.example.net").rcode() == dns.rcode.NXDOMAIN
    with running_server(tmp_path, authority, blocklist=BROKEN) as server:
        assert server.ask("blocked.example.net").rcode() == dns.rcode.NXDOMAIN
        said = server.stdout() + server.stderr()
        assert "sinkhoel" in said
        assert "last good" in said.lower()
        assert server.metric("resolver_reloads_total", result="failure") >= 1


def test_a_good_start_says_nothing_of_a_last_good_policy(reloaded: Server) -> None:
    assert "last good" not in (reloaded.stdout() + reloaded.stderr()).lower()


def test_a_policy_changed_while_the_server_was_down_is_the_one_that_serves(
    tmp_path: Path, authority: int
) -> None:
    with running_server(tmp_path, authority) as server:
        assert server.ask(NEW_NAME).rcode() == dns.rcode.NOERROR
    with running_server(tmp_path, authority, blocklist=WITH_NEW_NAME) as server:
        assert server.ask(NEW_NAME).rcode() == dns.rcode.NXDOMAIN
