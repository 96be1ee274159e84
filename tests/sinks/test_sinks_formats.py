"""What stands in a record in each format: said by readers of our own, of a schema, and of RFC 5424's grammar."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.flow.peer import Peer, Transport
from resolver.observe.clients import HIDDEN, ShownClients
from resolver.observe.records import Record
from resolver.policy.verdict import (
    PASS,
    Cause,
    Mode,
    PolicyAction,
    PolicyRule,
    RuleForm,
    RuleMatch,
    Verdict,
)
from resolver.sinks import dnstap, syslog
from resolver.sinks.dnstap import dnstap_of
from resolver.sinks.jsonl import jsonl_of, line_ends
from resolver.sinks.look import ENCODERS, ENDS
from resolver.sinks.schema import records_schema
from resolver.sinks.syslog import message_ends, message_spans, syslog_of
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.support.dnstap_reader import messages_in

FULL = ShownClients("full")
RULE = PolicyRule(
    "exchange", "acme", "Acme", PolicyAction.NXDOMAIN, Mode.ENFORCE, 300, bytes(4), bytes(16), 15, ""
)
QNAME = name_from_text("www.acme.example")
OWNER = name_from_text("acme.example")
QUERY = encode_query(QNAME, 1, id=4711, dnssec_ok=True, checking_disabled=False, edns=True)
TAIL = QUERY[2:3] + b"\x83" + QUERY[4:12] + QUERY[12:]


def blocked(rule: PolicyRule = RULE, form: RuleForm | None = RuleForm.SUBTREE, **changes: Any) -> Verdict:
    match = RuleMatch(rule, form, changes.pop("owner", OWNER), "blocklist.yaml", 1)
    return replace(Verdict(rule.action, match, denied=QNAME), **changes)


def record(verdict: Verdict = PASS, **changes: Any) -> Record:
    peer = Peer(ipaddress.ip_address("192.0.2.77").packed, Transport.UDP)
    made = Record(2.5, peer, QUERY, 0, "cache", verdict, TAIL)
    return made._replace(**changes)


def denied(verdict: Verdict, rcode: int | None = 3, **changes: Any) -> Record:
    return record(verdict, rcode=rcode, source="policy", **changes)


def line(made: Record, clients: ShownClients = FULL) -> dict[str, Any]:
    """The line of JSON of one record, held against the schema."""
    found = json.loads(jsonl_of([made], clients, b"", 100.0))
    jsonschema.Draft202012Validator(records_schema()).validate(found)
    assert isinstance(found, dict)
    return found


def message(made: Record, clients: ShownClients = FULL) -> dict[str, Any]:
    """The dnstap message of one record."""
    [found] = messages_in(dnstap_of([made], clients, dnstap.head_of("here", "v1"), 100.0))
    return found


PARAMETER = re.compile(r' ([a-z_]+)="((?:[^"\\\]]|\\["\\\]])*)"')
SYSLOG = re.compile(
    r"<30>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) exchange-resolver 7 query \[query@32473"
    r'((?: [a-z_]+="(?:[^"\\\]]|\\["\\\]])*")*)\] ([ -~]*)'
)


def syslog_fields(made: Record, clients: ShownClients = FULL) -> tuple[dict[str, str], str]:
    """The parameters of one record's message, and its text."""
    octets = syslog_of([made], clients, syslog.head_of("host", 7), 100.0)
    [(start, end)] = message_spans(memoryview(octets))
    assert (octets[:start], end) == (b"%d " % (end - start), len(octets))
    found = SYSLOG.fullmatch(octets[start:].decode("ascii"))
    assert found is not None, octets
    parameters = {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in PARAMETER.findall(found[3])}
    return parameters, found[4]


# What is said.


