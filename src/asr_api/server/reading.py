"""Reading requests: strictly, within limits of size, and one after the other.

Most of the strictness is httptools': two lengths, a length beside chunks, a folded header, a bare
line feed all end the connection. What is added here is what it leaves to its users.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from asr_api.errors import AsrError
from asr_api.server.head import HeadMeter, check_head, without_upgrade
from asr_api.server.refusals import HeadTooLarge, MalformedRequest

MAX_PIPELINED = 128
"""Requests that wait for those before them on the same connection."""


class StrictReader(HttpToolsProtocol):
    """uvicorn's protocol, as far as it reads; what it finds is for a subclass to act upon.

    `in_head`: what comes next is a request's head, or part of one, of which something has come
    where it has `begun`. When `deaf`, nothing is read any more.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.in_head = True
        self.begun = False
        self.deaf = False
        self._completed = self._upgrading = False
        self._meter = HeadMeter()

    def read_head(self) -> None:
        """A head was read."""

    def read_message(self) -> None:
        """A request was read to its end."""

    def read_some(self, *, more: bool) -> None:
        """Everything that came was read; `more`: what came last may be the beginning of a head."""

    def refuse(self, error: AsrError) -> None:
        """What came cannot be read, and so nothing that follows."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self)

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        self._unset_keepalive_if_required()
        self._completed = False
        self._meter.came(len(data))
        try:
            self._feed(data)
            self._meter.check()
        except httptools.HttpParserError as error:
            cause = error.__context__
            self.refuse(cause if isinstance(cause, AsrError) else MalformedRequest("this is not an HTTP/1.1 request"))
        except HeadTooLarge as error:
            self.refuse(error)
        else:
            self.read_some(more=self.begun or not self._completed)

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
            else:
                return

    def _without_upgrade(self) -> bytes:
        """The head that was read, as of a client that stays with HTTP/1.1, for a parser that is new.

        Java's client asks for HTTP/2 in each first request. httptools would take the body of such a
        one for the beginning of another protocol, and so for a request.
        """
        parser = self.parser
        head = without_upgrade(parser.get_http_version(), parser.get_method(), self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._upgrading = False
        return head

    def on_message_begin(self) -> None:
        self.begun = True
        self._meter.begin()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._meter.target(self.url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._meter.header(name, value)
        if self.in_head:  # what follows a body in chunks is none of its headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._meter.used()
        check_head(self.parser.get_http_version(), self.parser.get_method(), self.headers)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise MalformedRequest(f"more than {MAX_PIPELINED} requests wait for their answers on this connection")
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        super().on_headers_complete()
        self.in_head = False
        self.read_head()

    def on_body(self, body: bytes) -> None:
        self._meter.used()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        self._meter.used()
        self.in_head, self.begun, self._completed = True, False, True
        super().on_message_complete()
        self.read_message()


class _Flow(FlowControl):
    """Reads no more requests while there are some to be answered."""

    def __init__(self, transport: asyncio.Transport, reader: StrictReader) -> None:
        super().__init__(transport)
        self._reader = reader

    def resume_reading(self) -> None:
        if not self._reader.pipeline:
            super().resume_reading()
