from __future__ import annotations

import io
import ipaddress
import json

import pytest

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.observe.clients import HIDDEN, ShownClients
from resolver.observe.log import LogWriter
from resolver.observe.query_log import QueryLog
from resolver.observe.records import RecordBuffer
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm, RuleMatch, Verdict

QUERY = bytes.fromhex("beef01000001000000000000") + b"\x03www\x04acme\x07example\x00\x00\x01\x00\x01"
HOSTILE_QUERY = bytes.fromhex("beef01000001000000000000") + b"\x06a\nb\x1b\xff \x00\x00\x01\x00\x01"
RULE = PolicyRule(
    "exchange", "acme", "Acme", PolicyAction.NXDOMAIN, Mode.ENFORCE, 300, bytes(4), bytes(16), 15, ""
)
MATCH = RuleMatch(RULE, RuleForm.SUBTREE, b"\x04acme\x07example\x00", "blocklist.yaml", 1)
BLOCKED = Respond(b"", 3, 1, Source.POLICY, Verdict(PolicyAction.NXDOMAIN, MATCH))
SHADOWED = Respond(b"", 0, 1, Source.CACHE, Verdict(shadow=MATCH))
ALLOWED = Respond(b"", 0, 1, Source.CACHE)


def peer(address: str = "192.0.2.77") -> Peer:
    return Peer(ipaddress.ip_address(address).packed, Transport.UDP)


def lines(
    *outcomes: Respond | Drop,
    queries: str = "all",
    clients: str = "hidden",
    query: bytes = QUERY,
    address: str = "192.0.2.77",
) -> list[dict[str, object]]:
    """What stands in the log after these answers, 100 s after the clock of the answers began."""
    stream = io.BytesIO()
    writer = LogWriter(stream)
    log = QueryLog(writer, clients=ShownClients(clients), line_format="json")
    buffer = RecordBuffer(only_blocked=queries == "blocked", now=lambda: 2.5)
    for outcome in outcomes:
        buffer.note(peer(address), query, outcome)
    taken = buffer.take()
    log.write(taken, 100.0)
    writer.close()
    assert (log.written, log.lost) == (len(taken), 0)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_blocked_query_says_what_was_done_and_for_which_exchange() -> None:
    assert lines(BLOCKED, queries="blocked") == [
        {
            "time": "1970-01-01T00:01:42.500Z",
            "level": "info",
            "event": "query",
            "transport": "udp",
            "qname": "www.acme.example",
            "qtype": "A",
            "rcode": "NXDOMAIN",
            "source": "policy",
            "exchange": "acme",
            "action": "nxdomain",
        }
    ]


def test_blocked_only_leaves_out_what_is_allowed() -> None:
    assert lines(ALLOWED, queries="blocked") == []


def test_of_all_that_is_recorded_only_blocked_are_written_when_the_log_wants_no_more() -> None:
    stream = io.BytesIO()
    writer = LogWriter(stream)
    log = QueryLog(writer, clients=HIDDEN, line_format="text", only_blocked=True)
    buffer = RecordBuffer(only_blocked=False, now=lambda: 2.5)
    for outcome in (ALLOWED, BLOCKED, SHADOWED, ALLOWED):
        buffer.note(peer(), QUERY, outcome)
    log.write(buffer.take(), 100.0)
    writer.close()
    assert (log.written, log.lost) == (2, 0)
    lines = stream.getvalue().decode().splitlines()
    assert ["shadow_" in line for line in lines] == [False, True]


def test_shadow_hits_are_logged_as_such() -> None:
    [line] = lines(SHADOWED, queries="blocked")
    assert (line["shadow_exchange"], line["shadow_action"]) == ("acme", "nxdomain")
    assert "action" not in line


def test_a_drop_is_logged_with_its_reason() -> None:
    [line] = lines(Drop("policy", qtype=1, verdict=BLOCKED.verdict), queries="blocked")
    assert line["dropped"] == "policy"
    assert "rcode" not in line


@pytest.mark.parametrize(
    ("clients", "address", "shown"),
    [
        ("network", "192.0.2.77", "192.0.2.0/24"),
        ("network", "2001:db8:1:2::3", "2001:db8:1::/48"),
        ("full", "192.0.2.77", "192.0.2.77"),
        ("full", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_clients_are_shown_as_far_as_the_settings_allow(clients: str, address: str, shown: str) -> None:
    [line] = lines(ALLOWED, clients=clients, address=address)
    assert line["client"] == shown


def test_hidden_clients_appear_nowhere() -> None:
    [line] = lines(ALLOWED)
    assert "client" not in line
    assert "192.0.2" not in json.dumps(line)


def test_a_hostile_name_stays_on_one_printable_line() -> None:
    [line] = lines(ALLOWED, query=HOSTILE_QUERY)
    assert str(line["qname"]).isprintable()


def test_a_packet_that_is_no_query_is_logged_without_a_name() -> None:
    [line] = lines(Drop("response"), query=b"\x00" * 5)
    assert "qname" not in line
    assert line["dropped"] == "response"


def test_records_that_cannot_be_written_are_counted_as_lost() -> None:
    stream = io.BytesIO()
    writer = LogWriter(stream, lines_octets_max=1000)
    log = QueryLog(writer, clients=HIDDEN, line_format="text")
    buffer = RecordBuffer(only_blocked=False)
    stream.close()
    for _ in range(3):
        buffer.note(peer(), QUERY, BLOCKED)
    log.write(buffer.take(), 0.0)
    writer.close()
    assert (log.written, log.lost) == (0, 3)
    log.give_up(2)
    assert (log.written, log.lost) == (0, 5)
    assert writer.dropped == 0
