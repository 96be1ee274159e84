"""The engine itself: a play that says something wrong, or nothing, is not passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engines import Engine
from tests.support.for_each import for_each
from tests.support.scenario_clock import FakeClock
from tests.support.scenario_engine import PlayFailed, perform
from tests.support.scenario_play import PlayError, read_plays

TRUE_PLAY = """
title: a question is asked, answered, kept, and one is blocked
blocklist: |
  version: 1
  exchanges:
    acme: {name: Acme, category: exchange, domains: [blocked.example]}
steps:
  - query: {name: www.example.org, edns: {}}
  - silent: true
  - upstream: {asks: www.example.org A, reply: {answer: ["@ 300 A 192.0.2.1"]}}
  - expect: {rcode: NOERROR, source: upstream, answer: ["@ 300 A 192.0.2.1"]}
  - advance: 10
  - query: {name: www.example.org, expect: {rcode: NOERROR, source: cache, answer: ["@ 290 A 192.0.2.1"]}}
  - query:
      name: www.blocked.example
      edns: {}
      expect: {rcode: NXDOMAIN, source: policy, ede: [15], ede_text: Acme, soa: blocked.example 300 300, hits: [exchange acme nxdomain enforce]}
  - no_upstream: true
  - counts: {upstream_queries: 1, cache_entries: 1, hits: {exchange acme nxdomain enforce: 1}}
"""


def play(text: str, folder: Path, engine: Engine) -> None:
    for _, one in read_plays(text):
        perform(one, folder, native=engine.module)


def test_a_true_play_passes(engine: Engine, tmp_path: Path) -> None:
    play(TRUE_PLAY, tmp_path, engine)


@for_each(
    ("true", "false"),
    [
        ("rcode: NOERROR, source: upstream", "rcode: NXDOMAIN, source: upstream"),
        ("source: upstream", "source: cache"),
        ('source: upstream, answer: ["@ 300 A 192.0.2.1"]', 'source: upstream, answer: ["@ 300 A 192.0.2.2"]'),
        ('source: upstream, answer: ["@ 300 A 192.0.2.1"]', 'source: upstream, answer: ["@ 299 A 192.0.2.1"]'),
        ('source: upstream, answer: ["@ 300 A 192.0.2.1"]', 'source: upstream, answer: ["www.example.com 300 A 192.0.2.1"]'),
        ('source: upstream, answer: ["@ 300 A 192.0.2.1"]', "source: upstream"),
        ("source: upstream", "source: upstream, ad: true"),
        ("source: upstream", "source: upstream, tc: true"),
        ("source: upstream", "source: upstream, ra: false"),
        ("source: upstream", "source: upstream, octets_max: 50"),
        ("source: upstream", "source: upstream, options: [11]"),
        ("source: upstream", "source: upstream, soa: example.org 60 60"),
        ("source: upstream", 'source: upstream, authority: ["example.org 60 NS ns.example.org"]'),
        ("source: upstream", "source: upstream, question_kept: false"),
        ("source: upstream", "source: upstream, hits: [exchange acme nxdomain enforce]"),
        ("source: upstream", "source: upstream, ede: [3]"),
        ("source: upstream", "of: nobody, source: upstream"),
        ("ede: [15], ", ""),
        ("ede: [15]", "ede: [16]"),
        ("ede_text: Acme", "ede_text: Bank"),
        ("soa: blocked.example 300 300", "soa: blocked.example 300 60"),
        ("soa: blocked.example 300 300", "soa: example 300 300"),
        ("soa: blocked.example 300 300, ", ""),
        (", hits: [exchange acme nxdomain enforce]}", "}"),
        ("hits: [exchange acme nxdomain enforce]", "hits: [exchange acme nxdomain shadow]"),
        ("asks: www.example.org A,", "asks: www.example.org AAAA,"),
        ("asks: www.example.org A,", "asks: www.example.com A,"),
        ("asks: www.example.org A,", "asks: www.example.org A, do: true,"),
        ("asks: www.example.org A,", "asks: www.example.org A, cd: true,"),
        ("asks: www.example.org A,", "asks: www.example.org A, edns: false,"),
        ("asks: www.example.org A,", "asks: www.example.org A, stream: true,"),
        ("asks: www.example.org A,", "asks: www.example.org A, server: 'udp://192.0.2.54:53',"),
        ("- advance: 10", "- advance: 11"),
        ("- advance: 10", "- advance: 301"),
        ("upstream_queries: 1", "upstream_queries: 2"),
        ("cache_entries: 1", "cache_entries: 0"),
        ("hits: {exchange acme nxdomain enforce: 1}", "hits: {}"),
        ("  - no_upstream: true", "  - silent: true"),
        ("  - silent: true", "  - no_upstream: true"),
        ("  - silent: true", "  - expect: {rcode: SERVFAIL, source: upstream}"),
        ("  - silent: true", "  - dropped: {reason: policy}"),
        ("  - silent: true", '  - reload: "version: 9"'),
        ("  - advance: 10", "  - upstream: {asks: www.example.org A, silence: true}"),
        ("  - advance: 10", "  - scan: 2"),
        ("  - advance: 10", "  - query: {as: q1, name: x.example.org}"),
    ],
)  # fmt: skip
def test_a_false_word_fails_the_play(true: str, false: str, engine: Engine, tmp_path: Path) -> None:
    assert true in TRUE_PLAY
    with pytest.raises(PlayFailed):
        play(TRUE_PLAY.replace(true, false, 1), tmp_path, engine)


@pytest.mark.parametrize(
    ("step", "pending"),
    [
        ("- query: {name: x.example.org}", "nobody handled"),
        ("- query: {name: www.blocked.example}", "nobody checked"),
        ("- query: {name: x.example.org}\n  - upstream: {asks: x.example.org A, reply: {answer: ['@ 9 A 192.0.2.1']}}", "nobody checked"),
        ("- query: {name: x.example.org}\n  - upstream: {asks: x.example.org A, keep: later}", "never replied to"),
        ("- query: {name: x.example.org}\n  - upstream: {asks: x.example.org A, silence: true}", "after the end"),
    ],
)  # fmt: skip
def test_a_play_that_leaves_something_pending_fails(
    step: str, pending: str, engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(PlayFailed, match=pending):
        play(f"{TRUE_PLAY}  {step}\n", tmp_path, engine)


def test_a_late_reply_must_meet_the_fate_the_play_says(engine: Engine, tmp_path: Path) -> None:
    steps = """  - query: {as: late, name: x.example.org}
  - upstream: {asks: x.example.org A, keep: slow}
  - late: {of: slow, reply: {answer: ['@ 9 A 192.0.2.1']}, dropped: true}
