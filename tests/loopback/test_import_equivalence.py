"""A configuration taken over gives the same decision on 1,000 names as the program it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loopback.import_peers import NAMES, PEERS, ask, marking_upstream, running_peer
from tests.support.importing import Taken

pytestmark = [pytest.mark.loopback, pytest.mark.slow]


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.needs(peer.program)) for kind, peer in PEERS.items()]
)
def test_a_configuration_taken_over_decides_the_same(tmp_path: Path, kind: str) -> None:
    peer = PEERS[kind]
    with marking_upstream() as upstream, running_peer(peer, tmp_path, upstream) as (port, path, made):
        theirs = {name: ask(port, name) for name in made.names}
    taken = Taken.of(tmp_path, path, kind)
    ours, seen = taken.decisions(made.names), taken.decisions(made.names, as_seen=True)
    # A name that is denied, and has names below it that are not, is NODATA here: some say NXDOMAIN.
    differing = {
        name: (ours[name], seen[name], theirs[name])
        for name in made.names
        if theirs[name] not in (ours[name], seen[name])
    }
    assert len(set(made.names)) == NAMES and len(set(theirs.values())) > 3
    assert differing == {}
