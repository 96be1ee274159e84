"""Look-alikes in a running server: what counts of the records, what is kept, what goes wrong."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.observe.records import Record
from resolver.policy.verdict import (
    PASS,
    Mode,
    PolicyAction,
    PolicyRule,
    RuleForm,
    RuleMatch,
    Verdict,
)
from resolver.server import suggestion_sink
from resolver.server.suggestion_sink import SuggestionSink
from resolver.server.suggestions import Suggestions
from resolver.suggestions import seen as seen_module
from resolver.suggestions.decisions import DISMISSED, Decision, decide
from resolver.suggestions.listed import Known
from resolver.suggestions.score import Index
from resolver.suggestions.seen import Seen, SeenNames, read_seen, seen_path, write_seen
from resolver.suggestions.spellings import Listed
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text, name_to_text

BINANCE = Listed("binance", "Binance", (name_from_text("binance.com"),))
KNOWN = Known((BINANCE,), frozenset())
WALL = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
DAY = date(2026, 1, 31)
PEER = Peer(ipaddress.ip_address("192.0.2.77").packed, Transport.UDP)
RULE = PolicyRule(
    "exchange", "binance", "Binance", PolicyAction.NXDOMAIN, Mode.ENFORCE, 300, bytes(4), bytes(16), 15, ""
)
MATCH = RuleMatch(RULE, RuleForm.SUBTREE, name_from_text("binance.com"), "blocklist.yaml", 1)
BLOCKED = Verdict(PolicyAction.NXDOMAIN, MATCH)


def record(name: str, *, rcode: int | None = 0, source: str = "upstream", verdict: Verdict = PASS) -> Record:
    octets = encode_query(name_from_text(name), 1, id=1, dnssec_ok=False, checking_disabled=False, edns=False)
    return Record(1.0, PEER, octets, rcode, source, verdict)


class Lines:
    """Records of the native plane."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    def count(self, *, only_blocked: bool) -> int:
        return len(self._lines)

    def written(self, look: object, offset_s: float, *, records_max: int | None = None) -> tuple[bytes, int]:
        lines = "".join(f"2026-01-31T12:00:00.000Z info query {line}\n" for line in self._lines)
        return lines.encode(), len(self._lines)


def make_sink(
    judged: Callable[[bytes], bool] = lambda name: False, own_zones: tuple[bytes, ...] = ()
) -> SuggestionSink:
    sink = SuggestionSink(SeenNames(1), judged=judged, wall=lambda: WALL, own_zones=own_zones)
    sink.follow(KNOWN.index())
    return sink


def counted(sink: SuggestionSink) -> dict[str, int]:
    return {name_to_text(name): seen.queries for name, seen in sink.seen.names.items()}


def test_what_is_asked_and_allowed_counts_by_registrable_name() -> None:
    sink = make_sink()
    sink.write([record("www.binance-login.example"), record("BINANCE-login.example"), record("a.example")], 0)
    assert counted(sink) == {"binance-login.example": 2}
    assert (sink.written, sink.lost) == (3, 0)


@pytest.mark.parametrize(
    "kept_out",
    [
        record("binance-login.example", rcode=3),
        record("binance-login.example", rcode=2),
        record("binance-login.example", rcode=None, source="short"),
        record("binance-login.example", source="local"),
        record("binance-login.example", source="policy", verdict=Verdict(shadow=MATCH)),
        record("binance-login.example", verdict=Verdict(match=MATCH)),
        record("www.binance.com", rcode=3, source="policy", verdict=BLOCKED),
        Record(1.0, PEER, b"no query", 0, "upstream", PASS),
    ],
)
def test_what_was_not_answered_or_was_decided_does_not_count(kept_out: Record) -> None:
    sink = make_sink()
    sink.write([kept_out], 0)
    assert counted(sink) == {}


def test_a_name_that_was_blocked_for_where_its_answer_led_counts_with_the_exchange() -> None:
    sink = make_sink()
    sink.write([record("www.shop.example", rcode=3, source="policy", verdict=BLOCKED)], 0)
    assert sink.seen.names[name_from_text("shop.example")] == Seen({DAY: 1}, {"binance"})


