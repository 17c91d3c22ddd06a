"""uvicorn, with its connections and its end in our hands."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import cast

import uvicorn

from asr_api.metrics import RequestMetrics
from asr_api.server.accepting import Acceptor
from asr_api.server.connections import Connections
from asr_api.server.listening import limit_stalls
from asr_api.server.protocol import Connection, ConnectionLimits
from asr_api.settings import Settings

GRACE = 1
"""Seconds that uvicorn waits for connections and tasks at the very end."""


class Edge(uvicorn.Server):
    """An application served on a listening socket until `should_exit`; owns the socket.

    It hears no signals. `on_started` is called on its loop, when connections are accepted.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        listener: socket.socket,
        settings: Settings,
        connections: Connections,
        requests: RequestMetrics,
        on_started: Callable[[], None] | None = None,
    ) -> None:
        limits = ConnectionLimits(settings.header_timeout, settings.write_timeout, settings.upload_timeout)
        protocol = partial(Connection, limits, connections, requests)
        super().__init__(
            uvicorn.Config(
                app,
                http=cast(type[asyncio.Protocol], protocol),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # who asks is known by its key, and else by its connection
                timeout_keep_alive=settings.keep_alive_timeout,
                timeout_graceful_shutdown=GRACE,
            )
        )
        limit_stalls(listener, settings.write_timeout)
        self.acceptor = Acceptor(listener, connections, self._connection)
        self._on_started = on_started

    def _connection(self) -> asyncio.Protocol:
        make = cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self.acceptor.start()
        if self._on_started is not None:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.acceptor.close()
        await super().shutdown(sockets=[])

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()
