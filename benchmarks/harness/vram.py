"""How much of the GPUs' memory was taken while something ran."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from asr_api.gpu import GpuFacts, GpuReport, read_gpus

INTERVAL = 0.1
"""Seconds between two looks."""


@dataclass(slots=True)
class Vram:
    """Bytes in use on all GPUs that NVML sees, by whomever; None where it sees none."""

    peak: int | None

    def seen(self, used: int | None) -> None:
        if used is not None:
            self.peak = max(self.peak or 0, used)


def used_now(read: Callable[[], GpuReport] = read_gpus) -> int | None:
    gpus = read().gpus
    return sum(gpu.memory_used for gpu in gpus) if gpus else None


def first_gpu(read: Callable[[], GpuReport] = read_gpus) -> GpuFacts | None:
    return next(iter(read().gpus), None)


@contextmanager
def watched(read: Callable[[], GpuReport] = read_gpus, interval: float = INTERVAL) -> Iterator[Vram]:
    """The most that was seen in use from now until the end, looked at every `interval` seconds."""
    vram, over = Vram(used_now(read)), threading.Event()

    def watch() -> None:
        while not over.wait(interval):
            vram.seen(used_now(read))

    watcher = threading.Thread(target=watch, name="vram", daemon=True)
    if vram.peak is not None:
        watcher.start()
    try:
        yield vram
    finally:
        over.set()
        if vram.peak is not None:
            watcher.join()
            vram.seen(used_now(read))
