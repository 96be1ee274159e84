"""What a list's `format` says of a register: a kind that is known here, or a mapping of its own.

Knows: the kinds' names, which of them only warn or only check, what a mapping may say.  Does not know:
how a register is read (`registers`).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from resolver.problems import show, suggest

RegisterType = Literal["csv", "json", "xml"]

REGISTER_PREFIX = "register/"
REGISTER_KINDS = (
    "esma-ncasp",
    "esma-casps",
    "pl-hazard",
    "pl-cert",
    "ru-dump",
    "it-adm",
    "it-cncpo",
    "it-piracy-shield",
    "komdigi",
    "cz-mf",
    "gespa",
    "iosco",
)
WARNING_KINDS = frozenset({"esma-ncasp", "iosco"})
"""They warn of entities and order nothing: their lists are in shadow unless a `mode` is written."""
CHECK_KINDS = frozenset({"esma-casps"})
"""They say who is authorised: their lists block nothing and need `kind: check`."""

COLUMNS = ("name", "id", "number", "date", "added", "removed", "authority", "holder")
"""What a mapping may name a column for."""
_KEYS = ("type", "records", "columns", "delimiter", "header", "encoding", "separator", "date_form")
_ENCODINGS = frozenset(
    {"utf-8", "ascii", "iso8859-1", "iso8859-2", "iso8859-15", "cp1250", "cp1251", "cp1252"}
)
TEXT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class RegisterMapping:
    """Where a register that has no kind of its own says what."""

    type: RegisterType
    columns: Mapping[str, tuple[str, ...]]
    """A key of `COLUMNS` -> columns by name or, in CSV, by number from 1; JSON: keys with dots, XML: paths
    from the record with slashes, `@x` for an attribute.  `name` may have several."""
    records: str = ""
    """JSON: keys that lead to the array (`data.items`); XML: elements that lead to a record
    (`register/content`), `*` for any."""
    delimiter: str = ","
    header: bool = True
    """Whether the first row of CSV names the columns."""
    encoding: str = "utf-8"
    """Of CSV."""
    separator: str = ""
    """Characters that part several names in one column, beside blanks and line ends."""
    date_form: str = ""
    """`%d/%m/%Y` and its like; empty: dates stand as they are written."""


@dataclass(frozen=True, slots=True)
class RegisterFormat:
    """The format of one register: its kind, or a mapping."""

    kind: str = ""
    """One of `REGISTER_KINDS`; empty: see `mapping`."""
    mapping: RegisterMapping | None = None

    @property
    def is_warning(self) -> bool:
        """Whether it only warns."""
        return self.kind in WARNING_KINDS

    @property
    def text(self) -> str:
        """The format in a word: `register/ru-dump`, `csv`."""
        return REGISTER_PREFIX + self.kind if self.mapping is None else self.mapping.type

    def as_json(self) -> dict[str, Any]:
        """For the image's notes and for a child process."""
        return asdict(self)


def register_from_json(fields: Mapping[str, Any] | None) -> RegisterFormat | None:
    """`as_json` back again.  Raises KeyError or TypeError for anything else."""
    if fields is None:
        return None
    mapping = fields["mapping"]
    if mapping is not None:
        columns = {key: tuple(names) for key, names in mapping["columns"].items()}
        mapping = RegisterMapping(**{**mapping, "columns": columns})
    return RegisterFormat(fields["kind"], mapping)


LIST_FORMATS = ("auto", "hosts", "domains", "wildcard", "adblock", "dnsmasq", "rpz")
"""The formats of lists that are no registers."""

FORMAT_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": [*LIST_FORMATS, *(REGISTER_PREFIX + kind for kind in REGISTER_KINDS)]},
        {
            "type": "object",
            "properties": {
                "type": {"enum": ["csv", "json", "xml"]},
                "records": {"type": "string"},
                "columns": {"type": "object", "propertyNames": {"enum": list(COLUMNS)}, "required": ["name"]},
                "delimiter": {"type": "string", "minLength": 1, "maxLength": 1},
                "header": {"type": "boolean"},
                "encoding": {"enum": sorted(_ENCODINGS)},
                "separator": {"type": "string"},
                "date_form": {"type": "string"},
            },
            "required": ["type", "columns"],
            "additionalProperties": False,
        },
    ]
}
"""JSON Schema of `format`."""


def format_from(value: object) -> str | RegisterFormat:
    """Read a list's `format`: a word of `LIST_FORMATS`, or what it says of a register.  Raises ValueError."""
    if isinstance(value, str) and value in LIST_FORMATS:
        return value
    wanted = register_format(value)
    if wanted is None:
        hint = suggest(value, LIST_FORMATS) if isinstance(value, str) else ""
        allowed = f"{', '.join(LIST_FORMATS)}, register/KIND, or a mapping of csv, json or xml"
        raise ValueError(f"{show(value)} is not a format{hint}; allowed: {allowed}")
    return wanted


