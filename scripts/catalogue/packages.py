"""Facts about exchanges from releases of the PyPI package `ccxt`: names, countries, web and API hosts.

Knows: how that package writes them down (`describe()` of one class per file).
Does not know: which of the hosts belong to the exchange alone (`proposal`).
Theory: a release is downloaded as a wheel and its source is parsed, never imported, run or unpacked,
so nothing of it is executed and nothing of it is kept but the facts.
"""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = "ccxt"

PINNED_RELEASES = ("1.17.1", "1.50.1", "1.95.1", "4.1.100")
"""2018, when the platforms were first listed, and 2021 to 2023: they hold names that have gone since.
The current release is taken beside them."""

SOURCE_OCTETS_MAX = 8 << 20
"""The largest module there has 1 MB; more is not a description of an exchange."""

MODULES_MAX = 1_000
"""The current release has some 200 with exchanges in them."""

DOWNLOAD_TIMEOUT_S = 300

_MODULE = re.compile(r"ccxt/(?:pro/)?([a-z0-9_]+)\.py")
_HOST = re.compile(r"(?:https?|wss?)://([A-Za-z0-9.-]+)")

Exchange = dict[str, Any]
"""`name`, `countries`, `releases`, and `hosts`: host -> roles (www, api, doc, ...)."""


def download(folder: Path, releases: Iterable[str] = PINNED_RELEASES) -> list[Path]:
    """Fetch the wheels of `releases` and of the current one with pip; raises `CalledProcessError`."""
    for requirement in (*(f"{PACKAGE}=={release}" for release in releases), PACKAGE):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", str(folder), requirement], check=True, timeout=DOWNLOAD_TIMEOUT_S)
    return sorted(folder.glob(f"{PACKAGE}-*.whl"))


def release_of(wheel: Path) -> str:
    """Tell the version from a wheel's file name."""
    return wheel.name.split("-")[1]


def release_key(release: str) -> tuple[int, ...]:
    """Sort 1.17.1 before 1.95.1 before 4.1.100."""
    return tuple(int(part) for part in release.split("."))


def facts_of(wheels: Iterable[Path]) -> dict[str, Any]:
    """Give the content of `facts.yaml`: what all `wheels` say together; the newest name counts."""
    digests: dict[str, str] = {}
    exchanges: dict[str, Exchange] = {}
    for wheel in sorted(wheels, key=lambda path: release_key(release_of(path))):
        release = release_of(wheel)
        digests[release] = hashlib.sha256(wheel.read_bytes()).hexdigest()
        for label, fact in _exchanges_in(wheel).items():
            known = exchanges.setdefault(label, {"name": label, "countries": [], "releases": [], "hosts": {}})
            known["name"] = fact["name"] or known["name"]
            known["countries"] = sorted({*known["countries"], *fact["countries"]})
            known["releases"].append(release)
            for host, roles in fact["hosts"].items():
                known["hosts"][host] = sorted({*known["hosts"].get(host, ()), *roles})
    for known in exchanges.values():
        known["hosts"] = dict(sorted(known["hosts"].items()))
    return {
        "package": PACKAGE,
        "releases": digests,
        "exchanges": {label: known for label, known in sorted(exchanges.items()) if known["hosts"]},
    }


def _exchanges_in(wheel: Path) -> dict[str, Exchange]:
    found: dict[str, Exchange] = {}
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.infolist() if _MODULE.fullmatch(member.filename)]
        if len(members) > MODULES_MAX:
            raise ValueError(f"{wheel.name}: {len(members):,} modules, more than {MODULES_MAX:,}")
        for member in members:
            if member.file_size > SOURCE_OCTETS_MAX:
                raise ValueError(f"{wheel.name}: {member.filename} is larger than {SOURCE_OCTETS_MAX:,}")
            fact = described_in(archive.read(member).decode("utf-8"))
            match = _MODULE.fullmatch(member.filename)
            if fact is None or match is None:
                continue
            known = found.setdefault(match[1].lstrip("_"), {"name": "", "countries": [], "hosts": {}})
            known["name"] = known["name"] or fact["name"]
            known["countries"] += fact["countries"]
            for host, roles in fact["hosts"].items():
                known["hosts"].setdefault(host, set()).update(roles)
    return found


def described_in(source: str) -> Exchange | None:
    """Read what a module's `describe()` says; None where there is none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "describe":
            return _described(node)
    return None


def _described(function: ast.FunctionDef) -> Exchange | None:
    """Look for the outermost mapping that has `urls`; of nested ones (options) nothing is wanted."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Dict):
            continue
        items = {
            key.value: item
            for key, item in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant)
        }
        if "urls" in items or "countries" in items:
            return {
                "name": next((text for _, text in _texts(items.get("name"))), ""),
                "countries": [text for _, text in _texts(items.get("countries"))],
                "hosts": _hosts(items.get("urls"), next((t for _, t in _texts(items.get("hostname"))), "")),
            }
    return None


def _texts(node: ast.expr | None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every literal text below `node`, with the keys that lead to it; computed values are left out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield path, node.value
    elif isinstance(node, ast.Dict):
        for key, item in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield from _texts(item, (*path, str(key.value)))
    elif isinstance(node, ast.List | ast.Tuple):
        for item in node.elts:
            yield from _texts(item, path)


def _hosts(urls: ast.expr | None, hostname: str) -> dict[str, set[str]]:
    """Collect host -> roles; a role is the first key under `urls`.  The logo is another site's picture."""
    hosts: dict[str, set[str]] = {}
    if hostname:
        hosts[hostname.lower()] = {"api"}
    for path, text in _texts(urls):
        role = path[0] if path else "www"
        if role == "logo":
            continue
        url = f"https://{text}" if role == "hostnames" else text.replace("{hostname}", hostname)
        match = _HOST.match(url)
        # A template that is still open ("https://api.{...") names no host.
        if match and url[match.end() : match.end() + 1] != "{" and "." in match[1].strip("."):
            hosts.setdefault(match[1].lower(), set()).add("api" if role == "hostnames" else role)
    return hosts
