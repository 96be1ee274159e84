"""Unbound's configuration -> what settings and a blocklist can take of it.

Knows: its clauses and keys, the types of local zones.  Does not know: the text they are written in, how
results are written.
Theory: the zone with the longest name decides there, and so it does in lists here: all that local zones say
becomes a response policy zone.  Data of one name with addresses alone becomes a record of the site's own.
Source: unbound.conf(5).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final

from resolver.lists.reading import address_of
from resolver.migration.gathered import Gathered, Place, TakenList, shown_name
from resolver.migration.servers import at_signed
from resolver.migration.texts import Texts
from resolver.migration.unbound_text import Clause, Reader
from resolver.migration.writing import list_name
from resolver.policy.verdict import RuleForm
from resolver.problems import show
from resolver.wire.names import name_from_text, parent

PRODUCT: Final = "Unbound"
_MIB: Final = 1024 * 1024
_BLOCKS: Final = {
    "static": "CNAME .",
    "always_nxdomain": "CNAME .",
    "always_nodata": "CNAME *.",
    "redirect": "CNAME *.",
    "deny": "CNAME rpz-drop.",
    "always_deny": "CNAME rpz-drop.",
    "inform_deny": "CNAME rpz-drop.",
    "truncate": "CNAME rpz-tcp-only.",
}
_REFUSES: Final = frozenset({"refuse", "always_refuse"})
_OPEN: Final = frozenset(
    {"transparent", "typetransparent", "always_transparent", "inform", "nodefault", "noview"}
)
_IGNORES_DATA: Final = frozenset(
    {"always_nxdomain", "always_nodata", "always_refuse", "always_deny", "always_transparent"}
)
_REDIRECTS: Final = frozenset({"redirect", "inform_redirect"})
_LOST_KEYS: Final = {
    "private-address": ("answers with private addresses are let through", "filter them in the router"),
    "dns64-prefix": ("DNS64 is not done here", "name upstreams that do it"),
    "val-override-date": ("answers are not validated here", "name upstreams that validate"),
    "access-control-tag": ("there is one policy for all clients", "run a second server for such clients"),
    "access-control-view": ("there is one policy for all clients", "run a second server for such clients"),
    "local-zone-tag": (
        "the zone is for some clients only, and there is one policy for all here; its data is left out, too",
        "add its names by hand if they are to hold for all, or run a second server for such clients",
    ),
    "local-zone-override": ("there is one policy for all clients", "run a second server for such clients"),
    "local-data-ptr": ("PTR records come with the names of `records:`", "give the name its address there"),
    "send-client-subnet": ("clients' networks are never told to upstreams", "nothing: it is more private"),
    "response-ip": (
        "answers are judged by networks of exchanges only",
        "list it under an exchange's `addresses`",
    ),
    "response-ip-data": (
        "answers are judged by networks of exchanges only",
        "list it under an exchange's `addresses`",
    ),
    "ratelimit": ("questions to the servers of one zone are not counted", "nothing: it forwards"),
    "https-port": ("DNS over HTTPS has a certificate of its own here", "set listen.https and tls"),
}
_VALIDATES: Final = frozenset(
    {"auto-trust-anchor-file", "trust-anchor-file", "trust-anchor", "trusted-keys-file"}
)
_CLAUSES_LOST: Final = {
    "auth-zone": (
        "it is no authority for a zone",
        "serve the zone from a name server, under upstreams.forward",
    ),
    "view": ("there is one policy for all clients", "run a second server for such clients"),
    "python": ("no program of yours answers", "answer such names from a name server of yours"),
    "dynlib": ("no program of yours answers", "answer such names from a name server of yours"),
    "dnscrypt": ("DNSCrypt is not spoken here", "use listen.tls or listen.https"),
    "cachedb": ("the cache is not shared between servers", "let each server have its own"),
    "ipset": ("no sets of the kernel are filled", "use a firewall that resolves names"),
}
_RPZ_ACTIONS: Final = {"nxdomain": "nxdomain", "nodata": "nodata", "drop": "drop"}


@dataclass(slots=True)
class _Local:
    """Local zones and data, as found."""

    zones: dict[bytes, tuple[str, Place]] = field(default_factory=dict)
    records: dict[bytes, list[tuple[str, str, Place]]] = field(default_factory=dict)
    """Name -> (type, data, place)."""
    tagged: set[bytes] = field(default_factory=set)
    """Zones that hold for some clients."""

    def leave_out_tagged(self) -> None:
        """Forget zones for some clients, and data whose zone is one: others get what is said above it."""
        for name in [name for name in self.records if self._is_tagged(name)]:
            del self.records[name]
        for name in self.tagged:
            self.zones.pop(name, None)

    def _is_tagged(self, name: bytes) -> bool:
        while name not in self.tagged and name not in self.zones and name != b"\0":
            name = parent(name)
        return name in self.tagged

    def zone_of(self, name: bytes) -> str:
        """The type of the longest zone above a name, or at it; `transparent` where none is."""
        while True:
            if name in self.zones:
                return self.zones[name][0]
            if name == b"\0":
                return "transparent"
            name = parent(name)


def read(path: Path, texts: Texts) -> Gathered:
    """All that the file and those it includes say.  Raises BadConfig."""
    reader = Reader(texts)
    reader.read(path, Place(str(path)))
    gathered = Gathered(PRODUCT)
    for pattern, place in reader.missing:
        gathered.lose(place, f"include: {pattern}", "the file is not here", "copy it beside, and try again")
    servers = [clause for clause in reader.clauses if clause.name == "server"]
    server = Clause("server", Place(str(path)), [key for clause in servers for key in clause.keys])
    local = _Local()
    _read_local(gathered, server, local)
    _place_local(gathered, local)
    _read_listen(gathered, server)
    _read_access(gathered, server)
    _read_cache(gathered, server)
    _read_rest(gathered, server)
    for clause in reader.clauses:
        _read_clause(gathered, clause)
    if not gathered.servers:
        why = "it asks the authorities of each zone itself; this resolver asks other resolvers"
        instead = "keep Unbound as the upstream, on another port, or use the servers in upstreams.servers"
        gathered.lose(Place(str(path)), "server", why, instead)
    gathered.defaults.update({"action": "nxdomain", "sinkhole": {"ipv4": "0.0.0.0", "ipv6": "::"}})
    return gathered


def _read_local(gathered: Gathered, server: Clause, local: _Local) -> None:
    for key, values, place in server.keys:
        if key == "local-zone" and len(values) == 2:
            name = _name(gathered, values[0], place, f"local-zone: {values[0]}")
            if name is not None:
                local.zones[name] = (values[1].lower(), place)
        elif key == "local-zone-tag":
            name = _name(gathered, values[0], place, f"local-zone-tag: {values[0]}")
            if name is not None:
                local.tagged.add(name)
        elif key == "local-data":
            _read_data(gathered, values[0], place, local)
    local.leave_out_tagged()


def _read_data(gathered: Gathered, text: str, place: Place, local: _Local) -> None:
    found = re.fullmatch(
        r"\s*(\S+)\s+(?:\d+\s+)?(?:(?:IN|CH|HS)\s+)?(?:\d+\s+)?([A-Za-z0-9]+)\s+(.+)", text, re.IGNORECASE
    )
    if found is None:
        gathered.lose(place, f"local-data: {text}", "is no resource record", "mend the line")
        return
    name = _name(gathered, found[1], place, f"local-data: {text}")
    if name is not None:
        local.records.setdefault(name, []).append((found[2].upper(), found[3].strip(), place))


def _name(gathered: Gathered, text: str, place: Place, key: str) -> bytes | None:
    try:
        return name_from_text(text)
    except ValueError as error:
        gathered.lose(place, key, str(error), "leave it out, or write the name that was meant")
        return None


def _place_local(gathered: Gathered, local: _Local) -> None:
    """Say all of it in the words of lists and records."""
    for name, (kind, place) in local.zones.items():
        _place_zone(gathered, local, name, kind, place)
    for name, data in local.records.items():
        kind = local.zone_of(name)
        if kind in _IGNORES_DATA:
            continue
        if name in local.zones and kind in _REDIRECTS:
            continue  # Said with its zone.
        _place_data(gathered, name, data, RuleForm.EXACT, is_record=True)


def _place_zone(gathered: Gathered, local: _Local, name: bytes, kind: str, place: Place) -> None:
    key = f"local-zone: {shown_name(name)} {kind}"
    if kind in _OPEN:
        if _is_under_block(local, name):
            gathered.put(
                gathered.excepted, gathered.rule(shown_name(name), RuleForm.SUBTREE, place, key), place
            )
        return
    data = local.records.get(name, []) if kind in _REDIRECTS else []
    if name == b"\0":
        why = "every name would be answered so, but for those that are named"
        gathered.lose(place, key, why, "there is no counterpart: block elsewhere")
        return
    if parent(name) == b"\0" and not data:
        why = f"names under {shown_name(name)} are asked upstream, which denies them where they do not exist"
        gathered.lose(place, key, why, "nothing, unless those questions must stay here")
        return
    if data:
        _place_data(gathered, name, data, RuleForm.SUBTREE, is_record=False)
        return
    rule = gathered.rule(shown_name(name), RuleForm.SUBTREE, place, key)
    if kind in _REFUSES:
        gathered.put(gathered.refused, rule, place)
    elif kind == "always_null":
        gathered.answer(rule, "A 0.0.0.0", place)
        gathered.answer(rule, "AAAA ::", place)
    elif kind in _BLOCKS:
        gathered.answer(rule, _BLOCKS[kind], place)
    else:
        gathered.lose(
            place, key, f"the type {show(kind)} has no counterpart", "decide what clients should get"
        )


def _is_under_block(local: _Local, name: bytes) -> bool:
    while name != b"\0":
        name = parent(name)
        if name in local.zones:
            return local.zones[name][0] not in _OPEN
    return False


def _place_data(
    gathered: Gathered,
    name: bytes,
    data: list[tuple[str, str, Place]],
    form: RuleForm,
    *,
    is_record: bool,
) -> None:
    """Records of one name: addresses alone are the site's own records, a CNAME is an answer."""
    for kind, text, place in data:
        key = f"local-data: {shown_name(name)} {kind}"
        if kind in ("A", "AAAA"):
            if is_record:
                gathered.record(shown_name(name), text, place, key)
            elif address_of(text) is not None:
                gathered.answer(gathered.rule(shown_name(name), form, place, key), f"{kind} {text}", place)
        elif kind == "CNAME":
            target = gathered.rule(text, RuleForm.EXACT, place, key)
            rule = gathered.rule(shown_name(name), form, place, key)
            if target is not None and rule is not None:
                gathered.answer(rule, f"CNAME {target.text.lstrip('=')}.", place)
        elif kind == "PTR":
            _expect_pointer(gathered, name, text, place, key)
        elif kind not in ("SOA", "NS"):
            why = "records other than addresses and CNAMEs are not answered"
            gathered.lose(place, key, why, "serve the zone from a name server, under upstreams.forward")


