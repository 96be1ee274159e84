"""The import rule of ARCHITECTURE.md, read from the source text."""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "resolver"

LEVELS: dict[str, int] = {
    "children": 0,
    "clock": 0,
    "dashboard": 0,
    "durable": 0,
    "identity": 0,
    "moments": 0,
    "languages": 0,
    "machine": 1,
    "plane": 0,
    "plurals": 0,
    "portions": 0,
    "problems": 0,
    "scratch": 0,
    "supervision": 0,
    "wire": 1,
    "cache": 2,
    "config": 2,
    "forwarding": 2,
    "known_names": 2,
    "local": 2,
    "policy": 2,
    "block_page": 3,
    "blocklist": 3,
    "export": 3,
    "flow": 3,
    "hits": 3,
    "lists": 4,
    "observe": 4,
    "orders": 4,
    "acknowledging": 4,
    "audit": 5,
    "migration": 5,
    "certificates": 5,
    "registers": 5,
    "explain": 6,
    "suggestions": 5,
    "fetching": 6,
    "listeners": 6,
    "publishing": 6,
    "sinks": 6,
    "web": 6,
    "doctor": 2,
    "changing": 7,
    "report": 7,
    "api": 8,
    "server": 9,
    "cli": 10,
    "__main__": 11,
}
"""Each room imports itself and rooms of a lower level, never a sibling of its own level."""

ONLY_IMPORTED_BY: dict[str, set[str]] = {
    "resolver.config.settings": {"config", "server", "cli"},
    "resolver.observe": {"listeners", "sinks", "web", "api", "server", "cli"},
    "resolver.sinks": {"server", "cli"},
    "resolver.fetching": {"server", "cli"},
    "resolver.block_page": {"server", "cli"},
    "resolver.export": {"cli"},
    "dnslib": {"wire"},
    "httpcore": {"fetching"},
    "cryptography": {"certificates", "fetching", "forwarding", "report", "sinks"},
    "h2": {"audit", "forwarding", "listeners"},
    "defusedxml": {"registers"},
    "prometheus_client": {"observe"},
    "starlette": {"web", "api", "server"},
    "hypercorn": {"web"},
    "typer": {"cli"},
    "rich": {"cli"},
}

IMPURE = {"asyncio", "socket", "time", "random", "secrets", "select", "ssl", "threading", "uvloop"}
"""What a pure module may not see: clocks, sockets, chance, schedulers."""

PURE_ROOMS = {
    "wire",
    "policy",
    "cache",
    "known_names",
    "blocklist",
    "lists",
    "explain",
    "export",
    "local",
    "migration",
    "orders",
    "publishing",
    "registers",
    "suggestions",
    "report",
}
PURE_MODULES = {
    "resolver.certificates.making",
    "resolver.certificates.names",
    "resolver.certificates.pair",
    "resolver.forwarding.transaction",
    "resolver.forwarding.upstream",
    "resolver.flow.outcome",
    "resolver.listeners.handshakes",
    "resolver.listeners.http",
    "resolver.listeners.http1",
    "resolver.listeners.http2",
    "resolver.listeners.http2_frames",
    "resolver.fetching.addresses",
    "resolver.fetching.schedule",
    "resolver.observe.clients",
    "resolver.observe.facts",
    "resolver.observe.series",
    "resolver.observe.metric_table",
    "resolver.audit.campaign",
    "resolver.audit.expectation",
    "resolver.audit.gathering",
    "resolver.audit.judge",
    "resolver.audit.plan",
    "resolver.audit.results",
    "resolver.audit.subjects",
    "resolver.sinks.dnstap",
    "resolver.sinks.fields",
    "resolver.sinks.file_outlet",
    "resolver.sinks.frames",
    "resolver.sinks.ipcrypt",
    "resolver.sinks.jsonl",
    "resolver.sinks.look",
    "resolver.sinks.moments",
    "resolver.sinks.schema",
    "resolver.sinks.syslog",
    "resolver.sinks.why",
}
IMPURE_MODULES = {
    "resolver.certificates.making",
    "resolver.certificates.names",
    "resolver.certificates.pair",
    "resolver.publishing.publisher",
    "resolver.publishing.dates_keeper",
    "resolver.publishing.pause_keeper",
    "resolver.publishing.compiler",
    "resolver.publishing.watching",
}
"""The publisher watches and swaps, with three parts of its own; the compiler is the main of a child process."""


CIRCLES_KNOWN: dict[frozenset[str], str] = {
    frozenset(
        {"resolver.policy.table", "resolver.policy.trace"}
    ): "a table explains itself; the trace sees its type only",
    frozenset(
        {"resolver.blocklist.downloads", "resolver.blocklist.rules"}
    ): "a list has a download; downloads see its type only",
}
"""Modules that import each other, and why; imports for types and those inside functions count too."""

ROOM_SHARE_MAX = 0.16
"""Of the package's lines: a larger room has several jobs."""


