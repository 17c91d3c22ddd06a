"""A transcription as the body of an answer."""

import math
from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from asr_api.http.forms import OpenAIForm, ResponseFormat, TranscribeForm
from asr_api.http.languages import language_name
from asr_api.http.responses import (
    DurationUsage,
    OpenAITranscription,
    OpenAIVerboseTranscription,
    OpenAIWord,
    SegmentBody,
    SegmentWithWords,
    TranscribeBody,
)
from asr_api.transcription import Segment, Transcription, Word

Body = TypeVar("Body", bound=BaseModel)


class JSONText(Response):
    """JSON that is already written."""

    media_type = "application/json"


def render_openai(transcription: Transcription, form: OpenAIForm) -> Response:
    """OpenAI's body for the format that `form` asks for."""
    if form.response_format == "text":
        return PlainTextResponse(transcription.text)
    usage = DurationUsage(type="duration", seconds=math.ceil(transcription.duration))
    if form.response_format == "json":
        return _json(OpenAITranscription(text=transcription.text, usage=usage))
    return _json(_openai_verbose(transcription, form, usage))


def render_transcribe(transcription: Transcription, form: TranscribeForm, model: str) -> Response:
    """Our body for the format that `form` asks for; `model` is the served model's name."""
    body = transcribe_body(transcription, form.response_format, model, words=form.words)
    return PlainTextResponse(body) if form.response_format == "text" else JSONText(body)


def transcribe_body(transcription: Transcription, response_format: ResponseFormat, model: str, *, words: bool) -> str:
    """Our answer as text; `words` are those inside the segments of `verbose_json`."""
    if response_format == "text":
        return transcription.text
    body = TranscribeBody(
        text=transcription.text,
        language=transcription.language,
        language_probability=transcription.language_probability,
        duration=transcription.duration,
        task=transcription.task,
        model=model,
    )
    if response_format == "verbose_json":
        wire = SegmentWithWords if words else SegmentBody
        body.segments = [wire.model_validate(segment, from_attributes=True) for segment in transcription.segments]
    return body.model_dump_json(exclude_unset=True)


def _json(body: BaseModel) -> Response:
    return JSONText(body.model_dump_json(exclude_unset=True))


def _openai_verbose(transcription: Transcription, form: OpenAIForm, usage: DurationUsage) -> OpenAIVerboseTranscription:
    body = OpenAIVerboseTranscription(
        task=transcription.task,
        language=language_name(transcription.language),
        duration=transcription.duration,
        text=transcription.text,
        usage=usage,
    )
    if form.words:
        body.words = _wire(OpenAIWord, (word for segment in transcription.segments for word in segment.words))
    if form.segments:
        body.segments = _wire(SegmentBody, transcription.segments)
    return body


def _wire(kind: type[Body], values: Iterable[Segment | Word]) -> list[Body]:
    return [kind.model_validate(value, from_attributes=True) for value in values]