def test_records_of_the_native_plane_count_the_same() -> None:
    sink = make_sink()
    asked = "transport=udp qname={} qtype=A rcode={} source={}{}"
    blocked = " exchange=binance action=nxdomain"
    sink.write(
        Lines(
            asked.format("www.Binance-login.example", "NOERROR", "upstream", ""),
            asked.format("binance-login.example", "NOERROR", "cache", ""),
            asked.format("binance-login.example", "NOERROR", "stale", ""),
            asked.format("binance-login.example", "NXDOMAIN", "upstream", ""),
            asked.format("binance-login.example", "NOERROR", "local", ""),
            asked.format("binance-login.example", "NOERROR", "policy", blocked),
            asked.format("www.shop.example", "NXDOMAIN", "policy", blocked),
            asked.format("www.list.example", "NXDOMAIN", "policy", " list=ads action=nxdomain"),
            asked.format("www.binance.com", "NXDOMAIN", "policy", blocked),
            asked.format('"binance\\\\032login.example"', "NOERROR", "cache", ""),
            "transport=udp malformed=name dropped=short",
        ),
        0,
    )
    assert counted(sink) == {"binance-login.example": 4, "shop.example": 1}
    assert sink.written == 11


def test_what_the_policy_says_something_about_does_not_count() -> None:
    sink = make_sink(judged=lambda name: name == name_from_text("binance-login.example"))
    sink.write([record("www.binance-login.example"), record("binance-shop.example")], 0)
    assert counted(sink) == {"binance-shop.example": 1}


def test_names_of_this_network_do_not_count() -> None:
    sink = make_sink(own_zones=(name_from_text("corp.example"),))
    sink.write([record("binance.corp.example"), record("binance-login.example")], 0)
    assert counted(sink) == {"binance-login.example": 1}


def test_before_the_exchanges_are_read_nothing_counts() -> None:
    sink = SuggestionSink(SeenNames(1), judged=lambda name: False, wall=lambda: WALL)
    sink.write([record("binance-login.example")], 0)
    assert counted(sink) == {} and sink.written == 1


def test_other_exchanges_are_looked_at_anew() -> None:
    sink = make_sink()
    sink.write([record("kraken-login.example")], 0)
    assert counted(sink) == {}
    sink.follow(Index((Listed("kraken", "Kraken", ()),)))
    sink.write([record("kraken-login.example")], 0)
    assert counted(sink) == {"kraken-login.example": 1}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestion_sink, "REMEMBERED_MAX", 10)
    sink = make_sink()
    for number in range(35):
        sink.write([record(f"n{number}.example"), record("binance-login.example")], 0)
        assert len(sink._remembered) <= 10
    assert counted(sink) == {"binance-login.example": 35}


def test_a_flood_of_new_names_is_looked_at_in_part_and_the_rest_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suggestion_sink, "NEW_NAMES_PER_S_MAX", 10)
    now = 5.0
    sink = SuggestionSink(SeenNames(1), judged=lambda name: False, wall=lambda: WALL, now=lambda: now)
    sink.follow(KNOWN.index())
    sink.write([record("binance-login.example")], 0)
    sink.write([record(f"n{number}.example") for number in range(30)], 0)
    assert sink.lost == 21
    sink.write([record("binance-login.example"), record("binance-shop.example")], 0)
    assert counted(sink) == {"binance-login.example": 2} and sink.lost == 22
    now = 6.0
    sink.write([record("binance-shop.example")], 0)
    assert counted(sink)["binance-shop.example"] == 1


def test_names_that_one_client_makes_up_under_its_own_name_are_one_name() -> None:
    sink = make_sink()
    sink.write([record(f"ann.binance.a{number}.stranger.example") for number in range(500)], 0)
    assert counted(sink) == {"binance.stranger.example": 500}
    assert b"ann" not in sink.seen.as_json()


def test_what_is_given_up_is_lost() -> None:
    sink = make_sink()
    sink.give_up(7)
    assert sink.lost == 7


# The part of the server.


def make_suggestions(
    folder: Path,
    judged: Callable[[bytes], bool] = lambda name: False,
    read: Callable[[Path], Awaitable[Known]] | None = None,
) -> Suggestions:
    async def known(path: Path) -> Known:
        return KNOWN

    return Suggestions(
        folder / "blocklist.yaml", folder, 1, judged=judged, wall=lambda: WALL, read=read or known
    )


async def following(suggestions: Suggestions) -> None:
    await suggestions.start()
    await suggestions.read_exchanges()


Test = Callable[..., Awaitable[None]]


def on_a_loop(test: Test) -> Callable[..., None]:
    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        async def main() -> None:
            await test(**fixtures)

        asyncio.run(main())

    return run


