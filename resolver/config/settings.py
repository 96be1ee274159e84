"""`resolver.yaml` -> frozen, checked `Settings`: the keys of the file, their defaults, units and ranges.

Knows: every key of the file, its meaning, unit, range, default and when a change takes effect.
Does not know: what the rooms do with the values; `server` hands each room its part, every value of it.
A default that a room has besides, for those who use it without settings, is the one that stands here.
Theory: the raw file and the checked settings are different things.  Texts such as
`udp://192.0.2.1:53` become values here, once; no other module parses them.  What the contract has
but this version does not serve is refused by name, never ignored.
All keys take effect at the next start; only the blocklist's content is reloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from resolver.config.answer_settings import (
    ResinfoSection,
    StructuredErrorsSection,
    check_structured_errors,
)
from resolver.config.http_settings import Http, check_http
from resolver.config.identity_settings import (
    ClientNamesSection,
    DdrSection,
    NsidText,
    SpecialNamesSection,
    check_identity,
    nsid_setting,
)
from resolver.config.listen_settings import MIB, Limits, Listen, Tls, check_listen
from resolver.config.recordsinks import (
    KEY_FILE,
    SHOWN_CLIENTS,
    QueryRecordSinks,
    ShownClientsWord,
    check_sinks,
    key_objection,
)
from resolver.config.settingvalues import (
    Addresses,
    CommandWords,
    DomainName,
    Endpoint,
    Endpoints,
    Languages,
    LineText,
    ListName,
    Networks,
    PathText,
    WebAddress,
)
from resolver.config.upstream_settings import UpstreamSection, check_upstreams
from resolver.config.upstream_values import UpstreamServer
from resolver.config.yamlmodel import Section, build_section, line_of, setting
from resolver.config.yamlsource import Value, YamlMapping, read_yaml
from resolver.problems import Findings, Problem
from resolver.wire.idn import mixing_remarks
from resolver.wire.names import name_to_text

__all__ = ["DEFAULT_PATHS", "Endpoint", "Settings", "UpstreamServer", "load_settings", "settings_schema"]

DEFAULT_PATHS = (Path("config/resolver.yaml"), Path("/etc/exchange-resolver/resolver.yaml"))
"""Where settings are looked for, in this order, when nobody says."""


PRIVATE_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Who may ask by default: this machine and private networks, so that no open resolver starts by accident."""


class Clients(Section):
    """Who may ask, and how much."""

    allow: Networks = setting(PRIVATE_NETWORKS, "Networks whose queries are answered; others get REFUSED.")
    rate_limit_qps: int = setting(
        0,
        "Queries per second of one client address (IPv6: of one /64); over it UDP gets TC=1.  0: off.",
        unit="queries per second",
        least=0,
        most=1_000_000,
    )


class CacheSection(Section):
    """What is remembered, and for how long."""

    size_mb: int = setting(64, "Memory for answers.", unit="MiB", least=1, most=65_536)
    ttl_min_s: int = setting(0, "Shorter TTLs are raised to this.", unit="seconds", least=0, most=3_600)
    ttl_max_s: int = setting(86_400, "Longer TTLs are cut to this.", unit="seconds", least=1, most=604_800)
    negative_ttl_max_s: int = setting(
        3_600, "Longest time a denial is kept (RFC 2308 §5).", unit="seconds", least=0, most=86_400
    )
    stale_max_s: int = setting(
        86_400,
        "How long past its TTL an answer may stand in when upstreams fail (RFC 8767).  0: never.",
        unit="seconds",
        least=0,
        most=604_800,
    )
    rotate_addresses: bool = setting(
        True,
        "Whether the addresses of a kept answer take turns at its front, as most clients take the first.",
    )
    snapshot: bool = setting(
        True,
        "Whether what is kept is written to `state_dir` when the server stops, for its next start, which "
        "removes it.",
    )

    @property
    def size_octets(self) -> int:
        """`size_mb` in octets."""
        return self.size_mb * MIB


