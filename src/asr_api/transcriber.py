"""One request from file to transcript: decode, find speech, cut, queue each chunk, stitch in order."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, Protocol, TypeVar

from asr_api.admission import Admission
from asr_api.batching import Flow, Served
from asr_api.engine.protocol import MAX_TOKENS, DecodingOptions, DecodingResult, DecodingTask, Features
from asr_api.errors import DeadlineExceeded, InvalidRequest
from asr_api.metrics import TEMPERATURES, Metrics, Reason
from asr_api.segmenting import SegmentRules, segments_of
from asr_api.trace import Trace
from asr_api.transcription import SAMPLE_RATE, AudioChunk, Samples, Segment, Transcription, TranscriptionOptions

Value = TypeVar("Value")
Progress = Callable[[float, float], None]

SHORT_TOKENS = 96
"""The cap of a chunk with little speech: what `expected_tokens` of up to 10 s of it come to."""


def expected_tokens(voiced: float) -> float:
    """Tokens that so many seconds of speech may need at most, in languages that Whisper writes in words."""
    return 16 + 8 * voiced


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a decoding counts as failed, or as silence (the defaults of openai/whisper, transcribe.py)."""

    compression_ratio: float = 2.4
    avg_logprob: float = -1.0
    no_speech_prob: float = 0.6

    def failure(self, result: DecodingResult, max_tokens: int = MAX_TOKENS) -> Reason | None:
        """Why the result should be decoded again, None where it should not: for its length with more tokens,
        else at a higher temperature.
        """
        if result.compression_ratio > self.compression_ratio:
            return "compression_ratio"
        if max_tokens < MAX_TOKENS and len(result.tokens) >= max_tokens - 1:
            return "length"
        if result.avg_logprob < self.avg_logprob and not self.silent(result):
            return "avg_logprob"
        return None

    def silent(self, result: DecodingResult) -> bool:
        """Whether the decoder itself holds that nothing is said."""
        return result.no_speech_prob > self.no_speech_prob and result.avg_logprob < self.avg_logprob


class FrontEnd(Protocol):
    """From a file to chunks; both methods block."""

    def load(self, source: BinaryIO) -> Samples: ...
    def chunks(self, samples: Samples) -> list[AudioChunk]: ...


