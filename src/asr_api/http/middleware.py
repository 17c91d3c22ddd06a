"""The one middleware: names, times, counts and logs each request, and ends it whatever happens."""

import asyncio
import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_api.errors import AsrError
from asr_api.http.envelope import error_response, internal_error
from asr_api.http.exchange import Exchange
from asr_api.http.line import Line
from asr_api.http.upload import too_large
from asr_api.metrics.labels import Endpoint
from asr_api.service import Service
from asr_api.telemetry import FinishedRequest

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""Status in the log of a request whose client went away (nginx's number); never sent."""


class ExchangeMiddleware:
    """Pure ASGI, so that neither bodies nor cancellation pass through queues of its own.

    Refuses a declared body over `max_upload_bytes` before anything else runs. Each audio request
    is counted and logged exactly once, without transcript, prompt or file name.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._requests = service.metrics.requests
        self._line = Line()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange.begin(scope, self._requests.moved, self._line)
        try:
            await self._answer(exchange, scope, receive, _labelled(exchange, send))
        finally:
            await exchange.resources.aclose()
            exchange.trace.end()
            self._requests.answered(exchange.endpoint, exchange.status or CLIENT_GONE)
            if exchange.endpoint:
                self._account(exchange, exchange.endpoint, scope)

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._responder(exchange, scope)(scope, receive, send)
        except ClientDisconnect:
            self._gone(exchange, scope["state"].get("answered"))
        except asyncio.CancelledError:
            exchange.outcome = "cancelled"
            raise
        except Exception:
            logger.exception("unhandled exception", extra={"id": exchange.trace.id})
            exchange.outcome = "internal_error"
            if exchange.status is not None:
                raise
            await internal_error()(scope, receive, send)

    def _gone(self, exchange: Exchange, error: AsrError | None) -> None:
        """The client went away, or was answered with an error by the server in the midst of its body."""
        if error is not None:
            exchange.status = error.status
            exchange.fail(error)
            return
        phase = exchange.trace.phase
        self._requests.disconnected("response" if exchange.status or phase is None else phase)
        exchange.status, exchange.outcome = CLIENT_GONE, "cancelled"

    def _responder(self, exchange: Exchange, scope: Scope) -> ASGIApp:
        limit = self._service.settings.max_upload_bytes
        if _declared_length(scope) <= limit:
            return self._app
        exchange.outcome = "client_error"
        return error_response(too_large(limit))

    def _account(self, exchange: Exchange, endpoint: Endpoint, scope: Scope) -> None:
        trace = exchange.trace
        self._requests.finished(endpoint, exchange.outcome, trace.elapsed, trace.audio_seconds)
        self._requests.stages_finished(list(trace.stages.items()))
        if exchange.shed:
            self._requests.shed(exchange.shed)
        logger.info(
            "request",
            extra={
                "id": trace.id,
                "endpoint": endpoint,
                "key": scope.get("state", {}).get("tenant", ""),
                "status": exchange.status,
                "outcome": exchange.outcome,
                "seconds": trace.elapsed,
                "audio_seconds": trace.audio_seconds,
                "stages": dict(trace.stages),
                "batch_sizes": list(trace.batch_sizes),
            },
        )
        route = scope["path"].removeprefix(scope.get("root_path", ""))
        self._service.telemetry.finished(
            FinishedRequest(
                trace,
                endpoint,
                route,
                exchange.status,
                exchange.outcome,
                Headers(scope=scope),
                scheme=scope.get("scheme", "http"),
            )
        )


def _labelled(exchange: Exchange, send: Send) -> Send:
    """`send` that notes the status and adds the headers that tell what the request was and took."""

    async def labelled(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            if exchange.endpoint:
                exchange.trace.enter("response")
            MutableHeaders(scope=message).update(_headers(exchange))
        await send(message)

    return labelled


def _headers(exchange: Exchange) -> dict[str, str]:
    trace = exchange.trace
    headers = {"x-request-id": trace.id, "openai-processing-ms": str(round(trace.elapsed * 1000))}
    if exchange.endpoint and trace.stages:
        headers["Server-Timing"] = ", ".join(f"{name};dur={1000 * spent:.1f}" for name, spent in trace.stages.items())
    if exchange.endpoint and trace.audio_seconds is not None:
        headers["x-audio-duration-seconds"] = f"{trace.audio_seconds:.3f}"
    return headers


def _declared_length(scope: Scope) -> float:
    length = Headers(scope=scope).get("content-length", "")
    return float(length) if length.isdecimal() else 0.0
