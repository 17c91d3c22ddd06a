"""How many connections there may be, who goes when there are too many, and what happens without descriptors."""

import asyncio
import errno
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asr_api.metrics import Metrics
from asr_api.server.accepting import Acceptor
from asr_api.server.connections import Connections
from asr_api.server.descriptors import connections_within
from asr_api.server.listening import listen

from .serving import Client, Echo, get, served, until

pytestmark = pytest.mark.anyio


async def test_the_longest_idle_connection_makes_room() -> None:
    """Above the limit the one that was idle for longest goes, answered or silent, and the new one is served."""
    async with served(Echo(), most=3) as server, AsyncExitStack() as stack:
        first, second, third = [await stack.enter_async_context(Client.connect(server.port)) for _ in range(3)]
        await until(lambda: len(server.connections) == 3)
        await first.send(get("/first"))
        assert await first.reply() is not None
        fourth = await stack.enter_async_context(Client.connect(server.port))
        assert await second.ended() == b""
        await fourth.send(get("/fourth"))
        assert await fourth.reply() is not None
        await first.send(get("/again"))
        assert await first.reply() is not None
        assert (server.closed("limit"), len(server.connections)) == (1, 3)
        await third.send(get("/third"))
        assert await third.reply() is not None


async def test_where_all_are_busy_the_new_one_goes() -> None:
    """Requests at work are never given up for others."""
    app = Echo()
    async with served(app, most=1) as server, Client.connect(server.port) as busy:
        await busy.send(get("/held"))
        await app.entered.wait()
        async with Client.connect(server.port) as late:
            assert await late.ended() == b""
        app.gate.set()
        assert await busy.reply() is not None
        assert server.closed("limit") == 1


async def test_a_flood_leaves_the_server_serving() -> None:
    """Ten times as many as there may be: the limit holds, and the last is served."""
    async with served(Echo(), most=20) as server, AsyncExitStack() as stack:
        for _ in range(200):
            await stack.enter_async_context(Client.connect(server.port))
        last = await stack.enter_async_context(Client.connect(server.port))
        await last.send(get("/last"))
        assert await last.reply() is not None
        assert len(server.connections) <= 20
        assert server.closed("limit") >= 180


class Starved(socket.socket):
    """A listening socket whose process has no descriptor left for the first connections."""

    def __init__(self, listener: socket.socket, failures: int) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self.failures = failures
        self.tries = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.tries += 1
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_without_descriptors_connections_wait() -> None:
    """The port stays open, nothing spins, and who waited is accepted when there are descriptors again."""
    listener = Starved(listen("127.0.0.1", 0), failures=2)
    accepted: list[asyncio.BaseTransport] = []

    class Noting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    acceptor = Acceptor(listener, Connections(10, Metrics("0").process.connection_closed), Noting)
    acceptor.start()
    async with Client.connect(listener.getsockname()[1]):
        await until(lambda: accepted)
    assert listener.tries <= 5
    await acceptor.close()
    accepted[0].close()


async def test_who_came_before_the_port_closed_is_accepted() -> None:
    """Nobody in the backlog is reset; who comes later is refused."""
    async with served(Echo()) as server:
        port, clients = server.port, [socket.socket() for _ in range(50)]
        for client in clients:  # without letting the loop accept
            client.connect(("127.0.0.1", port))
            client.sendall(get("/early", "Connection: close"))
        await server.edge.acceptor.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        answers = await asyncio.gather(*(asyncio.to_thread(client.recv, 1000) for client in clients))
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
        for client in clients:
            client.close()


def test_a_fifth_of_the_descriptors_is_for_files() -> None:
    """Connections get the rest, and one at least."""
    assert [connections_within(limit) for limit in (256, 1024, 1)] == [204, 819, 1]
