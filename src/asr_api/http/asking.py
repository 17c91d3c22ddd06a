"""What the endpoints that take audio have in common: from the request to work that runs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import BinaryIO

from starlette.datastructures import UploadFile
from starlette.requests import Request

from asr_api.http.access import tenant_of
from asr_api.http.dependencies import served_info
from asr_api.http.disconnect import until_disconnect
from asr_api.http.exchange import exchange_of
from asr_api.http.forms import F, TranscriptionForm, parse_form
from asr_api.http.live import Event, Live, Value
from asr_api.http.models import require_model
from asr_api.http.upload import SpooledUpload, read_upload
from asr_api.joining import Ticket
from asr_api.service import Service
from asr_api.transcription import TranscriptionOptions

MAX_IDEMPOTENCY_KEY = 256
"""Characters of an Idempotency-Key that count."""


async def receive(
    request: Request, service: Service, form_type: type[F], stack: AsyncExitStack, max_files: int = 1
) -> F:
    """The form of a request, which has a place until `stack` is closed, as its files have.

    Raises Overloaded before the body is read, and InvalidRequest, UploadTooLarge, UploadTimeout or
    UnknownModel.
    """
    place = stack.enter_context(service.admitted(tenant_of(request)))
    trace = exchange_of(request).trace
    with trace.stage("upload"):
        data = await read_upload(request, service.settings, service.spool, place, max_files)
    trace.enter("decode")
    stack.push_async_callback(data.close)
    form = parse_form(form_type, data)
    for file in form.files:
        service.metrics.front_end.uploaded(file.size or 0)
    if form.model:
        require_model(form.model, service)
    return form


def options_of(form: TranscriptionForm, service: Service) -> TranscriptionOptions:
    """What the engine and the front end are asked. Raises InvalidRequest for a language that is not served."""
    return form.options(served_info(service).languages)


def ticket_of(request: Request, file: UploadFile, options: TranscriptionOptions, number: int = 0) -> Ticket:
    """By what the work on a file is found again when its client comes back; `number` counts the request's files."""
    digest = file.digest if isinstance(file, SpooledUpload) else b""
    key = request.headers.get("idempotency-key")
    retries = request.headers.get("x-stainless-retry-count", "")
    return Ticket(
        tenant=tenant_of(request),
        asked=(request.url.path, digest, options),
        idempotency_key=f"{number}/{key[:MAX_IDEMPOTENCY_KEY]}" if key else None,
        retries=int(retries) if retries.isdecimal() and len(retries) < 4 else None,
    )


@asynccontextmanager
async def held(file: UploadFile) -> AsyncIterator[BinaryIO]:
    """The upload for work that may outlive its request."""
    if isinstance(file, SpooledUpload):
        async with file.held() as opened:
            yield opened
    else:
        yield file.file


async def live(
    request: Request, stack: AsyncExitStack, work: Callable[[Callable[[Event], None]], Awaitable[Value]]
) -> Live[Event, Value]:
    """Work whose answer may begin; what `stack` holds is kept until that answer is sent.

    Raises what the work failed with before it told anything, and ClientDisconnect.
    """
    running = await stack.enter_async_context(Live(work))
    await until_disconnect(request, running.begin())
    exchange_of(request).resources.push_async_exit(stack.pop_all())
    return running


def ignore(_: object) -> None:
    """Nobody listens."""
