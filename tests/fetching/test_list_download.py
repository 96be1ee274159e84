"""Downloads against a web server on loopback: what is taken, and all that is not."""

from __future__ import annotations

import asyncio
import base64
import errno
import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from resolver.blocklist.downloads import SignatureSpec
from resolver.fetching.outcome import Result
from tests.support.list_place import LIST, NOW, OLD, Place, play, refused
from tests.support.list_server import (
    Headers,
    Page,
    ok,
    reply,
)

pytestmark = pytest.mark.loopback

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
).decode()
KEY_ID = b"KEYIDKEY"


# What is taken.


def test_a_list_is_put_in_place_and_noted(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(LIST, etag='"1"')
        outcome = await place.fetch()
        assert (outcome.result, outcome.names, outcome.octets) == (Result.UPDATED, 2, len(LIST))
        assert place.copy() == LIST
        notes = place.notes
        assert (notes.etag, notes.names, notes.succeeded_at, notes.failures) == ('"1"', 2, NOW, 0)
        assert notes.sha256 == hashlib.sha256(LIST).hexdigest()
        assert place.seen[-1] == (len(LIST), len(LIST))

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda octets: gzip.compress(octets[:9]) + gzip.compress(octets[9:])),
        ("deflate", zlib.compress),
        ("deflate", lambda octets: zlib.compress(octets)[2:-4]),
        ("identity", bytes),
    ],
    ids=["gzip", "gzip of two members", "zlib", "bare deflate", "identity"],
)
def test_a_content_coding_is_undone(tmp_path: Path, coding: str, pack: Callable[[bytes], bytes]) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(pack(LIST), content_encoding=coding)
        assert (await place.fetch()).result is Result.UPDATED
        assert place.copy() == LIST

    play(tmp_path, story)