"""
    with pytest.raises(PlayFailed, match="was delivered"):
        play(TRUE_PLAY + steps, tmp_path, engine)


@for_each(
    ("known", "unknown"),
    [
        ("title:", "titel: x\ntitle:"),
        ("  - silent: true", "  - silence: true"),
        ("  - silent: true", "  - {silent: true, advance: 1}"),
        ("  - silent: true", "  - silent: yes please\n    advance: 1"),
        ("edns: {}", "edns: {payload: 512}"),
        ("name: www.example.org, edns", "nmae: www.example.org, edns"),
        ("source: upstream", "source: upstream, answers: []"),
        ("source: upstream", "source: wire"),
        ("rcode: NOERROR", "rcode: NOERR"),
        ("reply: {answer", "reply: {rcod: SERVFAIL, answer"),
        ("reply: {answer", "silence: true, reply: {answer"),
        (', reply: {answer: ["@ 300 A 192.0.2.1"]}', ""),
        ("reply: {answer", "reply: {wrong: colour, answer"),
        ("counts: {upstream", "counts: {upstreams: 1, upstream"),
        ("steps:", "settings: {cache_octet: 0}\nsteps:"),
        ("steps:", "steps: []\nscenes:"),
        ("advance: 10", "advance: ten"),
        ("title:", "title: again\ntitle:"),
        ("ede_text: Acme", "ede_text: Acme, ede_text: Acme"),
        ("title:", "cases: [{type: A}]\ntitle:"),
        ("title:", "cases: []\ntitle:"),
        ("title: a question", "cases: [{known: A}]\ntitle: $known $unknown"),
    ],
)
def test_an_unknown_word_is_an_error_before_anything_is_played(known: str, unknown: str) -> None:
    assert known in TRUE_PLAY
    with pytest.raises(PlayError):
        read_plays(TRUE_PLAY.replace(known, unknown, 1))


def test_cases_fill_the_whole_text() -> None:
    text = TRUE_PLAY.replace("title:", "cases: [{type: TXT}, {type: MX}]\ntitle:").replace(
        "example.org A", "example.org $type"
    )
    plays = read_plays(text)
    assert [name for name, _ in plays] == ["TXT", "MX"]
    assert [play.steps[2].upstream and play.steps[2].upstream.asks for _, play in plays] == [
        "www.example.org TXT",
        "www.example.org MX",
    ]


def test_timers_fire_in_order_at_their_own_time_and_not_when_cancelled() -> None:
    clock = FakeClock(100.0)
    fired: list[tuple[str, float]] = []
    clock.call_later(2, lambda: fired.append(("second", clock.now())))
    clock.call_later(1, lambda: clock.call_later(0.5, lambda: fired.append(("first", clock.now()))))
    clock.call_later(1.7, lambda: fired.append(("never", clock.now()))).cancel()
    assert clock.pending == 2
    clock.advance(1.9)
    assert fired == [("first", 101.5)]
    clock.advance(0.1)
    assert fired == [("first", 101.5), ("second", 102.0)]
    assert clock.pending == 0