@on_a_loop
async def test_what_was_counted_is_kept_over_a_restart(tmp_path: Path) -> None:
    for total in (2, 4):
        suggestions = make_suggestions(tmp_path)
        await following(suggestions)
        suggestions.sink.write([record("binance-login.example")] * 2, 0)
        await suggestions.close()
        assert read_seen(tmp_path)[name_from_text("binance-login.example")].queries == total
        assert suggestions.counts == {"open": 1, "weak": 0, "dismissed": 0}


@on_a_loop
async def test_over_a_restart_a_full_table_keeps_what_is_worth_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_module, "NAMES_MAX", 2)
    decide(tmp_path, name_from_text("binance-shop.example"), Decision(DISMISSED, "ann", 1.0))
    for asked in (["binance.example", "binance-shop.example"], ["xxbinance.example", "xybinance.example"]):
        suggestions = make_suggestions(tmp_path)
        await following(suggestions)
        suggestions.sink.write([record(name) for name in asked], 0)
        await suggestions.close()
    # The dismissed one makes room, the one that scores most does not.
    assert [name_to_text(name) for name in read_seen(tmp_path)] == ["binance.example", "xxbinance.example"]


@on_a_loop
async def test_what_is_dismissed_is_told_apart(tmp_path: Path) -> None:
    decide(tmp_path, name_from_text("binance-login.example"), Decision(DISMISSED, "ann", 1.0))
    suggestions = make_suggestions(tmp_path)
    await following(suggestions)
    suggestions.sink.write([record("binance-login.example"), record("xbinance.example")], 0)
    await suggestions.close()
    assert suggestions.counts["dismissed"] == 1 and suggestions.counts["open"] == 1


@on_a_loop
async def test_what_is_decided_meanwhile_is_forgotten(tmp_path: Path) -> None:
    decided: set[bytes] = set()
    suggestions = make_suggestions(tmp_path, judged=decided.__contains__)
    await following(suggestions)
    suggestions.sink.write([record("binance-login.example"), record("binance-shop.example")], 0)
    suggestions.write()
    decided.add(name_from_text("binance-login.example"))
    await suggestions.close()
    assert [name_to_text(name) for name in read_seen(tmp_path)] == ["binance-shop.example"]


@on_a_loop
async def test_a_full_disk_costs_nothing_but_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    suggestions = make_suggestions(tmp_path)
    await following(suggestions)
    suggestions.sink.write([record("binance-login.example")], 0)
    (tmp_path / "suggestions").write_text("in the way")
    for _ in range(3):
        suggestions.write()
    assert caplog.text.count("cannot be kept") == 1
    (tmp_path / "suggestions").unlink()
    await suggestions.close()
    assert len(read_seen(tmp_path)) == 1


@on_a_loop
async def test_a_damaged_file_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_seen(tmp_path, b"{")
    suggestions = make_suggestions(tmp_path)
    await following(suggestions)
    assert "counting begins anew" in caplog.text
    suggestions.sink.write([record("binance-login.example")], 0)
    await suggestions.close()
    assert len(read_seen(tmp_path)) == 1


@on_a_loop
async def test_exchanges_that_cannot_be_read_leave_those_known_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [KNOWN]

    async def read(path: Path) -> Known:
        if answers:
            return answers.pop()
        raise ValueError("blocklist.yaml:1: no")

    suggestions = make_suggestions(tmp_path, read=read)
    await following(suggestions)
    await suggestions.read_exchanges()
    suggestions.sink.write([record("binance-login.example")], 0)
    assert counted(suggestions.sink) == {"binance-login.example": 1}
    await suggestions.close()
    assert "cannot be read for suggestions: blocklist.yaml:1: no" in caplog.text


@on_a_loop
async def test_nothing_that_changes_nothing_is_written(tmp_path: Path) -> None:
    suggestions = make_suggestions(tmp_path)
    await following(suggestions)
    suggestions.sink.write([record("weather.example")], 0)
    await suggestions.close()
    assert not seen_path(tmp_path).exists()


def test_drops_and_responses_are_what_the_tests_say() -> None:
    # The words of these tests for sources are those of the service.
    assert {Source.UPSTREAM.value, Source.CACHE.value, Source.STALE.value} == set(
        suggestion_sink.ALLOWED_SOURCES
    )
    assert Respond(b"", 0, 1, Source.POLICY).source.value == "policy"
    assert Drop("policy", qtype=1).reason == "policy"
