"""The service's decode workers, kept busy or watched, without the service."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self, TypeVar

from asr_api.assembly import build_pool
from asr_api.audio.confined import ConfinedFrontEnd
from asr_api.metrics import Metrics
from asr_api.settings import Settings
from asr_api.spool import Spool
from asr_api.transcription import AudioOptions

from .audio_files import Sound
from .machine import Processors
from .process import ServerProcess

Value = TypeVar("Value")

POLL = 0.02
"""Seconds between two looks at workers that say nothing by themselves."""

PEAK_RESET = "5"
"""What makes Linux forget a process's peak of memory (proc_pid_clear_refs(5))."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A front end with its workers, all of them idle."""

    front_end: ConfinedFrontEnd
    spool: Spool
    pids: tuple[int, ...]

    async def consume(self, sound: Sound) -> None:
        """Take each chunk as it comes, and drop it."""
        with sound.path.open("rb") as upload:
            async with self.front_end.open(upload, AudioOptions()) as recording:
                async for _ in recording:
                    pass

    async def idle(self) -> None:
        """Return when no worker has anything to do."""
        await until(lambda: self.front_end.pool.count("idle") == len(self.pids))

    def cpu_seconds(self) -> float:
        """Processor time of all workers so far."""
        return sum(ServerProcess("", pid).cpu_seconds() for pid in self.pids)

    def threads(self) -> int:
        """Threads of all workers: those of a native library are idle at best."""
        return sum(int(status(pid)["Threads"]) for pid in self.pids)


@asynccontextmanager
async def working(workers: int, n_mels: int) -> AsyncIterator[Desk]:
    """The pool as the service builds it, with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load({}, decode_workers=workers, spool_dir=Path(folder), max_audio_seconds=24 * 3600)
        metrics = Metrics("benchmark")
        spool = Spool(settings.spool_dir, settings.max_spool_bytes, metrics)
        pool = build_pool(settings, metrics)
        await pool.open()
        try:
            await until(lambda: pool.count("idle") == workers)
            front_end = ConfinedFrontEnd(
                pool, partial(spool.file, 0), n_mels, settings.max_audio_seconds, settings.vad_threshold
            )
            yield Desk(front_end, spool, tuple(worker_pids()))
        finally:
            await pool.close()


async def until(condition: Callable[[], bool]) -> None:
    """Return once it holds: there is nothing to wait for that would tell."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(POLL)


def worker_pids() -> list[int]:
    """The children of this process that are decode workers."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _is_worker(entry)]


def status(pid: int) -> dict[str, str]:
    """The fields of Linux's /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":", 1) for line in lines)


def _is_worker(entry: Path) -> bool:
    try:
        parent = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        return parent == os.getpid() and b"asr_api.audio.worker" in (entry / "cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False


@dataclass(frozen=True, slots=True)
class Fed:
    """Files given to the pool at once: seconds until the last was heard, and processor seconds of both ends."""

    file: str
    files: int
    audio_seconds: float
    seconds: float
    worker_cpu: float
    own_cpu: float
    others_cores: float | None
    worker_threads: int

    @property
    def hours_a_minute(self) -> float:
        return self.audio_seconds / 3600 / (self.seconds / 60)


async def feed(desk: Desk, sound: Sound, files: int) -> Fed:
    """The same file so many times at once, the chunks consumed as they come."""
    await desk.consume(sound)
    await desk.idle()
    began, processors = time.perf_counter(), Processors.look()
    worker_cpu, own_cpu = desk.cpu_seconds(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(files):
            group.create_task(desk.consume(sound))
    seconds, own_cpu = time.perf_counter() - began, time.process_time() - own_cpu
    worker_cpu = desk.cpu_seconds() - worker_cpu
    others = processors.taken_by_others(worker_cpu + own_cpu, seconds)
    return Fed(sound.label, files, files * sound.seconds, seconds, worker_cpu, own_cpu, others, desk.threads())


async def first_chunk(desk: Desk, sound: Sound) -> float:
    """Seconds from when the file is handed in to its first chunk; the rest is given up."""
    with sound.path.open("rb") as upload:
        began = time.perf_counter()
        async with desk.front_end.open(upload, AudioOptions()) as recording:
            await anext(aiter(recording))
            seconds = time.perf_counter() - began
    await desk.idle()
    return seconds


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in memory of one process."""

    now: int
    peak: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """From Linux's /proc (proc_pid_status(5): VmRSS and VmHWM)."""
        fields = status(pid)
        return cls(*(1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")))


def forget_peak() -> None:
    """From now on the peak of this process's memory counts anew."""
    Path("/proc/self/clear_refs").write_text(PEAK_RESET, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes at the peak over those before, of the worker and of the service's process; and what waited on disk.

    The chunks were taken only when all had come, so that as many as can be waited at once.
    """

    file: str
    worker_idle: int
    worker: int
    parent: int
    chunks: int
    spooled: int


async def growth(desk: Desk, sound: Sound) -> Growth:
    """Have a long file heard, take its chunks when all are there, and look at the peaks."""
    (worker,) = desk.pids
    forget_peak()
    before, parent_before = Memory.of(worker), Memory.of(os.getpid())
    with sound.path.open("rb") as upload:
        async with desk.front_end.open(upload, AudioOptions()) as recording:
            await until(lambda: recording.ended)
            spooled = desk.spool.used
            chunks = [chunk.place async for chunk in recording]
    after, parent_after = Memory.of(worker), Memory.of(os.getpid())
    return Growth(
        file=sound.label,
        worker_idle=before.now,
        worker=after.peak - before.now,
        parent=parent_after.peak - parent_before.now,
        chunks=len(chunks),
        spooled=spooled,
    )


async def feeds(sounds: Sequence[Sound], files: int, rounds: int, workers: int, n_mels: int) -> list[Fed]:
    """Each sound in turn, in each round."""
    async with working(workers, n_mels) as desk:
        return [await feed(desk, sound, files) for _ in range(rounds) for sound in sounds]


async def first_chunks(
    warm_up: Sound, sounds: Sequence[Sound], rounds: int, workers: int, n_mels: int
) -> list[tuple[str, float]]:
    """Each sound in turn, in each round, after a sound that does not count."""
    async with working(workers, n_mels) as desk:
        await desk.consume(warm_up)
        return [(sound.label, await first_chunk(desk, sound)) for _ in range(rounds) for sound in sounds]


async def growth_alone(sound: Sound, n_mels: int) -> Growth:
    """With a worker that has heard nothing yet."""
    async with working(1, n_mels) as desk:
        return await growth(desk, sound)


def in_fresh_process(work: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
    """Run it to its end in a process that has done nothing else, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_run, work).result()


def _run(work: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
    return asyncio.run(work())
