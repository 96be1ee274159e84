"""What the test commands install and build is what the tests ask for: none is skipped for want of it.

Knows: the list of programs in the script, the marks of the tests, the Makefile.  Does not know: this machine.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "install-test-peers.sh"

EVERYWHERE = {"ldd", "nice", "sleep", "setpriv", "unshare"}
"""Of packages that every Debian has: coreutils, libc-bin, util-linux."""

OTHERWISE = {"cargo": "whoever builds has it", "dpkg-deb": "dpkg itself", "prometheus": "with promtool"}
"""Programs without a line of their own in the script, and why."""


def wanted() -> set[str]:
    """The programs that the script sees to: by apt, or by the tools of their language."""
    text = SCRIPT.read_text()
    return set(re.findall(r"^\s*want (\S+) ", text, re.MULTILINE)) | {
        name for name in ("h2spec", "helm") if f"install {name}" in text
    }


def asked_for() -> dict[str, set[str]]:
    """Program -> the files of tests that are skipped where it is missing."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text()
        names = [
            name
            for words in re.findall(r"\bneeds\(([^)]*)\)", text)
            for name in re.findall(r'"(.+?)"', words)
        ]
        for name in [*names, *re.findall(r'shutil\.which\("([^"]+)"', text)]:
            found.setdefault(name, set()).add(path.name)
    return found


def test_each_program_that_a_test_asks_for_is_installed_by_the_test_command() -> None:
    asked = asked_for()
    assert {"dig", "nsd", "systemd-analyze", "helm"} <= set(asked), "the marks are found"
    known = wanted() | EVERYWHERE | set(OTHERWISE)
    assert {name: files for name, files in asked.items() if name not in known} == {}


@pytest.mark.parametrize(
    ("target", "script"),
    [("deb", "packaging/deb/build.sh"), ("rootfs", "packaging/container/pack-rootfs.sh")],
)
def test_the_long_form_builds_the_packages_that_its_tests_install(target: str, script: str) -> None:
    # Read and not asked of `make --dry-run`, which runs each line that has $(MAKE) in it: a whole build.
    text = (ROOT / "Makefile").read_text()
    [needed] = re.findall(r"^long: (?!export )(.*?) ##", text, re.MULTILINE)
    assert target in needed.split()
    assert re.search(rf"^{target}: .*\n\t{script} ", text, re.MULTILINE)
