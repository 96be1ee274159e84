"""What ships beside the program speaks of metrics that exist."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from resolver import __version__
from resolver.blocklist.keys import ExchangeEntry, OrderEntry
from resolver.blocklist.reader import blocklist_schema, read_blocklist
from resolver.cli.files import EXIT_BAD_INPUT, EXIT_MAY_PASS
from resolver.config.settings import load_settings
from resolver.observe.metric_table import METRICS, Metric
from resolver.observe.tally import DROP_REASONS

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "config" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "config" / "grafana" / "dashboard.json"
UNIT = ROOT / "config" / "systemd" / "exchange-resolver.service"
GUIDE = ROOT / "docs" / "operator-guide.md"
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
    """The code blocks of the guide in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def family_of(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


@pytest.mark.parametrize("path", [ALERTS, DASHBOARD, GUIDE], ids=lambda path: path.name)
def test_every_metric_it_names_exists(path: Path) -> None:
    named = {family_of(name) for name in re.findall(r"\bresolver_[a-z_]+", path.read_text())}
    assert named
    assert named - FAMILIES == set()


def test_the_guide_lists_every_metric_once_with_its_labels_and_says_what_it_tells() -> None:
    rows = re.findall(r"^\| (`resolver_.*?) \| (.*?) \|$", GUIDE.read_text(), re.MULTILINE)
    listed = sorted(name for names, _ in rows for name in re.findall(r"`(.*?)`", names))
    assert listed == sorted(map(as_in_the_guide, METRICS))
    assert [names for names, text in rows if not text.strip()] == []


def as_in_the_guide(metric: Metric) -> str:
    return metric.name + (f"{{{','.join(metric.labels)}}}" if metric.labels else "")


REASON = re.compile(
    r"""\b(?:Drop|count_drop|_on_drop)\(\s*"(\w+)"|\bMalformed\("(\w+)", None\)|^TOO_MANY\w* = "(\w+)\"""",
    re.MULTILINE,
)
"""Where the source says why something is dropped."""


def test_the_guide_explains_every_reason_of_a_drop() -> None:
    [text] = re.findall(r"^Reasons in `resolver_dropped_total` .*?\n\n", GUIDE.read_text(), re.S | re.M)
    explained = re.findall(r"`(\w+)(?:\.\.\.)?`", text)
    assert [reason for reason in DROP_REASONS if not reason.startswith(tuple(explained))] == []


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
    assert all(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_dashboard_shows_what_is_proved() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\bresolver_\w+", target["expr"])
    }
    for subject in ("audit", "acknowledge", "hit_history", "order"):
        assert any(subject in name for name in asked), subject


@pytest.mark.needs("promtool")
def test_promtool_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
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
    commands = [line for line in block.splitlines() if line.startswith(("cp ", "mkdir "))]
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


def test_the_complete_example_of_the_guide_loads_and_has_every_key() -> None:
    [text] = [block for block in blocks("yaml") if block.startswith("version: 1\n")]
    blocklist, problems = read_blocklist(GUIDE, octets=text.encode())
    assert blocklist is not None and problems == []
    tree = yaml.safe_load(text)
    [exchange], [order] = tree["exchanges"].values(), tree["orders"].values()
    for written, model in ((exchange, ExchangeEntry), (order, OrderEntry)):
        # `through` stands instead of `until`; the comment beside that says so.
        keys = {field.alias or name for name, field in model.model_fields.items()}
        assert set(written) == keys - {"through"}
    assert text.count("or through: 2027-12-04, the last day") == 2
    # `until` is exclusive: the end is the first moment of that day in Berlin.
    [rule] = blocklist.exchanges
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


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("case", ALERT_CASES, ids=lambda path: path.name.removesuffix(".test.yaml"))
def test_an_alert_fires_when_it_should_and_only_then(case: Path) -> None:
    told = subprocess.run(["promtool", "test", "rules", case], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_has_a_case_but_those_of_before_there_were_cases() -> None:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    tried = "".join(case.read_text() for case in ALERT_CASES)
    untried = {
        "ResolverDown",
        "ResolverBlocklistNotInForce",
        "ResolverExchangesExpire",
        "ResolverHistoryNotWritten",
        "ResolverServesStale",
        "ResolverUpstreamFails",
        "ResolverSlow",
        "ResolverDropsQueries",
        "ResolverQueryLogLosesLines",
    }
    assert {rule["alert"] for rule in rules if rule["alert"] not in tried} <= untried


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_alert_rules() -> None:
    told = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
