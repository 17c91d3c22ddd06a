"""The batching queue: many callers, few engine workers, one answer for each.

A batch is formed only when a worker is free to run it, from the oldest compatible entries;
whatever happens to a batch, every caller gets its own result, its own error, or its own
cancellation. The queue knows nothing of audio: an item has a `key` that a batch must share
and a `cost`, in seconds of audio here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from asr_api.errors import AsrError, DeadlineExceeded, EngineFailure, EngineOutOfMemory, Overloaded
from asr_api.metrics import BatchOutcome, RetryReason
from asr_api.scheduling import Entry, Flow, Schedule

__all__ = ["BatchingQueue", "Flow", "Served"]

Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

RECOVERY = 32
"""Full batches without a fault after which the limit of a batch grows by one again."""

MEMORY = 0.95
"""How much of the measured throughput is kept at each call: about the last 20 count."""

CLOCK_RESOLUTION = 1e-6
"""Seconds. Less than this, added to a loop's time, may leave it as it was: a wait for it would never end."""

Decode = Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]


class BatchObserver(Protocol):
    """Who wants to know of each engine call."""

    def batch_finished(self, size: int, seconds: float, outcome: BatchOutcome) -> None: ...
    def batch_retried(self, reason: RetryReason) -> None: ...


@dataclass(frozen=True, slots=True)
class Served(Generic[Result]):
    """A result, the seconds its entry waited and ran, and the size of the batch it rode in."""

    result: Result
    waited: float
    ran: float
    batch_size: int


Waiter: TypeAlias = Entry[Item, Served[Result]]
"""An entry whose future ends with the result and how it was served."""


class WrongCount(EngineFailure):
    """The engine gave another number of answers than it had items."""


