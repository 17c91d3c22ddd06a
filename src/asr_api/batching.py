"""The batching queue: many callers, few engine workers, one answer for each.

A batch is formed only when a worker is free to run it, from the oldest compatible entries;
whatever happens to a batch, every caller gets its own result, its own error, or its own
cancellation. The queue knows nothing of audio: an item has a `key` that a batch must share
and a `cost`, in seconds of audio here.
"""

import asyncio
import logging
from bisect import insort
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from asr_api.errors import AsrError, DeadlineExceeded, EngineFailure, Overloaded
from asr_api.metrics import BatchOutcome

Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

Decode = Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]


class BatchObserver(Protocol):
    """Who wants to know of each engine call."""

    def batch_finished(self, size: int, seconds: float, outcome: BatchOutcome) -> None: ...


@dataclass(slots=True)
class Flow:
    """The entries of one request, which share the engine fairly with other requests.

    `finish` is the virtual time, in cost, at which the flow's last entry would end (start-time
    fair queueing: Goyal, Vin and Cheng, 1996).
    """

    finish: float = 0.0


@dataclass(frozen=True, slots=True)
class Served(Generic[Result]):
    """A result, the seconds its entry waited and ran, and the size of the batch it rode in."""

    result: Result
    waited: float
    ran: float
    batch_size: int


@dataclass(slots=True, eq=False)
class Entry(Generic[Item, Result]):
    """One item on its way: `start` is its virtual start time, `enqueued` the loop's time."""

    item: Item
    key: Hashable
    cost: float
    start: float
    enqueued: float
    future: asyncio.Future[Served[Result]]
    queued: bool = True


