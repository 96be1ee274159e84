"""The dashboard in a browser, on a server under load: every page, light, dark and on a phone; nothing serious for
axe-core; nothing leaves this machine; names of strangers change nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import pytest

from resolver.api.tokens import Role, line_of, new_token
from resolver.dashboard import BUILT
from tests.fuzz.rig import IS_LONG
from tests.loopback.server import ROOT, Server
from tests.loopback.slow_upstream import SlowUpstream

WEB = ROOT / "web"
pytestmark = [
    pytest.mark.loopback,
    pytest.mark.slow,
    pytest.mark.needs("chromium", "node"),
    pytest.mark.skipif(not (BUILT / "index.html").exists(), reason="the dashboard is not built"),
    pytest.mark.skipif(
        not (WEB / "node_modules/playwright-core").exists() or not (WEB / "node_modules/axe-core").exists(),
        reason="playwright-core and axe-core are not installed",
    ),
]

LABEL = "a" * 63
BLOCKLIST = f"""\
version: 1
defaults: {{ttl_s: 300, contact: "mailto:noc@example.net"}}
orders:
  order-1:
    authority: "Financial Regulatory Commission"
    title: "Blocking of unlicensed trading platforms, second list"
    reference: "FRC 2024/118"
    date: 2024-01-02
    due: 2024-01-20
    received: 2024-01-05
    imposed_by: external
    asks: [blocked.example.net, alpha.example, missing.example, "t.me/somebody"]
  order-2:
    authority: "District Court of Example"
    title: "<img src=x onerror=alert(1)> in the matter of Hostile"
    reference: "7 O 12/26"
    date: 2026-10-01
    due: 2027-02-01
    imposed_by: external
exchanges:
  alpha:
    name: Alpha Exchange
    order: order-1
    domains: [blocked.example.net, alpha.example]
  beta:
    name: Beta Exchange
    category: payment
    domains: [beta.example]
    action: sinkhole
    sinkhole: {{ipv4: 192.0.2.250, ipv6: "2001:db8::250"}}
  gamma:
    name: Gamma Exchange
    category: otc
    domains: ["=gamma.example"]
    addresses: [203.0.113.0/24]
    until: 2027-06-30
  hostile:
    name: "<script>alert(1)</script><b>Hostile</b> & Söhne"
    order: order-2
    domains: [{LABEL}.{LABEL}.{LABEL}.hostile.example, "xn--mnchen-3ya.hostile.example"]
  shadowed:
    name: Shadowed Exchange
    mode: shadow
    domains: [shadow.example]
allow:
  - academy.alpha.example
  - {{name: old.alpha.example, reason: "<img src=x onerror=alert(1)> refunds", ticket: T-1, until: 2024-02-01}}
