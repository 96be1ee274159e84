"""Pages that change something: who may, what they take, how a refusal is told."""

from __future__ import annotations

from typing import Any

import pytest

from resolver.api.app import description_of_all
from resolver.api.change_shapes import EditsWanted, Operation, PauseNow
from resolver.api.changing import NoChanging
from resolver.api.endpoint import Shape
from resolver.api.refusal import Kind, Refusal
from resolver.api.tokens import Caller, Role
from resolver.changing.edits import OPERATIONS
from tests.api.made import Made
from tests.support.for_each import for_each

BASE = "0" * 64
EDITS = {"base": BASE, "edits": [{"do": "remove-exchange", "id": "acme"}]}
CHANGED: dict[str, object] = {
    "state": "applied",
    "proposal": None,
    "base": BASE,
    "headline": "exchanges: 1 lost",
    "words": "- exchange acme (Acme)",
    "warnings": [],
}


PAUSED = {
    "paused": True,
    "until": "2026-12-01T10:00:00Z",
    "who": "ann",
    "reason": "why",
    "including_orders": False,
    "approved_by": None,
    "proposal": None,
    "soon": False,
}


class Recorder(NoChanging):
    """Notes what it is asked for."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = CHANGED if answer is None else answer
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def change(self, word: str, caller: Caller, **asked: Any) -> dict[str, Any]:
        self.asked.append((word, caller.name, asked))
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: dict[str, Any] = self.answer
        return answer

    async def pause(
        self, caller: Caller, for_s: float, reason: str, *, including_orders: bool
    ) -> dict[str, Any]:
        self.asked.append(("pause", caller.name, {"for_s": for_s, "reason": reason, "all": including_orders}))
        return {**PAUSED, **self.answer} if self.answer is not CHANGED else PAUSED

    async def flush(self, caller: Caller, name: str, *, subtree: bool) -> int:
        self.asked.append(("flush", caller.name, {"name": name, "subtree": subtree}))
        return 3

    def reload(self, caller: Caller) -> None:
        self.asked.append(("reload", caller.name, {}))

    def update_list(self, caller: Caller, name: str) -> None:
        self.asked.append(("update", caller.name, {"name": name}))

    async def resume(self, caller: Caller, reason: str) -> dict[str, Any]:
        self.asked.append(("resume", caller.name, {"reason": reason}))
        return PAUSED

    def audit(self, caller: Caller) -> None:
        self.asked.append(("audit", caller.name, {}))


CHANGES: list[tuple[str, Any, Role]] = [
    ("/pause", {"for_s": 600, "reason": "why"}, Role.APPROVE),
    ("/resume", {}, Role.APPROVE),
    ("/reload", None, Role.EDIT),
    ("/cache/flush", {"name": "example.org"}, Role.EDIT),
    ("/lists/ads/update", None, Role.EDIT),
    ("/audits", None, Role.EDIT),
    ("/edits", EDITS, Role.EDIT),
    ("/history/3/rollback", {}, Role.EDIT),
    ("/proposals/0123456789ab/approve", {}, Role.APPROVE),
    ("/proposals/0123456789ab/reject", {}, Role.EDIT),
    ("/suggestions/acme-login.example/accept", {}, Role.EDIT),
    ("/suggestions/acme-login.example/dismiss", {}, Role.EDIT),
]


@for_each(("path", "body", "least"), CHANGES, ids=[path for path, _, _ in CHANGES])
def test_change_needs_a_token_of_its_role_and_no_cookie_is_one(path: str, body: Any, least: Role) -> None:
    recorder = Recorder()
    made = Made(changing=recorder)
    sent = {} if body is None else {"json": body}
    path = f"/api/v1{path}"
    assert made.ask(path, method="POST", **sent).status_code == 401
    cookie = {"cookie": "token=xr_approve; authorization=xr_approve"}
    assert made.ask(path, method="POST", headers=cookie, **sent).status_code == 401
    lower = Role(least - 1)
    assert made.ask(path, method="POST", role=lower, **sent).status_code == 403
    assert recorder.asked == []


def test_body_that_may_be_left_out_is_left_out_without_a_type() -> None:
    recorder = Recorder()
    made = Made(changing=recorder)
    optional = [path for path, body, _ in CHANGES if not body]
    assert len(optional) == 9
    for path in optional:
        for headers in ({}, {"content-type": "application/json"}):
            answer = made.ask(f"/api/v1{path}", method="POST", role=Role.APPROVE, headers=headers)
            assert answer.status_code in (200, 202), (path, answer.text)
    accepted = [asked for word, _, asked in recorder.asked if word == "accept"]
    assert accepted == 2 * [{"name": "acme-login.example", "exchange": None, "reason": None}]


def test_body_that_is_needed_or_there_is_json() -> None:
    recorder = Recorder()
    made = Made(changing=recorder)
    for path in ("/pause", "/cache/flush", "/edits"):
        assert made.ask(f"/api/v1{path}", method="POST", role=Role.APPROVE).status_code == 415
    # A form of another page is none, be it an empty one.
    for content, media in ((b"{}", ""), (b"", "application/x-www-form-urlencoded"), (b"a=b", "text/plain")):
        headers = {"content-type": media} if media else {}
        sent: dict[str, Any] = {"headers": headers, "content": content}
        assert made.ask("/api/v1/resume", method="POST", role=Role.APPROVE, **sent).status_code == 415
    assert recorder.asked == []


def test_description_says_which_bodies_may_be_left_out() -> None:
    paths = description_of_all()["paths"]
    needed = {
        path
        for path, operations in paths.items()
        if "requestBody" in operations.get("post", {}) and operations["post"]["requestBody"]["required"]
    }
    assert needed == {f"/api/v1{path}" for path in ("/pause", "/cache/flush", "/edits")}


def test_whole_number_is_one_however_json_writes_it() -> None:
    recorder = Recorder()
    body = {"for_s": 60.0, "reason": "why"}
    answer = Made(changing=recorder).ask("/api/v1/pause", method="POST", role=Role.APPROVE, json=body)
    assert answer.status_code == 200 and recorder.asked[0][2]["for_s"] == 60


def test_page_of_another_site_changes_nothing_even_with_a_token() -> None:
    recorder = Recorder()
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answer = Made(changing=recorder).ask("/api/v1/reload", method="POST", role=Role.APPROVE, headers=headers)
    assert answer.status_code == 403 and recorder.asked == []


def test_who_asks_is_passed_on() -> None:
    recorder = Recorder()
    made = Made(changing=recorder)
    made.ask("/api/v1/edits", method="POST", role=Role.EDIT, json=EDITS)
    made.ask("/api/v1/pause", method="POST", role=Role.APPROVE, json={"for_s": 60, "reason": "why"})
    assert [(word, who) for word, who, _ in recorder.asked] == [("edit", "edit"), ("pause", "approve")]
    _, _, asked = recorder.asked[0]
    assert asked["base"] == BASE and asked["edits"][0]["do"] == "remove-exchange" and not asked["force"]


def test_edit_that_is_applied_is_200_and_one_that_waits_202() -> None:
    made = Made(changing=Recorder())
    assert made.ask("/api/v1/edits", method="POST", role=Role.EDIT, json=EDITS).status_code == 200
    proposed = Recorder({**CHANGED, "state": "proposed", "proposal": "0123456789ab"})
    answer = Made(changing=proposed).ask("/api/v1/edits", method="POST", role=Role.EDIT, json=EDITS)
    assert answer.status_code == 202 and answer.json()["proposal"] == "0123456789ab"


@pytest.mark.parametrize(
    ("answer", "status"),
    [({}, 200), ({"paused": False, "proposal": "0123456789ab"}, 202), ({"paused": False, "soon": True}, 202)],
    ids=["in force", "waits for a second person", "waits for a reload"],
)
def test_pause_that_waits_is_202(answer: dict[str, Any], status: int) -> None:
    made = Made(changing=Recorder({**PAUSED, **answer}))
    body = {"for_s": 60, "reason": "why"}
    told = made.ask("/api/v1/pause", method="POST", role=Role.APPROVE, json=body)
    assert told.status_code == status and told.json() == {**PAUSED, **answer}
    PauseNow.model_validate(told.json())


def test_conflict_tells_the_second_editor_what_changed() -> None:
    refusal = Refusal(
        Kind.CONFLICT, "was changed meanwhile", remedy="again", base=BASE, changed="+ x.example"
    )
    answer = Made(changing=Recorder(refusal)).ask("/api/v1/edits", method="POST", role=Role.EDIT, json=EDITS)
    assert answer.status_code == 409 and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["changed"] == "+ x.example" and answer.json()["base"] == BASE


@for_each(
    ("path", "body"),
    [
        ("/pause", {"for_s": 86_401, "reason": "why"}),
        ("/pause", {"for_s": 0, "reason": "why"}),
        ("/pause", {"for_s": 1.5, "reason": "why"}),
        ("/pause", {"for_s": 600}),
        ("/pause", {"for_s": 600, "reason": ""}),
        ("/pause", {"for_s": 600, "reason": "   "}),
        ("/pause", {"for_s": 600, "reason": "a\nb"}),
        ("/pause", {"for_s": 600, "reason": "why", "forever": True}),
        ("/pause", {"for_s": 600, "reason": "why", "including_orders": "yes"}),
        ("/pause", {"for_s": 600, "reason": "why", "including_orders": 1}),
        ("/pause", {"for_s": "600", "reason": "why"}),
        ("/edits", {**EDITS, "force": "false"}),
        ("/edits", {**EDITS, "base": "latest"}),
        ("/edits", {**EDITS, "edits": []}),
        ("/edits", {**EDITS, "edits": [{"do": "set-list", "id": "ads"}]}),
        ("/edits", {"edits": EDITS["edits"]}),
        ("/cache/flush", {"name": ""}),
    ],
)
def test_body_that_makes_no_sense_is_422(path: str, body: Any) -> None:
    recorder = Recorder()
    answer = Made(changing=recorder).ask(f"/api/v1{path}", method="POST", role=Role.APPROVE, json=body)
    assert answer.status_code == 422 and recorder.asked == [], answer.text


@pytest.mark.parametrize(
    "path", ["/proposals/..%2Fapprovals/approve", "/history/-1/rollback", "/lists/../update"]
)
def test_path_that_names_nothing_is_404(path: str) -> None:
    recorder = Recorder()
    answer = Made(changing=recorder).ask(f"/api/v1{path}", method="POST", role=Role.APPROVE, json={})
    assert answer.status_code == 404 and recorder.asked == []


def test_operations_are_those_of_edits() -> None:
    assert Operation.__args__ == OPERATIONS  # type: ignore[attr-defined]
    assert issubclass(EditsWanted, Shape)
