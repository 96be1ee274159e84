"""Where the guide finds what it is made of."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
EXAMPLES = GUIDE / "examples"
TEXTS = ROOT / "docs" / "texts"
"""What people have to say of metrics and alerts beyond what the program says."""
ALERTS = ROOT / "config" / "prometheus" / "alerts.yaml"
OPENAPI = ROOT / "tests" / "golden" / "openapi.json"