def _expect_pointer(gathered: Gathered, name: bytes, text: str, place: Place, key: str) -> None:
    gathered.lose(
        place,
        key,
        "PTR records come with the names of `records:`",
        f"give {text.rstrip('.')} its address there",
    )


def _read_listen(gathered: Gathered, server: Clause) -> None:
    port = server.value("port") or "53"
    tls_port = server.value("tls-port") or server.value("ssl-port") or "853"
    certificate = server.value("tls-service-pem") or server.value("ssl-service-pem")
    key = server.value("tls-service-key") or server.value("ssl-service-key")
    tls: list[str] = []
    found = [*server.values("interface"), *server.values("ip-address")]
    for text, place in found or [("127.0.0.1", server.place), ("::1", server.place)]:
        host, _, own_port = text.partition("@")
        if address_of(host) is None:
            why = f"{show(host)} is an interface, and addresses are named here"
            gathered.lose(place, f"interface: {text}", why, "name its addresses in listen.dns")
            continue
        shown = f"[{host}]" if ":" in host else host
        if own_port == tls_port and own_port != port:
            tls.append(f"{shown}:{own_port}")
        else:
            gathered.add_listen(f"{shown}:{own_port or port}", place, "interface")
    if tls and certificate and key:
        gathered.settings["listen.tls"] = tls
        gathered.settings["tls.certificate"], gathered.settings["tls.key"] = certificate, key
    elif tls:
        gathered.lose(server.place, "tls-service-key", "no key is named", "set tls and listen.tls")