class Submitter(Protocol):
    """The batching queue, as a request sees it."""

    async def submit(
        self, item: DecodingTask, *, flow: Flow, cost: float, deadline: float
    ) -> Served[DecodingResult]: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one chunk; `result` is None where nothing is said in it."""

    chunk: AudioChunk
    language: str
    language_probability: float
    result: DecodingResult | None


@dataclass(slots=True)
class Job:
    """One request on its way: what it wants, until when, and who is told how far it is.

    `work` is the seconds of its chunks, `done` those that are finished; `duration` is the whole audio's.
    """

    options: TranscriptionOptions
    prompt: tuple[int, ...]
    deadline: float
    flow: Flow
    trace: Trace
    duration: float
    work: float
    on_progress: Progress | None
    finished: Callable[[float], None]
    done: float = 0.0

    def advance(self, chunk: AudioChunk) -> None:
        self.done += chunk.duration
        self.finished(chunk.duration)
        if self.on_progress is not None:
            self.on_progress(self.duration * self.done / self.work, self.duration)


class Transcriber:
    """Turns files into transcripts by way of the queue.

    `executor` runs what blocks; at most `window` chunks of one request are in the queue, so that
    an hour of audio never holds all its features.
    """

    def __init__(
        self,
        queue: Submitter,
        front_end: FrontEnd,
        features: Callable[[Samples], Features],
        tokenize: Callable[[str], tuple[int, ...]],
        *,
        languages: Sequence[str],
        executor: Executor,
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
        self._executor = executor
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
            async with asyncio.timeout_at(deadline):
                with trace.stage("decode"):
                    chunks = await self._chunks(upload, trace)
                work = sum(chunk.duration for chunk in chunks)
                with self._admission.hold(work) as hold:
                    job = Job(
                        options,
                        prompt=await self._prompt(options),
                        deadline=deadline,
                        flow=Flow(tenant),
                        trace=trace,
                        duration=trace.audio_seconds or 0.0,
                        work=work,
                        on_progress=on_progress,
                        finished=partial(self._admission.release, hold),
                    )
                    heard = await self._listen(chunks, job)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the request was not finished within {self._timeout:g} s") from error
        return self._stitch(heard, job)

    def _check(self, options: TranscriptionOptions) -> None:
        if options.language is not None and options.language not in self._languages:
            raise InvalidRequest(
                f"the model does not know the language {options.language!r}", code="unknown_language", param="language"
            )

    async def _blocking(self, work: Callable[..., Value], *arguments: object) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    async def _chunks(self, upload: BinaryIO, trace: Trace) -> list[AudioChunk]:
        samples = await self._blocking(self._front_end.load, upload)
        trace.audio_seconds = len(samples) / SAMPLE_RATE
        return await self._blocking(self._front_end.chunks, samples)

    async def _prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        """Hotwords and then the prompt, as faster-whisper has them; the end counts where there is too much."""
        text = " ".join(part for part in (options.hotwords, options.prompt) if part)
        return await self._blocking(self._tokenize, text) if text else ()

    async def _listen(self, chunks: Sequence[AudioChunk], job: Job) -> list[Heard]:
        """All chunks in order. The language is that of the first chunk in which something is said."""
        heard: list[Heard] = []
        language = job.options.language
        while language is None and len(heard) < len(chunks):
            heard.append(await self._hear(chunks[len(heard)], None, job))
            language = heard[-1].language if heard[-1].result else None
        places = asyncio.Semaphore(self._window)

        async def hear_in_turn(chunk: AudioChunk) -> Heard:
            async with places:
                return await self._hear(chunk, language, job)

        return heard + await gather([hear_in_turn(chunk) for chunk in chunks[len(heard) :]])

    async def _hear(self, chunk: AudioChunk, language: str | None, job: Job) -> Heard:
        """Decode one chunk, climbing the ladder of temperatures where the thresholds say that it failed."""
        features = await self._blocking(self._features, chunk.samples)
        ladder = list(TEMPERATURES if job.options.temperature == 0 else (job.options.temperature,))
        max_tokens = SHORT_TOKENS if expected_tokens(chunk.voiced) <= SHORT_TOKENS else MAX_TOKENS
        attempts: list[DecodingResult] = []
        while ladder:
            options = self._options(job, ladder[0], max_tokens)
            attempts.append(await self._decode(chunk, features, language, options, job))
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
        job.advance(chunk)
        return self._judge(chunk, attempts)

    def _options(self, job: Job, temperature: float, max_tokens: int) -> DecodingOptions:
        return DecodingOptions(
            beam_size=self._beam_size,
            temperature=temperature,
            prompt_length=len(job.prompt),
            timestamps=job.options.timestamps,
            max_tokens=max_tokens,
        )

    async def _decode(
        self, chunk: AudioChunk, features: Features, language: str | None, options: DecodingOptions, job: Job
    ) -> DecodingResult:
        task = DecodingTask(features, chunk.duration, language, job.options.task, job.prompt, options)
        served = await self._queue.submit(task, flow=job.flow, cost=chunk.duration, deadline=job.deadline)
        job.trace.longest("queue", served.waited)
        job.trace.longest("inference", served.ran)
        job.trace.batch_sizes.append(served.batch_size)
        self._metrics.generated_tokens.inc(len(served.result.tokens))
        return served.result

    def _judge(self, chunk: AudioChunk, attempts: Sequence[DecodingResult]) -> Heard:
        """The last attempt where it passed, else the likeliest of those that do not repeat themselves."""
        first, best = attempts[0], attempts[-1]
        if self._thresholds.failure(best) is not None:
            limit = self._thresholds.compression_ratio
            sane = [attempt for attempt in attempts if attempt.compression_ratio <= limit]
            best = max(sane or attempts, key=lambda attempt: attempt.avg_logprob)
        said = best.text.strip() and not self._thresholds.silent(best)
        return Heard(chunk, first.language, first.language_probability, best if said else None)

    def _stitch(self, heard: Sequence[Heard], job: Job) -> Transcription:
        spoken = [(one.chunk, one.result, one) for one in heard if one.result is not None]
        rules = SegmentRules(job.options.max_segment_seconds, job.options.max_line_width)
        segments = [segment for chunk, result, _ in spoken for segment in segments_of(chunk, result, rules)]
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


async def gather(work: Sequence[Coroutine[None, None, Value]]) -> list[Value]:
    """All values in order; the first error cancels the rest and is raised as itself."""
    tasks: list[asyncio.Task[Value]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks.extend(group.create_task(one) for one in work)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
