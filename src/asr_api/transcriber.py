"""One request from file to transcript: decode, find speech, cut, queue each chunk, stitch in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, Protocol

from asr_api.admission import Admission
from asr_api.batching import Flow, Served
from asr_api.engine.protocol import MAX_TOKENS, DecodingOptions, DecodingResult, DecodingTask, Features
from asr_api.errors import DeadlineExceeded, InvalidRequest
from asr_api.fallback import SHORT_TOKENS, Thresholds, expected_tokens
from asr_api.job import Job, Progress, Recording
from asr_api.metrics import TEMPERATURES, Metrics
from asr_api.segmenting import SegmentRules, segments_of
from asr_api.trace import Trace
from asr_api.transcription import (
    AudioOptions,
    ChunkPlace,
    FeatureChunk,
    Segment,
    Transcription,
    TranscriptionOptions,
)


class FrontEnd(Protocol):
    """From a file to chunks, as soon as the file is known to be audio. Raises InvalidAudio."""

    def open(self, upload: BinaryIO, options: AudioOptions) -> AbstractAsyncContextManager[Recording]: ...


class Submitter(Protocol):
    """The batching queue, as a request sees it."""

    async def submit(
        self, item: DecodingTask, *, flow: Flow, cost: float, deadline: float
    ) -> Served[DecodingResult]: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one chunk; `result` is None where nothing is said in it."""

    place: ChunkPlace
    language: str
    language_probability: float
    result: DecodingResult | None