def test_a_packed_list_is_kept_as_it_was_published(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        packed = gzip.compress(LIST)
        place.web.pages["/list.gz"] = ok(packed)
        outcome = await place.fetch("/list.gz", sha256=hashlib.sha256(packed).hexdigest())
        assert (outcome.result, outcome.names) == (Result.UPDATED, 2)
        assert place.copy() == packed

    play(tmp_path, story)


def test_a_chunked_body_is_put_together(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        chunks = (
            b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (LIST[:7], LIST[7:])) + b"0\r\n\r\n"
        )
        place.web.pages["/list"] = reply("200 OK", chunks, transfer_encoding="chunked")
        assert (await place.fetch()).result is Result.UPDATED
        assert place.copy() == LIST

    play(tmp_path, story)


def test_an_unchanged_list_costs_one_question(tmp_path: Path) -> None:
    def answer(path: str, headers: Headers) -> Page:
        if headers.get("if-none-match") == '"1"' and headers.get("if-modified-since") == "Mon":
            return reply("304 Not Modified", etag='"1"')
        return ok(LIST, etag='"1"', last_modified="Mon")

    async def story(place: Place) -> None:
        place.web.answer = answer
        assert (await place.fetch()).result is Result.UPDATED
        before = place.store.path.stat()
        place.now += 60
        outcome = await place.fetch()
        assert (outcome.result, outcome.names, outcome.succeeded_at) == (Result.UNCHANGED, 2, NOW + 60)
        assert place.store.path.stat() == before
        assert place.notes.changed_at == NOW

    play(tmp_path, story)


def test_the_same_octets_without_a_304_touch_nothing(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(LIST)
        await place.fetch()
        before = place.store.path.stat()
        assert (await place.fetch()).result is Result.UNCHANGED
        assert place.store.path.stat() == before

    play(tmp_path, story)


@pytest.mark.parametrize("reason", ["copy", "url", "proof", "notes"])
def test_validators_are_not_sent_for_anything_but_what_they_are_about(tmp_path: Path, reason: str) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = place.web.pages["/other"] = ok(LIST, etag='"1"')
        await place.fetch()
        more: dict[str, Any] = {}
        if reason == "copy":
            place.have(b"tampered.example\n")
        elif reason == "proof":
            more["sha256"] = hashlib.sha256(LIST).hexdigest()
        elif reason == "notes":
            (place.store.path.parent / "ads.json").write_text('{"etag": ')
        outcome = await place.fetch("/other" if reason == "url" else "/list", **more)
        assert outcome.is_success and place.copy() == LIST
        assert all("if-none-match" not in headers for _, headers in place.web.requests)
        assert len(place.web.requests) == 2

    play(tmp_path, story)


def test_a_pinned_list_that_is_here_is_not_asked_for_again(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(LIST)
        pin = hashlib.sha256(LIST).hexdigest()
        assert (await place.fetch(sha256=pin)).result is Result.UPDATED
        assert (await place.fetch(sha256=pin)).result is Result.UNCHANGED
        assert len(place.web.requests) == 1

    play(tmp_path, story)


def test_a_success_after_failures_forgets_them(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        for failures in (1, 2):
            await place.fetch()
            assert place.notes.failures == failures
        place.web.pages["/list"] = ok(LIST)
        await place.fetch()
        assert (place.notes.failures, place.notes.problem) == (0, "")

    play(tmp_path, story)


# What the web sends instead of lists.


@pytest.mark.parametrize(
    "status", ["404 Not Found", "500 Oops", "403 Forbidden", "204 No Content", "304 Not Modified"]
)
def test_a_status_that_is_no_success_replaces_nothing(tmp_path: Path, status: str) -> None:
    outcome = refused(tmp_path, reply(status, content_length="0"), Result.HTTP_STATUS)
    assert status.split()[0] in outcome.message


@pytest.mark.parametrize(
    "page",
    [
        ok(b"<!DOCTYPE html><html><body>Sorry</body></html>"),
        ok(b"\xef\xbb\xbf\n  <HTML>x.example</HTML>"),
        ok(b"<?xml version='1.0'?><Error/>"),
        ok(b"ads.example\n", content_type="text/html; charset=utf-8"),
        ok(b""),
        ok(b" \r\n\n"),
        ok(b"# nothing but words\n# about names\n"),
        ok(gzip.compress(b"<!doctype html>")),
        ok(gzip.compress(LIST)[:-9]),
        ok(b"ads.example\n" + b"no name here!\n" * 30),
        ok(b"ads.example\n", content_encoding="br"),
    ],
    ids=[
        "html",
        "bom",
        "xml",
        "html type",
        "empty",
        "blank",
        "comments",
        "packed html",
        "short gz file",
        "rubbish",
        "brotli",
    ],
)
def test_a_page_or_nothing_replaces_nothing(tmp_path: Path, page: bytes) -> None:
    refused(tmp_path, page, Result.NOT_A_LIST)


@pytest.mark.parametrize(
    "page",
    [
        ok(LIST)[:-10],
        reply("200 OK", b"5\r\nads.e", transfer_encoding="chunked"),
        reply("200 OK", LIST),
        ok(gzip.compress(LIST)[:-9], content_encoding="gzip"),
        ok(b"ads.example\n", content_encoding="gzip"),
        b"",
        b"220 mail.example ESMTP\r\n\r\n",
    ],
    ids=["short", "chunk", "no length", "short gzip", "no gzip", "nothing", "not http"],
)
def test_half_a_list_replaces_nothing(tmp_path: Path, page: bytes) -> None:
    refused(tmp_path, page, Result.TRUNCATED)


def test_a_list_that_loses_most_of_its_names_needs_a_person(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        many = b"".join(b"n%d.example\n" % number for number in range(2000))
        place.web.pages["/list"] = ok(many)
        assert (await place.fetch()).names == 2000
        place.web.pages["/list"] = ok(LIST)
        outcome = await place.fetch()
        assert outcome.result is Result.CHANGED_TOO_MUCH and "2,000 to 2 names" in outcome.message
        assert place.copy() == many
        assert (await place.fetch(force=True)).result is Result.UPDATED
        assert place.copy() == LIST

    play(tmp_path, story)


@pytest.mark.parametrize("number", [1, 3000])
def test_public_suffixes_do_not_replace_a_list(tmp_path: Path, number: int) -> None:
    many = b"".join(b"n%d.example\n" % one for one in range(3000))

    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(many)
        assert (await place.fetch()).names == 3000
        place.web.pages["/list"] = ok(b"co.uk\n" * number)
        for force in (False, True):
            assert (await place.fetch(force=force)).result is Result.NOT_A_LIST
        place.web.pages["/list"] = ok(b"co.uk\n" * 2990 + b"a.example\n" * 10)
        outcome = await place.fetch()
        assert outcome.result is Result.CHANGED_TOO_MUCH and "3,000 to 1 names" in outcome.message
        assert place.copy() == many

    play(tmp_path, story)


# Bounds.


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"c000\r\n" + b"ads.example\n" * 4096 + b"\r\n")
        await writer.drain()


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def stalling(writer: asyncio.StreamWriter) -> None:
    writer.write(ok(LIST)[:-5])
    await writer.drain()
    await asyncio.Event().wait()


def test_an_endless_body_ends_at_the_cap(tmp_path: Path) -> None:
    refused(tmp_path, endless, Result.TOO_LARGE)


def test_a_body_that_announces_too_much_is_not_read(tmp_path: Path) -> None:
    outcome = refused(tmp_path, reply("200 OK", content_length=str(10**12)), Result.TOO_LARGE)
    assert "1,000,000,000,000" in outcome.message


@pytest.mark.parametrize("coding", ["gzip", "deflate", ""])
def test_a_bomb_is_stopped_at_the_cap(tmp_path: Path, coding: str) -> None:
    filling = b"ads.example\n" * 100_000
    packed = zlib.compress(filling, 9) if coding == "deflate" else gzip.compress(filling, 9)
    assert len(packed) < 10_000 < 1 << 20 < len(filling)
    more = {"content_encoding": coding} if coding else {}
    outcome = refused(tmp_path, ok(packed, **more), Result.TOO_LARGE if coding else Result.NOT_A_LIST)
    assert "unpacked" in outcome.message


@pytest.mark.parametrize("page", [silent, stalling])
def test_a_server_that_goes_silent_is_left(tmp_path: Path, page: Page) -> None:
    refused(tmp_path, page, Result.TIMEOUT, timeout_s=0.3)


def test_a_server_that_drips_does_not_hold_out_beyond_the_whole_time(tmp_path: Path) -> None:
    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\na\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    # Never idle, never over the cap within this time.
    refused(tmp_path, dripping, Result.TIMEOUT, timeout_s=0.5, octets_max=1 << 40)


# Proof.


def minisign(
    octets: bytes, *, hashed: bool = True, comment: bytes = b"when", key_id: bytes = KEY_ID
) -> bytes:
    message = hashlib.blake2b(octets).digest() if hashed else octets
    signature = KEY.sign(message)
    blob = base64.b64encode((b"ED" if hashed else b"Ed") + key_id + signature)
    outer = base64.b64encode(KEY.sign(signature + comment))
    return b"\n".join([b"untrusted comment: x", blob, b"trusted comment: " + comment, outer, b""])


def signed_by(place: Place, scheme: Any) -> dict[str, Any]:
    key_id = KEY_ID.hex() if scheme == "minisign" else ""
    return {"signature": SignatureSpec(scheme, PUBLIC, key_id, place.web.url("/sig"))}


GOOD = [
    ("ed25519", KEY.sign(LIST)),
    ("ed25519", base64.b64encode(KEY.sign(LIST)) + b"\n"),
    ("ed25519", KEY.sign(LIST).hex().encode()),
    ("minisign", minisign(LIST)),
    ("minisign", minisign(LIST, hashed=False)),
    ("minisign", minisign(LIST).replace(b"\n", b"\r\n")),
]
BAD = [
    ("ed25519", KEY.sign(LIST + b" ")),
    ("ed25519", b"nonsense"),
    ("ed25519", b""),
    ("minisign", minisign(LIST + b" ")),
    ("minisign", minisign(LIST, key_id=b"ANOTHERS")),
    ("minisign", minisign(LIST).replace(b": when", b": never")),
    ("minisign", b"\n".join(minisign(LIST).split(b"\n")[:2])),
    ("minisign", KEY.sign(LIST)),
    ("minisign", b"x" * 20_000),
]


@pytest.mark.parametrize(("scheme", "signature"), GOOD)
def test_a_signed_list_is_taken(tmp_path: Path, scheme: str, signature: bytes) -> None:
    async def story(place: Place) -> None:
        place.web.pages |= {"/list": ok(LIST), "/sig": ok(signature)}
        assert (await place.fetch(**signed_by(place, scheme))).result is Result.UPDATED

    play(tmp_path, story)


@pytest.mark.parametrize(("scheme", "signature"), BAD)
def test_a_list_that_is_not_signed_by_the_key_is_not(tmp_path: Path, scheme: str, signature: bytes) -> None:
    async def story(place: Place) -> None:
        place.have(OLD)
        place.web.pages |= {"/list": ok(LIST), "/sig": ok(signature)}
        assert (await place.fetch(**signed_by(place, scheme))).result is Result.SIGNATURE
        assert place.copy() == OLD

    play(tmp_path, story)


def test_without_its_signature_a_list_is_not_used(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.have(OLD)
        place.web.pages["/list"] = ok(LIST)
        outcome = await place.fetch(**signed_by(place, "ed25519"))
        assert outcome.result is Result.HTTP_STATUS and outcome.message.startswith("signature ")
        assert place.copy() == OLD

    play(tmp_path, story)


def test_a_signature_may_lie_here(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(LIST)
        path = tmp_path / "ads.sig"
        spec = SignatureSpec("ed25519", PUBLIC, "", str(path))
        assert (await place.fetch(signature=spec)).result is Result.SIGNATURE
        path.write_bytes(KEY.sign(LIST))
        assert (await place.fetch(signature=spec)).result is Result.UPDATED

    play(tmp_path, story)


def test_a_list_with_another_hash_is_never_used(tmp_path: Path) -> None:
    outcome = refused(tmp_path, ok(LIST), Result.HASH, sha256="ab" * 32)
    assert hashlib.sha256(LIST).hexdigest() in outcome.message


# The disk, and others.


def test_a_full_disk_leaves_the_copy_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def story(place: Place) -> None:
        place.have(OLD)
        place.web.pages["/list"] = ok(LIST)
        monkeypatch.setattr(os, "fsync", full)
        outcome = await place.fetch()
        assert outcome.result is Result.STORAGE and "No space left" in outcome.message
        monkeypatch.undo()
        assert place.copy() == OLD

    play(tmp_path, story)


def test_two_processes_do_not_download_one_list_at_once(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.web.pages["/list"] = ok(LIST)
        with place.store.locked():
            assert (await place.fetch()).result is Result.BUSY
        assert (await place.fetch()).result is Result.UPDATED

    play(tmp_path, story)


def test_what_a_killed_download_left_is_swept(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        place.have(OLD)
        (place.store.path.parent / ".ads.list.0123abcd.new").write_bytes(b"half")
        place.web.pages["/list"] = ok(LIST)
        assert (await place.fetch()).result is Result.UPDATED

    play(tmp_path, story)


def test_a_download_does_not_lose_its_names_in_twenty_small_steps_within_a_day(tmp_path: Path) -> None:
    def page(count: int) -> bytes:
        return ok(b"".join(b"n%d.example\n" % number for number in range(count)))

    async def story(place: Place) -> None:
        outcomes = []
        for step in range(21):
            place.now = NOW + 3_600.0 * step
            place.web.pages["/list"] = page(int(2_000 * 0.96**step))
            outcomes.append(await place.fetch())
        refused = [one for one in outcomes if one.result is Result.CHANGED_TOO_MUCH]
        assert refused and "in small steps within a day shrank from 2,000 to" in refused[0].message
        assert place.notes.names > 1_000
        # A day later these steps are what there is; and who means it says so.
        place.now += 20 * 3_600.0
        assert (await place.fetch()).result is Result.UPDATED
        place.web.pages["/list"] = page(500)
        assert (await place.fetch(force=True)).result is Result.UPDATED
        place.web.pages["/list"] = page(400)
        assert (await place.fetch()).result is Result.UPDATED

    play(tmp_path, story)
