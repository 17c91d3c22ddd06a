"""Answers of the connection itself, to what never becomes a request."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus

from asr_api.errors import AsrError, InvalidRequest
from asr_api.http.envelope import error_response


class MalformedRequest(InvalidRequest):
    """What was sent is not HTTP/1.1 as RFC 9112 has it."""

    default_code = "malformed_request"


class TargetTooLong(InvalidRequest):
    """The request's URL is longer than any of ours."""

    status, default_code = 414, "uri_too_long"


class HeadTooLarge(InvalidRequest):
    """The request has more headers, or longer ones, than any client sends."""

    status, default_code = 431, "headers_too_large"


def answer_of(error: AsrError, defaults: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The last answer of a connection, as it goes over the wire; `defaults` are headers that all answers have."""
    response = error_response(error)
    headers = [*defaults, *response.raw_headers, (b"x-request-id", uuid.uuid4().hex.encode())]
    if b"connection" not in dict(headers):
        headers.append((b"connection", b"close"))
    head = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (error.status, _phrase(error.status), head, bytes(response.body))


def _phrase(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()
