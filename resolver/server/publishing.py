"""Makes the publisher of a server, and the recorder of what it puts in force.

Knows: which settings they go by, what each tells the other.  Does not know: how either works.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from resolver.clock import Clock, time_service_sets_clock
from resolver.config.settings import Settings
from resolver.policy.policy import Policy
from resolver.publishing.believed import built_at
from resolver.publishing.compile_child import compile_in_child
from resolver.publishing.publisher import Publisher
from resolver.server.history import HistoryRecorder


def make_recorder(settings: Settings, publisher: Callable[[], Publisher]) -> HistoryRecorder:
    """Who records what `publisher` puts in force."""
    return HistoryRecorder(
        settings.state_dir,
        wall=lambda: publisher().dates.wall(),
        pause=lambda: publisher().pausing.as_json(),
    )


def make_publisher(
    settings: Settings,
    clock: Clock,
    on_publish: Callable[[Policy], None],
    recorder: HistoryRecorder,
    wall: Callable[[], float],
) -> Publisher:
    """Who publishes policies through `on_publish`.  `wall`: Unix seconds."""
    publisher = Publisher(
        settings.blocklist,
        settings.state_dir,
        clock,
        on_publish,
        wall=wall,
        compile_policy=partial(compile_in_child, two_person=settings.http.changes == "two-person"),
        on_applied=recorder.note,
        on_turn=recorder.note_turn,
        earliest=built_at(),
        clock_is_set=time_service_sets_clock,
        number_in_history=lambda: recorder.generation,
        nat64_prefixes=settings.upstreams.nat64_prefixes or (),
    )
    publisher.pausing.two_person = settings.http.changes == "two-person"
    return publisher
