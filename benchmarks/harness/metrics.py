"""What the service says of itself at `/metrics`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

BUILD = "asr_build_info"
MODEL = "asr_model_info"


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts since the service started; the difference of two is what happened between them.

    `busy_seconds` is that of all engine workers together, `cpu_seconds` that of the process.
    """

    batches: float
    chunks: float
    busy_seconds: float
    cpu_seconds: float

    @classmethod
    def parse(cls, exposition: str) -> Self:
        """Read Prometheus' text format. A count that is not there is 0."""
        values = {sample.name: sample.value for sample in _samples(exposition) if not sample.labels}
        return cls(
            batches=values.get("asr_batch_size_count", 0.0),
            chunks=values.get("asr_batch_size_sum", 0.0),
            busy_seconds=values.get("asr_engine_busy_seconds_total", 0.0),
            cpu_seconds=values.get("process_cpu_seconds_total", 0.0),
        )

    def since(self, earlier: Self) -> Self:
        return type(self)(
            self.batches - earlier.batches,
            self.chunks - earlier.chunks,
            self.busy_seconds - earlier.busy_seconds,
            self.cpu_seconds - earlier.cpu_seconds,
        )

    @property
    def mean_batch(self) -> float | None:
        """Chunks an engine call; None where there was no call."""
        return self.chunks / self.batches if self.batches else None


@dataclass(frozen=True, slots=True)
class Served:
    """What runs there: version of the service, and the model with where and how it computes."""

    version: str
    model: str
    device: str
    compute_type: str

    @classmethod
    def parse(cls, exposition: str) -> Self:
        """Read Prometheus' text format. Raises KeyError where this is another service."""
        labels = {sample.name: sample.labels for sample in _samples(exposition) if sample.name in (BUILD, MODEL)}
        model = labels[MODEL]
        return cls(labels[BUILD]["version"], model["model"], model["device"], model["compute_type"])


@dataclass(frozen=True, slots=True)
class _Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def _samples(exposition: str) -> list[_Sample]:
    families = text_string_to_metric_families(exposition)
    return [_Sample(s.name, s.labels, s.value) for family in families for s in family.samples]
