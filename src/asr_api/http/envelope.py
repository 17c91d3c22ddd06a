"""Every refusal in OpenAI's envelope: one renderer of errors and the handlers that use it."""

import asyncio
import contextlib
import logging
import math
from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asr_api.errors import AsrError, UploadTimeout, UploadTooLarge
from asr_api.http.exchange import exchange_of
from asr_api.http.responses import ErrorBody, ErrorResponse

logger = logging.getLogger(__name__)

LINGER = 10.0
"""Seconds for which a body that was refused is still read and thrown away."""

_RETRYABLE = (429, 503, 504)
_CODES = {404: "unknown_url", 405: "method_not_allowed"}


def error_response(error: AsrError) -> Response:
    """The error as a client reads it.

    OpenAI's clients wait `Retry-After` seconds, and retry every 5xx unless `x-should-retry` says no.
    """
    headers = {} if error.status in _RETRYABLE else {"x-should-retry": "false"}
    if isinstance(error, UploadTimeout | UploadTooLarge):
        headers["Connection"] = "close"
    if isinstance(error, UploadTooLarge):
        return _enveloped(error_body(error), error.status, headers, Closing)
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return _enveloped(error_body(error), error.status, headers)


def error_body(error: AsrError) -> ErrorBody:
    """The error as JSON has it, in an envelope or a stream."""
    return ErrorBody(message=error.message, type=error.type, param=error.param, code=error.code)


def internal_error() -> Response:
    """The answer to a bug: says nothing of its cause."""
    return error_response(AsrError("the server failed on this request; the cause is in its log"))


def install(app: FastAPI) -> None:
    """Answer every exception that a route raises in the envelope."""
    app.add_exception_handler(AsrError, _on_asr_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


class Closing(Response):
    """The last answer of a connection whose client still sends.

    The body is thrown away for a while: a connection that is closed with bytes unread is reset,
    and many clients would report that instead of the answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if "expect" not in Headers(scope=scope):  # such a client waits for our word, and has it
            with contextlib.suppress(TimeoutError, HTTPException):
                async with asyncio.timeout(LINGER):
                    while (await receive()).get("more_body"):
                        pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _enveloped(body: ErrorBody, status: int, headers: dict[str, str], response: type[Response] = Response) -> Response:
    content = ErrorResponse(error=body).model_dump_json()
    return response(content, status, headers, media_type="application/json")


async def _on_asr_error(request: Request, error: Exception) -> Response:
    error = cast(AsrError, error)
    exchange = exchange_of(request)
    exchange.fail(error)
    if error.status == AsrError.status:
        logger.error("request failed", exc_info=error, extra={"id": exchange.trace.id})
    return error_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    exchange_of(request).outcome = "client_error"
    message = f"{error.detail}: {request.method} {request.url.path[:200]}"
    code = _CODES.get(error.status_code, "invalid_request")
    body = ErrorBody(message=message, type="invalid_request_error", param=None, code=code)
    return _enveloped(body, error.status_code, {"x-should-retry": "false", **(error.headers or {})})


async def _on_validation_error(request: Request, error: Exception) -> Response:
    fault = cast(RequestValidationError, error).errors()[0]
    exchange_of(request).outcome = "client_error"
    param = str(fault["loc"][-1])
    body = ErrorBody(
        message=f"{param}: {fault['msg']}", type="invalid_request_error", param=param, code="invalid_value"
    )
    return _enveloped(body, 400, {"x-should-retry": "false"})
