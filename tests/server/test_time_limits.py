"""Connections that take their time: with headers, between requests, and with their answers."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from starlette.types import Receive, Scope, Send

from .serving import Client, Echo, answer, get, post, served, until

pytestmark = pytest.mark.anyio


class Endless:
    """Answers without an end; `before_the_end` are the bytes that were taken from it while it had a client."""

    def __init__(self) -> None:
        self.before_the_end = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await receive()
        left = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not left.done():
            await send({"type": "http.response.body", "body": b"a" * (1 << 16), "more_body": True})
            self.before_the_end += 1 << 16
            await asyncio.sleep(0)


SLOW_HEAD = get("/slow", *(f"x-{n}: {'a' * 50}" for n in range(40)))


async def test_silent_connections_are_closed_and_hold_nobody_up() -> None:
    """500 that say nothing: whoever asks then is answered, and they end with the header timeout."""
    async with served(Echo(), header_timeout=0.5) as server, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(Client.connect(server.port)) for _ in range(500)]
        async with Client.connect(server.port) as good:
            await good.send(get("/good", "Connection: close"))
            assert [reply.body for reply in await good.replies()] == [b"GET /good "]
        assert await asyncio.gather(*(client.ended() for client in silent)) == [b""] * 500
        assert await server.closings() == {"header_timeout": 500, "done": 1}


async def test_headers_that_trickle_end_the_connection() -> None:
    """A byte now and then buys no time: the limit is for all headers together."""
    async with served(Echo(), header_timeout=0.3) as server, Client.connect(server.port) as client:
        assert await client.trickle(SLOW_HEAD, 0.02) < 300
        assert server.edge.server_state.total_requests == 0
        assert await server.closings() == {"header_timeout": 1}


async def test_later_headers_that_trickle_end_the_connection() -> None:
    """The second request of a connection has as long as the first, from its first byte."""
    async with served(Echo(), header_timeout=0.3) as server, Client.connect(server.port) as client:
        await client.send(get("/first"))
        assert await client.reply() is not None
        assert await client.trickle(SLOW_HEAD, 0.02) < 300
        assert await server.closings() == {"header_timeout": 1}


async def test_empty_lines_do_not_keep_a_connection() -> None:
    """What may stand before a request is none."""
    async with served(Echo(), header_timeout=0.3) as server, Client.connect(server.port) as client:
        await client.send(get("/first"))
        assert await client.reply() is not None
        assert await client.trickle(b"\r\n" * 200, 0.02) < 300
        assert await server.closings() == {"header_timeout": 1}


async def test_headers_that_trickle_do_not_end_the_request_before_them() -> None:
    """A request at work is answered, and then the connection ends."""
    app = Echo()
    async with served(app, header_timeout=0.1) as server:
        async with Client.connect(server.port) as client:
            await client.send(get("/held"))
            await client.trickle(SLOW_HEAD[:20], 0.02)
            app.gate.set()
            assert [reply.body for reply in await client.replies()] == [b"GET /held "]
        assert await server.closings() == {"header_timeout": 1}


async def test_an_idle_connection_is_closed() -> None:
    """Between requests a connection may be idle for `keep_alive_timeout`."""
    async with (
        served(Echo(), header_timeout=0.1, keep_alive_timeout=1) as server,
        Client.connect(server.port) as client,
    ):
        await client.send(get("/first"))
        assert [reply.status for reply in await client.replies()] == [200]
        assert await server.closings() == {"idle": 1}


async def test_a_body_that_was_answered_early_does_not_keep_a_connection() -> None:
    """Neither for ever while it comes, nor when it has come."""
    async with served(Echo(), header_timeout=0.1, keep_alive_timeout=1, upload_timeout=0.3) as server:
        async with Client.connect(server.port) as client:
            await client.send(post("/early", b"x" * 1000)[:-900])
            assert await client.reply() is not None
            assert await client.trickle(b"x" * 800, 0.02) < 300
        async with Client.connect(server.port) as client:
            await client.send(post("/early", b"x" * 1000)[:-900])
            assert await client.reply() is not None
            await client.send(b"x" * 900)
            assert await client.ended() == b""
        assert await server.closings() == {"idle": 2}


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    """An answer that nobody takes is given up, and counted as one whose client went away."""
    big = b"a" * (1 << 25)

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, big)

    async with served(app, write_timeout=0.4) as server, Client.connect(server.port, receive_buffer=1) as client:
        await client.send(get("/big"))
        await until(lambda: server.closed("write_timeout"))
        assert await server.closings() == {"write_timeout": 1}
        assert server.count("asr_client_disconnects_total", phase="response") == 1


async def test_what_the_kernel_holds_for_a_client_has_its_time_too() -> None:
    """An answer that fits the kernel's buffer, and that nobody takes, keeps no connection."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, b"a" * (1 << 17))

    async with served(app, write_timeout=0.4) as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.connect(("127.0.0.1", server.port))
            client.sendall(get("/some"))
            await until(lambda: server.closed("write_timeout"))
        assert await server.closings() == {"write_timeout": 1}
        assert server.count("asr_client_disconnects_total", phase="response") == 1


async def test_a_slow_client_has_its_answer() -> None:
    """One that takes a little at a time takes longer than the timeout, and all of it."""
    big = b"a" * (1 << 24)

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(send, big)

    async with served(app, write_timeout=0.4) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 14)
        writer.write(get("/big", "Connection: close"))
        taken = 0
        while some := await reader.read(1 << 18):
            taken += len(some)
            await asyncio.sleep(0.01)
        writer.close()
        assert taken > len(big)
        assert await server.closings() == {"done": 1}
        assert server.count("asr_client_disconnects_total", phase="response") == 0


async def test_an_answer_waits_for_its_client_and_not_in_memory() -> None:
    """What streams an answer waits while the client takes nothing."""
    app = Endless()
    async with served(app, write_timeout=0.4) as server, Client.connect(server.port, receive_buffer=1) as client:
        await client.send(get("/endless"))
        await until(lambda: server.closed("write_timeout"))
    assert 0 < app.before_the_end < 1 << 24


async def test_who_leaves_in_the_headers_is_counted() -> None:
    """Half a request line and gone."""
    async with served(Echo()) as server:
        async with Client.connect(server.port) as client:
            await client.send(b"GET /half")
            await until(lambda: not any(link.silent for link in server.connections))
        assert await server.closings() == {"client": 1}
        assert server.count("asr_client_disconnects_total", phase="headers") == 1
