"""The import rule of ARCHITECTURE.md for the native plane, read from the source text.

Knows: modules, `use` and written-out paths.  Does not know: Rust's other syntax, macros, code under `#[cfg(test)]`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.for_each import for_each

NATIVE = Path(__file__).parents[2] / "native"

LEVELS: dict[str, dict[str, int]] = {
    "core": {
        "atomic": 0,
        "verdict": 0,
        "wire": 0,
        "cache": 1,
        "compile": 1,
        "entropy": 1,
        "http": 1,
        "local": 1,
        "policy": 1,
        "records": 1,
        "flow": 2,
    },
    "binding": {
        "atomic": 0,
        "counters": 0,
        "https_counts": 0,
        "slab": 0,
        "sys": 0,
        "timers": 0,
        "tls_counts": 0,
        "server_names": 0,
        "tls_session": 1,
        "epoll": 1,
        "guard": 1,
        "tls": 1,
        "signals": 1,
        "upstream_authorities": 1,
        "wake_flag": 1,
        "ring": 2,
        "stream_asks": 2,
        "udp_socket": 1,
        "udp_pool": 2,
        "upstream_server": 2,
        "upstream_streams": 3,
        "fields": 3,
        "shared_flow": 3,
        "mailbox": 4,
        "lives": 5,
        "stream_state": 5,
        "shared": 6,
        "compile": 4,
        "late_answers": 7,
        "upstream_queries": 8,
        "py_cache": 4,
        "py_policy": 4,
        "py_records": 4,
        "py_upstreams": 4,
        "py_wire": 4,
        "py_core": 5,
        "worker": 9,
        "https": 9,
        "streams": 9,
        "py_plane": 10,
        "py_steps": 10,
        "py_testing": 11,
    },
    "fuzz": {"chance": 0, "message": 0, "names": 0, "corpus": 1, "mutate": 1, "targets": 2},
    "models": {"atomic": 0},
    "stream_rig": {"http2": 0, "tls": 0, "clients": 1, "bin": 2},
}
"""By crate: each room imports itself and rooms of a lower level, never a sibling of its own level."""

ONLY_IMPORTED_BY: dict[str, set[str]] = {
    "std::fs": set(),
    "std::net::TcpListener": set(),
    "std::net::TcpStream": set(),
    "std::net::UdpSocket": set(),
    "std::os": set(),
    "std::thread": set(),
    "std::time": set(),
    "libc": set(),
    "pyo3": set(),
    "rand": {"entropy"},
}
"""What the core may not see but in these rooms: files, sockets, clocks, threads, Python, chance."""

Module = tuple[str, ...]
"""A module's path in its crate; the crate itself is empty."""

_NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(?P<hashes>\#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*"|b?'(?:\\[^\n']+|[^'\\\n])'""",
    re.DOTALL,
)
_TEST_ITEM = re.compile(
    r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([a-z]+\))?\s+)?mod\s+(\w+)\s*([;{])"
)
_TEST_FILE = re.compile(r'#\[cfg\(test\)\]\s*(?:#\[path = "(\w+)\.rs"\]\s*)?(?:pub\s+)?mod\s+(\w+);')
_INLINE_MODULE = re.compile(r"^mod\s+(\w+)\s*\{", re.MULTILINE)
_USE = re.compile(r"\buse\s+([^;]+);")
_BRACE = re.compile(r"[{}]")
_PATH = re.compile(r"\b(?:crate|super)(?:::\w+)+")


@functools.cache
def code_of(source: str) -> str:
    """The source without comments, texts and tests; every line keeps its number."""

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", found.group())

    code = _NOT_CODE.sub(blank, source)
    while test := _TEST_ITEM.search(code):
        end = test.end() if test.group(2) == ";" else _closing(code, test.end())
        code = code[: test.start()] + re.sub(r"[^\n]", " ", code[test.start() : end]) + code[end:]
    return code


def _closing(code: str, at: int) -> int:
    """Behind the brace that closes the one before `at`."""
    depth = 1
    for brace in _BRACE.finditer(code, at):
        depth += 1 if brace.group() == "{" else -1
        if not depth:
            return brace.end()
    raise IndexError(at)


