"""What both languages state must be the same number.

Knows: constants of one name in `resolver` and in the native plane, read from the source text wherever they stand.
Does not know: what any of them is for.
Theory: a name that stands for several things in Python is named here; of those each value of Rust's must be one of
Python's.  Every other name has one value, in all the files of both languages.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import pytest

from tests.house.test_native_imports import NATIVE, code_of, files_of
from tests.support.for_each import for_each

PACKAGE = NATIVE.parent / "resolver"

DIFFERENT: dict[str, str] = {
    "CONTROL_OCTETS": "Python gives the kernel room for any message, the plane keeps one IPV6_PKTINFO",
    "NEVER": "infinity, which Python spells as a call",
    "NOBODY": "one set of addresses, as a pattern and as a list; tests of lists hold both against each other",
    "NOT_YET": "two things: a time before every other, a place in the memo that is not known",
    "PARTS": "two things: locks of the rate limiter, parts of an archive, names in a module",
    "PASS": "a whole verdict; the policy vectors hold both against each other",
    "PLAIN": "one set of octets, as a pattern and as a table; tests of lists hold both against each other",
    "SEEN_MAX": "Python counts one set of marks that it empties, a thread has a table of slots",
    "WAYS": "two things: what is said of the way to upstreams, places of a memo for one question",
    "TARGETS": "two things: words of an exported zone, addresses in lists",
}
"""Names that both languages use and whose values are not the same, each with the reason."""

SEVERAL: dict[str, str] = {
    "STALL_S": "of an event loop, of a request over HTTP/2",
    "STATUSES": "of DNS over HTTPS, of the block page, of audits",
    "HEADER_OCTETS": "of a message, of an image, of a kernel's structure",
    "LINE_OCTETS_MAX": "of a list, of a YAML file",
    "LOOK_AGAIN_S": "at who yields its place, at what an audit is to look at again",
    "NAME_OCTETS_MAX": "of a name, of a name in an exported zone, which needs room for the zone's own",
}
"""Names that stand for several things in Python, each with what they are."""

ENUMS: dict[str, str] = {
    "EdnsOption": "OPTION_",
    "ExtendedError": "EDE_",
    "Flag": "FLAG_",
    "Opcode": "OPCODE_",
    "Qclass": "CLASS_",
    "Qtype": "TYPE_",
    "Rcode": "RCODE_",
}
"""Python's enums of numbers, and what Rust's constants of their members begin with."""

COMPARED_MIN = 160
"""Fewer names in both languages than this: they are not found any more, and the comparison is worth nothing."""

Values = dict[str, set[Any]]
"""By name; a value that cannot be read from the text is None."""

_CONST = re.compile(r"\bconst\s+([A-Z][A-Z0-9_]*)\s*:[^=;]*(?:;[^=\]]*\][^=]*)?=")
_MACRO_CONST = re.compile(r"^\s+([A-Z][A-Z0-9_]*)\s*=\s*([0-9a-fx_]+)(?:,[^;]*)?;", re.MULTILINE)
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.LShift: lambda a, b: a << b,
    ast.RShift: lambda a, b: a >> b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitAnd: lambda a, b: a & b,
    ast.Pow: lambda a, b: a**b,
}


class Unread(Exception):
    """The text says no plain value."""


def value_of(expression: ast.expr, look_up: Callable[[str], Any]) -> Any:
    """A plain value: numbers, texts, tuples; octets as a tuple of numbers.  Raises Unread."""
    match expression:
        case ast.Constant(value=bytes() as octets):
            return tuple(octets)
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(value_of(item, look_up) for item in items)
        case ast.Name(id=name):
            return look_up(name)
        case ast.Attribute(value=ast.Name(id=kind), attr=member):
            return f"{kind}.{member}".lower().replace("_", "")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value_of(operand, look_up)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _OPERATORS[type(operator)](value_of(left, look_up), value_of(right, look_up))
        case ast.Call(func=ast.Name(id="name_from_text"), args=[ast.Constant(value=str() as text)]):
            labels = [label.encode() for label in text.rstrip(".").split(".")]
            return tuple(b"".join(bytes((len(label),)) + label for label in labels) + b"\0")
    raise Unread(ast.unparse(expression))


def _read(expression: ast.expr, look_up: Callable[[str], Any]) -> Any:
    try:
        return value_of(expression, look_up)
    except (Unread, TypeError):
        return None


def python_constants(sources: Iterable[str]) -> Values:
    """Constants of modules, and the members of ENUMS under Rust's names."""
    found: Values = {}
    for source in sources:
        own: dict[str, Any] = {}

        def look_up(name: str, own: dict[str, Any] = own) -> Any:
            if own.get(name) is None:
                raise Unread(name)
            return own[name]

        body = ast.parse(source).body
        for name, expression in _assignments(body):
            own[name] = _read(expression, look_up)
            found.setdefault(name.lstrip("_"), set()).add(own[name])
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name in ENUMS:
                for name, expression in _assignments(node.body):
                    found.setdefault(ENUMS[node.name] + name, set()).add(_read(expression, look_up))
    return found


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == name.upper():
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name == name.upper():
                yield name, value


