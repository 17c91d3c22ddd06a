"""Engine processes for tests: how strange ones are started, what they are asked, and what is left of them."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np

from asr_api.engine.messages import EnginePlan
from asr_api.engine.process import EngineProcess
from asr_api.engine.protocol import DecodingOptions, DecodingTask
from tests.engine.strange_engine import COMMAND, N_MELS

ROOM = 4
WITHIN = 60.0


def plan(name: str = "fine", *, workers: int = 1, device: str = "cpu") -> EnginePlan:
    return EnginePlan(
        folder="",
        name=name,
        revision=None,
        device=device,
        device_index=(0,),
        compute_type="auto",
        num_workers=workers,
        cpu_threads=1,
        max_encode_batch=8,
    )


def task(number: int = 0, act: str | None = None, *, n_mels: int = N_MELS, frames: int = 10) -> DecodingTask:
    """One whose features are all its number, and whose `act` the strange engine performs."""
    features = np.full((n_mels, frames), number, np.float16)
    return DecodingTask(features, 1.0, act, "transcribe", (), DecodingOptions())


def environ() -> Mapping[str, str]:
    """What a child that is part of these tests needs."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}


async def started(name: str = "fine", *, workers: int = 1) -> EngineProcess:
    return await EngineProcess.start(COMMAND, plan(name, workers=workers), environ(), lambda _: ROOM)


@asynccontextmanager
async def running(name: str = "fine", *, workers: int = 1) -> AsyncIterator[EngineProcess]:
    process = await started(name, workers=workers)
    try:
        yield process
    finally:
        await process.close()


async def gone(pid: int) -> bool:
    """Whether a process has ended, within two seconds."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(watch, ended.set)
    try:
        async with asyncio.timeout(2):
            return await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(watch)
        os.close(watch)


def children() -> list[int]:
    """Processes that this one started and that are there, be it as zombies; but not the servers of other tests."""
    pids: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            pids += map(int, path.read_text().split())
    return [pid for pid in pids if _is_ours(pid)]


def _is_ours(pid: int) -> bool:
    """An engine, or a zombie, which has no command; not one that has just gone."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return not command or any(name in command for name in (b"strange_engine", b"fake_child", b"engine.child"))


def descriptors() -> list[str]:
    """What this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}").split(":")[0])
        except FileNotFoundError:
            continue  # the folder itself
    return sorted(found)


def arenas() -> int:
    """Arenas that this process has mapped."""
    return Path("/proc/self/maps").read_text().count("asr-api features")