def imports_of(source: str) -> list[tuple[int, str]]:
    """(line, dotted module) of every import; `from resolver import x` counts as `resolver.x`."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            module = node.module or ""
            if module == "resolver":
                found += [(node.lineno, f"resolver.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, module))
    return found


def complaints_about(module: str, source: str) -> list[str]:
    """Every breach of the rule in one module's source."""
    room = module.split(".")[1]
    pure = module in PURE_MODULES or (room in PURE_ROOMS and module not in IMPURE_MODULES)
    complaints = []
    for line, imported in imports_of(source):
        where = f"{module}:{line} imports {imported}"
        top = imported.split(".")[0]
        if top == "resolver":
            other = imported.split(".")[1] if "." in imported else ""
            if other and other in LEVELS and other != room and LEVELS[other] >= LEVELS[room]:
                complaints.append(f"{where}: not below {room}")
        if pure and top in IMPURE:
            complaints.append(f"{where}: {room} is pure")
        for restricted, rooms in ONLY_IMPORTED_BY.items():
            inside = imported == restricted or imported.startswith(restricted + ".")
            if inside and room not in rooms and f"resolver.{room}" != restricted:
                complaints.append(f"{where}: only {sorted(rooms)} may")
    return complaints


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name != "resolver":
            found.append((name, path))
    return found


@pytest.mark.parametrize(("module", "path"), [pytest.param(*pair, id=pair[0]) for pair in modules()])
def test_imports_point_one_way(module: str, path: Path) -> None:
    assert complaints_about(module, path.read_text()) == []


def test_every_room_has_a_level() -> None:
    assert {module.split(".")[1] for module, _ in modules()} <= set(LEVELS)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("resolver.wire.x", "import asyncio"),
        ("resolver.wire.x", "from resolver.policy import verdict"),
        ("resolver.policy.x", "def f():\n    import time"),
        ("resolver.policy.x", "import dnslib"),
        ("resolver.policy.x", "from resolver import cache"),
        ("resolver.flow.service", "from resolver.observe.tally import Tally"),
        ("resolver.flow.service", "import resolver.config.settings"),
        ("resolver.forwarding.transaction", "from asyncio import sleep"),
        ("resolver.listeners.x", "from resolver.web import app"),
        ("resolver.web.x", "import typer"),
        ("resolver.policy.x", "import httpcore"),
        ("resolver.policy.x", "from resolver.fetching import keeper"),
    ],
)
def test_a_breach_is_seen(module: str, source: str) -> None:
    assert complaints_about(module, textwrap.dedent(source)) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("resolver.publishing.publisher", "import asyncio"),
        ("resolver.forwarding.network", "import socket"),
        ("resolver.wire.records", "from dnslib import RR"),
        ("resolver.listeners.udp", "from resolver.observe.tally import Tally"),
        ("resolver.cli.run", "import resolver.config.settings"),
    ],
)
def test_what_the_rule_allows_is_allowed(module: str, source: str) -> None:
    assert complaints_about(module, source) == []


def circles_in(imports: dict[str, set[str]]) -> list[frozenset[str]]:
    """The groups of modules each of which leads to every other."""
    reached: dict[str, set[str]] = {}
    for module in imports:
        seen, ahead = set[str](), [module]
        while ahead:
            for found in imports.get(ahead.pop(), set()) - seen:
                seen.add(found)
                ahead.append(found)
        reached[module] = seen
    groups = {
        frozenset(other for other in reached[module] if module in reached.get(other, ()))
        for module in imports
        if module in reached[module]
    }
    return sorted(groups, key=sorted)


def imports_between(sources: dict[str, str]) -> dict[str, set[str]]:
    """Module -> the modules of `sources` that it imports, wherever in its text."""
    found: dict[str, set[str]] = {}
    for module, source in sources.items():
        names = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= (inner & sources.keys()) or {node.module}
        found[module] = names & sources.keys() - {module}
    return found


def test_no_modules_import_each_other_but_those_that_are_known() -> None:
    sources = {module: path.read_text() for module, path in modules()}
    assert circles_in(imports_between(sources)) == sorted(CIRCLES_KNOWN, key=sorted)


@pytest.mark.parametrize(
    "back",
    [
        "import r.a",
        "from r.a import x",
        "from r import a",
        "def f():\n    from r import a",
        "if TYPE_CHECKING:\n    import r.a",
    ],
)
def test_a_circle_is_seen(back: str) -> None:
    sources = {"r.a": "from r.b import y", "r.b": "import r.c", "r.c": back, "r.d": "import r.a"}
    assert circles_in(imports_between(sources)) == [frozenset({"r.a", "r.b", "r.c"})]


def test_a_chain_is_no_circle() -> None:
    assert (
        circles_in(imports_between({"r.a": "import r.b, r.c", "r.b": "import r.c", "r.c": "import json"}))
        == []
    )


def test_no_room_holds_more_than_its_share() -> None:
    lines: Counter[str] = Counter()
    for module, path in modules():
        lines[module.split(".")[1]] += path.read_text().count("\n")
    assert {room for room, count in lines.items() if count > ROOM_SHARE_MAX * lines.total()} == set()
