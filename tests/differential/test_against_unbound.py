"""Some thousand questions to this resolver and to Unbound, both in front of the same NSD."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.compare import EXPLAINED, Difference, Peer, explanation
from tests.differential.questions import Asked, label, questions
from tests.loopback.authority import running_authority, running_unbound
from tests.loopback.server import running_server

pytestmark = [pytest.mark.loopback, pytest.mark.slow, pytest.mark.needs("nsd", "unbound")]

QUESTIONS_MIN = 2000

POLICY = """\
version: 1
exchanges:
  seen: {name: Seen, domains: [seen.any.example.net]}
"""
"""One blocked name, which is not among the questions."""


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, Peer]]:
    """Ours and Unbound."""
    directory: Path = tmp_path_factory.mktemp("differential")
    with (
        running_authority(directory / "nsd") as authority,
        running_unbound(directory / "unbound", authority) as unbound,
        running_server(directory / "ours", authority, blocklist=POLICY) as server,
    ):
        ours, theirs = Peer(server.port), Peer(unbound)
        yield ours, theirs
        ours.close()
        theirs.close()


def differences(peers: tuple[Peer, Peer]) -> list[Difference]:
    ours, theirs = peers
    found = (Difference(asked, ours.ask(asked), theirs.ask(asked)) for asked in questions())
    return [difference for difference in found if difference.parts()]


def unexplained(found: list[Difference]) -> list[str]:
    return [
        f"{label(difference.asked)}: {', '.join(difference.parts())}\n  {difference.ours}\n  {difference.theirs}"
        for difference in found
        if explanation(difference) is None
    ]


def test_there_are_enough_questions() -> None:
    assert len(set(questions())) >= QUESTIONS_MIN


def test_nothing_differs_unexplained_whether_fetched_or_cached(peers: tuple[Peer, Peer]) -> None:
    fetched = differences(peers)
    assert unexplained(fetched) == []
    assert unexplained(differences(peers)) == []
    seen = {explanation(difference) for difference in fetched}
    assert seen == {reason for reason, _ in EXPLAINED}, "an explanation that nothing needs"


def test_a_blocked_name_is_seen_as_a_difference(peers: tuple[Peer, Peer]) -> None:
    ours, theirs = peers
    asked = Asked("seen.any.example.net", "A")
    difference = Difference(asked, ours.ask(asked), theirs.ask(asked))
    assert difference.parts() == ["rcode", "answer"]
    assert explanation(difference) is None
