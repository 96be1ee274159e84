"""The kinds of registers: for each, from text to records.

Knows: which authority writes what into which field, as its documents and the importers of others have it.
Does not know: the grammar of CSV, XML and JSON, what becomes of a record.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from resolver.blocklist.registers import RegisterFormat, RegisterMapping
from resolver.registers.asking import asked_of
from resolver.registers.columns import (
    NOTHING_ASKED,
    Columns,
    date_text,
    get_from,
    get_from_json,
    get_from_row,
)
from resolver.registers.markup import Fields, elements_of
from resolver.registers.name_lists import gespa_records, komdigi_records, name_records
from resolver.registers.objects import elements_in
from resolver.registers.octets import lines_of
from resolver.registers.record import Record, RegisterRefused, Scope, cut
from resolver.registers.rows import rows_of

Pieces = Iterable[bytes]
Reader = Callable[[Pieces], Iterator[Record]]

_ESMA_DATES = "%d/%m/%Y"
NCASP = Columns(
    name=("ae_website",),
    id=("ae_lei_name", "ae_decision_date"),
    date="ae_decision_date",
    added="ae_lastupdate",
    authority=("ae_competentAuthority",),
    holder="ae_commercial_name",
    # `ae_infrigment` (sic) says nothing of the entity: it is "No" for all.
    date_form=_ESMA_DATES,
)
CASPS = Columns(
    name=("ae_website", "ae_website_platform"),
    id=("ae_lei",),
    added="ac_authorisationNotificationDate",
    removed="ac_authorisationEndDate",
    authority=("ae_competentAuthority",),
    holder="ae_lei_name",
    licence=("ae_homeMemberState", "ae_lei", "ac_authorisationNotificationDate"),
    date_form=_ESMA_DATES,
)
HAZARD = Columns(name=("AdresDomeny",), id=("@Lp",), added="DataWpisu", removed="DataWykreslenia")
HAZARD_AUTHORITY = "Minister Finansów (PL)"
CERT = Columns(name=("AdresDomeny",), id=("PozycjaRejestru",), added="DataWpisu", removed="DataWykreslenia")
CERT_AUTHORITY = "CERT Polska (PL)"
RU = Columns(
    name=(),
    id=("@id",),
    number="decision/@number",
    date="decision/@date",
    authority=("decision/@org",),
    added="@includeTime",
    urgency="@urgencyType",
)
CZ = Columns(name=("2",), id=("1",), removed="8", date_form="%d.%m.%Y")
CZ_AUTHORITY = "Ministerstvo financí (CZ)"
PIRACY_SHIELD_AUTHORITY = "AGCOM (IT)"
IOSCO = Columns(
    name=("url", "other_urls"),
    id=("id",),
    authority=("nca_name", "nca_jurisdiction"),
    holder="commercial_name",
)
_ARRAYS = ("", "data", "items", "results", "alerts", "tickets")
"""Where the array of a register may stand whose documents do not say it."""

_CNCPO_HEAD = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_CNCPO_STAMP = re.compile(r"[0-9]{12}\Z", re.ASCII)


def reader_of(wanted: RegisterFormat) -> Reader:
    """The reader of a format; it raises `RegisterRefused` while it reads."""
    if wanted.mapping is not None:
        mapping = wanted.mapping
        return lambda pieces: _mapped(pieces, mapping)
    return KINDS[wanted.kind]


# Kinds of named columns.


def read_table(
    pieces: Pieces, columns: Columns, *, delimiter: str = ",", encoding: str = "utf-8", header: bool = True,
    width: int = 0, optional: frozenset[str] = frozenset(),
) -> Iterator[Record]:  # fmt: skip
    """Records of CSV.  `header`: the first row names the columns; else they are numbered from 1."""
    rows = rows_of(lines_of(pieces, encoding, must_end=True), delimiter, columns=width)
    places: dict[str, int] = {}
    if header:
        first = next(rows, None)
        if first is None:
            raise RegisterRefused("is empty; it should begin with a row of column names", line=1)
        places = _places(first[1], columns, optional, first[0])
    for number, (line, fields) in enumerate(rows, start=1):
        if not places:
            places = {str(at + 1): at for at in range(len(fields))}
            if absent := columns.wanted - places.keys():
                raise RegisterRefused(f"has no column {min(absent)}", line=line)
        yield columns.record(number, line, get_from_row(fields, places))


def _places(names: list[str], columns: Columns, optional: frozenset[str], line: int) -> dict[str, int]:
    places = {name: at for at, name in enumerate(names)}
    if len(places) != len(names):
        raise RegisterRefused("two columns have one name", line=line)
    if absent := sorted(columns.wanted - places.keys() - optional):
        have = ", ".join(map(repr, names[:20]))
        raise RegisterRefused(f"column {absent[0]!r} is missing; columns here: {cut(have)}", line=line)
    return places


def _ncasp(pieces: Pieces) -> Iterator[Record]:
    return read_table(pieces, NCASP)


def _casps(pieces: Pieces) -> Iterator[Record]:
    return read_table(pieces, CASPS)


def _cz_mf(pieces: Pieces) -> Iterator[Record]:
    # Windows-1250, though nothing says so; a mark at its start says otherwise.
    head, pieces = _head(pieces)
    encoding = "utf-8" if _is_utf8(head) else "cp1250"
    records = read_table(pieces, CZ, delimiter=";", encoding=encoding, header=False)
    for record in records:
        if record.number == 1 and "." not in record.asks[0].written:
            continue  # The row of column names.
        yield record._replace(authority=CZ_AUTHORITY)


def _head(pieces: Pieces) -> tuple[bytes, Iterator[bytes]]:
    rest = iter(pieces)
    head = next(rest, b"")
    return head, itertools.chain((head,), rest)


def _is_utf8(head: bytes) -> bool:
    """Whether a first piece, which may end within a character, is UTF-8 with letters beyond ASCII."""
    if head.isascii():
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and "unexpected end" in error.reason
    return True


# Kinds of XML.


def _hazard(pieces: Pieces) -> Iterator[Record]:
    yield from _of_elements(pieces, "Rejestr/PozycjaRejestru", HAZARD, HAZARD_AUTHORITY)


def _of_elements(pieces: Pieces, path: str, columns: Columns, authority: str = "") -> Iterator[Record]:
    for number, (line, fields) in enumerate(elements_of(pieces, path), start=1):
        record = columns.record(number, line, get_from(fields))
        yield record._replace(authority=authority) if authority else record


def _cert(pieces: Pieces) -> Iterator[Record]:
    head, pieces = _head(pieces)
    start = head.lstrip()[:1]
    records: Iterator[Record]
    if start == b"<":
        records = _of_elements(pieces, "*/*", replace(CERT, id=("@Lp", "PozycjaRejestru")))
    elif start in (b"[", b"{"):
        records = _of_objects(pieces, CERT)
    else:
        first = head.partition(b"\n")[0]
        delimiter = max("\t;,", key=lambda sign: first.count(sign.encode()))
        optional = frozenset({"PozycjaRejestru"})
        records = read_table(pieces, CERT, delimiter=delimiter, optional=optional)
    for record in records:
        yield record._replace(authority=CERT_AUTHORITY)


_RU_NAMES = ("domain",)
_RU_ADDRESSES = ("ip", "ipSubnet", "ipv6", "ipv6Subnet")
_RU_BLOCK_TYPES = {
    "": "url", "default": "url", "domain": "name", "domain-mask": "name", "ip": "address",
}  # fmt: skip


def _ru_dump(pieces: Pieces) -> Iterator[Record]:
    for number, (line, fields) in enumerate(elements_of(pieces, "register/content"), start=1):
        yield _ru_record(number, line, fields)


def _ru_record(number: int, line: int, fields: Fields) -> Record:
    """One `content`: its blockType says what of it is to be blocked; the rest tells where that was found."""
    record = RU.record(number, line, get_from(fields))
    block_type = (fields.get("@blockType") or [""])[0]
    asked = _RU_BLOCK_TYPES.get(block_type)
    if asked is None:
        raise RegisterRefused(f"blockType {block_type[:40]!r} is not known", line=line, record=number)
    if asked == "name":
        asks = [asked_of(text) for key in _RU_NAMES for text in fields.get(key, ())]
    elif asked == "address":
        texts = [text for key in _RU_ADDRESSES for text in fields.get(key, ())]
        asks = [asked_of(text) for text in texts]
    else:
        # Of a page the domain is given, too; to block that would block more than was decided.
        asks = [
            each if each.scope in (Scope.NOTHING, Scope.ADDRESS) else each._replace(scope=Scope.URL)
            for each in map(asked_of, fields.get("url", ()))
        ]
        if not asks and not fields.get("url"):
            asks = [asked_of(text)._replace(scope=Scope.URL) for text in fields.get("domain", ())]
    return record._replace(asks=tuple(dict.fromkeys(asks)) or (NOTHING_ASKED,), measure=block_type or "url")


# Kinds of JSON.


def _of_objects(pieces: Pieces, columns: Columns, paths: tuple[str, ...] = _ARRAYS) -> Iterator[Record]:
    for number, (line, element) in enumerate(elements_in(pieces, paths), start=1):
        if not isinstance(element, dict | str):
            raise RegisterRefused("is neither an object nor a text", line=line, record=number)
        yield columns.record(number, line, get_from_json(element))


def _iosco(pieces: Pieces) -> Iterator[Record]:
    for number, (line, element) in enumerate(elements_in(pieces, _ARRAYS), start=1):
        if not isinstance(element, dict) or "id" not in element:
            raise RegisterRefused("has no id", line=line, record=number)
        # `domain_name` may be a name above what the warning is about: the last resort.
        names = next(
            (
                keys
                for keys in (("url", "other_urls"), ("fqdn",), ("domain_name",))
                if any(map(element.get, keys))
            ),
            ("url",),
        )
        yield replace(IOSCO, name=names).record(number, line, get_from_json(element))


def _piracy_shield(pieces: Pieces) -> Iterator[Record]:
    """Names alone (`fqdn/get/all`), or tickets with names and addresses."""
    tickets = Columns(name=("fqdn", "ipv4", "ipv6"), id=("ticket_id",), added="metadata.created_at")
    for number, (line, element) in enumerate(elements_in(pieces, _ARRAYS), start=1):
        if isinstance(element, str):
            record = Columns(name=("",)).record(number, line, get_from_json(element))
        elif isinstance(element, dict) and ("ticket_id" in element or "fqdn" in element):
            record = tickets.record(number, line, get_from_json(element))
        else:
            raise RegisterRefused("is neither a name nor a ticket", line=line, record=number)
        yield record._replace(authority=PIRACY_SHIELD_AUTHORITY)


# Kinds of text.


def _cncpo(pieces: Pieces) -> Iterator[Record]:
    """A row of number and time, then url;domain;addresses of the url;addresses."""
    number, listed = 0, ""
    for line, text in lines_of(pieces, "utf-8", must_end=True):
        fields = [field.strip() for field in text.rstrip("\r\n").split(";")]
        if not listed:
            if len(fields) < 2 or not _CNCPO_HEAD.match(fields[0]) or not _CNCPO_STAMP.match(fields[1]):
                raise RegisterRefused("the first row should be number;timestamp of 12 digits", line=line)
            listed = date_text(fields[1], "%Y%m%d%H%M")
            continue
        if not any(fields):
            continue
        if len(fields) != 4:
            raise RegisterRefused(f"the row has {len(fields)} columns, 4 expected", line=line)
        number += 1
        # The first that says something is what is asked: the rest tells where it was found.
        asked = next(filter(None, (fields[1], fields[0], fields[2], fields[3])))
        yield Record(number, line, str(number), (asked_of(asked),), authority="CNCPO (IT)", added=listed)
    if not listed:
        raise RegisterRefused("is empty", line=1)


def _adm(pieces: Pieces) -> Iterator[Record]:
    return name_records(pieces, "ADM (IT)")


KINDS: dict[str, Reader] = {
    "esma-ncasp": _ncasp,
    "esma-casps": _casps,
    "pl-hazard": _hazard,
    "pl-cert": _cert,
    "ru-dump": _ru_dump,
    "it-adm": _adm,
    "it-cncpo": _cncpo,
    "it-piracy-shield": _piracy_shield,
    "komdigi": komdigi_records,
    "cz-mf": _cz_mf,
    "gespa": gespa_records,
    "iosco": _iosco,
}


# Mappings.


def _mapped(pieces: Pieces, mapping: RegisterMapping) -> Iterator[Record]:
    def one(key: str) -> str:
        return next(iter(mapping.columns.get(key, ())), "")

    columns = Columns(
        name=mapping.columns["name"],
        id=mapping.columns.get("id", ()),
        number=one("number"),
        date=one("date"),
        added=one("added"),
        removed=one("removed"),
        authority=mapping.columns.get("authority", ()),
        holder=one("holder"),
        separator=mapping.separator,
        date_form=mapping.date_form,
    )
    if mapping.type == "csv":
        return read_table(
            pieces, columns, delimiter=mapping.delimiter, encoding=mapping.encoding, header=mapping.header
        )
    if mapping.type == "xml":
        return _of_elements(pieces, mapping.records, columns)
    return _of_objects(pieces, columns, (mapping.records,))
