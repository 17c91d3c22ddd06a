"""One request from file to transcript: decode, find speech, cut, queue each chunk, stitch in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Protocol
from unicodedata import category

from asr_api.admission import Admission
from asr_api.batching import Flow
from asr_api.decoder import Decoder
from asr_api.errors import DeadlineExceeded, InvalidRequest
from asr_api.job import Job, Progress, Recording
from asr_api.metrics import Metrics
from asr_api.scheduling import FlowState
from asr_api.stitching import Heard, OnPart, Stitcher
from asr_api.trace import Trace
from asr_api.transcription import (
    AudioOptions,
    FeatureChunk,
    Transcription,
    TranscriptionOptions,
)

LANGUAGE_PAUSE_MS = 300
"""Milliseconds of silence after which the language may be another: of 12 turns 0.3 to 0.8 s apart, 11 were in the
right language with 300, and 9 with 500 (docs/accuracy.md)."""


class FrontEnd(Protocol):
    """From a file to chunks, as soon as the file is known to be audio. Raises InvalidAudio."""

    def open(self, upload: BinaryIO, options: AudioOptions) -> AbstractAsyncContextManager[Recording]: ...


class Transcriber:
    """Turns files into transcripts by way of the queue.

    At most `window` chunks of one request are in the queue, so that an hour of audio never holds
    all its features.
    """

    def __init__(
        self,
        decoder: Decoder,
        front_end: FrontEnd,
        tokenize: Callable[[str], tuple[int, ...]],
        *,
        languages: Sequence[str],
        metrics: Metrics,
        admission: Admission,
        window: int,
        timeout: float,
    ) -> None:
        self._decoder = decoder
        self._front_end = front_end
        self._tokenize = tokenize
        self._languages = frozenset(languages)
        self._metrics = metrics
        self._window = window
        self._timeout = timeout
        self._admission = admission

    async def transcribe(
        self,
        upload: BinaryIO,
        options: TranscriptionOptions,
        trace: Trace,
        *,
        on_progress: Progress | None = None,
        on_part: OnPart | None = None,
        tenant: str = "",
    ) -> Transcription:
        """Transcribe one file for a tenant, whose requests together have a fair share of the engine.

        `on_part` hears what came of each chunk as soon as all before it are done.

        Raises InvalidRequest (a language the model does not have), InvalidAudio, DeadlineExceeded,
        Overloaded or EngineFailure; the first failure withdraws the request's other chunks.
        """
        self._check(options)
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline), AsyncExitStack() as stack:
                with trace.stage("decode"):
                    recording = await stack.enter_async_context(self._front_end.open(upload, audio_of(options)))
                hold = stack.enter_context(self._admission.hold(recording.claimed_seconds or 0.0, tenant))
                job = Job(
                    options,
                    prompt=self._prompt(options),
                    deadline=deadline,
                    flow=Flow(tenant, partial(_follow, trace)),
                    trace=trace,
                    recording=recording,
                    on_progress=on_progress,
                    stitcher=Stitcher(options, on_part),
                    remaining=partial(self._admission.settle, hold),
                )
                stack.callback(job.note)
                await self._listen(job)
                return job.stitcher.transcription(job.duration)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the request was not finished within {self._timeout:g} s") from error

    def _check(self, options: TranscriptionOptions) -> None:
        if options.language is not None and options.language not in self._languages:
            raise InvalidRequest(
                f"the model does not know the language {options.language!r}", code="unknown_language", param="language"
            )

    def _prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        """Hotwords and then the prompt, as faster-whisper has them; the end counts where there is too much."""
        text = " ".join(part for part in (ended(options.hotwords or ""), options.prompt) if part)
        return self._tokenize(text) if text else ()

    async def _listen(self, job: Job) -> None:
        """All chunks. The language is that of the first chunk in which something is said, or of each its own."""
        language, once = job.options.language, not job.options.multilingual
        places, number, before = asyncio.Semaphore(self._window), 0, None
        async with first_error_of(asyncio.TaskGroup()) as group:
            async for chunk in job.recording:
                job.book()
                if language is None and once:
                    parts = await self._hear(chunk, None, job, number, before)
                    language = next((one.result.language for one in parts if one.said), None)
                else:
                    await places.acquire()
                    task = group.create_task(self._hear(chunk, language, job, number, before))
                    task.add_done_callback(lambda _: places.release())
                number, before = number + 1, chunk
        job.end()
        self._metrics.engine.skipped("vad", job.unheard)

    async def _hear(
        self, chunk: FeatureChunk, language: str | None, job: Job, number: int, before: FeatureChunk | None
    ) -> Sequence[Heard]:
        parts = await self._decoder.hear(chunk, language, job, before)
        job.stitcher.add(number, parts)
        job.advance(chunk.place)
        return parts


def ended(names: str) -> str:
    """The names as a sentence: with a full stop, unless they end in a mark of their own.

    Whisper takes them for what was written before, and goes on from there. Where the list is left open, a
    recording that begins with its last name is written without it (docs/accuracy.md, "Prompts and hotwords").
    """
    names = names.rstrip()
    return f"{names}." if names and not category(names[-1]).startswith("P") else names


def audio_of(options: TranscriptionOptions) -> AudioOptions:
    """How the audio is prepared: where each stretch of speech has a language of its own, each is a chunk."""
    if not options.multilingual:
        return options.audio
    pause = max(options.audio.silence_duration_ms, LANGUAGE_PAUSE_MS)
    return replace(options.audio, joined=False, silence_duration_ms=pause)


def _follow(trace: Trace, state: FlowState) -> None:
    """The phase of a request is what its chunks do; between two of them it stays."""
    if state != "idle":
        trace.enter("inference" if state == "running" else "queue")


@asynccontextmanager
async def first_error_of(group: asyncio.TaskGroup) -> AsyncIterator[asyncio.TaskGroup]:
    """The group, which raises its first error as itself."""
    try:
        async with group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
