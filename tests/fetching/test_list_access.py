"""Downloads that prove who asks: a secret goes to the list's own server, over TLS, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from resolver.blocklist.access import Access, Discovery, Login, access_from_json
from resolver.blocklist.downloads import Download, DownloadedList, downloaded_list_from, downloaded_lists
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.registers import RegisterFormat
from resolver.fetching.discovery import find_link, sha256_in
from resolver.fetching.download import Job, Means, fetch_list
from resolver.fetching.outcome import FetchFailed, Outcome, Result
from resolver.fetching.store import ListStore
from resolver.problems import Problem
from resolver.publishing.compiler import compile_policy
from tests.support.list_server import WebServer, client_files, ok, redirect, reply, trusting, web_server

LIST = b"ads.example\ntracker.example\n"
SECRET = "s3cret-token-of-tests"
Story = Callable[["Desk"], Awaitable[None]]


class Desk:
    """A folder of secrets, and two servers: the list's own and another."""

    def __init__(self, folder: Path, web: WebServer, other: WebServer) -> None:
        self.folder = folder
        self.web = web
        self.other = other
        self.format = "auto"
        self.register: RegisterFormat | None = None

    def secret(self, text: str = SECRET, mode: int = 0o600) -> str:
        path = self.folder / "secret"
        path.write_text(text + "\n")
        path.chmod(mode)
        return str(path)

    async def fetch(self, path: str = "/list", **more: Any) -> Outcome:
        download = Download(self.web.url(path), 3600, 20.0, 1 << 20, allow_private=True, **more)
        wanted = DownloadedList("one", self.format, 50, download, register=self.register)
        # As the child gets it.
        wanted = downloaded_list_from(json.loads(json.dumps(wanted.as_json())))
        return await fetch_list(Job(wanted, self.folder / "state", ()), Means(tls=trusting))

    @property
    def copy(self) -> bytes | None:
        store = ListStore(self.folder / "state", "one")
        return store.path.read_bytes() if store.has_copy() else None

    def written(self) -> str:
        """All that was noted on disk."""
        return "".join(path.read_text() for path in (self.folder / "state").rglob("*.json"))


def play(folder: Path, story: Story) -> None:
    async def whole() -> None:
        async with web_server(folder) as web, web_server(folder) as other:
            await story(Desk(folder, web, other))

    asyncio.run(whole())


def asked(server: WebServer, header: str) -> list[str | None]:
    return [headers.get(header) for _, headers in server.requests]


pytestmark = pytest.mark.loopback


@pytest.mark.parametrize(
    ("keys", "header", "value"),
    [
        ({"bearer_file": SECRET}, "authorization", f"Bearer {SECRET}"),
        ({"basic_file": f"me:{SECRET}"}, "authorization", "Basic bWU6czNjcmV0LXRva2VuLW9mLXRlc3Rz"),
        ({"api_key_file": SECRET, "api_key_header": "X-Api-Key"}, "x-api-key", SECRET),
    ],
)
def test_a_secret_is_shown_to_the_lists_server(
    tmp_path: Path, keys: dict[str, str], header: str, value: str
) -> None:
    async def story(desk: Desk) -> None:
        desk.web.pages["/list"] = ok(LIST)
        name, text = next(iter(keys.items()))
        fields: dict[str, Any] = {**keys, name: desk.secret(text)}
        access = Access(**fields)
        assert (await desk.fetch(access=access)).result is Result.UPDATED
        assert asked(desk.web, header) == [value] and desk.copy == LIST

    play(tmp_path, story)