def rust_constants(sources: Iterable[str]) -> Values:
    """Constants of every level but of tests, those within the macros of numbers included."""
    texts: dict[str, set[str]] = {}
    for source in sources:
        code = code_of(source)
        for const in _CONST.finditer(code):
            texts.setdefault(const.group(1), set()).add(source[const.end() : _end(code, const.end())])
        for name, value in _MACRO_CONST.findall(code):
            texts.setdefault(name, set()).add(value)

    @cache
    def values_of(name: str) -> frozenset[Any]:
        return frozenset(_value_in_rust(text, look_up) for text in texts.get(name, set()))

    def look_up(name: str) -> Any:
        known = values_of(name)
        if len(known) != 1 or None in known:
            raise Unread(name)
        return next(iter(known))

    return {name: set(values_of(name)) for name in texts}


def _end(code: str, at: int) -> int:
    """Where the semicolon that ends what begins at `at` stands."""
    depth = 0
    while depth or code[at] != ";":
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(code[at], 0)
        at += 1
    return at


def _value_in_rust(text: str, look_up: Callable[[str], Any]) -> Any:
    """The value of an expression of Rust that is nearly one of Python; None: it cannot be read."""
    text = re.sub(r"\s+as\s+\w+", "", text.strip().lstrip("&*"))
    text = re.sub(r"\b[ui](\d+)::MAX\b", lambda bits: str((1 << int(bits.group(1))) - 1), text)
    text = re.sub(r"\bDuration::from_(secs|millis|micros)\(([^()]*)\)", _seconds, text)
    text = re.sub(r"\b(\d[\d_]*|0x[\da-fA-F_]+?)_?[uif](?:8|16|32|64|size)\b", r"\1", text)
    text = re.sub(r"(\w)::(\w)", r"\1.\2", text).replace(r"\0", r"\x00")
    try:
        return _read(ast.parse(text, mode="eval").body, look_up)
    except SyntaxError:
        return None


def _seconds(duration: re.Match[str]) -> str:
    parts = {"secs": 1, "millis": 1000, "micros": 1_000_000}[duration.group(1)]
    return f"(({duration.group(2)}) / {parts})"


def differences(python: Values, rust: Values, excused: Iterable[str] = ()) -> list[str]:
    """The names whose values are not the same, or cannot be read."""
    return [
        f"{name}: {sorted(map(str, python[name]))} in Python, {sorted(map(str, rust[name]))} in Rust"
        for name in sorted(python.keys() & rust.keys() - set(excused))
        if None in rust[name]
        or not rust[name] <= python[name]
        or (name not in SEVERAL and len(python[name]) > 1)
    ]


@cache
def constants() -> tuple[Values, Values]:
    """Those of the package and those of the plane."""
    python = [path.read_text() for path in sorted(PACKAGE.rglob("*.py"))]
    rust = [source for crate in ("core", "binding") for source in files_of(crate).values()]
    return python_constants(python), rust_constants(rust)


@pytest.mark.slow
def test_what_both_languages_state_is_the_same() -> None:
    assert differences(*constants(), DIFFERENT) == []


def test_both_are_found() -> None:
    python, rust = constants()
    assert len(python.keys() & rust.keys()) - len(DIFFERENT) >= COMPARED_MIN


@pytest.mark.parametrize("name", sorted(DIFFERENT))
def test_what_differs_on_purpose_still_differs(name: str) -> None:
    told = differences(*constants())
    assert [line for line in told if line.startswith(f"{name}:")] != []


