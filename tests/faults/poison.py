"""Batches with chunks in them that no engine can read: their mates must not notice."""

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from asr_api.batching import BatchingQueue, Flow, Served
from asr_api.errors import AsrError, EngineFailure, EngineLost, EngineOutOfMemory
from tests.faults.ledger import Verdict

MOST = 16
"""Chunks of a batch."""

DEADLINE = 60.0

Poison = Literal["raises", "kills", "refused"]
"""Its call fails as a whole; its call loses the engine; or only its own entry is an exception."""

POISONS: tuple[Poison, ...] = ("raises", "kills", "refused")


@dataclass(frozen=True, slots=True)
class Chunk:
    number: int
    poison: Poison | None = None


@dataclass(slots=True)
class Engine:
    """Answers a chunk with its number; has memory for `room` chunks a call."""

    room: int
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    async def decode(self, chunks: Sequence[Chunk]) -> Sequence[int | Exception]:
        """Fails as the worst chunk of the call wants it."""
        self.calls += 1
        await asyncio.sleep(0)
        if len(chunks) > self.room:
            self.faults["oom"] += 1
            raise EngineOutOfMemory("CUDA failed with error out of memory")
        for poison in ("kills", "raises"):
            if any(chunk.poison == poison for chunk in chunks):
                self.faults[poison] += 1
                raise EngineLost("the engine ended") if poison == "kills" else ValueError("no such tensor")
        return [ValueError("no such token") if chunk.poison else chunk.number for chunk in chunks]


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks that wait when the worker begins, and the memory of their engine in chunks."""

    chunks: tuple[Chunk, ...]
    room: int

    @property
    def most_calls(self) -> int:
        """The bound: the batch, both halves on each level of the way to each poison chunk, one more try for
        each that was alone with a lost engine, and what memory has no room for in parts that it has.
        """
        size = len(self.chunks)
        guilty = [chunk for chunk in self.chunks if chunk.poison in ("raises", "kills")]
        halvings = 2 * math.ceil(math.log2(size)) * len(guilty)
        tries = sum(chunk.poison == "kills" for chunk in guilty)
        parts = 0 if size <= self.room else 2 * math.ceil(size / max(1, self.room // 2))
        return 1 + halvings + tries + parts


def batch_of(chance: random.Random) -> Batch:
    """Two to sixteen chunks, one to three of them poison, in every third case more than memory has room for."""
    size = chance.randint(2, MOST)
    guilty = chance.sample(range(size), min(size, chance.randint(1, 3)))
    chunks = tuple(Chunk(number, chance.choice(POISONS) if number in guilty else None) for number in range(size))
    return Batch(chunks, chance.randint(1, size) if chance.random() < 1 / 3 else MOST)


async def serve(batch: Batch) -> tuple[list[Served[int] | BaseException], Engine]:
    """What each chunk's caller got."""
    engine = Engine(batch.room)
    queue: BatchingQueue[Chunk, int] = BatchingQueue(
        engine.decode, key=lambda _: None, max_batch_size=MOST, max_queue_size=MOST
    )
    deadline = asyncio.get_running_loop().time() + DEADLINE
    waiting = [
        asyncio.ensure_future(queue.submit(chunk, flow=Flow(str(chunk.number)), cost=1.0, deadline=deadline))
        for chunk in batch.chunks
    ]
    await asyncio.sleep(0)  # all are in the queue
    worker = asyncio.create_task(queue.run())
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    queue.close()
    await worker
    return answers, engine


def faults_of(batch: Batch, answers: Sequence[Served[int] | BaseException], calls: int) -> list[str]:
    """What is wrong with the answers of one batch."""
    faults = [fault for chunk, answer in zip(batch.chunks, answers, strict=True) if (fault := _fault(chunk, answer))]
    errors = [id(answer) for answer in answers if isinstance(answer, BaseException)]
    if len(set(errors)) != len(errors):
        faults.append("two callers share one error")
    if calls > batch.most_calls:
        faults.append(f"{calls} calls for {len(batch.chunks)} chunks, {batch.most_calls} would do")
    return faults


def _fault(chunk: Chunk, answer: Served[int] | BaseException) -> str:
    if chunk.poison is None:
        return "" if isinstance(answer, Served) and answer.result == chunk.number else f"{chunk} got {answer!r}"
    expected: type[AsrError] = EngineLost if chunk.poison == "kills" else EngineFailure
    return "" if isinstance(answer, expected) else f"{chunk} got {answer!r}"


def poison(*, seed: int, count: int) -> Verdict:
    """So many random batches through a queue each, in this process."""
    chance = random.Random(seed)
    logging.disable(logging.ERROR)  # each poison chunk is logged
    try:
        return asyncio.run(_all(chance, count))
    finally:
        logging.disable(logging.NOTSET)


async def _all(chance: random.Random, count: int) -> Verdict:
    findings, faults, kinds = list[str](), Counter[str](), Counter[str]()
    chunks = calls = 0
    tightest = 0.0
    for number in range(count):
        batch = batch_of(chance)
        answers, engine = await serve(batch)
        findings += [f"batch {number}: {fault}" for fault in faults_of(batch, answers, engine.calls)]
        kinds.update(chunk.poison or "good" for chunk in batch.chunks)
        chunks, calls = chunks + len(batch.chunks), calls + engine.calls
        tightest = max(tightest, engine.calls / batch.most_calls)
        faults += engine.faults
    text = (
        f"{count} batches, {chunks} chunks ({_listed(kinds)}), {calls} engine calls, failed {_listed(faults)}; "
        f"at most {tightest:.0%} of the calls that a batch may take\n"
    )
    return Verdict(text, tuple(findings))


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
