"""What is read for the API: whole documents, moments in UTC, and never a word of what is confidential."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from resolver.api.policy_shapes import ExceptionPage, Exchange, ExchangePage, FoundPage, Order
from resolver.audit.results import (
    AuditResult,
    Listener,
    NameResult,
    Proof,
    Selection,
    ServerResult,
    Status,
    save_last,
)
from resolver.cli.api_child import READINGS, answer, main

WALL = 1_796_040_000.0
POLICY = """\
version: 1
defaults: {time_zone: Europe/Zurich}
orders:
  o-1: {authority: A, title: T, from: 2026-01-01, due: 2026-02-01, received: "2026-01-05T00:00:00Z", asks: [acme.example, mute.example]}
  silent: {authority: A, title: TOPSECRET, confidential: true}
exchanges:
  acme: {name: Acme, order: o-1, domains: [acme.example, "=x.example"], addresses: [203.0.113.0/24]}
  mute: {name: Mutename, order: silent, domains: [mute.example]}
"""
SECRETS = ("TOPSECRET", "Mutename", '"mute"', '"silent"')


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "state").mkdir()
    (tmp_path / "b.yaml").write_text(POLICY)
    return {"blocklist": str(tmp_path / "b.yaml"), "state_dir": str(tmp_path / "state"), "wall": WALL}


def test_exceptions_are_told_as_they_stand_and_those_from_secrets_are_counted(asked: dict[str, Any]) -> None:
    path = Path(asked["blocklist"])
    path.write_text(
        POLICY
        + """\
allow:
  - pay.acme.example
  - {name: "=x.example", reason: "<b>refunds</b>", ticket: T-1, until: 2026-01-01}
  - {name: xn--mnchen-3ya.acme.example, from: 2030-01-01}
  - pay.mute.example
"""
    )
    found = answer({**asked, "what": "exceptions"})
    ExceptionPage.model_validate({**found, "next": None})
    first, second, third = found["items"]
    assert (first["name"], first["state"], first["reason"], first["until"]) == (
        "pay.acme.example",
        "in_force",
        None,
        None,
    )
    assert (second["state"], second["reason"], second["ticket"]) == ("ended", "<b>refunds</b>", "T-1")
    assert second["until"] == "2025-12-31T23:00:00Z" and second["line"] == 11
    assert (third["state"], third["unicode"]) == ("pending", "münchen.acme.example")
    assert found["confidential"] == 1 and "mute" not in json.dumps(found)
    path.write_text("exchanges: [")
    assert answer({**asked, "what": "exceptions"})["refused"]["kind"] == "conflict"


def test_the_policy_is_what_the_pages_promise(asked: dict[str, Any]) -> None:
    found = answer({**asked, "what": "policy"})
    [exchange], [order] = found["exchanges"], found["orders"]
    Exchange.model_validate(exchange)
    Order.model_validate({key: value for key, value in order.items() if key != "audit"})
    ExchangePage.model_validate(
        {
            "items": [{key: value for key, value in exchange.items() if key != "names"}],
            "next": None,
            "confidential": found["confidential"]["exchanges"],
            "audited_at": found["audited_at"],
        }
    )
    assert exchange["name_count"] == 3 and exchange["from"] == "2025-12-31T23:00:00Z"
    assert order["received"] == "2026-01-05T00:00:00Z" and order["asks"]["total"] == 2
    assert found["confidential"]["exchanges"] == 1


@pytest.mark.parametrize(
    "more",
    [
        {"what": "policy"},
        {"what": "find", "text": "mute"},
        {"what": "find", "text": "TOPSECRET"},
        {"what": "report", "format": "json", "language": "en", "order": None},
        {"what": "suggestions", "enabled": True},
        {"what": "audit"},
        {"what": "history", "limit": 5, "before": None, "language": "en"},
    ],
    ids=lambda more: "-".join(map(str, more.values())),
)
def test_nothing_confidential_is_named(asked: dict[str, Any], more: dict[str, Any]) -> None:
    text = json.dumps(answer({**asked, **more}))
    assert [secret for secret in SECRETS if secret in text] == []


def test_what_is_called_so_is_found(asked: dict[str, Any]) -> None:
    found = answer({**asked, "what": "find", "text": "acme"})
    FoundPage.model_validate({"items": found["found"], "next": None, "more": found["more"]})
    assert {(one["kind"], one["id"]) for one in found["found"]} >= {("exchange", "acme")}


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"what": "audit"}, "not-found"),
        ({"what": "generation", "number": 7, "language": "en"}, "conflict"),
        ({"what": "report", "format": "csv", "language": "en", "order": "silent"}, "conflict"),
        ({"what": "report", "format": "csv", "language": "en", "order": "gone"}, "conflict"),
    ],
)
def test_what_is_not_there_is_refused_in_words(
    asked: dict[str, Any], more: dict[str, Any], kind: str
) -> None:
    refused = answer({**asked, **more})["refused"]
    assert refused["kind"] == kind and refused["detail"]


def test_a_blocklist_that_cannot_be_read_is_refused_with_its_line(asked: dict[str, Any]) -> None:
    Path(asked["blocklist"]).write_text("version: 1\nexchanges: 7\n")
    assert "b.yaml:2" in answer({**asked, "what": "policy"})["refused"]["detail"]


def test_it_is_one_line_of_json(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**asked, "what": "find", "text": "acme"})))
    main()
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and json.loads(out)["found"]
    assert set(READINGS) == {
        "policy",
        "find",
        "exceptions",
        "history",
        "generation",
        "report",
        "suggestions",
        "audit",
    }


def test_confidential_orders_of_what_may_be_told_are_not_named(asked: dict[str, Any]) -> None:
    path = Path(asked["blocklist"])
    path.write_text(
        POLICY.replace("order: o-1, domains: [acme", "order: [o-1, silent, gone], domains: [acme")
    )
    path.write_text(path.read_text().replace("  silent:", "  gone: {authority: A, title: G}\n  silent:"))
    [found] = [
        one for one in answer({**asked, "what": "find", "text": "acme"})["found"] if one["kind"] == "exchange"
    ]
    assert found["orders"] == ["o-1", "gone"]
    proof = Proof(Status.UNCOVERED, "it leaks")
    name = NameResult(
        "acme.example", "subtree", "exchange", "acme", ("o-1", "silent", "gone"), "b.yaml", 1, False, (proof,)
    )
    server = ServerResult("this server", True, (Listener("127.0.0.1:53", "udp", asked=9),))
    save_last(
        Path(asked["state_dir"]),
        AuditResult(1.0, 2.0, "1", "h", "b", False, Selection(), (server,), (name,)),
    )
    path.write_text(POLICY)
    [finding] = answer({**asked, "what": "audit"})["findings"]
    assert finding["orders"] == ["o-1"], "what is not known any more is not told, either"
