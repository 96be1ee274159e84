"""Every attack by its name: those on plain DNS and the pages, and those on encrypted streams.

Knows: the attacks.  Does not know: the server, what is measured.

    python -m benchmarks.abuse_catalogue NAME PORT HTTP_PORT TLS_PORT HTTPS_PORT SECONDS

Prints one line of JSON: what the attack sent, and what it saw.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks import abuse_http2 as http2
from benchmarks import abuse_tls as tls
from benchmarks.abuse_attacks import ATTACKS as PLAIN
from benchmarks.abuse_attacks import Attack, Target
from benchmarks.abuse_crowd import Connection
from benchmarks.abuse_http2 import over_https
from benchmarks.abuse_tls import over_tls

FAILED = ("resolver_tls_failures_total", "resolver_dropped_total")
"""Metrics that tell a session that came to nothing."""
DROPPED = ("resolver_dropped_total",)

ENCRYPTED = {
    "tls-octets": Attack("100 clients send a hello an octet at a time", over_tls(tls.Octets, 100)),
    "tls-silent": Attack("900 connections say nothing", over_tls(Connection, 900), counted=FAILED),
    "tls-half-hello": Attack("400 clients stop in a hello", over_tls(tls.HalfHello, 400), counted=FAILED),
    "tls-huge-hello": Attack("30 hellos of 16 MB", over_tls(tls.HugeHello, 30), counted=FAILED),
    "tls-long-hello": Attack("30 hellos of 40 kB, which is legal", over_tls(tls.LongHello, 30)),
    "tls-split-share": Attack("hellos cut within a key share", over_tls(tls.SplitShare, 30), counted=FAILED),
    "tls-early-data": Attack("early data that nobody allows", over_tls(tls.EarlyData, 30), counted=FAILED),
    "tls-made-up": Attack("60 clients, made-up hellos without end", over_tls(tls.MadeUp, 60), counted=FAILED),
    "tls-garbage": Attack("30 clients, garbage after handshakes", over_tls(tls.Garbage, 30), counted=FAILED),
    "dot-ask-once": Attack("400 clients ask once over TLS and stay", over_tls(tls.AskOnceTls, 400)),
    "dot-slow": Attack("100 clients, an octet a second over TLS", over_tls(tls.SlowTls, 100)),
    "dot-unread": Attack(
        "60 TLS clients read no 64 kB answers", over_tls(tls.UnreadTls, 60), counted=DROPPED
    ),
    "dot-lengths": Attack("lengths 0, 11 and 65,535 over TLS", over_tls(tls.LengthsTls, 30), counted=DROPPED),
    "h2-rapid-reset": Attack("10 clients reset requests", over_https(http2.RapidReset, 10), counted=DROPPED),
    "h2-made-reset": Attack(
        "30 clients have streams reset", over_https(http2.MadeReset, 30), counted=DROPPED
    ),
    "h2-continuation": Attack("headers never end", over_https(http2.Continuation, 30), counted=DROPPED),
    "h2-settings": Attack(
        "30 clients, SETTINGS floods", over_https(http2.SettingsFlood, 30), counted=DROPPED
    ),
    "h2-ping": Attack("30 clients, PING floods", over_https(http2.PingFlood, 30), counted=DROPPED),
    "h2-window": Attack(
        "30 clients, WINDOW_UPDATE floods", over_https(http2.WindowFlood, 30), counted=DROPPED
    ),
    "h2-priority": Attack(
        "30 clients, PRIORITY floods", over_https(http2.PriorityFlood, 30), counted=DROPPED
    ),
    "h2-empty-data": Attack("30 clients, empty DATA", over_https(http2.EmptyData, 30), counted=DROPPED),
    "h2-half-open": Attack("1,000 half-open streams each", over_https(http2.HalfOpen, 30)),
    "h2-header-bomb": Attack(
        "one field named 8,000 times", over_https(http2.HeaderBomb, 30), counted=DROPPED
    ),
    "h2-unread": Attack("100 big answers each, window 0", over_https(http2.Unread, 30)),
    "h2-drip": Attack("100 bodies, an octet a second", over_https(http2.DripBody, 100)),
    "h1-smuggling": Attack("requests framed in two ways", over_https(http2.Smuggling, 60)),
    "h1-slow-head": Attack("100 heads, a letter a second", over_https(http2.SlowHead, 100)),
    "h1-long-head": Attack("30 fields without an end", over_https(http2.LongHead, 30)),
    "h1-long-path": Attack("30 clients, GET of 100 kB", over_https(http2.LongPath, 30)),
    "h1-long-body": Attack("30 bodies of 4 GB", over_https(http2.LongBody, 30)),
}
"""Those on encrypted streams."""

ATTACKS = {**PLAIN, **ENCRYPTED}


def main(words: list[str]) -> None:
    """Run one attack; a server that has closed everything is no error."""
    name, *ports, seconds = words
    port, http_port, tls_port, https_port = map(int, ports)
    target = Target(port, http_port, time.monotonic() + float(seconds), tls_port, https_port)
    print(json.dumps(ATTACKS[name].run(target)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