def test_a_line_says_what_was_asked_what_was_done_and_why() -> None:
    assert line(denied(blocked())) == {
        "time": "1970-01-01T00:01:42.500Z",
        "client": "192.0.2.77",
        "transport": "udp",
        "qname": "www.acme.example",
        "qtype": "A",
        "rcode": "NXDOMAIN",
        "source": "policy",
        "exchange": "acme",
        "action": "nxdomain",
        "rule": "acme.example",
        "match": "qname",
        "value": "www.acme.example",
    }


def test_syslog_says_the_same_and_a_text_for_people() -> None:
    parameters, text = syslog_fields(denied(blocked()))
    said = line(denied(blocked()))
    del said["time"]
    assert parameters == said
    assert text == "www.acme.example A NXDOMAIN"


CAUSES = [
    (blocked(), "acme.example", "qname", "www.acme.example", OWNER, 1, QNAME),
    (blocked(form=RuleForm.EXACT, owner=QNAME), "=www.acme.example", "qname", "www.acme.example", QNAME, 1, QNAME),
    (blocked(form=RuleForm.BELOW), "*.acme.example", "qname", "www.acme.example", OWNER, 1, QNAME),
    (
        blocked(denied=name_from_text("x.acme.example")),
        "acme.example", "chain", "x.acme.example", OWNER, 1, name_from_text("x.acme.example"),
    ),
    (
        blocked(cause=Cause(name_from_text("svc.acme.example"))),
        "acme.example", "service", "svc.acme.example", OWNER, None, name_from_text("svc.acme.example"),
    ),
    (
        blocked(form=None, owner=bytes((203, 0, 113, 0)), cause=Cause(bytes((203, 0, 113, 7)), 24)),
        "203.0.113.0/24", "address", "203.0.113.7", b"203.0.113.0/24", 3, bytes((203, 0, 113, 7)),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "rule", "match", "value", "wire_rule", "wire_match", "wire_value"), CAUSES
)
def test_each_way_to_match_is_told_with_rule_and_value(
    verdict: Verdict,
    rule: str,
    match: str,
    value: str,
    wire_rule: bytes,
    wire_match: int | None,
    wire_value: bytes,
) -> None:
    found = line(denied(verdict))
    assert (found["rule"], found["match"], found["value"]) == (rule, match, value)
    policy = message(denied(verdict))["message"]["policy"]
    wanted = {"type": b"exchange", "rule": wire_rule, "action": 1, "value": wire_value}
    assert policy == wanted | ({} if wire_match is None else {"match": wire_match})


@pytest.mark.parametrize(
    ("action", "rcode", "number"),
    [
        (PolicyAction.NXDOMAIN, 3, 1),
        # A name that exists, for below it not all is blocked: denied without NXDOMAIN.
        (PolicyAction.NXDOMAIN, 0, 2),
        (PolicyAction.NODATA, 0, 2),
        (PolicyAction.DROP, None, 4),
        (PolicyAction.TCP_ONLY, 0, 5),
        (PolicyAction.SINKHOLE, 0, 6),
        (PolicyAction.LOCAL_DATA, 0, 6),
        (PolicyAction.REFUSED, 5, None),
    ],
)
def test_each_action_has_its_number_or_none(
    action: PolicyAction, rcode: int | None, number: int | None
) -> None:
    made = denied(blocked(replace(RULE, action=action)), rcode=rcode, tail=None if rcode is None else TAIL)
    policy = message(made)["message"]["policy"]
    assert policy.get("action") == number
    assert json.loads(message(made)["extra"])["action"] == action.value
    assert line(made)["action"] == action.value


def test_an_answer_is_a_response_with_both_messages_and_its_time() -> None:
    found = message(denied(blocked()))
    assert (found["identity"], found["version"]) == (b"here", b"v1")
    assert found["message"] == {
        "type": 6,
        "socket_family": 1,
        "socket_protocol": 1,
        "query_address": bytes((192, 0, 2, 77)),
        "query_message": QUERY,
        "response_time_sec": 102,
        "response_time_nsec": 500_000_000,
        "response_message": QUERY[:2] + TAIL,
        "policy": {"type": b"exchange", "rule": OWNER, "action": 1, "match": 1, "value": QNAME},
    }


