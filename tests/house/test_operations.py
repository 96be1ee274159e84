"""What ships beside the program speaks of metrics that exist."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from resolver import __version__
from resolver.blocklist.reader import blocklist_schema, read_blocklist
from resolver.cli.files import EXIT_BAD_INPUT, EXIT_MAY_PASS
from resolver.config.settings import load_settings
from resolver.observe.metric_table import METRICS

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "config" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "config" / "grafana" / "dashboard.json"
UNIT = ROOT / "packaging" / "systemd" / "exchange-resolver.service"
INSTALL = ROOT / "docs" / "guide" / "install.md"
EXAMPLE = ROOT / "docs" / "guide" / "examples" / "blocklist.yaml"
COUNTERS = ROOT / "native" / "binding" / "src" / "counters.rs"
TABLES = {
    ROOT / "resolver" / "observe" / name
    for name in (
        "metric_table.py",
        "proof_metrics.py",
        "http_metrics.py",
        "stream_metrics.py",
        "upstream_metrics.py",
    )
}

METRIC = re.compile(r"\bresolver_(?!native\b)")
"""A name that can only be a metric's; `resolver_native` is a module."""

SUFFIXES = ("_total", "_bucket", "_count", "_sum")


FAMILIES = {metric.name.removesuffix("_total") for metric in METRICS}


