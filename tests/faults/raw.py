"""HTTP/1.1 on plain connections: bytes that were made beforehand go out, replies come in."""

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, cast

import httptools

BOUNDARY = "a-boundary-that-is-in-no-recording"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: names of headers in lower case; `whole` is False where the connection ended within it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class Connection(asyncio.Protocol):
    """One connection to the server; `closed` is done when it ended, whoever ended it.

    What is no HTTP at all sets `garbage`, and no more replies are read.
    """

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.replies: deque[Reply] = deque()
        self.garbage = False
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._started = False
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Raises OSError."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    @property
    def usable(self) -> bool:
        """Whether another request may follow: nothing is under way, and nobody closes."""
        return not (self.closed.done() or self.garbage or self._started or self.replies)

    def write(self, *pieces: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(pieces)

    async def reply(self) -> Reply:
        """The next answer. Raises ConnectionResetError where the connection ends before one begins."""
        while not self.replies:
            if self.closed.done():
                raise ConnectionResetError("the connection ended without an answer")
            self._news.clear()
            await self._news.wait()
        return self.replies.popleft()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.garbage:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.garbage = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._started:
            self._finish(whole=False)
        self.closed.set_result(None)
        self._news.set()

    def on_message_begin(self) -> None:
        self._headers, self._body = {}, bytearray()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._started = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._finish(whole=True)

    def _finish(self, *, whole: bool) -> None:
        self._started = False
        status = self._parser.get_status_code()
        self.replies.append(Reply(status, self._headers, bytes(self._body), whole))
        self._news.set()


def multipart(content: bytes, fields: Mapping[str, str] | None = None) -> bytes:
    """A form of one file and these fields."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}' for n, v in (fields or {}).items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="speech"\r\n\r\n'
    return "\r\n".join([*parts, head]).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def head(target: str, length: int, request_id: str, *more: str) -> bytes:
    """The head of a POST with a form of `length` bytes; `more` are header lines."""
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {length}",
        f"X-Request-ID: {request_id}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def new_id() -> str:
    """An id of a request that the server takes over."""
    return secrets.token_hex(8)
