"""The same call again and again, by several threads."""

import queue
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Timed(Generic[Value]):
    """So many calls within `elapsed` seconds, each in `seconds` at the median, and what one of them gave."""

    calls: int
    elapsed: float
    seconds: float
    result: Value


def timed(call: Callable[[], Value], workers: int, rounds: int) -> Timed[Value]:
    """`rounds` calls by each of `workers` threads, after one by each that does not count."""

    def once(_: int) -> tuple[float, Value]:
        began = time.perf_counter()
        result = call()
        return time.perf_counter() - began, result

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(once, range(workers)))
        began = time.perf_counter()
        done = list(threads.map(once, range(workers * rounds)))
        elapsed = time.perf_counter() - began
    return Timed(len(done), elapsed, statistics.median(seconds for seconds, _ in done), done[-1][1])


Made = TypeVar("Made")


def relayed(make: Callable[[], Made], take: Callable[[Made], Value], workers: int, rounds: int) -> Timed[Value]:
    """One thread that makes what the other `workers - 1` take, `rounds` times each of them; two at most wait.

    A call is a making with its taking; its seconds are those from one taken to the next, on average.
    """
    takers = workers - 1
    waiting: queue.Queue[Made] = queue.Queue(maxsize=2)

    def producer(count: int) -> None:
        for _ in range(count):
            waiting.put(make())

    with ThreadPoolExecutor(workers) as threads:
        for count in (takers, takers * rounds):  # the first turn does not count
            began = time.perf_counter()
            making = threads.submit(producer, count)
            results = list(threads.map(lambda _: take(waiting.get()), range(count)))
            making.result()
            elapsed = time.perf_counter() - began
    return Timed(takers * rounds, elapsed, elapsed / (takers * rounds), results[-1])
