"""From a primary's NOTIFY to a policy in force: a zone of many names, one of which is new.

Knows: which primaries are installed, how a change shows in answers.
Does not know: how zones are transferred.
Three moments are read.  *served*: the primary answers with the new serial; *told*: this server has heard of
it; *in force*: the new name is blocked, and the one that was taken out is not any more.  What a primary takes
between the first and the second is its own.  Both share this machine, as they would not elsewhere.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dns.rcode

from benchmarks.field import reason_absent
from tests.loopback.primaries import KEY, SECRET, ZONE, Primary, running_primary
from tests.loopback.process import free_port, poll
from tests.loopback.server import Server

PRIMARIES = {"bind": "named", "nsd": "nsd"}
"""Kind -> its program."""
PATIENCE_S = 900.0
"""For a primary to read its zone, and for the first transfer to be in force."""
HEARD = "announces a change of zone"


def measure_zones(
    directory: Path, engines: Sequence[str], names: int, repeats: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Seconds from each moment to the policy in force, per primary, engine and repeat; and who is absent."""
    readings: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    for kind, program in PRIMARIES.items():
        if shutil.which(program) is None:
            absent[kind] = f"{program} is not installed"
            continue
        for engine in engines:
            why_not = reason_absent(engine, {})
            if why_not:
                absent[engine] = why_not
                continue
            try:
                readings += _measure_one(directory / f"zones-{kind}-{engine}", kind, engine, names, repeats)
            except AssertionError as failure:
                absent[f"{kind}, {engine}"] = "did not start or change"
                print(f"{kind}, {engine}: {str(failure)[:300]}", flush=True)
    return readings, absent


def _measure_one(directory: Path, kind: str, engine: str, names: int, repeats: int) -> list[dict[str, Any]]:
    zone = [f"n{number}.example" for number in range(names)]
    dns_port, primary_port = free_port(), free_port()
    place = directory / "server"
    place.mkdir(parents=True, exist_ok=True)
    with running_primary(
        kind, directory / kind, zone, notify_port=dns_port, port=primary_port, patience_s=PATIENCE_S
    ) as primary:
        changes = {
            "engine": engine,
            "upstreams": {"timeout_s": 0.1},
            "clients": {"allow": ["127.0.0.1/32"]},
            # One of its own in the middle would be measured with it.
            "audit": {"every_h": 0},
        }
        server = Server(
            place,
            port=dns_port,
            blocklist=_policy(place, primary.port),
            changes=changes,
            start_s_max=PATIENCE_S,
        )
        began = time.monotonic()
        with server:
            poll(lambda: _is_blocked(server, zone[-1]), timeout_s=PATIENCE_S, what="the zone is in force")
            first_s = time.monotonic() - began
            print(f"{kind}, {engine}: {names:,} names in force {first_s:.1f} s after the start", flush=True)
            return [
                {"kind": kind, "engine": engine, "names": names, "repeat": repeat, "first_s": first_s}
                | _measure_change(server, primary, repeat)
                for repeat in range(repeats)
            ]


def _measure_change(server: Server, primary: Primary, repeat: int) -> dict[str, float]:
    """Seconds from each moment of one change to the policy in force."""
    new, old = f"late{repeat}.example", f"n{repeat}.example"
    heard_before = server.stderr().count(HEARD)
    changed = time.monotonic()
    primary.change([new], [old])
    served = time.monotonic()
    told: list[float] = []

    def is_in_force() -> bool:
        if not told and server.stderr().count(HEARD) > heard_before:
            told.append(time.monotonic())
        return _is_blocked(server, new) and not _is_blocked(server, old)

    poll(is_in_force, timeout_s=PATIENCE_S, what="the change is in force")
    now = time.monotonic()
    found = {
        "change_s": now - changed,
        "served_s": now - served,
        # Heard between two looks: as early as the primary can have said it.
        "told_s": now - (told[0] if told else served),
    }
    print(
        f"  in force {found['told_s']:.2f} s after NOTIFY, "
        f"{found['served_s']:.2f} s after the primary served it, {found['change_s']:.2f} s after the change",
        flush=True,
    )
    return found


def _policy(folder: Path, port: int) -> str:
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    return (
        "version: 1\nexchanges: {acme: {name: Acme, domains: [acme.example]}}\n"
        f"lists: [{{name: zone, url: 'axfr://127.0.0.1:{port}/{ZONE}', timeout_s: 600, size_mb_max: 4096, "
        f"entries_max: 100000000, tsig: {{name: {KEY}, secret_file: secret}}}}]\n"
    )


def _is_blocked(server: Server, name: str) -> bool:
    """Whether policy denies the name; the upstream is dead, so all else fails."""
    return server.ask(name).rcode() == dns.rcode.NXDOMAIN


def zones_table(readings: Sequence[dict[str, Any]]) -> str:
    """Medians over the repeats, for people."""
    lines = [
        f"{'primary':8}{'engine':8}{'names':>12}{'first s':>10}"
        f"{'NOTIFY to force s':>20}{'served to force s':>20}"
    ]
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for one in readings:
        groups.setdefault((one["kind"], one["engine"], one["names"]), []).append(one)
    for (kind, engine, names), same in groups.items():
        first, told, served = (
            statistics.median(one[key] for one in same) for key in ("first_s", "told_s", "served_s")
        )
        lines.append(f"{kind:8}{engine:8}{names:>12,}{first:>10.1f}{told:>20.2f}{served:>20.2f}")
    return "\n".join(lines)
