"""OpenAI's endpoints: transcription and translation.

Answers are rendered in a thread: hours of words take a quarter of a second.
"""

from contextlib import AsyncExitStack
from functools import partial

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from asr_api.http.access import tenant_of
from asr_api.http.asking import held, ignore, live, options_of, receive, ticket_of
from asr_api.http.dependencies import ServiceOfApp
from asr_api.http.disconnect import until_disconnect
from asr_api.http.documentation import errors, multipart_body, openai_answers
from asr_api.http.exchange import exchange_of
from asr_api.http.forms import OpenAITranscriptionForm, OpenAITranslationForm, TranscriptionForm
from asr_api.http.rendering import render_openai
from asr_api.http.responses import (
    OpenAITranscription,
    OpenAITranslation,
    OpenAIVerboseTranscription,
    OpenAIVerboseTranslation,
)
from asr_api.http.streaming import openai_stream
from asr_api.http.upload import require_multipart
from asr_api.service import Service
from asr_api.stitching import OnPart
from asr_api.transcription import Transcription

router = APIRouter(tags=["OpenAI"])

_ERRORS = errors(400, 404, 408, 413, 415, 429, 500, 503, 504)


@router.post(
    "/v1/audio/transcriptions",
    summary="Transcribe audio, as OpenAI does",
    response_model=OpenAITranscription | OpenAIVerboseTranscription,
    responses={**openai_answers(stream=True), **_ERRORS},
    openapi_extra=multipart_body(OpenAITranscriptionForm),
)
async def create_transcription(request: Request, service: ServiceOfApp) -> Response:
    """OpenAI's contract, for its clients: set their base URL to `/v1` here."""
    return await _answer(request, service, OpenAITranscriptionForm)


@router.post(
    "/v1/audio/translations",
    summary="Translate audio into English, as OpenAI does",
    response_model=OpenAITranslation | OpenAIVerboseTranslation,
    responses={**openai_answers(stream=False), **_ERRORS},
    openapi_extra=multipart_body(OpenAITranslationForm),
)
async def create_translation(request: Request, service: ServiceOfApp) -> Response:
    """What is said in any language, in English."""
    return await _answer(request, service, OpenAITranslationForm)


async def _answer(request: Request, service: Service, form_type: type[TranscriptionForm]) -> Response:
    require_multipart(request)
    async with AsyncExitStack() as stack:
        form = await receive(request, service, form_type, stack)
        work = partial(_transcribe, request, service, form)
        if isinstance(form, OpenAITranscriptionForm) and form.stream:
            return openai_stream(request, await live(request, stack, work), logprobs=bool(form.include))
        transcription = await until_disconnect(request, work(ignore))
    with exchange_of(request).trace.stage("render"):
        return await run_in_threadpool(render_openai, transcription, form)


async def _transcribe(request: Request, service: Service, form: TranscriptionForm, on_part: OnPart) -> Transcription:
    options, trace, tenant = options_of(form, service), exchange_of(request).trace, tenant_of(request)

    async def work(tell: OnPart) -> Transcription:
        async with held(form.file) as upload:
            return await service.transcribe(upload, options, trace, on_part=tell, tenant=tenant)

    transcription = await service.joining.run(ticket_of(request, form.file, options), work, on_part)
    trace.audio_seconds = transcription.duration  # it may have come of another request's work
    return transcription