@dataclass(slots=True)
class Schedule(Generic[Item, Result]):
    """Which entries go next: pure decisions, no clock and no await.

    Entries of one key leave in the order of their virtual start; across keys the head with the
    least virtual start goes first. So requests alternate, and no key starves.
    """

    depth: int = 0
    cost: float = 0.0
    _virtual: float = 0.0
    _arrivals: int = 0
    _lines: dict[Hashable, list[tuple[float, int, Entry[Item, Result]]]] = field(default_factory=dict)

    def stamp(self, flow: Flow, cost: float) -> float:
        """The virtual start of the flow's next entry, which costs `cost`."""
        start = max(self._virtual, flow.finish)
        flow.finish = start + cost
        return start

    def add(self, entry: Entry[Item, Result]) -> None:
        self._arrivals += 1
        insort(self._lines.setdefault(entry.key, []), (entry.start, self._arrivals, entry))
        self.depth += 1
        self.cost += entry.cost

    def take(self, size: int) -> list[Entry[Item, Result]]:
        """Remove and return at most `size` entries of one key; empty when nothing waits."""
        if not self._lines:
            return []
        key, line = min(self._lines.items(), key=lambda item: item[1][0][:2])
        self._virtual = max(self._virtual, line[0][0])
        batch = [entry for _, _, entry in line[:size]]
        for entry in batch:
            self._count_out(entry)
        self._keep(key, line[size:])
        return batch

    def withdraw(self, entry: Entry[Item, Result]) -> None:
        """Remove an entry whose caller has left."""
        if entry.queued:
            self._count_out(entry)
            self._keep(entry.key, [place for place in self._lines[entry.key] if place[2] is not entry])

    def waiting(self) -> list[Entry[Item, Result]]:
        """The entries that wait, in no order."""
        return [entry for line in self._lines.values() for _, _, entry in line]

    def _count_out(self, entry: Entry[Item, Result]) -> None:
        entry.queued = False
        self.depth -= 1
        self.cost = self.cost - entry.cost if self.depth else 0.0

    def _keep(self, key: Hashable, line: list[tuple[float, int, Entry[Item, Result]]]) -> None:
        if line:
            self._lines[key] = line
        else:
            del self._lines[key]


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
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._max_queue_delay = max_queue_delay
        self._observer = observer
        self._schedule: Schedule[Item, Result] = Schedule()
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

    def _enqueue(self, item: Item, flow: Flow, cost: float) -> Entry[Item, Result]:
        if self._closing:
            raise Overloaded("the service is shutting down", code="draining")
        if self._schedule.depth >= self._max_queue_size:
            raise Overloaded(f"the queue is full: {self._schedule.depth} chunks wait")
        loop = asyncio.get_running_loop()
        start = self._schedule.stamp(flow, cost)
        entry: Entry[Item, Result] = Entry(item, self._key(item), cost, start, loop.time(), loop.create_future())
        self._schedule.add(entry)
        self._arrived.set()
        return entry

    def _leave(self, entry: Entry[Item, Result]) -> None:
        self._schedule.withdraw(entry)
        if entry.future.done() and not entry.future.cancelled():
            entry.future.exception()  # marks it as seen, where the caller was cancelled in the same loop turn

    async def run(self) -> None:
        """Serve batches until `close` and the queue is empty; whatever ends it, nobody is left waiting."""
        try:
            while batch := await self._next_batch():
                await self._serve(batch)
        except BaseException:
            self._broken = self._closing = True
            self._fail(self._schedule.waiting())
            raise

    def close(self) -> None:
        """Take no more items; workers end when those that wait are served."""
        self._closing = True
        self._arrived.set()

    async def _next_batch(self) -> list[Entry[Item, Result]]:
        """The next batch, or an empty list when the queue is closed and empty."""
        while True:
            self._arrived.clear()
            delay = self._patience()
            if delay <= 0 and (batch := self._schedule.take(self._max_batch_size)):
                return batch
            if self._closing and not self._schedule.depth:
                self._arrived.set()
                return []
            await self._arrival(delay if self._schedule.depth else None)

    def _patience(self) -> float:
        """Seconds the free worker may still wait for company."""
        if not self._max_queue_delay or self._closing or self._schedule.depth >= self._max_batch_size:
            return 0.0
        return self._max_queue_delay - self.oldest_wait if self._schedule.depth else 0.0

    async def _arrival(self, limit: float | None) -> None:
        try:
            async with asyncio.timeout(limit):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def _serve(self, batch: list[Entry[Item, Result]]) -> None:
        try:
            await self._decode_batch(batch)
        finally:
            self._fail(batch)

    async def _decode_batch(self, batch: list[Entry[Item, Result]]) -> None:
        """One engine call; where it fails as a whole, its halves, until the guilty entry stands alone."""
        batch = [entry for entry in batch if not entry.future.done()]
        if not batch:
            return
        began = asyncio.get_running_loop().time()
        try:
            answers = await self._call(batch)
        except Exception as error:
            self._observe(batch, began, "error")
            await self._split(batch, error, began)
        else:
            self._observe(batch, began, "ok")
            for entry, answer in zip(batch, answers, strict=True):
                self._settle(entry, answer, began, len(batch))

    async def _call(self, batch: list[Entry[Item, Result]]) -> Sequence[Result | Exception]:
        answers = await self._decode([entry.item for entry in batch])
        if len(answers) != len(batch):
            raise EngineFailure(f"the engine gave {len(answers)} answers for {len(batch)} chunks")
        return answers

    async def _split(self, batch: list[Entry[Item, Result]], error: Exception, began: float) -> None:
        if len(batch) == 1:
            logger.error("the engine failed on a chunk", exc_info=error)
            self._settle(batch[0], error, began, 1)
            return
        middle = len(batch) // 2
        await self._decode_batch(batch[:middle])
        await self._decode_batch(batch[middle:])

    def _observe(self, batch: list[Entry[Item, Result]], began: float, outcome: BatchOutcome) -> None:
        if self._observer is not None:
            self._observer.batch_finished(len(batch), asyncio.get_running_loop().time() - began, outcome)

    def _settle(self, entry: Entry[Item, Result], answer: Result | Exception, began: float, batch_size: int) -> None:
        """End the entry with its answer; a caller that has left is passed over."""
        if entry.future.done():
            return
        if isinstance(answer, Exception):
            entry.future.set_exception(own_error(answer))
            return
        ran = asyncio.get_running_loop().time() - began
        entry.future.set_result(Served(answer, began - entry.enqueued, ran, batch_size))

    def _fail(self, entries: Sequence[Entry[Item, Result]]) -> None:
        for entry in entries:
            if not entry.future.done():
                entry.future.set_exception(Overloaded("the service is shutting down", code="draining"))


def own_error(error: Exception) -> AsrError:
    """An error object for one caller alone; what is not ours becomes EngineFailure with its cause."""
    if isinstance(error, AsrError):
        return error.copy()
    failure = EngineFailure("the engine could not process this audio")
    failure.__cause__ = error
    return failure
