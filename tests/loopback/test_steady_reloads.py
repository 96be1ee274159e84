"""Certificates that are renewed under a steady load over TLS lose no query.

The short form has 3 renewals at 1,000 queries a second, the long one (`make long`) 50 at 5,000.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from pathlib import Path
from statistics import median

import pytest
from cryptography import x509

from tests.loopback.process import free_port, poll
from tests.loopback.restarts import CountingUpstream, Run, loaded
from tests.loopback.server import running_server
from tests.loopback.test_encrypted import write_pair

pytestmark = [pytest.mark.loopback, pytest.mark.slow]

IS_LONG = os.environ.get("FUZZ_PROFILE", "short") == "long"
RELOADS, RATE = (50, 5_000.0) if IS_LONG else (3, 1_000.0)


def test_renewed_certificates_lose_no_query_over_tls(tmp_path: Path, serving_engine: str) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    write_pair(folder)
    port = free_port()
    changes = {
        "listen": {"tls": [f"127.0.0.1:{port}"]},
        "tls": {"certificate": "dns.pem", "key": "dns.key"},
    }

    def shown() -> int:
        pem = ssl.get_server_certificate(("127.0.0.1", port))
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    moments: list[tuple[float, float]] = []
    with CountingUpstream() as upstream, running_server(folder, upstream.port, changes=changes) as server:
        run = Run(upstream, 500)
        with loaded(port, tmp_path, RATE, run, module="tests.loopback.steady_tls_load") as warm:
            warm()
            poll(lambda: time.monotonic() > run.warm_at + 1.0, timeout_s=5.0, what="a second to compare with")
            for _ in range(RELOADS):
                began = time.monotonic()
                serial = write_pair(folder)
                server.wait_for(lambda serial=serial: shown() == serial, "the new pair")  # type: ignore[misc]
                moments.append((began, time.monotonic()))
        reloads = server.metric("resolver_tls_certificate_reloads_total", result="success")
    account = run.account
    assert account is not None
    around = [account.p99_ms(began, ended + 0.1) for began, ended in moments]
    figures = {
        "what": f"certificates, {serving_engine}",
        "reloads": reloads,
        "queries": account.sent,
        "lost": account.lost,
        "failed": account.failed,
        "p99_ms before": round(account.p99_ms(run.warm_at, moments[0][0]), 2),
        "p99_ms around": [round(median(around), 2), round(max(around), 2)],
        "seconds": round(moments[-1][1] - moments[0][0], 1),
    }
    print(json.dumps(figures))
    assert reloads == RELOADS
    assert account.lost_at(moments[0][0]) == []
    assert (account.failed, account.strays, account.refused) == (0, 0, 0)
