"""`query_records`, and how much of clients is shown: the keys of a sink, and what must fit together.

Knows: every key of an entry, which ways each type of sink has.  Does not know: what a sink does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from resolver.config.settingvalues import Endpoint, PathText, endpoint_from, path_from
from resolver.config.yamlmodel import Section, setting
from resolver.problems import Findings, show

SINKS_MAX: Final = 8
"""Each has a thread, and octets that wait."""

ShownClientsWord = Literal["hidden", "network", "full", "encrypted"]

SHOWN_CLIENTS: Final = (
    "How much of a client's address is written: nothing, its /24 or /48, all, "
    "or all of it encrypted so that networks stay together (ipcrypt-pfx)."
)
KEY_FILE: Final = "File of the key for `clients: encrypted`: 64 hexadecimal digits, readable by nobody else."

WAYS_OF: Final = {
    "jsonl": ("file", "unix", "tcp", "tls"),
    "dnstap": ("file", "unix", "tcp", "tls"),
    "syslog": ("udp", "tcp", "tls"),
}
"""By the type of the sink."""

_FORM: Final = "write a path, unix:PATH, udp://ADDRESS:PORT, tcp://ADDRESS:PORT or tls://ADDRESS:PORT#NAME"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class RecordTarget:
    """Where records go; `str()` gives the form it is written in."""

    way: str
    """`file`, `unix`, `udp`, `tcp` or `tls`."""
    path: Path | None = None
    endpoint: Endpoint | None = None
    name: str = ""
    """That the certificate must have; empty: the address."""

    def __str__(self) -> str:
        if self.way in ("file", "unix"):
            return f"unix:{self.path}" if self.way == "unix" else str(self.path)
        return f"{self.way}://{self.endpoint}" + (f"#{self.name}" if self.name else "")


def target_from(value: object, info: ValidationInfo) -> RecordTarget:
    """Read where records go; a relative path starts at the folder of the settings."""
    if isinstance(value, RecordTarget):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not allowed; {_FORM}")
    if value.startswith("unix:"):
        return RecordTarget("unix", path_from(value.removeprefix("unix:").removeprefix("//"), info))
    scheme, separator, rest = value.partition("://")
    if not separator:
        return RecordTarget("file", path_from(value, info))
    if scheme not in ("udp", "tcp", "tls"):
        raise ValueError(f"{show(value)}: unknown scheme {show(scheme)}; {_FORM}")
    address, mark, name = rest.partition("#")
    if mark and (scheme != "tls" or not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", name)):
        raise ValueError(f"{show(value)}: the name of a certificate stands behind tls:// only; {_FORM}")
    if mark and not _is_certificate_name(name):
        raise ValueError(
            f"{show(value)}: {show(name)} is no name of a certificate; "
            "write an address, or labels of 1 to 63 signs with dots between them"
        )
    endpoint = endpoint_from(address)
    if endpoint.port == 0 or ip_address(endpoint.address).is_unspecified:
        raise ValueError(f"{show(value)} is not the address of a receiver; {_FORM}")
    return RecordTarget(scheme, endpoint=endpoint, name=name)


def _is_certificate_name(name: str) -> bool:
    """An address, or labels as DNS has them, for ssl raises ValueError over others."""
    try:
        ip_address(name)
    except ValueError:
        return ":" not in name and all(1 <= len(label) <= 63 for label in name.split("."))
    return True


def sink_name_from(value: object) -> str:
    """Read the name of a sink."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{show(value)} is not a name; allowed: 1 to 32 of a-z, 0-9, - and _")
    if value == "log":
        raise ValueError("'log' is the query log's own name; take another one")
    return value


def _text(read: Callable[..., Any], example: str) -> tuple[Any, ...]:
    return (
        PlainValidator(read),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


TargetText = Annotated[RecordTarget, *_text(target_from, "/var/log/exchange-resolver/queries.jsonl")]
SinkName = Annotated[str, *_text(sink_name_from, "blocked")]


class QueryRecordSink(Section):
    """One reader of what was asked and answered."""

    name: SinkName = setting(..., "Its name in metrics and in the log.")
    type: Literal["jsonl", "dnstap", "syslog"] = setting(
        ..., "Lines of JSON, dnstap (Frame Streams), or syslog (RFC 5424)."
    )
    to: TargetText = setting(
        ...,
        "A file, unix:PATH, tcp://ADDRESS:PORT or tls://ADDRESS:PORT#NAME; syslog: udp, tcp or tls.",
    )
    queries: Literal["none", "blocked", "all"] = setting("blocked", "Which queries are written.")
    clients: ShownClientsWord = setting("hidden", SHOWN_CLIENTS)
    key_file: PathText | None = setting(None, KEY_FILE)
    tls_ca: PathText | None = setting(
        None, "File of certificate authorities for tls://; null: those of the system."
    )
    tls_certificate: PathText | None = setting(
        None, "File of the certificate chain that is shown at tls://, where the receiver wants one."
    )
    tls_key: PathText | None = setting(None, "File of its key, readable by nobody else.")
    rotate_mb: int = setting(
        0,
        "Size at which a file becomes NAME.1 and a new one begins; 0: never, logrotate may rename it.",
        unit="MiB",
        least=0,
        most=1_048_576,
    )
    keep: int = setting(5, "Old files that stay, NAME.1 to NAME.N.", least=0, most=1_000)

    @property
    def rotate_octets(self) -> int:
        """`rotate_mb` in octets."""
        return self.rotate_mb * 1024 * 1024


QueryRecordSinks = Annotated[tuple[QueryRecordSink, ...], Field(strict=False, max_length=SINKS_MAX)]


def check_sinks(sinks: Sequence[QueryRecordSink], findings: Findings, line: Callable[..., int]) -> None:
    """Check what no key of a sink can know alone.  `line`: of a path of keys."""
    names: set[str] = set()
    targets: set[str] = set()
    for index, sink in enumerate(sinks):

        def object_to(key: str, message: str, index: int = index) -> None:
            findings.error(line("query_records", index, key), f"query_records.{key}: {message}")

        if sink.name in names:
            object_to("name", f"{sink.name} is taken by another sink")
        names.add(sink.name)
        if sink.to.way not in WAYS_OF[sink.type]:
            ways = ", ".join("a file" if way == "file" else way for way in WAYS_OF[sink.type])
            object_to("to", f"{sink.type} goes to {ways}, not to {show(str(sink.to))}")
        if sink.to.way in ("file", "unix"):
            if str(sink.to) in targets:
                object_to("to", f"{show(str(sink.to))} is taken by another sink")
            targets.add(str(sink.to))
        if sink.rotate_mb and sink.to.way != "file":
            object_to("rotate_mb", "only a file can be turned")
        for key in ("tls_ca", "tls_certificate", "tls_key"):
            if getattr(sink, key) is not None and sink.to.way != "tls":
                object_to(key, "is for tls:// only")
        if (sink.tls_certificate is None) is not (sink.tls_key is None):
            has, lacks = "tls_certificate", "tls_key"
            if sink.tls_certificate is None:
                has, lacks = lacks, has
            object_to(has, f"needs {lacks} beside it")
        if objection := key_objection(sink.clients, sink.key_file):
            object_to("key_file" if sink.key_file else "clients", objection)


def key_objection(clients: str, key_file: Path | None) -> str:
    """What is wrong with these two together; empty: nothing."""
    if clients == "encrypted" and key_file is None:
        return "encrypted needs key_file; make a key: (umask 077; openssl rand -hex 32 > FILE)"
    if clients != "encrypted" and key_file is not None:
        return f"is not used by clients: {clients}; write clients: encrypted, or leave it out"
    return ""
