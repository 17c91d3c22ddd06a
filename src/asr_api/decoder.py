"""One chunk of a request: decoded until it passes, and what was left out of it heard again."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Protocol

from asr_api.batching import Flow, Served
from asr_api.engine.protocol import DecodingOptions, DecodingResult, DecodingTask
from asr_api.fallback import Attempts, AudioContext, Thresholds, ladder_of
from asr_api.job import Job
from asr_api.metrics.engine import EngineMetrics
from asr_api.omission import LIKELY, Led, first_of, lead_in, likelihood, omission_in, part
from asr_api.stitching import Heard
from asr_api.transcription import FeatureChunk, TranscriptionOptions


class Submitter(Protocol):
    """The batching queue, as a request sees it."""

    async def submit(
        self, item: DecodingTask, *, flow: Flow, cost: float, deadline: float
    ) -> Served[DecodingResult]: ...


class Decoder:
    """Takes chunks of any request to the queue, and judges what comes back."""

    def __init__(
        self,
        queue: Submitter,
        metrics: EngineMetrics,
        *,
        beam_size: int,
        audio_context: AudioContext,
        recover_omissions: bool = True,
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self._beam_size = beam_size
        self._audio_context = audio_context
        self._recover_omissions = recover_omissions

    async def hear(
        self, chunk: FeatureChunk, language: str | None, job: Job, before: FeatureChunk | None
    ) -> Sequence[Heard]:
        """What is said in a chunk: in one part or, where something had been left out, in several, in order.

        `before` is the chunk before it. Raises what `Submitter.submit` raises.
        """
        checked = self._recover_omissions and checks(chunk, job.options)
        options = replace(job.options, timestamps=True) if checked else job.options
        heard = await self._climb(chunk, language, job, options)
        if heard.guard is not None:
            self._metrics.skipped(heard.guard, chunk.place.duration)
        if not (checked and heard.said):
            return (heard,)
        parts = await self._completed(heard, chunk, before, job)
        if job.options.timestamps:
            return parts
        return [replace(one, result=replace(one.result, words=())) for one in parts]

    async def _completed(
        self, heard: Heard, chunk: FeatureChunk, before: FeatureChunk | None, job: Job
    ) -> Sequence[Heard]:
        """What was heard of a chunk, with what was left out of it."""
        omission = omission_in(chunk.place, heard.result.words)
        if omission is None:
            return (heard,)
        parts = await self._in_parts(chunk, omission, heard.result.language, before, job)
        recovered = sum(len(one.result.tokens) for one in parts) > len(heard.result.tokens)
        self._metrics.omitted("recovered" if recovered else "left")
        return [replace(one, languages=heard.languages, fallback=True) for one in parts] if recovered else (heard,)

    async def _in_parts(
        self, chunk: FeatureChunk, omission: int, language: str, before: FeatureChunk | None, job: Job
    ) -> Sequence[Heard]:
        """The chunk cut before and after an omission, each part heard for itself; none where nothing is heard there."""
        first, end = first_of(chunk, omission), omission + 1
        earlier, piece = part(chunk, 0, first), part(chunk, first, end)
        later = part(chunk, end, len(chunk.place.speech))
        found = await self._again(piece, earlier if first else before, language, job)
        if found is None:
            return ()
        options = replace(job.options, timestamps=True)
        parts = [
            found if one is piece else await self._climb(one, language, job, options)
            for one in (earlier, piece, later)
            if one.place.speech
        ]
        return parts if all(passes(one, options) for one in parts) else ()

    async def _again(self, piece: FeatureChunk, before: FeatureChunk | None, language: str, job: Job) -> Heard | None:
        """What is said in a piece behind what was said before it; alone, where there is nothing or too much of that.

        It is not tried alone after it was not heard behind that: what comes then is made up, most of all where
        somebody speaks another language.
        """
        options = replace(job.options, timestamps=True, temperatures=(ladder_of(job.options)[0],))
        lead = lead_in(before, piece) if before is not None else None
        led = Led(lead, piece) if lead is not None else None
        heard = await self._climb(led.chunk if led else piece, language, job, options)
        found = led.piece_of(heard) if led else heard
        return found if found is not None and speaks(found, options) else None

    async def _climb(self, chunk: FeatureChunk, language: str | None, job: Job, options: TranscriptionOptions) -> Heard:
        """Decode, climbing the ladder of temperatures where the thresholds say that it failed."""
        attempts = Attempts(options, chunk.place.voiced, self._audio_context.frames(chunk.place.duration))
        asked, languages = language, tuple[tuple[str, float], ...]()
        while not attempts.over:
            search = self._options(options, len(job.prompt), attempts)
            task = DecodingTask(
                chunk.features,
                chunk.place.duration,
                asked,
                options.task,
                job.prompt,
                search,
                options.timestamps,
                options.logprobs,
            )
            result = await self._decode(task, job)
            reason = attempts.add(result)
            if reason != "audio_context":
                languages = languages or result.languages or ((result.language, result.language_probability),)
                asked = result.language
            if reason is not None and not attempts.over:
                self._metrics.fell_back(attempts.temperature, reason)
        return Heard(chunk.place, attempts.best, attempts.guard, languages, fallback=attempts.fell_back)

    def _options(self, options: TranscriptionOptions, prompt_length: int, attempts: Attempts) -> DecodingOptions:
        return DecodingOptions(
            **asdict(options.search(self._beam_size)),
            temperature=attempts.temperature,
            prompt_length=prompt_length,
            max_tokens=attempts.max_tokens,
            audio_context=attempts.audio_context,
        )

    async def _decode(self, task: DecodingTask, job: Job) -> DecodingResult:
        served = await self._queue.submit(task, flow=job.flow, cost=task.duration, deadline=job.deadline)
        began = time.monotonic() - served.ran
        job.trace.longest("queue", served.waited, began - served.waited)
        job.trace.longest("inference", served.ran, began)
        job.trace.batch_sizes.append(served.batch_size)
        self._metrics.wrote(len(served.result.tokens))
        return served.result


def checks(chunk: FeatureChunk, options: TranscriptionOptions) -> bool:
    """Whether it is asked if something was left out of a chunk: where there are pauses to cut it at, and where the
    words are to be those that are spoken, and all of them.
    """
    return len(chunk.place.speech) > 1 and options.task == "transcribe" and options.max_new_tokens is None


def passes(heard: Heard, options: TranscriptionOptions) -> bool:
    """Whether something is said, and the thresholds hold nothing against it."""
    return heard.said and Thresholds.of(options).failure(heard.result) is None


def speaks(heard: Heard, options: TranscriptionOptions) -> bool:
    """Whether what was heard passes, with likely words wherever somebody speaks."""
    words = heard.result.words
    complete = omission_in(heard.place, words) is None and likelihood(words) >= LIKELY
    return passes(heard, options) and complete
