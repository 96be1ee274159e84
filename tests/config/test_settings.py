"""Settings: defaults, every kind of mistake with its line, and what this version does not serve."""

from __future__ import annotations

import inspect
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.cache import ResponseCache
from resolver.config.settings import Endpoint, Settings, UpstreamServer, load_settings, settings_schema
from resolver.config.yamlmodel import Section
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.plan import ForwardPlan
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.stream import StreamListener
from resolver.wire.names import name_from_text
from tests.support.for_each import for_each

CONFIG = Path(__file__).parents[2] / "config"


def load(text: str) -> Settings:
    settings, problems = load_settings(Path("dir/resolver.yaml"), octets=text.encode())
    assert problems == []
    assert settings is not None
    return settings


def complaints(text: str) -> list[str]:
    settings, problems = load_settings(Path("f"), octets=text.encode())
    assert settings is None
    return [str(problem) for problem in problems]


def test_an_empty_file_means_all_defaults_and_says_so() -> None:
    settings, problems = load_settings(Path("dir/resolver.yaml"), octets=b"")
    assert settings is not None
    assert settings.listen.dns == (Endpoint("127.0.0.1", 5335), Endpoint("::1", 5335))
    assert settings.cache.size_octets == 64 * 1024 * 1024
    assert [problem.severity for problem in problems] == ["warning"]


def test_names_of_the_pages_are_read_as_a_browser_sends_them() -> None:
    hosts = load("http: {hosts: [Resolver.Corp.Example., bücher.example]}").http.hosts
    assert hosts == ("resolver.corp.example", "xn--bcher-kva.example")
    [complaint] = complaints("http: {hosts: ['no name']}")
    assert complaint.startswith("f:1: http.hosts")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("records: {сorp.example: [192.0.2.1]}", "records"),
        ("upstreams: {forward: {сorp.example: ['udp://192.0.2.1:53']}}", "upstreams.forward"),
        (
            "upstreams: {servers: ['https://сorp.example/dns-query'], bootstrap: ['192.0.2.1:53']}",
            "upstreams.servers",
        ),
        ("http: {hosts: [a.example, сorp.example]}", "http.hosts"),
        ("ddr: {name: сorp.example}", "ddr.name"),
        ("client_names: {below: сorp.example}", "client_names.below"),
    ],
)
def test_a_name_in_letters_of_several_scripts_is_warned_about(text: str, where: str) -> None:
    settings, problems = load_settings(Path("f"), octets=f"# two\n{text}\n".encode())
    assert settings is not None
    [said] = [problem for problem in problems if "mixes Latin letters with Cyrillic (с)" in problem.message]
    assert (said.severity, said.line) == ("warning", 2) and said.message.startswith(f"{where}: ")


def test_names_in_one_script_are_not_warned_about() -> None:
    load("records: {биржа.example: [192.0.2.1], bücher.example: [192.0.2.2]}")


def test_of_entries_that_are_all_wrong_none_is_said_to_be_missing() -> None:
    found = complaints("upstreams:\n  servers: ['udp://no', 'utp://192.0.2.1:53']\n")
    assert len(found) == 2 and not any("is empty" in said for said in found)


def test_the_shipped_settings_are_the_defaults() -> None:
    shipped, problems = load_settings(CONFIG / "resolver.yaml")
    defaults, _ = load_settings(CONFIG / "resolver.yaml", octets=b"")
    assert problems == []
    assert shipped == defaults


def test_a_default_that_a_room_has_besides_is_the_one_of_the_file() -> None:
    defaults = Settings()
    sections = (defaults.cache, defaults.clients, defaults.limits, defaults.upstreams)
    here = {key: value for section in sections for key, value in section}
    # Limits of TCP connections go without the word in a room that has no others.
    here |= {key.removeprefix("tcp_"): value for key, value in defaults.limits if key.startswith("tcp_")}
    there = [
        (room.__name__, name, parameter.default)
        for room in (ResponseCache, Service, Forwarder, ForwardPlan, ConnectionLimits, StreamListener)
        for name, parameter in inspect.signature(room).parameters.items()
        if parameter.default not in (parameter.empty, None) and name in here
    ]
    assert len(there) > 5
    assert [found for found in there if found[2] != here[found[1]]] == []


