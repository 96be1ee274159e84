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
from resolver.block_page.conversation import Desk
from resolver.block_page.notice import Operator
from resolver.block_page.rights import lower_rights
from resolver.block_page.serving import MESSAGE_OCTETS_MAX, PageServer


def main(arguments: list[str] | None = None) -> int:
    """The child process: see the head of this file."""
    parser = argparse.ArgumentParser(prog="resolver.block_page.program")
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--listen", type=int, nargs="+", required=True)
    options = parser.parse_args(arguments)
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
    # What is loaded only when it is first used could not be loaded afterwards.
    "".encode("idna"), "".encode("punycode")
    lower_rights()
    PageServer(desk, control, listeners).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