class Transcriber:
    """Turns files into transcripts by way of the queue.

    At most `window` chunks of one request are in the queue, so that an hour of audio never holds
    all its features; `features` makes of a chunk's what the engine is given.
    """

    def __init__(
        self,
        queue: Submitter,
        front_end: FrontEnd,
        features: Callable[[FeatureChunk], Features],
        tokenize: Callable[[str], tuple[int, ...]],
        *,
        languages: Sequence[str],
        metrics: Metrics,
        admission: Admission,
        beam_size: int,
        window: int,
        timeout: float,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._queue = queue
        self._front_end = front_end
        self._features = features
        self._tokenize = tokenize
        self._languages = frozenset(languages)
        self._metrics = metrics
        self._beam_size = beam_size
        self._window = window
        self._timeout = timeout
        self._thresholds = thresholds or Thresholds()
        self._admission = admission

    async def transcribe(
        self,
        upload: BinaryIO,
        options: TranscriptionOptions,
        trace: Trace,
        on_progress: Progress | None = None,
        tenant: str = "",
    ) -> Transcription:
        """Transcribe one file for a tenant, whose requests together have a fair share of the engine.

        Raises InvalidRequest (a language the model does not have), InvalidAudio, DeadlineExceeded,
        Overloaded or EngineFailure; the first failure withdraws the request's other chunks.
        """
        self._check(options)
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline), AsyncExitStack() as stack:
                with trace.stage("decode"):
                    recording = await stack.enter_async_context(self._front_end.open(upload, options.audio))
                hold = stack.enter_context(self._admission.hold(recording.claimed_seconds or 0.0))
                job = Job(
                    options,
                    prompt=self._prompt(options),
                    deadline=deadline,
                    flow=Flow(tenant),
                    trace=trace,
                    recording=recording,
                    on_progress=on_progress,
                    remaining=partial(self._admission.settle, hold),
                )
                stack.callback(job.note)
                heard = await self._listen(job)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the request was not finished within {self._timeout:g} s") from error
        return self._stitch(heard, job)

    def _check(self, options: TranscriptionOptions) -> None:
        if options.language is not None and options.language not in self._languages:
            raise InvalidRequest(
                f"the model does not know the language {options.language!r}", code="unknown_language", param="language"
            )

    def _prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        """Hotwords and then the prompt, as faster-whisper has them; the end counts where there is too much."""
        text = " ".join(part for part in (options.hotwords, options.prompt) if part)
        return self._tokenize(text) if text else ()

    async def _listen(self, job: Job) -> list[Heard]:
        """All chunks in order. The language is that of the first chunk in which something is said."""
        first: list[Heard] = []
        rest: list[asyncio.Task[Heard]] = []
        language = job.options.language
        places = asyncio.Semaphore(self._window)
        async with first_error_of(asyncio.TaskGroup()) as group:
            async for chunk in job.recording:
                job.book()
                if language is None:
                    first.append(await self._hear(chunk, None, job))
                    language = first[-1].language if first[-1].result else None
                else:
                    await places.acquire()
                    rest.append(group.create_task(self._hear(chunk, language, job)))
                    rest[-1].add_done_callback(lambda _: places.release())
        job.end()
        return [*first, *(task.result() for task in rest)]

    async def _hear(self, chunk: FeatureChunk, language: str | None, job: Job) -> Heard:
        """Decode one chunk, climbing the ladder of temperatures where the thresholds say that it failed."""
        features, place = self._features(chunk), chunk.place
        ladder = list(TEMPERATURES if job.options.temperature == 0 else (job.options.temperature,))
        max_tokens = SHORT_TOKENS if expected_tokens(place.voiced) <= SHORT_TOKENS else MAX_TOKENS
        attempts: list[DecodingResult] = []
        while ladder:
            options = self._options(job, ladder[0], max_tokens)
            attempts.append(await self._decode(place, features, language, options, job))
            language = attempts[0].language
            reason = self._thresholds.failure(attempts[-1], max_tokens)
            if reason is None:
                break
            if reason == "length":
                max_tokens = MAX_TOKENS
                attempts.pop()
            else:
                ladder.pop(0)
            if ladder and job.options.temperature == 0:
                self._metrics.fell_back(ladder[0], reason)
        job.advance(place)
        return self._judge(place, attempts)

    def _options(self, job: Job, temperature: float, max_tokens: int) -> DecodingOptions:
        return DecodingOptions(
            beam_size=self._beam_size,
            temperature=temperature,
            prompt_length=len(job.prompt),
            timestamps=job.options.timestamps,
            max_tokens=max_tokens,
        )

    async def _decode(
        self, place: ChunkPlace, features: Features, language: str | None, options: DecodingOptions, job: Job
    ) -> DecodingResult:
        task = DecodingTask(features, place.duration, language, job.options.task, job.prompt, options)
        served = await self._queue.submit(task, flow=job.flow, cost=place.duration, deadline=job.deadline)
        job.trace.longest("queue", served.waited)
        job.trace.longest("inference", served.ran)
        job.trace.batch_sizes.append(served.batch_size)
        self._metrics.generated_tokens.inc(len(served.result.tokens))
        return served.result

    def _judge(self, place: ChunkPlace, attempts: Sequence[DecodingResult]) -> Heard:
        """The last attempt where it passed, else the likeliest of those that do not repeat themselves."""
        first, best = attempts[0], attempts[-1]
        if self._thresholds.failure(best) is not None:
            limit = self._thresholds.compression_ratio
            sane = [attempt for attempt in attempts if attempt.compression_ratio <= limit]
            best = max(sane or attempts, key=lambda attempt: attempt.avg_logprob)
        said = best.text.strip() and not self._thresholds.silent(best)
        return Heard(place, first.language, first.language_probability, best if said else None)

    def _stitch(self, heard: Sequence[Heard], job: Job) -> Transcription:
        spoken = [(one.place, one.result, one) for one in heard if one.result is not None]
        rules = SegmentRules(job.options.max_segment_seconds, job.options.max_line_width)
        segments = [segment for place, result, _ in spoken for segment in segments_of(place, result, rules)]
        first = spoken[0][2] if spoken else None
        return Transcription(
            text="".join(result.text for _, result, _ in spoken).strip(),
            task=job.options.task,
            language=job.options.language or (first.language if first else None),
            language_probability=first.language_probability if first else None,
            duration=job.duration,
            segments=numbered(segments),
        )


def numbered(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    return tuple(replace(segment, id=n) for n, segment in enumerate(segments))


@asynccontextmanager
async def first_error_of(group: asyncio.TaskGroup) -> AsyncIterator[asyncio.TaskGroup]:
    """The group, which raises its first error as itself."""
    try:
        async with group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
