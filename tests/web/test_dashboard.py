"""The dashboard's files over HTTP: what is asked for comes out of a table, and browsers are held to it."""

from __future__ import annotations

import asyncio
import gzip
import logging
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.observe.facts import Facts
from resolver.web import make_app
from resolver.web.dashboard import (
    CONTENT_SECURITY_POLICY,
    FILES_MAX,
    OCTETS_MAX,
    Dashboard,
    NotBuilt,
    front_routes,
    preferred_encoding,
)

PROGRAM = "program-0123456789ab.js"
SCRIPT = b"console.log('so that it pays to press this together')\n" * 20
PAGE = f'<!doctype html><script type="module" src="assets/{PROGRAM}"></script>'.encode()


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "index.html").write_bytes(PAGE)
    (folder / PROGRAM).write_bytes(SCRIPT)
    (folder / f"{PROGRAM}.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / f"{PROGRAM}.br").write_bytes(b"as if it were pressed by brotli")
    (tmp_path / "secret.json").write_text("{}")
    return folder


def ask(folder: Path, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def fetch() -> httpx.Response:
        app = make_app(lambda: Facts(version="0.1.0", engine="python"), routes=front_routes(folder))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://resolver") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers={"accept-encoding": "identity", **named})

    return asyncio.run(fetch())


def test_the_page_is_asked_for_again_and_its_assets_are_kept(built: Path) -> None:
    page, asset = ask(built, "/"), ask(built, f"/assets/{PROGRAM}")
    assert (page.status_code, page.content, page.headers["cache-control"]) == (200, PAGE, "no-cache")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (asset.status_code, asset.content) == (200, SCRIPT)
    assert asset.headers["content-type"] == "text/javascript; charset=utf-8"
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_nothing_inline_and_nothing_from_elsewhere_runs(built: Path) -> None:
    policy = ask(built, "/").headers["content-security-policy"]
    assert policy == CONTENT_SECURITY_POLICY
    said = dict(one.split(" ", 1) for one in policy.split("; "))
    assert said.pop("require-trusted-types-for") == "'script'"
    assert set(said.values()) == {"'none'", "'self'"}
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", f"/assets/{PROGRAM}"])
def test_every_file_is_taken_for_what_it_is_called_and_framed_by_nobody(built: Path, path: str) -> None:
    headers = ask(built, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("*", "br"),
        ("*;q=0", ""),
        ("BR", "br"),
        ("identity", ""),
        ("", ""),
        ("gzip;q=1.2.3", ""),
        (";;;,,,q=", ""),
        ("gzip, " * 1_000, ""),
    ],
)
def test_the_client_says_which_encodings_it_reads(accepted: str, encoding: str) -> None:
    assert preferred_encoding(accepted, {"br": b"", "gzip": b""}) == encoding


@given(st.text())
def test_no_header_breaks_the_choice_of_an_encoding(accepted: str) -> None:
    assert preferred_encoding(accepted, {"br": b"", "gzip": b""}) in ("", "br", "gzip")


def test_what_is_sent_pressed_is_the_same_file(built: Path) -> None:
    pressed = ask(built, f"/assets/{PROGRAM}", accept_encoding="gzip")
    assert pressed.headers["content-encoding"] == "gzip"
    assert pressed.headers["vary"] == "accept-encoding"
    assert pressed.content == SCRIPT


def test_who_has_it_is_not_sent_it_again(built: Path) -> None:
    first = ask(built, "/")
    again = ask(built, "/", if_none_match=f'"other", W/{first.headers["etag"]}')
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert ask(built, "/", if_none_match='"other"').status_code == 200


def test_each_encoding_has_a_tag_of_its_own(built: Path) -> None:
    plain = ask(built, f"/assets/{PROGRAM}")
    pressed = ask(built, f"/assets/{PROGRAM}", accept_encoding="gzip")
    assert plain.headers["etag"] != pressed.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../secret.json",
        "/assets/..%2fsecret.json",
        "/assets/%2e%2e/secret.json",
        "/assets/%2e%2e%2fsecret.json",
        "/assets/..%5csecret.json",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        f"/assets/{PROGRAM}%00.js",
        f"/assets/{PROGRAM}.gz",
        "/assets/index.html",
        "/assets/",
        "/assets/" + "a" * 5_000,
    ],
)
def test_nothing_beside_the_files_can_be_asked_for(built: Path, path: str) -> None:
    assert ask(built, path).status_code == 404


def test_a_link_beside_the_files_is_served_under_no_name(built: Path) -> None:
    (built / "passwd").symlink_to("/etc/passwd")
    assert ask(built, "/assets/passwd").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_files_are_only_read(built: Path, method: str) -> None:
    assert ask(built, "/", method).status_code == 405
    assert ask(built, f"/assets/{PROGRAM}", method).status_code == 405


def test_without_it_the_program_serves_and_says_so_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "resolver.web.dashboard"):
        reply = ask(tmp_path / "nowhere", "/")
    assert reply.status_code == 200 and "the dashboard is left out" in reply.text
    assert reply.headers["content-type"].startswith("text/plain")
    # Who else writes lines depends on what other tests did to their loggers.
    [line] = [record.getMessage() for record in caplog.records if record.name == "resolver.web.dashboard"]
    assert "make web" in line


def test_half_of_it_is_none_of_it(built: Path) -> None:
    (built / PROGRAM).unlink()
    with pytest.raises(NotBuilt, match=PROGRAM):
        Dashboard(built)


def test_a_folder_of_anything_else_is_not_taken_in(built: Path) -> None:
    (built / "big.js").write_bytes(b"x" * (OCTETS_MAX + 1))
    with pytest.raises(NotBuilt, match="octets"):
        Dashboard(built)
    (built / "big.js").unlink()
    for number in range(FILES_MAX):
        (built / f"more-{number}").touch()
    with pytest.raises(NotBuilt, match="files"):
        Dashboard(built)