def paths_in(tree: str) -> Iterator[str]:
    """The single paths of what stands behind `use`."""
    head, brace, rest = tree.strip().partition("{")
    if not brace:
        if path := tree.strip().split(" as ")[0].strip():
            yield path
        return
    depth, start, rest = 0, 0, rest.rstrip()[:-1] + ","
    for at, sign in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            yield from (head.strip() + path for path in paths_in(rest[start:at]))
            start = at + 1


def imports_of(source: str) -> list[tuple[int, str]]:
    """(line, path) of every import and of every written-out path that begins with `crate` or `super`."""
    code = code_of(source)
    found = []
    for use in _USE.finditer(code):
        line = code.count("\n", 0, use.start()) + 1
        found += [(line, path) for path in paths_in(re.sub(r"\s+", " ", use.group(1)))]
    rest = _USE.sub(lambda use: re.sub(r"[^\n]", " ", use.group()), code)
    found += [(rest.count("\n", 0, path.start()) + 1, path.group()) for path in _PATH.finditer(rest)]
    return sorted(found)


def target_of(module: Module, path: str, modules: set[Module]) -> Module | None:
    """The module of the same crate that a path leads into; None: it leads out of the crate."""
    words = path.split("::")
    if words[0] == "crate":
        at: Module = ()
    elif words[0] == "super":
        at = module[:-1]
    elif words[0] == "self" or (*module, words[0]) in modules:
        at = module
    else:
        return None
    for word in words if words[0] not in ("crate", "super", "self") else words[1:]:
        if word == "super":
            at = at[:-1]
        elif (*at, word) in modules:
            at = (*at, word)
        else:
            break
    return at


def complaints_about(crate: str, module: Module, source: str, modules: set[Module]) -> list[str]:
    """Every breach of the rule in one file's source, circles left out."""
    levels = LEVELS[crate]
    name = "::".join((crate, *module))
    complaints = []
    for line, path in imports_of(source):
        where = f"{name}:{line} imports {path}"
        if crate == "core" and module:
            for restricted, rooms in ONLY_IMPORTED_BY.items():
                if f"{path}::".startswith(f"{restricted}::") and module[0] not in rooms:
                    complaints.append(f"{where}: only {sorted(rooms)} may")
        target = target_of(module, path, modules)
        if target is None or not module:
            continue
        if target[: len(module)] != module and target == module[: len(target)]:
            complaints.append(f"{where}: name the file that has it, not what is above")
        elif target[0] != module[0] and levels[target[0]] >= levels[module[0]]:
            complaints.append(f"{where}: not below {module[0]}")
    return complaints


def circle_in(edges: dict[Module, set[Module]]) -> list[Module]:
    """Some modules that import each other in a circle; empty: there are none."""
    done: set[Module] = set()

    def walk(module: Module, way: list[Module]) -> list[Module]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for other in sorted(edges.get(module, ())):
            if circle := walk(other, [*way, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in sorted(edges) if (circle := walk(module, []))), [])


def edges_of(crate_files: dict[Module, str]) -> dict[Module, set[Module]]:
    """Which file of a crate imports which; a file that gathers the files below it is left out."""
    modules = modules_of(crate_files)
    edges: dict[Module, set[Module]] = {}
    for module, source in crate_files.items():
        targets = {target_of(module, path, modules) for _, path in imports_of(source)}
        edges[module] = {
            target for target in targets if target and target != module and target[: len(module)] != module
        }
    return edges


def modules_of(crate_files: dict[Module, str]) -> set[Module]:
    """The modules of a crate: its files, and what stands within the first one."""
    inline = {(name,) for name in _INLINE_MODULE.findall(code_of(crate_files.get((), "")))}
    return {module for module in crate_files if module} | inline


def files_of(crate: str) -> dict[Module, str]:
    """The source of each module of a crate, but for those that are tests."""
    root = NATIVE / crate / "src"
    files: dict[Module, str] = {}
    tests: set[Module] = set()
    for path in sorted(root.rglob("*.rs")):
        words = path.relative_to(root).with_suffix("").parts
        is_gathering = words[-1] in ("mod", "lib", "main")
        module = words[:-1] if is_gathering else words
        source = path.read_text()
        if words[-1] == "main":
            continue
        files[module] = source
        for place, name in _TEST_FILE.findall(source):
            tests.add((*module[:-1], place) if place else (*module, name))
    return {module: source for module, source in files.items() if module not in tests}


FILES = {crate: files_of(crate) for crate in LEVELS}


