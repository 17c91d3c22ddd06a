"""What contexts do to batches: the real queue and engine, as many requests at once as there are places."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from asr_api.batching import BatchingQueue, Flow
from asr_api.engine.protocol import DecodingOptions, DecodingResult, DecodingTask
from asr_api.engine.whisper import WhisperEngine
from asr_api.fallback import AudioContext, Caps
from asr_api.transcription import FeatureChunk

AT_ONCE = 16
BATCH = 8
"""Chunks of a call at most, as in the service on a CPU."""
DEADLINE = 3600.0


@dataclass(frozen=True, slots=True)
class LoadRow:
    """So many chunks in so many calls, of `seconds` in all."""

    steps: tuple[float, ...]
    chunks: int
    calls: int
    seconds: float


def under_load(engine: WhisperEngine, chunks: Sequence[FeatureChunk], policy: AudioContext, beam_size: int) -> LoadRow:
    """The chunks once each, AT_ONCE of them under way at a time, each decoded once."""
    return asyncio.run(_loaded(engine, chunks, policy, beam_size))


async def _loaded(
    engine: WhisperEngine, chunks: Sequence[FeatureChunk], policy: AudioContext, beam_size: int
) -> LoadRow:
    calls: list[float] = []
    loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1)

    async def decode(tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        began = perf_counter()
        results = await loop.run_in_executor(thread, engine.decode, tasks)
        calls.append(perf_counter() - began)
        return results

    queue: BatchingQueue[DecodingTask, DecodingResult] = BatchingQueue(
        decode, key=lambda task: task.options, max_batch_size=BATCH, max_queue_size=AT_ONCE
    )
    worker = asyncio.create_task(queue.run())
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(chunk: FeatureChunk) -> None:
        async with places:
            task = task_of(chunk, policy, beam_size)
            await queue.submit(task, flow=Flow(), cost=task.duration, deadline=loop.time() + DEADLINE)

    await asyncio.gather(*map(ask, chunks))
    queue.close()
    await worker
    thread.shutdown()
    return LoadRow(policy.steps, len(chunks), len(calls), sum(calls))


def task_of(chunk: FeatureChunk, policy: AudioContext, beam_size: int) -> DecodingTask:
    """What the service asks first."""
    options = DecodingOptions(
        beam_size=beam_size,
        max_tokens=Caps.of(chunk.place.voiced, None).now,
        audio_context=policy.frames(chunk.place.duration),
    )
    return DecodingTask(chunk.features, chunk.place.duration, None, "transcribe", (), options)
