"""Where one server serves HTTP: bound now or later, served, closed.

Knows: `listen.http`, and what is said while it is not served.  Does not know: the pages, DNS.
Theory: nobody's query may wait for the page of a monitor.  An address that is not there yet is bound all the
same; a port that another program holds is tried every second, beside everything else.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from resolver.config.settingvalues import Endpoint
from resolver.listeners.address import SocketAddress, bind_tcp, is_here
from resolver.listeners.inheritance import Inheritance
from resolver.server.endpoints import LOOK_EVERY_S, MAY_PASS, CannotListen, show_absent, why_not
from resolver.web import WebServer
from resolver.web.server import BACKLOG

_log = logging.getLogger(__name__)


class HttpEndpoint:
    """The listener of `listen.http`."""

    def __init__(
        self,
        endpoint: Endpoint | None,
        make_server: Callable[[socket.socket], WebServer],
        inheritance: Inheritance | None = None,
    ) -> None:
        """`endpoint`: None: off.  `make_server`: makes the server of a listening socket.

        `inheritance`: sockets that are there already.
        """
        self._endpoint = endpoint
        self._make_server = make_server
        self._inheritance = inheritance or Inheritance()
        self._socket: socket.socket | None = None
        self._server: WebServer | None = None
        self._taken = ""
        self._trying: asyncio.Task[None] | None = None
        self.on_late: Callable[[], None] = lambda: None
        """Called when it is served and could not be at the start."""

    def start(self) -> None:
        """Serve, now or when the port is free.  Raises CannotListen for what will not pass."""
        if self._endpoint is None:
            return
        try:
            self._serve(self._endpoint)
        except OSError as error:
            why = why_not(f"listen.http: {self._endpoint}", error, self._endpoint.port)
            if error.errno not in MAY_PASS:
                raise CannotListen([why]) from None
            self._taken = why
            _log.warning("%s; it is tried again", why)
            self._trying = asyncio.get_running_loop().create_task(
                self._try(self._endpoint), name="listen-http"
            )
        else:
            if self.remark:
                _log.warning("%s", self.remark)

    async def stop(self) -> None:
        """Finish the requests that are running, and close."""
        if self._trying is not None:
            self._trying.cancel()
        self._socket = None
        if self._server is not None:
            await self._server.stop()

    @property
    def sockets(self) -> list[tuple[str, socket.socket]]:
        """Its socket, and the key under `listen` that it serves; none: nothing is served."""
        return [] if self._socket is None else [("http", self._socket)]

    @property
    def address(self) -> SocketAddress | None:
        """Where HTTP is served; None: nowhere now."""
        return None if self._server is None else SocketAddress(*self._server.address)

    @property
    def connections(self) -> int:
        """How many are open."""
        return 0 if self._server is None else self._server.connections

    @property
    def remark(self) -> str:
        """What a person should know of an address that is not served; empty: nothing."""
        if self._endpoint is None or self._taken:
            return self._taken
        return "" if is_here(self._endpoint.address) else show_absent(self._endpoint)

    def _serve(self, endpoint: Endpoint) -> None:
        address = SocketAddress(endpoint.address, endpoint.port)
        inherited = self._inheritance.take_tcp("http", address)
        self._socket = inherited[0] if inherited else bind_tcp(address, backlog=BACKLOG)
        self._server = self._make_server(self._socket)
        self._server.start()

    async def _try(self, endpoint: Endpoint) -> None:
        while self._taken:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                self._serve(endpoint)
            except OSError as error:
                self._taken = why_not(f"listen.http: {endpoint}", error, endpoint.port)
            else:
                self._taken = ""
                _log.warning("listening now, after all", extra={"address": str(endpoint)})
                self.on_late()
