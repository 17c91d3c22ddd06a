"""Receiving a multipart body: within the limits of size and time, to its last boundary, and leaving no file open.

The grammar is python-multipart's; the parts are ours, because only so do files go to the spool
and refusals name their limit. Starlette's own parser makes its files itself and cannot be told.
"""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from asr_api.admission import Place
from asr_api.errors import InvalidRequest, UnsupportedMedia, UploadTimeout, UploadTooLarge
from asr_api.settings import Settings
from asr_api.spool import Spool, SpooledFile

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS = 64
"""Text parts of one request: more than `/transcribe` has fields; arrays repeat theirs."""

MAX_FILES = 32
"""Files of one request, where it may have several."""

MAX_FIELD_BYTES = 64 * 1024
"""Bytes of one text part: more than the longest prompt takes."""

MAX_EPILOGUE_BYTES = 64 * 1024
"""Bytes that are ignored behind the last boundary, as RFC 2046 asks; more is no honest epilogue."""

GRACE_SECONDS = 5.0
"""How long a body may be slower than `min_upload_rate`."""

MOMENT = 1.0
"""How long it may be so where others wait for its place."""

BLOCK = 1 << 18
"""Bytes that are written to disk at a time: a thread is asked once for many small pieces."""

_SHOWN = 64


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


async def read_upload(request: Request, settings: Settings, spool: Spool, place: Place, max_files: int = 1) -> FormData:
    """The parts of the body, their files in memory or in `spool`: the caller closes the form.

    While it is slow, the request may lose its `place`, and ends with UploadTimeout. The route was
    included with `max_body_size=settings.max_upload_bytes`.

    Raises InvalidRequest (`invalid_multipart`, `too_many_parts`, `multiple_files`, `invalid_value`),
    UploadTooLarge, UploadTimeout, StorageFull or ClientDisconnect; nothing is held by then.
    """
    form = _Form(_boundary(request), spool, max_files)
    try:
        await _receive(form, request, settings, place)
        return await form.finish()
    except BaseException as error:
        await form.discard()
        if isinstance(error, HTTPException):  # Starlette's 413: nothing else here raises one
            raise too_large(settings.max_upload_bytes) from error
        raise


def too_large(limit: int) -> UploadTooLarge:
    """The refusal of a body of more than `limit` bytes."""
    return UploadTooLarge(f"the request body is larger than {limit} bytes (max_upload_bytes)")


async def _receive(form: "_Form", request: Request, settings: Settings, place: Place) -> None:
    clock = asyncio.get_running_loop().time
    timer = asyncio.timeout(None)
    pace = _Pace(clock, timer, settings.upload_timeout, settings.min_upload_rate)
    try:
        async with timer, aclosing(request.stream()) as body:
            with place.uploading(pace):
                pace.came(0)
                async for chunk in body:
                    await form.write(chunk)
                    pace.came(len(chunk))
    except TimeoutError as error:
        if timer.expired():
            raise pace.refusal() from error
        raise


def _boundary(request: Request) -> bytes:
    _, options = parse_options_header(request.headers.get("content-type"))
    if not options.get(b"boundary"):
        raise _malformed("the Content-Type names no boundary")
    return options[b"boundary"]


class _Pace:
    """How fast a body must come, as an `Upload` of the admission; ends `timer` where it is too late for more."""

    def __init__(self, clock: Callable[[], float], timer: asyncio.Timeout, timeout: float, rate: int) -> None:
        self._clock = clock
        self._timer = timer
        self._timeout = timeout
        self._rate = rate
        self._began = clock()
        self._received = 0
        self._gave_way = False

    def came(self, count: int) -> None:
        """So many bytes more; not to be told after `give_way`."""
        self._received += count
        if not self._gave_way:
            self._timer.reschedule(self._began + min(self._timeout, self._paid))

    @property
    def slow(self) -> bool:
        """Whether it is slower than the least rate, and not only for a moment."""
        paid = self._received / self._rate if self._rate else math.inf
        return not self._gave_way and self._clock() - self._began > MOMENT + paid

    def give_way(self) -> None:
        self._gave_way = True
        self._timer.reschedule(self._clock())

    @property
    def _paid(self) -> float:
        """Seconds that what was received lasts at the least rate."""
        return GRACE_SECONDS + self._received / self._rate if self._rate else self._timeout

    def refusal(self) -> UploadTimeout:
        rate = f"the body came slower than {self._rate} bytes a second"
        if self._gave_way:
            return UploadTimeout(f"{rate} (min_upload_rate) while all places were taken")
        if self._paid >= self._timeout:
            return UploadTimeout(f"the body took longer than {self._timeout:g} s (upload_timeout)")
        return UploadTimeout(f"after {GRACE_SECONDS:g} s {rate} (min_upload_rate)")


