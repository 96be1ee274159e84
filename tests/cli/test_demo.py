from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from resolver.cli.app import app
from resolver.cli.demo import DemoAnswer, read_hits
from resolver.cli.demo_script import QUESTIONS, Question
from resolver.cli.demo_upstream import DemoUpstream
from resolver.explain.reading import ShownRecord, ShownReply, qtype_from_text, read_reply
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text

ZONE = """
www.example. 60 IN A 192.0.2.1
alias.example. 60 IN CNAME www.example.
"""
QUESTION = Question("a name", "www.example", "A", "NOERROR", ("192.0.2.1",))
ANSWER = ShownRecord("www.example", 60, "A", "192.0.2.1")


def reply(**changes: object) -> ShownReply:
    fields: dict[str, object] = {
        "rcode": "NOERROR",
        "is_truncated": False,
        "answers": (ANSWER,),
        "authority": (),
        "extended_errors": (),
        "octets": 45,
    }
    return ShownReply(**(fields | changes))  # type: ignore[arg-type]


def ask(upstream: DemoUpstream, name: str, qtype: str, *, is_stream: bool = False) -> ShownReply:
    query = encode_query(
        name_from_text(name),
        qtype_from_text(qtype),
        id=1,
        dnssec_ok=False,
        checking_disabled=False,
        edns=True,
    )
    return read_reply(upstream.answer(query, is_stream=is_stream))


def test_the_upstream_answers_what_its_zone_has() -> None:
    assert [record.rdata for record in ask(DemoUpstream(ZONE), "www.example", "A").answers] == ["192.0.2.1"]


def test_the_upstream_follows_a_chain() -> None:
    answers = ask(DemoUpstream(ZONE), "alias.example", "A").answers
    assert [record.rtype for record in answers] == ["CNAME", "A"]


@pytest.mark.parametrize(("name", "rcode"), [("www.example", "NOERROR"), ("no.example", "NXDOMAIN")])
def test_the_upstream_denies_with_a_soa(name: str, rcode: str) -> None:
    shown = ask(DemoUpstream(ZONE), name, "MX")
    assert (shown.rcode, shown.answers) == (rcode, ())
    assert [record.rtype for record in shown.authority] == ["SOA"]


def test_the_upstream_sends_nothing_for_what_is_no_query() -> None:
    assert DemoUpstream(ZONE).answer(b"nonsense", is_stream=False) == b""


def test_what_came_as_expected_meets_no_objection() -> None:
    assert DemoAnswer(QUESTION, reply()).objection == ""


@pytest.mark.parametrize(
    "changes",
    [{"rcode": "SERVFAIL"}, {"is_truncated": True}, {"answers": ()}, {"extended_errors": ((15, ""),)}],
)
def test_what_came_otherwise_meets_an_objection(changes: dict[str, object]) -> None:
    assert DemoAnswer(QUESTION, reply(**changes)).objection != ""


def test_silence_meets_an_objection() -> None:
    assert DemoAnswer(QUESTION, None).objection == "no reply"


def test_hits_are_read_from_a_metrics_page() -> None:
    page = (
        "# HELP resolver_exchange_hits_total x\n"
        'resolver_exchange_hits_total{action="nxdomain",exchange="acme",mode="enforce"} 3.0\n'
        'resolver_list_hits_total{action="nodata",list="ads",mode="shadow"} 0.0\n'
        'resolver_queries_total{qtype="A",transport="udp"} 9.0\n'
    )
    assert read_hits(page) == {
        ("exchange", "acme", "nxdomain", "enforce"): 3,
        ("list", "ads", "nodata", "shadow"): 0,
    }


@pytest.mark.slow
@pytest.mark.loopback
def test_the_demo_plays_as_expected_over_real_sockets() -> None:
    result = CliRunner().invoke(app, ["demo", "--json"])
    document = json.loads(result.stdout)
    assert [asked["objection"] for asked in document["questions"] if asked["objection"]] == []
    assert len(document["questions"]) == len(QUESTIONS)
    assert document["ok"] is True
    assert result.exit_code == 0
