"""Settings -> the publisher of one server, and what records its generations.

Knows: what each of the two needs of the other.  Does not know: what a policy is put in force by.
"""

from __future__ import annotations

from collections.abc import Callable

from resolver.clock import Clock, time_service_sets_clock
from resolver.config.settings import Settings
from resolver.policy.policy import Policy
from resolver.publishing.believed import built_at
from resolver.publishing.publisher import Publisher
from resolver.server.history import HistoryRecorder


def make_publisher(
    settings: Settings, clock: Clock, on_publish: Callable[[Policy], None], wall: Callable[[], float]
) -> tuple[Publisher, HistoryRecorder]:
    """Both; `on_publish` is called with each policy that is to judge."""
    recorder = HistoryRecorder(settings.state_dir, wall=lambda: publisher.dates.wall())
    publisher = Publisher(
        settings.blocklist,
        settings.state_dir,
        clock,
        on_publish,
        wall=wall,
        on_applied=recorder.note,
        on_turn=recorder.note_turn,
        earliest=built_at(),
        clock_is_set=time_service_sets_clock,
        number_in_history=lambda: recorder.generation,
        nat64_prefixes=settings.upstreams.nat64_prefixes or (),
    )
    return publisher, recorder
