"""The queue's contract, clause by clause, against an engine held by a gate."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from asr_api.batching import BatchingQueue, Flow, Served
from asr_api.errors import (
    DeadlineExceeded,
    EngineFailure,
    EngineLost,
    EngineOutOfMemory,
    InvalidAudio,
    Overloaded,
)
from tests.gates import Gate

Queue = BatchingQueue[str, str]
Engine = Callable[[Sequence[str]], Awaitable[Sequence[str | Exception]]]
pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(gate: Engine, *, workers: int = 1, **options: Any) -> AsyncIterator[Queue]:
    """A queue with its workers, which end with the block."""
    defaults: dict[str, Any] = {"key": lambda item: item[0].isdigit(), "max_batch_size": 4, "max_queue_size": 100}
    queue: Queue = BatchingQueue(gate, **(defaults | options))
    tasks = [asyncio.create_task(queue.run()) for _ in range(workers)]
    try:
        yield queue
    finally:
        if isinstance(gate, Gate):
            gate.release()
        queue.close()
        await asyncio.gather(*tasks, return_exceptions=True)


def ask(queue: Queue, item: str, *, flow: Flow | None = None, within: float = 60, cost: float = 1) -> asyncio.Task[Any]:
    deadline = asyncio.get_running_loop().time() + within
    return asyncio.create_task(queue.submit(item, flow=flow or Flow(), cost=cost, deadline=deadline))


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def texts(tasks: list[asyncio.Task[Served[str]]]) -> list[str]:
    return [served.result for served in await asyncio.gather(*tasks)]


async def behind_a_held_call(stack: AsyncExitStack, gate: Gate, **options: Any) -> tuple[Queue, asyncio.Task[Any]]:
    """A queue whose only worker is busy with `first` until the gate opens."""
    queue = await stack.enter_async_context(serving(gate, **options))
    gate.hold()
    first = ask(queue, "first")
    await gate.entered()
    return queue, first


class Watcher:
    """Notes what the queue tells of its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []
        self.retries: list[str] = []
        self.formed: list[tuple[int, float]] = []
        self.faults: list[str] = []

    def batch_formed(self, size: int, cost: float, waited: float) -> None:
        self.formed.append((size, cost))

    def batch_failed(self, kind: str) -> None:
        self.faults.append(kind)

    def batch_finished(self, size: int, seconds: float, outcome: str) -> None:
        self.calls.append((size, outcome))

    def batch_retried(self, reason: str) -> None:
        self.retries.append(reason)


class TestFormingBatches:
    async def test_a_batch_is_formed_only_when_a_worker_is_free(self) -> None:
        """What arrives while the engine is busy rides together, at most max_batch_size of it."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            others = [ask(queue, f"item{n}") for n in range(6)]
            await until(lambda: queue.depth == 6)
            gate.release()
            assert await texts([first, *others]) == ["FIRST", *(f"ITEM{n}" for n in range(6))]
        assert [len(batch) for batch in gate.batches] == [1, 4, 2]

    async def test_a_lone_item_does_not_wait(self) -> None:
        """With a free worker and no delay, an item is a batch of its own at once."""
        async with serving(Gate()) as queue:
            served = await ask(queue, "alone")
        assert (served.result, served.batch_size) == ("ALONE", 1)

    async def test_items_of_one_batch_share_their_key(self) -> None:
        """Different keys never ride together, and the key whose head is oldest goes first."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            others = [ask(queue, item) for item in ("1a", "b", "2a", "c", "3a")]
            await until(lambda: queue.depth == 5)
            gate.release()
            await texts([first, *others])
        assert gate.batches[1:] == [["1a", "2a", "3a"], ["b", "c"]]

    async def test_first_come_first_served_inside_a_key(self) -> None:
        """Requests of one item each keep the order of their arrival."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, max_batch_size=1)
            others = [ask(queue, f"item{n}") for n in range(5)]
            await until(lambda: queue.depth == 5)
            gate.release()
            await texts([first, *others])
        assert [batch[0] for batch in gate.batches[1:]] == [f"item{n}" for n in range(5)]

    async def test_requests_alternate(self) -> None:
        """A request that comes after a long one does not wait for all of its chunks."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, max_batch_size=1)
            long = Flow()
            chunks = [ask(queue, f"long{n}", flow=long, cost=30) for n in range(5)]
            await until(lambda: queue.depth == 5)
            short = ask(queue, "short", cost=3)
            await until(lambda: queue.depth == 6)
            gate.release()
            await texts([first, *chunks, short])
        assert [batch[0] for batch in gate.batches[1:4]] == ["long0", "short", "long1"]

    async def test_every_worker_has_a_call_in_flight(self) -> None:
        """Two workers run two calls at once, never three."""
        gate = Gate()
        async with serving(gate, workers=2, max_batch_size=1) as queue:
            gate.hold()
            tasks = [ask(queue, f"item{n}") for n in range(4)]
            await gate.entered(2)
            gate.release()
            await texts(tasks)
        assert gate.most_running == 2

    async def test_a_delay_waits_for_company_but_not_past_a_full_batch(self) -> None:
        """With max_queue_delay set, a free worker waits, and stops waiting when a batch is full."""
        gate = Gate()
        async with serving(gate, max_queue_delay=3600, max_batch_size=3) as queue:
            await texts([ask(queue, f"item{n}") for n in range(3)])
        assert [len(batch) for batch in gate.batches] == [3]

    async def test_the_rate_is_what_was_served_a_second(self) -> None:
        """By all workers together; unknown before the first call has ended."""
        async with serving(Gate(), workers=2) as queue:
            assert queue.rate is None
            await texts([ask(queue, f"item{n}", cost=30) for n in range(4)])
            assert queue.rate is not None
            assert queue.rate > 30

    async def test_a_delay_ends(self) -> None:
        """The delay counts from the oldest arrival, and a lone item is served when it has passed."""
        async with serving(Gate(), max_queue_delay=0.01) as queue:
            assert (await ask(queue, "alone")).batch_size == 1


