"""The two endpoints that transcribe: OpenAI's and ours.

Answers are rendered in a thread: hours of words take a quarter of a second.
"""

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from asr_api.engine.protocol import EngineInfo
from asr_api.http.dependencies import ServiceOfApp, served_info
from asr_api.http.disconnect import until_disconnect
from asr_api.http.documentation import errors, multipart_body, text_answer
from asr_api.http.exchange import exchange_of
from asr_api.http.forms import F, OpenAIForm, TranscribeForm, TranscriptionForm, parse_form
from asr_api.http.models import require_model
from asr_api.http.rendering import render_openai, render_transcribe
from asr_api.http.responses import OpenAITranscription, OpenAIVerboseTranscription, TranscribeBody
from asr_api.http.upload import read_upload, require_multipart
from asr_api.service import Service
from asr_api.transcription import Transcription, TranscriptionOptions

router = APIRouter(tags=["transcription"])

_RESPONSES = {
    **text_answer("Ask not what your country can do for you."),
    **errors(400, 404, 408, 413, 415, 500, 503, 504),
}


@router.post(
    "/v1/audio/transcriptions",
    summary="Transcribe audio, as OpenAI does",
    response_model=OpenAITranscription | OpenAIVerboseTranscription,
    responses=_RESPONSES,
    openapi_extra=multipart_body(OpenAIForm),
)
async def create_transcription(request: Request, service: ServiceOfApp) -> Response:
    """OpenAI's contract, for its clients: set their base URL to `/v1` here."""
    require_multipart(request)
    with service.admitted():
        form, transcription = await _transcribe(request, service, OpenAIForm)
        with exchange_of(request).trace.stage("render"):
            return await run_in_threadpool(render_openai, transcription, form)


@router.post(
    "/transcribe",
    summary="Transcribe or translate audio",
    response_model=TranscribeBody,
    responses=_RESPONSES,
    openapi_extra=multipart_body(TranscribeForm),
)
async def transcribe(request: Request, service: ServiceOfApp) -> Response:
    """The transcript with its language; `verbose_json` adds segments, each with its words where asked."""
    require_multipart(request)
    with service.admitted():
        form, transcription = await _transcribe(request, service, TranscribeForm)
        with exchange_of(request).trace.stage("render"):
            return await run_in_threadpool(render_transcribe, transcription, form, served_info(service).model)


async def _transcribe(request: Request, service: Service, form_type: type[F]) -> tuple[F, Transcription]:
    """Read the body and transcribe its file. Call only in a place of the service's."""
    trace = exchange_of(request).trace
    with trace.stage("upload"):
        upload = await read_upload(request, service.settings, service.spool)
    try:
        form = parse_form(form_type, upload)
        service.metrics.upload_bytes_total.inc(form.file.size or 0)
        options = _options(form, served_info(service))
        work = service.transcribe(form.file.file, options, trace)
        return form, await until_disconnect(request, work)
    finally:
        await upload.close()


def _options(form: TranscriptionForm, info: EngineInfo) -> TranscriptionOptions:
    if form.model:
        require_model(form.model, info)
    return form.options(info.languages)
