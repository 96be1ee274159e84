"""What the dashboard's bundle holds of others: a list of components (CycloneDX), and their licences.

Knows: what the dashboard's build leaves beside its files, CycloneDX 1.5.  Does not know: npm, wheels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LIBRARIES, LICENCES = "libraries.json", "licences.txt"
"""Written by `web/build.mjs`, of what its bundles are made of."""


def components(built: Path) -> list[dict[str, Any]]:
    """Components of CycloneDX, one for each library; none: there is no dashboard."""
    path = built / LIBRARIES
    if not path.is_file():
        return []
    parts = []
    for one in json.loads(path.read_text("utf-8")):
        purl = f"pkg:npm/{one['name'].replace('@', '%40')}@{one['version']}"
        licences = [{"expression": one["license"]}] if one.get("license") else []
        part = {"type": "library", "bom-ref": purl, "name": one["name"], "version": one["version"]}
        parts.append(part | {"purl": purl, "licenses": licences})
    return parts


def about_dashboard(built: Path) -> dict[str, bytes]:
    """Files for `.dist-info` (PEP 639, PEP 770): path there -> octets."""
    parts = components(built)
    if not parts:
        return {}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "library", "name": "dashboard"}},
        "components": parts,
    }
    return {
        "sboms/dashboard.cdx.json": json.dumps(document, indent=1).encode() + b"\n",
        "licenses/DASHBOARD": (built / LICENCES).read_bytes(),
    }
