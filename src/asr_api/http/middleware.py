"""The one middleware: names, times, counts and logs each request, and ends it whatever happens."""

import asyncio
import logging
from contextlib import nullcontext

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_api.http.envelope import error_response, internal_error
from asr_api.http.exchange import Exchange
from asr_api.http.upload import too_large
from asr_api.metrics import Endpoint
from asr_api.service import Service

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange.begin(scope)
        running = self._service.metrics.requests_running
        with running.track_inprogress() if exchange.endpoint else nullcontext():
            try:
                await self._answer(exchange, scope, receive, _labelled(exchange, send))
            finally:
                await exchange.resources.aclose()
                if exchange.endpoint:
                    self._account(exchange, exchange.endpoint, scope.get("state", {}).get("tenant", ""))

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._responder(exchange, scope)(scope, receive, send)
        except ClientDisconnect:
            exchange.status, exchange.outcome = CLIENT_GONE, "cancelled"
        except asyncio.CancelledError:
            exchange.outcome = "cancelled"
            raise
        except Exception:
            logger.exception("unhandled exception", extra={"id": exchange.trace.id})
            exchange.outcome = "internal_error"
            if exchange.status is not None:
                raise
            await internal_error()(scope, receive, send)

    def _responder(self, exchange: Exchange, scope: Scope) -> ASGIApp:
        limit = self._service.settings.max_upload_bytes
        if _declared_length(scope) <= limit:
            return self._app
        exchange.outcome = "client_error"
        return error_response(too_large(limit))

    def _account(self, exchange: Exchange, endpoint: Endpoint, key: str) -> None:
        trace, metrics = exchange.trace, self._service.metrics
        metrics.request_finished(endpoint, exchange.outcome, trace.elapsed, trace.audio_seconds)
        metrics.stages_finished(list(trace.stages.items()))
        logger.info(
            "request",
            extra={
                "id": trace.id,
                "endpoint": endpoint,
                "key": key,
                "status": exchange.status,
                "outcome": exchange.outcome,
                "seconds": trace.elapsed,
                "audio_seconds": trace.audio_seconds,
                "stages": dict(trace.stages),
                "batch_sizes": list(trace.batch_sizes),
            },
        )


def _labelled(exchange: Exchange, send: Send) -> Send:
    """`send` that notes the status and adds the headers that tell what the request was and took."""

    async def labelled(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
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
