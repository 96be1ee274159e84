"""Zone transfers against a primary that does as it is told: what is taken, and all that is not."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.rrset
import dns.tsig
import dns.zone
import dns.zonetypes
import pytest

from resolver.blocklist.downloads import Download, DownloadedList
from resolver.blocklist.transfers import Primary, Transfer, TsigSpec
from resolver.fetching import zone_message
from resolver.fetching.download import Job, Means, fetch_list
from resolver.fetching.outcome import Outcome, Result
from resolver.fetching.store import ListStore
from tests.support.list_server import HOST, ca_pem, serving
from tests.support.zone_server import APEX, ZONE, Script, blocked, rrset, soa, zone_server

pytestmark = pytest.mark.loopback

KEY_NAME = "key.example."
SECRET = "c2VjcmV0LW9mLXRoZS10cmFuc2ZlcnMtMzItb2N0ZXQ="
KEY = dns.tsig.Key(KEY_NAME, SECRET, "hmac-sha256")
NAMES = ["a.example", "*.a.example", "b.example"]


def whole(serial: int, *names: str) -> list[list[dns.rrset.RRset]]:
    """A whole zone, in one message."""
    return [[soa(serial), rrset("@", "NS", "localhost."), *blocked(*names), soa(serial)]]


class Place:
    """A folder for the copy, and a list that is transferred into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ListStore(folder / "state", "zone")
        self.tsig: TsigSpec | None = None
        self.octets_max = 1 << 20
        self.names_and_ports: list[tuple[str, int, str | None]] = []
        self.tls_ca: str | None = None
        self.idle_s = 5.0

    def use_key(self, secret: str = SECRET, name: str = KEY_NAME, mode: int = 0o600) -> None:
        """Sign with this key."""
        file = self.folder / "secret"
        file.write_text(secret)
        file.chmod(mode)
        self.tsig = TsigSpec(name, "hmac-sha256", str(file))

    def wanted(self, *ports: int, tls_name: str | None = None) -> DownloadedList:
        """The list, with primaries on these ports."""
        primaries = tuple(Primary("127.0.0.1", port, tls_name) for port in ports)
        transfer = Transfer(ZONE, primaries, self.tsig, self.tls_ca)
        url = f"axfr://127.0.0.1/{ZONE}"
        return DownloadedList(
            "zone", "rpz", 50, Download(url, 86_400, 20.0, self.octets_max, transfer=transfer)
        )

    async def fetch(self, *ports: int, force: bool = False, tls_name: str | None = None) -> Outcome:
        """Transfer it now."""
        job = Job(self.wanted(*ports, tls_name=tls_name), self.folder / "state", (), force)
        return await fetch_list(job, Means(wall=lambda: 1.7e9, idle_s=self.idle_s))

    def lines(self) -> list[str]:
        """The copy's records without SOA and TTL, sorted."""
        lines = self.store.path.read_text().splitlines()
        assert lines[0] == f"$ORIGIN {ZONE}"
        return sorted(" ".join(line.split(" ")[:1] + line.split(" ")[3:]) for line in lines[2:])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def run(place: Place, script: Script, *, force: bool = False) -> Outcome:
    async def story() -> Outcome:
        async with zone_server(script) as server:
            return await place.fetch(server.port, force=force)

    return asyncio.run(story())


BEFORE = ["* CNAME .", "@ NS localhost.", "old.example CNAME ."]


def have_a_copy(place: Place, serial: int = 5) -> None:
    """A copy of an earlier transfer."""
    script = Script(serial, whole(serial, "old.example"), key=KEY if place.tsig else None)
    outcome = run(place, script)
    assert outcome.result is Result.UPDATED, outcome.message


def refused(place: Place, script: Script) -> Outcome:
    """The outcome of a transfer that must change nothing."""
    before = place.store.path.read_bytes()
    outcome = run(place, script)
    assert not outcome.is_success
    assert place.store.path.read_bytes() == before
    return outcome


