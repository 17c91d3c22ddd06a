"""What NVML tells of the GPUs: a reading for the metrics every few seconds, and facts for whoever asks once."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import pynvml

from asr_api.metrics import Metrics
from asr_api.metrics.gpus import GpuReading

logger = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two readings."""

MIG_ON = 1
"""NVML_DEVICE_MIG_ENABLE (nvml.h)."""

Value = TypeVar("Value")


class Memory(Protocol):
    """Bytes."""

    @property
    def used(self) -> int: ...
    @property
    def total(self) -> int: ...


class Utilization(Protocol):
    """Percent."""

    @property
    def gpu(self) -> int: ...


class Process(Protocol):
    @property
    def pid(self) -> int: ...
    @property
    def usedGpuMemory(self) -> int | None: ...


class Nvml(Protocol):
    """The part of `pynvml` that the metrics need, under its names. A slice of a GPU (MIG) has a handle like a GPU's."""

    @property
    def NVMLError(self) -> type[Exception]: ...
    @property
    def NVML_TEMPERATURE_GPU(self) -> int: ...

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...
    def nvmlDeviceGetMigMode(self, handle: object) -> Sequence[int]: ...
    def nvmlDeviceGetMaxMigDeviceCount(self, handle: object) -> int: ...
    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: object, index: int) -> object: ...
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory: ...
    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Utilization: ...
    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> Sequence[Process]: ...
    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int: ...
    def nvmlDeviceGetPowerUsage(self, handle: object) -> int: ...
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int: ...