"""
PAGES = {
    "overview": "#/",
    "explain": "#/explain?name=www.blocked.example.net",
    "orders": "#/orders",
    "order": "#/orders/order-1",
    "exchanges": "#/exchanges",
    "exchange": "#/exchanges/hostile",
    "lists": "#/lists",
    "exceptions": "#/exceptions",
    "suggestions": "#/suggestions",
    "changes": "#/changes",
    "service": "#/service",
    "queries": "#/queries",
    "report": "#/report",
}
HOSTILE = (
    "<img src=x onerror=alert(1)>.example",
    "exe\u202ecod.example",
    f"{LABEL}.{LABEL}.{LABEL}.hostile.example",
    "\\000\\010\\255.example",
    "javascript:alert(1)",
    "'\"--></style></script><script>alert(1)</script>",
)
ASKED = ("blocked.example.net", "www.alpha.example", "beta.example", "shadow.example", "open.example.org")
VIEWS = ("wide-light", "wide-dark", "phone-light")
RICH = ("overview", "explain", "order", "exchange", "exceptions", "changes", "service")
"""These are looked at in every view; `make long` does so with all pages."""
LOOKS = {page: VIEWS if IS_LONG or page in RICH else VIEWS[:1] for page in PAGES}
STEPS = ("first", "explain", "languages", "gate", "report", "changes", "editing")
PAINT_MS_MAX = 1_000.0
GZIPPED_OCTETS_MAX = 200_000
QUERIES_PER_S = 200


@contextmanager
def under_load(port: int) -> Iterator[None]:
    """Clients ask, some of it blocked, some of it never asked before."""
    ended = threading.Event()
    chance = random.Random(1)

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            while not ended.wait(10 / QUERIES_PER_S):
                for _ in range(10):
                    name = chance.choice((*ASKED, f"n{chance.randrange(1_000)}.example.org"))
                    asking.sendto(dns.message.make_query(name, "A").to_wire(), ("127.0.0.1", port))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a browser found on all pages.  DASHBOARD_SCREENSHOTS: a folder that keeps its pictures."""
    folder = tmp_path_factory.mktemp("dashboard")
    pictures = Path(os.environ.get("DASHBOARD_SCREENSHOTS", folder / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    token = new_token()
    tokens = folder / "tokens"
    tokens.write_text(line_of("ann", Role.APPROVE, token) + "\n")
    tokens.chmod(0o600)
    changes = {"http": {"tokens_file": str(tokens)}, "log": {"queries": "none"}}
    with SlowUpstream() as upstream:
        upstream.release()
        server = Server(
            folder / "server", upstream_ports=(upstream.port,), blocklist=BLOCKLIST, changes=changes
        )
        server.start()
        try:
            server.wait_until_ready()
            with under_load(server.port):
                yield look(server, token, pictures)
        finally:
            server.stop()


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the second person is shown of an edit and of a pause that wait, and what an approval does."""
    folder = tmp_path_factory.mktemp("proposed")
    pictures = Path(os.environ.get("DASHBOARD_SCREENSHOTS", folder / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    owners = {name: new_token() for name in ("ann", "bob")}
    tokens = folder / "tokens"
    tokens.write_text("".join(f"{line_of(name, Role.APPROVE, token)}\n" for name, token in owners.items()))
    tokens.chmod(0o600)
    changes = {"http": {"tokens_file": str(tokens), "changes": "two-person"}}
    with Server(folder / "server", blocklist=BLOCKLIST, changes=changes) as server:

        def ask(path: str, body: Any = None) -> Any:
            headers = {"authorization": f"Bearer {owners['ann']}", "content-type": "application/json"}
            octets = None if body is None else json.dumps(body).encode()
            url = f"http://127.0.0.1:{server.http_port}/api/v1{path}"
            with urllib.request.urlopen(urllib.request.Request(url, octets, headers), timeout=60) as answer:
                return json.loads(answer.read())

        edit = {"do": "add-domains", "id": "beta", "domains": ["www.beta.example"]}
        ask("/edits", {"base": ask("/edits")["base"], "edits": [edit], "reason": HOSTILE[0]})
        ask("/pause", {"for_s": 1_800, "reason": HOSTILE[5], "including_orders": True})
        yield look(server, owners["bob"], pictures, pages=(), steps=("proposals",))


def look(
    server: Server,
    token: str,
    pictures: Path,
    *,
    pages: Sequence[tuple[str, str, Sequence[str]]] | None = None,
    steps: Sequence[str] = STEPS,
) -> dict[str, Any]:
    wishes = {
        "url": f"http://127.0.0.1:{server.http_port}/",
        "token": token,
        "folder": str(pictures),
        "chromium": shutil.which("chromium"),
        "pages": [(name, place, LOOKS[name]) for name, place in PAGES.items()] if pages is None else pages,
        "hostile": HOSTILE,
        "steps": steps,
    }
    done = subprocess.run(
        ["node", "tests/e2e.mjs", json.dumps(wishes)],
        cwd=WEB,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_page_is_seen(seen: dict[str, Any]) -> None:
    assert {(one["name"], one["view"]) for one in seen["pages"]} == {
        (page, view) for page, views in LOOKS.items() for view in views
    }
    assert all(one["heading"] and "exchange-resolver" in one["title"] for one in seen["pages"])
    assert seen["trouble"] == []


def test_what_a_server_is_not_set_up_for_is_no_failure(seen: dict[str, Any]) -> None:
    assert [(one["name"], one["failures"]) for one in seen["pages"] if one["failures"]] == []


def test_axe_finds_nothing_serious(seen: dict[str, Any]) -> None:
    serious = [
        (one["name"], one["view"], found)
        for one in seen["pages"]
        for found in one["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_nobody_scrolls_sideways(seen: dict[str, Any]) -> None:
    assert [one for one in seen["pages"] if one["width"] > one["inner"]] == []


def test_no_request_leaves_the_host(seen: dict[str, Any]) -> None:
    assert seen["hosts"] == []


def test_it_is_light_and_painted_soon(seen: dict[str, Any]) -> None:
    assert sum(path.stat().st_size for path in BUILT.glob("*.gz")) < GZIPPED_OCTETS_MAX
    assert 0 < seen["transferred"] < GZIPPED_OCTETS_MAX
    assert seen["paint_ms"] < PAINT_MS_MAX


def test_figures_are_live(seen: dict[str, Any]) -> None:
    assert seen["steps"]["first"]["link"] == "Live"


def test_the_keyboard_reaches_everything(seen: dict[str, Any]) -> None:
    told = seen["steps"]["first"]["keyboard"]
    assert (told["first"], told["then"]) == ("skip", "main")
    assert {"Report", "Sign in", "Orders", "Service"} <= set(told["reached"])


def test_the_scheme_is_chosen_and_kept(seen: dict[str, Any]) -> None:
    told = seen["steps"]["first"]["scheme"]
    assert told["light"] != told["dark"] == told["kept"]


def test_the_explain_box_answers_while_one_types(seen: dict[str, Any]) -> None:
    told = seen["steps"]["explain"]
    assert "Alpha Exchange" in told["blocked"] and "blocked.example.net" in told["blocked"]
    assert told["open"].startswith("Not blocked")
    assert told["spoken"] == {"verdicts": 1, "more": 0}


def test_names_of_strangers_neither_run_nor_break_the_page(seen: dict[str, Any]) -> None:
    told = seen["steps"]["explain"]["hostile"]
    assert len(told) == len(HOSTILE)
    assert all(one["elements"] == 0 and one["width"] <= one["inner"] for one in told)
    assert not any("\u202e" in one["text"] or "\0" in one["text"] for one in told)
    assert "<script>alert(1)</script>" in told[2]["text"]


def test_readers_have_their_language(seen: dict[str, Any]) -> None:
    told = seen["steps"]["languages"]
    assert told["german"] == ["de", "Übersicht"]
    assert told["arabic"] == ["ar", "rtl", True]
    assert told["kept"] == "ar"


def test_who_comes_from_elsewhere_is_asked_for_a_token(seen: dict[str, Any]) -> None:
    told = seen["steps"]["gate"]
    assert "token" in told["shown"] and "Alpha" not in told["shown"]
    assert "no token of this server" in told["refused"]
    assert told["after"] == told["shown"]


def test_a_token_is_pasted_and_no_cookie_set(seen: dict[str, Any]) -> None:
    told = seen["steps"]["changes"]
    assert told["before"] == 0 and told["cookies"] == 0
    assert "no token of this server" in told["refused"]
    assert "ann" in told["signed_in"]


def test_a_pause_is_asked_for_told_and_ended(seen: dict[str, Any]) -> None:
    assert "paused until" in seen["steps"]["changes"]["banner"]
    assert "a test of ours" in seen["steps"]["changes"]["banner"]


def test_an_edit_is_seen_before_it_is_saved(seen: dict[str, Any]) -> None:
    told = seen["steps"]["changes"]["edit"]
    assert "+ added.example" in told["preview"] and "Nothing is written yet." in told["preview"]
    assert told["focused"] == "preview", "a screen reader reads it at once"
    assert (told["again"], told["saves"]) == ("Preview", "Save"), "what was typed since is seen anew"


def test_a_safety_rule_is_overruled_knowingly_and_not_beforehand(seen: dict[str, Any]) -> None:
    told = seen["steps"]["changes"]["forced"]
    assert told["offered"] == 0 and "safety rail objects" in told["objection"]
    assert "+ org" in told["preview"] and "grave" in told["button"]
    assert told["withdrawn"] == 0, "what is asked for now was not objected to yet"


def test_orders_and_exceptions_are_edited_with_the_keyboard_alone(seen: dict[str, Any]) -> None:
    told = seen["steps"]["editing"]
    assert "7 O 13/26" in told["order"] and "2031-02-03" in told["order"]
    assert "+ pay.alpha.example" in told["exception"] and "pay.alpha.example" in told["removal"]
    assert told["reached"] == ["Domain", "Why it is let through", "Ticket"]
    assert told["focused"] == "preview" and told["elements"] == 0
    assert [one for one in told["violations"] if one["impact"] in ("serious", "critical")] == []


def test_who_approves_sees_the_difference_the_remarks_and_the_files(proposed: dict[str, Any]) -> None:
    assert proposed["trouble"] == [] and proposed["hosts"] == []
    told = proposed["steps"]["proposals"]
    pause, edit = told["shown"]
    assert "+ www.beta.example" in edit and "What the check remarked" in edit and "blocklist.yaml" in edit
    assert "sha256" in edit and "<img src=x" in edit and told["elements"] == 0
    assert "30 min" in pause and "- exchange alpha" in pause and "what authorities ordered" in pause
    assert all(one["width"] <= one["inner"] for one in told["sizes"])
    assert [one for one in told["violations"] if one["impact"] in ("serious", "critical")] == []


def test_a_pause_begins_when_the_second_person_approves_it(proposed: dict[str, Any]) -> None:
    banner = proposed["steps"]["proposals"]["banner"]
    assert "paused until" in banner and "by ann" in banner and "approved by bob" in banner


def test_the_report_is_one_click_away(seen: dict[str, Any]) -> None:
    assert seen["steps"]["report"] == "Report on blocked domains"