class Log(Section):
    """What is written down.  Query names and client addresses are off by default."""

    level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "The lowest severity that is written."
    )
    format: Literal["text", "json"] = setting("text", "One line per event: words, or one JSON object.")
    queries: Literal["none", "blocked", "all"] = setting("none", "Which queries are written.")
    clients: ShownClientsWord = setting("hidden", SHOWN_CLIENTS)
    key_file: PathText | None = setting(None, KEY_FILE)


class SuggestionSection(Section):
    """Mirrors and look-alikes, as advice: of names that are asked and allowed, those are counted that look
    like a listed exchange.  Nothing is blocked by it, and nothing is kept of who asked."""

    enabled: bool = setting(False, "Whether names that are asked are looked at for it.")
    queries_min: int = setting(
        5,
        "So many queries of one day keep a name; one that fewer ask for is forgotten at the end of the day.",
        unit="queries",
        least=1,
        most=1_000_000,
    )


class Audit(Section):
    """Audits of this server by itself: proof by queries that what is in force is blocked."""

    every_h: int = setting(
        24,
        "How often everything is audited; what a change of the policy changed is audited soon after it.  "
        "0: off, both.",
        unit="hours",
        least=0,
        most=8_760,
    )


class AcknowledgeCommand(Section):
    """What is run for each new batch of records of a list that is proved in force."""

    command: CommandWords = setting(
        ...,
        "Program and arguments, started without a shell; the batch comes as JSON on its standard input.  "
        "Exit code 0: acknowledged; any other, and it runs again later.",
    )
    timeout_s: float = setting(60.0, "Then it is ended.", unit="seconds", least=1.0, most=3_600.0)


class HitsSection(Section):
    """The history of hits, in `state_dir`."""

    days: int = setting(
        400,
        "How long hits per hour are kept; 0: no history of hits is written.",
        unit="days",
        least=0,
        most=4_000,
    )


class BlockPageSection(Section):
    """The page that blocked people see at the sinkhole address: a server of its own, without encryption."""

    listen: Endpoints = setting(
        (),
        "Where it is served, e.g. the blocklist's sinkhole addresses with port 80; none: there is no page.",
    )
    languages: Languages = setting(
        "auto", "Which languages it may take, the usual one first; auto: all that there are, English first."
    )
    operator: LineText | None = setting(None, "Who runs this network, as people know it.")
    contact: LineText | None = setting(
        None, "Whom to ask, e.g. mailto:noc@example.net; null: defaults.contact of the blocklist."
    )
    url: WebAddress | None = setting(
        None, "A page of the operator, for 'Link: rel=blocked-by' (RFC 7725); null: the contact."
    )


