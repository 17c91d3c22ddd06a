"""The batching queue: many callers, few engine workers, one answer for each.

A batch is formed only when a worker is free to run it, from the oldest compatible entries;
whatever happens to a batch, every caller gets its own result, its own error, or its own
cancellation. The queue knows nothing of audio: an item has a `key` that a batch must share
and a `cost`, in seconds of audio here.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from asr_api.errors import (
    AsrError,
    DeadlineExceeded,
    Draining,
    EngineFailure,
    EngineFatal,
    EngineLost,
    EngineOutOfMemory,
    Overloaded,
)
from asr_api.metrics.labels import BatchOutcome, EngineFault, RetryReason
from asr_api.scheduling import BatchLimit, Census, Entry, Flow, Schedule, Throughput

__all__ = ["BatchingQueue", "Flow", "Served"]

Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

CLOCK_RESOLUTION = 1e-6
"""Seconds. Less than this, added to a loop's time, may leave it as it was: a wait for it would never end."""

Decode = Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]


class BatchObserver(Protocol):
    """Who wants to know of each engine call."""

    def batch_formed(self, size: int, cost: float, waited: float) -> None: ...
    def batch_finished(self, size: int, seconds: float, outcome: BatchOutcome) -> None: ...
    def batch_failed(self, kind: EngineFault) -> None: ...
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

Parts: TypeAlias = list[list[Entry[Item, Served[Result]]]]
"""Parts of a batch, each for a call of its own."""


class WrongCount(EngineFailure):
    """The engine gave another number of answers than it had items."""


async def at_once() -> None:
    """An engine that is always ready."""


