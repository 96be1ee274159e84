"""A server behind the native plane says, octet for octet, what the Python service says alone, all its life long.

Two scenes live through the same random life (queries, floods of repeats, time, reloads, moody upstreams), one
on each engine; every answer, every hit and every question to an upstream is compared.

Policy changes only while nobody waits: a question that is handed over is judged again at that moment, so a
client whose name is blocked meanwhile may hear of it sooner than from Python alone.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.flow.test_memo_transparency import (
    check_whatever_happens,
    let_upstreams_speak,
    random_query,
)
from tests.fuzz.rig import IS_LONG
from tests.support.engines import engine_called
from tests.support.scenario_engine import Scene
from tests.support.scenario_messages import asked
from tests.support.scenario_plane import QueriesLogged
from tests.support.scenario_play import Play, PlaySettings

SEEDS = range(200 if IS_LONG else 8)
LOGS: list[QueriesLogged] = ["none", "none", "blocked", "all"]
STEPS = 150
SHARING_S = 0.125
"""Both planes may know this much less of the upstreams' health than of their own."""
SETTLING_S = 2.5
"""Longer than any question lasts."""
BLOCKLISTS = [
    "version: 1\nexchanges: {}\n",
    "version: 1\nexchanges:\n  acme: {name: Acme, category: exchange, domains: [acme.example], addresses: [8.8.8.0/24]}\n",
    "version: 1\nexchanges:\n  acme: {name: Acme, category: exchange, domains: [acme.example], mode: shadow}\n"
    "  bank: {name: Bank, category: exchange, domains: [bank.example], action: sinkhole}\n",
    "version: 1\nexchanges:\n  acme: {name: Acme, category: exchange, domains: [acme.example], action: drop}\n"
    "  bank: {name: Bank, category: exchange, domains: ['=b.bank.example'], ttl_s: 20}\nallow: [a.acme.example]\n",
]


def said(scene: Scene, group: str) -> list[tuple[object, ...]]:
    """What a group's clients have heard so far."""
    return [(client.name, client.reply, client.ending) for client in scene.groups[group]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_native_plane_changes_no_octet_and_no_count(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    settings = PlaySettings(rotate_addresses=True)
    play = Play(title="a life", settings=settings, steps=[{"silent": True}])  # type: ignore[list-item]
    alone = Scene(play, tmp_path, with_memo=False)
    behind = Scene(play, tmp_path, native=engine_called("native").module, logs=LOGS[seed % len(LOGS)])
    scenes = (alone, behind)
    for number in range(STEPS):
        match dice.randrange(14):
            case 0:
                text = dice.choice(BLOCKLISTS)
                for scene in scenes:
                    scene.advance(SETTLING_S)
                    scene.reload(text)
            case 1 | 2 | 3:
                seconds = dice.choice([0.05, 0.3, 0.9, 1, 2.5, 7, 31])
                for scene in scenes:
                    scene.advance(seconds)
                    let_upstreams_speak(scene)
            case _:
                step = random_query(dice, number)
                for scene in scenes:
                    scene.query(step)
                    let_upstreams_speak(scene)
                assert said(alone, step.as_ or "") == said(behind, step.as_ or "")
                for client in behind.groups[step.as_ or ""]:
                    check_whatever_happens(behind, client)
                for scene in scenes:
                    scene.advance(SHARING_S)
        assert alone.hits == behind.hits
        assert questions(alone) == questions(behind)
    for scene in scenes:
        scene.advance(60)
        let_upstreams_speak(scene)
        assert scene.defects == scene.waiting == scene.in_flight == 0
        assert all(client.ending is not None for client in scene.clients.values())
    for group in alone.groups:
        assert said(alone, group) == said(behind, group)


def questions(scene: Scene) -> Counter[tuple[str, bool, bool]]:
    """What upstreams were asked and how often: the question, whether over a stream, whether with an OPT."""
    return Counter((asked(sent.octets), sent.is_stream, sent.octets[11] == 1) for sent in scene.network.sent)
