"""`upstreams test`: asks each upstream and shows how long each step took, or why it failed.

Knows: tables, what is worth a remark, exit codes.  Does not know: how an upstream is reached.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final

from resolver.cli.files import (
    EXIT_FINDINGS,
    EXIT_FINE,
    BadInput,
    bad_input,
    has_default_settings,
    print_problems,
    problems_as_json,
    read_settings,
)
from resolver.cli.moments import iso_moment
from resolver.cli.wrapping import print_rows
from resolver.config.settings import Settings, UpstreamServer
from resolver.config.upstream_values import upstream_from
from resolver.problems import Problem, printable
from resolver.server.upstream_trial import Tried, try_upstreams

SOON_S: Final = 7 * 86_400.0
"""A certificate that ends within this is worth a remark: those that renew by themselves did so long ago."""

NAMES_SHOWN_MAX: Final = 3


def run_upstreams_test(config: Path | None, urls: list[str], *, as_json: bool) -> int:
    """Try the upstreams of the settings, or those of `urls`; 1 when one has a problem."""
    try:
        if urls and config is None and not has_default_settings():
            # Somebody looks for upstreams before there are settings.
            settings, problems = Settings(), list[Problem]()
        else:
            settings, problems = read_settings(config)
        if urls:
            settings = _with_servers(settings, urls)
        problems = [problem for problem in problems if "upstreams." in problem.message]
        tried = asyncio.run(try_upstreams(settings))
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    except OSError as error:
        return bad_input([Problem("upstreams.tls_ca", 0, str(error))], as_json=as_json)
    now = time.time()
    if as_json:
        shown = [_as_json(one, now) for one in tried]
        print(json.dumps({"upstreams": shown, "problems": problems_as_json(problems)}, indent=2))
    else:
        print_problems([] if urls else problems)
        print_rows(_HEADERS, [_row(one, now) for one in tried], numbers=_TIME_HEADERS)
    return EXIT_FINDINGS if any(remark_on(one, now) for one in tried) else EXIT_FINE


def _with_servers(settings: Settings, urls: list[str]) -> Settings:
    """The same settings with other servers.  Raises BadInput."""
    servers: list[UpstreamServer] = []
    problems = []
    for url in urls:
        try:
            server = upstream_from(url)
        except ValueError as error:
            problems.append(Problem("SERVER", 0, str(error)))
            continue
        if not server.address and not settings.upstreams.bootstrap:
            message = f"{server}: its address is not known, and upstreams.bootstrap names nobody to ask"
            problems.append(Problem("SERVER", 0, message))
        servers.append(server)
    if problems:
        raise BadInput(problems)
    upstreams = settings.upstreams.model_copy(update={"servers": tuple(servers), "forward": {}})
    return settings.model_copy(update={"upstreams": upstreams})


_TIME_HEADERS = ("CONNECT", "HANDSHAKE", "FIRST", "WARM")
_HEADERS = ("UPSTREAM", *_TIME_HEADERS, "TLS", "CERTIFICATE", "UNTIL", "REMARK")


def _row(one: Tried, now: float) -> list[str]:
    certificate = one.certificate
    return [
        one.upstream.name,
        *(_ms(time_s) for time_s in (one.connect_s, one.handshake_s, one.first_s, one.warm_s)),
        one.tls,
        "" if certificate is None else _names(certificate.names),
        "" if certificate is None else (iso_moment(certificate.until) or "")[:10],
        remark_on(one, now) or "fine",
    ]


def _ms(time_s: float | None) -> str:
    return "" if time_s is None else f"{time_s * 1000:.1f} ms"


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMES_SHOWN_MAX} more" if len(names) > NAMES_SHOWN_MAX else ""
    return ", ".join(printable(name) for name in names[:NAMES_SHOWN_MAX]) + more


def remark_on(one: Tried, now: float) -> str:
    """What is the matter with an upstream; empty: nothing."""
    if one.reason:
        return f"{one.reason}: {one.words}" if one.words else one.reason
    if one.certificate is not None and one.certificate.until - now < SOON_S and _is_believed_by_date(one):
        return "its certificate ends soon"
    return ""


def _is_believed_by_date(one: Tried) -> bool:
    """Whether the dates of its certificate matter: not where a pin alone decides."""
    return bool(one.upstream.host) or not one.upstream.pins


def _as_json(one: Tried, now: float) -> dict[str, Any]:
    certificate = one.certificate
    return {
        "upstream": one.upstream.name,
        "address": one.address or None,
        "connect_s": one.connect_s,
        "handshake_s": one.handshake_s,
        "first_s": one.first_s,
        "warm_s": one.warm_s,
        "tls": one.tls or None,
        "certificate": None
        if certificate is None
        else {
            "names": [printable(name) for name in certificate.names],
            "issuer": printable(certificate.issuer),
            "until": iso_moment(certificate.until),
        },
        "ok": one.is_fine,
        "reason": one.reason or None,
        "remark": remark_on(one, now) or None,
    }