class BatchingQueue(Generic[Item, Result]):
    """The queue in front of an engine. Start `run` once for each worker.

    `decode` takes a batch and returns one result or exception an item; `key` tells what a batch
    must share; `max_queue_delay` seconds, counted from the oldest entry's arrival, may pass while
    a free worker waits for a batch to fill. `ready` returns as soon as a call could begin: what
    leaves or expires before costs no engine time, and the wait does not count as time of the call.

    `decode` may raise EngineOutOfMemory, EngineLost, or what else makes the call fail as a whole, and
    Overloaded where there will be no engine any more.
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
        ready: Callable[[], Awaitable[None]] = at_once,
    ) -> None:
        self._decode = decode
        self._ready = ready
        self._key = key
        self._limit = BatchLimit(max_batch_size)
        self._max_queue_size = max_queue_size
        self._max_queue_delay = max_queue_delay
        self._observer = observer
        self._schedule: Schedule[Item, Served[Result]] = Schedule()
        self._census = Census()
        self._throughput = Throughput()
        self._suspects = asyncio.Lock()
        self._workers = 0
        self._loop: asyncio.AbstractEventLoop | None = None
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
    def requests_waiting(self) -> int:
        """Flows that have entries waiting, and none in the engine."""
        return self._census.waiting

    @property
    def requests_running(self) -> int:
        """Flows that have an entry in the engine."""
        return self._census.running

    @property
    def oldest_wait(self) -> float:
        """Seconds the oldest entry has waited; 0 when none waits. May be asked from any thread."""
        oldest = min((entry.enqueued for entry in self._schedule.waiting()), default=None)
        return 0.0 if oldest is None or self._loop is None else self._loop.time() - oldest

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
            raise shutting_down()
        if self._schedule.depth >= self._max_queue_size:
            raise Overloaded(f"the queue is full: {self._schedule.depth} chunks wait")
        self._loop = loop = asyncio.get_running_loop()
        entry: Entry[Item, Served[Result]] = Entry(item, self._key(item), cost, flow, loop.time(), loop.create_future())
        self._schedule.add(entry)
        self._census.count(flow, waiting=1)
        self._arrived.set()
        return entry

    def _leave(self, entry: Waiter[Item, Result]) -> None:
        if self._schedule.withdraw(entry):
            self._census.count(entry.flow, waiting=-1)
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
            self._refuse_all(list(self._schedule.waiting()), shutting_down())
            raise
        finally:
            self._workers -= 1

    def close(self) -> None:
        """Take no more items; workers end when those that wait are served."""
        self._closing = True
        self._arrived.set()

    async def _next_batch(self) -> list[Waiter[Item, Result]]:
        """The next batch, or an empty list when the queue is closed and empty."""
        free_since = asyncio.get_running_loop().time()
        while True:
            self._arrived.clear()
            delay = self._patience()
            if delay <= 0 and (batch := self._schedule.take(self._limit.now)):
                self._formed(batch, free_since)
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

    def _formed(self, batch: list[Waiter[Item, Result]], free_since: float) -> None:
        waited = asyncio.get_running_loop().time() - max(free_since, min(entry.enqueued for entry in batch))
        if self._observer is not None:
            self._observer.batch_formed(len(batch), sum(entry.cost for entry in batch), waited)

    async def _serve(self, batch: list[Waiter[Item, Result]]) -> None:
        for entry in batch:
            self._census.count(entry.flow, waiting=-1, running=1)
        try:
            await self._decode_batch(batch)
        finally:
            self._refuse_all(batch, shutting_down())
            for entry in batch:
                self._census.count(entry.flow, running=-1)

    async def _decode_batch(self, batch: list[Waiter[Item, Result]]) -> None:
        """Calls until each entry has its end: what a failed call leaves is tried again after what still waits.

        So the innocent part of a batch that costs the engine its life is answered between two such losses.
        """
        parts = deque([batch])
        while parts:
            parts.extend(await self._attempt(parts.popleft()))

    async def _attempt(self, part: list[Waiter[Item, Result]]) -> Parts[Item, Result]:
        """One engine call; returns what of it is to be tried again. An entry that is suspected goes without others."""
        async with self._suspects if any(entry.lost for entry in part) else nullcontext():
            await self._ready()
            part = [entry for entry in part if not entry.future.done()]
            if len(part) > self._limit.now:
                return split(part, self._limit.now)
            return await self._call(part) if part else []

    async def _call(self, batch: list[Waiter[Item, Result]]) -> Parts[Item, Result]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await self._answers(batch)
        seconds = loop.time() - began
        if isinstance(answers, Exception):
            return self._recover(batch, answers, seconds)
        self._limit.grow(len(batch))
        self._throughput.add(sum(entry.cost for entry in batch), seconds)
        self._observe(batch, seconds, "ok")
        for entry, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                self._refuse(entry, answer)
            elif not entry.future.done():
                entry.future.set_result(Served(answer, began - entry.enqueued, seconds, len(batch)))
        return []

    async def _answers(self, batch: list[Waiter[Item, Result]]) -> Sequence[Result | Exception] | Exception:
        """The engine's answers, or why there are none: returned, so that what follows is not part of its handling."""
        try:
            answers = await self._decode([entry.item for entry in batch])
        except Exception as error:
            return error
        if len(answers) != len(batch):
            return WrongCount(f"the engine gave {len(answers)} answers for {len(batch)} chunks")
        return answers

    def _recover(self, batch: list[Waiter[Item, Result]], error: Exception, seconds: float) -> Parts[Item, Result]:
        """The parts in which a failed call is to be tried again: single entries after a wrong count, else halves.

        With an engine that was lost its call is lost as well, whatever was in it: an entry that was
        alone in such a call is tried once more.
        """
        if isinstance(error, Overloaded):  # there was no call: there is no engine any more
            self._refuse_all(batch, error)
            return []
        self._observe(batch, seconds, outcome_of(error))
        if self._observer is not None:
            self._observer.batch_failed(fault_of(error))
        if isinstance(error, EngineOutOfMemory):
            self._limit.shrink(len(batch))
        if len(batch) > 1:
            self._retried(reason_of(error))
            return split(batch, 1 if isinstance(error, WrongCount) else (len(batch) + 1) // 2)
        return self._recover_one(batch[0], error)

    def _recover_one(self, entry: Waiter[Item, Result], error: Exception) -> Parts[Item, Result]:
        if isinstance(error, EngineLost) and not entry.lost:
            entry.lost = True
            self._retried("restart")
            return [[entry]]
        logger.error("the engine failed on a chunk", exc_info=error)
        self._refuse(entry, error)
        return []

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

    def _refuse_all(self, entries: Iterable[Waiter[Item, Result]], error: Exception) -> None:
        for entry in entries:
            self._refuse(entry, error)


def split(batch: list[Waiter[Item, Result]], size: int) -> Parts[Item, Result]:
    """Parts of at most so many entries."""
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def shutting_down() -> Draining:
    return Draining("the service is shutting down")


def fault_of(error: Exception) -> EngineFault:
    """What the metrics call the failure of a whole call."""
    if isinstance(error, EngineOutOfMemory):
        return "oom"
    if isinstance(error, WrongCount):
        return "mismatch"
    if isinstance(error, EngineFatal) or (isinstance(error, EngineLost) and error.cause == "cuda"):
        return "cuda"
    return "other"


def outcome_of(error: Exception) -> BatchOutcome:
    """What the metrics call the end of a whole call that failed."""
    if isinstance(error, EngineLost):
        return "timeout" if error.cause == "hang" else "crash"
    return "oom" if isinstance(error, EngineOutOfMemory) else "error"


def reason_of(error: Exception) -> RetryReason:
    """What the metrics call the reason for which a call is tried again in parts."""
    if isinstance(error, EngineLost):
        return "restart"
    if isinstance(error, EngineOutOfMemory):
        return "oom"
    return "mismatch" if isinstance(error, WrongCount) else "poison"


def own_error(error: Exception) -> AsrError:
    """An error object for one caller alone; what is not ours becomes EngineFailure with its cause."""
    if isinstance(error, AsrError):
        return error.copy()
    failure = EngineFailure("the engine could not process this audio")
    failure.__cause__ = error
    return failure
