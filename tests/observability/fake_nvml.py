"""A GPU that is well, as NVML would tell of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """NVML's records, as far as they are read."""

    used: int = 0
    total: int = 0
    gpu: int = 0
    pid: int = 0
    usedGpuMemory: int | None = None  # noqa: N815 - NVML's name


class FakeNvml:
    """One GPU at work: 20 of 80 GB, 60 degrees, 300 W, and an energy counter that grows."""

    class NVMLError(Exception):
        """NVML's own."""

    NVML_TEMPERATURE_GPU = 0

    def __init__(self) -> None:
        self._millijoules = 0

    def nvmlInit(self) -> None:  # noqa: N802
        """A GPU is always there."""

    def nvmlShutdown(self) -> None:  # noqa: N802
        """Nothing is held."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Reading:  # noqa: N802
        return Reading(used=20_000_000_000, total=80_000_000_000)

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Reading:  # noqa: N802
        return Reading(gpu=40)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> list[Reading]:  # noqa: N802
        return []

    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int:  # noqa: N802
        return 60

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:  # noqa: N802
        return 300_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:  # noqa: N802
        self._millijoules += 1_500_000
        return self._millijoules

    def nvmlDeviceGetMigMode(self, handle: object) -> list[int]:  # noqa: N802
        return [0, 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: object) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: object, index: int) -> object:  # noqa: N802
        raise self.NVMLError
