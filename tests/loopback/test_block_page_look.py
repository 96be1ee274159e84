"""The block page in a browser: nothing serious for axe-core, and nothing that its own policy refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from resolver.block_page.conversation import Conversation
from resolver.block_page.notice import Operator
from tests.block_page.pages import desk_of

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("chromium")]

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
AXE = CACHE / "exchange-resolver" / "axe-core" / "node_modules" / "axe-core" / "axe.min.js"
"""Where `scripts/install-test-peers.sh` puts it."""
WIDE, PHONE = "1200,900", "390,844"
LIGHT, DARK = "1", "0"
JUDGE = """
<script>
axe.run(document, {resultTypes: ["violations"]}).then(
    found => found.violations.map(one => [one.impact, one.id, one.nodes.map(node => node.html).join()]),
    error => [["critical", "axe", String(error)]]
).then(told => {
    const place = document.createElement("pre");
    place.id = "judgement";
    place.textContent = JSON.stringify({told, width: document.documentElement.scrollWidth, inner: innerWidth});
    document.body.append(place);
});
</script>
"""


def page_of(host: str, language: str) -> str:
    head = f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nAccept-Language: {language}\r\n\r\n"
    operator = Operator("Example Networks Ltd.", "", "https://www.example.net/filter")
    answer = Conversation(desk_of(operator=operator)).receive(head.encode())
    return answer.partition(b"\r\n\r\n")[2].decode()


def chromium(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    usual = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    return subprocess.run(
        ["chromium", *usual, *words], capture_output=True, text=True, check=True, timeout=90
    )


def judgement_on(folder: Path, page: str, *, size: str, scheme: str) -> dict[str, Any]:
    """What axe-core says of a page, in a window of this size."""
    file = folder / "page.html"
    file.write_text(page.replace("</body>", f'<script src="{AXE.as_uri()}"></script>{JUDGE}</body>'))
    words = [f"--window-size={size}", f"--blink-settings=preferredColorScheme={scheme}"]
    done = chromium(folder, *words, "--virtual-time-budget=20000", "--dump-dom", file.as_uri())
    [told] = re.findall(r'<pre id="judgement">(.*?)</pre>', done.stdout, re.DOTALL)
    found: dict[str, Any] = json.loads(unescape(told))
    return found


def serious(judgement: dict[str, Any]) -> list[list[str]]:
    return [one for one in judgement["told"] if one[0] in ("serious", "critical")]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed")
@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize(
    ("host", "language"),
    [("xn--mnchen-3ya.newcoin.example", "de"), ("hidden.example", "ar"), ("other.example", "ja")],
)
def test_axe_finds_nothing_serious(tmp_path: Path, host: str, language: str, size: str, scheme: str) -> None:
    judgement = judgement_on(tmp_path, page_of(host, language), size=size, scheme=scheme)
    assert serious(judgement) == []
    # Nobody has to scroll sideways.
    assert judgement["width"] <= judgement["inner"]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed")
def test_axe_would_find_something_serious(tmp_path: Path) -> None:
    page = (
        page_of("newcoin.example", "en").replace("--ink:#1a2029", "--ink:#e8e8e8").replace(' lang="en"', "")
    )
    judgement = judgement_on(tmp_path, page, size=WIDE, scheme=LIGHT)
    assert {"color-contrast", "html-has-lang"} <= {one[1] for one in serious(judgement)}


def test_its_own_policy_refuses_nothing_of_it(tmp_path: Path) -> None:
    """The headers as a browser gets them, of a page that is as long as they get."""
    head = "GET / HTTP/1.1\r\nHost: newcoin.example\r\nAccept: text/html\r\n\r\n"
    answer = Conversation(desk_of()).receive(head.encode()).decode()
    [policy] = re.findall(r"^Content-Security-Policy: (.*)\r$", answer, re.MULTILINE)
    page = answer.partition("\r\n\r\n")[2]
    # What may stand in a page of the policy that is sent: all but who may frame it.
    inside = policy.replace("; frame-ancestors 'none'", "")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{inside}">'
    for text, is_refused in ((page, False), (page.replace("max-width:44rem", "max-width:45rem"), True)):
        file = tmp_path / "page.html"
        file.write_text(text.replace("<head>", f"<head>{meta}", 1))
        done = chromium(tmp_path, "--enable-logging=stderr", "--v=0", "--dump-dom", file.as_uri())
        assert ("Content Security Policy" in done.stderr) is is_refused, done.stderr
