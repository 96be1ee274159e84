"""Every play in `scenarios/`: on the Python service with its memo and without, and behind the native plane, also
where queries are recorded: then each that ended must be in the log, once, and say how it ended.

The cache's plays are played without a cache too, and must fail then.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.flow.peer import Transport
from tests.support.engines import Engine
from tests.support.for_each import for_each
from tests.support.scenario_engine import PlayFailed, perform
from tests.support.scenario_plane import QueriesLogged
from tests.support.scenario_play import Play, read_plays

FOLDER = Path(__file__).parents[1] / "scenarios"

PLAYS: dict[str, Play] = {
    f"{path.stem}[{case}]" if case else path.stem: play
    for path in sorted(FOLDER.glob("*.yaml"))
    for case, play in read_plays(path.read_text())
}
STREAMS = (Transport.TCP, Transport.TLS, Transport.HTTPS)
SLOW_PLAYS = ("identical_misses", "full_cache")
"""Thousands of questions each."""
SHORT_PLAYS = [name for name in PLAYS if name not in SLOW_PLAYS]
CACHE_PLAYS = [name for name, play in PLAYS.items() if play.fails_without_cache]


on_each_engine = pytest.mark.parametrize(
    ("engine", "with_memo", "logs"),
    [
        ("python", True, "none"),
        pytest.param("python", False, "none", marks=pytest.mark.slow),
        ("native", False, "none"),
        pytest.param("native", False, "blocked", marks=pytest.mark.slow),
        pytest.param("native", False, "all", marks=pytest.mark.slow),
    ],
    indirect=["engine"],
    ids=["memo", "bare", "native", "native-logs-blocked", "native-logs-all"],
)


@on_each_engine
@for_each("name", SHORT_PLAYS, ids=str)
def test_the_server_does_what_the_play_says(
    name: str, engine: Engine, with_memo: bool, logs: QueriesLogged, tmp_path: Path
) -> None:
    perform(PLAYS[name], tmp_path, with_memo=with_memo, native=engine.module, logs=logs)


@pytest.mark.slow
@on_each_engine
@for_each("name", SLOW_PLAYS, ids=str)
def test_the_server_does_what_a_long_play_says(
    name: str, engine: Engine, with_memo: bool, logs: QueriesLogged, tmp_path: Path
) -> None:
    perform(PLAYS[name], tmp_path, with_memo=with_memo, native=engine.module, logs=logs)


@for_each("name", CACHE_PLAYS, ids=str)
def test_a_play_about_the_cache_fails_without_one(name: str, engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(PlayFailed):
        perform(PLAYS[name], tmp_path, with_cache=False, native=engine.module)


def test_there_are_plays_enough() -> None:
    assert len(list(FOLDER.glob("*.yaml"))) >= 45
    assert len(CACHE_PLAYS) >= 10
    assert set(SLOW_PLAYS) <= PLAYS.keys()


DATAGRAMS_ALONE = {
    "any_grows_little": "only who forges a sender's address gains by an answer that grows",
    "big_answer": "a stream has room",
    "client_has_its_share": "who is over it gets SERVFAIL, where a datagram is dropped",
    "client_options": "TCP and TLS have the keepalive option (RFC 7828)",
    "rate_limit": "a stream client is bounded by its connections",
    "repeated_by_strangers": "a stranger's rate is not limited either",
    "repeated_over_transports": "a stream has room",
    "rpz_tcp_only": "it asks for a stream, and there is one",
}
"""Plays that are about datagrams, by the names of their files, with what is another thing over a stream."""


@pytest.mark.slow
@pytest.mark.parametrize("over", STREAMS, ids=lambda over: over.label)
@for_each("name", SHORT_PLAYS, ids=str)
def test_over_a_stream_it_does_the_same(name: str, over: Transport, engine: Engine, tmp_path: Path) -> None:
    if name.partition("[")[0] in DATAGRAMS_ALONE:
        with pytest.raises(PlayFailed):
            perform(PLAYS[name], tmp_path, native=engine.module, over=over)
    else:
        perform(PLAYS[name], tmp_path, native=engine.module, over=over)