def _read_access(gathered: Gathered, server: Clause) -> None:
    """Who may ask: the narrower network decides there, so what is shut out is cut out of what is let in."""
    rules: list[tuple[IPv4Network | IPv6Network, bool]] = [
        (ip_network("127.0.0.0/8"), True),
        (ip_network("::1/128"), True),
    ]
    for key, values, place in server.keys:
        if key != "access-control" or len(values) != 2:
            continue
        try:
            network = ip_network(values[0], strict=False)
        except ValueError:
            gathered.lose(place, f"access-control: {values[0]}", "is no network", "name it in clients.allow")
            continue
        rules = [rule for rule in rules if rule[0] != network]
        rules.append((network, values[1].lower().startswith("allow")))
        if values[1].lower() in ("deny_non_local", "refuse_non_local"):
            why = "clients are let in or not; none gets local names alone"
            gathered.lose(
                place, f"access-control: {' '.join(values)}", why, "name it in clients.allow if it may ask"
            )
    allowed: list[IPv4Network | IPv6Network] = []
    for network, is_in in sorted(rules, key=lambda rule: rule[0].prefixlen):
        allowed = _without(allowed, network)
        if is_in:
            allowed.append(network)
    gathered.settings["clients.allow"] = [str(network) for network in sorted(allowed, key=str)]