class TestFailures:
    async def test_only_the_guilty_item_fails(self) -> None:
        """An exception for a whole call is narrowed down: its batch mates get their results."""
        gate = Gate()
        gate.faults["item2"] = RuntimeError("illegal value")
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, max_batch_size=8)
            others = [ask(queue, f"item{n}") for n in range(8)]
            await until(lambda: queue.depth == 8)
            gate.release()
            outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(EngineFailure) == 1
        assert isinstance(outcomes[3], EngineFailure)
        assert len(gate.batches) - 1 <= 1 + 2 * 3

    async def test_an_items_own_exception_is_its_answer(self) -> None:
        """An engine may refuse one task and answer the others of the call."""
        gate = Gate()
        gate.refusals["bad"] = InvalidAudio("nothing to decode", code="empty_audio")
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            bad, good = ask(queue, "bad"), ask(queue, "good")
            await until(lambda: queue.depth == 2)
            gate.release()
            assert await texts([first, good]) == ["FIRST", "GOOD"]
            with pytest.raises(InvalidAudio, match="nothing to decode"):
                await bad

    async def test_each_caller_gets_its_own_exception(self) -> None:
        """Two callers never share an exception object, whose traceback would grow with each."""
        gate = Gate()
        shared = InvalidAudio("no")
        gate.refusals |= {"a": shared, "b": shared}
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            pair = [ask(queue, "a"), ask(queue, "b")]
            await until(lambda: queue.depth == 2)
            gate.release()
            errors = await asyncio.gather(*pair, return_exceptions=True)
            await first
        assert errors[0] is not errors[1]
        assert all(error is not shared and str(error) == "no" for error in errors)

    async def test_a_wrong_number_of_answers_is_never_dealt_out(self) -> None:
        """Too few answers for a call are nobody's answers."""
        gate = Gate()
        gate.short_by = 1
        async with serving(gate) as queue:
            with pytest.raises(EngineFailure, match="0 answers for 1 chunks"):
                await ask(queue, "alone")

    async def test_after_a_wrong_count_each_item_is_tried_alone_once(self) -> None:
        """A mismatch that comes of company is mended by calls of one; nobody is answered from the bad call."""
        gate, watcher = Gate(), Watcher()
        gate.extra_in_company = True
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, observer=watcher)
            others = [ask(queue, f"item{n}") for n in range(4)]
            await until(lambda: queue.depth == 4)
            gate.release()
            assert await texts([first, *others]) == ["FIRST", *(f"ITEM{n}" for n in range(4))]
        assert [len(batch) for batch in gate.batches] == [1, 4, 1, 1, 1, 1]
        assert watcher.retries == ["mismatch"]

    async def test_out_of_memory_halves_the_batch_and_lowers_the_limit(self) -> None:
        """All are answered, and later batches are no larger than what went through."""
        gate, watcher = Gate(), Watcher()
        gate.memory = 2
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, max_batch_size=8, observer=watcher)
            others = [ask(queue, f"item{n}") for n in range(8)]
            await until(lambda: queue.depth == 8)
            gate.release()
            await texts([first, *others])
            assert queue.batch_limit == 2
            await texts([ask(queue, f"more{n}") for n in range(6)])
        assert watcher.calls[1:] == [(8, "oom"), (4, "oom"), *[(2, "ok")] * 7]
        assert watcher.retries == ["oom"] * 2

    async def test_the_limit_recovers_slowly(self) -> None:
        """After 32 full batches without a fault the limit is one higher, and never above what was set."""
        gate = Gate()
        gate.memory = 1
        async with serving(gate, max_batch_size=2) as queue:
            await texts([ask(queue, f"item{n}") for n in range(4)])
            assert queue.batch_limit == 1
            gate.memory = 99
            await texts([ask(queue, f"more{n}") for n in range(32)])
            assert queue.batch_limit == 2
            await texts([ask(queue, f"again{n}") for n in range(99)])
            assert queue.batch_limit == 2

    async def test_an_item_too_large_for_memory_alone_is_told_so(self) -> None:
        """It may succeed later, so the status is one that clients retry."""
        gate = Gate()
        gate.memory = 0
        async with serving(gate) as queue:
            with pytest.raises(EngineOutOfMemory) as refusal:
                await ask(queue, "large")
        assert refusal.value.status == 503

    async def test_the_queue_lives_on_after_a_failure(self) -> None:
        """A failed call is the end of that call only."""
        gate = Gate()
        gate.faults["bad"] = RuntimeError("boom")
        async with serving(gate) as queue:
            with pytest.raises(EngineFailure):
                await ask(queue, "bad")
            assert (await ask(queue, "good")).result == "GOOD"


