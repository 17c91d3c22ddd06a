"""What is seen of a service while a run asks it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2

from .machine import Processors
from .metrics import Counters
from .processes import cpu_by_role
from .vram import watched


@dataclass(frozen=True, slots=True)
class Target:
    """A service that answers at `url`; `pid` is its process, where it runs on this machine."""

    url: str
    pid: int | None

    def scrape(self) -> str:
        """Its metrics. Raises httpx2.HTTPStatusError where it does not tell them."""
        return httpx2.get(f"{self.url}/metrics").raise_for_status().text

    def cpu(self) -> Mapping[str, float]:
        """Processor seconds so far by kind of process; none where they are not known."""
        return {} if self.pid is None else cpu_by_role(self.pid)


@dataclass(slots=True)
class Observed:
    """What the service counted, and took, during the run: filled when it is over.

    `cpu` is processor seconds by kind of process, `vram_peak` bytes on this machine's GPUs by whomever.
    """

    counted: Counters = field(default_factory=lambda: Counters.parse(""))
    cpu: Mapping[str, float] = field(default_factory=dict)
    others_cores: float | None = None
    vram_peak: int | None = None

    @property
    def cpu_seconds(self) -> float:
        """Of all processes, or of the one that counts its own where the others are not known."""
        return sum(self.cpu.values()) or self.counted.cpu_seconds


@contextmanager
def observed(target: Target, clock: Callable[[], float] = time.perf_counter) -> Iterator[Observed]:
    """Look at the service now and at the end."""
    seen = Observed()
    counted, cpu, processors, began = Counters.parse(target.scrape()), target.cpu(), Processors.look(), clock()
    with watched() as vram:
        yield seen
    seconds = clock() - began
    seen.cpu = {role: total - cpu.get(role, 0.0) for role, total in target.cpu().items()}
    seen.counted = Counters.parse(target.scrape()).since(counted)
    seen.others_cores = processors.taken_by_others(seen.cpu_seconds, seconds)
    seen.vram_peak = vram.peak
