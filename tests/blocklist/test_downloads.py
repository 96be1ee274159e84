"""What may be written about a list's download, and what compiling makes of a list that never came."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path

import pytest

from resolver.blocklist.downloads import (
    Download,
    DownloadedList,
    at_their_places,
    downloaded_list_from,
    downloaded_lists,
    stored_path,
)
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import ListSpec
from resolver.policy.image import FORMAT_VERSION, Image
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood
from tests.support.for_each import for_each

URL = "https://lists.example/ads.txt"
KEY = bytes(range(32))
KEY64 = base64.b64encode(KEY).decode()
MINISIGN_KEY = base64.b64encode(b"Ed" + b"KEYIDKEY" + KEY).decode()


def blocklist_text(*lists: str) -> str:
    return "version: 1\nexchanges: {one: {name: One, domains: [one.example]}}\nlists:\n" + "".join(
        f"  - {entry}\n" for entry in lists
    )


def read(entry: str) -> tuple[ListSpec | None, list[str]]:
    blocklist, problems = read_blocklist(Path("/etc/x/b.yaml"), octets=blocklist_text(entry).encode())
    return (blocklist.lists[0] if blocklist else None), [problem.message for problem in problems]


def download(entry: str) -> Download:
    spec, problems = read(entry)
    assert spec is not None and spec.download is not None, problems
    return spec.download


def refusal(entry: str) -> str:
    spec, problems = read(entry)
    assert spec is None
    [message] = problems
    return message


def test_a_url_alone_is_enough() -> None:
    found = download(f"{{name: ads, url: '{URL}'}}")
    assert found == Download(url=URL, refresh_s=86_400, timeout_s=120.0, octets_max=256 << 20)
    assert not found.may_use_http


def test_a_local_list_is_not_downloaded() -> None:
    spec, problems = read("{name: ads, path: ads.txt}")
    assert spec is not None and spec.download is None and problems == []


@for_each(
    ("entry", "words"),
    [
        ("{name: a, url: 'file:///etc/passwd'}", "only https://"),
        ("{name: a, url: 'ftp://lists.example/a'}", "only https://"),
        ("{name: a, url: '/etc/passwd'}", "only https://"),
        ("{name: a, url: 'http://lists.example/a'}", "allow_http: true"),
        ("{name: a, url: 'https://me:secret@lists.example/a'}", "no user names and passwords"),
        ("{name: a, url: 'https:///a'}", "has no host"),
        ("{name: a, url: 'https://lists.example:99999/a'}", "is not a URL"),
        ("{name: a, url: 'https://lists.example/a b'}", "%XX"),
        ("{name: a, url: 'https://münchen.example/a'}", "%XX"),
        ("{name: a, url: 'https://a..example/a'}", "'https://a..example/a'"),
        ("{name: a, url: 'https://lists.example/a', path: a.txt}", "either a path or a url"),
        ("{name: a, url: 'https://lists.example/a', sha256: abc}", "64 hex digits"),
        ("{name: a, url: 'https://lists.example/a', refresh_s: 60}", "300"),
        (
            "{name: a, url: 'https://lists.example/a', signature: {url: 'https://x.example/'}}",
            "one public key",
        ),
        ("{name: a, url: 'https://lists.example/a', signature: {ed25519: abc}}", "not an Ed25519 public key"),
        ("{name: a, url: 'https://lists.example/a', signature: {minisign: RWabc}}", "starts with RW"),
        (
            f"{{name: a, url: 'https://lists.example/a', signature: {{ed25519: {KEY64}, url: 'file:///s'}}}}",
            "only https://",
        ),
        ("{name: a, path: a.txt, refresh_s: 3600}", "only for a list with a url"),
        ("{name: a, path: a.txt, sha256: abc}", "only for a list with a url"),
    ],
)
def test_what_must_not_be_written_is_refused_by_name(entry: str, words: str) -> None:
    assert words in refusal(entry)


@pytest.mark.parametrize(
    "more", ["allow_http: true", f"sha256: {'ab' * 32}", f"signature: {{ed25519: {KEY64}}}"]
)
def test_plain_http_needs_proof_or_consent(more: str) -> None:
    assert download(f"{{name: a, url: 'http://lists.example/a', {more}}}").may_use_http


def test_a_signature_is_looked_for_beside_the_list() -> None:
    signature = download(f"{{name: a, url: '{URL}?v=1', signature: {{minisign: {MINISIGN_KEY}}}}}").signature
    assert signature is not None
    assert signature.location == "https://lists.example/ads.txt.minisig?v=1"
    assert (signature.key, signature.key_id) == (KEY64, b"KEYIDKEY".hex())


def test_a_signature_may_be_a_local_file_beside_the_blocklist() -> None:
    entry = f"{{name: a, url: '{URL}', signature: {{ed25519: {KEY.hex()}, path: ads.sig}}}}"
    signature = download(entry).signature
    assert signature is not None and signature.location == "/etc/x/ads.sig" and not signature.is_url
    assert signature.key == KEY64


def test_another_key_or_pin_is_another_proof() -> None:
    plain = download(f"{{name: a, url: '{URL}'}}")
    signed = download(f"{{name: a, url: '{URL}', signature: {{ed25519: {KEY64}}}}}")
    pinned = download(f"{{name: a, url: '{URL}', sha256: {'ab' * 32}}}")
    assert len({plain.proof, signed.proof, pinned.proof}) == 3


def test_a_download_survives_json() -> None:
    spec, _ = read(f"{{name: a, url: '{URL}', signature: {{minisign: {MINISIGN_KEY}}}}}")
    assert spec is not None
    [entry] = downloaded_lists([spec])
    assert isinstance(entry, DownloadedList)
    assert downloaded_list_from(entry.as_json()) == entry


def test_a_downloaded_list_is_kept_in_the_state_folder_under_its_name(tmp_path: Path) -> None:
    spec, _ = read(f"{{name: a, url: '{URL}'}}")
    assert spec is not None
    [placed] = at_their_places([spec], tmp_path)
    assert placed.path == stored_path(tmp_path, "a") == tmp_path / "lists" / "a.list"


# What compiling makes of it.


class Place:
    def __init__(self, folder: Path) -> None:
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.images = self.state / "images"
        self.blocklist.write_text(blocklist_text(f"{{name: ads, url: '{URL}', format: domains}}"))

    def store(self, text: str) -> None:
        path = stored_path(self.state, "ads")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_list_that_never_came_is_empty_and_said_to_be(place: Place) -> None:
    compiled = compile_policy(place.blocklist, place.images, state_dir=place.state)
    assert compiled.image is not None and compiled.counts["per_list"] == {"ads": 0}
    assert any("never downloaded: IT IS EMPTY" in problem.message for problem in compiled.problems)


def test_the_stored_copy_is_compiled_and_watched(place: Place) -> None:
    place.store("ads.example\n")
    compiled = compile_policy(place.blocklist, place.images, state_dir=place.state)
    assert compiled.counts["per_list"] == {"ads": 1} and compiled.problems == []
    assert str(stored_path(place.state, "ads")) in compiled.paths


@pytest.mark.parametrize("image_format", [FORMAT_VERSION, FORMAT_VERSION - 1])
def test_a_list_that_served_and_is_gone_is_an_error_so_that_the_last_policy_stays(
    place: Place, image_format: int
) -> None:
    place.store("ads.example\n")
    compiled = compile_policy(place.blocklist, place.images, state_dir=place.state)
    note = LastGood(compiled.key, tuple(compiled.inputs), tuple(compiled.paths))
    store = ImageStore(place.state)
    store.remember(note)
    image = store.path_of(note.key)
    octets = bytearray(image.read_bytes())
    octets[8:12] = image_format.to_bytes(4, "little")
    image.chmod(0o644)
    image.write_bytes(octets)
    stored_path(place.state, "ads").unlink()
    again = compile_policy(place.blocklist, place.images, state_dir=place.state)
    assert again.image is None
    assert any("is gone" in problem.message for problem in again.problems)


def test_an_image_without_the_list_is_not_taken_for_current_once_the_list_is_there(place: Place) -> None:
    compiled = compile_policy(place.blocklist, place.images, state_dir=place.state)
    note = LastGood(compiled.key, tuple(compiled.inputs), tuple(compiled.paths))
    place.store("ads.example\n")
    assert ImageStore(place.state).open_if_current(place.blocklist, note) is None


@pytest.mark.parametrize("endless", ["fifo", "link to a device"])
def test_no_image_is_current_where_a_file_has_no_end(place: Place, endless: str) -> None:
    place.store("ads.example\n")
    compiled = compile_policy(place.blocklist, place.images, state_dir=place.state)
    note = LastGood(compiled.key, tuple(compiled.inputs), tuple(compiled.paths))
    store = ImageStore(place.state)
    assert store.open_if_current(place.blocklist, note) is not None
    stored = stored_path(place.state, "ads")
    stored.unlink()
    if endless == "fifo":
        os.mkfifo(stored)
    else:
        stored.symlink_to("/dev/zero")
    assert store.open_if_current(place.blocklist, note) is None
    empty = [replace(entry, octets=0) for entry in note.inputs if entry.path == str(stored)]
    assert len(empty) == 1
    others = [entry for entry in note.inputs if entry.path != str(stored)]
    # Its size is no reason to believe it.
    as_empty = LastGood(note.key, (*others, *empty), note.paths)
    assert store.open_if_current(place.blocklist, as_empty) is None


def test_the_image_remembers_what_to_fetch(place: Place) -> None:
    compiled = compile_policy(place.blocklist, place.images, state_dir=place.state)
    assert compiled.image is not None
    [fields] = Image(compiled.image).meta["downloads"]
    assert downloaded_list_from(fields).download.url == URL


def test_an_approval_is_not_for_what_a_server_elsewhere_sends(place: Place) -> None:
    place.store("ads.example\n")
    before = compile_policy(place.blocklist, place.images, state_dir=place.state).own_inputs
    place.store("other.example\n")
    assert compile_policy(place.blocklist, place.images, state_dir=place.state).own_inputs == before


def test_without_a_state_folder_a_downloaded_list_is_a_remark_and_no_error(place: Place) -> None:
    compiled = compile_policy(place.blocklist, place.images)
    assert compiled.image is not None
    assert [problem.severity for problem in compiled.problems] == ["warning"]
    assert "without settings" in compiled.problems[0].message
