"""The page's process: started by the server, with its sockets open already.

Knows: what the server hands over at the start.  Does not know: the policy, settings, files.

    python -m resolver.block_page.program --control DESCRIPTOR --listen DESCRIPTOR ...

`control` is a socket of packets; the first one from the server is JSON: `languages`, `operator`.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys

from resolver.block_page.catalogue import read_catalogue
from resolver.block_page.conversation import Conversation, Desk
from resolver.block_page.notice import Operator
from resolver.block_page.rights import begin_without_capabilities, lower_rights
from resolver.block_page.serving import MESSAGE_OCTETS_MAX, PageServer


def try_everything(desk: Desk) -> None:
    """Load what is only loaded when it is first used: without a right to files it cannot be later."""
    for accept in ("text/html", "text/plain", "application/json"):
        for host in ("xn--mnchen-3ya.example", "xn--a", "192.0.2.1", "[2001:db8::1]:80", "a@b", "\xff"):
            head = f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: {accept};q=0.5\r\nAccept-Language: de\r\n\r\n"
            Conversation(desk).receive(head.encode("latin-1"))
    Conversation(desk).receive(b"\0\r\n\r\n")
    json.dumps({})


def main(arguments: list[str] | None = None) -> int:
    """The child process: see the head of this file."""
    parser = argparse.ArgumentParser(prog="resolver.block_page.program")
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--listen", type=int, nargs="+", required=True)
    options = parser.parse_args(arguments)
    begin_without_capabilities()
    # Signals for the whole group are for the server, which closes the other end when it stops.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=options.control)
    listeners = [socket.socket(fileno=descriptor) for descriptor in options.listen]
    first = control.recv(MESSAGE_OCTETS_MAX)
    if not first:
        return 0
    fields = json.loads(first)
    desk = Desk(read_catalogue(fields["languages"]), Operator(**fields["operator"]))
    try_everything(desk)
    lower_rights()
    PageServer(desk, control, listeners).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