class TestLosses:
    """What becomes of a call with which the engine was lost."""

    async def test_a_lost_call_is_tried_again_in_halves(self) -> None:
        """What was in it is answered as if nothing had been."""
        gate, watcher = Lossy(), Watcher()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, observer=watcher)
            others = [ask(queue, f"item{n}") for n in range(4)]
            await until(lambda: queue.depth == 4)
            gate.losses = 1
            gate.release()
            assert await texts([first, *others]) == ["FIRST", *(f"ITEM{n}" for n in range(4))]
        assert [len(batch) for batch in gate.batches] == [1, 1, 4]
        assert watcher.calls == [(1, "crash"), (1, "ok"), (4, "ok")]
        assert (watcher.retries, watcher.faults) == (["restart"], ["other"])

    async def test_one_that_costs_the_engine_its_life_is_given_up(self) -> None:
        """Alone, and the second time; between two losses others are answered, so that the engine is not given up."""
        gate, watcher = Gate(), Watcher()
        gate.faults["poison"] = EngineLost("the engine ended", cause="hang")
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, max_batch_size=8, observer=watcher)
            others = [ask(queue, item) for item in ("poison", *"abcdefg")]
            await until(lambda: queue.depth == 8)
            gate.release()
            outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        loss = outcomes[1]
        assert isinstance(loss, EngineLost)
        assert (loss.code, loss.status, loss.cause) == ("engine_crashed", 500, "hang")
        assert sum(isinstance(outcome, Served) for outcome in outcomes) == 8
        ends = [outcome for _, outcome in watcher.calls[1:]]
        assert ends == ["timeout", "timeout", "ok", "timeout", "ok", "timeout", "ok", "timeout"]
        assert watcher.retries == ["restart"] * 4

    async def test_who_was_there_by_chance_is_not_given_up(self) -> None:
        """Of two that were each alone in a call when the engine was lost, one alone is tried again at a time."""
        losing = LosingTogether("poison", "innocent")
        async with serving(losing, workers=2, max_batch_size=1) as queue:
            outcomes = await asyncio.gather(ask(queue, "innocent"), ask(queue, "poison"), return_exceptions=True)
        assert isinstance(outcomes[0], Served)
        assert isinstance(outcomes[1], EngineLost)
        assert sorted(losing.calls) == ["innocent", "innocent", "poison", "poison"]

    async def test_who_left_is_not_tried_again(self) -> None:
        """Nor who has no time left when there is an engine again; nor does the wait count as the engine's time."""
        gate, ready = Lossy(), asyncio.Event()
        ready.set()
        async with serving(gate, ready=waiting_for(ready)) as queue:
            gate.hold()
            items = [ask(queue, "a"), ask(queue, "gone"), ask(queue, "late", within=0.05), ask(queue, "b")]
            await gate.entered()
            gate.losses = 1
            ready.clear()
            gate.release()
            with pytest.raises(DeadlineExceeded):
                await items[2]
            items[1].cancel()
            await asyncio.wait({items[1]})
            ready.set()
            assert await texts([items[0], items[3]]) == ["A", "B"]
        assert gate.batches[1:] == [["a"], ["b"]]

    async def test_a_call_waits_for_an_engine(self) -> None:
        """A deadline ends that wait; a queue that is closed meanwhile serves what it took."""
        gate, ready = Gate(), asyncio.Event()
        async with serving(gate, ready=waiting_for(ready)) as queue:
            with pytest.raises(DeadlineExceeded):
                await ask(queue, "late", within=0.01)
            item = ask(queue, "in time")
            await until(lambda: queue.depth == 1)
            queue.close()
            ready.set()
            assert await texts([item]) == ["IN TIME"]
        assert gate.batches == [["in time"]]

    async def test_where_there_will_be_no_engine_all_are_told_so(self) -> None:
        """At once, in the words of whoever knows, with nothing tried again."""
        gate, watcher = Gate(), Watcher()
        gate.faults["item0"] = Overloaded("the engine has failed", code="engine_failed", retry_after=30)
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, observer=watcher)
            others = [ask(queue, f"item{n}") for n in range(4)]
            await until(lambda: queue.depth == 4)
            gate.release()
            outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert [(getattr(one, "code", ""), getattr(one, "retry_after", 0)) for one in outcomes[1:]] == [
            ("engine_failed", 30)
        ] * 4
        assert (len(gate.batches), watcher.retries) == (2, [])

    async def test_closing_ends_who_waits_for_an_engine(self) -> None:
        """When the drain time is over, whatever becomes of the engine."""
        queue: Queue = BatchingQueue(
            Gate(), key=lambda _: 0, max_batch_size=1, max_queue_size=9, ready=waiting_for(asyncio.Event())
        )
        workers = [asyncio.create_task(queue.run()) for _ in range(2)]
        tasks = [ask(queue, f"item{n}") for n in range(5)]
        await until(lambda: queue.depth == 3)
        queue.close()
        for worker in workers:
            worker.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(outcome, "code", None) for outcome in outcomes] == ["draining"] * 5
        await asyncio.wait(workers)
        assert (queue.requests_running, queue.requests_waiting) == (0, 0)


