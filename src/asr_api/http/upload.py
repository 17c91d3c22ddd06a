"""Reading a multipart body: within the limits, to its last boundary, and never leaving a file open."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from asr_api.errors import InvalidRequest, UnsupportedMedia, UploadTooLarge

MAX_FIELDS = 32
"""Text parts of one request; both endpoints take fewer than ten, arrays repeat theirs."""

MAX_FIELD_BYTES = 64 * 1024
"""Bytes of one text part: more than the longest prompt takes."""


def require_multipart(request: Request) -> None:
    """Raises UnsupportedMedia unless the body is multipart/form-data in UTF-8, not compressed."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMedia("a compressed body is not served; send it without Content-Encoding")
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise UnsupportedMedia("the body must be multipart/form-data")
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise UnsupportedMedia("the body must be in UTF-8")


async def read_upload(request: Request, max_bytes: int) -> FormData:
    """The parts of the body, with their files open: the caller closes the form.

    `max_bytes` is the `max_body_size` that the route was included with, for the refusal to tell.

    Raises InvalidRequest (`invalid_multipart`, `multiple_files`), UploadTooLarge or ClientDisconnect.
    """
    try:
        return await _WholeBodyParser(request).parse()
    except MultiPartException as error:
        raise _malformed(error) from error
    except HTTPException as error:  # Starlette's 413: nothing else in the parser raises one
        raise UploadTooLarge(f"the request body is larger than {max_bytes} bytes") from error


class _WholeBodyParser(MultiPartParser):
    """Starlette's parser, which by itself takes a body that ends before its last boundary."""

    def __init__(self, request: Request) -> None:
        self._ended = False
        super().__init__(
            request.headers,
            self._to_the_end(request.stream()),
            max_files=1,
            max_fields=MAX_FIELDS,
            max_part_size=MAX_FIELD_BYTES,
        )

    def on_end(self) -> None:
        self._ended = True

    async def _to_the_end(self, body: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async with aclosing(body):
            async for chunk in body:
                yield chunk
        if not self._ended:
            raise MultiPartException("The body ends before its last boundary.")

    async def parse(self) -> FormData:
        async with aclosing(self.stream):
            return await super().parse()


def _malformed(error: MultiPartException) -> InvalidRequest:
    if error.message.startswith("Too many files"):
        return InvalidRequest("one file is transcribed at a time", param="file", code="multiple_files")
    return InvalidRequest(f"the multipart body cannot be read: {error.message}", code="invalid_multipart")
