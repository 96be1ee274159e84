"""How ports and files are shared out among threads and upstreams."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from resolver.forwarding import source_ports
from resolver.forwarding.source_ports import (
    ANY_PORTS,
    SOCKETS_PER_UPSTREAM_MAX,
    SOCKETS_PER_UPSTREAM_MIN,
    SOCKETS_RESTING_MAX,
    Limits,
    Pools,
    base_of,
    files_allowed,
    files_wanted,
    reserved_ports,
    share_out,
    shortage,
    usable_ports,
)
from tests.support.for_each import for_each

PLENTY = Limits(ANY_PORTS.usable, 1_000_000)  # type: ignore[arg-type]


def few(ports: int, files: int) -> Limits:
    return Limits(PLENTY.usable[:ports], files)


@for_each("threads", [0, 1, 2, 16])
@for_each("upstreams", [1, 2, 3])
def test_every_thread_has_a_thousand_ports_for_each_upstream_where_there_are_so_many(
    threads: int, upstreams: int
) -> None:
    python, native = share_out(PLENTY, Pools(threads, upstreams, 0))
    assert python.base == SOCKETS_PER_UPSTREAM_MAX and (native is None) == (threads == 0)
    if native is not None:
        assert native.base == python.base and native.sockets_max >= threads * upstreams * native.base
    assert shortage(PLENTY, Pools(threads, upstreams, 0), 100) is None


def test_one_busy_thread_may_have_all_that_is_spare() -> None:
    python, native = share_out(PLENTY, Pools(16, 1, 0))
    assert native is not None
    assert native.sockets_max >= 16 * 1024 + SOCKETS_RESTING_MAX and python.sockets_max == 1024
    alone, _ = share_out(PLENTY, Pools(0, 1, 0))
    assert alone.sockets_max >= 1024 + SOCKETS_RESTING_MAX


def test_too_few_are_shared_evenly_and_that_is_said() -> None:
    pools = Pools(16, 2, 0)
    assert base_of(few(64_512, 3400), pools) == 100
    assert shortage(few(64_512, 3400), pools, 600) == (
        "the limit of 4000 open files leaves 100 source ports for each upstream and thread; raise it "
        f"(LimitNOFILE=, ulimit -n) to {files_wanted(pools, 600)} to make forged answers harder"
    )
    assert base_of(few(6800, 100_000), pools) == 200
    assert "6800 usable ports leave 200 source ports" in str(shortage(few(6800, 100_000), pools, 600))
    assert base_of(few(10, 10), pools) == SOCKETS_PER_UPSTREAM_MIN


def test_the_families_do_not_share_their_ports() -> None:
    assert base_of(few(17 * 1000, 1_000_000), Pools(16, 1, 1)) == 1000
    assert base_of(few(17 * 1000, 1_000_000), Pools(16, 2, 0)) == 500


def test_reserved_ports_are_read_as_the_kernel_writes_them() -> None:
    assert reserved_ports("\n") == set()
    assert reserved_ports("5060,8000-8002\n") == {5060, 8000, 8001, 8002}
    assert reserved_ports("x,1-,65534-99999") == {65_534, 65_535, 1}


def test_usable_ports_are_nobodys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reserved = tmp_path / "reserved"
    reserved.write_text("1024-2000,50000\n")
    monkeypatch.setattr(source_ports, "RESERVED_PORTS", reserved)
    ports = usable_ports({5335, 53})
    assert (ports[0], ports[-1], len(ports)) == (2001, 65_535, 64_512 - 977 - 1 - 1)
    assert 50_000 not in ports and 5335 not in ports
    reserved.unlink()
    assert len(usable_ports()) == 64_512


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed"),
    [
        (1024, 1024, 30_000, 1024),
        (1024, 1_048_576, 30_000, 30_000),
        (20_000, 20_000, 30_000, 20_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 30_000, 30_000),
        (1024, resource.RLIM_INFINITY, 30_000, 30_000),
        (50_000, 60_000, 30_000, 30_000),
    ],
)
def test_the_limit_on_files_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, allowed: int
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    assert files_allowed(wanted, raises=False) == allowed and raised == []
    assert files_allowed(wanted, raises=True) == allowed
    assert all(limits == (max(soft, allowed), hard) for limits in raised)
