"""The native module without sockets: the core, verdicts, and the wire as Python calls them.

Knows: its stub file.  Does not know: what the right answer to a question is, beyond a few plain ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.flow.peer import Transport
from resolver.wire.encode import encode_response
from resolver.wire.names import name_from_text
from resolver.wire.query import Query, parse_query
from tests.native.plane_rig import (
    ADDRESS,
    CLIENT,
    FAR,
    A,
    image,
    make_core,
    native,
    query,
    rcode,
    reply,
    testing,
)

__all__ = ["image"]
pytestmark = pytest.mark.loopback


def test_words_that_it_does_not_know_are_refused(image: Path) -> None:
    with pytest.raises(ValueError):
        make_core(image, query_records="some")
    for words in (("yaml", "hidden"), ("text", "anybody"), ("text", "encrypted")):
        with pytest.raises(ValueError):
            native.RecordLook(*words)


# Without sockets.


def test_the_core_answers_drops_asks_and_punts(image: Path) -> None:
    core = make_core(image)
    word, octets = core.answer(query("a.ads.example"), CLIENT, Transport.TCP, 1.0)
    assert (word, rcode(octets)) == (0, 3)
    assert core.answer(b"", CLIENT, Transport.TCP, 1.0) == (2, b"")
    assert core.answer(query("unknown.example"), CLIENT, Transport.TCP, 1.0) == (3, b"")
    assert [row[0] for row in core.tallies()] == ["tcp", "tcp"]
    assert set(core.late()) == {"policy", "cache", "stale", "upstream", "local"}
    assert all(len(buckets) == 14 for buckets in core.late().values())
    with pytest.raises(ValueError):
        core.answer(query("a.ads.example"), b"\1\2\3", Transport.UDP, 1.0)


def test_the_core_asks_and_hears_like_a_thread(image: Path) -> None:
    core = make_core(image)
    steps = testing.Steps(core, seed=bytes(32))
    core.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, False, 0.5, FAR, 2, None)])
    octets = query("fresh.example", 5)
    word, attempt, upstream, message = steps.ask(octets, CLIENT, 1.0, 11)
    assert (word, upstream) == ("send", 0)
    assert steps.ask(query("fresh.example", 6), CLIENT, 1.1, 12) == ("joined",)
    word, told, punts = steps.on_response(attempt, reply(message), 1.2)
    assert (word, punts) == ("done", [])
    assert [(token, answer[:2]) for token, answer in told] == [(11, b"\0\5"), (12, b"\0\6")]
    assert core.answer(query("fresh.example", 7), CLIENT, Transport.UDP, 1.3)[0] == 0
    with pytest.raises(KeyError):
        steps.on_response(attempt, reply(message), 1.2)
    twin = make_core(image)
    twin.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, False, 0.5, FAR, 2, None)])
    assert testing.Steps(twin, seed=bytes(32)).ask(octets, CLIENT, 1.0, 11)[3] == message, "the seed decides"
    with pytest.raises(ValueError):
        testing.Steps(core, seed=bytes(31))


def test_the_core_hands_over_what_is_overdue_or_odd(image: Path) -> None:
    core = make_core(image)
    steps = testing.Steps(core)
    core.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, False, 0.5, FAR, 2, None)])
    octets = query("fresh.example", 5)
    _, attempt, _, message = steps.ask(octets, CLIENT, 1.0, 11)
    with pytest.raises(ValueError):
        steps.overdue(attempt, 1.4)
    handover = steps.overdue(attempt, 1.5)
    assert handover[8:11] == (attempt, None, "timeout")
    assert handover[12] == [(octets, CLIENT, 11, 1.0, Transport.UDP, "")]
    assert steps.ask(octets, CLIENT, 1.6, 12) == ("punt",)
    steps.close_ticket(attempt)
    _, attempt, _, message = steps.ask(octets, CLIENT, 1.6, 12)
    word, handover = steps.on_response(attempt, reply(message, flags=0x8380), 1.7)
    assert (word, handover[9], handover[10]) == ("handover", reply(message, flags=0x8380), "reply")
    # A probe is due: Python must ask.
    core.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, False, 0.5, 2.0, 2, None)])
    assert steps.ask(query("other.example"), CLIENT, 1.9, 13)[0] == "send"
    assert steps.ask(query("third.example"), CLIENT, 2.0, 14) == ("punt",)


def test_a_verdict_is_told_in_plain_values(image: Path) -> None:
    table = testing.PolicyTable(image, 1, 1.7e9, 1.0)
    fields = table.judge_name(name_from_text("www.ads.example"), 1.0)
    action, rule, form, owner_offset, shadow, exemption, denied, nxdomain_ok, *_ = fields
    assert (action, form, shadow, exemption, nxdomain_ok) == ("nxdomain", "subtree", None, 0, True)
    assert (rule is None, owner_offset, denied) == (False, 4, None)
    assert table.judge_name(name_from_text("example"), 1.0)[:2] == ("passthru", None)


def test_fields_that_contradict_each_other_are_refused() -> None:
    cache = native.Cache(1 << 20)
    qname = name_from_text("www.example")
    body = reply(query("www.example"))[-16:]
    good = (0, False, body, 1, 0, (6,), (300,), 0, 300, (), (), (ADDRESS,), None)
    assert cache.store((qname, A, False, False), good, 1.0) is not None
    for place, value in [(2, b"short"), (5, (13,)), (6, ()), (7, 3), (9, ((b"", 0, 0),)), (11, (b"12",))]:
        spoilt = (*good[:place], value, *good[place + 1 :])
        with pytest.raises(ValueError):
            cache.store((qname, A, False, False), spoilt, 1.0)
    with pytest.raises(ValueError):
        cache.store((bytes(256), A, False, False), good, 1.0)
    with pytest.raises(ValueError):
        cache.store((qname, A, False, False), good[:-1], 1.0)


@pytest.mark.parametrize("edns", [False, True])
@pytest.mark.parametrize(
    ("body", "ancount", "nscount"),
    [
        (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1" * 4094, 4094, 0),
        (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1" * 4094, 4000, 94),
        (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1" * 5000, 10, 4990),
        (b"\0\0\x10\0\1\0\0\0\0\xff\xff", 1, 0),
        (b"x" * 70_000, 9, 9),
    ],
)
def test_what_does_not_fit_a_stream_is_cut_as_python_cuts_it(
    edns: bool, body: bytes, ancount: int, nscount: int
) -> None:
    asked = query("www.example", edns=edns)
    parsed = parse_query(asked)
    assert isinstance(parsed, Query)
    here = encode_response(parsed, 0, body=body, ancount=ancount, nscount=nscount, limit=65535)
    there, _ = testing.encode_response(asked, 0, body=body, ancount=ancount, nscount=nscount, limit=65535)
    assert there == here and len(here) <= 65535


def test_octets_are_read_and_written_as_python_does() -> None:
    octets = query("www.example")
    fields = testing.parse_query(octets)
    assert fields == (0x0100, name_from_text("www.example"), A, 1, 29, True, 0, 1232, False, ())
    assert testing.parse_query(b"") == ("short", None)
    answer = testing.accept_response(
        reply(octets), 0x1234, name_from_text("www.example"), A, edns=True, dnssec_ok=False
    )
    assert answer[0] == "response"
    assert answer[1][:5] == (0, False, reply(octets)[29:], 1, 0)
    whole, body_octets = testing.encode_response(octets, 0, body=reply(octets)[29:], ancount=1, limit=1232)
    assert body_octets == 16
    assert whole[29:45] == reply(octets)[29:]
    assert testing.encode_malformed(octets, 1)[:4] == b"\x12\x34\x81\x01"
    assert testing.encode_question(0x1234, octets[12:29], False, False, True) == octets
