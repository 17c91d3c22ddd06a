"""What NVML tells of the GPUs, whole or in slices, well or broken."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from asr_api.gpu import GpuMonitor, own_processes, read_gpus
from asr_api.metrics import Metrics

GB = 10**9


@dataclass(frozen=True)
class Record:
    """NVML's records, as far as they are read."""

    used: int = 0
    total: int = 0
    gpu: int = 0
    pid: int = 0
    usedGpuMemory: int | None = None  # noqa: N815 - NVML's name


class NvmlError(Exception):
    """NVML's own."""


@dataclass
class FakeNvml:
    """Two GPUs of 24 GB, of which `cut` are cut in slices of 10 GB; what is in `lacking` they do not tell.

    `broken` is whether NVML answers at all; `heard` is called at each look at the number of GPUs.
    """

    broken: bool = False
    cut: tuple[int, ...] = ()
    lacking: frozenset[str] = frozenset()
    millijoules: int = 5_000
    started: int = 0
    processes: list[Record] = field(default_factory=list)
    heard: Callable[[], object] = lambda: None
    NVMLError: type[Exception] = NvmlError
    NVML_TEMPERATURE_GPU: int = 0

    def _tell(self, what: str) -> None:
        if self.broken or what in self.lacking:
            raise NvmlError(f"{what}: not supported")

    def nvmlInit(self) -> None:  # noqa: N802
        self._tell("init")
        self.started += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._tell("shutdown")
        self.started -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self.heard()
        self._tell("count")
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        return index

    def nvmlDeviceGetMigMode(self, handle: object) -> list[int]:  # noqa: N802
        self._tell("mig")
        return [int(handle in self.cut)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: object) -> int:  # noqa: N802
        return 3

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: object, index: int) -> object:  # noqa: N802
        if index == 1:
            raise NvmlError("not found")
        return f"{handle}/{index}"

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Record:  # noqa: N802
        self._tell("memory")
        if isinstance(handle, str):
            return Record(used=3 * GB, total=10 * GB)
        return Record(used=10 * GB + int(str(handle)), total=24 * GB)

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Record:  # noqa: N802
        self._tell("utilization")
        return Record(gpu=80)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> list[Record]:  # noqa: N802
        self._tell("processes")
        return self.processes

    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int:  # noqa: N802
        self._tell("temperature")
        return 60

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:  # noqa: N802
        self._tell("power")
        return 300_500

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:  # noqa: N802
        self._tell("energy")
        return self.millijoules

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        self._tell("driver")
        return "570.86.15"

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 12_080

    def nvmlDeviceGetName(self, handle: object) -> str:  # noqa: N802
        return f"GPU {handle}"

    def nvmlDeviceGetUUID(self, handle: object) -> str:  # noqa: N802
        return f"GPU-{handle}"

    def nvmlDeviceGetCudaComputeCapability(self, handle: object) -> tuple[int, int]:  # noqa: N802
        return (8, 9)


class Watched:
    """A monitor and what it shows."""

    def __init__(self, nvml: FakeNvml) -> None:
        self.metrics = Metrics("1")
        self.monitor = GpuMonitor(self.metrics, nvml, pids=lambda: frozenset({11, 12}))

    def value(self, name: str, gpu: int | None = None) -> float | None:
        labels = {} if gpu is None else {"gpu": str(gpu)}
        return self.metrics.registry.get_sample_value(f"asr_gpu_{name}", labels)


def test_the_gauges_show_each_gpu() -> None:
    """Memory in bytes, utilisation as a ratio, temperature in degrees, power in watts."""
    watched = Watched(FakeNvml())
    watched.monitor.read()
    assert [watched.value("memory_used_bytes", gpu) for gpu in (0, 1)] == [10 * GB, 10 * GB + 1]
    assert watched.value("memory_total_bytes", 0) == 24 * GB
    assert watched.value("utilization_ratio", 1) == 0.8
    assert watched.value("temperature_celsius", 1) == 60
    assert watched.value("power_watts", 0) == 300.5
    assert watched.value("collector_up") == 1


def test_the_service_has_the_memory_of_its_processes() -> None:
    """Those of this service are counted, however many; strangers' are not, nor a size that is not known."""
    processes = [Record(pid=11, usedGpuMemory=4), Record(pid=12, usedGpuMemory=2), Record(pid=12), Record(pid=9)]
    watched = Watched(FakeNvml(processes=processes))
    watched.monitor.read()
    assert watched.value("process_memory_bytes", 0) == 6


