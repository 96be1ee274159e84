"""The pages and the API of `listen.http`: who may ask, by which names, how changes come into force.

Knows: the keys of `http`, and what they cannot mean together.  Does not know: tokens, sockets, what stands in
a certificate's file.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Literal

from resolver.config.listen_settings import CertificatePair
from resolver.config.settingvalues import Endpoint, HostNames, Networks, PathText
from resolver.config.yamlmodel import Section, setting
from resolver.problems import Findings


class Http(Section):
    """Pages and API of `listen.http`, and what is believed of HTTP requests."""

    hosts: HostNames = setting(
        (),
        "Names that the pages may be asked for by, besides addresses and names of one label; "
        "a request for another gets status 421.",
    )
    trusted_proxies: Networks = setting(
        (),
        "Networks of proxies in front of listen.https: Forwarded and X-Forwarded-For of theirs say who the "
        "client is; of others they are ignored.",
    )
    tokens_file: PathText | None = setting(
        None,
        "File of the API's tokens, a line for each: NAME ROLE HASH, as `exchange-resolver token` makes it; "
        "read again when it changes.  null: those in the environment variable EXCHANGE_RESOLVER_TOKENS.",
        allowed="a path or null",
    )
    changes: Literal["direct", "two-person"] = setting(
        "direct",
        "How edits of the blocklist, and pauses, come into force: direct, at once; two-person, when the "
        "owner of another token has approved them.",
    )
    tls: CertificatePair | None = setting(
        None,
        "Certificate and key of listen.http, which then speaks HTTPS alone; the files are read again when "
        "they change.",
        allowed="{certificate: a path, key: a path} or null",
    )
    client_ca: PathText | None = setting(
        None,
        "PEM file of authorities: whoever connects to listen.http must show a certificate of theirs; needs "
        "http.tls.",
        allowed="a path or null",
    )
    metrics_token: bool = setting(
        False, "Whether /metrics, /healthz and /readyz need a token, too, of any role."
    )


def check_http(http: Http, listens: Endpoint | None, findings: Findings, line: Callable[..., int]) -> None:
    """Check what no key can know alone.  `listens`: `listen.http`."""
    for network in http.trusted_proxies:
        if network.prefixlen == 0:
            message = f"http.trusted_proxies: {network} lets everybody say who they are"
            findings.warning(line("http", "trusted_proxies"), message)
    if http.client_ca is not None and http.tls is None:
        message = "http.client_ca: needs http.tls; without TLS nobody shows a certificate"
        findings.error(line("http", "client_ca"), message)
    if listens is None:
        for key in ("tokens_file", "tls"):
            if getattr(http, key) is not None:
                message = f"http.{key}: nothing uses it, for listen.http is null"
                findings.warning(line("http", key), message)
    elif http.tokens_file is not None and http.tls is None and not ip_address(listens.address).is_loopback:
        message = (
            f"http.tokens_file: tokens cross the network in clear text, for listen.http is {listens} without "
            "http.tls; set http.tls, or listen on a loopback address behind a proxy"
        )
        findings.warning(line("http", "tokens_file"), message)