def test_a_whole_zone_becomes_a_list_of_its_names(place: Place) -> None:
    outcome = run(place, Script(7, whole(7, *NAMES)))
    assert (outcome.result, outcome.message) == (Result.UPDATED, "")
    assert place.lines() == [
        "*.a.example CNAME .",
        "@ NS localhost.",
        "a.example CNAME .",
        "b.example CNAME .",
    ]
    notes = place.store.notes()
    assert (notes.serial, notes.authority_serial, notes.transferred_as) == (7, 7, "whole")
    assert (notes.soa_refresh_s, notes.soa_retry_s, notes.soa_expire_s) == (3600, 600, 86400)


def test_a_zone_in_many_messages_is_the_same_zone(place: Place) -> None:
    records = whole(7, *NAMES)[0]
    assert run(place, Script(7, [[record] for record in records])).result is Result.UPDATED
    assert len(place.lines()) == 4


def test_an_equal_serial_transfers_nothing(place: Place) -> None:
    have_a_copy(place)
    script = Script(5, whole(5, "other.example"))
    assert run(place, script).result is Result.UNCHANGED
    assert script.asked == ["SOA"]


def step(start: int, end: int, removed: Sequence[str], added: Sequence[str]) -> list[dns.rrset.RRset]:
    """One step of an IXFR."""
    return [soa(start), *blocked(*removed), soa(end), *blocked(*added)]


def test_changes_are_put_into_the_copy_step_by_step(place: Place) -> None:
    have_a_copy(place)
    steps = [
        *step(5, 6, ["old.example"], ["x.example"]),
        *step(6, 7, ["x.example"], ["old.example", "y.example"]),
    ]
    script = Script(7, ixfr=[[soa(7), *steps, soa(7)]])
    outcome = run(place, script)
    assert (outcome.result, outcome.message) == (Result.UPDATED, "")
    assert script.asked == ["SOA", "IXFR"]
    assert place.lines() == ["@ NS localhost.", "old.example CNAME .", "y.example CNAME ."]
    assert (place.store.notes().serial, place.store.notes().transferred_as) == (7, "changes")


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(step(5, 7, ["never.example"], ["x.example"]), id="removes what is not here"),
        pytest.param(step(5, 7, [], ["old.example"]), id="adds what is here"),
        pytest.param(step(4, 7, [], ["x.example"]), id="begins at another serial"),
        pytest.param([*step(5, 6, [], ["x.example"]), *step(5, 7, [], [])], id="steps that do not follow"),
        pytest.param(step(5, 7, ["old.example", "old.example"], []), id="removes twice"),
        pytest.param(step(5, 4, [], ["x.example"]), id="goes back"),
    ],
)
def test_changes_that_do_not_fit_lead_to_the_whole_zone(place: Place, steps: list[dns.rrset.RRset]) -> None:
    have_a_copy(place)
    script = Script(7, whole(7, "fresh.example"), ixfr=[[soa(7), *steps, soa(7)]])
    outcome = run(place, script)
    assert (outcome.result, outcome.message) == (Result.UPDATED, "")
    assert script.asked == ["SOA", "IXFR", "AXFR"]
    assert place.lines() == ["@ NS localhost.", "fresh.example CNAME ."]


def test_a_copy_that_somebody_changed_is_transferred_whole(place: Place) -> None:
    have_a_copy(place)
    place.store.path.write_bytes(place.store.path.read_bytes().replace(b"old", b"odd"))
    script = Script(5, whole(5, "old.example"))
    assert run(place, script).result is Result.UPDATED
    assert "old.example CNAME ." in place.lines()


def test_a_serial_that_wraps_around_is_newer(place: Place) -> None:
    have_a_copy(place, 2**32 - 1)
    assert run(place, Script(3, whole(3, "x.example"))).result is Result.UPDATED


def test_an_older_serial_is_taken_only_by_force(place: Place) -> None:
    have_a_copy(place)
    outcome = refused(place, Script(4, whole(4, "x.example")))
    assert outcome.result is Result.SERIAL
    assert "lists update zone --force" in outcome.message
    assert run(place, Script(4, whole(4, "x.example")), force=True).result is Result.UPDATED