@dataclass(slots=True)
class BatchLimit:
    """The live bound of a batch: halved when the engine runs out of memory, one more after `RECOVERY` full batches."""

    most: int
    now: int = 0
    passed: int = 0

    def __post_init__(self) -> None:
        self.now = self.most

    def shrink(self, size: int) -> None:
        self.now, self.passed = max(1, size // 2), 0

    def grow(self, size: int) -> None:
        if self.now == self.most or size < self.now:
            return
        self.passed += 1
        if self.passed == RECOVERY:
            self.now, self.passed = self.now + 1, 0


@dataclass(slots=True)
class Throughput:
    """Cost served a second by one busy worker, recent calls counting most; None before the first."""

    served: float = 0.0
    busy: float = 0.0

    def add(self, cost: float, seconds: float) -> None:
        self.served = MEMORY * self.served + cost
        self.busy = MEMORY * self.busy + seconds

    @property
    def rate(self) -> float | None:
        return self.served / self.busy if self.busy else None


class BatchingQueue(Generic[Item, Result]):
    """The queue in front of an engine. Start `run` once for each worker.

    `decode` takes a batch and returns one result or exception an item; `key` tells what a batch
    must share; `max_queue_delay` seconds, counted from the oldest entry's arrival, may pass while
    a free worker waits for a batch to fill.
    """

    def __init__(
        self,
        decode: Decode[Item, Result],
        *,
        key: Callable[[Item], Hashable],
        max_batch_size: int,
        max_queue_size: int,
        max_queue_delay: float = 0.0,
        observer: BatchObserver | None = None,
    ) -> None:
        self._decode = decode
        self._key = key
        self._limit = BatchLimit(max_batch_size)
        self._max_queue_size = max_queue_size
        self._max_queue_delay = max_queue_delay
        self._observer = observer
        self._schedule: Schedule[Item, Served[Result]] = Schedule()
        self._throughput = Throughput()
        self._workers = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._broken = False

    def __repr__(self) -> str:
        state = "broken" if self._broken else "closing" if self._closing else "open"
        return f"<BatchingQueue [{state}, {self.depth} waiting]>"

    @property
    def depth(self) -> int:
        return self._schedule.depth

    @property
    def cost(self) -> float:
        return self._schedule.cost

    @property
    def oldest_wait(self) -> float:
        """Seconds the oldest entry has waited; 0 when none waits."""
        oldest = min((entry.enqueued for entry in self._schedule.waiting()), default=None)
        return 0.0 if oldest is None else asyncio.get_running_loop().time() - oldest

    @property
    def batch_limit(self) -> int:
        """Entries that the next batch may have, which is less than `max_batch_size` after memory ran out."""
        return self._limit.now

    @property
    def rate(self) -> float | None:
        """Cost that all workers serve a second when they are busy; None before the first call has ended."""
        rate = self._throughput.rate
        return None if rate is None else rate * max(1, self._workers)

    async def submit(self, item: Item, *, flow: Flow, cost: float, deadline: float) -> Served[Result]:
        """Wait for the item's result until `deadline`, in the loop's time.

        Raises Overloaded when the queue is full or closing, DeadlineExceeded, EngineFailure, or
        the item's own exception. A cancelled caller's entry never costs engine time from then on.
        """
        entry = self._enqueue(item, flow, cost)
        try:
            async with asyncio.timeout_at(deadline):
                return await entry.future
        except TimeoutError as error:
            raise DeadlineExceeded("the request was not finished within its time limit") from error
        finally:
            self._leave(entry)

    def _enqueue(self, item: Item, flow: Flow, cost: float) -> Waiter[Item, Result]:
        if self._closing:
            raise Overloaded("the service is shutting down", code="draining")
        if self._schedule.depth >= self._max_queue_size:
            raise Overloaded(f"the queue is full: {self._schedule.depth} chunks wait")
        loop = asyncio.get_running_loop()
        entry: Entry[Item, Served[Result]] = Entry(item, self._key(item), cost, flow, loop.time(), loop.create_future())
        self._schedule.add(entry)
        self._arrived.set()
        return entry

    def _leave(self, entry: Waiter[Item, Result]) -> None:
        self._schedule.withdraw(entry)
        if entry.future.done() and not entry.future.cancelled():
            entry.future.exception()  # marks it as seen, where the caller was cancelled in the same loop turn

    async def run(self) -> None:
        """Serve batches until `close` and the queue is empty; whatever ends it, nobody is left waiting."""
        self._workers += 1
        try:
            while batch := await self._next_batch():
                await self._serve(batch)
        except BaseException:
            self._broken = self._closing = True
            self._fail(list(self._schedule.waiting()))
            raise
        finally:
            self._workers -= 1

    def close(self) -> None:
        """Take no more items; workers end when those that wait are served."""
        self._closing = True
        self._arrived.set()

    async def _next_batch(self) -> list[Waiter[Item, Result]]:
        """The next batch, or an empty list when the queue is closed and empty."""
        while True:
            self._arrived.clear()
            delay = self._patience()
            if delay <= 0 and (batch := self._schedule.take(self._limit.now)):
                return batch
            if self._closing and not self._schedule.depth:
                self._arrived.set()
                return []
            await self._arrival(delay if self._schedule.depth else None)

    def _patience(self) -> float:
        """Seconds the free worker may still wait for company; what a clock cannot tell from none is none."""
        if not self._max_queue_delay or self._closing or not 0 < self._schedule.depth < self._limit.now:
            return 0.0
        left = self._max_queue_delay - self.oldest_wait
        return left if left > CLOCK_RESOLUTION else 0.0

    async def _arrival(self, limit: float | None) -> None:
        try:
            async with asyncio.timeout(limit):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def _serve(self, batch: list[Waiter[Item, Result]]) -> None:
        try:
            await self._decode_batch(batch)
        finally:
            self._fail(batch)

    async def _decode_batch(self, batch: list[Waiter[Item, Result]]) -> None:
        """One engine call; where it fails as a whole, parts of it, until the guilty entry stands alone."""
        batch = [entry for entry in batch if not entry.future.done()]
        if not batch:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await self._call(batch)
        seconds = loop.time() - began
        if isinstance(answers, Exception):
            await self._recover(batch, answers, seconds)
            return
        self._limit.grow(len(batch))
        self._throughput.add(sum(entry.cost for entry in batch), seconds)
        self._observe(batch, seconds, "ok")
        for entry, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                self._refuse(entry, answer)
            elif not entry.future.done():
                entry.future.set_result(Served(answer, began - entry.enqueued, seconds, len(batch)))

    async def _call(self, batch: list[Waiter[Item, Result]]) -> Sequence[Result | Exception] | Exception:
        """The engine's answers, or why there are none: returned, so that what follows is not part of its handling."""
        try:
            answers = await self._decode([entry.item for entry in batch])
        except Exception as error:
            return error
        if len(answers) != len(batch):
            return WrongCount(f"the engine gave {len(answers)} answers for {len(batch)} chunks")
        return answers

    async def _recover(self, batch: list[Waiter[Item, Result]], error: Exception, seconds: float) -> None:
        """Try the entries of a failed call again: one by one after a wrong count, else in halves."""
        out_of_memory = isinstance(error, EngineOutOfMemory)
        self._observe(batch, seconds, "oom" if out_of_memory else "error")
        if out_of_memory:
            self._limit.shrink(len(batch))
        if len(batch) == 1:
            logger.error("the engine failed on a chunk", exc_info=error)
            self._refuse(batch[0], error)
            return
        self._retried("oom" if out_of_memory else "mismatch" if isinstance(error, WrongCount) else "poison")
        size = 1 if isinstance(error, WrongCount) else (len(batch) + 1) // 2
        while batch:
            size = min(size, self._limit.now)
            part, batch = batch[:size], batch[size:]
            await self._decode_batch(part)

    def _retried(self, reason: RetryReason) -> None:
        if self._observer is not None:
            self._observer.batch_retried(reason)

    def _observe(self, batch: list[Waiter[Item, Result]], seconds: float, outcome: BatchOutcome) -> None:
        if self._observer is not None:
            self._observer.batch_finished(len(batch), seconds, outcome)

    def _refuse(self, entry: Waiter[Item, Result], error: Exception) -> None:
        """End the entry with an error of its own; a caller that has left is passed over."""
        if not entry.future.done():
            entry.future.set_exception(own_error(error))

    def _fail(self, entries: Iterable[Waiter[Item, Result]]) -> None:
        for entry in entries:
            self._refuse(entry, Overloaded("the service is shutting down", code="draining"))


def own_error(error: Exception) -> AsrError:
    """An error object for one caller alone; what is not ours becomes EngineFailure with its cause."""
    if isinstance(error, AsrError):
        return error.copy()
    failure = EngineFailure("the engine could not process this audio")
    failure.__cause__ = error
    return failure
