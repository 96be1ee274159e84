"""`demo`: the whole system on loopback, and a table of what it did.

Knows: how to start an upstream and the real server, ask over real sockets, and read /metrics.
Does not know: what is asked; that is `demo_script`.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from resolver.cli.demo_script import ADS_LIST, BLOCKLIST, HITS, QUESTIONS, RECORDS, ZONE, Question
from resolver.cli.demo_upstream import DemoUpstream
from resolver.cli.files import EXIT_FINDINGS, EXIT_FINE
from resolver.cli.process import scratch_folder
from resolver.cli.wrapping import TABLE_COLUMNS_MIN, terminal_columns, wrapped
from resolver.config.settings import load_settings
from resolver.explain.reading import ShownReply, qtype_from_text, read_reply, show_extended_error
from resolver.listeners.address import SocketAddress
from resolver.observe.log import set_up_logging
from resolver.observe.metric_table import EXCHANGE_HITS, LIST_HITS
from resolver.server.server import CannotStart, Server
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text

REPLY_TIMEOUT_S: Final = 5.0
"""Loopback answers within milliseconds; a machine under load gets patience."""

_HIT = re.compile(rf"({EXCHANGE_HITS.name}|{LIST_HITS.name})\{{(.*)\}} ([0-9.e+]+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Hits = dict[tuple[str, str, str, str], int]


@dataclass(frozen=True, slots=True)
class DemoAnswer:
    """One question and what came back."""

    question: Question
    reply: ShownReply | None
    """None: nothing."""

    @property
    def objection(self) -> str:
        """What is not as expected; empty when all is."""
        question, reply = self.question, self.reply
        if reply is None:
            return "no reply"
        if reply.rcode != question.rcode:
            return f"rcode is not {question.rcode}"
        if reply.is_truncated != question.truncated:
            return "TC is wrong"
        if tuple(code for code, _ in reply.extended_errors) != question.ede:
            return f"extended errors are not {question.ede}"
        if question.answers_min:
            return "" if len(reply.answers) >= question.answers_min else "too few records"
        if tuple(record.rdata for record in reply.answers) != question.answers:
            return f"answers are not {question.answers}"
        return ""


def run_demo(*, as_json: bool) -> int:
    """Play the demo, print what happened; 0 only if all was as expected."""
    with (
        scratch_folder() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        try:
            ready_line, asked, hits = runner.run(_play(directory))
        except (CannotStart, OSError) as error:
            print(f"the demo could not start: {error}", file=sys.stderr)
            return EXIT_FINDINGS
    is_fine = hits == HITS and not any(one.objection for one in asked)
    if as_json:
        print(json.dumps(_as_json(ready_line, asked, hits, is_fine=is_fine), indent=2))
    else:
        _print_tables(ready_line, asked, hits, is_fine=is_fine)
    return EXIT_FINE if is_fine else EXIT_FINDINGS


async def _play(directory: Path) -> tuple[str, list[DemoAnswer], Hits]:
    upstream = DemoUpstream(ZONE)
    port = await upstream.start()
    writer = set_up_logging("warning", "text")
    settings, problems = load_settings(_write_files(directory, port))
    if settings is None:
        raise CannotStart(problems)
    server = Server(settings, engine="python", log_writer=writer)
    try:
        await server.start()
        address = server.dns_addresses[0]
        asked = [DemoAnswer(question, await _ask(address, question)) for question in QUESTIONS]
        assert server.http_address is not None
        hits = read_hits(await _fetch_metrics(server.http_address))
        ready_line = server.describe()
    finally:
        await server.stop()
        upstream.stop()
        writer.close()
    return ready_line, asked, hits


def _write_files(directory: Path, upstream_port: int) -> Path:
    settings = {
        "listen": {"dns": ["127.0.0.1:0"], "http": "127.0.0.1:0"},
        "upstreams": {"servers": [f"udp://127.0.0.1:{upstream_port}"]},
        "records": RECORDS,
        "blocklist": "blocklist.yaml",
        "state_dir": "state",
    }
    path = directory / "resolver.yaml"
    path.write_text(json.dumps(settings))  # JSON is YAML.
    (directory / "blocklist.yaml").write_text(BLOCKLIST)
    (directory / "ads.hosts").write_text(ADS_LIST)
    return path


async def _ask(address: SocketAddress, question: Question) -> ShownReply | None:
    query = encode_query(
        name_from_text(question.qname),
        qtype_from_text(question.qtype),
        id=secrets.randbelow(65536),
        dnssec_ok=False,
        checking_disabled=False,
        edns=True,
    )
    ask = _ask_tcp if question.tcp else _ask_udp
    try:
        octets = await asyncio.wait_for(ask(address, query), REPLY_TIMEOUT_S)
        return read_reply(octets) if octets[:2] == query[:2] else None
    except (TimeoutError, OSError, asyncio.IncompleteReadError, ValueError):
        return None


async def _ask_tcp(address: SocketAddress, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


async def _ask_udp(address: SocketAddress, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    received: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _OneReply(received), remote_addr=(address.host, address.port)
    )
    try:
        transport.sendto(query)
        return await received
    finally:
        transport.close()


class _OneReply(asyncio.DatagramProtocol):
    def __init__(self, received: asyncio.Future[bytes]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if not self._received.done():
            self._received.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._received.done():
            self._received.set_exception(exc)


async def _fetch_metrics(address: SocketAddress) -> str:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await asyncio.wait_for(reader.read(), REPLY_TIMEOUT_S)).decode()
    finally:
        writer.close()


def read_hits(metrics: str) -> Hits:
    """The hit counters in a /metrics page."""
    hits = {}
    for name, labels, count in _HIT.findall(metrics):
        kind = "exchange" if name == EXCHANGE_HITS.name else "list"
        named = dict(_LABEL.findall(labels))
        hits[kind, named[kind], named["action"], named["mode"]] = int(float(count))
    return hits


def _print_tables(ready_line: str, asked: list[DemoAnswer], hits: Hits, *, is_fine: bool) -> None:
    # A pipe has no width of its own, and cut words help nobody.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(ready_line, highlight=False)
    columns = terminal_columns()
    if columns is not None and columns < TABLE_COLUMNS_MIN:
        _print_blocks(console, asked, columns)
    else:
        _print_answers(console, asked)
    counts = Table("", "name", "action", "mode", "hits", title="Hits, from /metrics", title_justify="left")
    for (kind, label, action, mode), count in sorted(hits.items()):
        expected = HITS.get((kind, label, action, mode))
        note = "" if count == expected else f" [red]expected {expected}[/red]"
        counts.add_row(kind, label, action, mode, f"{count}{note}")
    console.print(counts)
    console.print("everything as expected" if is_fine else "[red]not everything was as expected[/red]")


def _print_answers(console: Console, asked: list[DemoAnswer]) -> None:
    answers = Table(
        "question", "", "over", "came back", "extended error", title="Questions", title_justify="left"
    )
    for one in asked:
        question = one.question
        came_back = "\n".join(_came_back(one))
        if one.objection:
            came_back += f"\n[red]unexpected: {one.objection}[/red]"
        words = (f"{question.qname} {question.qtype}", question.what, _over(one))
        answers.add_row(*words, came_back, "\n".join(_errors(one)))
    console.print(answers)


def _print_blocks(console: Console, asked: list[DemoAnswer], columns: int) -> None:
    """The same for a narrow terminal: a table would cut the names."""
    for one in asked:
        question = one.question
        line = f"{question.qname} {question.qtype} over {_over(one)}: {question.what}"
        lines = wrapped(line, columns, 4)
        for text in (*_came_back(one), *_errors(one)):
            lines += wrapped(f"    {text}", columns, 6)
        console.print(Text("\n".join(lines)), soft_wrap=True)
        if one.objection:
            console.print(Text(f"    unexpected: {one.objection}", style="red"), soft_wrap=True)


def _over(one: DemoAnswer) -> str:
    return "TCP" if one.question.tcp else "UDP"


def _came_back(one: DemoAnswer) -> list[str]:
    return ["nothing"] if one.reply is None else _summary(one.reply)


def _errors(one: DemoAnswer) -> list[str]:
    return [] if one.reply is None else [show_extended_error(*pair) for pair in one.reply.extended_errors]


def _summary(reply: ShownReply) -> list[str]:
    rdata = [f"{record.rtype} {record.rdata}" for record in reply.answers[:3]]
    if len(reply.answers) > 3:
        rdata = [f"{len(reply.answers)} {reply.answers[0].rtype} records, {reply.octets} bytes"]
    return [reply.rcode + (" TC" if reply.is_truncated else ""), *rdata]


def _as_json(ready_line: str, asked: list[DemoAnswer], hits: Hits, *, is_fine: bool) -> dict[str, Any]:
    return {
        "ok": is_fine,
        "ready": ready_line,
        "questions": [
            {
                "what": one.question.what,
                "name": one.question.qname,
                "type": one.question.qtype,
                "transport": "tcp" if one.question.tcp else "udp",
                "reply": None if one.reply is None else one.reply.as_json(),
                "objection": one.objection or None,
            }
            for one in asked
        ],
        "hits": [
            {"kind": kind, "name": label, "action": action, "mode": mode, "count": count}
            for (kind, label, action, mode), count in sorted(hits.items())
        ],
    }
