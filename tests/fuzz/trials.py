"""Mutants on their way through a decode worker, with what each of them cost."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self, cast

from asr_api.audio.backlog import Backlog
from asr_api.audio.messages import Order
from asr_api.audio.pool import REJECTIONS, DecodePool, WorkerLimits, worker_command
from asr_api.errors import InvalidAudio
from asr_api.metrics import Metrics
from asr_api.metrics.labels import WORKER_RESTARTS
from tests.fuzz.mutants import OPTIONS, Mutant

LIMITS = WorkerLimits(timeout=30, memory=512 << 20)
"""The service's own."""

MAX_SECONDS = 600
KNOWN_CODES = frozenset(REJECTIONS) - {"decode_timeout"} | {"corrupt_audio"}
"""What a file may be refused for; a worker that has to be killed for it counts as lost."""

MOST_SECONDS, MOST_BYTES = 2.0, 64 << 20
"""What a mutant may cost: CPU or, on a machine at rest, seconds of the clock; memory over a warm worker's."""

LOST = "worker lost"

ON_DISK = 16
"""One in so many mutants comes as an open file, as large uploads do; the others come in memory."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`ending` is `decoded`, the code of the refusal, or what went wrong; `memory` the most over a warm worker's."""

    number: int
    seed: str
    ending: str
    cpu: float
    seconds: float
    memory: int

    @property
    def lost(self) -> bool:
        """Whether it cost its worker's life."""
        return self.ending.startswith(LOST)

    @property
    def faults(self) -> list[str]:
        """What no mutant may do."""
        found = [] if self.ending == "decoded" or self.ending in KNOWN_CODES else [self.ending]
        slowest = max(self.cpu, self.seconds)
        found += [f"took {slowest:.1f} s"] if slowest > MOST_SECONDS else []
        return found + ([f"took {self.memory >> 20} MB"] if self.memory > MOST_BYTES else [])


@dataclass(frozen=True, slots=True)
class Portion:
    """The trials that one worker, or its successors, had one after the other.

    `held` is what it kept of them, in bytes.
    """

    trials: list[Trial]
    held: int


class Worker:
    """A decode worker as the kernel sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._clock = (~pid << 3) | 2  # as clock_getcpuclockid(3) makes it
        self._status = Path(f"/proc/{pid}/status")
        self._peaks = Path(f"/proc/{pid}/clear_refs")
        self.warm = 0

    @classmethod
    def only_child(cls) -> Self:
        """The one decode worker that this process has."""
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        (pid,) = (pid for pid in children if b"asr_api.audio.worker" in Path(f"/proc/{pid}/cmdline").read_bytes())
        return cls(int(pid))

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        return time.clock_gettime(self._clock)

    @property
    def peak(self) -> int:
        """The most bytes held since `forget_peak`."""
        (line,) = (line for line in self._status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) << 10

    def forget_peak(self) -> None:
        """What is held now is the peak (proc(5), clear_refs)."""
        self._peaks.write_text("5")


class Lane:
    """A pool with one worker, so that what is measured of it is one mutant's doing."""

    def __init__(self, pool: DecodePool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._worker = Worker(0)

    @property
    def held(self) -> int:
        """What the worker holds now over what it held when it was warm, in bytes."""
        self._worker.forget_peak()
        return self._worker.peak - self._worker.warm

    @property
    def lost(self) -> int:
        """Workers that had to be replaced."""
        value = self._metrics.registry.get_sample_value
        counts = [value("asr_decode_worker_restarts_total", {"reason": reason}) for reason in WORKER_RESTARTS]
        return round(sum(count or 0 for count in counts))

    async def warm_up(self, seeds: Iterable[bytes]) -> None:
        """Have every decoder and filter used, so that memory kept for good is not a mutant's."""
        while self._pool.count("idle") != 1:
            await asyncio.sleep(0.01)
        self._worker = Worker.only_child()
        for data in seeds:
            for options in OPTIONS:
                await self._ending(Mutant(0, "", (), data, options))
        self._worker.forget_peak()
        self._worker.warm = self._worker.peak

    async def try_out(self, mutant: Mutant) -> Trial:
        """Run one mutant. Where it costs the worker its life, `warm_up` is due before the next."""
        worker, lost = self._worker, self.lost
        worker.forget_peak()
        began, cpu = time.monotonic(), worker.cpu
        ending = await self._ending(mutant)
        seconds = time.monotonic() - began
        if self.lost > lost or self._pool.count("idle") != 1:
            return Trial(mutant.number, mutant.seed, f"{LOST} ({ending})", seconds, seconds, 0)
        memory = worker.peak - worker.warm
        return Trial(mutant.number, mutant.seed, ending, worker.cpu - cpu, seconds, memory)

    async def _ending(self, mutant: Mutant) -> str:
        order = Order(options=mutant.options, n_mels=80, max_seconds=MAX_SECONDS, descriptor=False)
        try:
            with _upload(mutant) as upload:
                async with self._pool.prepare(upload, order, Backlog(BytesIO(), 1 << 20)) as recording:
                    async for _ in recording:
                        pass
        except InvalidAudio as error:
            return error.code
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "decoded"


@contextmanager
def _upload(mutant: Mutant) -> Iterator[BinaryIO]:
    if mutant.number % ON_DISK:
        yield BytesIO(mutant.data)
        return
    with tempfile.TemporaryFile() as file:
        file.write(mutant.data)
        file.flush()
        yield cast(BinaryIO, file)


@asynccontextmanager
async def lane(seeds: Iterable[bytes]) -> AsyncIterator[Lane]:
    """A warm lane with the worker that the service starts."""
    metrics = Metrics("fuzz")
    with tempfile.TemporaryDirectory() as folder:
        pool = DecodePool(worker_command(LIMITS), Path(folder), size=1, limits=LIMITS, metrics=metrics)
        await pool.open()
        try:
            made = Lane(pool, metrics)
            await made.warm_up(seeds)
            yield made
        finally:
            await pool.close()


async def trials(mutants: Iterable[Mutant], seeds: Iterable[bytes], end: float) -> Portion:
    """Each mutant's trial, until the clock says `end`."""
    whole, done = list(seeds), list[Trial]()
    async with lane(whole) as path:
        for mutant in mutants:
            if time.monotonic() > end:
                break
            done.append(await path.try_out(mutant))
            if done[-1].lost:
                await path.warm_up(whole)
        return Portion(done, path.held)
