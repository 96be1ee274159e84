"""dnsmasq's configuration, with all that it includes -> what settings and a blocklist can take of it.

Knows: its options, as lines of a file; which of them are about names.  Does not know: how results are
written. Theory: the longest name decides there, whatever is said of it, and so it does in lists here: blocks,
exceptions (`server=/x/#`) and answers (`address=/x/192.0.2.1`) all stand in lists.  Names of hosts files
come before. Source: dnsmasq(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from resolver.lists.reading import address_of
from resolver.migration.gathered import Gathered, Place
from resolver.migration.servers import hashed
from resolver.migration.texts import Texts, in_folder
from resolver.policy.verdict import RuleForm
from resolver.problems import show

PRODUCT: Final = "dnsmasq"
_OPTION: Final = re.compile(r"(?:--)?([a-zA-Z0-9-]+)\s*(?:=\s*(.*))?\Z", re.ASCII)
_QUIET: Final = frozenset(
    [
        "bind-interfaces",
        "bind-dynamic",
        "bogus-priv",
        "no-poll",
        "user",
        "group",
        "pid-file",
        "log-facility",
        "log-async",
        "localise-queries",
        "no-negcache",
        "keep-in-foreground",
        "edns-packet-max",
        "dns-forward-max",
        "port-limit",
        "query-port",
        "min-port",
        "max-port",
        "no-resolv",
        "no-hosts",
        "no-daemon",
        "clear-on-reload",
        "except-interface",
        "local-service",
        "quiet-dhcp",
        "quiet-dhcp6",
        "conntrack",
        "dns-loop-detect",
        "hostsdir-watch",
        "max-tcp-connections",
        "use-stale-cache",
        "fast-dns-retry",
        "trust-anchor",
        "stop-dns-rebind",
        "expand-hosts",
        "domain",
        "rebind-localhost-ok",
        "rebind-domain-ok",
        "enable-dbus",
        "enable-ubus",
    ]
)
"""Options that this server needs none of, or that are read where they matter."""
_DHCP: Final = re.compile(
    r"(dhcp-.*|enable-ra|enable-tftp|tftp-.*|ra-param|pxe-.*|bootp-.*|read-ethers|leasefile-ro)"
)
_LOST: Final = {
    "dnssec": ("answers are not validated here", "name upstreams that validate, and mark them trust_ad"),
    "bogus-nxdomain": (
        "an answer with this address is not turned into NXDOMAIN",
        "list the address under an exchange's `addresses`",
    ),
    "ignore-address": ("an answer with this address is not ignored", "name an upstream that gives none"),
    "stop-dns-rebind": ("answers with private addresses are let through", "filter them in the router"),
    "domain-needed": ("names without a dot are asked upstream, which denies them", "nothing"),
    "filterwin2k": ("no query is filtered by its type", "nothing"),
    "filter-A": ("no query type is emptied for all names", "nothing"),
    "filter-AAAA": ("no query type is emptied for all names", "switch IPv6 off in the network itself"),
    "alias": ("addresses in answers are not changed", "do that in the router"),
    "ipset": ("no sets of the kernel are filled", "use a firewall that resolves names"),
    "nftset": ("no sets of the kernel are filled", "use a firewall that resolves names"),
    "txt-record": (
        "records other than addresses and CNAMEs are not answered",
        "serve the zone from a name server",
    ),
    "mx-host": (
        "records other than addresses and CNAMEs are not answered",
        "serve the zone from a name server",
    ),
    "srv-host": (
        "records other than addresses and CNAMEs are not answered",
        "serve the zone from a name server",
    ),
    "naptr-record": ("records other than addresses and CNAMEs are not answered", "serve the zone elsewhere"),
    "caa-record": ("records other than addresses and CNAMEs are not answered", "serve the zone elsewhere"),
    "dns-rr": (
        "records other than addresses and CNAMEs are not answered",
        "serve the zone from a name server",
    ),
    "auth-zone": ("it is no authority for a zone", "serve the zone from a name server"),
    "auth-server": ("it is no authority for a zone", "serve the zone from a name server"),
    "interface-name": (
        "names do not follow the addresses of an interface",
        "write the address under `records:`",
    ),
    "synth-domain": ("names are not made of addresses", "serve the zone from a name server"),
    "add-subnet": ("clients' networks are never told to upstreams", "nothing: it is more private"),
    "add-mac": ("clients' hardware addresses are never told to upstreams", "nothing: it is more private"),
    "connmark-allowlist": ("there is one policy for all clients", "run a second server for such clients"),
    "hostsdir": ("a folder of hosts files is read once, now", "change `records:` when it changes"),
    "interface": ("addresses are named, not interfaces", "name the interface's addresses in listen.dns"),
}


def read(path: Path, texts: Texts) -> Gathered:
    """All that the file and those it includes say.  Raises BadConfig."""
    gathered = Gathered(PRODUCT)
    reader = _Reader(gathered, texts)
    reader.read(path, Place(str(path)))
    reader.finish(Place(str(path)))
    return gathered


def read_lines(gathered: Gathered, lines: list[tuple[str, Place]], texts: Texts) -> None:
    """Lines of dnsmasq's configuration that stand in another product's."""
    reader = _Reader(gathered, texts)
    for line, place in lines:
        reader.take(line, place)
    reader.finish(None)


class _Reader:
    """Reads options one by one; what several of them say together is said at the end."""

    def __init__(self, gathered: Gathered, texts: Texts) -> None:
        self._gathered = gathered
        self._texts = texts
        self._port = "53"
        self._addresses: list[tuple[str, Place]] = []
        self._hosts: list[tuple[str, list[str], Place]] = []
        self._seen: dict[str, str] = {}
        self._dhcp: Place | None = None
        self._again: list[tuple[list[str], Place]] = []

    def read(self, path: Path, place: Place) -> None:
        """A file of options."""
        with self._texts.inside(path, place):
            for number, line in enumerate(self._texts.lines(path), 1):
                self.take(line, Place(str(path), number))

    def take(self, line: str, place: Place) -> None:
        """One line."""
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text:
            return
        found = _OPTION.fullmatch(text)
        if found is None:
            self._gathered.lose(place, text, "is no option of dnsmasq", "mend the line")
            return
        key, value = found[1], (found[2] or "").strip().strip('"')
        self._seen.setdefault(key, value)
        handler = getattr(self, f"_on_{key.replace('-', '_').lower()}", None)
        if handler is not None:
            handler(value, place)
        elif _DHCP.fullmatch(key):
            self._dhcp = self._dhcp or place
        elif key in _LOST:
            why, instead = _LOST[key]
            self._gathered.lose(place, text, why, instead)
        elif key not in _QUIET:
            self._gathered.lose(
                place, text, "the option is not known here", "look it up in dnsmasq(8)", changes_answers=False
            )

    def finish(self, place: Place | None) -> None:
        """Say what the options say together; `place`: of the configuration, None: it is part of another's."""
        gathered = self._gathered
        domain = self._seen.get("domain", "").split(",")[0]
        for address, names, at in self._hosts:
            for name in names:
                wanted = [name]
                if "." not in name:
                    wanted = [f"{name}.{domain}"] if domain and "expand-hosts" in self._seen else wanted
                for one in wanted:
                    gathered.record(one, address, at, "hosts")
        for suffixes, at in self._again:
            for url in list(gathered.servers):
                gathered.add_server(url, at, "server", suffixes)
        if self._dhcp is not None:
            why = "there is no DHCP, router advertisement or TFTP here"
            gathered.lose(
                self._dhcp, "dhcp-*", why, "keep dnsmasq for it, with port=0, or let the router do it"
            )
        if place is None:
            return
        if self._port != "0":
            for address, at in self._addresses or [("0.0.0.0", place), ("::", place)]:
                shown = f"[{address}]" if ":" in address else address
                gathered.add_listen(f"{shown}:{self._port}", at, "listen-address")
        if "no-hosts" not in self._seen:
            gathered.lose(
                place, "/etc/hosts", "its names are not answered here", "copy those that matter to `records:`"
            )
        gathered.defaults.update({"action": "nxdomain", "sinkhole": {"ipv4": "0.0.0.0", "ipv6": "::"}})

    def _on_conf_file(self, value: str, place: Place) -> None:
        path = self._texts.folder / value
        if not path.is_file():
            self._gathered.lose(
                place, f"conf-file={value}", "the file is not here", "copy it beside, and try again"
            )
            return
        self.read(path, place)

    _on_servers_file = _on_conf_file

    def _on_conf_dir(self, value: str, place: Place) -> None:
        folder, *endings = value.split(",")
        path = self._texts.folder / folder
        if not path.is_dir():
            self._gathered.lose(
                place, f"conf-dir={value}", "the folder is not here", "copy it beside, and try again"
            )
            return
        wanted = tuple(one.removeprefix("*") for one in endings if one.startswith("*"))
        unwanted = tuple(one for one in endings if one and not one.startswith("*"))
        for file in in_folder(path, place):
            name = file.name
            if name.startswith((".", "#")) or name.endswith("~"):
                continue
            if (wanted and not name.endswith(wanted)) or (unwanted and name.endswith(unwanted)):
                continue
            self.read(file, place)

    def _on_addn_hosts(self, value: str, place: Place) -> None:
        path = self._texts.folder / value
        files = in_folder(path, place) if path.is_dir() else [path]
        for file in files:
            if not file.is_file():
                self._gathered.lose(place, f"addn-hosts={value}", "the file is not here", "copy it beside")
                continue
            for number, line in enumerate(self._texts.lines(file), 1):
                self._take_hosts(line, Place(str(file), number))

    _on_hostsdir = _on_addn_hosts

    def _take_hosts(self, line: str, place: Place) -> None:
        words = line.split("#")[0].split()
        if len(words) > 1 and address_of(words[0]) is not None:
            address = address_of(words[0])
            assert address is not None
            if address.is_unspecified or (address.is_loopback and "localhost" not in line):
                for name in words[1:]:
                    rule = self._gathered.rule(name, RuleForm.EXACT, place, "addn-hosts")
                    if rule is not None:
                        self._gathered.answer(rule, _record(words[0]), place)
            else:
                names = [name for name in words[1:] if not name.lower().startswith(("localhost", "ip6-"))]
                self._hosts.append((words[0], names, place))

    def _on_address(self, value: str, place: Place) -> None:
        names, target = self._split(value, place, "address")
        for name in names:
            if name == "#":
                self._gathered.lose(
                    place, f"address={value}", "every name would be answered so", "name what is meant"
                )
                continue
            rule = self._gathered.rule(name, RuleForm.SUBTREE, place, f"address={value}")
            if rule is None:
                continue
            if target in ("", "#"):
                if target == "":
                    self._gathered.put(self._gathered.blocked, rule, place)
                else:
                    self._gathered.answer(rule, "A 0.0.0.0", place)
                    self._gathered.answer(rule, "AAAA ::", place)
            elif address_of(target) is None:
                self._gathered.lose(
                    place, f"address={value}", f"{show(target)} is not an address", "name the address"
                )
            else:
                self._gathered.answer(rule, _record(target), place)

    def _on_server(self, value: str, place: Place) -> None:
        if not value.startswith("/"):
            self._add(value, [], place)
            return
        names, target = self._split(value, place, "server")
        unqualified = [name for name in names if not name]
        suffixes = [name for name in names if name and name != "#"]
        if unqualified:
            self._gathered.lose(
                place, f"server={value}", "names without a dot have no rule of their own", "nothing"
            )
        if target == "#":
            for name in suffixes:
                rule = self._gathered.rule(name, RuleForm.SUBTREE, place, f"server={value}")
                self._gathered.put(self._gathered.excepted, rule, place)
        elif target:
            self._add(target, suffixes, place)
            for name in suffixes:
                if "." in name.strip("."):
                    rule = self._gathered.rule(name, RuleForm.SUBTREE, place, f"server={value}")
                    self._gathered.put(self._gathered.excepted, rule, place)
        else:
            self._keep_local(suffixes, f"server={value}", place)

    def _on_local(self, value: str, place: Place) -> None:
        self._on_server(value, place)

    def _keep_local(self, suffixes: list[str], key: str, place: Place) -> None:
        """Names that nobody else is asked for."""
        for name in suffixes:
            if "." not in name.strip("."):
                why = (
                    f"names under {name} that `records:` does not have are asked upstream, which denies them"
                )
                self._gathered.lose(place, key, why, "nothing, unless those questions must stay here")
                continue
            self._gathered.put(
                self._gathered.blocked, self._gathered.rule(name, RuleForm.SUBTREE, place, key), place
            )

    def _on_rev_server(self, value: str, place: Place) -> None:
        network, _, target = value.partition(",")
        try:
            suffixes = list(reverse_zones(network))
        except ValueError as error:
            self._gathered.lose(
                place, f"rev-server={value}", str(error), "name the zone in upstreams.forward"
            )
            return
        self._add(target, suffixes, place)

    def _add(self, target: str, suffixes: list[str], place: Place) -> None:
        try:
            url = hashed(target)
        except ValueError as error:
            self._gathered.lose(place, f"server={target}", str(error), "name it in upstreams.servers")
            return
        self._gathered.add_server(url, place, "server", suffixes)

    def _on_host_record(self, value: str, place: Place) -> None:
        words = [word.strip() for word in value.split(",")]
        addresses = [word for word in words if address_of(word) is not None]
        names = [word for word in words if word and address_of(word) is None and not word.isdigit()]
        for address in addresses:
            self._hosts.append((address, names, place))

    def _on_cname(self, value: str, place: Place) -> None:
        *aliases, target = [word.strip() for word in value.split(",") if not word.strip().isdigit()]
        for alias in aliases:
            form = RuleForm.BELOW if alias.startswith("*.") else RuleForm.EXACT
            rule = self._gathered.rule(alias.removeprefix("*."), form, place, f"cname={value}")
            to = self._gathered.rule(target, RuleForm.EXACT, place, f"cname={value}")
            if rule is not None and to is not None:
                self._gathered.answer(rule, f"CNAME {to.text.lstrip('=')}.", place)

    def _on_ptr_record(self, value: str, place: Place) -> None:
        why = "PTR records come with the names of `records:`"
        self._gathered.lose(place, f"ptr-record={value}", why, "give the name its address there")

    def _on_port(self, value: str, place: Place) -> None:
        self._port = value or "53"

    def _on_listen_address(self, value: str, place: Place) -> None:
        self._addresses += [(word.strip(), place) for word in value.split(",") if word.strip()]

    def _on_strict_order(self, value: str, place: Place) -> None:
        self._gathered.settings["upstreams.strategy"] = "ordered"

    def _on_all_servers(self, value: str, place: Place) -> None:
        self._gathered.settings["upstreams.strategy"] = "parallel"

    def _on_max_cache_ttl(self, value: str, place: Place) -> None:
        if value.isdigit() and len(value) < 10:
            self._gathered.limited("cache.ttl_max_s", int(value), 1, 604_800, place, "max-cache-ttl")

    def _on_min_cache_ttl(self, value: str, place: Place) -> None:
        if value.isdigit() and len(value) < 10:
            self._gathered.limited("cache.ttl_min_s", int(value), 0, 3_600, place, "min-cache-ttl")

    def _on_local_ttl(self, value: str, place: Place) -> None:
        if value.isdigit() and len(value) < 10:
            self._gathered.defaults["ttl_s"] = min(int(value), 86_400)

    def _on_resolv_file(self, value: str, place: Place) -> None:
        if "no-resolv" not in self._seen:
            why = f"the servers that {show(value)} names are not read"
            self._gathered.lose(place, f"resolv-file={value}", why, "name them in upstreams.servers")

    def _on_cache_size(self, value: str, place: Place) -> None:
        if value == "0":
            self._gathered.lose(place, "cache-size=0", "the cache is always on", "nothing: TTLs are kept")

    def _on_log_queries(self, value: str, place: Place) -> None:
        why = "who asked what is not written down here, unless you say so"
        instead = "set log.queries, and read what the guide says of it"
        self._gathered.lose(place, "log-queries", why, instead, changes_answers=False)

    def _split(self, value: str, place: Place, key: str) -> tuple[list[str], str]:
        """The names and the target of `/x/y/TARGET`."""
        if not value.startswith("/") or value.count("/") < 2:
            self._gathered.lose(place, f"{key}={value}", "has no /name/", "mend the line")
            return [], ""
        *names, target = value[1:].split("/")
        kept = []
        for name in names:
            bare = name.strip().removeprefix("*.")
            if "*" in bare:
                why = "a pattern that matches parts of names has no counterpart"
                self._gathered.lose(place, f"{key}={value}", why, "list the names it is meant for")
                continue
            kept.append(bare.strip("."))
        return kept, target.strip()


def _record(address: str) -> str:
    return f"AAAA {address}" if ":" in address else f"A {address}"


def reverse_zones(text: str) -> Iterator[str]:
    """The zones of PTR records that cover a network.  Raises ValueError."""
    network = ip_network(text.strip(), strict=False)
    step = 8 if network.version == 4 else 4
    length = -(-network.prefixlen // step) * step
    if not length > 0 or length - network.prefixlen > step - 1:
        raise ValueError(f"{show(text)} is too wide")
    for part in network.subnets(new_prefix=length):
        labels = part.network_address.reverse_pointer.split(".")
        kept = length // step + 2
        yield ".".join(labels[len(labels) - kept :])