class Settings(Section):
    """Everything in `resolver.yaml`, checked; paths are resolved against the folder of the file."""

    listen: Listen = setting(Listen(), "Where clients reach the server.")
    tls: Tls = setting(Tls(), "The certificates of encrypted listeners.")
    clients: Clients = setting(Clients(), "Who may ask.")
    upstreams: UpstreamSection = setting(UpstreamSection(), "The servers that are asked.")
    records: dict[DomainName, Addresses] = setting(
        {}, "Local names -> their addresses, e.g. router.home.arpa: [192.168.1.1]."
    )
    cache: CacheSection = setting(CacheSection(), "The cache of answers.")
    blocklist: PathText = Field(
        default=Path("../blocklist.yaml"),
        validate_default=True,
        description="The policy file; its content is reloaded when it changes.",
        json_schema_extra={"applies": "at the next start", "allowed": "a path"},
    )
    state_dir: PathText = Field(
        default=Path("../state"),
        validate_default=True,
        description="Folder for compiled policies and the last good copy; made when absent.",
        json_schema_extra={"applies": "at the next start", "allowed": "a path"},
    )
    engine: Literal["auto", "native", "python"] = setting(
        "auto", "Data plane; auto takes the best that is installed."
    )
    threads: int = setting(0, "Threads of the native data plane; 0: one per core.", least=0, most=1_024)
    log: Log = setting(Log(), "What is logged.")
    audit: Audit = setting(Audit(), "Audits of this server by itself.")
    acknowledge: dict[ListName, AcknowledgeCommand] = setting(
        {}, "List of the policy -> the command that acknowledges what is in force of it."
    )
    hits: HitsSection = setting(HitsSection(), "The history of hits.")
    structured_errors: StructuredErrorsSection = setting(
        StructuredErrorsSection(), "Structured DNS errors, for clients that ask for them."
    )
    resinfo: ResinfoSection = setting(ResinfoSection(), "Resolver information (RFC 9606) at resolver.arpa.")
    nsid: NsidText = nsid_setting()
    special_names: SpecialNamesSection = setting(
        SpecialNamesSection(), "Names that are special by agreement, where the operator has a say."
    )
    ddr: DdrSection = setting(DdrSection(), "What _dns.resolver.arpa says of encrypted listeners (RFC 9462).")
    client_names: ClientNamesSection = setting(
        ClientNamesSection(), "Names that clients over TLS and HTTPS give themselves."
    )
    suggestions: SuggestionSection = setting(SuggestionSection(), "Look-alikes of listed exchanges.")
    query_records: QueryRecordSinks = setting(
        (), "Who else gets records of what was asked and answered, up to 8 sinks."
    )
    http: Http = setting(Http(), "Pages and API of listen.http.")
    limits: Limits = setting(Limits(), "Where the server starts refusing.")
    block_page: BlockPageSection = setting(BlockPageSection(), "The page that blocked people see.")


def load_settings(path: Path, *, octets: bytes | None = None) -> tuple[Settings | None, list[Problem]]:
    """Read and check a settings file: the settings, or None and every reason why not.

    `octets`: the content, where the caller has read it already; `path` is then only its name and
    the folder of relative paths.  An empty file means: all defaults.
    """
    file = str(path)
    tree, problems = read_yaml(path if octets is None else octets, file=file)
    findings = Findings(file)
    findings.take(problems)
    if tree is None:
        if findings.error_count:
            return None, findings.in_order()
        findings.warning(0, "is empty; every key has its default")
        tree = YamlMapping(1)
    settings = build_section(Settings, tree, findings, line=1, context={"folder": path.parent})
    if settings is not None:
        _check_together(settings, tree, findings)
    return (None if findings.error_count else settings), findings.in_order()


def key_line(path: Path, *keys: str | int) -> int:
    """The line at which a key stands in a settings file; 0 where it does not, so that its default holds."""
    tree, _ = read_yaml(path)
    return line_of(tree, keys, 0)


def settings_schema() -> dict[str, Any]:
    """Give the JSON Schema of the file, for editors."""
    schema = Settings.model_json_schema(by_alias=True)
    # Defaults as they are written in the file, not as the objects they become.
    for key, field in Settings.model_fields.items():
        default = field.default
        written = default.model_dump(mode="json") if isinstance(default, Section) else default
        if isinstance(default, Section):
            properties = schema["$defs"][type(default).__name__]["properties"]
            for name, value in written.items():
                properties[name]["default"] = value
        schema["properties"][key]["default"] = str(written) if isinstance(written, Path) else written
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Settings of exchange-resolver",
    }