@pytest.mark.parametrize(
    ("messages", "result", "words"),
    [
        ([[soa(7), *blocked("x.example")]], Result.TIMEOUT, "nothing came"),
        ([[soa(7), *blocked("x.example"), soa(8)]], Result.BAD_TRANSFER, "changed while"),
        ([[*blocked("x.example"), soa(7)]], Result.BAD_TRANSFER, "does not begin with"),
        ([[*whole(7, "x.example")[0], *blocked("y.example")]], Result.BAD_TRANSFER, "after the zone's end"),
        (
            [[soa(7), rrset("elsewhere.example.", "CNAME", "."), soa(7)]],
            Result.BAD_TRANSFER,
            "not in the zone",
        ),
        ([[soa(7), rrset("x.example", "TXT", '"x"', rclass="CH"), soa(7)]], Result.BAD_TRANSFER, "class CH"),
        ([[soa(7), rrset("@", "NS", "localhost."), soa(7)]], Result.NOT_A_LIST, "no names"),
        ([[soa(7), soa(7)]], Result.NOT_A_LIST, ""),
    ],
)
def test_a_broken_transfer_leaves_the_old_zone(
    place: Place, messages: list[list[dns.rrset.RRset]], result: Result, words: str
) -> None:
    have_a_copy(place)
    place.idle_s = 0.3
    outcome = refused(place, Script(7, messages))
    assert (outcome.result, words in outcome.message) == (result, True), outcome.message
    assert place.store.notes().authority_serial == 7
    assert place.store.notes().behind_since == 1.7e9


def cut(number: int, octets: bytes) -> bytes | None:
    return None if number == 1 else octets


TWO = [[soa(7), *blocked("x.example")], [*blocked("y.example"), soa(7)]]


@pytest.mark.parametrize(
    ("alter", "result"),
    [
        pytest.param(cut, Result.TRUNCATED, id="ends early"),
        pytest.param(lambda _n, octets: octets[:-3], Result.BAD_TRANSFER, id="short message"),
        pytest.param(lambda _n, octets: octets + b"\0", Result.BAD_TRANSFER, id="trailing octet"),
        pytest.param(lambda _n, octets: b"\0\0" + octets[2:], Result.BAD_TRANSFER, id="other id"),
        pytest.param(
            lambda _n, octets: octets[:2] + b"\0" + octets[3:], Result.BAD_TRANSFER, id="no response"
        ),
        pytest.param(lambda _n, _octets: b"", Result.BAD_TRANSFER, id="empty message"),
        pytest.param(lambda _n, _octets: bytes(range(256)), Result.BAD_TRANSFER, id="octets"),
    ],
)
def test_a_message_that_is_none_ends_the_transfer(
    place: Place, alter: Callable[[int, bytes], bytes | None], result: Result
) -> None:
    have_a_copy(place)
    outcome = refused(place, Script(7, TWO, alter=alter))
    assert outcome.result is result, outcome.message


def test_a_transfer_that_stalls_ends(place: Place) -> None:
    have_a_copy(place)
    place.idle_s = 0.2
    assert refused(place, Script(7, TWO, stalls_after=1)).result is Result.TIMEOUT


def test_a_zone_beyond_the_lists_size_is_refused_in_words(place: Place) -> None:
    have_a_copy(place)
    place.octets_max = 2_000
    many = [[soa(7)], *(blocked(*(f"n{part}-{n}.example" for n in range(50))) for part in range(9)), [soa(7)]]
    outcome = refused(place, Script(7, many))
    assert (outcome.result, "size_mb_max" in outcome.message) == (Result.TOO_LARGE, True)


def test_a_primary_that_refuses_is_said_so(place: Place) -> None:
    have_a_copy(place)
    outcome = refused(place, Script(7, whole(7, "x.example"), rcode=5))
    assert outcome.result is Result.REFUSED
    assert "REFUSED" in outcome.message


def test_the_next_primary_is_asked_where_one_fails(place: Place) -> None:
    async def story() -> Outcome:
        async with (
            zone_server(Script(7, whole(7, "x.example"))) as good,
            zone_server(Script(7, whole(7, "x.example"), rcode=5)) as bad,
        ):
            return await place.fetch(bad.port, good.port)

    outcome = asyncio.run(story())
    assert outcome.result is Result.UPDATED and outcome.message == ""
    # Nobody would miss it otherwise, until the other one fails, too.
    assert "REFUSED" in outcome.remark and place.store.notes().problem == ""


