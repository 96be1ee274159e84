"""The files of raw readings, and what is said of the machine they were taken on.

Knows: JSON files in one directory, /proc.  Does not know: what the readings mean.
Neither host names nor paths are written down.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import resolver
from benchmarks.measure import CORES

OUT = Path(__file__).parent / "out"
ROOT = Path(__file__).parent.parent
PARTS = ("contest", "throughput", "threads", "waits", "streams", "starts", "lists", "reload")
"""Files that make up a page; each is replaced whole by the next run of its part."""

Document = dict[str, Any]


def save(directory: Path, part: str, document: Document) -> None:
    """Write the readings of one part, with when and where they were taken."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {"part": part, "machine": machine_facts(), **document}
    (directory / f"{part}.json").write_text(json.dumps(document, indent=1) + "\n")


def load(directory: Path) -> dict[str, Document]:
    """Part -> its readings, for the parts that were run."""
    found = {}
    for part in PARTS:
        path = directory / f"{part}.json"
        if path.exists():
            found[part] = json.loads(path.read_text())
    return found


def machine_facts() -> dict[str, str]:
    """What a reader needs to know of this machine and moment."""
    cpu = Path("/proc/cpuinfo").read_text()
    memory_kb = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0])
    system = Path("/etc/os-release")
    names = re.findall(r'PRETTY_NAME="?([^"\n]+)', system.read_text()) if system.exists() else []
    return {
        "day": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "CPU": ", ".join(sorted(set(re.findall(r"model name\s*:\s*(.+)", cpu)))) or platform.machine(),
        "cores": str(len(CORES)),
        "virtual machine": "yes" if " hypervisor" in cpu else "no",
        "memory": f"{memory_kb / 2**20:.0f} GB",
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "system": names[0] if names else "unknown",
        "Python": platform.python_version(),
        "this resolver": f"{resolver.__version__} {_commit()}".strip(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"at {done.stdout.strip()}"
