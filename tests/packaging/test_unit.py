"""The systemd units that packages ship: systemd takes them, and they leave little exposed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.packaging.tools import ROOT

UNITS = ROOT / "packaging" / "systemd"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root with all units and empty programs where they expect them."""
    folder = tmp_path / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    for unit in UNITS.iterdir():
        (folder / unit.name).write_text(unit.read_text())
    for name in ("usr/bin/exchange-resolver", "bin/kill"):
        program = tmp_path / name
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return tmp_path


@pytest.mark.needs("systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    """What they lean on (network-online.target and others) is not in that root, which is no fault of theirs."""
    names = sorted(unit.name for unit in UNITS.iterdir())
    words = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={installed}", *names]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    faults = [
        line for line in told.stderr.splitlines() if "exchange-resolver" in line and "target" not in line
    ]
    assert faults == []


@pytest.mark.needs("systemd-analyze")
def test_verify_sees_a_fault(installed: Path) -> None:
    unit = installed / "usr/lib/systemd/system/exchange-resolver.service"
    unit.write_text(unit.read_text().replace("DynamicUser=", "DynamicUsr="))
    words = [
        "systemd-analyze",
        "verify",
        "--man=no",
        "--recursive-errors=no",
        f"--root={installed}",
        unit.name,
    ]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "DynamicUsr" in told.stderr


def test_the_program_of_the_unit_is_the_one_that_the_package_has() -> None:
    unit = (UNITS / "exchange-resolver.service").read_text()
    [start] = re.findall(r"^ExecStart=(\S+) run", unit, re.MULTILINE)
    assert start == "/usr/bin/exchange-resolver"
    assert "usr/bin/exchange-resolver" in (ROOT / "packaging/deb/build.sh").read_text()
    [read] = re.findall(r"^EnvironmentFile=-(.*)$", unit, re.MULTILINE)
    assert read == "/etc/default/exchange-resolver"
    assert 'OPTIONS=""' in (ROOT / "packaging/default/exchange-resolver").read_text()