def _without(
    networks: list[IPv4Network | IPv6Network], taken: IPv4Network | IPv6Network
) -> list[IPv4Network | IPv6Network]:
    kept: list[IPv4Network | IPv6Network] = []
    for network in networks:
        if network.version != taken.version or not taken.subnet_of(network):  # type: ignore[arg-type]
            kept.append(network)
        elif network != taken:
            kept += network.address_exclude(taken)  # type: ignore[arg-type]
    return kept


def _read_cache(gathered: Gathered, server: Clause) -> None:
    for key, setting, least, most in (
        ("cache-min-ttl", "cache.ttl_min_s", 0, 3_600),
        ("cache-max-ttl", "cache.ttl_max_s", 1, 604_800),
        ("cache-max-negative-ttl", "cache.negative_ttl_max_s", 0, 86_400),
        ("ip-ratelimit", "clients.rate_limit_qps", 0, 1_000_000),
    ):
        for value, place in server.values(key):
            if value.isdigit() and len(value) < 12:
                gathered.limited(setting, int(value), least, most, place, key)
    octets = sum(_octets(server.value(key)) for key in ("msg-cache-size", "rrset-cache-size"))
    if octets:
        gathered.settings["cache.size_mb"] = min(max(64, math.ceil(octets / _MIB)), 65_536)
    if server.value("serve-expired") == "no":
        gathered.remark("stale answers stand in while upstreams fail (cache.stale_max_s); there they did not")


