"""How one server keeps its downloaded lists: which, through whom, and what is said where one is missing.

Knows: settings, the policy in force, the keeper, health.  Does not know: how anything is fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from resolver.blocklist.downloads import DownloadedList, downloaded_list_from
from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.fetching.keeper import ListKeeper, run_in_child
from resolver.fetching.stub import Server
from resolver.observe.health import Health
from resolver.policy.table import PolicyTable

log = logging.getLogger("resolver.fetching")

FIRST_DOWNLOADS_S: Final = 10.0
"""How long a starting server waits for lists of which it has no copy at all, before it answers without."""


def make_keeper(
    settings: Settings,
    clock: Clock,
    on_updated: Callable[[], None],
    on_looked: Callable[[], None],
    *,
    wall: Callable[[], float],
) -> ListKeeper:
    """The keeper of this server's lists."""
    run = run_in_child(settings.state_dir, bootstrap_servers(settings))
    return ListKeeper(settings.state_dir, run, clock, on_updated, on_looked, wall=wall)


def bootstrap_servers(settings: Settings) -> tuple[Server, ...]:
    """Who resolves the hosts of lists: those named for it, else the upstreams that take plain questions."""
    upstreams = settings.upstreams
    servers = [(server.address, server.port) for server in upstreams.bootstrap]
    if not servers:
        plain = (server for server in upstreams.servers if not server.is_encrypted)
        servers = [(server.address, server.port) for server in plain]
    # A dict, to ask each once and in order: udp:// and tcp:// of one address are the same here.
    return tuple(dict.fromkeys(servers))


def lists_to_keep(table: PolicyTable) -> list[DownloadedList]:
    """The lists that the policy in force wants downloaded."""
    try:
        return [downloaded_list_from(fields) for fields in table.image.meta.get("downloads", ())]
    except (KeyError, TypeError):
        # The last good policy of another version: it serves, and its lists stay what they are.
        log.warning("the policy in force says in another version's words what to download: nothing is")
        return []


def remark_missing(keeper: ListKeeper, health: Health) -> None:
    """Tell whoever asks whether the server is ready that a list is empty for want of a copy."""
    named = {entry.wanted.name: entry.wanted.shown for entry in keeper.lists}
    missing = dict.fromkeys(named[name] for name in keeper.missing())
    health.remark("lists", f"never downloaded: {', '.join(missing)}" if missing else "")
