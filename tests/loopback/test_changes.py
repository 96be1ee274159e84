"""Changes by the API, from the token to what clients are answered; both engines."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import dns.rcode
import pytest

from resolver.api.tokens import ENVIRONMENT, Role, line_of
from tests.loopback.server import Server

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.usefixtures("serving_engine")]

TOKENS = {"ann": Role.APPROVE, "bob": Role.APPROVE, "eve": Role.EDIT}
ENVIRON = {ENVIRONMENT: ";".join(line_of(name, role, f"xr_{name}") for name, role in TOKENS.items())}
SOON_S = 30.0
PAUSED = "resolver_filtering_paused_until_timestamp_seconds"

HOUSE = """\
version: 1
orders:
  law: {authority: Court, title: Order}
exchanges:
  alpha: {name: Alpha, order: law, domains: [alpha.example]}  # the court's
  beta: {name: Beta, domains: [beta.example]}
"""


class Office(Server):
    """A server with tokens, and people who ask it to change."""

    def start(self, *, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        super().start(env={**(env or {}), **ENVIRON})

    def post(self, who: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        return self.call(who, path, json.dumps({} if body is None else body).encode())

    def call(self, who: str, path: str, octets: bytes | None = None) -> tuple[int, dict[str, Any]]:
        headers = {"authorization": f"Bearer xr_{who}", "content-type": "application/json"}
        url = f"http://127.0.0.1:{self.http_port}/api/v1{path}"
        request = urllib.request.Request(url, octets, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def edit(self, who: str, *edits: dict[str, Any], reason: str = "why") -> tuple[int, dict[str, Any]]:
        base = self.call(who, "/edits")[1]["base"]
        return self.post(who, "/edits", {"base": base, "edits": list(edits), "reason": reason})

    def is_blocked(self, name: str) -> bool:
        # The upstream is a port at which nobody listens.
        return self.ask(name).rcode() == dns.rcode.NXDOMAIN

    def comes(self, name: str, *, blocked: bool) -> None:
        self.wait_for(lambda: self.is_blocked(name) is blocked, f"{name}: blocked {blocked}", SOON_S)


def history(server: Office) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = server.call("ann", "/history?limit=20")[1]["items"]
    return items


def test_pause_by_the_api_holds_over_a_restart_and_ends_by_resume(tmp_path: Path) -> None:
    with Office(tmp_path, blocklist=HOUSE) as server:
        assert server.post("eve", "/pause", {"for_s": 600, "reason": "why"})[0] == 403
        status, told = server.post("ann", "/pause", {"for_s": 600, "reason": "the bank's portal fails"})
        assert status == 200 and told["paused"] and told["who"] == "ann"
        server.comes("beta.example", blocked=False)
        assert server.is_blocked("alpha.example"), "an authority's order stays"
        assert server.metrics()[PAUSED] > 1.7e9
        assert "the bank's portal fails" in server.page("/readyz")[1]
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.http_port}/readyz", headers={"x-forwarded-for": "192.0.2.1"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.loads(answer.read())["remarks"]["filtering"]
        assert told.startswith("filtering is paused until") and "ann" not in told and "bank" not in told
    with Office(tmp_path, blocklist="", port=server.port) as server:
        assert not server.is_blocked("beta.example") and server.is_blocked("alpha.example")
        status, told = server.post("bob", "/resume", {"reason": "mended"})
        assert status == 200 and not told["paused"]
        server.comes("beta.example", blocked=True)
        assert server.metrics()[PAUSED] == 0
        assert server.post("bob", "/resume")[0] == 409


def test_edit_is_in_force_with_its_comments_kept_and_its_editor_named(tmp_path: Path) -> None:
    with Office(tmp_path, blocklist=HOUSE) as server:
        status, told = server.edit("eve", {"do": "add-domains", "id": "beta", "domains": ["more.example"]})
        assert status == 200 and told["state"] == "applied", told
        server.comes("more.example", blocked=True)
        assert "# the court's" in server.blocklist_path.read_text()
        server.wait_for(lambda: any(one["who"] == "eve" for one in history(server)), "who did it", SOON_S)


def test_two_people_are_needed_and_the_second_one_is_another(tmp_path: Path) -> None:
    changes = {"http": {"changes": "two-person"}}
    with Office(tmp_path, blocklist=HOUSE, changes=changes) as server:
        status, told = server.edit("ann", {"do": "remove-exchange", "id": "beta"})
        assert status == 202 and "- exchange beta" in told["words"], told
        path = f"/proposals/{told['proposal']}"
        assert server.post("ann", f"{path}/approve")[0] == 403
        assert server.post("eve", f"{path}/approve")[0] == 403
        assert server.is_blocked("beta.example")
        assert server.post("bob", f"{path}/approve")[0] == 200
        server.comes("beta.example", blocked=False)
        before = server.metrics()
        server.replace_blocklist(HOUSE)
        server.wait_for_reload(before, "failure")
        assert not server.is_blocked("beta.example"), "an edit of the file itself waits, too"
        [waiting] = [one for one in server.call("bob", "/proposals")[1]["items"] if one["state"] == "open"]
        assert server.post("bob", f"/proposals/{waiting['id']}/approve")[0] == 200
        server.comes("beta.example", blocked=True)


def test_a_pause_takes_two_people_and_its_end_one(tmp_path: Path) -> None:
    changes = {"http": {"changes": "two-person"}}
    with Office(tmp_path, blocklist=HOUSE, changes=changes) as server:
        status, told = server.post("ann", "/pause", {"for_s": 600, "reason": "the bank's portal fails"})
        assert status == 202 and not told["paused"], told
        path = f"/proposals/{told['proposal']}"
        [waiting] = server.call("bob", "/proposals")[1]["items"]
        assert waiting["kind"] == "pause" and "- exchange beta" in waiting["words"]
        assert "alpha" not in waiting["words"] and "10 min" in waiting["headline"]
        assert server.post("ann", f"{path}/approve")[0] == 403
        assert server.is_blocked("beta.example") and server.metrics()[PAUSED] == 0
        assert server.post("bob", f"{path}/approve")[0] == 200
        server.comes("beta.example", blocked=False)
        assert server.is_blocked("alpha.example"), "an authority's order stays"
        now = server.call("ann", "/pause")[1]
        assert (now["who"], now["approved_by"]) == ("ann", "bob")
        assert server.post("ann", "/resume")[0] == 200, "alone, and at once"
        server.comes("beta.example", blocked=True)


def test_an_edit_that_waits_is_told_apart_from_one_that_cannot_be_loaded(tmp_path: Path) -> None:
    changes = {"http": {"changes": "two-person"}}
    with Office(tmp_path, blocklist=HOUSE, changes=changes) as server:
        before = server.metrics()
        server.replace_blocklist(HOUSE.replace("beta.example", "more.example"))
        server.wait_for_reload(before, "failure")
        told = server.metrics()
        assert (told["resolver_blocklist_edit_waits"], told["resolver_blocklist_is_stale"]) == (1, 0)
        wrong = [one["id"] for one in server.call("bob", "/problems")[1]["items"]]
        assert "edit_waits" in wrong and "policy_not_in_force" not in wrong
        before = server.metrics()
        server.replace_blocklist("exchanges: [")
        server.wait_for_reload(before, "failure")
        told = server.metrics()
        assert (told["resolver_blocklist_edit_waits"], told["resolver_blocklist_is_stale"]) == (0, 1)


def test_flush_reload_audit_and_lists_answer_as_told(tmp_path: Path) -> None:
    with Office(tmp_path, blocklist=HOUSE) as server:
        assert server.ask("kept.example").rcode() == dns.rcode.SERVFAIL
        status, told = server.post("eve", "/cache/flush", {"name": "example", "subtree": True})
        assert status == 200 and told["answers"] >= 1, told
        before = server.metrics()
        assert server.call("eve", "/reload", b"")[0] == 202
        server.wait_for_reload(before)
        assert server.call("eve", "/audits", b"")[0] == 202
        assert server.call("eve", "/lists/nothing/update", b"")[0] == 404
        assert server.is_blocked("alpha.example")
