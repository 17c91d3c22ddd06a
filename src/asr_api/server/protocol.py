"""One HTTP connection: uvicorn's, within limits of time that uvicorn does not have, and with one end."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from asr_api.errors import AsrError, Draining
from asr_api.metrics import RequestMetrics
from asr_api.metrics.labels import ConnectionEnd
from asr_api.server.connections import Connections
from asr_api.server.outlet import Outlet
from asr_api.server.reading import StrictReader
from asr_api.server.refusals import answer_of
from asr_api.service import RETRY_AFTER

LINGER = 10.0
"""Seconds for which is read and thrown away what a client still sends after its last answer: it would be
reset, and many clients would report that instead of the answer."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds: for all of a request's headers; for a client to take some of its answer; and for the rest of
    a body that was answered before its end.
    """

    header_timeout: float
    write_timeout: float
    body_timeout: float


class Connection(StrictReader):
    """A connection that ends for one reason, and answers each request it has read once.

    A request's headers must be whole `header_timeout` seconds after the connection was made, or
    after the first byte that follows the request before. `requests` counts what never becomes a request.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        connections: Connections,
        requests: RequestMetrics,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._registry = connections
        self._requests = requests
        self.since = self.loop.time()
        self._ended: ConnectionEnd | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._last_word: bytes | None = None
        self._lingering = self._expelled = self._lost = False

    @property
    def silent(self) -> bool:
        return self._running is None and self.in_head and not self.begun

    @property
    def unanswered(self) -> bool:
        return self._running is not None and not self._running.response_started

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._outlet = Outlet(transport, self.loop, self._limits.write_timeout, self._leave, self._stalled)
        super().connection_made(self._outlet)
        self._registry.opened(self)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, TimeoutError):  # of the kernel: it held all that the client did not take
            self._ended = self._ended or "write_timeout"
        self._count_loss(exc)
        super().connection_lost(exc)
        if self._running is not None:  # uvicorn tells the last that came, not the one at work
            self._disconnect(self._running)
        self._forget_deadline()
        self._outlet.release()
        self._registry.closed(self, self._ended or "client")
        self._lost = True
        if self._running is None:
            self._untie()

    def _untie(self) -> None:
        """Let go of what holds this, so that all of it is freed now and not when somebody looks for cycles."""
        self._unset_keepalive_if_required()
        self.parser = self.cycle = self.flow = None  # type: ignore[assignment]

    def _count_loss(self, exc: Exception | None) -> None:
        if self._ended in (None, "client") and self.in_head and self.begun and self._running is None:
            self._requests.disconnected_in_headers()
        stalled = self._ended == "write_timeout"
        unsent = stalled or self._outlet.unsent or self.flow.write_paused
        if (stalled or exc is not None) and unsent and self.cycle is not None and self.cycle.response_complete:
            self._requests.disconnected("response")

    def eof_received(self) -> None:
        self._ended = self._ended or "client"
        self._outlet.look()

    def read_some(self, *, more: bool) -> None:
        if self.in_head and more:
            self._expect_head()
        elif self.in_head and self._running is None and self.timeout_keep_alive_task is None:
            # the rest of a body that was answered before
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def read_head(self) -> None:
        self._forget_deadline()
        self._registry.busy(self)

    def read_message(self) -> None:
        self._forget_deadline()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, cast(ASGI3Application, partial(self._converse, cycle, app)))

    async def _converse(
        self,
        cycle: RequestResponseCycle,
        app: ASGI3Application,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """Run the application; a body may be refused while it comes, and an answer become the last."""

        async def hear() -> ASGIReceiveEvent:
            message = await receive()
            if self._expelled and message.get("more_body") and not cycle.response_started:
                raise still_closing()
            return message

        async def say(message: ASGISendEvent) -> None:
            if message["type"] == "http.response.start" and self._registry.draining and not self.pipeline:
                cycle.keep_alive = False
            await send(message)

        await app(scope, hear, say)

    def on_response_complete(self) -> None:
        self._running = None
        self.since = self.loop.time()
        super().on_response_complete()
        if self._lost and self._running is None:
            self._untie()
        if self._running is not None or self._outlet.is_closing():
            return
        if self._last_word is not None:
            self._outlet.write(self._last_word)
            self._outlet.close()
        elif self._ended is not None:
            self._outlet.close()
        else:
            self._registry.idle(self)
            if not self.in_head:
                self._deadline = self.loop.call_later(self._limits.body_timeout, self.hang_up, "idle")

    def refuse(self, error: AsrError) -> None:
        """Read no more; the refusal is the last answer, after those of the requests before."""
        self.deaf = True
        self._ended = self._ended or ("header_size" if error.status in (414, 431) else "bad_request")
        self._forget_deadline()
        if not self.in_head:
            self._break_off(error)
            return
        self._requests.answered(None, error.status)
        self._last_word = answer_of(error, self.server_state.default_headers)
        if self._running is None:
            self._outlet.write(self._last_word)
            self._outlet.close()

    def _break_off(self, error: AsrError) -> None:
        """Refuse a request in the middle of its body."""
        if self.cycle is not self._running:
            if self.pipeline:
                self.pipeline.popleft()
            if self._running is None:
                self._outlet.close()
        elif self._running.response_started:
            self._disconnect(self._running)
            self._outlet.close()
        else:
            self._answer_now(self._running, error)

    def _answer_now(self, cycle: RequestResponseCycle, error: AsrError) -> None:
        """The answer of a request from here, and no other from the application, which counts it as its own."""
        cycle.scope["state"]["answered"] = error
        self._outlet.write(answer_of(error, self.server_state.default_headers))
        self._disconnect(cycle)
        self._outlet.close()

    def _disconnect(self, cycle: RequestResponseCycle) -> None:
        if not cycle.response_complete:
            cycle.disconnected = True
        cycle.message_event.set()

    def _leave(self) -> None:
        """Close after the last answer, and not before the client has had it."""
        self._ended = self._ended or ("drain" if self._registry.draining else "done")
        self._forget_deadline()
        if self.in_head and not self.deaf:
            self._outlet.hang_up()
            return
        self.deaf = self._lingering = True
        self._outlet.finish()
        FlowControl.resume_reading(self.flow)
        self._deadline = self.loop.call_later(LINGER, self._outlet.hang_up)

    def hang_up(self, reason: ConnectionEnd) -> None:
        self._ended = self._ended or reason
        self._forget_deadline()
        self._outlet.hang_up()

    def expel(self) -> None:
        self._expelled = True
        if self._running is not None:
            self._running.message_event.set()

    def cut_short(self) -> None:
        if self._running is not None and self.unanswered:
            self._answer_now(self._running, still_closing())

    def shutdown(self) -> None:
        """Told by uvicorn when it ends."""
        if self._running is None or self._lingering:
            self.hang_up("drain")
        else:
            self._running.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        self.hang_up("idle")

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._limits.header_timeout, self._head_is_late)

    def _head_is_late(self) -> None:
        self._deadline = None
        if self._running is None:
            self.hang_up("header_timeout")
        else:  # what came before it is answered
            self.deaf, self._ended = True, self._ended or "header_timeout"

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stalled(self) -> None:
        self._ended = "write_timeout"
        self._outlet.abort()


def still_closing() -> Draining:
    return Draining("the service is shutting down", retry_after=RETRY_AFTER)