@for_each(
    ("python", "rust"),
    [
        ("LIMIT = 64 * 1024", "pub const LIMIT: usize = 64 << 10;"),
        ("_LIMIT: Final = 1 << 16", "const LIMIT: u32 = 65_536u32;"),
        ("WAIT_S = 0.25", "const WAIT_S: Duration = Duration::from_millis(250);"),
        ("TOP = 0xFFFFFFFF", "const TOP: usize = u32::MAX as usize;"),
        ("UNIT = 4\nLIMIT = 2 * UNIT", "const UNIT: usize = 4;\nconst LIMIT: usize = UNIT * 2;"),
        ('MAGIC = b"ab\\0c"', 'pub(super) const MAGIC: &[u8; 4] = b"ab\\0c";'),
        ('MAGIC = b"\\0\\1"', "const MAGIC: [u8; 2] = [0, 1];"),
        ("NAME = name_from_text('a.bc')", 'const NAME: &[u8] = b"\\x01a\\x02bc\\0";'),
        ("BOUNDS = (0.1, 1.0)", "const BOUNDS: [f64; 2] =\n    [0.1, 1.0];"),
        ("KINDS = (Kind.ALL, Kind.NO_ONE)", "const KINDS: [Kind; 2] = [Kind::All, Kind::NoOne];"),
        ("OCTETS = 12\n", "const OCTETS: usize = 12;\n#[cfg(test)]\nmod tests { const OCTETS: usize = 13; }"),
        ("class Flag(IntEnum):\n    AD = 32", "named! {\n    FLAG_AD = 0x0020;\n}"),
        ("class Qtype(IntEnum):\n    A = 1", 'labelled! {\n    TYPE_A = 1, "A";\n}'),
        ("ONE = 1", "const ANOTHER: u8 = 2;"),
    ],
)
def test_equal_values_are_equal_however_spelt(python: str, rust: str) -> None:
    assert differences(python_constants([python]), rust_constants([rust])) == []


@pytest.mark.parametrize(
    ("python", "rust"),
    [
        ("LIMIT = 64 * 1024", "pub const LIMIT: usize = 64 << 11;"),
        ("LIMIT = 65_537", "const LIMIT: u32 = 65_536;"),
        ("WAIT_S = 0.25", "const WAIT_S: Duration = Duration::from_millis(251);"),
        ("UNIT = 4\nLIMIT = 2 * UNIT", "const UNIT: usize = 4;\nconst LIMIT: usize = UNIT * 3;"),
        ('MAGIC = b"ab\\0c"', 'const MAGIC: &[u8; 4] = b"ab\\0d";'),
        ("NAME = name_from_text('a.bc')", 'const NAME: &[u8] = b"\\x01a\\x02bd\\0";'),
        ("BOUNDS = (0.1, 1.0)", "const BOUNDS: [f64; 2] = [0.1, 1.5];"),
        ("KINDS = (Kind.ALL,)", "const KINDS: [Kind; 1] = [Kind::Lists];"),
        ("class Flag(IntEnum):\n    AD = 32", "named! {\n    FLAG_AD = 0x0010;\n}"),
        ("SIZE = 8", "const SIZE: usize = size_of::<u64>();"),
        ("SIZE = len(THING)", "const SIZE: usize = 8;"),
    ],
)
def test_a_made_up_difference_is_seen(python: str, rust: str) -> None:
    assert differences(python_constants([python]), rust_constants([rust])) != []


def test_what_python_says_twice_it_says_alike() -> None:
    twice = python_constants(["LIMIT = 12", "_LIMIT = 13"])
    assert differences(twice, rust_constants(["const LIMIT: usize = 12;"])) != []


def test_where_a_name_is_several_things_each_value_of_rust_needs_one_of_python() -> None:
    two_headers = python_constants(["HEADER_OCTETS = 12", "HEADER_OCTETS = 256"])
    assert differences(two_headers, rust_constants(["const HEADER_OCTETS: usize = 256;"])) == []
    other = rust_constants(["const HEADER_OCTETS: usize = 12;", "const HEADER_OCTETS: usize = 13;"])
    assert differences(two_headers, other) == ["HEADER_OCTETS: ['12', '256'] in Python, ['12', '13'] in Rust"]
