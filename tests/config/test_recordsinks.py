"""`query_records` in the settings: what is read, and every mistake with its line and remedy."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationInfo

from resolver.config.recordsinks import SINKS_MAX, QueryRecordSink, target_from
from resolver.config.settings import load_settings, settings_schema
from tests.support.for_each import for_each

LINES = "name: a, type: jsonl, to: q.jsonl"


def sinks(text: str) -> tuple[QueryRecordSink, ...]:
    settings, problems = load_settings(Path("dir/resolver.yaml"), octets=text.encode())
    assert problems == []
    assert settings is not None
    return settings.query_records


def complaints(text: str) -> list[str]:
    settings, problems = load_settings(Path("f"), octets=text.encode())
    assert settings is None
    return [str(problem) for problem in problems]


def test_an_entry_has_safe_defaults() -> None:
    [sink] = sinks(f"query_records:\n  - {{{LINES}}}")
    assert (sink.queries, sink.clients, sink.rotate_mb, sink.keep) == ("blocked", "hidden", 0, 5)
    assert (sink.to.way, sink.to.path) == ("file", Path("dir/q.jsonl"))


@pytest.mark.parametrize(
    ("kind", "to", "way", "shown"),
    [
        ("jsonl", "/var/log/q", "file", "/var/log/q"),
        ("dnstap", "unix:/run/s", "unix", "unix:/run/s"),
        ("dnstap", "unix:s", "unix", "unix:dir/s"),
        ("dnstap", "unix:///run/s", "unix", "unix:/run/s"),
        ("syslog", "udp://192.0.2.1:514", "udp", "udp://192.0.2.1:514"),
        ("jsonl", "tcp://[2001:db8::1]:601", "tcp", "tcp://[2001:db8::1]:601"),
        ("syslog", "tls://192.0.2.1:6514#siem.example", "tls", "tls://192.0.2.1:6514#siem.example"),
        ("jsonl", "tls://192.0.2.1:6514#2001:db8::1", "tls", "tls://192.0.2.1:6514#2001:db8::1"),
    ],
)
def test_every_way_is_read_and_shown_as_it_is_written(kind: str, to: str, way: str, shown: str) -> None:
    [sink] = sinks(f"query_records:\n  - {{name: a, type: {kind}, to: '{to}'}}")
    assert (sink.to.way, str(sink.to)) == (way, shown)


@for_each(
    ("entry", "complaint"),
    [
        ("type: jsonl, to: q", "f:2: query_records.name is missing"),
        ("name: a, to: q", "f:2: query_records.type is missing"),
        ("name: a, type: jsonl", "f:2: query_records.to is missing"),
        ("name: log, type: jsonl, to: q", "query_records.name: 'log' is the query log's own name"),
        ("name: A b, type: jsonl, to: q", "query_records.name: 'A b' is not a name"),
        ("name: a, type: csv, to: q", "query_records.type: 'csv' is not allowed; allowed: jsonl, dnstap, syslog"),
        ("name: a, type: jsonl, to: 5", "query_records.to: 5 is not allowed; write a path"),
        ("name: a, type: jsonl, to: 'http://x'", "unknown scheme 'http'"),
        ("name: a, type: syslog, to: 'tcp://siem:514'", "'siem' is not an IP address"),
        ("name: a, type: syslog, to: 'tcp://192.0.2.1'", "has no port"),
        ("name: a, type: syslog, to: 'tcp://0.0.0.0:514'", "is not the address of a receiver"),
        ("name: a, type: syslog, to: 'tcp://192.0.2.1:514#x'", "stands behind tls:// only"),
        ("name: a, type: syslog, to: 'tls://192.0.2.1:514#.foo'", "'.foo' is no name of a certificate"),
        ("name: a, type: syslog, to: 'tls://192.0.2.1:514#foo.'", "'foo.' is no name of a certificate"),
        ("name: a, type: syslog, to: 'tls://192.0.2.1:514#a..b'", "'a..b' is no name of a certificate"),
        ("name: a, type: syslog, to: 'tls://192.0.2.1:514#a:b'", "'a:b' is no name of a certificate"),
        (f"name: a, type: syslog, to: 'tls://192.0.2.1:514#{'x' * 64}.example'", "labels of 1 to 63 signs"),
        ("name: a, type: syslog, to: q", "query_records.to: syslog goes to udp, tcp, tls, not to 'q'"),
        ("name: a, type: dnstap, to: 'udp://192.0.2.1:5'", "dnstap goes to a file, unix, tcp, tls, not to 'udp://192.0.2.1:5'"),
        (f"{LINES}, clients: encrypted", "query_records.clients: encrypted needs key_file; make a key: "),
        (f"{LINES}, key_file: k", "query_records.key_file: is not used by clients: hidden"),
        (f"{LINES}, pace: 0123", "unknown key 'query_records.pace'; known keys: name, type, to"),
        (f"{LINES}, tls_ca: k", "query_records.tls_ca: is for tls:// only"),
        (f"{LINES}, tls_key: k, tls_certificate: c", "query_records.tls_key: is for tls:// only"),
        ("name: a, type: syslog, to: 'tls://192.0.2.1:5', tls_key: k", "query_records.tls_key: needs tls_certificate beside it"),
        ("name: a, type: syslog, to: 'tls://192.0.2.1:5', tls_certificate: c", "query_records.tls_certificate: needs tls_key beside it"),
        (f"{LINES}, rotate_mb: -1", "query_records.rotate_mb: -1 is not allowed; allowed: a whole number from 0 to 1048576 (MiB)"),
        ("name: a, type: dnstap, to: 'unix:s', rotate_mb: 1", "query_records.rotate_mb: only a file can be turned"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_to_do(entry: str, complaint: str) -> None:
    found = complaints(f"query_records:\n  - {{{entry}}}")
    assert any(complaint in each and each.startswith("f:2: ") for each in found), found


def test_two_sinks_share_neither_name_nor_file() -> None:
    other = LINES.replace("q.jsonl", "./q.jsonl")
    found = complaints(f"query_records:\n  - {{{LINES}}}\n  - {{{other}}}")
    assert found == [
        "f:3: query_records.name: a is taken by another sink",
        "f:3: query_records.to: 'q.jsonl' is taken by another sink",
    ]


def test_there_are_only_so_many_sinks() -> None:
    entries = [f"  - {{name: n{number}, type: jsonl, to: q{number}}}" for number in range(SINKS_MAX + 1)]
    assert len(sinks("query_records:\n" + "\n".join(entries[:-1]))) == SINKS_MAX
    assert complaints("query_records:\n" + "\n".join(entries)) != []


def test_the_query_log_takes_the_same_key() -> None:
    assert complaints("log: {clients: encrypted}") == [
        "f:1: log.clients: encrypted needs key_file; make a key: (umask 077; openssl rand -hex 32 > FILE)"
    ]
    settings, problems = load_settings(Path("d/f"), octets=b"log: {clients: encrypted, key_file: k}")
    assert settings is not None and settings.log.key_file == Path("d/k") and problems == []


def test_the_schema_has_the_keys_of_a_sink() -> None:
    schema = settings_schema()
    assert schema["properties"]["query_records"]["maxItems"] == SINKS_MAX
    entry = schema["$defs"]["QueryRecordSink"]
    assert entry["required"] == ["name", "type", "to"]
    assert entry["properties"]["to"]["type"] == "string"


labels = st.text("aZ0-", min_size=1, max_size=70)


@given(st.lists(labels, min_size=1, max_size=5).map(".".join), st.sampled_from(["", "."]))
def test_every_name_that_is_read_is_one_that_ssl_takes(name: str, end: str) -> None:
    try:
        target = target_from(f"tls://192.0.2.1:6514#{name}{end}", cast(ValidationInfo, None))
    except ValueError:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=target.name)