def test_a_primary_with_news_is_found_behind_one_without(place: Place) -> None:
    have_a_copy(place)

    async def story() -> Outcome:
        new = Script(6, whole(6, "x.example"))
        async with zone_server(Script(5, whole(5, "old.example"))) as old, zone_server(new) as ahead:
            return await place.fetch(old.port, ahead.port)

    assert asyncio.run(story()).result is Result.UPDATED
    assert place.store.notes().serial == 6


def test_a_newer_zone_that_is_not_taken_is_a_failure_also_where_another_primary_lags(place: Place) -> None:
    have_a_copy(place)

    async def story() -> Outcome:
        async with (
            zone_server(Script(6, whole(6, "x.example"), rcode=5)) as ahead,
            zone_server(Script(5)) as behind,
        ):
            return await place.fetch(ahead.port, behind.port)

    assert asyncio.run(story()).result is Result.REFUSED
    notes = place.store.notes()
    assert (notes.serial, notes.authority_serial, notes.behind_since) == (5, 6, 1.7e9)


def test_an_older_zone_at_one_primary_is_no_lag(place: Place) -> None:
    have_a_copy(place)
    assert refused(place, Script(4, whole(4, "x.example"))).result is Result.SERIAL
    assert place.store.notes().behind_since == 0.0


# Signatures.


def test_signed_messages_may_have_unsigned_ones_between_them(place: Place) -> None:
    place.use_key()
    records = whole(7, *NAMES)[0]
    script = Script(7, [[record] for record in records], key=KEY, is_signed=lambda number: number in (0, 5))
    outcome = run(place, script)
    assert (outcome.result, outcome.message) == (Result.UPDATED, "")


@pytest.mark.parametrize(
    "is_signed",
    [
        pytest.param(lambda _number: False, id="none"),
        pytest.param(lambda number: number > 0, id="not the first"),
        pytest.param(lambda number: number == 0, id="not the last"),
    ],
)
def test_a_missing_signature_refuses_the_zone(place: Place, is_signed: Callable[[int], bool]) -> None:
    place.use_key()
    have_a_copy(place)
    outcome = refused(place, Script(7, TWO, key=KEY, is_signed=is_signed))
    assert outcome.result is Result.TSIG, outcome.message


def test_a_hundred_unsigned_messages_in_a_row_refuse_the_zone(place: Place) -> None:
    place.use_key()
    have_a_copy(place)
    messages = [[soa(7)], *([record] for record in blocked(*(f"n{n}.example" for n in range(120)))), [soa(7)]]
    ends = (0, len(messages) - 1)
    assert refused(place, Script(7, messages, key=KEY, is_signed=lambda n: n in ends)).result is Result.TSIG


def flipped(number: int, octets: bytes) -> bytes:
    """A middle message with one letter changed."""
    return octets.replace(b"\x01y\x07example", b"\x01z\x07example") if number == 1 else octets


def test_an_altered_message_refuses_the_zone_even_when_it_is_unsigned(place: Place) -> None:
    place.use_key()
    have_a_copy(place)
    messages = [[soa(7)], blocked("y.example"), [soa(7)]]
    script = Script(7, messages, key=KEY, is_signed=lambda n: n != 1, alter=flipped)
    assert refused(place, script).result is Result.TSIG


@pytest.mark.parametrize("key", [KEY, None])
def test_another_key_or_none_at_the_primary_is_said_so(place: Place, key: dns.tsig.Key | None) -> None:
    other = "b3RoZXItc2VjcmV0LW9mLXRoZS10cmFuc2ZlcnMtMzI="
    place.use_key(other)
    outcome = run(place, Script(7, whole(7, "x.example"), key=key))
    assert not outcome.is_success
    assert other not in outcome.message and SECRET not in outcome.message


