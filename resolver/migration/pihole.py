"""Pi-hole, version 5 and 6: its folder, one of its files, or what its Teleporter exports.

Knows: which files there are, and the settings in them.  Does not know: the database (`pihole_gravity`),
dnsmasq's options, how results are written.
Theory: whatever the form, the files are the same: a folder, a ZIP file (version 6) or a compressed tar file
(version 5).  An exception wins over every block there, so it stands under `allow:` here.
Source: Pi-hole's documentation of `pihole.toml`, `pihole-FTL.conf`, `setupVars.conf` and of its database.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from resolver.lists.reading import address_of
from resolver.migration import dnsmasq
from resolver.migration.archives import Files, files_of
from resolver.migration.gathered import Gathered, Place, error
from resolver.migration.pihole_gravity import (
    EXACT_ALLOW,
    EXACT_DENY,
    REGEX_ALLOW,
    REGEX_DENY,
    read_database,
    take_list,
    take_name,
)
from resolver.migration.servers import hashed
from resolver.migration.texts import Texts, check_text
from resolver.migration.tree import Node, from_plain
from resolver.policy.verdict import RuleForm
from resolver.problems import show

PRODUCT: Final = "Pi-hole"
TOML_OCTETS_MAX: Final = 1024 * 1024
"""Largest `pihole.toml`; with all its comments it has 80 kB."""
_MODES: Final = {
    "NULL": ("sinkhole", False),
    "IP": ("sinkhole", True),
    "IP-NODATA-AAAA": ("sinkhole", True),
    "IP_NODATA_AAAA": ("sinkhole", True),
    "NXDOMAIN": ("nxdomain", False),
    "NX": ("nxdomain", False),
    "NODATA": ("nodata", False),
}
_OLD_FILES: Final = {
    "whitelist.txt": EXACT_ALLOW,
    "blacklist.txt": EXACT_DENY,
    "regex.list": REGEX_DENY,
    "whitelist.exact.json": EXACT_ALLOW,
    "blacklist.exact.json": EXACT_DENY,
    "whitelist.regex.json": REGEX_ALLOW,
    "blacklist.regex.json": REGEX_DENY,
}
_OLD_KEYS: Final = {
    "BLOCKINGMODE": "dns.blocking.mode",
    "BLOCK_TTL": "dns.blockTTL",
    "RATE_LIMIT": "dns.rateLimit",
    "BLOCK_ICLOUD_PR": "dns.specialDomains.iCloudPrivateRelay",
    "DNSSEC": "dns.dnssec",
    "DHCP_ACTIVE": "dhcp.active",
    "QUERY_LOGGING": "dns.queryLogging",
    "BLOCKING_ENABLED": "dns.blocking.active",
    "PIHOLE_INTERFACE": "dns.interface",
    "DNSMASQ_LISTENING": "dns.listeningMode",
    "REPLY_ADDR4": "dns.reply.blocking.IPv4",
    "REPLY_ADDR6": "dns.reply.blocking.IPv6",
    "BLOCK_IPV4": "dns.reply.blocking.IPv4",
    "BLOCK_IPV6": "dns.reply.blocking.IPv6",
}
"""Keys of `setupVars.conf` and `pihole-FTL.conf`, by what version 6 calls them."""


def read(path: Path, texts: Texts) -> Gathered:
    """All that a folder, a file or an export says.  Raises BadConfig."""
    gathered = Gathered(PRODUCT)
    files = files_of(path, texts)
    gathered.defaults.update(
        {"action": "sinkhole", "sinkhole": {"ipv4": "0.0.0.0", "ipv6": "::"}, "ttl_s": 2}
    )
    settings = _settings(files, path)
    if settings is not None:
        _read_settings(gathered, settings, texts)
    gravity = files.get("gravity.db")
    if gravity is not None:
        read_database(gathered, gravity.octets, Place(gravity.shown))
        if gravity.has_log:
            why = "the newest changes stand in a log beside the database, which is not read"
            instead = "close it first: sqlite3 gravity.db 'PRAGMA wal_checkpoint(TRUNCATE)'"
            gathered.lose(Place(gravity.shown), f"{gravity.name}-wal", why, instead)
    for name, kind in _OLD_FILES.items():
        for text, place in _entries(files, name, "domain"):
            take_name(gathered, kind, text, place, name)
    if gravity is None:
        for name in ("adlists.list", "adlist.json"):
            for text, place in _entries(files, name, "address"):
                take_list(gathered, text, place, is_allow=False)
    for text, place in _entries(files, "custom.list", ""):
        _take_host(gathered, text, place)
    _read_options(gathered, files, settings, texts)
    if (
        settings is None
        and gravity is None
        and not files.names & {*_OLD_FILES, "adlists.list", "custom.list"}
    ):
        raise error(
            Place(str(path)), "has none of Pi-hole's files: pihole.toml, setupVars.conf, gravity.db, ..."
        )
    gathered.remark("only this machine and private networks may ask (clients.allow)")
    gathered.remark(
        "in lists the longest name wins here, of equal ones the exception; in Pi-hole an exception wins"
    )
    return gathered


def _read_options(gathered: Gathered, files: Files, settings: Node | None, texts: Texts) -> None:
    """What its user wrote for dnsmasq; version 6 reads it only where it is told to."""
    own = [file for file in files.below("dnsmasq.d") if not file.name.startswith(("01-pihole", "06-rfc6761"))]
    is_read = "pihole.toml" not in files.names or (
        settings is not None and settings.get("misc", "etc_dnsmasq_d").flag()
    )
    if not is_read:
        for file in own:
            why = "Pi-hole does not read it: misc.etc_dnsmasq_d is off"
            instead = "nothing; switch that on and import again if it is meant"
            gathered.lose(Place(file.shown), f"dnsmasq.d/{file.name}", why, instead, changes_answers=False)
        return
    lines = [(line, Place(file.shown, number)) for file in own for number, line in enumerate(file.lines, 1)]
    dnsmasq.read_lines(gathered, lines, texts)


def _settings(files: Files, path: Path) -> Node | None:
    """`pihole.toml`, or the old files in its words."""
    toml = files.get("pihole.toml")
    if toml is not None:
        return _from_toml(toml.octets, toml.shown)
    values: dict[str, Any] = {}
    lines: dict[tuple[str, ...], int] = {}
    shown = str(path)
    for name in ("setupVars.conf", "pihole-FTL.conf"):
        file = files.get(name)
        if file is None:
            continue
        shown = file.shown
        for number, line in enumerate(file.lines, 1):
            key, sign, value = line.strip().partition("=")
            if sign and not key.startswith("#"):
                _take_old_key(values, lines, key, value.strip().strip('"'), number)
    if not values:
        return None
    return from_plain(values, lambda keys: lines.get(tuple(keys), 0), shown)


def _take_old_key(
    values: dict[str, Any], lines: dict[tuple[str, ...], int], key: str, value: str, number: int
) -> None:
    if re.fullmatch(r"PIHOLE_DNS_\d{1,3}", key):
        _set(
            values, lines, ("dns", "upstreams"), [*values.get("dns", {}).get("upstreams", []), value], number
        )
    elif key in ("REV_SERVER_CIDR", "REV_SERVER_TARGET", "REV_SERVER_DOMAIN", "REV_SERVER"):
        _set(values, lines, ("old", key), value, number)
    elif key in _OLD_KEYS:
        _set(values, lines, tuple(_OLD_KEYS[key].split(".")), value, number)


def _set(
    values: dict[str, Any], lines: dict[tuple[str, ...], int], keys: tuple[str, ...], value: Any, number: int
) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
    values[keys[-1]] = value
    lines[keys] = number


def _from_toml(octets: bytes, shown: str) -> Node:
    if len(octets) > TOML_OCTETS_MAX:
        raise error(
            Place(shown), f"is too large: {len(octets):,} bytes; allowed: at most {TOML_OCTETS_MAX:,}"
        )
    check_text(octets, shown)
    text = octets.decode().removeprefix("\ufeff")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failed:
        line = re.search(r"at line (\d+)", str(failed))
        raise error(Place(shown, int(line[1]) if line else 0), f"is no TOML: {failed}") from None
    except RecursionError:
        raise error(Place(shown), "is nested too deep") from None
    lines = _toml_lines(text)
    return from_plain(values, lambda keys: lines.get(tuple(keys), 0), shown)


def _toml_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key, as far as keys stand at the beginning of lines."""
    lines: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        header = re.match(r"\s*\[\s*([A-Za-z0-9_.-]+)\s*\]", line)
        key = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line)
        if header:
            section = tuple(header[1].split("."))
            lines.setdefault(section, number)
        elif key:
            lines.setdefault((*section, key[1]), number)
    return lines


