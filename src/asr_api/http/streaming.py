"""Answers that are sent while they are made: OpenAI's events, and ours."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asr_api.errors import AsrError
from asr_api.http.disconnect import until_disconnect
from asr_api.http.envelope import error_body
from asr_api.http.exchange import exchange_of
from asr_api.http.live import Live
from asr_api.http.rendering import logprobs_of, our_segment, transcribe_body
from asr_api.http.responses import (
    DoneEvent,
    ErrorBody,
    ErrorEvent,
    ErrorResponse,
    ProgressEvent,
    QueueEvent,
    SegmentEvent,
    TextDelta,
    TextDone,
    TokenUsage,
)
from asr_api.trace import Trace
from asr_api.transcription import Part, Transcription

logger = logging.getLogger(__name__)

COMMENT = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

AUDIO_TOKENS = 50
"""Positions of Whisper's encoder a second of audio."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of the file that was sent as number `file`: a part, how far it is, its end, or its error."""

    file: int
    what: "Part | Queued | Advance | Finished | AsrError"


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits for the engine, and so many before it."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Seconds of audio that are done, and those of the whole."""

    seconds: float
    duration: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole of a file."""

    transcription: Transcription
    trace: Trace


class EventStream(Response):
    """Sends what `frames` gives, at once, until the client goes away; an error on the way is its last frame."""

    def __init__(
        self,
        request: Request,
        frames: AsyncIterator[bytes],
        media_type: str,
        last: Callable[[ErrorBody], bytes],
    ) -> None:
        super().__init__(media_type=media_type, headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._request = request
        self._frames = frames
        self._last = last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await until_disconnect(self._request, self._send(send))

    async def _send(self, send: Send) -> None:
        async with aclosing(self._all()) as frames:
            async for frame in frames:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _all(self) -> AsyncGenerator[bytes]:
        exchange = exchange_of(self._request)
        try:
            async for frame in self._frames:
                yield frame
        except AsrError as error:
            exchange.fail(error)
            if error.status == AsrError.status:
                logger.error("request failed", exc_info=error, extra={"id": exchange.trace.id})  # noqa: TRY400
            yield self._last(error_body(error))
        except Exception:
            logger.exception("unhandled exception in a stream", extra={"id": exchange.trace.id})
            exchange.outcome = "internal_error"
            yield self._last(error_body(AsrError("the server failed on this request; the cause is in its log")))


def server_sent(body: BaseModel) -> bytes:
    """One event, data only."""
    return b"data: " + body.model_dump_json(exclude_unset=True).encode() + b"\n\n"


def line(body: BaseModel) -> bytes:
    """One line of JSON."""
    return body.model_dump_json(exclude_unset=True).encode() + b"\n"


def openai_stream(request: Request, live: Live[Part, Transcription], *, logprobs: bool) -> EventStream:
    """A delta for each part, then the whole, then `[DONE]`."""
    frames = _openai_frames(live, logprobs=logprobs)
    return EventStream(request, frames, "text/event-stream", lambda error: server_sent(ErrorResponse(error=error)))


async def _openai_frames(live: Live[Part, Transcription], *, logprobs: bool) -> AsyncIterator[bytes]:
    async for part in live.events():
        if part is None:
            yield COMMENT
        elif part.text:
            delta = TextDelta(type="transcript.text.delta", delta=part.text)
            if logprobs:
                delta.logprobs = logprobs_of(part.logprobs)
            yield server_sent(delta)
    whole = live.result
    done = TextDone(type="transcript.text.done", text=whole.text, usage=usage_of(whole))
    if logprobs:
        done.logprobs = logprobs_of(whole.logprobs)
    yield server_sent(done)
    yield DONE


def usage_of(transcription: Transcription) -> TokenUsage:
    """Tokens in and out: what the encoder heard and what the decoder wrote."""
    heard = round(AUDIO_TOKENS * transcription.duration)
    written = transcription.output_tokens
    return TokenUsage(type="tokens", input_tokens=heard, output_tokens=written, total_tokens=heard + written)


def our_stream(request: Request, live: Live[Told, None], model: str, *, words: bool, form: str) -> EventStream:
    """Segments, progress and ends of the files, as lines of JSON (`ndjson`) or events (`sse`)."""
    write = server_sent if form == "sse" else line
    kind = "text/event-stream" if form == "sse" else "application/x-ndjson"
    frames = _our_frames(live, model, write, words=words, form=form)
    return EventStream(request, frames, kind, lambda error: write(ErrorEvent(type="error", file=0, error=error)))


async def _our_frames(
    live: Live[Told, None], model: str, write: Callable[[BaseModel], bytes], *, words: bool, form: str
) -> AsyncIterator[bytes]:
    latest = ProgressEvent(type="progress", file=0, seconds=0.0, duration=0.0)
    async for told in live.events():
        if told is None:
            yield COMMENT if form == "sse" else write(latest)
            continue
        for event in _events_of(told, model, words=words):
            latest = event if isinstance(event, ProgressEvent) else latest
            yield write(event)
    if form == "sse":
        yield DONE


def _events_of(told: Told, model: str, *, words: bool) -> list[BaseModel]:
    match told.what:
        case Part(segments=segments):
            return [
                SegmentEvent(type="segment", file=told.file, segment=our_segment(segment, words=words))
                for segment in segments
            ]
        case Queued(ahead):
            return [QueueEvent(type="queue", ahead=ahead)]
        case Advance(seconds, duration):
            return [ProgressEvent(type="progress", file=told.file, seconds=seconds, duration=duration)]
        case Finished(transcription, trace):
            whole = transcribe_body(transcription, model, trace, segments=False)
            return [DoneEvent(type="done", file=told.file, result=whole)]
        case AsrError() as error:
            return [ErrorEvent(type="error", file=told.file, error=error_body(error))]