def waiting_for(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """An engine that is ready when the event is set."""

    async def ready() -> None:
        await event.wait()

    return ready


class Lossy(Gate):
    """Of whose next calls so many `losses` are lost with the engine."""

    losses = 0

    def _answers(self, items: Sequence[str]) -> Sequence[str | Exception]:
        if self.losses:
            self.losses -= 1
            raise EngineLost("the engine ended")
        return super()._answers(items)


class LosingTogether:
    """An engine that the poison ends, with all that is in it then; its first calls begin together."""

    def __init__(self, poison: str, *others: str) -> None:
        self.calls: list[str] = []
        self._poison = poison
        self._missing = {poison, *others}
        self._all = asyncio.Event()
        self._lost = asyncio.Event()

    async def __call__(self, batch: Sequence[str]) -> Sequence[str | Exception]:
        self.calls += batch
        self._missing.difference_update(batch)
        if not self._missing:
            self._all.set()
        await self._all.wait()
        lost = self._lost
        for _ in range(20):  # loop turns: time for another call to begin
            await asyncio.sleep(0)
        if self._poison in batch:
            self._lost = asyncio.Event()
            lost.set()
        await asyncio.sleep(0)
        if lost.is_set():
            raise EngineLost("the engine ended")
        return [item.upper() for item in batch]


class TestLeaving:
    async def test_a_cancelled_item_costs_no_engine_time(self) -> None:
        """An item withdrawn while it waits is never given to the engine."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            gone, kept = ask(queue, "gone"), ask(queue, "kept")
            await until(lambda: queue.depth == 2)
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
            assert queue.depth == 1
            gate.release()
            assert await texts([first, kept]) == ["FIRST", "KEPT"]
        assert gone.cancelled()
        assert gate.batches[1:] == [["kept"]]

    async def test_cancellation_of_a_running_item_spares_its_mates(self) -> None:
        """A caller that leaves during the call is passed over when the answers are dealt."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            first.cancel()
            later = ask(queue, "later")
            await until(lambda: queue.depth == 1)
            gate.release()
            assert (await later).result == "LATER"
        assert first.cancelled()

    async def test_an_item_that_expires_in_the_queue_is_never_run(self) -> None:
        """DeadlineExceeded is raised at the deadline, whatever the engine does."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            with pytest.raises(DeadlineExceeded):
                await ask(queue, "late", within=0.01)
            gate.release()
            await first
        assert gate.batches == [["first"]]

    async def test_an_item_that_expires_in_the_engine_ends_too(self) -> None:
        """A caller never waits past its deadline for a call that hangs."""
        gate = Gate()
        async with serving(gate) as queue:
            gate.hold()
            with pytest.raises(DeadlineExceeded):
                await ask(queue, "slow", within=0.01)


class TestBounds:
    async def test_a_full_queue_refuses_at_once(self) -> None:
        """The bound counts what waits; a refused item leaves nothing behind."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate, max_queue_size=2)
            waiting = [ask(queue, "a"), ask(queue, "b")]
            await until(lambda: queue.depth == 2)
            with pytest.raises(Overloaded) as refusal:
                await ask(queue, "c")
            assert refusal.value.code == "queue_full"
            gate.release()
            await texts([first, *waiting])
        assert ["c"] not in gate.batches

    async def test_depth_and_cost_tell_what_waits(self) -> None:
        """What the gauges show goes back to nothing when all is served."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            waiting = [ask(queue, "a", cost=2.5), ask(queue, "b", cost=30)]
            await until(lambda: queue.depth == 2)
            assert queue.cost == 32.5
            assert queue.oldest_wait >= 0
            gate.release()
            await texts([first, *waiting])
            assert (queue.depth, queue.cost, queue.oldest_wait) == (0, 0, 0)


class TestClosing:
    async def test_close_serves_what_waits_and_takes_no_more(self) -> None:
        """Closing is graceful: nobody who was let in is turned away."""
        gate = Gate()
        async with AsyncExitStack() as stack:
            queue, first = await behind_a_held_call(stack, gate)
            waiting = [ask(queue, f"item{n}") for n in range(6)]
            await until(lambda: queue.depth == 6)
            queue.close()
            with pytest.raises(Overloaded) as refusal:
                await ask(queue, "late")
            assert refusal.value.code == "draining"
            gate.release()
            assert await texts([first, *waiting]) == ["FIRST", *(f"ITEM{n}" for n in range(6))]

    async def test_a_cancelled_worker_leaves_nobody_waiting(self) -> None:
        """When the drain time is over, those in the queue and those in the engine are told so."""
        gate = Gate()
        queue: Queue = BatchingQueue(gate, key=lambda _: 0, max_batch_size=1, max_queue_size=9)
        worker = asyncio.create_task(queue.run())
        gate.hold()
        tasks = [ask(queue, f"item{n}") for n in range(3)]
        await until(lambda: queue.depth == 2)
        worker.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(outcome, "code", None) for outcome in outcomes] == ["draining"] * 3
        with suppress(asyncio.CancelledError):
            await worker
        assert repr(queue) == "<BatchingQueue [broken, 0 waiting]>"

    async def test_a_worker_that_dies_of_a_bug_fails_its_waiters(self) -> None:
        """Whatever ends the loop, all waiters are told and the queue says that it is broken."""

        class Broken(Watcher):
            def batch_finished(self, *_: object) -> None:
                raise ZeroDivisionError

        queue: Queue = BatchingQueue(Gate(), key=lambda _: 0, max_batch_size=1, max_queue_size=9, observer=Broken())
        worker = asyncio.create_task(queue.run())
        outcomes = await asyncio.gather(*[ask(queue, f"item{n}") for n in range(3)], return_exceptions=True)
        assert all(isinstance(outcome, Overloaded) for outcome in outcomes)
        with pytest.raises(ZeroDivisionError):
            await worker
        assert "broken" in repr(queue)
