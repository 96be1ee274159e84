"""Names that met a rule in the last minute, from lines that may be anybody's."""

from __future__ import annotations

import json
from typing import Any

from resolver.hits.figures import HitKey
from resolver.hits.names import names_of
from resolver.observe.clients import ShownClients
from resolver.observe.query_log import lines_of
from resolver.observe.records import RecordBuffer
from tests.hits.support import ALPHA
from tests.observe.test_query_log import BLOCKED, QUERY, SHADOWED, peer
from tests.support.for_each import for_each

NOW = 1_700_000_000.0
AT = "2023-11-14T22:13:19.500Z"
"""Half a second before."""


def line(**fields: Any) -> bytes:
    return json.dumps({"time": AT, "qname": "a.example", **fields}).encode() + b"\n"


HIT = {"exchange": "alpha", "action": "nxdomain"}


def test_names_are_counted_by_what_they_met() -> None:
    octets = line(**HIT) * 2 + line(**HIT, shadow_list="ads", shadow_action="drop") + line(rcode="NOERROR")
    assert [(row.qname, row.key, row.last_minute) for row in names_of(octets, NOW)] == [
        ("a.example", ALPHA, 3),
        ("a.example", HitKey("list", "ads", "drop", "shadow"), 1),
    ]


def test_what_is_older_than_a_minute_or_not_yet_is_left_out() -> None:
    octets = b"".join(
        line(**HIT, time=at)
        for at in ("2023-11-14T22:12:19Z", "2023-11-14T22:14:00Z", "2023-11-14T22:12:30Z")
    )
    [row] = names_of(octets, NOW)
    assert (row.last_minute, row.per_s) == (1, 1 / 60)


def test_of_an_end_rates_are_of_the_time_that_it_covers() -> None:
    octets = b"half a line\n" + line(time="2023-11-14T22:13:10Z") + line(**HIT) * 20
    assert [row.per_s for row in names_of(octets, NOW, is_end=True)] == [2.0]
    assert [row.per_s for row in names_of(octets, NOW)] == [20 / 60]
    assert [row.per_s for row in names_of(line(**HIT) * 3, NOW, is_end=True)] == [3.0]


@for_each(
    "octets",
    [
        b"",
        b"\n\n",
        b'{"exchange": \n',
        b'"exchange"\n',
        b'["exchange"]\n',
        b'{"exchange": "a"}\n',
        b'{"exchange": "a", "time": 5, "qname": "x"}\n',
        b'{"exchange": "a", "time": "2023-11-14T22:13:19Z", "qname": 5}\n',
        b'{"exchange": ["a"], "time": "2023-11-14T22:13:19Z", "qname": "x"}\n',
        b'{"exchange": "a", "time": "9999-99-99", "qname": "x"}\n',
        b'{"exchange": "a", "time": "0001-01-01T00:00:00+23:00", "qname": "x"}\n',
        b'{"exchange": ' + b"[" * 100_000 + b"\n",
        b'\xff\xfe"exchange"\n',
    ],
    ids=range(13),
)
def test_lines_of_anybody_are_passed_over(octets: bytes) -> None:
    [row] = names_of(octets + line(**HIT), NOW)
    assert row.last_minute == 1


def test_hostile_texts_are_made_printable() -> None:
    [row] = names_of(line(exchange="a\x1b[2J", action="b\n", qname="\u202ex"), NOW)
    assert all(text.isprintable() for text in (row.qname, *row.key))


def test_the_query_log_as_json_is_such_a_file() -> None:
    buffer = RecordBuffer(only_blocked=False, now=lambda: NOW - 1)
    buffer.note(peer(), QUERY, BLOCKED)
    buffer.note(peer(), QUERY, SHADOWED)
    rows = names_of(lines_of(buffer.take(), "json", ShownClients("full"), 0.0), NOW)
    assert [(row.qname, row.key.label, row.key.mode) for row in rows] == [
        ("www.acme.example", "acme", "enforce"),
        ("www.acme.example", "acme", "shadow"),
    ]