def blocks(language: str) -> list[str]:
    """The code blocks of the guide's page on installing in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", INSTALL.read_text(), re.MULTILINE | re.DOTALL)


def family_of(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


@pytest.mark.parametrize("path", [ALERTS, DASHBOARD], ids=lambda path: path.name)
def test_every_metric_it_names_exists(path: Path) -> None:
    named = {family_of(name) for name in re.findall(r"\bresolver_[a-z_]+", path.read_text())}
    assert named
    assert named - FAMILIES == set()


@pytest.mark.slow
def test_only_the_table_spells_the_name_of_a_metric() -> None:
    names = "|".join(sorted(FAMILIES))
    for path in sorted((ROOT / "resolver").rglob("*.py")):
        if path not in TABLES:
            source = path.read_text()
            assert re.findall(rf"\b(?:{names})\b", source) == [], path
            texts = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
            found = [text for text in texts if isinstance(text, str) and METRIC.search(text)]
            assert found == [], path


@pytest.mark.parametrize("source", ['"resolver_x_total"', 'f"resolver_{kind}_hits"'])
def test_a_spelt_name_is_seen(source: str) -> None:
    texts = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    assert any(METRIC.search(str(text)) for text in texts)


def test_the_dashboard_is_json_with_a_query_in_every_panel() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    shown = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(target["expr"] for panel in shown for target in panel["targets"])
    assert all(panel["targets"] for panel in shown)
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_grafana_is_told_where_the_dashboard_lies() -> None:
    """The commands of the guide put it there."""
    folder = DASHBOARD.parent / "provisioning"
    [provider] = yaml.safe_load((folder / "dashboards" / "exchange-resolver.yaml").read_text())["providers"]
    page = (INSTALL.parent / "watching.md").read_text()
    assert f"644 dashboard.json {provider['options']['path']}/" in page
    for part in ("dashboards", "datasources"):
        place = f"provisioning/{part}/exchange-resolver.yaml"
        assert f"644 {place} /etc/grafana/{place}" in page and (folder.parent / place).exists()


def test_the_dashboard_shows_what_is_proved() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"\bresolver_\w+", target["expr"])
    }
    for subject in ("audit", "acknowledge", "hit_history", "order"):
        assert any(subject in name for name in asked), subject


@pytest.mark.needs("promtool")
def test_promtool_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    rules = [
        {"record": f"dashboard:{at}", "expr": query.replace("$instance", ".*").replace("$__range", "6h")}
        for at, query in enumerate(queries)
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    told = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def test_the_unit_binds_low_ports_without_being_root() -> None:
    unit = UNIT.read_text()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit
    assert "DynamicUser=yes" in unit


def test_the_unit_bounds_its_memory_and_goes_on_when_a_child_meets_the_bound() -> None:
    unit = UNIT.read_text()
    assert re.search(r"^MemoryMax=\d+[MG]$", unit, re.MULTILINE) and "OOMPolicy=continue" in unit


@pytest.mark.needs("systemd-analyze")
def test_the_unit_leaves_little_exposed() -> None:
    words = ["systemd-analyze", "security", "--offline=true", str(UNIT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    [level] = re.findall(r"Overall exposure level .*?: ([\d.]+)", done.stdout)
    assert float(level) <= 1.5, done.stdout


def test_the_unit_is_started_again_until_a_taken_port_is_free_but_not_with_bad_settings() -> None:
    unit = UNIT.read_text().splitlines()
    assert "Restart=always" in unit and "StartLimitIntervalSec=0" in unit
    [prevented] = [line.partition("=")[2].split() for line in unit if line.startswith("RestartPrevent")]
    assert str(EXIT_BAD_INPUT) in prevented and str(EXIT_MAY_PASS) not in prevented


def test_the_install_commands_of_the_guide_make_a_configuration_that_checks(tmp_path: Path) -> None:
    """Those that copy files are run with a prefix; making the environment takes minutes and the network."""
    block = next(block for block in blocks("sh") if "systemctl enable" in block)
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    commands = [line for line in block.splitlines() if line.startswith(("cp ", "mkdir ", "sed "))]
    assert len(commands) == 4
    script = "set -eu\n" + "\n".join(commands).replace(" /etc/", f" {tmp_path}/etc/")
    subprocess.run(["sh", "-c", script], cwd=ROOT, check=True)
    [check] = [line for line in block.splitlines() if " check " in line]
    config = Path(f"{tmp_path}{check.split()[-1]}")
    settings, problems = load_settings(config)
    assert settings is not None and problems == []
    assert settings.blocklist == tmp_path / "etc" / "exchange-resolver" / "blocklist.yaml"
    # The folder that systemd makes for the unit is the one that the settings name.
    [state] = re.findall(r"^StateDirectory=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert settings.state_dir == Path("/var/lib") / state
    blocklist, problems = read_blocklist(settings.blocklist)
    assert blocklist is not None and problems == []
    [unit] = (tmp_path / "etc" / "systemd" / "system").iterdir()
    assert f"--config {check.split()[-1]}" in unit.read_text()


def test_until_in_the_complete_example_is_exclusive() -> None:
    assert "or through: 2027-12-04, the last day" in EXAMPLE.read_text()
    blocklist, _ = read_blocklist(EXAMPLE)
    assert blocklist is not None
    # The end is the first moment of that day in Berlin.
    [rule] = [rule for rule in blocklist.exchanges if rule.label == "newcoin"]
    assert rule.ends_at == datetime(2027, 12, 5, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


def test_the_schema_says_that_until_is_exclusive() -> None:
    words = json.dumps(blocklist_schema()["$defs"]["ExchangeEntry"]["properties"]["until"])
    assert "not included" in words


def test_the_changelog_speaks_of_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_pinned_package_has_one_exact_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []


ALERT_CASES = sorted((ROOT / "tests" / "alerts").glob("*.test.yaml"))


@pytest.mark.slow
@pytest.mark.needs("promtool")
@pytest.mark.parametrize("case", ALERT_CASES, ids=lambda path: path.name.removesuffix(".test.yaml"))
def test_an_alert_fires_when_it_should_and_only_then(case: Path) -> None:
    told = subprocess.run(["promtool", "test", "rules", case], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


EACH = sorted((ROOT / "tests" / "alerts").glob("each-fires-and-resolves*.test.yaml"))


def test_every_alert_has_a_case_in_which_it_fires_and_then_resolves() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    shown = []
    for path in EACH:
        [test] = yaml.safe_load(path.read_text())["tests"]
        for fires, calm in batched(test["promql_expr_test"]):
            assert fires["expr"] == calm["expr"] and 'alertstate="firing"' in fires["expr"]
            assert int(fires["eval_time"][:-1]) < int(calm["eval_time"][:-1])
            assert [sample["value"] for sample in fires["exp_samples"]] == [1] and calm["exp_samples"] == []
            shown += re.findall(r'alertname="(\w+)"', fires["expr"])
    assert sorted(shown) == sorted(rule["alert"] for rule in rules)


def batched(expectations: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    assert len(expectations) % 2 == 0
    return list(zip(expectations[::2], expectations[1::2], strict=True))


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_alert_rules() -> None:
    told = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
