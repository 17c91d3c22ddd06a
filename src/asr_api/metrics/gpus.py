"""The GPUs, as NVML tells of them; without one these have no series."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One reading of one GPU: bytes, a share from 0 to 1, degrees Celsius, watts, joules since the driver came up.

    What a GPU does not tell is None.
    """

    gpu: int
    memory_used: int
    memory_total: int
    process_memory: int
    utilization: float | None = None
    temperature: float | None = None
    power: float | None = None
    energy: float | None = None


class GpuMetrics:
    """The last reading of each GPU."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, ["gpu"], registry=registry)

        self._up = Gauge("asr_gpu_collector_up", "1 while NVML answers", registry=registry)
        self._took = Gauge(
            "asr_gpu_collector_duration_seconds", "Seconds that the last reading of all GPUs took", registry=registry
        )
        self._used = gauge("asr_gpu_memory_used_bytes", "VRAM in use")
        self._total = gauge("asr_gpu_memory_total_bytes", "VRAM of the GPU")
        self._process = gauge("asr_gpu_process_memory_bytes", "VRAM that this service's processes use")
        self._utilization = gauge("asr_gpu_utilization_ratio", "Share of time in which a kernel ran, 0 to 1")
        self._temperature = gauge("asr_gpu_temperature_celsius", "Temperature of the GPU")
        self._power = gauge("asr_gpu_power_watts", "Power that the GPU draws")
        self._energy = Counter(
            "asr_gpu_energy_joules_total",
            "Energy the GPU used since the service saw it first",
            ["gpu"],
            registry=registry,
        )
        self._joules: dict[int, float] = {}

    def collected(self, seconds: float | None) -> None:
        """A reading of all GPUs took `seconds`; None where NVML did not answer."""
        self._up.set(seconds is not None)
        if seconds is not None:
            self._took.set(seconds)

    def read(self, reading: GpuReading) -> None:
        gpu = str(reading.gpu)
        levels = [
            (self._used, reading.memory_used),
            (self._total, reading.memory_total),
            (self._process, reading.process_memory),
            (self._utilization, reading.utilization),
            (self._temperature, reading.temperature),
            (self._power, reading.power),
        ]
        for gauge, value in levels:
            if value is not None:
                gauge.labels(gpu).set(value)
        if reading.energy is not None:
            before = self._joules.get(reading.gpu, reading.energy)
            self._energy.labels(gpu).inc(max(0.0, reading.energy - before))
            self._joules[reading.gpu] = reading.energy
