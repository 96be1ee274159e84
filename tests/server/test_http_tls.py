"""The certificate of `listen.http`: a renewed pair is served within seconds, a wrong one keeps the one before."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest

from resolver.certificates.keeper import LOOK_EVERY_S
from resolver.cli.certificates import certificate_problems
from resolver.config.settings import Settings, load_settings
from resolver.server.http_tls import HttpTls
from tests.support.certificates import NOW_S
from tests.support.list_server import ca_pem, server_files


def settings_in(folder: Path, **http: Any) -> tuple[Path, Settings]:
    server_files(folder)
    path = folder / "resolver.yaml"
    tls = {"certificate": "server.pem", "key": "server.key"}
    path.write_text(json.dumps({"http": {"tls": tls, **http}, "blocklist": "b.yaml"}))
    settings, problems = load_settings(path)
    assert settings is not None, problems
    return path, settings


async def settled(tls: HttpTls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its files are read for the first time."""
    tls.start()
    assert tls._starting is not None
    await asyncio.wait_for(asyncio.shield(tls._starting), 10)


def test_a_renewed_pair_serves_new_connections_and_a_wrong_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        _, settings = settings_in(tmp_path)
        tls = HttpTls(settings, lambda: NOW_S)
        await settled(tls, monkeypatch)
        first, chain = tls.context(), tls.served[0][1].chain
        assert first is not None and tls.remark == "" and not tls.facts().is_stale
        server_files(tmp_path)
        await tls._keeper.look()
        assert tls.context() is not first and tls.served[0][1].chain != chain
        newer = tls.context()
        (tmp_path / "server.key").write_text("no key")
        await tls._keeper.look()
        await tls._keeper.look()
        assert tls.context() is newer and tls.facts().is_stale and "server.key" in tls.remark
        await tls.close()

    asyncio.run(act())


def test_other_authorities_of_clients_are_heeded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        (tmp_path / "ca.pem").write_bytes(ca_pem())
        _, settings = settings_in(tmp_path, client_ca="ca.pem")
        tls = HttpTls(settings, lambda: NOW_S)
        await settled(tls, monkeypatch)
        first = tls.context()
        assert first is not None and first.verify_mode is ssl.CERT_REQUIRED
        (tmp_path / "ca.pem").write_bytes(ca_pem() * 2)
        await tls._keeper.look()
        assert tls.context() is not first
        newer = tls.context()
        (tmp_path / "ca.pem").write_text("nobody")
        await tls._keeper.look()
        await tls._keeper.look()
        assert tls.context() is newer and "http.client_ca" in tls.remark
        await tls.close()

    asyncio.run(act())


def test_what_cannot_be_served_at_the_start_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.server.http_tls.LOOK_EVERY_S", 0.001)
    assert LOOK_EVERY_S > 1

    async def act() -> None:
        _, settings = settings_in(tmp_path)
        shutil.move(tmp_path / "server.key", tmp_path / "away")
        tls = HttpTls(settings, lambda: NOW_S)
        tls.start()
        async with asyncio.timeout(10):
            while not tls.remark:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert "nothing is served over HTTP" in tls.remark and "server.key" in tls.remark
        assert tls.context() is None and tls.facts().is_stale
        shutil.move(tmp_path / "away", tmp_path / "server.key")
        async with asyncio.timeout(10):
            while tls.context() is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert tls.remark == ""
        await tls.close()

    asyncio.run(act())


def test_check_names_what_is_wrong_with_it_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nobody")
    path, settings = settings_in(tmp_path, client_ca="ca.pem")
    (tmp_path / "server.key").chmod(0o600)
    [problem] = certificate_problems(path, settings)
    assert problem.severity == "error" and problem.line == 1
    assert problem.message.startswith("http.tls.certificate: ") and "http.client_ca" in problem.message
    (tmp_path / "ca.pem").write_bytes(ca_pem())
    assert certificate_problems(path, settings) == []
    (tmp_path / "server.pem").unlink()
    [problem] = certificate_problems(path, settings)
    assert "server.pem: cannot be read" in problem.message