def test_a_clock_that_is_off_is_said_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.use_key()
    monkeypatch.setattr(zone_message, "time", types.SimpleNamespace(time=lambda: time.time() + 4_000))
    outcome = run(place, Script(7, whole(7, "x.example"), key=KEY))
    assert (outcome.result, "BADTIME" in outcome.message) == (Result.TSIG, True)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (SECRET, 0o644, "chmod 600"),
        ("", 0o600, "empty"),
        ("kein Geheimnis\u00e4", 0o600, "base64"),
        ("!!!", 0o600, "base64"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_by_its_file_and_never_shown(
    place: Place, text: str, mode: int, words: str
) -> None:
    place.use_key(text, mode=mode)
    outcome = run(place, Script(7, whole(7, "x.example"), key=KEY))
    assert outcome.result is Result.STORAGE
    assert words in outcome.message and str(place.folder / "secret") in outcome.message
    assert not text or text not in outcome.message


def test_a_key_file_of_tsig_keygen_is_read(place: Place) -> None:
    place.use_key(f'key "key.example" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n')
    assert run(place, Script(7, whole(7, "x.example"), key=KEY)).result is Result.UPDATED


# TLS.


@pytest.mark.parametrize(("name", "result"), [(HOST, Result.UPDATED), ("other.example", Result.CONNECT)])
def test_a_primary_over_tls_must_have_the_name_that_was_written(
    place: Place, name: str, result: Result
) -> None:
    ca = place.folder / "ca.pem"
    ca.write_bytes(ca_pem())
    place.tls_ca = str(ca)

    async def story() -> Outcome:
        tls = serving(place.folder)
        tls.set_alpn_protocols(["dot"])
        async with zone_server(Script(7, whole(7, "x.example")), tls) as server:
            return await place.fetch(server.port, tls_name=name)

    assert asyncio.run(story()).result is result


# The digest of a zone.


def with_digest(
    serial: int, *names: str, scheme: int = 1, wrong: bool = False
) -> list[list[dns.rrset.RRset]]:
    """A whole zone with the ZONEMD that dnspython computes."""
    zone = dns.zone.Zone(APEX, relativize=False)
    records = [
        *whole(serial, *names)[0][:-1],
        rrset("mail.example", "MX", "10 MX.Example."),
        rrset("mail.example", "A", "192.0.2.1"),
    ]
    for record in records:
        zone.find_rdataset(record.name, record.rdtype, create=True).add(record[0], record.ttl)
    digest = zone.compute_digest(dns.zonetypes.DigestHashAlgorithm.SHA384)
    text = digest.to_text().split(" ", 3)
    value = text[3][::-1] if wrong else text[3]
    return [[*records, rrset("@", "ZONEMD", f"{serial} {scheme} 1 {value}"), soa(serial)]]


def test_a_zone_that_fits_its_own_digest_is_noted_as_verified(place: Place) -> None:
    outcome = run(place, Script(7, with_digest(7, "UPPER.example", *NAMES)))
    assert (outcome.result, outcome.message) == (Result.UPDATED, "")
    assert place.store.notes().is_digest_verified


def test_a_zone_that_does_not_fit_its_digest_is_refused(place: Place) -> None:
    have_a_copy(place)
    assert refused(place, Script(7, with_digest(7, *NAMES, wrong=True))).result is Result.ZONEMD


def test_a_digest_of_a_kind_nobody_knows_is_not_taken_for_one(place: Place) -> None:
    outcome = run(place, Script(7, with_digest(7, *NAMES, scheme=241, wrong=True)))
    assert outcome.result is Result.UPDATED
    assert not place.store.notes().is_digest_verified


def test_changes_of_a_zone_with_a_digest_are_held_against_it(place: Place) -> None:
    assert run(place, Script(7, with_digest(7, *NAMES))).result is Result.UPDATED
    [old], [new] = with_digest(7, *NAMES), with_digest(8, *NAMES, "c.example")
    digests = [[r for r in zone if r.rdtype == dns.rdatatype.ZONEMD] for zone in (old, new)]
    steps = [soa(7), *digests[0], soa(8), *digests[1], *blocked("c.example")]
    outcome = run(place, Script(8, ixfr=[[soa(8), *steps, soa(8)]]))
    assert (outcome.result, outcome.message) == (Result.UPDATED, "")
    assert place.store.notes().is_digest_verified


def test_an_age_beyond_the_zones_expire_leaves_the_copy(place: Place) -> None:
    have_a_copy(place)
    notes = place.store.notes()
    place.store.note(replace(notes, succeeded_at=1.0))
    assert refused(place, Script(7, whole(7, "x.example"), rcode=2)).result is Result.REFUSED
