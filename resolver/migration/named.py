"""BIND's `named.conf`, as far as it is about forwarding and response policy zones.

Knows: its grammar, `options`, `zone`, `acl`, `include`.  Does not know: zones' contents, how results are
written. Source: the reference manual of BIND 9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from resolver.lists.reading import address_of
from resolver.migration import rpz
from resolver.migration.gathered import Gathered, Place, TakenList, error
from resolver.migration.servers import plain
from resolver.migration.texts import Texts
from resolver.migration.writing import list_name
from resolver.problems import show

PRODUCT: Final = "BIND"
DEPTH_MAX: Final = 32
"""Deepest nesting of braces."""
STATEMENTS_MAX: Final = 1_000_000
_TOKEN: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([{};!])|((?:[^\s"{};!/#]|/(?![*/]))+)')
_POLICIES: Final = {
    "nxdomain": {"action": "nxdomain"},
    "nodata": {"action": "nodata"},
    "drop": {"action": "drop"},
    "disabled": {"mode": "shadow"},
    "passthru": {"mode": "disabled"},
}

_FOR_SOME: Final = (
    "it stands in a view for some clients only, and there is one policy for all here; it was left out",
    "name it in `lists:` if it is to hold for all",
)


@dataclass(slots=True)
class Statement:
    """Words up to a semicolon, and the statements in braces behind them."""

    words: list[str]
    place: Place
    inner: list[Statement] = field(default_factory=list)

    def find(self, word: str) -> list[Statement]:
        """The statements inside that begin with a word."""
        return [one for one in self.inner if one.words[:1] == [word]]


def read(path: Path, texts: Texts) -> Gathered:
    """All that the file and those it includes say.  Raises BadConfig."""
    gathered = Gathered(PRODUCT)
    statements = list(_statements(path, texts, Place(str(path)), gathered))
    options = Statement(["options"], Place(str(path)))
    zones, zones_for_some = _zones(statements), list[Statement]()
    for one in statements:
        if one.words[:1] == ["options"]:
            options.inner += one.inner
        elif one.words[:1] == ["view"]:
            inner = _of_view(gathered, one)
            options.inner += inner
            (zones if _is_for_all(one) else zones_for_some).extend(_zones(inner))
    acls = {one.words[1]: one for one in statements if one.words[:1] == ["acl"] and len(one.words) > 1}
    folder = next(
        (Path(one.words[1]) for one in options.find("directory") if len(one.words) > 1), texts.folder
    )
    _read_options(gathered, options, acls)
    policies = _policy_zones(gathered, options)
    names = set(policies)
    for zone in zones:
        _read_zone(gathered, zone, policies, texts, folder)
    for zone in zones_for_some:
        name = _zone_name(zone)
        if name not in names:
            _read_zone(gathered, zone, {}, texts, folder)
        elif name in policies:
            gathered.lose(policies.pop(name)[0], f"response-policy {name}", *_FOR_SOME)
    for name, (place, _) in policies.items():
        gathered.lose(
            place, f"response-policy {name}", "no zone statement names its file or primary", "add it"
        )
    return gathered


def _zones(statements: list[Statement]) -> list[Statement]:
    return [one for one in statements if one.words[:1] == ["zone"] and len(one.words) > 1]


def _zone_name(zone: Statement) -> str:
    return zone.words[1].rstrip(".").lower()


def _is_for_all(view: Statement) -> bool:
    """Whether a view takes every client, whatever it asks."""
    limits = [one for key in ("match-clients", "match-destinations") for one in view.find(key)]
    is_recursive = any(one.words[1:2] != ["no"] for one in view.find("match-recursive-only"))
    return not is_recursive and all([part.words for part in one.inner[:1]] == [["any"]] for one in limits)


def _of_view(gathered: Gathered, view: Statement) -> list[Statement]:
    """What is taken of a view: all of it, but the policies of one for some clients with their zones."""
    why = "views are for some clients, and there is one policy for all here; all views were taken together"
    gathered.lose(view.place, " ".join(view.words), why, "look whether that is meant")
    if _is_for_all(view):
        return view.inner
    left_out: set[str] = set()
    for policy in view.find("response-policy"):
        for zone in _zones(policy.inner):
            left_out.add(_zone_name(zone))
            gathered.lose(zone.place, f"response-policy {_zone_name(zone)}", *_FOR_SOME)
    return [
        one
        for one in view.inner
        if one.words[:1] != ["response-policy"] and not (_zones([one]) and _zone_name(one) in left_out)
    ]


def _statements(path: Path, texts: Texts, place: Place, gathered: Gathered) -> Iterator[Statement]:
    with texts.inside(path, place):
        for one in _parsed(path, texts):
            if one.words[:1] == ["include"] and len(one.words) > 1:
                file = texts.folder / one.words[1]
                if file.is_file():
                    yield from _statements(file, texts, one.place, gathered)
                else:
                    gathered.lose(
                        one.place, f"include {one.words[1]}", "the file is not here", "copy it beside"
                    )
            else:
                yield one


def _parsed(path: Path, texts: Texts) -> list[Statement]:
    """The statements of one file."""
    root = Statement([], Place(str(path), 1))
    stack, words, count = [root], list[str](), 0
    begun = root.place
    last: Statement | None = None
    for word, is_quoted, number in _tokens(texts.octets(path).decode(), str(path)):
        place = Place(str(path), number)
        if is_quoted or word not in "{};":
            begun = begun if words else place
            words.append(word if is_quoted or words else word.lower())
            continue
        if word == "{":
            count += 1
            if len(stack) > DEPTH_MAX:
                raise error(place, f"braces are nested more than {DEPTH_MAX} deep")
            opened = Statement(words, begun if words else place)
            stack[-1].inner.append(opened)
            stack.append(opened)
            words, last = [], None
        elif word == "}":
            if len(stack) == 1:
                raise error(place, "a brace is closed that was not opened")
            last, words = stack.pop(), []
        else:
            if words and last is not None:
                last.words += words  # `{ ... } break-dnssec yes;`
            elif words:
                count += 1
                stack[-1].inner.append(Statement(words, begun))
            words, last = [], None
        if count > STATEMENTS_MAX:
            raise error(place, f"more than {STATEMENTS_MAX:,} statements")
    if len(stack) > 1:
        raise error(stack[-1].place, "a brace is opened here and never closed")
    return root.inner


def _tokens(text: str, file: str) -> Iterator[tuple[str, bool, int]]:
    """Words and signs with their lines; comments of all three kinds are left out."""
    at, line = 0, 1
    while at < len(text):
        if text[at] == "\n":
            line += 1
            at += 1
        elif text[at].isspace():
            at += 1
        elif text[at] == "#" or text.startswith("//", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text.startswith("/*", at):
            end = text.find("*/", at)
            if end < 0:
                raise error(Place(file, line), "a comment is opened here and never closed")
            line += text.count("\n", at, end)
            at = end + 2
        else:
            found = _TOKEN.match(text, at)
            if found is None:
                raise error(
                    Place(file, line), f"{show(text[at : at + 20])} cannot be read; a quote is not closed?"
                )
            yield (found[1] if found[1] is not None else found[0]), found[1] is not None, line
            line += found[0].count("\n")
            at = found.end()


def _read_options(gathered: Gathered, options: Statement, acls: dict[str, Statement]) -> None:
    for one in options.find("forwarders"):
        for server in one.inner:
            _add(gathered, server, [], "forwarders")
    for key, is_v6 in (("listen-on", False), ("listen-on-v6", True)):
        for one in options.find(key):
            port = one.words[one.words.index("port") + 1] if "port" in one.words[:-1] else "53"
            for address in one.inner:
                text = address.words[0] if address.words else ""
                text = ("::" if is_v6 else "0.0.0.0") if text == "any" else text
                if address_of(text) is not None:
                    gathered.add_listen(
                        f"[{text}]:{port}" if ":" in text else f"{text}:{port}", address.place, key
                    )
                elif text != "none":
                    why = f"{show(text)} is no address"
                    gathered.lose(address.place, key, why, "name addresses in listen.dns")
    allowed = options.find("allow-recursion") or options.find("allow-query")
    networks: list[str] = []
    for one in allowed:
        networks += _networks(gathered, one, acls, 0)
    if networks:
        gathered.settings["clients.allow"] = list(dict.fromkeys(networks))
    for one in options.find("dnssec-validation"):
        if one.words[1:2] != ["no"]:
            why = "answers are not validated here"
            gathered.lose(
                one.place, "dnssec-validation", why, "name upstreams that validate, and mark them trust_ad"
            )
    if not gathered.servers:
        why = "it asks the authorities of each zone itself; this resolver asks other resolvers"
        gathered.lose(options.place, "options", why, "keep BIND as the upstream, on another port")


def _networks(gathered: Gathered, one: Statement, acls: dict[str, Statement], depth: int) -> list[str]:
    found: list[str] = []
    for part in one.inner:
        text = part.words[0] if part.words else ""
        if text == "any":
            found += ["0.0.0.0/0", "::/0"]
        elif text == "localhost":
            found += ["127.0.0.0/8", "::1/128"]
        elif text in acls and depth < DEPTH_MAX:
            found += _networks(gathered, acls[text], acls, depth + 1)
        elif text == "!" or text in ("localnets", "none"):
            if text != "none":
                why = f"{' '.join(part.words)} has no counterpart: networks that may ask are named"
                gathered.lose(part.place, " ".join(one.words), why, "name them in clients.allow")
        elif text and (network := gathered.network(text, part.place, " ".join(one.words))) is not None:
            found.append(network)
    return found


def _policy_zones(gathered: Gathered, options: Statement) -> dict[str, tuple[Place, dict[str, Any]]]:
    """The zones of `response-policy`, with what their `policy` says."""
    found: dict[str, tuple[Place, dict[str, Any]]] = {}
    for one in options.find("response-policy"):
        for zone in one.find("zone"):
            if len(zone.words) < 2:
                continue
            name, keys = zone.words[1].rstrip(".").lower(), dict[str, Any]()
            if "policy" in zone.words[:-1]:
                policy = zone.words[zone.words.index("policy") + 1].lower()
                if policy in _POLICIES:
                    keys = dict(_POLICIES[policy])
                elif policy != "given":
                    why = f"the policy {show(policy)} has no counterpart, so the zone's own actions hold"
                    gathered.lose(zone.place, f"response-policy {name}", why, "look whether that is meant")
            found[name] = (zone.place, keys)
    if len(found) > 1:
        gathered.remark("of several policy zones the longest name wins here, not the first zone")
    return found


def _read_zone(
    gathered: Gathered,
    zone: Statement,
    policies: dict[str, tuple[Place, dict[str, Any]]],
    texts: Texts,
    folder: Path,
) -> None:
    name = _zone_name(zone)
    kind = next((one.words[1].lower() for one in zone.find("type") if len(one.words) > 1), "")
    if kind == "forward":
        for one in zone.find("forwarders"):
            for server in one.inner:
                _add(gathered, server, [name], f"zone {name}")
        return
    if name not in policies:
        if (
            kind not in ("hint", "")
            and not name.endswith(("in-addr.arpa", "ip6.arpa"))
            and name != "localhost"
        ):
            why = "it is no authority for a zone"
            gathered.lose(
                zone.place, f"zone {name}", why, "serve it from a name server, under upstreams.forward"
            )
        return
    place, keys = policies.pop(name)
    primaries = [server for key in ("primaries", "masters") for one in zone.find(key) for server in one.inner]
    if kind in ("slave", "secondary") and primaries:
        urls = []
        for server in primaries:
            host = server.words[0] if server.words else ""
            port = server.words[server.words.index("port") + 1] if "port" in server.words[:-1] else "53"
            if address_of(host) is None:
                gathered.lose(
                    server.place, f"zone {name}", f"{show(host)} is no address", "name it in `lists:`"
                )
                continue
            urls.append(f"axfr://{f'[{host}]' if ':' in host else host}:{port}/{name}")
            if "key" in server.words:
                why = "secrets are not copied"
                gathered.lose(
                    server.place, f"zone {name}", why, "save the key in a file, and name it under `tsig:`"
                )
        if urls:
            taken = [one.name for one in gathered.lists]
            gathered.lists.append(
                TakenList(list_name(name, taken), {"url": urls, "format": "rpz", **keys}, place)
            )
        return
    file = next((one.words[1] for one in zone.find("file") if len(one.words) > 1), "")
    path = texts.folder / folder / file
    if not file or not path.is_file():
        gathered.lose(zone.place, f"zone {name}", f"its file {show(file)} is not here", "name it in `lists:`")
        return
    rpz.add_zone(gathered, path, texts, place, name, keys)


def _add(gathered: Gathered, server: Statement, suffixes: list[str], key: str) -> None:
    host = server.words[0] if server.words else ""
    port = server.words[server.words.index("port") + 1] if "port" in server.words[:-1] else "53"
    try:
        gathered.add_server(plain(host, port), server.place, key, suffixes)
    except ValueError as error_:
        gathered.lose(server.place, f"{key}: {host}", str(error_), "name it in upstreams")
