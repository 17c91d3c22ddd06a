"""VRAM and utilisation of each GPU, read from NVML in a thread of its own."""

import os
import threading
from collections.abc import Sequence
from typing import Protocol

import pynvml

from asr_api.metrics import Metrics

INTERVAL = 5.0
"""Seconds between two readings."""


class Memory(Protocol):
    used: int
    total: int


class Utilization(Protocol):
    gpu: int


class Process(Protocol):
    pid: int
    usedGpuMemory: int | None  # noqa: N815 - NVML's name


class Nvml(Protocol):
    """The part of `pynvml` that is used, under its names."""

    @property
    def NVMLError(self) -> type[Exception]: ...

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory: ...
    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Utilization: ...
    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> Sequence[Process]: ...


class GpuMonitor:
    """Fills the GPU gauges until it is closed; without a GPU it says so once and ends."""

    def __init__(self, metrics: Metrics, nvml: Nvml = pynvml, interval: float = INTERVAL) -> None:
        self._metrics = metrics
        self._nvml = nvml
        self._interval = interval
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def _run(self) -> None:
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError:
            self._metrics.gpu_collector_up.set(0)
            return
        try:
            self.read()
            while not self._closed.wait(self._interval):
                self.read()
        finally:
            self._nvml.nvmlShutdown()

    def read(self) -> None:
        """One reading of all GPUs; an NVML error leaves the last values and clears `asr_gpu_collector_up`."""
        try:
            for index in range(self._nvml.nvmlDeviceGetCount()):
                self._read_gpu(index)
            self._metrics.gpu_collector_up.set(1)
        except self._nvml.NVMLError:
            self._metrics.gpu_collector_up.set(0)

    def _read_gpu(self, index: int) -> None:
        handle, gpu = self._nvml.nvmlDeviceGetHandleByIndex(index), str(index)
        memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
        processes = self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ours = sum(process.usedGpuMemory or 0 for process in processes if process.pid == os.getpid())
        self._metrics.gpu_memory_used.labels(gpu).set(memory.used)
        self._metrics.gpu_memory_total.labels(gpu).set(memory.total)
        self._metrics.gpu_process_memory.labels(gpu).set(ours)
        self._metrics.gpu_utilization.labels(gpu).set(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
