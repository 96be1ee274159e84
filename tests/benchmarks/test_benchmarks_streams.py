"""Readings of streams: reports of load programs read, figures made, the bar judged, the page written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dns.message
import pytest

from benchmarks.field import CONTESTANTS
from benchmarks.figures import Figures
from benchmarks.page import page
from benchmarks.stream_bars import stream_bar_lines, stream_us
from benchmarks.stream_loads import first_message, read_h2load, read_rig_load

MACHINE = {"day": "2026-01-02", "CPU": "A processor", "cores": "2", "kernel": "Linux 6.1"}
H2LOAD = """\
finished in 1.00s, 20000.00 req/s, 2.10MB/s
requests: 20000 total, 20016 started, 20000 done, 19990 succeeded, 10 failed, 0 errored, 0 timeout
status codes: 19990 2xx, 0 3xx, 7 4xx, 3 5xx
"""


def reading(
    contestant: str, transport: str, shape: str, load: str, cost: float | None, **more: Any
) -> dict[str, Any]:
    at = {"contestant": contestant, "transport": transport, "shape": shape, "load": load, "repeat": 0}
    return {**at, "cpu_us": cost, "completed": 9, "lost": 0, "odd": [], **more}


def figures(readings: list[dict[str, Any]]) -> Figures:
    versions = {"dnsdist": "1.7.3", "dnsdist@trixie": "1.9.10", "unbound": "1.17.1"}
    return Figures(
        {"streams": {"machine": MACHINE, "versions": versions, "absent": {}, "readings": readings}}
    )


def verdicts(readings: list[dict[str, Any]]) -> dict[str, tuple[str, bool | None]]:
    return {line.what: (line.measured, line.is_met) for line in stream_bar_lines(figures(readings))}


def test_h2load_counts_what_is_no_success_as_lost() -> None:
    read = read_h2load(H2LOAD, 0.19990)
    assert (read.completed, read.lost) == (19_990, 10)
    assert read.cpu_us == pytest.approx(10.0)


def test_a_report_without_an_answer_has_no_figure_to_trust() -> None:
    assert read_h2load("", 1.0).completed == 0


def test_the_rig_tells_key_exchange_groups_and_tickets() -> None:
    report = {"completed": 10, "failed": 1, "resumed": 4, "handshakes": {"TLSv1_3 X25519MLKEM768": 6}}
    read = read_rig_load(json.dumps(report), 0.001)
    assert read.cpu_us == pytest.approx(100.0)
    assert (read.lost, read.resumed) == (1, 4)
    assert read.handshakes == {"TLSv1_3 X25519MLKEM768": 6}


def test_the_message_that_is_asked_over_and_over_is_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_text("www.example.org A\nwww.example.net A\n")
    query = dns.message.from_wire(first_message(path))
    assert (str(query.question[0].name), query.id, query.edns) == ("www.example.org.", 0, -1)


def test_dnsdist_is_the_faster_of_those_that_took_part() -> None:
    said = verdicts(
        [
            reading("native", "tls", "single", "hot", 7.0),
            reading("dnsdist", "tls", "single", "hot", 20.0),
            reading("dnsdist@trixie", "tls", "single", "hot", 10.0),
        ]
    )
    measured, is_met = said["native, DoT single, hot: times dnsdist's CPU"]
    assert measured == "0.70 × (7.0 beside 10.0, dnsdist 1.9)"
    assert is_met is False


def test_what_was_not_read_is_said_so() -> None:
    said = verdicts([reading("native", "tls", "single", "hot", 7.0)])
    assert said["native, DoT single, hot: times dnsdist's CPU"] == ("", None)
    assert said["native, DoH single, block: times the echo's CPU"] == ("", None)


def test_a_reading_that_failed_is_no_figure() -> None:
    read = figures([reading("native", "tls", "single", "hot", None)])
    assert stream_us(read, "native", "tls", "single", "hot") is None


def test_the_echo_that_gathers_is_no_limit_and_no_peer() -> None:
    said = verdicts(
        [
            reading("echo", "tcp", "pipelined", "hot", 3.0),
            reading("echo gathering", "tcp", "pipelined", "hot", 1.0),
            reading("native", "tcp", "pipelined", "hot", 4.0),
            reading("unbound", "tcp", "pipelined", "hot", 8.0),
        ]
    )
    assert said["native, TCP pipelined, hot: times the echo's CPU"][1] is True
    assert said["native, TCP pipelined, hot: times the best peer's CPU"][0].endswith("unbound 1.17)")


def test_misses_and_hits_beside_handshakes_are_judged() -> None:
    beside = {"shape": "beside", "ratio": 1.4, "alone_us": 100.0, "beside_us": 140.0}
    said = verdicts(
        [
            reading("native", "udp", "miss", "miss", 12.0),
            reading("native+tls", "udp", "miss", "miss", 21.0),
            reading("unbound+tls", "udp", "miss", "miss", 60.0),
            {**reading("native", "udp", "beside", "hot", None), **beside},
            {**reading("echo", "udp", "beside", "hot", None), **beside, "ratio": 1.3},
        ]
    )
    assert said["native, a miss over a TLS upstream: more than over UDP"] == ("9.0 µs", False)
    assert said["native, p99 of UDP hits beside 1,000 handshakes/s: times itself alone"] == (
        "1.40 × (echo 1.30 ×)",
        True,
    )
    assert said["native, a miss over a TLS upstream, Unbound over the same: times the best peer's CPU"][1]


def test_the_page_has_a_part_on_streams_where_they_were_read() -> None:
    text = page(figures([reading("native", "tls", "single", "hot", 7.0)]), CONTESTANTS)
    assert "## DNS over TCP, TLS and HTTPS" in text
    assert "### The bar of streams" in text
    assert "## DNS over TCP, TLS and HTTPS" not in page(Figures({}), CONTESTANTS)
