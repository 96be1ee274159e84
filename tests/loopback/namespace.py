"""What runs inside namespaces of its own: servers on port 53 and glibc's resolver in front of them.

Knows: `ip`, `mount`, `setpriv`.  Does not know: what the report should say; it prints one JSON object.
usage: unshare --net --mount python -m tests.loopback.namespace getaddrinfo|port53|late|no-ipv6 DIRECTORY [ENGINE]
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from tests.loopback.authority import running_authority
from tests.loopback.server import ROOT, Server, running_server

NAMES = (
    "www.example.org",
    "cname-abroad.example.org",
    "huge.example.org",
    "sixty.example.org",
    "www.blocked.example.net",
    "www.beta.example",
    "no-such-name.example.org",
)
ADDRESSES_SHOWN_MAX = 4
NET_BIND_SERVICE = 10
"""CAP_NET_BIND_SERVICE's bit (capabilities(7))."""


def look_up(name: str) -> object:
    """What glibc's getaddrinfo says: sorted addresses, how many if many, or why there are none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        words = {socket.EAI_NONAME: "no such name", socket.EAI_NODATA: "no data"}
        return words.get(error.errno or 0, str(error))
    addresses = sorted({str(entry[4][0]) for entry in found}, key=lambda text: (":" in text, text))
    return addresses if len(addresses) <= ADDRESSES_SHOWN_MAX else len(addresses)


def report_getaddrinfo(directory: Path) -> dict[str, object]:
    """Point this namespace's resolv.conf at a server on port 53 and look names up."""
    configuration = directory / "resolv.conf"
    configuration.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    subprocess.run(["mount", "--bind", configuration, "/etc/resolv.conf"], check=True)
    with (
        running_authority(directory / "nsd", port=5300) as authority,
        running_server(directory / "server", authority, port=53),
    ):
        return {name: look_up(name) for name in NAMES}


def open_the_way(directory: Path, *needed: Path) -> None:
    """Let every user reach `needed` although a folder above may be closed, such as root's home.

    The closed folder gets an empty one mounted over it, in this mount namespace only, and what is
    needed is mounted back at its old path.
    """
    closed = {above for path in needed for above in path.parents if not above.stat().st_mode & 0o001}
    for number, top in enumerate(sorted(closed)):
        wanted = [path for path in needed if path.is_relative_to(top)]
        kept = [directory / f"kept-{number}-{place}" for place in range(len(wanted))]
        for path, aside in zip(wanted, kept, strict=True):
            aside.mkdir()
            subprocess.run(["mount", "--bind", path, aside], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", top], check=True)
        for path, aside in zip(wanted, kept, strict=True):
            path.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", aside, path], check=True)


def report_port53(directory: Path) -> dict[str, object]:
    """Bind port 53 as `nobody`, with and without CAP_NET_BIND_SERVICE."""
    nobody = pwd.getpwnam("nobody")
    as_nobody = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    capability = ("--inh-caps=-all,+net_bind_service", "--ambient-caps=+net_bind_service")
    open_the_way(directory, Path(sys.base_prefix), Path(sys.prefix), ROOT)

    def server(name: str, *privileges: str) -> Server:
        made = Server(
            directory / name, port=53, prefix=(*as_nobody, *privileges), changes={"listen": {"http": None}}
        )
        os.chown(made.directory, nobody.pw_uid, nobody.pw_gid)
        return made

    report: dict[str, object] = {}
    with server("with", *capability) as allowed:
        report["with"] = dns.rcode.to_text(allowed.ask("blocked.example.net").rcode())
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{allowed.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        report["uid"] = int(status["Uid"].split()[0])
        held = int(status["CapEff"], 16)
        report["capabilities"] = ["net_bind_service"] if held == 1 << NET_BIND_SERVICE else [hex(held)]
    refused = server("without")
    refused.start()
    try:
        report["without"] = refused.wait_for_end(30.0)
    finally:
        refused.stop()
    report["without said"] = refused.stderr() + refused.stdout()
    return report


def remark_of(server: Server) -> str:
    """What its page says of addresses."""
    _, body = server.page("/readyz")
    return str(json.loads(body).get("remarks", {}).get("listen", ""))


def rcode_from(server: Server, address: str, *, tcp: bool = False) -> str:
    """What a blocked name gets from one of its addresses."""
    query = dns.message.make_query("blocked.example.net", "A")
    ask = dns.query.tcp if tcp else dns.query.udp
    return dns.rcode.to_text(ask(query, address, port=server.port, timeout=5.0).rcode())


def report_late(directory: Path) -> dict[str, object]:
    """Give the machine its addresses when the server is ready, and take one away for a while."""
    addresses = ("192.0.2.7", "2001:db8::7")
    changes = {"engine": sys.argv[3], "clients": {"allow": ["192.0.2.0/24", "2001:db8::/32"]}}
    report: dict[str, object] = {}
    with Server(directory, hosts=("127.0.0.1", *addresses), changes=changes) as server:
        report["remark before"] = remark_of(server)
        for address in addresses:
            length = "128" if ":" in address else "32"
            subprocess.run(["ip", "address", "add", f"{address}/{length}", "dev", "lo"], check=True)
        server.wait_for(lambda: not remark_of(server), "the addresses noticed", 10.0)
        for address in addresses:
            report[f"{address} udp"] = rcode_from(server, address)
            report[f"{address} tcp"] = rcode_from(server, address, tcp=True)
        report["remark after"] = remark_of(server)
        subprocess.run(["ip", "address", "del", "192.0.2.7/32", "dev", "lo"], check=True)
        server.wait_for(lambda: remark_of(server), "the loss noticed", 10.0)
        report["remark of a loss"] = remark_of(server)
        subprocess.run(["ip", "address", "add", "192.0.2.7/32", "dev", "lo"], check=True)
        server.wait_for(lambda: not remark_of(server), "the address noticed again", 10.0)
        report["192.0.2.7 again"] = rcode_from(server, "192.0.2.7")
    return report


def report_no_ipv6(directory: Path) -> dict[str, object]:
    """Serve the shipped addresses without IPv6, then with."""
    switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    switch.write_text("1")
    report: dict[str, object] = {}
    with Server(directory, hosts=("127.0.0.1", "::1")) as server:
        report["127.0.0.1"] = rcode_from(server, "127.0.0.1")
        report["remark before"] = remark_of(server)
        report["said"] = server.stderr()
        switch.write_text("0")
        server.wait_for(lambda: "the address is here now" in server.stderr(), "IPv6 noticed", 10.0)
        report["::1"] = rcode_from(server, "::1")
    return report


SCENARIOS = {
    "getaddrinfo": report_getaddrinfo,
    "port53": report_port53,
    "late": report_late,
    "no-ipv6": report_no_ipv6,
}


def main() -> None:
    """Bring up loopback, run the scenario, print its report."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print(json.dumps(SCENARIOS[sys.argv[1]](Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