def test_energy_is_counted_from_the_first_reading() -> None:
    """In joules: what the GPU used before is nobody's."""
    nvml = FakeNvml()
    watched = Watched(nvml)
    watched.monitor.read()
    nvml.millijoules += 1_500
    watched.monitor.read()
    assert watched.value("energy_joules_total", 0) == 1.5


@pytest.mark.parametrize(
    ("lacking", "name"),
    [
        ("utilization", "utilization_ratio"),
        ("temperature", "temperature_celsius"),
        ("power", "power_watts"),
        ("energy", "energy_joules_total"),
    ],
)
def test_what_a_gpu_does_not_tell_has_no_series(lacking: str, name: str) -> None:
    """And everything else is told all the same."""
    watched = Watched(FakeNvml(lacking=frozenset({lacking, "processes", "mig"})))
    watched.monitor.read()
    assert watched.value(name, 0) is None
    assert watched.value("memory_used_bytes", 0) == 10 * GB
    assert watched.value("collector_up") == 1


def test_each_slice_of_a_gpu_counts_as_one() -> None:
    """A GPU that is cut has no memory to show, but its slices have; the next GPU is numbered after them."""
    watched = Watched(FakeNvml(cut=(0,)))
    watched.monitor.read()
    totals = [watched.value("memory_total_bytes", gpu) for gpu in range(4)]
    assert totals == [10 * GB, 10 * GB, 24 * GB, None]


def test_without_nvml_nobody_is_troubled(caplog: pytest.LogCaptureFixture) -> None:
    """No GPU is no fault: the collector's gauge is 0, the thread has ended, and the log is silent."""
    watched = Watched(FakeNvml(broken=True))
    watched.monitor.start()
    watched.monitor.close()
    assert watched.value("collector_up") == 0
    assert caplog.text == ""


def test_nvml_failing_later_is_started_anew(caplog: pytest.LogCaptureFixture) -> None:
    """A GPU that falls off the bus clears the gauge, and one that comes back sets it; each is told of once."""
    nvml = FakeNvml()
    watched = Watched(nvml)
    shown = []
    with caplog.at_level("INFO"):
        for broken in (False, True, True, False, False):
            nvml.broken = broken
            watched.monitor.read()
            shown.append(watched.value("collector_up"))
    assert shown == [1, 0, 0, 1, 1]
    assert [record.message for record in caplog.records] == ["NVML does not answer", "NVML answers again"]


def test_the_thread_reads_until_it_is_closed() -> None:
    """At its own pace, and lets go of NVML at the end."""
    thrice, looks = threading.Event(), []

    def heard() -> None:
        looks.append(1)
        if len(looks) == 3:
            thrice.set()

    nvml = FakeNvml(heard=heard)
    monitor = GpuMonitor(Metrics("1"), nvml, interval=0.001)
    monitor.start()
    assert thrice.wait(10)
    monitor.close()
    assert nvml.started == 0


def test_own_processes_are_this_one_and_its_children(tmp_path: Path) -> None:
    """Children of any thread, as the kernel lists them."""
    for thread, children in (("1", "21 22 "), ("2", "")):
        task = tmp_path / str(os.getpid()) / "task" / thread
        task.mkdir(parents=True)
        (task / "children").write_text(children)
    assert own_processes(tmp_path) == {os.getpid(), 21, 22}
    assert own_processes(tmp_path / "absent") == {os.getpid()}


def test_the_facts_of_a_gpu() -> None:
    """The versions that decide what runs, and the memory that is free."""
    nvml = FakeNvml(cut=(1,))
    first, second, _ = read_gpus(nvml).gpus
    assert (first.name, first.driver, first.cuda, first.capability) == ("GPU 0", "570.86.15", (12, 8), (8, 9))
    assert first.memory_free == 14 * GB
    assert (second.index, second.name, second.memory_total) == (1, "GPU 1/0", 10 * GB)
    assert nvml.started == 0


@pytest.mark.parametrize("lacking", ["init", "driver"])
def test_why_there_are_no_facts(lacking: str) -> None:
    """NVML's own words, be it absent or broken."""
    report = read_gpus(FakeNvml(lacking=frozenset({lacking})))
    assert report.gpus == ()
    assert report.fault == f"{lacking}: not supported"
