"""`explain`: what would be decided about a name, and the whole trace of why.

Knows: how to load a policy without a server.  Does not know: how it is decided (`resolver.explain`), which
words people get, what a running server says (`asking_server`).
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import TypeVar

from resolver.blocklist.entries import asked_name
from resolver.changing.pausing import explained
from resolver.cli.explain_text import print_explanation
from resolver.cli.files import EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.moments import moment_or, zone_of
from resolver.cli.process import scratch_folder
from resolver.clock import boot_moment
from resolver.config.settings import Settings
from resolver.explain.deciding import Decider, address_or_none
from resolver.explain.explanation import Explanation
from resolver.explain.near_rules import nearest_rules
from resolver.explain.reading import qtype_from_text
from resolver.flow.clients import Clients
from resolver.policy.image import ImageUnusable
from resolver.policy.table import PolicyTable, open_table
from resolver.problems import Problem
from resolver.publishing.compiler import compile_in_process
from resolver.publishing.paused_image import CannotPause
from resolver.publishing.paused_serving import Paused, paused_at, paused_form
from resolver.publishing.records_beside import records_beside
from resolver.server.parts import make_local_names, make_plan

Read = TypeVar("Read")

DEFAULT_CLIENT = "127.0.0.1"


def explain_name(
    name: str,
    *,
    qtype: str,
    client: str | None,
    at: str | None,
    config: Path | None,
    blocklist: Path | None,
    as_json: bool,
    why_not: bool = False,
) -> int:
    """Explain `name`, print it; the exit code."""
    try:
        path, settings = policy_path(config, blocklist)
        zone = zone_of(path)
        wall = moment_or(time.time(), at, zone)
        explanation = explain(
            name, qtype, client or DEFAULT_CLIENT, wall, zone, path, settings, why_not=why_not
        )
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    if as_json:
        print(json.dumps(explanation.as_json(), indent=2))
    else:
        print_explanation(explanation)
    return EXIT_FINE


def explain(
    name: str,
    qtype_text: str,
    client: str,
    wall: float,
    zone: tzinfo,
    blocklist: Path,
    settings: Settings,
    *,
    why_not: bool = False,
) -> Explanation:
    """Decide about `name` as of `wall` (Unix seconds); dates are shown in `zone`.  Raises BadInput."""
    with scratch_folder() as directory:
        explainer = Explainer(qtype_text, client, wall, zone, blocklist, settings, directory)
        return explainer.explain(name, why_not=why_not)


class Explainer:
    """One policy at one moment, for any number of names."""

    def __init__(
        self,
        qtype_text: str,
        client: str,
        wall: float,
        zone: tzinfo,
        blocklist: Path,
        settings: Settings,
        directory: Path,
    ) -> None:
        """Load the policy; its image goes into `directory`.  Raises BadInput."""
        self._qtype = _argument("--type", qtype_from_text, qtype_text)
        self._client = client
        _argument("--client", ipaddress.ip_address, client)
        paused = _paused(blocklist, settings, wall)
        self._decider = Decider(
            _load(blocklist, directory, settings, wall, paused),
            wall,
            make_plan(settings),
            make_local_names(settings),
            Clients(settings.clients.allow),
            str(blocklist),
            zone,
            explained(paused),
        )

    def explain(self, name: str, *, why_not: bool = False) -> Explanation:
        """Decide about one name, or one address.  Raises BadInput."""
        address = address_or_none(name)
        if address is not None:
            return self._decider.of_address(name, address, self._qtype, self._client)
        qname = _argument("NAME", asked_name, name)
        records = records_beside(self._decider.table.image.path, qname)
        explanation = self._decider.of_name(name, qname, self._qtype, self._client, records)
        if not why_not:
            return explanation
        near = nearest_rules(self._decider.table, qname, explanation.trace, self._decider.wall)
        return replace(explanation, near=tuple(near))


def _paused(blocklist: Path, settings: Settings, wall: float) -> Paused | None:
    """The pause of the server that has this blocklist, if it counts at `wall` (Unix seconds)."""
    now = time.time()
    paused = paused_at(settings.state_dir, now, boot_moment()) if blocklist == settings.blocklist else None
    return paused if paused is not None and now - 1 <= wall < paused.until else None


def _load(
    blocklist: Path, directory: Path, settings: Settings, wall: float, paused: Paused | None
) -> PolicyTable:
    # With the copies of downloaded lists, and with what was approved.
    image, problems = compile_in_process(blocklist, directory, state_dir=settings.state_dir)
    if image is None:
        raise BadInput(problems)
    try:
        image = paused_form(image, paused, wall)
    except (CannotPause, ImageUnusable) as error:
        raise BadInput([Problem(str(directory), 0, str(error))]) from None
    # Its monotonic clock is wall time: nothing else runs by it here.  What prefixes servers find is unknown.
    return open_table(image, wall, wall, 1, settings.upstreams.nat64_prefixes or ())


def _argument(option: str, read: Callable[[str], Read], text: str) -> Read:
    try:
        return read(text)
    except ValueError as error:
        raise BadInput([Problem(option, 0, str(error))]) from None
