"""How many items a second the queue itself can move: a closed loop around an engine that does nothing."""

import asyncio
import cProfile
import io
import pstats
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import uvloop

from asr_api.batching import BatchingQueue, Flow

from .machine import Processors

DEADLINE = 3600.0

LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = MappingProxyType(
    {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """So many callers, each of whom submits the next item once the last is answered; all in one thread."""

    items: int = 100_000
    callers: int = 512
    workers: int = 1
    max_batch_size: int = 16


@dataclass(frozen=True, slots=True)
class Throughput:
    """Seconds by the clock and of this process's processor time, and the cores that others took meanwhile."""

    loop: str
    traffic: Traffic
    seconds: float
    cpu_seconds: float
    mean_batch: float
    others_cores: float | None

    @property
    def items_per_second(self) -> float:
        return self.traffic.items / self.seconds

    @property
    def items_per_cpu_second(self) -> float:
        """What it would be on a core that nobody else uses."""
        return self.traffic.items / self.cpu_seconds


class NullEngine:
    """Answers each item with itself after one turn of the loop."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.calls += 1
        await asyncio.sleep(0)
        return items


def measure(loop: str, traffic: Traffic) -> Throughput:
    """One run in a loop of its own, of the kind named in LOOPS."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        processors, cpu, clock = Processors.look(), time.process_time(), time.perf_counter()
        calls = runner.run(exchange(traffic))
        seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu
    others = processors.taken_by_others(cpu_seconds, seconds)
    return Throughput(loop, traffic, seconds, cpu_seconds, traffic.items / calls, others)


def profiled(loop: str, traffic: Traffic, lines: int = 20) -> str:
    """The functions in which a run spent its time, by their own time; the profiler slows it down."""
    profile, text = cProfile.Profile(), io.StringIO()
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        profile.runcall(runner.run, exchange(traffic))
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(lines)
    return text.getvalue()


async def exchange(traffic: Traffic) -> int:
    """Move all items through a queue; returns the number of engine calls."""
    engine, waiting = NullEngine(), iter(range(traffic.items))
    queue: BatchingQueue[int, int] = BatchingQueue(
        engine, key=_one_key, max_batch_size=traffic.max_batch_size, max_queue_size=traffic.callers
    )
    deadline = asyncio.get_running_loop().time() + DEADLINE

    async def caller() -> None:
        for item in waiting:
            await queue.submit(item, flow=Flow(), cost=1.0, deadline=deadline)

    workers = [asyncio.create_task(queue.run()) for _ in range(traffic.workers)]
    async with asyncio.TaskGroup() as callers:
        for _ in range(traffic.callers):
            callers.create_task(caller())
    queue.close()
    await asyncio.gather(*workers)
    return engine.calls


def _one_key(_: int) -> None:
    return None
