"""Batchers to compare under one load, and the accelerator they feed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from asr_api.batching import BatchingQueue, Flow

FOREVER = 3600.0
"""Seconds after which who still waits is said to hang."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Items a batch at most, and the seconds that the first of them may wait for company."""

    max_batch_size: int = 8
    window: float = 0.01


class Accelerator:
    """Runs one batch at a time, in `seconds` whatever its size; an item of `bad` fails the whole call.

    `batches` are those that it was given, in order.
    """

    def __init__(self, seconds: float = 0.1, bad: Collection[int] = ()) -> None:
        self.seconds = seconds
        self.batches: list[list[int]] = []
        self._bad = bad
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        async with self._one_at_a_time:
            self.batches.append(list(items))
            await asyncio.sleep(self.seconds)
        if any(item in self._bad for item in items):
            raise ValueError("an item cannot be computed")
        return items


class Batcher(Protocol):
    """`run` serves until `close`; `submit` returns once its item was served."""

    async def submit(self, item: int) -> object: ...
    async def run(self) -> None: ...
    def close(self) -> None: ...


Build = Callable[[Accelerator, Limits], Batcher]


class PullBatcher:
    """The service's own queue: a batch is formed when the accelerator is free to run it."""

    def __init__(self, accelerator: Accelerator, limits: Limits) -> None:
        self._queue: BatchingQueue[int, int] = BatchingQueue(
            accelerator,
            key=lambda _: None,
            max_batch_size=limits.max_batch_size,
            max_queue_size=1_000_000,
            max_queue_delay=limits.window,
        )

    async def submit(self, item: int) -> object:
        deadline = asyncio.get_running_loop().time() + 2 * FOREVER
        return await self._queue.submit(item, flow=Flow(), cost=1.0, deadline=deadline)

    async def run(self) -> None:
        await self._queue.run()

    def close(self) -> None:
        self._queue.close()


class TimerBatcher:
    """The usual other shape, as a straw man: batches are formed on a timer, and wait behind a semaphore."""

    def __init__(self, accelerator: Accelerator, limits: Limits) -> None:
        self._accelerator = accelerator
        self._limits = limits
        self._arrivals: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
        self._free = asyncio.Semaphore(1)
        self._serving: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()

    async def submit(self, item: int) -> object:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._arrivals.put_nowait((item, future))
        return await future

    async def run(self) -> None:
        forming = asyncio.create_task(self._form())
        await self._closed.wait()
        forming.cancel()

    def close(self) -> None:
        self._closed.set()

    async def _form(self) -> None:
        while True:
            batch = [await self._arrivals.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.window):
                    while len(batch) < self._limits.max_batch_size:
                        batch.append(await self._arrivals.get())
            task = asyncio.create_task(self._serve(batch))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, batch: Sequence[tuple[int, asyncio.Future[int]]]) -> None:
        async with self._free:
            wanted = [(item, future) for item, future in batch if not future.done()]
            try:
                answers = await self._accelerator([item for item, _ in wanted]) if wanted else []
            except ValueError as error:
                for _, future in wanted:
                    future.set_exception(error)
                return
        for (_, future), answer in zip(wanted, answers, strict=True):
            if not future.done():
                future.set_result(answer)


@asynccontextmanager
async def started(batcher: Batcher) -> AsyncIterator[None]:
    """The batcher at work, and closed at the end."""
    worker = asyncio.create_task(batcher.run())
    try:
        yield
    finally:
        batcher.close()
        await asyncio.wait({worker}, timeout=FOREVER)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