def test_what_was_dropped_is_a_query_and_says_no_rcode() -> None:
    made = record(rcode=None, source="rate_limit", tail=None)
    found = message(made)
    assert found["message"]["type"] == 5
    assert (found["message"]["query_time_sec"], found["message"]["query_time_nsec"]) == (102, 500_000_000)
    assert not [name for name in found["message"] if name.startswith(("response", "policy"))]
    assert json.loads(found["extra"]) == {"dropped": "rate_limit"}
    assert line(made)["dropped"] == "rate_limit"
    assert syslog_fields(made)[1] == "www.acme.example A rate_limit"


def test_errors_of_the_answer_are_told() -> None:
    tail = (
        TAIL[:8]
        + b"\0\1"
        + QNAME
        + b"\0\1\0\1"
        + b"\0\0\x29\x04\xd0\0\0\0\0\0\x0f\0\x0f\0\x05\0\x10why\0\x0f\0\x02\0\x04"
    )
    made = denied(blocked(), tail=tail)
    assert line(made)["ede"] == [16, 4]
    assert syslog_fields(made)[0]["ede"] == "16,4"
    assert json.loads(message(made)["extra"])["ede"] == [16, 4]


def test_a_shadow_rule_is_told_as_such_and_is_no_policy() -> None:
    made = record(Verdict(shadow=RuleMatch(RULE, RuleForm.SUBTREE, OWNER, "f", 1)))
    assert (line(made)["shadow_exchange"], line(made)["shadow_action"]) == ("acme", "nxdomain")
    assert "action" not in line(made)
    assert "policy" not in message(made)["message"]
    assert json.loads(message(made)["extra"])["shadow_exchange"] == "acme"


# Clients.


@pytest.mark.parametrize(
    ("clients", "address", "text", "octets"),
    [
        ("hidden", "192.0.2.77", None, None),
        ("network", "192.0.2.77", "192.0.2.0/24", "192.0.2.0"),
        ("network", "2001:db8:1:2::3", "2001:db8:1::/48", "2001:db8:1::"),
        ("full", "2001:db8::1", "2001:db8::1", "2001:db8::1"),
        ("encrypted", "192.0.2.77", "77.2.0.192", "77.2.0.192"),
    ],
)
def test_a_client_is_shown_as_far_as_the_settings_allow(
    clients: str, address: str, text: str | None, octets: str | None
) -> None:
    shown = ShownClients(clients, lambda packed: packed[::-1])
    made = record(peer=Peer(ipaddress.ip_address(address).packed, Transport.UDP))
    assert line(made, shown).get("client") == text
    assert syslog_fields(made, shown)[0].get("client") == text
    found = message(made, shown)["message"].get("query_address")
    assert found == (None if octets is None else ipaddress.ip_address(octets).packed)


def with_options(options: bytes) -> bytes:
    """The query with an OPT that holds these."""
    bare = encode_query(QNAME, 1, id=4711, dnssec_ok=True, checking_disabled=False, edns=False)
    opt = b"\0\0\x29\x04\xd0\0\0\x80\0" + len(options).to_bytes(2) + options
    return bare[:10] + b"\0\1" + bare[12:] + opt


SUBNET = b"\0\x08\0\x07\0\1\x18\0\xc6\x33\x64"
COOKIE = b"\0\x0a\0\x08whoareU?"
HARDWARE = b"\xfd\xe9\0\6\2\0\0\0\0\1"


@pytest.mark.parametrize("clients", ["hidden", "network", "encrypted"])
def test_options_that_tell_of_the_client_are_not_passed_on(clients: str) -> None:
    shown = ShownClients(clients, lambda packed: packed[::-1])
    octets = with_options(SUBNET + COOKIE + HARDWARE)
    found = message(record(octets=octets), shown)["message"]["query_message"]
    assert found == with_options(b"")
    assert message(record(octets=octets), FULL)["message"]["query_message"] == octets