@pytest.mark.parametrize("to", ["the same server", "another"])
def test_a_secret_does_not_follow_a_redirect(tmp_path: Path, to: str) -> None:
    async def story(desk: Desk) -> None:
        server = desk.web if to == "the same server" else desk.other
        desk.web.pages["/list"] = redirect(server.url("/there"))
        server.pages["/there"] = ok(LIST)
        certificate, key = map(str, client_files(tmp_path))
        access = Access(bearer_file=desk.secret(), certificate_file=certificate, key_file=key)
        assert (await desk.fetch(access=access)).result is Result.UPDATED
        shown = asked(desk.web, "authorization") + asked(desk.other, "authorization")
        assert shown == [f"Bearer {SECRET}", None]
        assert desk.web.clients + desk.other.clients == [True, False]

    play(tmp_path, story)


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.web.pages["/list"] = ok(LIST)
        certificate, key = map(str, client_files(tmp_path))
        access = Access(certificate_file=certificate, key_file=key)
        assert (await desk.fetch(access=access)).result is Result.UPDATED
        assert desk.web.clients == [True]

    play(tmp_path, story)


def test_without_access_nothing_is_shown(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.web.pages["/list"] = ok(LIST)
        assert (await desk.fetch()).result is Result.UPDATED
        assert asked(desk.web, "authorization") == [None] and desk.web.clients == [False]

    play(tmp_path, story)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o601])
def test_a_secret_that_others_can_read_is_an_error_and_nobody_is_asked(tmp_path: Path, mode: int) -> None:
    async def story(desk: Desk) -> None:
        desk.web.pages["/list"] = ok(LIST)
        outcome = await desk.fetch(access=Access(bearer_file=desk.secret(mode=mode)))
        assert outcome.result is Result.STORAGE and "chmod 600" in outcome.message
        assert desk.web.requests == [] and SECRET not in outcome.message

    play(tmp_path, story)