def test_the_shipped_settings_name_every_key() -> None:
    text = (CONFIG / "resolver.yaml").read_text()

    def keys(model: type[Section]) -> set[str]:
        found = set(model.model_fields)
        for field in model.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                found |= keys(field.annotation)
        return found

    assert {key for key in keys(Settings) if f"{key}:" not in text} == set()


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_example_settings_load(path: Path) -> None:
    settings, problems = load_settings(path)
    assert settings is not None
    assert problems == []
    # office.yaml is made to be copied, with the blocklist beside it.
    folder = CONFIG if path.name == "office.yaml" else CONFIG.parent
    assert settings.blocklist == folder / "blocklist.yaml"


def test_every_key_says_what_it_means_and_when_it_applies() -> None:
    def check(model: type[Section]) -> None:
        for name, field in model.model_fields.items():
            assert field.description, name
            assert isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("applies"), name
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                check(field.annotation)

    check(Settings)


def test_paths_start_at_the_folder_of_the_file() -> None:
    settings = load("blocklist: lists/b.yaml\nstate_dir: /var/lib/x\n")
    assert settings.blocklist == Path("dir/lists/b.yaml")
    assert settings.state_dir == Path("/var/lib/x")


def test_texts_become_values() -> None:
    settings = load(
        """
        listen: {dns: ["0.0.0.0:53", "[2001:db8::1]:5335", "127.0.0.1:0"], http: null}
        clients: {allow: [192.0.2.0/24, "2001:db8::/32", 198.51.100.7]}
        upstreams:
          servers: ["udp://192.0.2.53", "tcp://[2001:db8::53]:5353", {url: "udp://[2001:db8::53]", trust_ad: true}]
          forward: {Corp.Example.: ["udp://192.0.2.1:53"]}
        records: {bücher.example: [192.0.2.1, "2001:db8::1"]}
        """
    )
    assert (
        settings.listen.dns[1] == Endpoint("2001:db8::1", 5335)
        and str(settings.listen.dns[1]) == "[2001:db8::1]:5335"
    )
    assert settings.listen.http is None
    assert settings.clients.allow[2] == ip_network("198.51.100.7/32")
    assert settings.upstreams.servers == (
        UpstreamServer("udp", "192.0.2.53", 53),
        UpstreamServer("tcp", "2001:db8::53", 5353),
        UpstreamServer("udp", "2001:db8::53", 53, trust_ad=True),
    )
    assert str(settings.upstreams.servers[1]) == "tcp://[2001:db8::53]:5353"
    assert list(settings.upstreams.forward) == [name_from_text("corp.example")]
    assert settings.records == {
        name_from_text("xn--bcher-kva.example"): (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    }


@pytest.mark.parametrize(
    ("suffix", "warned"),
    [
        ("'.'", "special names (localhost, test, local, private reverse zones and their like) stay here"),
        ("localhost", "localhost is never forwarded"),
        ("a.localhost", "localhost is never forwarded"),
        ("home.arpa", None),
        ("notlocalhost", None),
    ],
)
def test_what_forward_cannot_mean_is_warned_about(suffix: str, warned: str | None) -> None:
    text = f"upstreams:\n  forward:\n    {suffix}: ['udp://192.0.2.1:53']\n"
    settings, problems = load_settings(Path("f"), octets=text.encode())
    assert settings is not None and len(problems) == (warned is not None)
    for problem in problems:
        assert (problem.severity, problem.line) == ("warning", 3)
        assert warned is not None and warned in problem.message


def test_nat64_prefixes_are_read_and_those_that_cannot_be_are_refused() -> None:
    assert load("upstreams: {nat64_prefixes: null}").upstreams.nat64_prefixes is None
    assert load("upstreams: {nat64_prefixes: []}").upstreams.nat64_prefixes == ()
    prefixes = load(
        "upstreams: {nat64_prefixes: ['2001:db8:64::/96', '2001:db8::/32']}"
    ).upstreams.nat64_prefixes
    assert prefixes is not None and [*map(str, prefixes)] == ["2001:db8:64::/96", "2001:db8::/32"]
    for text, reason in (
        ("'2001:db8::/33'", "its length must be one of /32, /40, /48, /56, /64, /96"),
        ("'2001:db8:0:0:100::/96'", "its bits 64 to 71 must be zero"),
        ("'192.0.2.0/24'", "is no NAT64 prefix"),
        ("'2001:db8::1/96'", "did you mean '2001:db8::/96'?"),
        ("96", "is not a network"),
    ):
        [complaint] = complaints(f"upstreams: {{nat64_prefixes: [{text}]}}")
        assert complaint.startswith("f:1: upstreams.nat64_prefixes") and reason in complaint


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError):
        load("threads: 0").cache.size_mb = 1


