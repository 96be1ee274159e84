"""Programs that read what sinks of query records send, and do nothing with it.

Knows: sockets, the answer that a sender of Frame Streams waits for.  Does not know: records, servers.
`python -m benchmarks.sink_readers WHAT`: `dnstap:PATH`, `stalled:PATH` (reads nothing), `tcp:PORT` or
`udp:PORT`.  A line on standard output says that it listens.
"""

from __future__ import annotations

import signal
import socket
import sys

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
PIECE_OCTETS = 1 << 18


def accept_frame() -> bytes:
    """The control frame ACCEPT, with the one content type."""
    content = (1).to_bytes(4) + (1).to_bytes(4) + len(CONTENT_TYPE).to_bytes(4) + CONTENT_TYPE
    return bytes(4) + len(content).to_bytes(4) + content


def listen(kind: str, where: str) -> socket.socket:
    """A socket that listens, or takes datagrams."""
    if kind in ("dnstap", "stalled"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(where)
    else:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.bind(("127.0.0.1", int(where)))
    if kind != "udp":
        sock.listen()
    return sock


def read(kind: str, where: str) -> None:
    """Read until somebody ends this program."""
    sock = listen(kind, where)
    print("listens", flush=True)
    room = bytearray(PIECE_OCTETS)
    while kind == "udp":
        sock.recv_into(room)
    while True:
        connection, _ = sock.accept()
        if kind in ("dnstap", "stalled"):
            connection.recv(PIECE_OCTETS)
            connection.sendall(accept_frame())
        while kind == "stalled":
            signal.pause()
        while connection.recv_into(room):
            pass


if __name__ == "__main__":
    read(*sys.argv[1].split(":", 1))
