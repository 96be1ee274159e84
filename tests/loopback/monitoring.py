"""A real Prometheus that scrapes a server under test, with the shipped alert rules on a faster clock.

Knows: Prometheus' configuration and its query API.  Does not know: what is asked, any metric.
Theory: a rule waits for minutes so that nobody is called for nothing.  Here every duration of the rules is a
hundredth: `for: 5m` is 3 s, `[5m]` is 3 s.  What rules compare with the time of day stays as it is.
"""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.loopback.process import Program, free_port

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus" / "alerts.yaml"
HASTE = 100
SCRAPE_MS = 500
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
RANGE_MS_MIN = 4 * SCRAPE_MS
"""A shorter range would hold too few scrapes to tell a rate."""


def hastened(rules: str) -> dict[str, Any]:
    """Alert rules whose durations are a hundredth of what they say."""
    tree = yaml.safe_load(rules)
    for group in tree["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(
                r"(\[|offset )(\d+)([smhd])",
                lambda match: f"{match[1]}{max(_hundredth_ms(match[2], match[3]), RANGE_MS_MIN)}ms",
                rule["expr"],
            )
            if "for" in rule:
                rule["for"] = f"{_hundredth_ms(rule['for'][:-1], rule['for'][-1])}ms"
    assert isinstance(tree, dict)
    return tree


def _hundredth_ms(number: str, unit: str) -> int:
    return int(number) * SECONDS[unit] * 1_000 // HASTE


class Prometheus(Program):
    """One `prometheus`; a context manager that always ends it."""

    def __init__(self, folder: Path, target: str) -> None:
        folder.mkdir()
        self.port = free_port()
        (folder / "alerts.yaml").write_text(json.dumps(hastened(RULES.read_text())))
        interval = f"{SCRAPE_MS}ms"
        settings = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [
                {"job_name": "exchange-resolver", "static_configs": [{"targets": [target]}]},
            ],
        }
        (folder / "prometheus.yaml").write_text(json.dumps(settings))
        command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]
        super().__init__(command, folder)

    def wait_until_it_scrapes(self) -> None:
        """Return once a scrape has succeeded."""
        self.wait_for(lambda: self.query("up == 1"), "a first scrape")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; none while it starts.  AssertionError for one it refuses."""
        words = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/api/v1/query?{words}", timeout=5
            ) as reply:
                told = json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 503:
                    return []
                raise AssertionError(f"{expression}: {error.read().decode()}") from None
        except OSError:
            return []
        result = told["data"]["result"]
        assert isinstance(result, list)
        return result

    def firing(self) -> set[str]:
        """Alerts that fire now."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def wait_until_fires(self, *alerts: str, timeout_s: float = 20.0) -> None:
        """Return once all of these have been seen to fire."""
        left = set(alerts)

        def seen() -> bool:
            left.difference_update(self.firing())
            return not left

        self.wait_for(seen, f"alerts that fire: {sorted(left)}", timeout_s)