def register_format(value: object) -> RegisterFormat | None:
    """Read `format`; None for a list of another format.  Raises ValueError with a sentence."""
    if isinstance(value, Mapping):
        return RegisterFormat(mapping=_mapping_from(value))
    if not isinstance(value, str) or not value.startswith(REGISTER_PREFIX):
        return None
    kind = value.removeprefix(REGISTER_PREFIX)
    if kind not in REGISTER_KINDS:
        known = ", ".join(REGISTER_KINDS)
        raise ValueError(f"there is no register {show(kind)}{suggest(kind, REGISTER_KINDS)}; known: {known}")
    return RegisterFormat(kind)


def _mapping_from(value: Mapping[Any, Any]) -> RegisterMapping:
    for key in value:
        if key not in _KEYS:
            raise ValueError(
                f"{show(key)} is no key of a mapping{suggest(str(key), _KEYS)}; known: {', '.join(_KEYS)}"
            )
    kind = value.get("type")
    if kind not in ("csv", "json", "xml"):
        raise ValueError(f"type is {show(kind)}; allowed: csv, json, xml")
    texts = {key: _text(value, key) for key in ("records", "separator", "date_form")}
    if kind == "csv":
        if texts["records"]:
            raise ValueError("records is for json and xml; in csv each row is one")
    else:
        for key in ("delimiter", "header", "encoding"):
            if key in value:
                raise ValueError(f"{key} is for csv")
    if kind == "xml" and not texts["records"]:
        raise ValueError("records is missing: the elements that lead to a record, e.g. register/content")
    delimiter = value.get("delimiter", ",")
    if not (
        isinstance(delimiter, str) and len(delimiter) == 1 and (delimiter.isprintable() or delimiter == "\t")
    ):
        raise ValueError(f"delimiter is {show(delimiter)}; allowed: one character, e.g. ';'")
    if delimiter == '"':
        raise ValueError("delimiter cannot be the quote")
    header = value.get("header", True)
    if not isinstance(header, bool):
        raise ValueError(f"header is {show(header)}; allowed: true or false")
    return RegisterMapping(
        type=kind,
        columns=_columns_from(value.get("columns"), kind, header=header),
        delimiter=delimiter,
        header=header,
        encoding=_encoding_from(value.get("encoding", "utf-8")),
        **texts,
    )


def _text(value: Mapping[Any, Any], key: str) -> str:
    text = value.get(key, "")
    if not isinstance(text, str) or not text.isprintable() or len(text) > TEXT_CHARS_MAX:
        raise ValueError(f"{key} is {show(text)}; allowed: a text of at most {TEXT_CHARS_MAX} characters")
    if key == "date_form" and text and not re.search("%[dmYyjbB]", text):
        raise ValueError(f"date_form is {show(text)}; write e.g. '%d/%m/%Y'")
    return text


def _encoding_from(value: object) -> str:
    try:
        name = codecs.lookup(value).name if isinstance(value, str) else ""
    except (LookupError, ValueError):
        name = ""
    if name not in _ENCODINGS:
        raise ValueError(f"encoding is {show(value)}; known: {', '.join(sorted(_ENCODINGS))}")
    return name


def _columns_from(value: object, kind: str, *, header: bool) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping) or "name" not in value:
        raise ValueError("columns is missing, or has no 'name': the column of names, URLs or addresses")
    columns: dict[str, tuple[str, ...]] = {}
    for key, named in value.items():
        if key not in COLUMNS:
            raise ValueError(
                f"columns: {show(key)} is not known{suggest(str(key), COLUMNS)}; known: {', '.join(COLUMNS)}"
            )
        several = list(named) if isinstance(named, Sequence) and not isinstance(named, str) else [named]
        if not several or (len(several) > 1 and key != "name"):
            raise ValueError(f"columns.{key}: write one column")
        columns[key] = tuple(_column(key, each, kind, header=header) for each in several)
    return columns


def _column(key: str, value: object, kind: str, *, header: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"columns.{key}: {show(value)} is not a column")
    text = str(value)
    if not text.strip() or not text.isprintable() or len(text) > TEXT_CHARS_MAX:
        raise ValueError(f"columns.{key}: {show(value)} is not a column")
    if kind == "csv" and not header and not (text.isascii() and text.isdigit() and 0 < int(text) <= 1000):
        raise ValueError(f"columns.{key}: {show(value)}: without a header write the column's number, from 1")
    return text


def kind_objection(kind: str, register: RegisterFormat | None) -> str:
    """Why a list's `kind` does not go with its format; empty: it does."""
    if kind == "check" and register is None:
        return "'check' needs a register: format: register/esma-casps, or a mapping"
    if kind != "check" and register is not None and register.kind in CHECK_KINDS:
        return f"{register.text} says who is authorised: it takes kind: check, and blocks nothing"
    return ""