def _entries(files: Files, name: str, column: str) -> list[tuple[str, Place]]:
    """The entries of an old file: lines of text, or rows of JSON with their column."""
    file = files.get(name)
    if file is None:
        return []
    if name.endswith(".json"):
        try:
            rows = json.loads(file.text)
        except (ValueError, RecursionError) as failed:
            line = getattr(failed, "lineno", 0)
            raise error(Place(file.shown, line), f"is no JSON: {failed}") from None
        found = [row.get(column) for row in rows if isinstance(row, dict) and row.get("enabled", 1)]
        return [(text, Place(file.shown)) for text in found if isinstance(text, str)]
    return [
        (line.strip(), Place(file.shown, number))
        for number, line in enumerate(file.lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _take_host(gathered: Gathered, text: str, place: Place) -> None:
    """`ADDRESS NAME NAME`."""
    words = text.split("#")[0].split()
    if not words:
        return
    if address_of(words[0]) is None or len(words) < 2:
        gathered.lose(place, text, "is no address with names", "mend the line")
        return
    for name in words[1:]:
        gathered.record(name, words[0], place, "custom.list")


def _read_settings(gathered: Gathered, root: Node, texts: Texts) -> None:
    dns = root.get("dns")
    port = dns.get("port").text or "53"
    for host in ("0.0.0.0", "[::]"):
        gathered.add_listen(f"{host}:{port}", dns.get("port").place, "dns.port")
    for one in dns.get("upstreams").entries():
        try:
            gathered.add_server(hashed(one.text), one.place, "dns.upstreams")
        except ValueError as failed:
            gathered.lose(one.place, "dns.upstreams", str(failed), "name it in upstreams.servers")
    for one in dns.get("hosts").entries():
        _take_host(gathered, one.text, one.place)
    for one in dns.get("cnameRecords").entries():
        *aliases, target = [word.strip() for word in one.text.split(",") if not word.strip().isdigit()]
        for alias in aliases:
            rule = gathered.rule(alias, RuleForm.EXACT, one.place, "dns.cnameRecords")
            to = gathered.rule(target, RuleForm.EXACT, one.place, "dns.cnameRecords")
            if rule is not None and to is not None:
                gathered.answer(rule, f"CNAME {to.text.lstrip('=')}.", one.place)
    for one in dns.get("revServers").entries():
        words = [word.strip() for word in one.text.split(",")]
        if len(words) >= 3 and words[0] == "true":
            _take_reverse(gathered, words[1], words[2], words[3] if len(words) > 3 else "", one.place)
    old = root.get("old")
    if old.get("REV_SERVER").flag():
        network, target, domain = (old.get(f"REV_SERVER_{key}").text for key in ("CIDR", "TARGET", "DOMAIN"))
        _take_reverse(gathered, network, target, domain, old.get("REV_SERVER").place)
    _read_blocking(gathered, dns)
    _read_rest(gathered, root)
    lines = [(one.text, one.place) for one in root.get("misc", "dnsmasq_lines").entries()]
    dnsmasq.read_lines(gathered, lines, texts)


def _take_reverse(gathered: Gathered, network: str, target: str, domain: str, place: Place) -> None:
    """Conditional forwarding: a network's PTR records and its domain have a server of their own."""
    try:
        suffixes = [*dnsmasq.reverse_zones(network), *([domain] if domain else [])]
        gathered.add_server(hashed(target), place, "dns.revServers", suffixes)
    except ValueError as failed:
        gathered.lose(place, "dns.revServers", str(failed), "name the zones in upstreams.forward")


def _read_blocking(gathered: Gathered, dns: Node) -> None:
    mode = dns.get("blocking", "mode")
    word = mode.text.upper() or "NULL"
    action, is_own = _MODES.get(word, ("sinkhole", False))
    gathered.defaults["action"] = action
    if is_own:
        given = {"ipv4": dns.get("reply", "blocking", "IPv4"), "ipv6": dns.get("reply", "blocking", "IPv6")}
        sinkhole = {"ipv4": "0.0.0.0", "ipv6": "::"}
        for version, one in given.items():
            address = address_of(one.text)
            if address is not None:
                sinkhole[version] = str(address)
        gathered.defaults["sinkhole"] = sinkhole
        if sinkhole["ipv4"] == "0.0.0.0":
            why = "blocked names are answered with Pi-hole's own address, which is no use here"
            gathered.lose(
                mode.place, f"dns.blocking.mode {word}", why, "set defaults.sinkhole, or leave 0.0.0.0"
            )
    ttl = dns.get("blockTTL")
    if ttl.number is not None:
        gathered.defaults["ttl_s"] = int(min(max(ttl.number, 0), 86_400))
    active = dns.get("blocking", "active")
    if active.is_there and not active.flag(default=True):
        gathered.defaults["mode"] = "disabled"
        gathered.remark("blocking is off there, so nothing is blocked here either (defaults.mode: disabled)")


def _read_rest(gathered: Gathered, root: Node) -> None:
    dns = root.get("dns")
    for keys, why, instead in (
        (
            ("dns", "dnssec"),
            "answers are not validated here",
            "name upstreams that validate, and mark them trust_ad",
        ),
        (("dhcp", "active"), "there is no DHCP server here", "serve DHCP from the router or another program"),
        (("dns", "domainNeeded"), "names without a dot are asked upstream, which denies them", "nothing"),
        (("dns", "analyzeOnlyAandAAAA"), "blocked names are blocked for every query type", "nothing"),
    ):
        if root.get(*keys).flag():
            gathered.lose(root.get(*keys).place, ".".join(keys), why, instead)
    interface = dns.get("interface")
    if interface.text:
        why = f"addresses are named, not interfaces ({show(interface.text)})"
        gathered.lose(
            interface.place, "dns.interface", why, "name its addresses in listen.dns", changes_answers=False
        )
    rate, interval = dns.get("rateLimit", "count").number, dns.get("rateLimit", "interval").number
    old = re.fullmatch(r"(\d{1,7})/(\d{1,7})", dns.get("rateLimit").text)
    if old is not None:
        rate, interval = float(old[1]), float(old[2])
    if rate and interval:
        gathered.settings["clients.rate_limit_qps"] = max(1, int(rate / interval))
        gathered.remark("a client's limit counts each second here, there all queries of a longer interval")
    if dns.get("specialDomains", "iCloudPrivateRelay").flag(default=True):
        gathered.settings["special_names.browser_relay"] = "block"
    size = dns.get("cache", "size")
    if size.number == 0:
        gathered.lose(size.place, "dns.cache.size", "the cache is always on", "nothing: TTLs are kept")
    logging = dns.get("queryLogging")
    if logging.is_there and logging.flag():
        why = "who asked what is not written down here, unless you say so"
        instead = "set log.queries, and read what the guide says of it"
        gathered.lose(logging.place, "dns.queryLogging", why, instead, changes_answers=False)
    for version in ("ipv4", "ipv6"):
        one = root.get("ntp", version, "active")
        if one.flag():
            why, instead = "there is no time server here", "let clients ask another one"
            gathered.lose(one.place, f"ntp.{version}.active", why, instead, changes_answers=False)
