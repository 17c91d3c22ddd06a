"""The machine and the versions that a figure was measured with."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self

from asr_api.engine.abilities import available_cores
from asr_api.gpu import GpuReport, read_gpus

PACKAGES = ("asr-api", "ctranslate2", "faster-whisper", "numpy", "av")


@dataclass(frozen=True, slots=True)
class Machine:
    """The processor's name and the cores that this process may use."""

    cpu: str
    cores: int
    system: str

    @classmethod
    def here(cls) -> Self:
        return cls(_cpu(), available_cores(), f"{platform.system()} {platform.machine()}")

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, {self.system}"


@dataclass(frozen=True, slots=True)
class Processors:
    """Seconds in which this machine's processors were busy or lent elsewhere, since it started.

    None where the system does not tell as Linux does (proc_stat(5)).
    """

    seconds: float | None

    @classmethod
    def look(cls) -> Self:
        table = Path("/proc/stat")
        if not table.is_file():
            return cls(None)
        user, nice, system, _, _, irq, softirq, steal = map(int, table.read_text(encoding="utf-8").split()[1:9])
        return cls((user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"))

    def taken_by_others(self, own_seconds: float, elapsed: float) -> float | None:
        """Cores that others than the one measured took since this look, on average over `elapsed` seconds.

        The client is among them, with a few hundredths of a core. Where much more was taken, the
        rates and latencies are those of a machine that was not free.
        """
        now = self.look().seconds
        return None if now is None or self.seconds is None else (now - self.seconds - own_seconds) / elapsed


def gpu_here(read: Callable[[], GpuReport] = read_gpus) -> str:
    """The GPUs that NVML sees, with their driver; "" where it sees none."""
    gpus = read().gpus
    return f"{' + '.join(gpu.name for gpu in gpus)}, driver {gpus[0].driver}" if gpus else ""


def versions() -> dict[str, str]:
    """Of Python and of the packages that a figure depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def _cpu() -> str:
    """Linux tells the processor's name here; elsewhere its architecture must do."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
