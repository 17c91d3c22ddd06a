"""The way out of a connection: a client that takes nothing of its answer is noticed, and closing is asked for."""

import asyncio
from collections.abc import Callable
from typing import Any

LOOK = 1.0
"""Seconds between two looks at how much was taken, at most."""


class Outlet(asyncio.Transport):
    """A transport for uvicorn to write to.

    `on_close` is called when uvicorn wants the connection closed, once; `on_stall` when the
    client has taken nothing for `timeout` seconds of what waits for it. `unsent` says whether
    anything waited at the last look.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        on_close: Callable[[], None],
        on_stall: Callable[[], None],
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._timeout = timeout
        self._on_close = on_close
        self._on_stall = on_stall
        self._closing = False
        self._written = self._taken = 0
        self._moved = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self.unsent = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)
        self._written += len(data)
        if self._watch is None:
            self._taken = self._written - self._transport.get_write_buffer_size()
            self._moved = self._loop.time()
            self._look_later()

    def look(self) -> None:
        """See how much is left to be sent, and whether any was taken since the last look."""
        left = self._transport.get_write_buffer_size()
        taken, now = self._written - left, self._loop.time()
        self.unsent = left > 0
        if taken > self._taken:
            self._taken, self._moved = taken, now
        self.forget()
        if self.unsent and now - self._moved >= self._timeout:
            self._on_stall()
        elif self.unsent:
            self._look_later()

    def forget(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def release(self) -> None:
        """Look no more, and tell nobody of anything any more: the connection is lost."""
        self.forget()
        self._on_close = self._on_stall = _nothing

    def _look_later(self) -> None:
        self._watch = self._loop.call_later(min(LOOK, self._timeout / 4), self.look)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._on_close()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def finish(self) -> None:
        """Send what was written, say that no more comes, and go on reading."""
        self._closing = True
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def hang_up(self) -> None:
        """Send what was written and close, whatever the client still sends."""
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()


def _nothing() -> None:
    """Nobody is told."""