def _check_together(settings: Settings, tree: Value, findings: Findings) -> None:
    """Check what no key can know alone."""

    def line(*path: str | int) -> int:
        return line_of(tree, path, 1)

    cache = settings.cache
    if cache.ttl_min_s > cache.ttl_max_s:
        message = f"cache.ttl_min_s: {cache.ttl_min_s} is more than cache.ttl_max_s ({cache.ttl_max_s})"
        findings.error(line("cache", "ttl_min_s"), message)
    check_listen(settings.listen, settings.tls, settings.limits, findings, line)
    if not settings.clients.allow:
        findings.warning(line("clients", "allow"), "clients.allow: is empty; every query is refused")
    for network in settings.clients.allow:
        if network.prefixlen == 0:
            message = f"clients.allow: {network} lets the whole internet ask; attackers abuse open resolvers"
            findings.warning(line("clients", "allow"), message)
    seen = {endpoint for _, _, endpoint in settings.listen.served()}
    _check_page(settings, findings, line)
    suffix_lines = _key_lines(tree, "upstreams", "forward")
    check_upstreams(settings.upstreams, seen, findings, line, suffix_lines)
    _check_keys_differ(settings, tree, findings)
    suffixes = zip(suffix_lines, settings.upstreams.forward, strict=False)
    check_identity(list(suffixes), findings)
    _check_scripts(settings, tree, findings)
    check_http(settings.http, settings.listen.http, findings, line)
    check_structured_errors(settings.structured_errors, line("structured_errors", "enabled"), findings)


def _check_page(settings: Settings, findings: Findings, line: Callable[..., int]) -> None:
    """Refuse an address of the block page that something else has."""
    taken = {endpoint: f"listen.{key}" for key, _, endpoint in settings.listen.served()}
    if settings.listen.http is not None:
        taken[settings.listen.http] = "listen.http"
    for index, endpoint in enumerate(settings.block_page.listen):
        if endpoint.port and endpoint in taken:
            message = f"block_page.listen: {endpoint} is taken by {taken[endpoint]}"
            findings.error(line("block_page", "listen", index), message)
        taken[endpoint] = "block_page.listen, too"
    check_sinks(settings.query_records, findings, line)
    if objection := key_objection(settings.log.clients, settings.log.key_file):
        key = "key_file" if settings.log.key_file else "clients"
        findings.error(line("log", key), f"log.{key}: {objection}")


def _check_keys_differ(settings: Settings, tree: Value, findings: Findings) -> None:
    """Refuse two spellings of one name (EXAMPLE.org and example.org): one would silently win."""
    for path, checked in (
        (("records",), settings.records),
        (("upstreams", "forward"), settings.upstreams.forward),
    ):
        lines = _key_lines(tree, *path)
        if len(lines) > len(checked):
            findings.error(lines[0], f"{'.'.join(path)}: the same name stands here twice, spelt differently")


def _check_scripts(settings: Settings, tree: Value, findings: Findings) -> None:
    """Warn of names in letters of several scripts: one that looks like the name meant is another name."""

    def warn(line: int, where: str, name: str) -> None:
        for remark in mixing_remarks(name):
            findings.warning(line, f"{where}: {remark}")

    names: dict[tuple[str, ...], Iterable[bytes]] = {
        ("records",): settings.records,
        ("upstreams", "forward"): settings.upstreams.forward,
    }
    for keys, named in names.items():
        for line, name in zip(_key_lines(tree, *keys), named, strict=False):
            warn(line, ".".join(keys), name_to_text(name))
    for keys, one in {
        ("ddr", "name"): settings.ddr.name,
        ("client_names", "below"): settings.client_names.below,
    }.items():
        if one is not None:
            warn(line_of(tree, keys, 1), ".".join(keys), name_to_text(one))
    for index, host in enumerate(settings.http.hosts):
        warn(line_of(tree, ("http", "hosts", index), 1), "http.hosts", host)
    for index, server in enumerate(settings.upstreams.servers):
        warn(line_of(tree, ("upstreams", "servers", index), 1), "upstreams.servers", server.host)


def _key_lines(tree: Value, *path: str) -> list[int]:
    for part in path:
        tree = tree.items.get(part) if isinstance(tree, YamlMapping) else None
    return list(tree.lines.values()) if isinstance(tree, YamlMapping) else []