class SpooledUpload(UploadFile):
    """A file part with the digest of its bytes; only one that is on disk needs a thread to be closed."""

    def __init__(self, file: SpooledFile, size: int, filename: str, digest: bytes) -> None:
        super().__init__(cast(BinaryIO, file), size=size, filename=filename)
        self._spooled = file
        self._users = 1
        self.digest = digest

    @asynccontextmanager
    async def held(self) -> AsyncIterator[BinaryIO]:
        """The file, which stays open until this ends, whoever closes it before."""
        self._users += 1
        try:
            yield self.file
        finally:
            await self.close()

    async def close(self) -> None:
        self._users -= 1
        if not self._users:
            await _close(self._spooled)


@dataclass(slots=True)
class _Text:
    """A part without a file name."""

    name: str
    data: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > MAX_FIELD_BYTES:
            name = self.name[:_SHOWN]
            message = f"{name} is longer than the {MAX_FIELD_BYTES} bytes that a field may have"
            raise InvalidRequest(message, param=name, code="invalid_value")


@dataclass(slots=True)
class _File:
    """A part with a file name, which is never used as one; `data` is still to be written."""

    name: str
    filename: str
    file: SpooledFile
    size: int = 0
    data: bytearray = field(default_factory=bytearray)
    hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)  # which most processors have instructions for

    def take(self, data: bytes) -> None:
        self.data += data

    async def write(self) -> None:
        """Write what is left to be written: in a thread, unless it stays in memory."""
        data, self.data = self.data, bytearray()
        self.size += len(data)
        if self.file.fits(len(data)):
            self._write(data)
        else:
            await run_in_threadpool(self._write, data)

    def _write(self, data: bytearray) -> None:
        self.hash.update(data)
        self.file.write(data)

    def finished(self) -> SpooledUpload:
        self.file.seek(0)
        return SpooledUpload(self.file, self.size, self.filename, self.hash.digest())


class _Form:
    """The parts of one body, as python-multipart tells of them."""

    def __init__(self, boundary: bytes, spool: Spool, max_files: int) -> None:
        self._spool = spool
        self._max_files = max_files
        self._texts: list[_Text] = []
        self._files: list[_File] = []
        self._part: _Text | _File | None = None
        self._header, self._value, self._disposition = b"", b"", b""
        self._ended = False
        self._epilogue = 0
        with _grammar():
            self._parser = MultipartParser(boundary, self._callbacks())

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises InvalidRequest or StorageFull."""
        if self._ended:
            self._ignore(len(chunk))
            return
        with _grammar():
            self._parser.write(chunk)
        for file in self._files:
            if len(file.data) >= BLOCK or (file.data and file is not self._part):
                await file.write()

    async def finish(self) -> FormData:
        """The whole form, at the end of the body. Raises InvalidRequest where it is not whole, or StorageFull."""
        if not self._ended:
            raise _malformed("the body ends before its last boundary")
        items: list[tuple[str, str | UploadFile]] = [(text.name, _decoded(text.data)) for text in self._texts]
        for file in self._files:
            await file.write()
            items.append((file.name, file.finished()))
        return FormData(items)

    async def discard(self) -> None:
        for file in self._files:
            await _close(file.file)

    def _ignore(self, size: int) -> None:
        self._epilogue += size
        if self._epilogue > MAX_EPILOGUE_BYTES:
            raise _malformed(f"more than {MAX_EPILOGUE_BYTES} bytes follow the last boundary")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        if b"name" not in options:
            raise _malformed("a part has no name in its Content-Disposition")
        name = _decoded(options[b"name"])
        if b"filename" in options:
            self._begin_file(name, _decoded(options[b"filename"]))
        else:
            self._begin_text(name)

    def _begin_file(self, name: str, filename: str) -> None:
        if len(self._files) == self._max_files:
            most = "one file is" if self._max_files == 1 else f"at most {self._max_files} files are"
            raise InvalidRequest(f"{most} transcribed at a time", param="file", code="multiple_files")
        self._part = file = _File(name, filename, self._spool.file())
        self._files.append(file)

    def _begin_text(self, name: str) -> None:
        if len(self._texts) == MAX_FIELDS:
            raise InvalidRequest(f"the form has more than {MAX_FIELDS} fields", code="too_many_parts")
        self._part = text = _Text(name)
        self._texts.append(text)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part:
            self._part.take(data[start:end])

    def _on_end(self) -> None:
        self._ended = True


async def _close(file: SpooledFile) -> None:
    """Close a file; one on disk in a thread, for that may take long, and even if nobody waits for it any more."""
    if file.on_disk:
        await asyncio.shield(asyncio.to_thread(file.close))
    else:
        file.close()


def _decoded(data: bytes | bytearray) -> str:
    """UTF-8, or what an old client may have meant."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


@contextmanager
def _grammar() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise _malformed(str(error)) from error


def _malformed(fact: str) -> InvalidRequest:
    return InvalidRequest(f"the multipart body cannot be read: {fact}", code="invalid_multipart")
