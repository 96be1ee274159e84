"""Certificates are read again when their files change; a wrong set changes nothing but what is said."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from resolver.certificates.contexts import CannotServe
from resolver.certificates.files import FILE_OCTETS_MAX, Source, exposure_of, read_pairs, remarks_on
from resolver.certificates.keeper import NOTICE_S, CertificateKeeper, CertificatesRefused
from resolver.certificates.pair import Pair
from tests.support.certificates import NOW_S, Made, make

FIRST = make("dns.example")
NEWER = make("dns.example", which=1)
OTHER = make("other.example", which=2)
EXPIRED = make("dns.example", which=3, days=(-100, -1))
COMING = make("dns.example", which=4, days=(1, 100))


def write(folder: Path, made: Made, *, certificate: bytes | None = None) -> Source:
    """A pair in a folder, as a tool would put it there."""
    source = Source(folder / "a.pem", folder / "a.key")
    source.certificate.write_bytes(made.pem if certificate is None else certificate)
    source.key.write_bytes(made.key)
    source.key.chmod(0o600)
    return source


class House:
    """A keeper, and what is served because of it."""

    def __init__(self, *sources: Source, wall: float = NOW_S) -> None:
        self.served: list[Sequence[Pair]] = []
        self.wall = wall
        self.refusal: CannotServe | None = None
        self.defect: Exception | None = None
        self.keeper = CertificateKeeper(sources, self._prepare, lambda: self.wall)

    def _prepare(self, pairs: Sequence[Pair]) -> Callable[[], None]:
        for one in (self.refusal, self.defect):
            if one is not None:
                raise one
        return lambda: self.served.append(tuple(pairs))

    @property
    def names(self) -> list[str]:
        return [pair.names[0] for pair in self.served[-1]]

    def serves(self, *made: Made) -> bool:
        return [pair.chain for pair in self.served[-1]] == [one.pem for one in made]

    @property
    def counts(self) -> tuple[int, int]:
        return self.keeper.successes, self.keeper.failures


def play(story: Callable[[House], object], house: House) -> House:
    async def run() -> None:
        await house.keeper.start()
        try:
            await story(house)  # type: ignore[misc]
        finally:
            await house.keeper.close()

    asyncio.run(run())
    return house


def test_a_new_pair_is_served_whole_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story(house: House) -> None:
        await house.keeper.look()
        assert len(house.served) == 1
        write(tmp_path, NEWER)
        await house.keeper.look()
        assert house.serves(NEWER)

    house = play(story, House(write(tmp_path, FIRST)))
    assert house.counts == (1, 0) and house.keeper.remark == ""
    assert "new certificates are served" in caplog.text and "2026-09-09" in caplog.text


def test_what_did_not_change_is_not_served_again(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        os.utime(tmp_path / "a.pem", (1, 1))
        await house.keeper.look()

    assert len(play(story, House(write(tmp_path, FIRST))).served) == 1


def half(made: Made) -> bytes:
    return made.pem[: len(made.pem) // 2]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda source: source.certificate.write_bytes(NEWER.pem), "a.key: belongs to another certificate"),
        (lambda source: source.key.write_bytes(NEWER.key), "a.key: belongs to another certificate"),
        (lambda source: source.certificate.write_bytes(half(NEWER)), "a.pem: is not whole"),
        (lambda source: source.certificate.write_bytes(b""), "a.pem: is empty"),
        (lambda source: source.key.unlink(), "a.key: cannot be read: No such file or directory"),
        (lambda source: write(source.key.parent, EXPIRED), "a.pem: has expired on 2026-05-31"),
        (lambda source: write(source.key.parent, COMING), "a.pem: is not valid before 2026-06-02"),
    ],
)
def test_a_wrong_pair_keeps_the_old_one_and_is_said_once(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Source], object],
    reason: str,
) -> None:
    source = write(tmp_path, FIRST)

    async def story(house: House) -> None:
        spoil(source)
        for _ in range(4):
            await house.keeper.look()
        assert house.serves(FIRST)
        assert reason in house.keeper.remark
        said = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(said) == 1 and reason in said[0].getMessage()
        assert house.counts == (0, 1)
        write(tmp_path, NEWER)
        await house.keeper.look()
        assert house.serves(NEWER) and house.keeper.remark == ""
        assert house.counts == (1, 1)

    play(story, House(source))


def test_what_is_found_between_two_writes_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write(tmp_path, FIRST)

    async def story(house: House) -> None:
        source.certificate.write_bytes(half(NEWER))
        await house.keeper.look()
        source.certificate.write_bytes(NEWER.pem)
        await house.keeper.look()
        source.key.write_bytes(NEWER.key)
        await house.keeper.look()
        assert house.serves(NEWER)

    assert play(story, House(source)).counts == (1, 0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_another_wrong_pair_is_said_again_and_the_old_files_put_back_end_it(tmp_path: Path) -> None:
    source = write(tmp_path, FIRST)

    async def story(house: House) -> None:
        source.certificate.write_bytes(b"")
        for _ in range(3):
            await house.keeper.look()
        source.certificate.write_bytes(b"junk")
        for _ in range(3):
            await house.keeper.look()
        assert "no PEM" in house.keeper.failure and house.counts == (0, 2)
        source.certificate.write_bytes(FIRST.pem)
        await house.keeper.look()
        assert house.keeper.failure == "" and len(house.served) == 1

    play(story, House(source))


def test_a_set_changes_whole_or_not_at_all(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    sources = write(tmp_path / "one", FIRST), write(tmp_path / "two", OTHER)

    async def story(house: House) -> None:
        write(tmp_path / "one", NEWER)
        sources[1].key.unlink()
        for _ in range(3):
            await house.keeper.look()
        assert len(house.served) == 1
        write(tmp_path / "two", OTHER)
        await house.keeper.look()
        assert house.serves(NEWER, OTHER)

    play(story, House(*sources))


def test_a_link_that_is_turned_as_kubernetes_does_is_seen(tmp_path: Path) -> None:
    for name, made in (("..1", FIRST), ("..2", NEWER)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, made)
    (tmp_path / "..data").symlink_to("..1")
    for name in ("a.pem", "a.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")

    async def story(house: House) -> None:
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        await house.keeper.look()
        assert house.serves(NEWER)

    play(story, House(Source(tmp_path / "a.pem", tmp_path / "a.key")))


def test_what_the_server_cannot_serve_keeps_the_old_set(tmp_path: Path) -> None:
    source = write(tmp_path, FIRST)

    async def story(house: House) -> None:
        house.refusal = CannotServe(0, "OpenSSL does not take it: CA_MD_TOO_WEAK")
        write(tmp_path, NEWER)
        for _ in range(3):
            await house.keeper.look()
        assert house.keeper.failure == f"{source.certificate}: OpenSSL does not take it: CA_MD_TOO_WEAK"
        house.refusal = None
        await house.keeper.look()
        assert house.serves(NEWER)

    play(story, House(source))


def test_a_defect_while_a_set_is_read_is_told_until_another_set_serves(tmp_path: Path) -> None:
    source = write(tmp_path, FIRST)

    async def story(house: House) -> None:
        house.defect = RuntimeError("nobody thought of it")
        write(tmp_path, NEWER)
        with pytest.raises(RuntimeError):
            await house.keeper.look()
        await house.keeper.look()
        assert house.serves(FIRST) and house.counts == (0, 1)
        assert "a defect while they were read (RuntimeError)" in house.keeper.remark
        house.defect = None
        write(tmp_path, OTHER)
        await house.keeper.look()
        assert house.serves(OTHER) and house.keeper.remark == ""

    play(story, House(source))


def test_a_start_without_a_set_is_refused_with_every_reason(tmp_path: Path) -> None:
    source = write(tmp_path, FIRST, certificate=NEWER.pem)
    missing = Source(tmp_path / "b.pem", tmp_path / "b.key", ("tls", "more", 0))
    with pytest.raises(CertificatesRefused) as caught:
        asyncio.run(House(source, missing).keeper.start())
    assert [(one.keys, str(one)) for one in caught.value.objections] == [
        (("tls", "key"), f"{tmp_path}/a.key: belongs to another certificate"),
        (("tls", "more", 0, "certificate"), f"{tmp_path}/b.pem: cannot be read: No such file or directory"),
    ]


@pytest.mark.parametrize(("made", "words"), [(EXPIRED, "has expired"), (COMING, "is not valid before")])
def test_a_start_with_a_pair_out_of_its_time_serves_it_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, made: Made, words: str
) -> None:
    async def story(house: House) -> None:
        assert house.serves(made)
        assert words in house.keeper.remark

    play(story, House(write(tmp_path, made)))
    assert words in caplog.text


def test_an_expired_pair_is_replaced_by_another_expired_one(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.wall += 200 * 86_400
        write(tmp_path, NEWER)
        await house.keeper.look()
        assert house.serves(NEWER)

    play(story, House(write(tmp_path, FIRST)))


@pytest.mark.parametrize(
    ("made", "notice_s"),
    [(FIRST, NOTICE_S), (make("dns.example", which=5, days=(-3, 3)), 2 * 86_400)],
    ids=["long", "short"],
)
def test_the_end_is_remarked_on_before_it_comes(tmp_path: Path, made: Made, notice_s: float) -> None:
    async def story(house: House) -> None:
        ends_at = house.keeper.ends_at
        assert ends_at is not None
        house.wall = ends_at - notice_s - 1
        assert house.keeper.remark == ""
        house.wall += 1
        assert "expires on" in house.keeper.remark
        house.wall = ends_at
        assert "has expired" in house.keeper.remark

    play(story, House(write(tmp_path, made)))


def test_the_first_end_of_all_is_told_and_none_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "short").mkdir()
    sources = write(tmp_path, FIRST), write(tmp_path / "short", make("dns.example", which=5, days=(-3, 3)))

    async def story(house: House) -> None:
        assert house.keeper.ends_at == NOW_S + 3 * 86_400

    play(story, House(*sources))

    async def nothing(house: House) -> None:
        assert house.keeper.ends_at is None and house.keeper.remark == "" and house.served == []

    play(nothing, House())


# Files.


def test_a_pipe_a_folder_and_a_huge_file_are_no_certificates(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").write_bytes(bytes(FILE_OCTETS_MAX + 1))
    source = write(tmp_path, FIRST)
    for path, reason in (
        (tmp_path / "pipe", "no file"),
        (tmp_path, "directory"),
        (tmp_path / "huge", "octets"),
    ):
        _, [objection] = read_pairs([Source(path, source.key)])
        assert reason in str(objection).lower()


@pytest.mark.parametrize(("mode", "words"), [(0o600, ""), (0o640, ""), (0o644, "can be read by every user"), (0o666, "can be written by every user")])  # fmt: skip
def test_a_key_that_everybody_can_read_is_remarked_on(tmp_path: Path, mode: int, words: str) -> None:
    source = write(tmp_path, FIRST)
    source.key.chmod(mode)
    said = exposure_of(source.key)
    assert said.startswith(words) and bool(said) is bool(words)


def test_a_name_of_two_pairs_is_remarked_on_and_one_of_two_kinds_of_key_is_not(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    made = FIRST, make("dns.example", kind="rsa2048"), NEWER
    sources = [write(folder, one) for folder, one in zip(folders, made, strict=True)]
    pairs, _ = read_pairs(sources)
    [remark] = remarks_on(sources, pairs, NOW_S)
    assert remark.source is sources[2] and "has the name dns.example" in remark.reason
