"""What others' programs find in our TLS and HTTP/2: testssl.sh and h2spec, each finding that is allowed explained.

The short form looks at versions and suites, and at every section of h2spec; `FUZZ_PROFILE=long`
lets testssl.sh try every weakness it knows.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.rig import IS_LONG
from tests.loopback.encrypted import EncryptedServer
from tests.loopback.odd_upstream import OddUpstream, good
from tests.support.list_server import ca_pem

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

FINE = ("OK", "INFO", "LOW", "DEBUG", "WARN")
"""WARN: what testssl.sh itself could not try."""
OF_THE_CERTIFICATE = re.compile(r"cert|DNS_CAArecord|OCSP|chain|intermediate", re.IGNORECASE)
"""Findings of the pair that the operator names, here one of these tests'; not of who serves it."""
OF_A_WEB_SITE = {
    "HSTS": "a page of its own would be needed for browsers to heed it",
    "HPKP": "the same",
    "security_headers": "answers are DNS messages, which no browser shows",
}
PARTS = () if IS_LONG else ("-p", "-s")
SCANNED = ("tls", "https") if IS_LONG else ("tls",)
TESTSSL_S_MAX = 900.0 if IS_LONG else 240.0

H2SPEC = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "exchange-resolver/bin/h2spec"
H2SPEC_S_MAX = 240.0
ANSWERED_AFTER_S = 0.25
_REFUSED = (
    "the request has no media type, so it is refused by its head, before a trailer or a body is looked at"
)
H2SPEC_ALLOWED = {
    "http2/8.1: Sends a second HEADERS frame without the END_STREAM flag": _REFUSED,
    "http2/8.1.2.1: Sends a HEADERS frame that contains a pseudo-header field as trailers": _REFUSED,
    'http2/8.1.2.6: Sends a HEADERS frame with the "content-length" header field which does not equal the sum'
    " of the multiple DATA frames payload length": _REFUSED,
    'http2/8.1.2.6: Sends a HEADERS frame with the "content-length" header field which does not equal the DATA'
    " frame payload length": _REFUSED,
}
"""Cases that may fail, by their titles, each with the reason why it does not matter (RFC 9113 §8.1.1)."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, serving_engine: str) -> Iterator[EncryptedServer]:
    """A server whose limits let a scanner ask as often as it likes."""
    directory = tmp_path_factory.mktemp("scanned")

    def answer_late(query: bytes) -> bytes:
        """Never from the cache, and after what the scanner sends behind its request has been read."""
        time.sleep(ANSWERED_AFTER_S)
        return good(query, ttl_s=0)

    limits = {"tls_handshakes_per_s_max": 100_000, "tls_handshakes_per_s_per_client_max": 100_000}
    with (
        OddUpstream(answer_late) as upstream,
        EncryptedServer(directory, upstream_ports=(upstream.port,), changes={"limits": limits}) as running,
    ):
        (directory / "ca.pem").write_bytes(ca_pem())
        yield running


@pytest.mark.needs("testssl", "openssl")
@pytest.mark.parametrize("transport", SCANNED)
def test_testssl_finds_nothing_over_low(server: EncryptedServer, transport: str, tmp_path: Path) -> None:
    found_path = tmp_path / "found.json"
    command = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--add-ca"]
    command += [str(server.directory / "ca.pem"), "--jsonfile", str(found_path), *PARTS]
    command.append(f"127.0.0.1:{server.ports[transport]}")
    subprocess.run(command, capture_output=True, timeout=TESTSSL_S_MAX, check=False)
    found: list[dict[str, Any]] = json.loads(found_path.read_text())
    assert {one["id"]: one["severity"] for one in found}.get("TLS1_3") == "OK"
    bad = [
        f"{one['id']} {one['severity']}: {one['finding']}"
        for one in found
        if one["severity"] not in FINE
        and not OF_THE_CERTIFICATE.match(one["id"])
        and one["id"] not in OF_A_WEB_SITE
    ]
    assert bad == []


def test_h2spec_has_no_failure_that_matters(server: EncryptedServer, tmp_path: Path) -> None:
    program = shutil.which("h2spec") or (str(H2SPEC) if H2SPEC.exists() else None)
    if program is None:
        pytest.skip("h2spec is not installed")
    report = tmp_path / "report.xml"
    command = [program, "-t", "-k", "-h", "localhost", "-p", str(server.ports["https"]), "-o", "8"]
    command += ["-P", "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA29yZwAAAQAB", "-j", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=H2SPEC_S_MAX, check=False)
    failed = failures_in(report.read_text())
    assert "tests," in done.stdout
    assert failed - set(H2SPEC_ALLOWED) == set(), done.stdout


def failures_in(report: str) -> set[str]:
    """Titles of the cases that failed, with their section."""
    failed = set()
    for case in re.findall(r"<testcase (.*?)(?:/>|</testcase>)", report, re.DOTALL):
        if "<failure" in case or "<error" in case:
            section = re.search(r'package="([^"]*)"', case)
            title = re.search(r'classname="([^"]*)"', case)
            said = f"{section.group(1) if section else '?'}: {title.group(1) if title else case}"
            failed.add(html.unescape(said))
    return failed