class NvmlFacts(Nvml, Protocol):
    """What `read_gpus` needs besides."""

    def nvmlSystemGetDriverVersion(self) -> str: ...
    def nvmlSystemGetCudaDriverVersion(self) -> int: ...
    def nvmlDeviceGetName(self, handle: object) -> str: ...
    def nvmlDeviceGetUUID(self, handle: object) -> str: ...
    def nvmlDeviceGetCudaComputeCapability(self, handle: object) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a slice of one, in the order in which NVML has them; `board` is the whole GPU's handle."""

    index: int
    handle: object
    board: object


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One GPU, or one slice of it: its memory in bytes, and the versions that decide what runs on it."""

    index: int
    name: str
    uuid: str
    driver: str
    cuda: tuple[int, int]
    capability: tuple[int, int]
    memory_used: int
    memory_total: int

    @property
    def memory_free(self) -> int:
        return self.memory_total - self.memory_used


@dataclass(frozen=True, slots=True)
class GpuReport:
    """The GPUs that NVML sees; `fault` is what it says where it cannot see any, "" where it can."""

    gpus: tuple[GpuFacts, ...] = ()
    fault: str = ""


def own_processes(proc: Path = Path("/proc")) -> frozenset[int]:
    """The ids of this process and of its children; of this process alone where there is no /proc to tell."""
    own = os.getpid()
    found = {own}
    for task in proc.glob(f"{own}/task/*/children"):
        with suppress(OSError):  # a thread that has just ended
            found.update(map(int, task.read_text().split()))
    return frozenset(found)


class GpuMonitor:
    """Fills the GPU's metrics in a thread of its own until it is closed; where there is no NVML it ends at once.

    Tells the whole card's memory, and that of the processes `pids` names, at each reading. NVML
    that breaks later is started anew at each reading until it answers.
    """

    def __init__(
        self,
        metrics: Metrics,
        nvml: Nvml | None = None,
        interval: float = INTERVAL,
        pids: Callable[[], frozenset[int]] = own_processes,
    ) -> None:
        self._metrics = metrics.gpus
        self._nvml: Nvml = pynvml if nvml is None else nvml
        self._interval = interval
        self._pids = pids
        self._connected = False
        self._answers = True
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop reading, after the reading that is under way if that takes less than a second."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def _run(self) -> None:
        if not self._found():
            return
        try:
            self.read()
            while not self._closed.wait(self._interval):
                self.read()
        finally:
            self._disconnect()

    def _found(self) -> bool:
        """Whether there is NVML at all; on most machines without a GPU there is not, and nobody need hear of it."""
        try:
            self._connect()
        except self._nvml.NVMLError as error:
            logger.debug("no GPU metrics", extra={"reason": str(error)})
            self._metrics.collected(None)
            return False
        return True

    def read(self) -> None:
        """One reading of all GPUs; an NVML error leaves the last values and clears `asr_gpu_collector_up`."""
        began = time.perf_counter()
        try:
            self._connect()
            pids = self._pids()
            for device in devices(self._nvml):
                self._metrics.read(self._reading(device, pids))
        except self._nvml.NVMLError as error:
            self._metrics.collected(None)
            self._disconnect()
            self._tell(str(error))
        else:
            self._metrics.collected(time.perf_counter() - began)
            self._tell(None)

    def _reading(self, device: Device, pids: frozenset[int]) -> GpuReading:
        """Memory must be told; whatever else the GPU, its driver or a slice does not tell is None."""
        nvml, handle = self._nvml, device.handle
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        processes = self._told(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or []
        utilization = self._told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        power = self._told(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        energy = self._told(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        return GpuReading(
            gpu=device.index,
            memory_used=memory.used,
            memory_total=memory.total,
            process_memory=sum(process.usedGpuMemory or 0 for process in processes if process.pid in pids),
            utilization=None if utilization is None else utilization / 100,
            temperature=self._told(lambda: nvml.nvmlDeviceGetTemperature(device.board, nvml.NVML_TEMPERATURE_GPU)),
            power=None if power is None else power / 1000,
            energy=None if energy is None else energy / 1000,
        )

    def _told(self, ask: Callable[[], Value]) -> Value | None:
        try:
            return ask()
        except self._nvml.NVMLError:
            return None

    def _connect(self) -> None:
        if not self._connected:
            self._nvml.nvmlInit()
            self._connected = True

    def _disconnect(self) -> None:
        if self._connected:
            self._connected = False
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def _tell(self, fault: str | None) -> None:
        """Log that NVML stopped to answer, or answers again: once each."""
        if self._answers and fault is not None:
            logger.warning("NVML does not answer", extra={"reason": fault})
        elif fault is None and not self._answers:
            logger.info("NVML answers again")
        self._answers = fault is None


def devices(nvml: Nvml) -> Iterator[Device]:
    """Every GPU that is whole, and every slice of one that is not. Raises `nvml.NVMLError`."""
    index = 0
    for number in range(nvml.nvmlDeviceGetCount()):
        board = nvml.nvmlDeviceGetHandleByIndex(number)
        for handle in _slices(nvml, board) or [board]:
            yield Device(index, handle, board)
            index += 1


def _slices(nvml: Nvml, board: object) -> list[object]:
    """The slices that this process may use; none of a GPU that is not cut, or cannot be."""
    try:
        current, *_ = nvml.nvmlDeviceGetMigMode(board)
        count = nvml.nvmlDeviceGetMaxMigDeviceCount(board) if current == MIG_ON else 0
    except nvml.NVMLError:
        return []
    found: list[object] = []
    for number in range(count):
        with suppress(nvml.NVMLError):  # numbers need not be without gaps
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(board, number))
    return found


def read_gpus(nvml: NvmlFacts | None = None) -> GpuReport:
    """The GPUs as NVML describes them now, or why it does not."""
    nvml = pynvml if nvml is None else nvml
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return GpuReport(fault=str(error))
    try:
        return GpuReport(tuple(_facts(nvml, device) for device in devices(nvml)))
    except nvml.NVMLError as error:
        return GpuReport(fault=str(error))
    finally:
        nvml.nvmlShutdown()


def _facts(nvml: NvmlFacts, device: Device) -> GpuFacts:
    version = nvml.nvmlSystemGetCudaDriverVersion()  # 1000 * major + 10 * minor (nvml.h)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(device.board)
    memory = nvml.nvmlDeviceGetMemoryInfo(device.handle)
    return GpuFacts(
        index=device.index,
        name=nvml.nvmlDeviceGetName(device.handle),
        uuid=nvml.nvmlDeviceGetUUID(device.handle),
        driver=nvml.nvmlSystemGetDriverVersion(),
        cuda=(version // 1000, version % 1000 // 10),
        capability=(major, minor),
        memory_used=memory.used,
        memory_total=memory.total,
    )
