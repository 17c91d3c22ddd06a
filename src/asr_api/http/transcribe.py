"""Our own endpoint: several files, every option, and segments as they finish."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from asr_api.errors import AsrError, InvalidRequest
from asr_api.http.access import tenant_of
from asr_api.http.asking import held, ignore, live, options_of, receive, ticket_of
from asr_api.http.dependencies import ServiceOfApp, served_info
from asr_api.http.disconnect import until_disconnect
from asr_api.http.documentation import errors, multipart_body, our_answers
from asr_api.http.envelope import error_body
from asr_api.http.exchange import exchange_of
from asr_api.http.forms import TranscribeForm
from asr_api.http.rendering import json_text, subtitles_or_text, transcribe_body
from asr_api.http.responses import FileBody, FileError, TranscribeBody, TranscribeManyBody
from asr_api.http.streaming import Advance, Finished, Queued, Told, our_stream
from asr_api.http.upload import MAX_FILES, require_multipart
from asr_api.service import Service
from asr_api.trace import Trace
from asr_api.transcription import Part, Transcription, TranscriptionOptions

router = APIRouter(tags=["transcription"])

Tell = Callable[[Told], None]
Outcome = Transcription | AsrError


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its form, and what each of its files is to be asked."""

    request: Request
    service: Service
    form: TranscribeForm
    options: TranscriptionOptions

    @property
    def model(self) -> str:
        return served_info(self.service).model


@router.post(
    "/transcribe",
    summary="Transcribe audio",
    response_model=TranscribeBody | TranscribeManyBody,
    responses={**our_answers(), **errors(400, 404, 408, 413, 415, 429, 500, 503, 504)},
    openapi_extra=multipart_body(TranscribeForm),
)
async def transcribe(request: Request, service: ServiceOfApp) -> Response:
    """Text, and if you like segments and words, of one file or several; also as a stream."""
    require_multipart(request)
    exchange = exchange_of(request)
    async with AsyncExitStack() as stack:
        form = await receive(request, service, TranscribeForm, stack, MAX_FILES)
        asked = Asked(request, service, form, options_of(form, service))
        _check_format(form)
        if form.stream is not None:
            running = await live(request, stack, partial(_stream, asked))
            return our_stream(request, running, asked.model, words=form.words, form=form.stream)
        if len(form.files) == 1:
            answer = await until_disconnect(request, _one(asked, form.file, exchange.trace, 0, ignore))
        else:
            outcomes = await until_disconnect(request, _many(asked, ignore))
    with exchange.trace.stage("render"):
        if len(form.files) == 1:
            return await run_in_threadpool(_render, asked, answer)
        return await run_in_threadpool(_render_many, asked, outcomes)


def _check_format(form: TranscribeForm) -> None:
    if len(form.files) > 1 and form.response_format not in ("json", "verbose_json"):
        raise InvalidRequest(
            f"response_format={form.response_format!r}: several files are answered with json or verbose_json only",
            param="response_format",
            code="invalid_value",
        )


async def _one(asked: Asked, file: UploadFile, trace: Trace, number: int, tell: Tell) -> Transcription:
    def on_event(event: Part | Advance) -> None:
        tell(Told(number, event))

    async def work(say: Callable[[Part | Advance], None]) -> Transcription:
        async with held(file) as upload:
            return await asked.service.transcribe(
                upload,
                asked.options,
                trace,
                on_part=say,
                on_progress=lambda seconds, duration: say(Advance(seconds, duration)),
                tenant=tenant_of(asked.request),
            )

    ticket = ticket_of(asked.request, file, asked.options, number)
    transcription = await asked.service.joining.run(ticket, work, on_event)
    trace.audio_seconds = transcription.duration  # it may have come of another request's work
    return transcription


async def _many(asked: Asked, tell: Tell) -> list[tuple[Outcome, Trace]]:
    """What came of each file, in order: a file that fails does not spoil the rest."""
    trace = exchange_of(asked.request).trace

    async def one(number: int, file: UploadFile) -> tuple[Outcome, Trace]:
        own = trace.branch()
        try:
            transcription = await _one(asked, file, own, number, tell)
        except AsrError as error:
            tell(Told(number, error))
            return error, own
        tell(Told(number, Finished(transcription, own)))
        return transcription, own

    async with asyncio.TaskGroup() as group:  # a bug ends all of them before their files are closed
        tasks = [group.create_task(one(number, file)) for number, file in enumerate(asked.form.files)]
    outcomes = [task.result() for task in tasks]
    for _, own in outcomes:
        trace.join(own)
    return outcomes


async def _stream(asked: Asked, tell: Tell) -> None:
    """Tell all; what is wrong with the only file is raised, so that it may still be the status of the answer."""
    exchange = exchange_of(asked.request)
    exchange.spot.tell = lambda ahead: tell(Told(0, Queued(ahead)))
    if len(asked.form.files) > 1:
        await _many(asked, tell)
        return
    trace = exchange.trace
    transcription = await _one(asked, asked.form.file, trace, 0, tell)
    tell(Told(0, Finished(transcription, trace)))


def _render(asked: Asked, transcription: Transcription) -> Response:
    form = asked.form
    if form.response_format not in ("json", "verbose_json"):
        return subtitles_or_text(transcription, form.response_format, form.max_line_width)
    return json_text(_body(asked, transcription, exchange_of(asked.request).trace))


def _render_many(asked: Asked, outcomes: list[tuple[Outcome, Trace]]) -> Response:
    results = [
        _result(asked, file.filename or "", outcome, trace)
        for file, (outcome, trace) in zip(asked.form.files, outcomes, strict=True)
    ]
    return json_text(TranscribeManyBody(results=results))


def _result(asked: Asked, name: str, outcome: Outcome, trace: Trace) -> FileBody | FileError:
    if isinstance(outcome, AsrError):
        return FileError(file=name, error=error_body(outcome))
    return FileBody(file=name, **_body(asked, outcome, trace).model_dump(exclude_unset=True))


def _body(asked: Asked, transcription: Transcription, trace: Trace) -> TranscribeBody:
    timed = asked.form.response_format == "verbose_json"
    return transcribe_body(transcription, asked.model, trace, segments=timed, words=asked.form.words)