def test_octets_that_are_no_query_are_passed_on_with_full_clients_only() -> None:
    made = record(octets=QUERY[:-5] + b"whoami", rcode=None, source="question", tail=None)
    assert "query_message" not in message(made, HIDDEN)["message"]
    assert message(made, FULL)["message"]["query_message"] == made.octets
    assert "malformed" in line(made) and "qname" not in line(made)
    assert syslog_fields(made)[1] == "question"


# Hostile names.


LABELS = st.lists(st.binary(min_size=1, max_size=63), min_size=1, max_size=4)


@given(LABELS, st.integers(0, 65_535), st.sampled_from(sorted(ENCODERS)))
def test_no_name_breaks_a_record_in_any_format(labels: list[bytes], qtype: int, record_format: str) -> None:
    name = b"".join(bytes((len(label),)) + label for label in labels)[:254] + b"\0"
    octets = QUERY[:5] + b"\1" + bytes(6) + name + qtype.to_bytes(2) + b"\0\1"
    made = [record(octets=octets, tail=None, rcode=None, source="policy"), denied(blocked())]
    written = ENCODERS[record_format](made, FULL, b"", 0.0)
    assert len(list(ENDS[record_format](memoryview(written)))) == 2
    if record_format == "dnstap":
        assert messages_in(written)[0]["message"]["query_message"] == octets
        return
    assert written.isascii()
    if record_format == "jsonl":
        assert written.count(b"\n") == 2
        line(made[0])
    else:
        assert b"\n" not in written and b"\0" not in written
        syslog_fields(made[0])


def test_script_quotes_and_brackets_stay_what_they_are() -> None:
    hostile = b'\x1c"]\\<script>alert(1)</script>\n'[:29]
    name = bytes((len(hostile) - 1,)) + hostile[1:] + b"\0"
    octets = QUERY[:10] + b"\0\0" + name + b"\0\1\0\1"
    made = record(octets=octets)
    shown = line(made)["qname"]
    assert shown == syslog_fields(made)[0]["qname"]
    assert shown.startswith('\\"\\]\\\\\\<script\\>') and shown.isprintable()


def test_many_records_follow_each_other_whole() -> None:
    made = [denied(blocked()), record(), denied(blocked(), tail=None, rcode=None)]
    octets = jsonl_of(made, FULL, b"", 0.0)
    assert list(line_ends(memoryview(octets)))[-1] == len(octets)
    assert len(messages_in(dnstap_of(made, FULL, b"", 0.0))) == 3
    octets = syslog_of(made, FULL, b"h", 0.0)
    assert list(message_ends(memoryview(octets)))[-1] == len(octets)


def test_a_host_name_that_syslog_cannot_have_is_mended() -> None:
    assert syslog.head_of("a b\nü", 1).startswith(b"ab ")
    assert syslog.head_of("", 1).startswith(b"- ")
    assert len(syslog.head_of("x" * 500, 1).split(b" ")[0]) == 255


# The schema.


def test_the_schema_is_one_and_refuses_what_no_record_is() -> None:
    schema = records_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = line(denied(blocked()))
    for broken in (
        {**good, "rcode": "NONSENSE"},
        {**good, "extra": 1},
        {**good, "ede": []},
        {**good, "qname": "a\nb"},
        {**good, "list": "both"},
        {name: value for name, value in good.items() if name != "time"},
        {name: value for name, value in good.items() if name != "qname"},
        {name: value for name, value in good.items() if name != "exchange"},
        {name: value for name, value in good.items() if name not in ("rcode", "source")},
        {**good, "dropped": "policy"},
    ):
        assert not validator.is_valid(broken), broken
