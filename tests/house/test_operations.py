"""What ships beside the program speaks of metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from resolver import __version__

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "config" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "config" / "grafana" / "dashboard.json"
UNIT = ROOT / "config" / "systemd" / "exchange-resolver.service"
GUIDE = ROOT / "docs" / "operator-guide.md"
SOURCES = tuple(
    ROOT / "resolver" / path for path in ("observe/metrics.py", "server/server.py", "server/counters.py")
)

SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def metrics_in_code() -> set[str]:
    """Family names as the code spells them, counters without `_total`."""
    text = "".join(path.read_text() for path in SOURCES)
    found = set(re.findall(r'"(resolver_\w+)"', text))
    return found | {"resolver_exchange_hits", "resolver_list_hits"}


def family_of(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


@pytest.mark.parametrize("path", [ALERTS, DASHBOARD, GUIDE], ids=lambda path: path.name)
def test_every_metric_it_names_exists(path: Path) -> None:
    named = {family_of(name) for name in re.findall(r"\bresolver_[a-z_]+", path.read_text())}
    assert named
    assert named - metrics_in_code() == set()


def test_the_guide_names_every_metric() -> None:
    named = {family_of(name) for name in re.findall(r"\bresolver_[a-z_]+", GUIDE.read_text())}
    assert metrics_in_code() - named == set()


def test_the_dashboard_is_json_with_a_query_in_every_panel() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert all(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])


def test_the_unit_binds_low_ports_without_being_root() -> None:
    unit = UNIT.read_text()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit
    assert "DynamicUser=yes" in unit


def test_the_changelog_speaks_of_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_pinned_package_has_one_exact_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_alert_rules() -> None:
    told = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
