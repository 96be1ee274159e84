"""`AdGuardHome.yaml`, of every schema version -> what settings and a blocklist can take of it.

Knows: its keys, old and new, and which rule wins there.  Does not know: files beside it, how results are
written. Theory: exceptions win over blocks there, `$important` over both.  So what its user blocks stands
in a list here, what is let through under `allow:`, which comes before lists, and what is `$important` in an
exchange. Source: the file as the program writes it, and the notes of its migrations up to schema version 34.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container
from typing import Final

from resolver.lists.reading import address_of
from resolver.migration.filters import cancelled, take_rule
from resolver.migration.gathered import LISTS_MAX, Gathered, Place, Rule, TakenList, shown_name
from resolver.migration.servers import seconds, with_scheme
from resolver.migration.tree import Node
from resolver.migration.writing import list_name
from resolver.policy.verdict import RuleForm
from resolver.problems import show
from resolver.wire.names import suffix_offsets

PRODUCT: Final = "AdGuard Home"
NEWEST_SCHEMA: Final = 34
_OWN_BLOCKED: Final = frozenset({"version.bind", "id.server", "hostname.bind"})
_MIB: Final = 1024 * 1024
_PRIVATE_ZONES: Final = (
    "10.in-addr.arpa",
    "168.192.in-addr.arpa",
    "d.f.ip6.arpa",
    *(f"{number}.172.in-addr.arpa" for number in range(16, 32)),
)
_FLAGS: Final[tuple[tuple[tuple[str, ...], str, str], ...]] = (
    (
        ("filtering.parental_enabled", "dns.parental_enabled"),
        "parental control asks a service of AdGuard about each name",
        "take a list of such names under `lists:`",
    ),
    (
        ("filtering.safebrowsing_enabled", "dns.safebrowsing_enabled"),
        "safe browsing asks a service of AdGuard about each name",
        "take a list of malicious names under `lists:`",
    ),
    (
        ("filtering.safe_search.enabled", "dns.safe_search.enabled", "dns.safesearch_enabled"),
        "safe search answers names of search engines with those of their safe variants",
        "add such CNAMEs as a list of format rpz",
    ),
    (("dns.aaaa_disabled",), "AAAA queries are answered here", "switch IPv6 off in the network itself"),
    (("dns.use_dns64",), "DNS64 is not done here", "name upstreams that do it"),
    (
        ("dns.edns_client_subnet.enabled",),
        "clients' networks are never told to upstreams here",
        "nothing: it is more private",
    ),
    (
        ("dns.hostsfile_enabled",),
        "names of /etc/hosts are not answered here",
        "copy those that matter to `records:`",
    ),
    (("dhcp.enabled",), "there is no DHCP server here", "serve DHCP from the router or another program"),
)


def read(node: Node) -> Gathered:
    """All that the file says."""
    gathered = Gathered(PRODUCT)
    root = _with_old_keys(node)
    version = node.get("schema_version").number
    if version is not None and version > NEWEST_SCHEMA:
        gathered.remark(
            f"schema version {version:g} is newer than {NEWEST_SCHEMA}, the newest that is known here"
        )
    _read_listen(gathered, root)
    _read_clients(gathered, root)
    _read_upstreams(gathered, root)
    _read_cache(gathered, root)
    _read_blocking(gathered, root)
    _read_rules(gathered, root)
    _read_rewrites(gathered, root)
    _read_tls(gathered, root)
    _read_rest(gathered, root)
    return gathered


def _with_old_keys(node: Node) -> Node:
    """Schema version 1 calls `dns` `coredns`."""
    dns = node.get("coredns")
    if not dns.is_mapping or node.get("dns").is_there:
        return node
    from resolver.config.yamlsource import YamlMapping

    renamed = YamlMapping(1)
    assert isinstance(node.value, YamlMapping)
    for key, value in node.value.items.items():
        new = "dns" if key == "coredns" else key
        renamed.items[new], renamed.lines[new] = value, node.value.lines[key]
    return Node(renamed, node.place)


def _read_listen(gathered: Gathered, root: Node) -> None:
    port = root.get("dns", "port")
    hosts = root.first("dns.bind_hosts", "dns.bind_host")
    for host in hosts.entries():
        shown = f"[{host.text}]" if ":" in host.text else host.text
        gathered.add_listen(f"{shown}:{port.text or 53}", host.place, "dns.bind_hosts")
    if not hosts.is_there and port.is_there:
        gathered.add_listen(f"0.0.0.0:{port.text}", port.place, "dns.port")
        gathered.add_listen(f"[::]:{port.text}", port.place, "dns.port")


def _read_clients(gathered: Gathered, root: Node) -> None:
    allowed = root.get("dns", "allowed_clients")
    networks = []
    for one in allowed.entries():
        if address_of(one.text.split("/")[0]) is None:
            why = f"{show(one.text)} is a client's id; who may ask is told by networks here"
            gathered.lose(one.place, "dns.allowed_clients", why, "name its network in clients.allow")
        elif (network := gathered.network(one.text, one.place, "dns.allowed_clients")) is not None:
            networks.append(network)
    if networks:
        gathered.settings["clients.allow"] = list(dict.fromkeys(networks))
    elif not any(True for _ in allowed.entries()):
        gathered.remark(
            "only this machine and private networks may ask (clients.allow); there everybody might"
        )
    for one in root.get("dns", "disallowed_clients").entries():
        why = "single clients cannot be shut out; clients.allow names who may ask"
        gathered.lose(one.place, f"dns.disallowed_clients: {one.text}", why, "refuse them at the firewall")
    for one in root.get("dns", "blocked_hosts").entries():
        if one.text.lower() not in _OWN_BLOCKED:
            take_rule(gathered, one.text, one.place, "dns.blocked_hosts", set())
    rate = root.get("dns", "ratelimit")
    if rate.number:
        gathered.limited(
            "clients.rate_limit_qps", int(rate.number), 0, 1_000_000, rate.place, "dns.ratelimit"
        )
        gathered.settings["clients.rate_limit_qps"] = int(gathered.settings["clients.rate_limit_qps"])
        gathered.remark(
            "dns.ratelimit counts each client address here (IPv6: each /64), there each /24 and /56"
        )
    clients = root.get("clients")
    for one in (clients.get("persistent") if clients.is_mapping else clients).entries():
        _read_client(gathered, one)


def _read_client(gathered: Gathered, one: Node) -> None:
    """A client with settings of its own."""
    name = one.get("name").text or "(without a name)"
    differs = [
        key
        for key in ("upstreams", "tags", "blocked_services.ids")
        if any(True for _ in one.get(*key.split(".")).entries())
    ]
    if not one.get("use_global_settings").flag(default=True):
        differs.append("settings")
    if not one.get("use_global_blocked_services").flag(default=True):
        differs.append("blocked services")
    if differs:
        why = f"it has {', '.join(differs)} of its own, and there is one policy for all clients here"
        gathered.lose(
            one.place, f"clients: {name}", why, "run a second server for such clients, or block for everybody"
        )


def _read_upstreams(gathered: Gathered, root: Node) -> None:
    default: list[str] = []
    again: list[tuple[list[str], Place]] = []
    for one in root.get("dns", "upstream_dns").entries():
        text = one.text
        if not text or text.startswith("#"):
            continue
        found = re.fullmatch(r"\[/(.*)/\]\s*(.*)", text)
        suffixes = [] if found is None else found[1].split("/")
        for target in (text if found is None else found[2]).split():
            if target == "#":
                again.append((suffixes, one.place))
            else:
                _add_upstream(gathered, target, suffixes, one.place, "dns.upstream_dns", default)
    for suffixes, place in again:
        for url in default:
            gathered.add_server(url, place, "dns.upstream_dns", [name for name in suffixes if name])
    file = root.get("dns", "upstream_dns_file")
    if file.text:
        why = f"upstreams stand in a file of their own, {show(file.text)}, which is not read"
        gathered.lose(file.place, "dns.upstream_dns_file", why, "name them in upstreams.servers")
    for one in root.get("dns", "fallback_dns").entries():
        why = "there are no servers that are asked only when all others fail"
        gathered.lose(
            one.place, f"dns.fallback_dns: {one.text}", why, "add it to upstreams.servers if you want it"
        )
    for one in root.get("dns", "bootstrap_dns").entries():
        try:
            url = with_scheme(one.text)
        except ValueError as error:
            gathered.lose(one.place, "dns.bootstrap_dns", str(error), "name a plain server's address")
            continue
        gathered.add_bootstrap(url.partition("://")[2], one.place, "dns.bootstrap_dns")
    mode = root.get("dns", "upstream_mode").text
    if mode == "parallel" or root.get("dns", "all_servers").flag():
        gathered.settings["upstreams.strategy"] = "parallel"
    timeout = seconds(root.get("dns", "upstream_timeout").value)
    if timeout:
        place = root.get("dns", "upstream_timeout").place
        gathered.limited("upstreams.timeout_s", timeout, 0.1, 30.0, place, "dns.upstream_timeout")
    if root.get("dns", "use_private_ptr_resolvers").flag():
        for one in root.get("dns", "local_ptr_upstreams").entries():
            _add_upstream(gathered, one.text, list(_PRIVATE_ZONES), one.place, "dns.local_ptr_upstreams", [])


def _add_upstream(
    gathered: Gathered, target: str, suffixes: list[str], place: Place, key: str, default: list[str]
) -> None:
    try:
        url = with_scheme(target)
    except ValueError as error:
        gathered.lose(
            place, f"{key}: {target}", str(error), "name another of its addresses in upstreams.servers"
        )
        return
    named = [suffix.removeprefix("*.") for suffix in suffixes if suffix]
    if "" in suffixes:
        why = "names without a dot have no servers of their own here"
        gathered.lose(place, f"{key}: [//]{target}", why, "nothing: they are local names")
    if any(suffix.startswith("*.") for suffix in suffixes):
        gathered.remark("a server for *.x is asked for x, too, here")
    if not suffixes:
        default.append(url)
    if named or not suffixes:
        gathered.add_server(url, place, key, named)


def _read_cache(gathered: Gathered, root: Node) -> None:
    size = root.get("dns", "cache_size")
    if size.number:
        megabytes = max(1, math.ceil(size.number / _MIB))
        gathered.settings["cache.size_mb"] = max(64, min(megabytes, 65_536))
    if size.number == 0 or not root.get("dns", "cache_enabled").flag(default=True):
        gathered.lose(size.place, "dns.cache_enabled", "the cache is always on", "nothing: TTLs are kept")
    for key, setting, most in (
        ("cache_ttl_min", "cache.ttl_min_s", 3_600),
        ("cache_ttl_max", "cache.ttl_max_s", 604_800),
    ):
        found = root.get("dns", key)
        if found.number:
            gathered.limited(setting, int(found.number), 1, most, found.place, f"dns.{key}")


def _read_blocking(gathered: Gathered, root: Node) -> None:
    mode = root.first("filtering.blocking_mode", "dns.blocking_mode").text or "default"
    gathered.hosts_lines_answer = mode == "default"
    action = {"nxdomain": "nxdomain", "refused": "refused"}.get(mode, "sinkhole")
    gathered.defaults["action"] = action
    addresses = {"ipv4": "0.0.0.0", "ipv6": "::"}
    if mode == "custom_ip":
        for version, key in (("ipv4", "blocking_ipv4"), ("ipv6", "blocking_ipv6")):
            found = root.first(f"filtering.{key}", f"dns.{key}")
            address = address_of(found.text)
            if address is not None:
                addresses[version] = str(address)
    gathered.defaults["sinkhole"] = addresses
    ttl = root.first("filtering.blocked_response_ttl", "dns.blocked_response_ttl")
    if ttl.number is not None:
        gathered.defaults["ttl_s"] = int(min(max(ttl.number, 0), 86_400))
    for key in ("protection_enabled", "filtering_enabled"):
        found = root.first(f"filtering.{key}", f"dns.{key}")
        if found.is_there and not found.flag(default=True):
            gathered.defaults["mode"] = "disabled"
            gathered.remark(
                f"{key} is off there, so nothing is blocked here either (defaults.mode: disabled)"
            )
    for paths, why, instead in _FLAGS:
        found = root.first(*paths)
        if found.flag():
            gathered.lose(found.place, found.path, why, instead)
    services = root.first("filtering.blocked_services", "dns.blocked_services", "blocked_services")
    for one in (services.get("ids") if services.is_mapping else services).entries():
        why = "the names of a service are known to the program, not to its file"
        gathered.lose(
            one.place,
            f"blocked_services: {one.text}",
            why,
            "take a list of its names under `lists:`, or block them",
        )


def _read_rules(gathered: Gathered, root: Node) -> None:
    rules = list(root.first("user_rules", "dns.user_rules").entries())
    taken_back = cancelled([one.text for one in rules])
    for one in rules:
        take_rule(gathered, one.text, one.place, "user_rules", taken_back)
    for key, kind in (("filters", "block"), ("whitelist_filters", "allow")):
        for one in root.get(key).entries():
            if len(gathered.lists) >= LISTS_MAX:
                gathered.lose(one.place, key, f"more than {LISTS_MAX:,} lists", "leave some out")
                return
            _read_filter(gathered, one, kind)
    if gathered.lists:
        gathered.remark(
            "in downloaded lists the longest name wins here, of equal ones the exception; there an exception "
            "wins over every block"
        )


def _read_filter(gathered: Gathered, one: Node, kind: str) -> None:
    url, title = one.get("url").text, one.get("name").text
    if not url:
        return
    keys: dict[str, object] = {"url": url, "format": "adblock"}
    if re.match(r"https?://", url) is None:
        keys = {"path": url, "format": "adblock"}
    elif url.startswith("http://"):
        keys["allow_http"] = True
        gathered.remark(f"the list {url} is fetched without TLS, as before: nothing proves what comes")
    if kind == "allow":
        keys["kind"] = "allow"
    if not one.get("enabled").flag(default=True):
        keys["mode"] = "disabled"
    name = list_name(title or url, [taken.name for taken in gathered.lists])
    gathered.lists.append(TakenList(name, keys, one.place))


def _read_rewrites(gathered: Gathered, root: Node) -> None:
    if not root.get("filtering", "rewrites_enabled").flag(default=True):
        return
    rewritten: set[Rule] = set()
    excepted: list[tuple[Rule, Place, str]] = []
    for one in root.first("filtering.rewrites", "dns.rewrites", "rewrites").entries():
        domain, answer = one.get("domain").text, one.get("answer").text
        if not one.get("enabled").flag(default=True) or not domain:
            continue
        key = f"rewrites: {domain} -> {answer}"
        form = RuleForm.BELOW if domain.startswith("*.") else RuleForm.EXACT
        name = domain.removeprefix("*.")
        address = address_of(answer)
        if address is not None and form is RuleForm.EXACT:
            gathered.record(name, answer, one.place, key)
            continue
        rule = gathered.rule(name, form, one.place, key)
        if rule is None:
            continue
        is_type = answer.upper() in ("A", "AAAA")
        if is_type or answer.lower() == domain.lower():
            excepted.append((rule, one.place, key))
            if is_type:
                why = "an exception from rewrites for one type has no counterpart: it holds for all types"
                gathered.lose(one.place, key, why, "look whether that is meant")
            continue
        rewritten.add(rule)
        if address is not None:
            gathered.answer(rule, f"{'A' if address.version == 4 else 'AAAA'} {address}", one.place)
        elif (target := gathered.rule(answer, RuleForm.EXACT, one.place, key)) is not None:
            gathered.answer(rule, f"CNAME {target.text.lstrip('=')}.", one.place)
    for rule, place, key in excepted:
        _except_from_rewrites(gathered, rule, rewritten, place, key)


def _except_from_rewrites(
    gathered: Gathered, rule: Rule, rewritten: set[Rule], place: Place, key: str
) -> None:
    """`x -> x`: no rewrite holds for x, but blocks do.  Without a rewrite it says nothing."""
    if not _speaks_of(rewritten, rule) and shown_name(rule.name) not in gathered.records:
        return
    if _speaks_of(gathered.blocked, rule) or _speaks_of(gathered.firmly, rule):
        why = "a name that is blocked cannot be excepted from rewrites alone; the exception was left out"
    else:
        gathered.put(gathered.excepted, rule, place)
        why = "an exception from rewrites alone has no counterpart: the name is excepted from lists, too"
    gathered.lose(place, key, why, "look whether a list blocks the name, or one above it")


def _speaks_of(rules: Container[Rule], rule: Rule) -> bool:
    """Whether one of the rules is this one, or holds for its name."""
    if rule in rules or Rule(RuleForm.EXACT, rule.name) in rules:
        return True
    above = [rule.name[offset:] for offset in suffix_offsets(rule.name)]
    return any(Rule(RuleForm.SUBTREE, name) in rules for name in above) or any(
        Rule(RuleForm.BELOW, name) in rules for name in above if name != rule.name
    )


def _read_tls(gathered: Gathered, root: Node) -> None:
    tls = root.get("tls")
    if not tls.get("enabled").flag():
        return
    certificate, key = tls.get("certificate_path").text, tls.get("private_key_path").text
    if not certificate or not key:
        why = "the certificate and its key stand in the file itself, and secrets are not copied"
        gathered.lose(
            tls.place,
            "tls",
            why,
            "save them as files (the key with mode 600), name them under tls, and set listen.tls",
        )
        return
    gathered.settings["tls.certificate"], gathered.settings["tls.key"] = certificate, key
    for port_key, setting in (("port_dns_over_tls", "listen.tls"), ("port_https", "listen.https")):
        port = tls.get(port_key)
        if port.number:
            gathered.settings[setting] = [f"0.0.0.0:{int(port.number)}", f"[::]:{int(port.number)}"]
    quic = tls.get("port_dns_over_quic")
    if quic.number:
        gathered.lose(quic.place, "tls.port_dns_over_quic", "DNS over QUIC is not served", "use listen.tls")


def _read_rest(gathered: Gathered, root: Node) -> None:
    for one in root.get("dns", "bogus_nxdomain").entries():
        why = "an answer with this address is not turned into NXDOMAIN"
        gathered.lose(
            one.place,
            f"dns.bogus_nxdomain: {one.text}",
            why,
            "list the address under an exchange's `addresses`",
        )
    for one in root.get("dns", "ipset").entries():
        gathered.lose(
            one.place, "dns.ipset", "no sets of the kernel are filled", "use a firewall that resolves names"
        )
    if root.get("dns", "handle_ddr").is_there and not root.get("dns", "handle_ddr").flag(default=True):
        gathered.settings["ddr.enabled"] = False
    if root.get("dns", "enable_dnssec").flag():
        gathered.remark("signatures are passed on to clients that ask for them (dns.enable_dnssec)")
    if root.first("querylog.enabled", "dns.querylog_enabled").flag(default=True):
        gathered.lose(
            root.get("querylog").place,
            "querylog",
            "who asked what is not written down here, unless you say so",
            "set log.queries, and read what the guide says of it",
            changes_answers=False,
        )
    if any(True for _ in root.get("users").entries()):
        gathered.lose(
            root.get("users").place,
            "users",
            "passwords are not taken over",
            "make a token for each person who is to change something",
            changes_answers=False,
        )
    if root.get("log", "verbose").flag() or root.get("verbose").flag():
        gathered.settings["log.level"] = "debug"
