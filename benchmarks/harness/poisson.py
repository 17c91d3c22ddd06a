"""What a batcher does under one fixed load and in four mishaps. Run these in virtual time."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .batchers import FOREVER, Accelerator, Build, Limits, started

Submit = Callable[[int], Coroutine[Any, Any, object]]
Fate = Literal["ok", "failed", "cancelled", "hangs"]

QUEUED_AT_STOP = 20


@dataclass(frozen=True, slots=True)
class Load:
    """Items a second, in Poisson's way; how many; and the accelerator's seconds a batch."""

    rate: float = 60.0
    items: int = 180
    batch_seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds from each item's arrival to its answer, and the sizes of the batches."""

    latencies: tuple[float, ...]
    batch_sizes: tuple[int, ...]


async def under_load(build: Build, limits: Limits, load: Load, seed: int) -> Outcome:
    """Items that arrive at random moments, which only the seed decides."""
    moments = random.Random(seed)
    accelerator = Accelerator(load.batch_seconds)
    batcher = build(accelerator, limits)
    loop = asyncio.get_running_loop()

    async def caller(item: int) -> float:
        arrived = loop.time()
        await batcher.submit(item)
        return loop.time() - arrived

    async with started(batcher):
        callers: list[asyncio.Task[float]] = []
        for item in range(load.items):
            await asyncio.sleep(moments.expovariate(load.rate))
            callers.append(asyncio.create_task(caller(item)))
        latencies = tuple(await asyncio.gather(*callers))
    return Outcome(latencies, tuple(map(len, accelerator.batches)))


async def lone_request(build: Build, limits: Limits) -> float:
    """Seconds that a request takes beyond its batch when nobody else is there."""
    loop, accelerator = asyncio.get_running_loop(), Accelerator()
    batcher = build(accelerator, limits)
    async with started(batcher):
        await asyncio.sleep(1)
        arrived = loop.time()
        await batcher.submit(0)
        return loop.time() - arrived - accelerator.seconds


async def cancel_one(build: Build, limits: Limits) -> str:
    """Three wait behind a running batch, and the second is cancelled."""
    accelerator = Accelerator()
    batcher = build(accelerator, limits)
    async with started(batcher):
        first, *three = await _queued_behind_one(batcher.submit, accelerator, 3)
        three[1].cancel()
        fates = await _fates([first, *three])
    computed = any(2 in batch for batch in accelerator.batches)
    neighbours = "fine" if fates[:2] + fates[3:] == ["ok"] * 3 else "neighbours are not served"
    cancelled = "" if fates[2] == "cancelled" else ", the cancel is swallowed"
    return f"{neighbours}{cancelled}, {'still' if computed else 'not'} computed"


async def one_bad(build: Build, limits: Limits) -> str:
    """Three wait behind a running batch, and the second makes the accelerator raise."""
    accelerator = Accelerator(bad={2})
    batcher = build(accelerator, limits)
    async with started(batcher):
        fates = await _fates(await _queued_behind_one(batcher.submit, accelerator, 3))
        (later,) = await _fates([asyncio.ensure_future(batcher.submit(9))])
    if "hangs" in fates:
        return f"{fates.count('hangs')} hang, then {later}"
    verdict = "only the bad one fails" if fates == ["ok", "ok", "failed", "ok"] else "neighbours fail"
    return f"{verdict}, then {later}"


async def stop_while_queued(build: Build, limits: Limits) -> str:
    """A stop while a batch runs and twenty items wait."""
    accelerator = Accelerator()
    batcher = build(accelerator, limits)
    async with started(batcher):
        _, *queued = await _queued_behind_one(batcher.submit, accelerator, QUEUED_AT_STOP)
        batcher.close()
        fates = await _fates(queued)
    kinds: Sequence[Fate] = ("ok", "failed", "cancelled", "hangs")
    return ", ".join(f"{fates.count(kind)} {kind}" for kind in kinds if kind in fates)


async def _queued_behind_one(submit: Submit, accelerator: Accelerator, count: int) -> list[asyncio.Task[object]]:
    """Item 0 runs for half its time, then `count` more arrive; they had no turn yet."""
    tasks = [asyncio.create_task(submit(0))]
    await asyncio.sleep(accelerator.seconds / 2)
    tasks += [asyncio.create_task(submit(item)) for item in range(1, count + 1)]
    await asyncio.sleep(0)
    return tasks


async def _fates(tasks: Sequence[asyncio.Future[object]]) -> list[Fate]:
    await asyncio.wait(tasks, timeout=FOREVER)
    return [_fate(task) for task in tasks]


def _fate(task: asyncio.Future[object]) -> Fate:
    if not task.done():
        task.cancel()
        return "hangs"
    if task.cancelled():
        return "cancelled"
    return "failed" if task.exception() else "ok"
