"""`explain --server`: what a running server says of a name.

Knows: where the server listens, its page, the words for what it adds.  Does not know: how it decides.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from resolver.cli.explain import DEFAULT_CLIENT, Explainer
from resolver.cli.explain_text import Fact, print_explanation, reply_facts
from resolver.cli.files import EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.moments import zone_of
from resolver.cli.own_server import headers_of, trust_in
from resolver.cli.process import scratch_folder
from resolver.config.settings import Settings
from resolver.config.settingvalues import Endpoint, endpoint_from
from resolver.explain.document import Document, explanation_from, shown_reply
from resolver.explain.near_rules import NearRule
from resolver.explain.reading import show_extended_error
from resolver.problems import Problem
from resolver.wire.idn import with_unicode

PATH = "/api/v1/explain"
TIMEOUT_S = 35.0
"""Longer than any `upstreams.timeout_s`."""
DOCUMENT_OCTETS_MAX = 16 << 20
_URL = re.compile(r"http://(?P<place>[^/]+)/?")

FROM_SETTINGS = ""
"""`--server` without an address."""


def explain_by_server(
    name: str,
    *,
    qtype: str,
    client: str | None,
    server: str,
    config: Path | None,
    blocklist: Path | None,
    as_json: bool,
    why_not: bool,
) -> int:
    """Ask the server, print what it says; the exit code."""
    try:
        endpoint, settings, path = _endpoint(server, config, blocklist)
        asked = {"name": name, "type": qtype, **({} if client is None else {"client": client})}
        document = _fetch(endpoint, asked, settings)
        near: tuple[NearRule, ...] | None = None
        if why_not:
            if settings is None or path is None:
                path, settings = policy_path(config, blocklist)
            near = _near(name, qtype, client, path, settings)
        if as_json:
            added = {} if near is None else {"why_not": [one.as_json() for one in near]}
            print(json.dumps({**document, **added}, indent=2))
        else:
            _print(document, endpoint, near)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    return EXIT_FINE


def _endpoint(
    server: str, config: Path | None, blocklist: Path | None
) -> tuple[Endpoint, Settings | None, Path | None]:
    """Where the server is: as given, else where the settings have it.  Raises BadInput."""
    if server != FROM_SETTINGS:
        url = _URL.fullmatch(server)
        try:
            return endpoint_from(url["place"] if url else server), None, None
        except ValueError as error:
            raise BadInput([Problem("--server", 0, str(error))]) from None
    path, settings = policy_path(config, blocklist)
    if settings.listen.http is None:
        message = "listen.http is off in the settings, so that no running server can be asked"
        raise BadInput([Problem("--server", 0, message)])
    return settings.listen.http, settings, path


def _near(
    name: str, qtype: str, client: str | None, path: Path, settings: Settings
) -> tuple[NearRule, ...] | None:
    """The nearest rules by the blocklist as it stands: a server does not look for them."""
    with scratch_folder() as directory:
        explainer = Explainer(
            qtype, client or DEFAULT_CLIENT, time.time(), zone_of(path), path, settings, directory
        )
        return explainer.explain(name, why_not=True).near


def _fetch(endpoint: Endpoint, asked: dict[str, str], settings: Settings | None) -> Document:
    host = endpoint.from_here.address
    connection = http.client.HTTPConnection(host, endpoint.port, timeout=TIMEOUT_S)
    try:
        if (trust := trust_in(settings)) is not None:
            connection = http.client.HTTPSConnection(host, endpoint.port, timeout=TIMEOUT_S, context=trust)
        headers = {"accept": "application/json", **headers_of()}
        connection.request("GET", f"{PATH}?{urlencode(asked)}", headers=headers)
        response = connection.getresponse()
        octets = response.read(DOCUMENT_OCTETS_MAX)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        message = f"no server can be asked at http://{endpoint}: {why}; is it running?"
        raise BadInput([Problem("--server", 0, message)]) from None
    finally:
        connection.close()
    try:
        document: Any = json.loads(octets)
    except ValueError:
        document = None
    if response.status != http.client.OK or not isinstance(document, dict):
        # `error`: of a server before this version.
        said = document.get("detail", document.get("error")) if isinstance(document, dict) else None
        message = f"http://{endpoint} says {response.status}: {said or response.reason}"
        raise BadInput([Problem("--server", 0, message)])
    return document


def _print(document: Document, endpoint: Endpoint, near: tuple[NearRule, ...] | None) -> None:
    try:
        blocklist = Path(document["blocklist"])
        explanation = explanation_from(document, zone_of(blocklist) if blocklist.exists() else UTC)
        facts = server_facts(document["server"], f"http://{endpoint}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"http://{endpoint} says what this version cannot read: {type(error).__name__} {error}"
        raise BadInput([Problem("--server", 0, message)]) from None
    print_explanation(replace(explanation, near=near), facts)


def server_facts(server: Document, url: str) -> list[Fact]:
    """What a server adds, in words."""
    version, engine, generation = server["version"], server["engine"], server["generation"]
    facts: list[Fact] = [("Server", f"{url}: version {version}, engine {engine}, policy {generation}")]
    if not server["cached"]:
        facts.append(("In its cache", "nothing"))
    for entry in server["cached"]:
        marks = [
            word
            for word, is_set in (("DO", entry["dnssec_ok"]), ("CD", entry["checking_disabled"]))
            if is_set
        ]
        heading = "In its cache" + (f" ({', '.join(marks)})" if marks else "")
        facts.append((heading, _state(entry)))
        facts += _answer_facts(entry)
    upstream = server["upstream"]
    if upstream is None:
        facts.append(("Upstream says", "not asked: this question is answered here"))
    elif upstream["failure"] is not None:
        failure = upstream["failure"]
        told = show_extended_error(failure["code"], failure["text"])
        facts.append(("Upstream says", f"nothing of use after {upstream['took_ms']} ms: {told}"))
    else:
        facts.append(("Upstream says", f"this, from {upstream['server']} in {upstream['took_ms']} ms"))
        facts += _answer_facts(upstream)
    return facts


def _state(entry: Document) -> str:
    failure = entry["failure"]
    noted = ""
    if failure is not None:
        told = show_extended_error(failure["code"], failure["text"])
        noted = f"asking again failed, not tried for {failure['left_s']} s: {told}"
    match entry["state"]:
        case "fresh":
            text = f"fresh, {entry['ttl_left_s']} s left, {entry['age_s']} s old"
        case "stale":
            text = (
                f"stale: its TTL is over, {entry['age_s']} s old; it stands in when upstreams fail, for "
                f"{entry['stale_left_s']} s more"
            )
        case "expired":
            text = "expired: too old to be used"
        case _:
            return noted or "a failure that is over"
    return f"{text}; {noted}" if noted else text


def _answer_facts(entry: Document) -> Sequence[Fact]:
    if "reply" not in entry:
        return []
    facts = reply_facts(shown_reply(entry["reply"]), "  with")
    condemned = entry["blocked_by"]
    if condemned is not None:
        place = (
            f"{condemned['file']}:{condemned['line']}" if condemned["file"] else "its place is confidential"
        )
        what = {"link": "link {} of its chain", "service": "service target {}", "address": "address {}"}
        where = what[condemned["by"]].format(condemned["position"])
        value = condemned["value"] if condemned["by"] == "address" else with_unicode(condemned["value"])
        text = (
            f"{where}, {value}: rule {condemned['rule']}, {place}, {condemned['kind']} {condemned['label']} "
            f"({condemned['action']})"
        )
        facts.append(("  blocked by", text))
    return facts