@for_each("crate", sorted(LEVELS))
def test_imports_point_one_way(crate: str) -> None:
    modules = modules_of(FILES[crate])
    complaints = [complaints_about(crate, module, source, modules) for module, source in FILES[crate].items()]
    assert [complaint for complaint in complaints if complaint] == []


@pytest.mark.parametrize("crate", sorted(LEVELS))
def test_no_files_import_each_other_in_a_circle(crate: str) -> None:
    assert circle_in(edges_of(FILES[crate])) == []


@pytest.mark.parametrize("crate", sorted(LEVELS))
def test_every_room_has_a_level(crate: str) -> None:
    rooms = {module[0] for module in modules_of(FILES[crate])}
    assert rooms == set(LEVELS[crate])


def test_every_crate_is_looked_at() -> None:
    assert {path.parent.name for path in NATIVE.glob("*/Cargo.toml")} == set(LEVELS)


MODULES: set[Module] = {
    ("wire",),
    ("wire", "query"),
    ("wire", "names"),
    ("policy",),
    ("policy", "image"),
    ("policy", "table"),
    ("cache",),
    ("entropy",),
    ("flow",),
    ("flow", "answer"),
}


@for_each(
    ("module", "source"),
    [
        (("wire", "query"), "use crate::policy::Verdict;"),
        (("wire", "query"), "use crate::{policy::{table::{PolicyTable}, Image}, wire::names};"),
        (("policy", "image"), "pub use crate::cache::Cache;"),
        (("policy", "image"), "pub(super) use crate::cache as kept;"),
        (("policy", "image"), "fn f() { let c = crate::flow::Flow::new(); }"),
        (("policy", "image"), "fn f() { super::super::flow::g() }"),
        (("policy",), "use super::flow::Flow;"),
        (("policy", "image"), "use super::Image;"),
        (("policy", "image"), "use crate::policy::PolicyTable;"),
        (("policy", "image"), "use super::*;"),
        (("policy", "image"), "use crate::NUMBER;"),
        (("cache",), "use std::time::Instant;"),
        (("wire", "query"), "use std::{net::{IpAddr, UdpSocket}};"),
        (("cache",), "use rand::RngCore;"),
        (
            ("cache",),
            "const BRACE: char = '{';\n#[cfg(test)]\nmod tests { use super::*; }\nuse crate::flow::Flow;",
        ),
    ],
)
def test_a_breach_is_seen(module: Module, source: str) -> None:
    assert complaints_about("core", module, source, MODULES) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (("flow", "answer"), "use crate::policy::{Image, table::PolicyTable};\nuse crate::wire::names as n;"),
        (("policy", "image"), "use super::table::PolicyTable;\nuse crate::wire::query::Query;"),
        (("policy",), "mod image;\npub use image::Image;\nuse self::table::PolicyTable;"),
        (
            ("policy", "image"),
            '// use crate::flow::Flow;\n/* crate::flow::x */ const T: &str = "use super::Image;";',
        ),
        (("policy", "image"), "#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::flow::Flow;\n}"),
        (("entropy",), "use rand::rngs::StdRng;"),
        (("cache",), "use std::net::IpAddr;"),
        ((), "pub use flow::Flow;"),
    ],
)
def test_what_the_rule_allows_is_allowed(module: Module, source: str) -> None:
    assert complaints_about("core", module, source, MODULES) == []


def test_a_circle_is_seen() -> None:
    files: dict[Module, str] = {
        ("wire",): "mod query;\nmod names;\nmod walk;\npub use query::Query;",
        ("wire", "query"): "use super::names::N;",
        ("wire", "names"): "fn f() { super::walk::w() }",
        ("wire", "walk"): "use super::query::{Query};",
    }
    assert circle_in(edges_of(files)) == [
        ("wire", "names"),
        ("wire", "walk"),
        ("wire", "query"),
        ("wire", "names"),
    ]
    files["wire", "walk"] = "#[cfg(test)]\nmod tests { use super::super::query::Query; }"
    assert circle_in(edges_of(files)) == []


def test_a_breach_is_told_with_its_line() -> None:
    source = "//! Head.\n\nuse std::{\n    fmt,\n};\n\nuse crate::{\n    flow::Flow,\n};\n"
    assert complaints_about("core", ("cache",), source, MODULES) == [
        "core::cache:7 imports crate::flow::Flow: not below cache"
    ]