def test_a_key_that_others_can_read_is_an_error(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        certificate, key = client_files(tmp_path)
        key.chmod(0o644)
        access = Access(certificate_file=str(certificate), key_file=str(key))
        assert "chmod 600" in (await desk.fetch(access=access)).message
        key.chmod(0o600)
        key.write_text("no key")
        outcome = await desk.fetch(access=access)
        assert outcome.result is Result.STORAGE and "cannot be used together" in outcome.message

    play(tmp_path, story)


@pytest.mark.parametrize("text", ["", "two\nlines", "caf\u00e9", "x" * 9_000])
def test_a_secret_that_cannot_be_one_is_an_error(tmp_path: Path, text: str) -> None:
    async def story(desk: Desk) -> None:
        outcome = await desk.fetch(access=Access(bearer_file=desk.secret(text)))
        assert outcome.result is Result.STORAGE and "secret file" in outcome.message
        assert desk.web.requests == []

    play(tmp_path, story)


def test_a_server_that_repeats_the_secret_does_not_get_it_into_notes(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.web.pages["/list"] = reply(f"403 token {SECRET} is bad", content_length="0")
        outcome = await desk.fetch(access=Access(bearer_file=desk.secret()))
        assert outcome.result is Result.HTTP_STATUS and "403 token (hidden) is bad" in outcome.message
        assert SECRET not in desk.written() and SECRET not in repr(outcome)

    play(tmp_path, story)


# A login.

BODY = '{"user": "me", "password": "pass-of-tests"}'


def login(desk: Desk, token: str = "access_token", path: str = "/login") -> Access:
    return Access(login=Login(desk.web.url(path), desk.secret(BODY), token))


def test_a_login_gives_the_token_for_the_list(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.web.pages["/login"] = ok(b'{"data": {"access_token": "tok-1"}}')
        desk.web.pages["/list"] = ok(LIST)
        outcome = await desk.fetch(access=login(desk, "data.access_token"))
        assert outcome.result is Result.UPDATED
        assert asked(desk.web, "authorization") == [None, "Bearer tok-1"]
        assert json.loads(desk.web.bodies[0]) == json.loads(BODY)

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("page", "what"),
    [
        (reply("401 pass-of-tests is wrong", content_length="0"), "login: status 401"),
        (ok(b'{"token": "x"}'), "no token at access_token"),
        (ok(b"[" * 60_000), "no token at"),
        (ok(b"x" * 70_000), "login's answer has over"),
        (redirect("https://127.0.0.1:1/"), "login: status 302"),
    ],
)
def test_a_login_that_fails_asks_for_no_list(tmp_path: Path, page: bytes, what: str) -> None:
    async def story(desk: Desk) -> None:
        desk.web.pages["/login"] = page
        outcome = await desk.fetch(access=login(desk))
        assert what in outcome.message and "pass-of-tests" not in outcome.message
        assert [path for path, _ in desk.web.requests] == ["/login"] and desk.other.requests == []

    play(tmp_path, story)


# A page that names the list.

PAGE = b'<!doctype html><a href="/files/list-2026-01-30.txt">now</a> <a href="/files/sum.sha256">sum</a>'


def test_the_link_on_a_page_is_followed_with_its_checksum(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        digest = hashlib.sha256(LIST).hexdigest()
        desk.web.pages["/page"] = ok(PAGE, content_type="text/html")
        desk.web.pages["/files/list-2026-01-30.txt"] = ok(LIST, etag='"1"')
        desk.web.pages["/files/sum.sha256"] = ok(f"{digest}  list.txt\n".encode())
        discover = Discovery(r"/list-[0-9-]+\.txt$", "only", r"\.sha256$")
        outcome = await desk.fetch("/page", discover=discover, access=Access(bearer_file=desk.secret()))
        assert outcome.result is Result.UPDATED and desk.copy == LIST
        assert set(asked(desk.web, "authorization")) == {f"Bearer {SECRET}"}
        desk.web.pages["/files/sum.sha256"] = ok(b"0" * 64)
        outcome = await desk.fetch("/page", discover=discover)
        assert outcome.result is Result.HASH and desk.copy == LIST
        assert "if-none-match" not in desk.web.requests[-1][1]

    play(tmp_path, story)


def test_a_page_that_leads_elsewhere_gets_no_secret_there(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        link = desk.other.url("/list.txt")
        desk.web.pages["/page"] = ok(f'<a href="{link}">'.encode(), content_type="text/html")
        desk.other.pages["/list.txt"] = ok(LIST)
        certificate, key = map(str, client_files(tmp_path))
        access = Access(bearer_file=desk.secret(), certificate_file=certificate, key_file=key)
        outcome = await desk.fetch("/page", discover=Discovery(r"list\.txt$"), access=access)
        assert outcome.result is Result.UPDATED
        assert asked(desk.other, "authorization") == [None] and desk.other.clients == [False]

    play(tmp_path, story)


def test_a_register_is_judged_before_it_replaces_the_copy(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.format, desk.register = "register/it-adm", RegisterFormat("it-adm")
        desk.web.pages["/list"] = ok(LIST + b"co.uk\n198.51.100.7\n")
        outcome = await desk.fetch()
        assert (outcome.result, outcome.names) == (Result.UPDATED, 2)
        for bad, what in (
            (LIST[:-1], "line 2: the last line"),
            (b"\xff\n", "line 1:"),
            (b"co.uk\n", "no record"),
        ):
            desk.web.pages["/list"] = ok(bad)
            outcome = await desk.fetch()
            assert outcome.result is Result.NOT_A_LIST and what in outcome.message
        assert desk.copy == LIST + b"co.uk\n198.51.100.7\n"

    play(tmp_path, story)


# Without servers.


@pytest.mark.parametrize(
    ("choose", "wanted"),
    [("first", "b_9.txt"), ("last", "b_10.txt"), ("highest", "b_20260130.txt")],
)
def test_one_of_several_links_is_chosen(choose: Any, wanted: str) -> None:
    page = b"<a href=b_9.txt><a href='b_20260130.txt'><a href=\"b_10.txt\"><a href='mailto:x'><a href='b_10.pdf'>"
    assert find_link(page, "https://x.example/d/", r"b_\d+\.txt$", choose) == f"https://x.example/d/{wanted}"
    with pytest.raises(FetchFailed, match="3 links"):
        find_link(page, "https://x.example/d/", r"b_\d+\.txt$", "only")
    with pytest.raises(FetchFailed, match="no link"):
        find_link(page, "https://x.example/d/", "nothing", choose)


def test_a_checksum_file_has_one_hash() -> None:
    assert sha256_in(b"SHA256 (x) = " + b"AB" * 32) == "ab" * 32
    for octets in (b"", b"ab" * 33, b"ab" * 32 + b" " + b"cd" * 32):
        with pytest.raises(FetchFailed):
            sha256_in(octets)


# In the blocklist.


def problems_of(folder: Path, keys: str) -> Iterator[Problem]:
    path = folder / "b.yaml"
    path.write_text(f"version: 1\nexchanges: {{}}\nlists:\n  - {{name: one, {keys}}}\n")
    yield from read_blocklist(path)[1]


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("url: 'http://x.example/l', allow_http: true, access: {bearer_file: t}", "over https only"),
        ("url: 'https://x.example/l', access: {bearer_file: t, basic_file: b}", "write one of"),
        ("url: 'https://x.example/l', access: {}", "says nothing"),
        ("url: 'https://x.example/l', access: {key_file: k}", "go together"),
        ("url: 'https://x.example/l', access: {api_key_file: k}", "go together"),
        ("url: 'https://x.example/l', access: {api_key_file: k, api_key_header: Host}", "not a header"),
        (
            "url: 'https://x.example/l', access: {login: {url: 'https://y.example/in', body_file: b}}",
            "secrets go nowhere else",
        ),
        ("url: 'https://x.example/l', access: {token: abc}", "access.token"),
        ("url: 'https://x.example/l', discover: {link: '('}", "not a regular expression"),
        ("path: l, discover: {link: x}", "only for a list with a url"),
        ("path: l, access: {bearer_file: t}", "only for a list with a url"),
    ],
)
def test_a_wrong_entry_is_refused_with_what_is_wrong(tmp_path: Path, keys: str, what: str) -> None:
    found = [problem for problem in problems_of(tmp_path, keys) if problem.severity == "error"]
    assert found and any(what in problem.message and problem.line == 4 for problem in found), found


def test_paths_of_secrets_start_at_the_blocklist_and_survive_the_way_to_the_child(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    login_keys = "login: {url: 'https://x.example:443/in', body_file: in.json}"
    path.write_text(
        "version: 1\nexchanges: {}\nlists:\n"
        f"  - {{name: one, url: 'https://x.example/l', access: {{{login_keys}}}, discover: {{link: l}}}}\n"
    )
    blocklist, problems = read_blocklist(path)
    assert blocklist is not None, problems
    [entry] = downloaded_lists(blocklist.lists)
    assert entry.download.access is not None and entry.download.access.login is not None
    assert entry.download.access.login.body_file == str(tmp_path / "in.json")
    assert downloaded_list_from(json.loads(json.dumps(entry.as_json()))) == entry
    assert access_from_json(asdict(entry.download.access)) == entry.download.access


@pytest.mark.parametrize(
    ("mode", "severity"), [(0o600, ""), (0o640, ""), (0o644, "error"), (None, "warning")]
)
def test_check_objects_to_a_secret_that_others_can_read(
    tmp_path: Path, mode: int | None, severity: str
) -> None:
    with contextlib.suppress(TypeError):
        (tmp_path / "token").write_text(SECRET)
        (tmp_path / "token").chmod(mode)  # type: ignore[arg-type]
    if mode is None:
        (tmp_path / "token").unlink()
    path = tmp_path / "b.yaml"
    path.write_text(
        "version: 1\nexchanges: {a: {name: A, domains: [a.example]}}\nlists:\n"
        "  - {name: one, url: 'https://x.example/l', access: {bearer_file: token}}\n"
    )
    compiled = compile_policy(path, tmp_path / "images")
    found = [problem for problem in compiled.problems if problem.message.startswith("lists.one: ")]
    assert [problem.severity for problem in found] == ([severity] if severity else [])
    assert (compiled.image is None) is (severity == "error")
