"""What a card, or this machine's processor, can do at most."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

SIDE: Final = 1024
"""Rows of the matrices by which a processor is measured: 4 MB each in float32."""

COPIED: Final = 64 << 20
"""Bytes that are copied to measure its memory: more than its caches hold."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Operations a second on weights and otherwise, bytes a second, and where the numbers are from."""

    linear: float
    other: float
    memory: float
    source: str

    def __str__(self) -> str:
        return f"{self.other / 1e12:.3g} TFLOP/s, {self.memory / 1e9:.4g} GB/s ({self.source})"


@dataclass(frozen=True, slots=True)
class Card:
    """Tera-operations a second of dense products with sums in float32 (int8: in int32), and gigabytes a second."""

    half: float
    single: float
    int8: float
    memory: float

    def peak(self, compute_type: str, source: str) -> Peak:
        """Only products with weights are in int8; all else is in half or single floats."""
        other = self.half if compute_type.endswith("float16") else self.single
        linear = self.int8 if compute_type.startswith("int8") else other
        return Peak(linear * 1e12, other * 1e12, self.memory * 1e9, source)


CARDS: Final[Mapping[str, Card]] = MappingProxyType(
    {
        "RTX 4090": Card(half=165.2, single=82.6, int8=660.6, memory=1008),
        "H200": Card(half=989.4, single=66.9, int8=1978.9, memory=4800),
        "H100 PCIe": Card(half=756.4, single=51.2, int8=1513, memory=2039),
        "H100 NVL": Card(half=835.5, single=60, int8=1670.5, memory=3938),
        "H100": Card(half=989.4, single=66.9, int8=1978.9, memory=3352),
        "L4": Card(half=121, single=30.3, int8=242.5, memory=300),
        "A10G": Card(half=70, single=35, int8=140, memory=600),
    }
)
"""From NVIDIA's data sheets and its Ada and Hopper whitepapers, without sparsity; the first name that fits counts."""


def peak_of_card(name: str, compute_type: str) -> Peak | None:
    """By the name that NVML has for a card, as `NVIDIA GeForce RTX 4090`; None for one that is not known here."""
    words = name.split()
    known = next((model for model in CARDS if _within(model.split(), words)), None)
    return CARDS[known].peak(compute_type, f"{known}, data sheet") if known else None


def peak_of_processor(cores: int, clock: Callable[[], float] = time.perf_counter) -> Peak:
    """Measured now: products of float32 matrices on all cores, one thread each, and copies in memory.

    NumPy must have been loaded with one thread of its own. It is a peak of this moment, which others
    who use the machine lower; and int8 may exceed it, for it is float32's.
    """
    matrix, block = np.random.default_rng(1).random((SIDE, SIDE), np.float32), np.ones(COPIED, np.uint8)
    flops = cores * 2 * SIDE**3 / _fastest(lambda: matrix @ matrix, cores, clock)
    moved = cores * 2 * COPIED / _fastest(block.copy, cores, clock)
    return Peak(flops, flops, moved, "float32, NumPy, measured in this run")


def _within(model: list[str], name: list[str]) -> bool:
    """Whether all words of a model's name are in a card's, where a form as `SXM5` or `80GB` may follow."""
    return all(word in name for word in model)


def _fastest(work: Callable[[], object], cores: int, clock: Callable[[], float], rounds: int = 4) -> float:
    """Seconds of the quickest round in which every core does the work once."""

    def once(threads: ThreadPoolExecutor) -> float:
        began = clock()
        for done in [threads.submit(work) for _ in range(cores)]:
            done.result()
        return clock() - began

    with ThreadPoolExecutor(cores) as threads:
        return min(once(threads) for _ in range(rounds))
