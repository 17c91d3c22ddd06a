"""An application behind the edge, in the event loop of a test, and clients that are not polite."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from starlette.types import Receive, Scope, Send

from asr_api.metrics import Metrics
from asr_api.server.connections import Connections
from asr_api.server.edge import Edge
from asr_api.server.listening import listen
from asr_api.settings import Settings

App = Callable[[Scope, Receive, Send], Awaitable[None]]
PATIENCE = 20.0
"""Seconds after which a test that waits has failed."""


@dataclass
class Echo:
    """Answers each request with its method, path and body; `asked` are the paths, in order.

    `/held` waits until `gate` is set, and `/early` answers before it has read the body. `left` clients
    went away before they had sent theirs.
    """

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    left: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.asked.append(scope["path"])
        self.headers = list(scope["headers"])
        self.entered.set()
        if scope["path"] == "/early":
            await answer(send, b"no")
            return
        body = await self._body(receive)
        if body is None:
            self.left += 1
            return
        if scope["path"] == "/held":
            await self.gate.wait()
        await answer(send, b"%s %s %s" % (scope["method"].encode(), scope["path"].encode(), body))

    async def _body(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                return bytes(body)
        return None


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Served:
    """What runs, and what it counted."""

    port: int
    edge: Edge
    connections: Connections
    metrics: Metrics

    def closed(self, reason: str) -> float:
        """Connections that ended for a reason."""
        return self.count("asr_connections_closed_total", reason=reason)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def closings(self) -> dict[str, float]:
        """Why connections ended, when none is left."""
        await until(lambda: not len(self.connections))
        samples = (sample for family in self.metrics.registry.collect() for sample in family.samples)
        closed = {s.labels["reason"]: s.value for s in samples if s.name == "asr_connections_closed_total"}
        return {reason: value for reason, value in closed.items() if value}


@asynccontextmanager
async def served(app: App, most: int = 1000, **settings: Any) -> AsyncIterator[Served]:
    """The edge on a free port, with settings of its own."""
    metrics = Metrics("0")
    listener = listen("127.0.0.1", 0)
    connections = Connections(most, metrics.process.connection_closed)
    started = asyncio.Event()
    edge = Edge(app, listener, Settings(**settings), connections, metrics.requests, on_started=started.set)
    running = asyncio.create_task(edge.serve())
    await started.wait()
    try:
        yield Served(listener.getsockname()[1], edge, connections, metrics)
    finally:
        edge.should_exit = True
        await running


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code in OpenAI's envelope."""
        code: str = json.loads(self.body)["error"]["code"]
        return code


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def connect(cls, port: int, receive_buffer: int | None = None) -> AsyncIterator[Self]:
        raw = socket.socket()
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        except OSError:
            raw.close()
            raise
        reader, writer = await asyncio.open_connection(sock=raw)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def reply(self) -> Reply | None:
        """The next answer; None where the connection ends before one begins."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
                return None
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
            return Reply(int(first.split()[1]), headers, body)

    async def replies(self) -> list[Reply]:
        """All answers until the server closes."""
        found = []
        while (reply := await self.reply()) is not None:
            found.append(reply)
        return found

    async def ended(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.read()

    async def trickle(self, data: bytes, pause: float) -> int:
        """Send a byte at each pause until all are sent, or the server has closed; returns how many were."""
        for sent, byte in enumerate(data):
            try:
                await self.send(bytes([byte]))
                async with asyncio.timeout(pause):
                    if not await self._reader.read(1):
                        return sent
            except TimeoutError:
                continue
            except OSError:
                return sent
        return len(data)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: test", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds. Raises TimeoutError where it never does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
