"""Resolvers that forward to ours over TLS or HTTPS, as their makers' documents say.

Knows: their configuration files.  Does not know: what is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.loopback.authority import UNBOUND_CONFIGURATION, is_serving
from tests.loopback.process import Program, running_on_a_free_port


@dataclass(frozen=True)
class Upstream:
    """Our server, as one of these is told of it."""

    tls_port: int
    https_port: int
    ca_path: Path
    name: str = "localhost"


def unbound(directory: Path, port: int, ours: Upstream) -> Program:
    """DNS over TLS, with the name checked."""
    text = UNBOUND_CONFIGURATION.format(host="127.0.0.1", port=port, directory=directory, upstream_port=0)
    text = text.replace("remote-control:", f'  tls-cert-bundle: "{ours.ca_path}"\nremote-control:')
    over_tls = f"forward-addr: 127.0.0.1@{ours.tls_port}#{ours.name}\n  forward-tls-upstream: yes"
    path = directory / "unbound.conf"
    path.write_text(text.replace("forward-addr: 127.0.0.1@0", over_tls))
    return Program(["unbound", "-c", path], directory)


def dnsdist(directory: Path, port: int, ours: Upstream) -> Program:
    """DNS over TLS."""
    return _dnsdist(directory, port, ours, ours.tls_port, "")


def dnsdist_https(directory: Path, port: int, ours: Upstream) -> Program:
    """DNS over HTTPS."""
    return _dnsdist(directory, port, ours, ours.https_port, ', dohPath="/dns-query"')


def _dnsdist(directory: Path, port: int, ours: Upstream, to: int, more: str) -> Program:
    path = directory / "dnsdist.conf"
    path.write_text(
        f'setLocal("127.0.0.1:{port}")\nsetACL("127.0.0.0/8")\nsetSecurityPollSuffix("")\n'
        f'ours = newServer({{address="127.0.0.1:{to}", tls="openssl", caStore="{ours.ca_path}",'
        f' subjectName="{ours.name}", validateCertificates=true{more}}})\nours:setUp()\n'
    )
    return Program(["dnsdist", "-C", path, "--supervised"], directory)


def kresd(directory: Path, port: int, ours: Upstream) -> Program:
    """DNS over TLS, with the name checked."""
    path = directory / "kresd.conf"
    path.write_text(
        f"net.listen('127.0.0.1', {port}, {{kind='dns'}})\nmodules = {{ 'policy' }}\n"
        f"trust_anchors.remove('.')\ncache.open(16*MB, 'lmdb://{directory}/cache')\n"
        f"policy.add(policy.all(policy.TLS_FORWARD({{{{'127.0.0.1@{ours.tls_port}', hostname='{ours.name}',"
        f" ca_file='{ours.ca_path}'}}}})))\n"
    )
    return Program(["kresd", "-n", "-c", path, directory], directory)


def stubby(directory: Path, port: int, ours: Upstream) -> Program:
    """DNS over TLS, strict: getdns as a service of its own."""
    path = directory / "stubby.yml"
    path.write_text(
        "resolution_type: GETDNS_RESOLUTION_STUB\n"
        "dns_transport_list:\n  - GETDNS_TRANSPORT_TLS\n"
        "tls_authentication: GETDNS_AUTHENTICATION_REQUIRED\n"
        f'tls_ca_file: "{ours.ca_path}"\ntls_query_padding_blocksize: 128\nidle_timeout: 10000\n'
        f"listen_addresses:\n  - 127.0.0.1@{port}\n"
        f'appdata_dir: "{directory}"\n'
        f"upstream_recursive_servers:\n  - address_data: 127.0.0.1\n    tls_port: {ours.tls_port}\n"
        f'    tls_auth_name: "{ours.name}"\n'
    )
    return Program(["stubby", "-C", path], directory)


RESOLVED = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / (
    "exchange-resolver/systemd-resolved/lib/systemd/systemd-resolved"
)
"""Unpacked by `scripts/install-test-peers.sh`: installed, it would take the machine's own resolution."""

_RESOLVED_ROOM = """\
set -e
mount --bind {directory}/etc /etc/systemd
mount --bind {directory}/run /run
mount --bind {directory}/passwd /etc/passwd
mount --bind {directory}/group /etc/group
mount --bind {ca} /etc/ssl/certs/ca-certificates.crt
SSL_CERT_FILE={ca} exec {program}
"""


def systemd_resolved(directory: Path, port: int, ours: Upstream) -> Program:
    """DNSOverTLS=yes, in a mount namespace of its own: it writes under /run and reads under /etc."""
    for folder in ("etc", "run/systemd/netif/links"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    (directory / "etc" / "resolved.conf").write_text(
        f"[Resolve]\nDNS=127.0.0.1:{ours.tls_port}#{ours.name}\nFallbackDNS=\nDomains=~.\nDNSOverTLS=yes\n"
        f"DNSSEC=no\nLLMNR=no\nMulticastDNS=no\nDNSStubListener=no\nDNSStubListenerExtra=127.0.0.1:{port}\n"
    )
    for name, line in (
        ("passwd", "systemd-resolve:x:0:0::/:/bin/false\n"),
        ("group", "systemd-resolve:x:0:\n"),
    ):
        # In front: whoever has installed the package has a user of that name, too.
        (directory / name).write_text(line + Path("/etc", name).read_text())
    script = _RESOLVED_ROOM.format(directory=directory, ca=ours.ca_path, program=RESOLVED)
    return Program(["unshare", "--mount", "sh", "-c", script], directory, name="systemd-resolved")


DOWNSTREAM = {
    "unbound": unbound,
    "dnsdist": dnsdist,
    "dnsdist-https": dnsdist_https,
    "kresd": kresd,
    "stubby": stubby,
    "systemd_resolved": systemd_resolved,
}


@contextmanager
def running_downstream(kind: str, directory: Path, ours: Upstream) -> Iterator[int]:
    """One of them, up; gives its port."""
    directory.mkdir(parents=True, exist_ok=True)
    with running_on_a_free_port(
        lambda port: DOWNSTREAM[kind](directory, port, ours), is_serving, f"{kind} answers"
    ) as port:
        yield port
