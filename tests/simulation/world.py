"""A simulated service: the real queue, schedule and admission under a virtual clock, an engine that fails
by script, and clients that come, wait, give up and leave; all drawn from one seed.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from asr_api.admission import Admission, AdmissionLimits
from asr_api.batching import BatchingQueue, Flow
from asr_api.errors import AsrError, DeadlineExceeded, EngineFailure, EngineOutOfMemory, Overloaded
from tests.clocks import run_virtually

SIZE = 8
WINDOW = 12
MAX_REQUESTS = 40
MAX_SECONDS = 3000.0
TIMEOUT = 120.0
ENDS = (EngineFailure, DeadlineExceeded, Overloaded, asyncio.CancelledError)


@dataclass(frozen=True)
class Chunk:
    """One item of a simulated request. A poisoned one makes every call fail that it is in."""

    request: int
    number: int
    key: str
    cost: float
    poisoned: bool


@dataclass
class ScriptedEngine:
    """Takes time by batch size; runs out of memory, answers too few, and hangs for a while, as chance has it."""

    chance: random.Random
    workers: int
    running: int = 0
    memory: int = SIZE
    answered: Counter[tuple[int, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    calls: int = 0

    async def __call__(self, chunks: Sequence[Chunk]) -> Sequence[str | Exception]:
        self.calls += 1
        self.running += 1
        try:
            self._inspect(chunks)
            await asyncio.sleep(self._seconds(len(chunks)))
            return self._answers(chunks)
        finally:
            self.running -= 1

    def _inspect(self, chunks: Sequence[Chunk]) -> None:
        if self.running > self.workers:
            self.faults.append(f"{self.running} calls at once by {self.workers} workers")
        if not 1 <= len(chunks) <= SIZE:
            self.faults.append(f"a batch of {len(chunks)}")
        if len({chunk.key for chunk in chunks}) > 1:
            self.faults.append("mixed keys")
        again = [chunk for chunk in chunks if self.answered[chunk.request, chunk.number]]
        if again:
            self.faults.append(f"decoded again after an answer: {again}")

    def _seconds(self, size: int) -> float:
        hang = 200.0 if self.chance.random() < 0.003 else 0.0
        return 0.2 + 0.1 * size + hang

    def _answers(self, chunks: Sequence[Chunk]) -> Sequence[str | Exception]:
        if self.chance.random() < 0.02:
            self.memory = self.chance.randint(1, SIZE)
        if len(chunks) > self.memory:
            raise EngineOutOfMemory("out of memory")
        if any(chunk.poisoned for chunk in chunks):
            raise RuntimeError("poisoned")
        if self.chance.random() < 0.01:
            return ["short"] * (len(chunks) - 1)
        self.answered.update((chunk.request, chunk.number) for chunk in chunks)
        return [answer_to(chunk) for chunk in chunks]


def answer_to(chunk: Chunk) -> str:
    return f"{chunk.request}:{chunk.number}"


class World:
    """One simulated run; `steps` counts the checks of the invariants."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.workers = self.chance.randint(1, 3)
        self.engine = ScriptedEngine(self.chance, self.workers)
        self.steps = 0
        self.ends: Counter[str] = Counter()
        self.broken: list[str] = []

    async def live(self, steps: int) -> None:
        """Let clients come until so many steps were checked, then close and see that all has ended."""
        self.queue: BatchingQueue[Chunk, str] = BatchingQueue(
            self.engine,
            key=lambda chunk: chunk.key,
            max_batch_size=SIZE,
            max_queue_size=WINDOW * MAX_REQUESTS,
            max_queue_delay=self.chance.choice([0, 0, 0.05]),
        )
        limits = AdmissionLimits(MAX_REQUESTS, MAX_SECONDS, TIMEOUT)
        self.admission = Admission(limits, lambda: self.queue.rate, chance=self.chance)
        workers = [asyncio.create_task(self.queue.run()) for _ in range(self.workers)]
        clients: set[asyncio.Task[None]] = set()
        number = 0
        while self.steps < steps:
            await asyncio.sleep(self.chance.expovariate(self.chance.choice([0.5, 2, 8])))
            number += 1
            clients.add(asyncio.create_task(self._client(number)))
            if self.chance.random() < 0.15:
                self.chance.choice(sorted(clients, key=lambda task: task.get_name())).cancel()
            clients = {client for client in clients if not client.done()}
            self._check()
        self.queue.close()
        await asyncio.gather(*clients, return_exceptions=True)
        await asyncio.gather(*workers)
        self._check_the_end()

    async def _client(self, number: int) -> None:
        try:
            with self.admission.place():
                await asyncio.sleep(self.chance.random() * 0.3)
                await self._request(number)
            self.ends["ok"] += 1
        except AsrError as error:
            self.ends[error.code] += 1
        except asyncio.CancelledError:
            self.ends["cancelled"] += 1
            raise
        finally:
            self._check()

    async def _request(self, number: int) -> None:
        chunks = self._chunks(number)
        deadline = asyncio.get_running_loop().time() + self.chance.choice([TIMEOUT, TIMEOUT, 3.0])
        flow, places = Flow(self.chance.choice(["", "a", "b"])), asyncio.Semaphore(WINDOW)
        with self.admission.hold(sum(chunk.cost for chunk in chunks)) as hold:

            async def one(chunk: Chunk) -> None:
                async with places:
                    served = await self.queue.submit(chunk, flow=flow, cost=chunk.cost, deadline=deadline)
                self.admission.settle(hold, hold.seconds - chunk.cost)
                if served.result != answer_to(chunk):
                    self.broken.append(f"{chunk} was answered {served.result!r}")
                self._check()

            try:
                async with asyncio.TaskGroup() as group:
                    for chunk in chunks:
                        group.create_task(one(chunk))
            except ExceptionGroup as errors:
                self._check_ends(errors)
                raise errors.exceptions[0] from None

    def _check_ends(self, errors: ExceptionGroup[Exception]) -> None:
        for error in errors.exceptions:
            if not isinstance(error, ENDS):
                self.broken.append(f"a chunk ended in {error!r}")

    def _chunks(self, number: int) -> list[Chunk]:
        key = self.chance.choice("xxxy")
        count = self.chance.choice([1, 1, 1, 2, 5, 40])
        poisoned = self.chance.random() < 0.05
        return [
            Chunk(number, n, key, self.chance.uniform(0.5, 30), poisoned and self.chance.random() < 0.3)
            for n in range(count)
        ]

    def _check(self) -> None:
        """The invariants that hold at every moment."""
        self.steps += 1
        self.broken += self.engine.faults
        self.engine.faults = []
        if not 0 <= self.admission.running <= MAX_REQUESTS:
            self.broken.append(f"{self.admission.running} requests are running")
        if not 0 <= self.queue.depth <= WINDOW * MAX_REQUESTS:
            self.broken.append(f"{self.queue.depth} chunks wait")
        if not 1 <= self.queue.batch_limit <= SIZE:
            self.broken.append(f"the limit of a batch is {self.queue.batch_limit}")
        if self.queue.depth and not self.engine.running and not self.queue.oldest_wait <= 0.2 + TIMEOUT:
            self.broken.append("work waits while every worker is idle")
        if self.broken:
            raise AssertionError("; ".join(self.broken))

    def _check_the_end(self) -> None:
        rest = (self.queue.depth, self.queue.cost, self.admission.running, round(self.admission.seconds, 6))
        if rest != (0, 0, 0, 0):
            raise AssertionError(f"left behind at the end: depth, cost, running, seconds = {rest}")
        if max(self.engine.answered.values(), default=1) > 1:
            raise AssertionError("a chunk was answered twice")


def simulate(seed: int, steps: int) -> World:
    """One run. Raises AssertionError, naming what broke, or RuntimeError where all waits for ever."""
    world = World(seed)
    run_virtually(world.live(steps))
    return world