def _octets(text: str) -> int:
    found = re.fullmatch(r"(\d{1,12})([kmg]?)b?", text.strip().lower())
    return 0 if found is None else int(found[1]) * {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[found[2]]


def _read_rest(gathered: Gathered, server: Clause) -> None:
    seen: set[str] = set()
    pointers = {address for addresses in gathered.records.values() for address in addresses}
    for key, values, place in server.keys:
        if key in _VALIDATES and "validates" not in seen:
            seen.add("validates")
            why = "answers are not validated here"
            gathered.lose(place, key, why, "name upstreams that validate, and mark them trust_ad")
        elif key == "local-data-ptr":
            address = address_of(values[0].split()[0]) if values[0].split() else None
            if str(address) not in pointers:
                gathered.lose(place, f"{key}: {values[0]}", *_LOST_KEYS[key])
        elif key in _LOST_KEYS and not (key == "ratelimit" and values[0] == "0"):
            gathered.lose(place, f"{key}: {' '.join(values)}", *_LOST_KEYS[key])
        elif key == "log-queries" and values[0] == "yes":
            why = "who asked what is not written down here, unless you say so"
            instead = "set log.queries, and read what the guide says of it"
            gathered.lose(place, key, why, instead, changes_answers=False)


def _read_clause(gathered: Gathered, clause: Clause) -> None:
    if clause.name in ("forward-zone", "stub-zone"):
        _read_forward(gathered, clause)
    elif clause.name == "rpz":
        _read_rpz(gathered, clause)
    elif clause.name in _CLAUSES_LOST:
        why, instead = _CLAUSES_LOST[clause.name]
        gathered.lose(clause.place, f"{clause.name}: {clause.value('name')}", why, instead)


def _read_forward(gathered: Gathered, clause: Clause) -> None:
    kind = clause.name.removesuffix("-zone")
    name = clause.value("name") or "."
    is_tls = clause.flag(f"{kind}-tls-upstream") or clause.flag(f"{kind}-ssl-upstream")
    is_tcp = clause.flag(f"{kind}-tcp-upstream")
    suffixes = [] if name.strip() in (".", "") else [name]
    for text, place in clause.values(f"{kind}-addr"):
        try:
            url = at_signed(text, is_tls=is_tls, is_tcp=is_tcp)
        except ValueError as error:
            gathered.lose(place, f"{kind}-addr: {text}", str(error), "name it in upstreams")
            continue
        gathered.add_server(url, place, f"{kind}-addr", suffixes)
    for text, place in clause.values(f"{kind}-host"):
        host = text.partition("@")[0].partition("#")[0].rstrip(".")
        if is_tls:
            gathered.add_server(f"tls://{host}", place, f"{kind}-host", suffixes)
        else:
            why = "servers in clear text are named by their address here"
            gathered.lose(place, f"{kind}-host: {text}", why, "name its address in upstreams")
    if clause.flag(f"{kind}-first"):
        why = "it does not ask the authorities where the servers fail"
        gathered.lose(clause.place, f"{kind}-first: {name}", why, "name several servers")
    if kind == "stub":
        gathered.remark("servers of stub zones are asked as resolvers are; authorities answer that, too")


def _read_rpz(gathered: Gathered, clause: Clause) -> None:
    name = clause.value("name").rstrip(".")
    keys: dict[str, Any] = {"format": "rpz"}
    primary = clause.value("primary") or clause.value("master")
    if clause.value("url"):
        keys["url"] = clause.value("url")
        if keys["url"].startswith("http://"):
            keys["allow_http"] = True
    elif primary:
        host, _, port = primary.partition("@")
        if address_of(host) is None:
            gathered.lose(
                clause.place, f"rpz: {name}", f"{show(host)} is no address", "name its address in `lists:`"
            )
            return
        shown = f"[{host}]" if ":" in host else host
        keys["url"] = f"axfr://{shown}:{port or 53}/{name}"
    elif clause.value("zonefile"):
        keys["path"] = clause.value("zonefile")
    else:
        gathered.lose(clause.place, f"rpz: {name}", "it names no source", "name it in `lists:`")
        return
    override = clause.value("rpz-action-override").lower()
    if override in _RPZ_ACTIONS:
        keys["action"] = _RPZ_ACTIONS[override]
    elif override == "disabled":
        keys["mode"] = "shadow"
    elif override:
        why = f"the override {show(override)} has no counterpart, so the zone's own actions hold"
        gathered.lose(clause.place, f"rpz: {name}", why, "look whether that is meant")
    if clause.value("tags"):
        why = "the zone is for some clients only, and there is one policy for all here; it was left out"
        gathered.lose(clause.place, f"rpz: {name}", why, "name it in `lists:` if it is to hold for all")
        return
    taken = [one.name for one in gathered.lists]
    gathered.lists.append(TakenList(list_name(name or "rpz", taken), keys, clause.place))
    gathered.remark("of several policy zones the longest name wins here, not the first zone")