@for_each(
    ("text", "complaint"),
    [
        ("cahce: {}", "f:1: unknown key 'cahce' (did you mean 'cache'?)"),
        ("cache:\n  size_bm: 1", "f:2: unknown key 'cache.size_bm' (did you mean 'size_mb'?)"),
        ("log: {zzzz: 1}", "f:1: unknown key 'log.zzzz'; known keys: level, format, queries, clients, key_file"),
        ("log:\n  level: warnin", "f:2: log.level: 'warnin' is not allowed; allowed: debug, info, warning, error; default info (did you mean 'warning'?)"),
        ("log: {queries: null}", "f:1: log.queries: null is not allowed; allowed: none, blocked, all; default none"),
        ("cache:\n\n  size_mb: 0", "f:3: cache.size_mb: 0 is not allowed; allowed: a whole number from 1 to 65536 (MiB); default 64"),
        ("cache: {size_mb: '64'}", "f:1: cache.size_mb: '64' is not allowed; allowed: a whole number from 1 to 65536 (MiB); default 64"),
        ("cache: {size_mb: true}", "f:1: cache.size_mb: true is not allowed; allowed: a whole number from 1 to 65536 (MiB); default 64"),
        ("upstreams: {timeout_s: .nan}", "f:1: upstreams.timeout_s: nan is not allowed; allowed: a number from 0.1 to 30.0 (seconds); default 2.0"),
        ("upstreams: {timeout_s: 60}", "f:1: upstreams.timeout_s: 60 is not allowed; allowed: a number from 0.1 to 30.0 (seconds); default 2.0"),
        ("limits: {tcp_idle_s: 0}", "f:1: limits.tcp_idle_s: 0 is not allowed; allowed: a number from 1.0 to 3600.0 (seconds); default 10.0"),
        ("log: 5", "f:1: log: 5 is not allowed; allowed: a mapping (key: value)"),
        ("[a]", "f:1: the file: a list is not allowed; allowed: a mapping (key: value)"),
        ("records: {a.example: 5}", "f:1: records.a.example: 5 is not allowed; allowed: a list"),
        ("listen: {dns: '127.0.0.1:53'}", "f:1: listen.dns: '127.0.0.1:53' is not allowed; allowed: a list"),
        ("cache: {ttl_min_s: 600, ttl_max_s: 60}", "f:1: cache.ttl_min_s: 600 is more than cache.ttl_max_s (60)"),
        ("upstreams: {servers: []}", "f:1: upstreams.servers: is empty; allowed: a list with at least one entry"),
        ("records: {A.example: [192.0.2.1], a.example: [192.0.2.2]}", "f:1: records: the same name stands here twice, spelt differently"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_value_range_and_suggestion(text: str, complaint: str) -> None:
    assert complaint in complaints(text)


@pytest.mark.parametrize(
    "text",
    [
        "engine: auto",
        "engine: python",
        "engine: native",
        "threads: 2",
        "listen: {tls: []}",
        "tls: {key: null}",
        "upstreams: {strategy: ordered}",
    ],
)
def test_what_it_does_serve_is_not(text: str) -> None:
    load(text)


@pytest.mark.parametrize(
    ("listen", "server", "is_loop"),
    [
        ("127.0.0.1:5335", "udp://127.0.0.1:5335", True),
        ("0.0.0.0:5335", "tcp://127.0.0.1:5335", True),
        ("[::]:5335", "udp://[::1]:5335", True),
        ("127.0.0.1:5335", "udp://127.0.0.1:5336", False),
        ("127.0.0.1:5335", "udp://127.0.0.2:5335", False),
        ("0.0.0.0:5335", "udp://192.0.2.1:5335", False),
    ],
)
def test_an_upstream_that_is_the_server_itself_is_refused(listen: str, server: str, is_loop: bool) -> None:
    for key in (f"servers: ['{server}']", f"forward: {{corp.example: ['{server}']}}"):
        text = f"listen: {{dns: ['{listen}']}}\nupstreams: {{{key}}}\n"
        if is_loop:
            assert "is this server itself" in complaints(text)[0]
        else:
            load(text)


def test_an_open_resolver_is_warned_of() -> None:
    settings, problems = load_settings(Path("f"), octets=b"clients: {allow: [0.0.0.0/0]}")
    assert settings is not None
    assert "open resolvers" in problems[0].message and problems[0].severity == "warning"


def test_all_problems_are_told_at_once() -> None:
    found = complaints("cache: {size_mb: 0}\nlog: {level: x, format: y}\nengine: z\nzzzz: 1\na: 1\na: 2\n")
    assert [line.split(":")[1] for line in found] == ["1", "2", "2", "3", "4", "5", "6"]


def test_a_missing_file_is_a_problem() -> None:
    settings, problems = load_settings(Path("/nonexistent/resolver.yaml"))
    assert settings is None
    assert "No such file" in str(problems[0])


def test_the_schema_knows_every_section_and_range() -> None:
    schema: dict[str, Any] = settings_schema()
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["additionalProperties"] is False
    size = schema["$defs"]["CacheSection"]["properties"]["size_mb"]
    assert (size["minimum"], size["maximum"], size["default"]) == (1, 65536, 64)
    assert schema["$defs"]["Listen"]["properties"]["dns"]["default"] == ["127.0.0.1:5335", "[::1]:5335"]


@given(st.binary(max_size=200) | st.text(alphabet="abl:-[]{}'\"\n *&!|>#,5", max_size=80).map(str.encode))
def test_no_octets_raise(octets: bytes) -> None:
    settings, problems = load_settings(Path("f"), octets=octets)
    assert settings is not None or problems


# Bootstrap servers.


def bootstrap(text: str) -> list[str]:
    settings, problems = load_settings(
        Path("resolver.yaml"), octets=f"upstreams: {{bootstrap: {text}}}".encode()
    )
    assert settings is not None, problems
    return [str(server) for server in settings.upstreams.bootstrap]


def test_bootstrap_servers_are_numbers_with_or_without_a_port() -> None:
    text = "['192.0.2.53', '192.0.2.54:5300', '2001:db8::53', '[2001:db8::54]:5300']"
    expected = ["192.0.2.53:53", "192.0.2.54:5300", "[2001:db8::53]:53", "[2001:db8::54]:5300"]
    assert bootstrap(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[dns.example]", "dns.example"),
        ("['udp://192.0.2.53']", "without a scheme"),
        ("['0.0.0.0']", "not the address of a server"),
        ("['192.0.2.53:0']", "is not a port"),
        ("[53]", "not the address of a DNS server"),
        ("['127.0.0.1:5335']", "this server itself"),
    ],
)
def test_what_can_not_resolve_names_is_no_bootstrap_server(text: str, words: str) -> None:
    settings, problems = load_settings(
        Path("resolver.yaml"), octets=f"upstreams: {{bootstrap: {text}}}".encode()
    )
    assert settings is None
    assert any("bootstrap" in problem.message and words in problem.message for problem in problems)


@pytest.mark.parametrize(
    "text",
    [
        "records: {crypto–x.home.arpa: [192.0.2.1]}",
        "upstreams: {forward: {crypto–x.home.arpa: ['udp://192.0.2.1']}}",
    ],
)
def test_pasted_names_in_settings_are_errors_with_the_name_that_was_meant(text: str) -> None:
    settings, problems = load_settings(Path("r.yaml"), octets=text.encode())
    assert settings is None
    [problem] = problems
    assert problem.line == 1 and "did you mean 'crypto-x.home.arpa'?" in problem.message
