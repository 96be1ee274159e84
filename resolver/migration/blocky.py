"""blocky's `config.yml`, with its keys of every version -> what settings and a blocklist can take of it.

Knows: its keys, old and new, groups of lists and of clients.  Does not know: files beside it, how results are
written.
Theory: a list's names are exact there, `*.x` is x and all below it, and an allowlist wins over every
denylist of the clients' group.  There is one policy for all clients here: the one of the group `default`.
Source: blocky's configuration page and example file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from resolver.lists.hosts import OWN_NAMES
from resolver.lists.reading import address_of
from resolver.migration.gathered import LISTS_MAX, Gathered, Place, Rule, TakenList
from resolver.migration.patterns import REGEX_INSTEAD, REGEX_WHY, regex_rules
from resolver.migration.servers import seconds, with_colon
from resolver.migration.tree import Node
from resolver.migration.writing import list_name
from resolver.policy.verdict import RuleForm
from resolver.problems import show

PRODUCT: Final = "blocky"
_STRATEGIES: Final = {"parallel_best": "parallel", "strict": "ordered", "random": "random"}
_OFF: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "customDNS.zone",
        "a zone in the configuration is not read",
        "serve it from a name server, or a list of format rpz",
    ),
    (
        "conditional.rewrite",
        "names are not rewritten before they are looked up",
        "name the suffix in upstreams.forward",
    ),
    (
        "filtering.queryTypes",
        "no query type is emptied for all names",
        "nothing, or switch it off in the network",
    ),
    ("redis", "the cache is not shared between servers", "let each server have its own"),
    ("dnssec.trustAnchors", "answers are not validated here", "name upstreams that validate"),
    ("hostsFile.sources", "hosts files are not read for answers", "copy those that matter to `records:`"),
    ("hostsFile.filePath", "hosts files are not read for answers", "copy those that matter to `records:`"),
    ("clientLookup.clients", "clients have no names here", "nothing"),
)
_SWITCHES: Final[tuple[tuple[str, str, str], ...]] = (
    ("conditional.fallbackUpstream", "a suffix with servers of its own is never asked elsewhere", "nothing"),
    (
        "rebindingProtection.enable",
        "answers with private addresses are let through",
        "filter them in the router",
    ),
    ("fqdnOnly.enable", "names without a dot are asked upstream, which denies them", "nothing"),
    (
        "dnssec.validate",
        "answers are not validated here",
        "name upstreams that validate, and mark them trust_ad",
    ),
    ("dns64.enable", "DNS64 is not done here", "name upstreams that do it"),
    ("ecs.forward", "clients' networks are never told to upstreams", "nothing: it is more private"),
    (
        "ecs.useAsClient",
        "clients are told by their address, or by a PROXY header",
        "use listen.proxy_protocol",
    ),
)


def read(node: Node) -> Gathered:
    """All that the file says."""
    gathered = Gathered(PRODUCT)
    _read_ports(gathered, node)
    _read_upstreams(gathered, node)
    _read_names(gathered, node)
    _read_blocking(gathered, node)
    _read_cache(gathered, node)
    _read_rest(gathered, node)
    return gathered


def _read_ports(gathered: Gathered, node: Node) -> None:
    for path, old, setting in (
        ("ports.dns", "port", ""),
        ("ports.tls", "tlsPort", "listen.tls"),
        ("ports.https", "httpsPort", "listen.https"),
    ):
        found = node.first(path, old)
        endpoints: list[str] = []
        for one in found.entries():
            for text in one.text.split(","):
                endpoints += _endpoints(gathered, text.strip(), one.place, path)
        if setting and endpoints:
            _read_certificate(gathered, node, setting, endpoints, found.place)
        for endpoint in endpoints if not setting else ():
            gathered.add_listen(endpoint, found.place, path)
    gathered.remark(
        "names under lan, home, corp and their like are asked upstream, which denies them; "
        "blocky denies them itself"
    )
    gathered.remark("only this machine and private networks may ask (clients.allow); there everybody might")


def _endpoints(gathered: Gathered, text: str, place: Place, key: str) -> list[str]:
    """`53`, `:53`, `ADDRESS:53`, `localhost:53`."""
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        gathered.lose(place, key, f"{show(text)} is no port", "name addresses with ports in listen")
        return []
    if not host:
        return [f"0.0.0.0:{port}", f"[::]:{port}"]
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    if address_of(host) is None:
        gathered.lose(place, key, f"{show(host)} is no address", "name an address in listen")
        return []
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]


def _read_certificate(
    gathered: Gathered, node: Node, setting: str, endpoints: list[str], place: Place
) -> None:
    certificate, key = node.first("tls.certFile", "certFile").text, node.first("tls.keyFile", "keyFile").text
    if not certificate or not key:
        why = "it makes a certificate for itself at each start, and clients cannot verify that"
        gathered.lose(place, setting, why, "make one with `exchange-resolver cert`, and set tls and listen")
        return
    gathered.settings["tls.certificate"], gathered.settings["tls.key"] = certificate, key
    gathered.settings[setting] = endpoints


def _read_upstreams(gathered: Gathered, node: Node) -> None:
    groups = node.first("upstreams.groups", "upstream")
    groups_of = list(groups.pairs()) if groups.is_mapping else [("default", groups)]
    for name, group in groups_of:
        if name != "default":
            why = "some clients have servers of their own, and all ask the same ones here"
            gathered.lose(
                group.place, f"upstreams.groups.{name}", why, "run a second server for such clients"
            )
            continue
        for one in group.entries():
            _add_server(gathered, one.text, one.place, "upstreams.groups.default", [])
    strategy = node.first("upstreams.strategy", "upstreamStrategy").text.lower()
    gathered.settings["upstreams.strategy"] = _STRATEGIES.get(strategy, "parallel")
    timeout = node.first("upstreams.timeout", "upstreamTimeout")
    if (found := seconds(timeout.value)) is not None:
        gathered.limited("upstreams.timeout_s", found, 0.1, 30.0, timeout.place, "upstreams.timeout")
    for one in node.get("bootstrapDns").entries():
        text = one.get("upstream").text if one.is_mapping else one.text
        try:
            url = with_colon(text)
        except ValueError as error:
            gathered.lose(one.place, "bootstrapDns", str(error), "name a plain server in upstreams.bootstrap")
            continue
        if url.startswith("udp://"):
            gathered.add_bootstrap(url.removeprefix("udp://"), one.place, "bootstrapDns")
        else:
            why = f"{show(text)}: names of servers are resolved in clear text here"
            gathered.lose(
                one.place, "bootstrapDns", why, "write servers with their addresses: tls://ADDRESS#NAME"
            )
    mapping = node.get("conditional", "mapping")
    for suffix, one in mapping.pairs():
        for text in one.text.split(","):
            if suffix == ".":
                gathered.lose(
                    one.place,
                    "conditional.mapping: .",
                    "names without a dot have no servers of their own",
                    "nothing",
                )
                continue
            _add_server(gathered, text.strip(), one.place, f"conditional.mapping.{suffix}", [suffix])


def _add_server(gathered: Gathered, text: str, place: Place, key: str, suffixes: list[str]) -> None:
    try:
        gathered.add_server(with_colon(text), place, key, suffixes)
    except ValueError as error:
        gathered.lose(
            place, f"{key}: {text}", str(error), "name another of its addresses in upstreams.servers"
        )


def _read_names(gathered: Gathered, node: Node) -> None:
    rewrites = [(old, new.text, new.place) for old, new in node.get("customDNS", "rewrite").pairs()]
    named = [
        (name, one, f"customDNS.mapping.{name}") for name, one in node.get("customDNS", "mapping").pairs()
    ]
    for name, one, _ in list(named):
        for old, new, _ in rewrites:
            if f".{name}".endswith(f".{new}"):
                own = name.removesuffix(new) + old
                named.append((own, one, f"customDNS.rewrite.{old}"))
    only_below = {old for old, _, _ in rewrites}
    for name, one, key in named:
        addresses = [text.strip() for item in one.entries() for text in item.text.split(",")]
        below = gathered.rule(name, RuleForm.BELOW, one.place, f"{key} (names below it)")
        for text in addresses:
            address = address_of(text)
            if address is None:
                gathered.lose(one.place, key, f"{show(text)} is not an address", "add it under `records:`")
                continue
            if name not in only_below:
                gathered.record(name, text, one.place, key)
            gathered.answer(below, f"{'A' if address.version == 4 else 'AAAA'} {address}", one.place)
    unmapped = node.get("customDNS", "filterUnmappedTypes")
    if unmapped.is_there and not unmapped.flag(default=True):
        why = "other types of a name of `records:` are answered as empty"
        gathered.lose(unmapped.place, "customDNS.filterUnmappedTypes", why, "look whether that will do")


def _read_blocking(gathered: Gathered, node: Node) -> None:
    blocking = node.get("blocking")
    groups = blocking.get("clientGroupsBlock")
    active: list[str] = []
    for client, one in groups.pairs():
        names = [item.text for item in one.entries()]
        if client == "default":
            active = names
        else:
            why = "some clients have lists of their own, and there is one policy for all here"
            gathered.lose(
                one.place, f"blocking.clientGroupsBlock.{client}", why, "run a second server for them"
            )
    scheduled = {name for name, _ in blocking.get("listSchedules").pairs()}
    deny, allow = blocking.first("denylists", "blackLists"), blocking.first("allowlists", "whiteLists")
    denied = {name for name, _ in deny.pairs()}
    for name, group in deny.pairs():
        if _is_active(gathered, name, group, active, scheduled):
            for source in group.entries():
                _read_source(gathered, source, name, "block")
    for name, group in allow.pairs():
        if not _is_active(gathered, name, group, active, scheduled):
            continue
        if name not in denied:
            why = "a group with an allowlist alone lets nothing else through there; here all else is answered"
            gathered.lose(
                group.place, f"blocking.allowlists.{name}", why, "there is no counterpart: block elsewhere"
            )
        for source in group.entries():
            _read_source(gathered, source, name, "allow")
    kind = blocking.get("blockType")
    _read_block_type(gathered, kind.text)
    ttl = seconds(blocking.get("blockTTL").value)
    gathered.defaults["ttl_s"] = int(min(max(21_600.0 if ttl is None else ttl, 0), 86_400))


def _is_active(gathered: Gathered, name: str, group: Node, active: list[str], scheduled: set[str]) -> bool:
    """Whether a group of lists holds for all clients, at all times."""
    key = f"blocking: list group {name}"
    if name not in active:
        why = "it does not belong to the group default, so it is not for every client"
        gathered.lose(group.place, key, why, "name its lists under `lists:` if it is to hold for all")
        return False
    if name in scheduled:
        why = "it holds at some hours only, and rules here know days, not hours"
        gathered.lose(group.place, key, why, "name its lists under `lists:` if they are to hold always")
        return False
    return True


def _read_block_type(gathered: Gathered, text: str) -> None:
    if text.lower() == "nxdomain":
        gathered.defaults["action"] = "nxdomain"
        return
    gathered.defaults["action"] = "sinkhole"
    addresses = {"ipv4": "0.0.0.0", "ipv6": "::"}
    for word in text.split(","):
        address = address_of(word.strip())
        if address is not None:
            addresses["ipv4" if address.version == 4 else "ipv6"] = str(address)
    gathered.defaults["sinkhole"] = addresses


def _read_source(gathered: Gathered, source: Node, group: str, kind: str) -> None:
    """A URL, a path, or names as they stand in the configuration."""
    text = source.value if isinstance(source.value, str) else ""
    if "\n" in text:
        for offset, line in enumerate(text.split("\n")):
            # A block's text begins on the line behind its sign.
            place = Place(source.place.file, source.place.line + 1 + offset)
            _read_line(gathered, line, place, f"{group} (inline)", kind)
        return
    text = text.strip()
    if not text:
        return
    if len(gathered.lists) >= LISTS_MAX:
        gathered.lose(source.place, group, f"more than {LISTS_MAX:,} lists", "leave some out")
        return
    keys: dict[str, object] = {"format": "wildcard" if "wildcard" in text.lower() else "adblock"}
    if re.match(r"https?://", text):
        keys = {"url": text, **keys}
        if text.startswith("http://"):
            keys["allow_http"] = True
            gathered.remark(f"the list {text} is fetched without TLS, as before: nothing proves what comes")
    else:
        keys = {"path": text.removeprefix("file://"), **keys}
    if kind == "allow":
        keys["kind"] = "allow"
    gathered.remark(
        "names in lists are exact, as before; where a list has lines `*.x`, write "
        "`format: wildcard` for it.  "
        "Regular expressions in lists are left out"
    )
    name = list_name(f"{group}-{text.rsplit('/', 1)[-1]}", [taken.name for taken in gathered.lists])
    gathered.lists.append(TakenList(name, keys, source.place))


def _read_line(gathered: Gathered, line: str, place: Place, key: str, kind: str) -> None:
    where = gathered.blocked if kind == "block" else gathered.let_through
    for rule in line_rules(gathered, line, place, key):
        gathered.put(where, rule, place)


def line_rules(gathered: Gathered, line: str, place: Place, key: str) -> Iterator[Rule]:
    """The rules of one line of a list: hosts, a name, `*.x`, `/regex/`."""
    text = line.strip()
    if text.startswith("/") and text.endswith("/") and len(text) > 2:
        found = regex_rules(text[1:-1])
        if not found:
            gathered.lose(place, text, REGEX_WHY, REGEX_INSTEAD)
    else:
        words = text.split("#")[0].split()
        if len(words) > 1 and address_of(words[0]) is not None:
            words = [word for word in words[1:] if word.lower() not in OWN_NAMES]
        found = [
            (word.removeprefix("*."), RuleForm.SUBTREE if word.startswith("*.") else RuleForm.EXACT)
            for word in words
        ]
    for name, form in found:
        rule = gathered.rule(name, form, place, key)
        if rule is not None:
            yield rule


def _read_cache(gathered: Gathered, node: Node) -> None:
    for path, setting, least, most in (
        ("caching.minTime", "cache.ttl_min_s", 0, 3_600),
        ("caching.maxTime", "cache.ttl_max_s", 1, 604_800),
        ("caching.cacheTimeNegative", "cache.negative_ttl_max_s", 0, 86_400),
    ):
        found = node.get(*path.split("."))
        time_s = seconds(found.value)
        if time_s is not None and time_s > 0:
            gathered.limited(setting, int(time_s), least, most, found.place, path)
        elif time_s is not None and time_s < 0:
            gathered.lose(found.place, path, "the cache is always on", "nothing: TTLs are kept")
    if node.get("caching", "prefetching").flag():
        gathered.lose(
            node.get("caching", "prefetching").place,
            "caching.prefetching",
            "names are asked again when they are asked for, not before",
            "nothing: stale answers stand in while upstreams fail",
            changes_answers=False,
        )


def _read_rest(gathered: Gathered, node: Node) -> None:
    for path, why, instead in _OFF:
        found = node.get(*path.split("."))
        if found.is_mapping or any(one.text for one in found.entries()):
            gathered.lose(found.place, path, why, instead)
    for path, why, instead in _SWITCHES:
        found = node.get(*path.split("."))
        if found.flag():
            gathered.lose(found.place, path, why, instead)
    limit = node.get("rateLimit")
    if limit.get("enable").flag() and limit.get("rate").number:
        rate = int(limit.get("rate").number or 0)
        gathered.limited("clients.rate_limit_qps", rate, 0, 1_000_000, limit.place, "rateLimit.rate")
    log = node.get("queryLog")
    if log.get("type").text not in ("", "none"):
        gathered.lose(
            log.place,
            "queryLog",
            "who asked what is not written down here, unless you say so",
            "set log.queries or query_records, and read what the guide says of them",
            changes_answers=False,
        )
    level = node.first("log.level", "logLevel").text.lower()
    if level in ("debug", "info", "warning", "error"):
        gathered.settings["log.level"] = level
