"""A transcription as the body of an answer."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from asr_api import subtitles
from asr_api.http.fields import ResponseFormat
from asr_api.http.forms import OpenAITranscriptionForm, TranscriptionForm
from asr_api.http.languages import language_name
from asr_api.http.responses import (
    DurationUsage,
    LogprobBody,
    OpenAITranscription,
    OpenAITranslation,
    OpenAIVerboseTranscription,
    OpenAIVerboseTranslation,
    OpenAIWord,
    OurSegment,
    SegmentBody,
    SegmentWithWords,
    Timing,
    TranscribeBody,
    WordBody,
)
from asr_api.trace import Trace
from asr_api.transcription import Segment, TokenLogprob, Transcription, Word

Body = TypeVar("Body", bound=BaseModel)

SUBTITLES = {"srt": subtitles.srt, "vtt": subtitles.vtt}


class JSONText(Response):
    """JSON that is already written."""

    media_type = "application/json"


def json_text(body: BaseModel) -> JSONText:
    return JSONText(body.model_dump_json(exclude_unset=True))


def render_openai(transcription: Transcription, form: TranscriptionForm) -> Response:
    """OpenAI's body of a transcription or translation, in the format that `form` asks for."""
    if form.response_format not in ("json", "verbose_json"):
        return PlainTextResponse(plain(transcription, form.response_format))
    if not isinstance(form, OpenAITranscriptionForm):
        return json_text(_translation(transcription, form.response_format))
    usage = DurationUsage(type="duration", seconds=math.ceil(transcription.duration))
    if form.response_format == "verbose_json":
        return json_text(_verbose(transcription, form, usage))
    body = OpenAITranscription(text=transcription.text, usage=usage)
    if form.include:
        body.logprobs = logprobs_of(transcription.logprobs)
    return json_text(body)


def plain(transcription: Transcription, response_format: ResponseFormat, max_line_width: int = 42) -> str:
    """The text alone, or as subtitles."""
    if response_format == "text":
        return transcription.text
    return SUBTITLES[response_format](transcription.segments, max_line_width)


def subtitles_or_text(transcription: Transcription, response_format: ResponseFormat, max_line_width: int) -> Response:
    """Our answer where it is not JSON, as what it is."""
    media_type = {"srt": "application/x-subrip; charset=utf-8", "vtt": "text/vtt"}.get(response_format, "text/plain")
    return PlainTextResponse(plain(transcription, response_format, max_line_width), media_type=media_type)


def transcribe_text(
    transcription: Transcription, response_format: ResponseFormat, model: str, trace: Trace | None = None
) -> str:
    """Our answer as text, without words."""
    if response_format not in ("json", "verbose_json"):
        return plain(transcription, response_format)
    timed = response_format == "verbose_json"
    return transcribe_body(transcription, model, trace, segments=timed).model_dump_json(exclude_unset=True)


def transcribe_body(
    transcription: Transcription, model: str, trace: Trace | None, *, segments: bool, words: bool = False
) -> TranscribeBody:
    """Our answer as JSON has it."""
    body = TranscribeBody(
        text=transcription.text,
        language=transcription.language,
        language_probability=transcription.language_probability,
        language_probabilities=dict(transcription.language_probabilities),
        duration=transcription.duration,
        task=transcription.task,
        model=model,
        timing=timing_of(trace),
    )
    if segments:
        body.segments = [our_segment(segment, words=words) for segment in transcription.segments]
    return body


def our_segment(segment: Segment, *, words: bool) -> OurSegment:
    values = {name: getattr(segment, name) for name in SegmentBody.model_fields} | {
        "fallback": segment.fallback,
        "language": segment.language,
    }
    if words:
        return SegmentWithWords(**values, words=_wire(WordBody, segment.words))
    return OurSegment(**values)


def timing_of(trace: Trace | None) -> Timing:
    stages = trace.stages if trace else {}
    return Timing.model_validate({name: round(seconds, 4) for name, seconds in stages.items() if name != "render"})


def logprobs_of(logprobs: Sequence[TokenLogprob]) -> list[LogprobBody]:
    return [
        LogprobBody(token=one.data.decode(errors="replace"), logprob=round(one.logprob, 6), bytes=list(one.data))
        for one in logprobs
    ]


def _translation(
    transcription: Transcription, response_format: ResponseFormat
) -> OpenAITranslation | OpenAIVerboseTranslation:
    if response_format == "json":
        return OpenAITranslation(text=transcription.text)
    return OpenAIVerboseTranslation(
        task="translate",
        language="english",
        duration=transcription.duration,
        text=transcription.text,
        segments=_wire(SegmentBody, transcription.segments),
    )


def _verbose(
    transcription: Transcription, form: OpenAITranscriptionForm, usage: DurationUsage
) -> OpenAIVerboseTranscription:
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
