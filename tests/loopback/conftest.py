"""What loopback tests share: one NSD per worker, one server per module."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from resolver.server.engine import NATIVE_PACKAGE
from tests.loopback.authority import running_authority
from tests.loopback.server import Server, running_server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of an NSD with the test zones."""
    with running_authority(tmp_path_factory.mktemp("nsd")) as port:
        yield port


@pytest.fixture(scope="module", params=["python", "native"])
def serving_engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine of every server in the module, one after the other."""
    if request.param == "native" and importlib.util.find_spec(NATIVE_PACKAGE) is None:
        pytest.skip("the native plane is not installed")
    Server.engine = request.param
    yield Server.engine
    Server.engine = "auto"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: int, serving_engine: str) -> Iterator[Server]:
    """A server with the usual policy, on IPv4 and IPv6."""
    directory = tmp_path_factory.mktemp("server")
    with running_server(directory, authority, hosts=("127.0.0.1", "::1")) as running:
        yield running
